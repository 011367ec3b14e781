import pytest

from local.resources import Resources
from local.template import Route


def route(path: str, method: str = "ANY") -> Route:
    return Route(path=path, method=method, function="Function", streamed=True, timeout=29)


RESOURCES = Resources(
    [
        route("/{proxy+}"),
        route("/"),
        route("/v1/models"),
        route("/v1/models/{model+}"),
        route("/v1/models/{model}/permissions"),
        route("/keys/{key}"),
        route("/keys/list"),
        route("/keys/{key}/block", "POST"),
        route("/only", "GET"),
    ]
)


@pytest.mark.parametrize(
    ("path", "resource", "parameters"),
    [
        pytest.param("/", "/", {}, id="the root is a resource of its own"),
        pytest.param("/v1/models", "/v1/models", {}, id="a literal path"),
        pytest.param("/v1/models/", "/v1/models", {}, id="a slash at the end makes no difference"),
        pytest.param("/v1/models/a", "/v1/models/{model+}", {"model": "a"}, id="a greedy parameter takes one part"),
        pytest.param("/v1/models/a/b", "/v1/models/{model+}", {"model": "a/b"}, id="and many"),
        pytest.param("/v1/models/a%2Fb", "/v1/models/{model+}", {"model": "a%2Fb"}, id="and leaves them encoded"),
        pytest.param(
            "/v1/models/a/permissions",
            "/v1/models/{model}/permissions",
            {"model": "a"},
            id="a parameter goes before a greedy one",
        ),
        pytest.param("/keys/list", "/keys/list", {}, id="a literal goes before a parameter"),
        pytest.param("/keys/k1", "/keys/{key}", {"key": "k1"}, id="a parameter takes one part"),
        pytest.param("/keys", "/{proxy+}", {"proxy": "keys"}, id="a parameter takes no empty part"),
        pytest.param("/keys//block", "/{proxy+}", {"proxy": "keys//block"}, id="nor one between two slashes"),
        pytest.param("/v1/chat", "/{proxy+}", {"proxy": "v1/chat"}, id="all else goes to the catch-all"),
    ],
)
def test_the_most_specific_resource_wins(path: str, resource: str, parameters: dict[str, str]) -> None:
    match = RESOURCES.find("GET", path)
    assert match is not None
    assert (match.route.path, match.parameters) == (resource, parameters)


def test_a_method_of_its_own_wins_over_any() -> None:
    resources = Resources([route("/a", "ANY"), route("/a", "POST")])
    found = [match.route.method for method in ("GET", "POST") if (match := resources.find(method, "/a"))]
    assert found == ["ANY", "POST"]


def test_the_resource_is_chosen_by_path_alone() -> None:
    assert RESOURCES.find("POST", "/only") is None
    assert RESOURCES.find("GET", "/keys/k1/block") is None


def test_without_a_catch_all_unknown_paths_have_no_route() -> None:
    resources = Resources([route("/a/{b}")])
    assert resources.find("GET", "/") is None
    assert resources.find("GET", "/a") is None
    assert resources.find("GET", "/a/b/c") is None

"""Telling a running stand-in to misbehave over HTTP, and asking what it saw."""

import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.standin import Standin
from local.standin.dialects import CASES
from local.standin.faults import FAULTS

TLS = ssl.create_default_context()
REQUEST = {"model": "gpt-5", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(scope="module")
def running() -> Iterator[Standin]:
    with Standin() as standin:
        yield standin


@pytest.fixture(scope="module")
def client(running: Standin) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, headers={"authorization": "Bearer secret-key"}, verify=TLS) as client:
        yield client


@pytest.fixture(autouse=True)
def clean(running: Standin) -> Iterator[None]:
    yield
    running.heal()
    running.forget()


def status(client: httpx.Client, provider: str = "new-api", **fields: Any) -> int:
    return client.post(f"/{provider}/v1/chat/completions", json={**REQUEST, **fields}).status_code


def test_a_line_of_curl_sets_a_fault_and_another_heals_it(client: httpx.Client) -> None:
    assert client.post("/_control/new-api/502").json()["fault"] == "502"
    assert status(client) == 502
    assert client.delete("/_control/new-api").json() == {"healed": 1}
    assert status(client) == 200


def test_options_can_be_in_the_query(client: httpx.Client) -> None:
    reported = client.post("/_control/new-api/cut?after=2&by=rst&times=1&model=gpt-5").json()
    assert reported == {
        "provider": "new-api",
        "model": "gpt-5",
        "fault": "cut",
        "options": {"after": 2, "by": "rst"},
        "times": 1,
    }
    with pytest.raises(httpx.TransportError):
        status(client)
    assert status(client) == 200


def test_a_fault_can_be_set_by_json(client: httpx.Client) -> None:
    reported = {"provider": "new-api", "model": None, "fault": 503, "times": 2, "headers": {"retry-after": "1"}}
    assert client.post("/_control", json=reported).status_code == 200
    answer = client.post("/new-api/v1/chat/completions", json=REQUEST)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert client.get("/_control").json()["faults"][0]["times"] == 1
    assert status(client) == 503
    assert client.get("/_control").json()["faults"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "says"),
    [
        pytest.param("POST", "/_control/ark/no_such", None, 400, "stall", id="an unknown fault"),
        pytest.param("POST", "/_control/ark/99", None, 400, "not an HTTP status", id="no status"),
        pytest.param("POST", "/_control/ark/cut?by=x", None, 400, "fin, rst", id="a choice there is not"),
        pytest.param("POST", "/_control/ark/cut?x=1", None, 400, "after, by", id="an option there is not"),
        pytest.param("POST", "/_control/ark/cut?times=many", None, 400, "'times'", id="no number of times"),
        pytest.param("POST", "/_control", b"[]", 400, "JSON object", id="no object"),
        pytest.param("POST", "/_control", b"{", 400, "JSON object", id="no JSON"),
        pytest.param("POST", "/_control", b"{}", 400, "'provider'", id="no provider"),
        pytest.param("POST", "/_control", b'{"provider":"a","fault":"503","model":1}', 400, "'model'", id="no model"),
        pytest.param("GET", "/_control/nowhere", None, 404, "there is no GET", id="an unknown path"),
        pytest.param("PUT", "/_control", None, 404, "there is no PUT", id="an unknown method"),
    ],
)
def test_invalid_requests_are_rejected_and_change_nothing(
    client: httpx.Client, method: str, path: str, body: bytes | None, code: int, says: str
) -> None:
    answer = client.request(method, path, content=body)
    assert answer.status_code == code
    assert says in answer.json()["error"]
    assert "usage" in answer.json()
    assert client.get("/_control").json()["faults"] == []


AS_JSON = {"accept": "application/json"}


def test_the_list_of_faults_is_short_and_readable(client: httpx.Client) -> None:
    answer = client.get("/_control/faults")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    assert len(lines) < 90
    assert max(map(len, lines)) <= 120
    assert (
        "  cut                    End the connection in the middle of the content, `by` fin or rst [after=3 by=fin]"
        in lines
    )
    assert set(FAULTS) <= {line.split()[0] for line in lines if line.startswith("  ")}
    described = client.get("/_control/faults", params={"provider": "ark"}).text
    assert "ark:set_limit          429: the account's own spending limit is reached" in described
    assert "new-api:" not in described


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"host": "evil.example"}])
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/_control"), ("POST", "/_control/ark/503"), ("DELETE", "/_control")]
)
def test_a_web_page_cannot_use_the_control(
    client: httpx.Client, method: str, path: str, headers: dict[str, str]
) -> None:
    assert client.request(method, path, headers=headers).status_code == 403
    assert client.get("/_control").json()["faults"] == []


def test_every_fault_is_listed_with_its_meaning_and_options(client: httpx.Client) -> None:
    listed = client.get("/_control/faults", headers=AS_JSON).json()["faults"]
    assert set(FAULTS) <= set(listed)
    assert {f"{dialect}:{name}" for dialect, cases in CASES.items() for name in cases} <= set(listed)
    assert all(entry["meaning"] for entry in listed.values())
    assert listed["cut"]["options"] == {"after": 3, "by": "fin"}
    assert listed["cut"]["choices"] == {"by": ["fin", "rst"]}
    assert listed["cliproxyapi:model_cooldown"]["aliases"] == ["quota_reset"]
    narrowed = client.get("/_control/faults?provider=ark", headers=AS_JSON).json()["faults"]
    assert "ark:set_limit" in narrowed
    assert "cliproxyapi:model_cooldown" not in narrowed


def test_every_listed_name_can_be_set(client: httpx.Client) -> None:
    for name in client.get("/_control/faults", headers=AS_JSON).json()["faults"]:
        if name != "<status>":
            assert client.post(f"/_control/new-api/{name}").status_code == 200


def test_recorded_requests_are_grouped_by_provider_and_model_without_the_key(client: httpx.Client) -> None:
    for _ in range(3):
        status(client)
    status(client, "ark", model="glm-4.7")
    client.get("/ark/v1/models")
    answer = client.get("/_control?last=2")
    assert "secret-key" not in answer.text
    seen = {(entry["provider"], entry["model"]): entry for entry in answer.json()["requests"]}
    assert {key: entry["count"] for key, entry in seen.items()} == {
        ("new-api", "gpt-5"): 3,
        ("ark", "glm-4.7"): 1,
        ("ark", None): 1,
    }
    last = seen["new-api", "gpt-5"]["last"]
    assert len(last) == 2
    assert last[0]["body"] == REQUEST
    assert last[0]["headers"]["authorization"] == "***"
    assert last[0]["path"] == "/new-api/v1/chat/completions"
    client.delete("/_control/requests")
    assert client.get("/_control").json()["requests"] == []


def test_a_test_can_compare_the_key_that_came(running: Standin, client: httpx.Client) -> None:
    status(client)
    [record] = running.requests("new-api")
    assert record.key == "secret-key"
    assert "secret-key" not in repr(record)


def test_old_bodies_go_when_they_fill_the_memory(running: Standin, client: httpx.Client) -> None:
    padding = "x" * 15_000_000
    for _ in range(6):
        assert status(client, padding=padding) == 200
    assert 0 < len(running.requests("new-api")) < 6
    assert client.get("/_control?last=0").json()["requests"][0]["count"] == 6

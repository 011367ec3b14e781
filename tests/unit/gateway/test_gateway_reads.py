"""The models there are, and how their deployments do."""

import json
from dataclasses import replace
from typing import Any

import pytest
from anthropic.pagination import SyncPage
from anthropic.types import ModelInfo

from gateway import app
from tests.unit.gateway.fake_environment import FakeEnvironment, context, event, virtual
from vibe_router.core.models import VirtualModel
from vibe_router.core.price import Price
from vibe_router.routing.cooldown import State
from vibe_router.routing.order import Observed
from vibe_router.routing.quota import QuotaWindow
from vibe_router.routing.verdict import Verdict

ModelPage = SyncPage[ModelInfo]


def get(path: str, *, anthropic: bool = False, **query: str) -> tuple[int, Any]:
    sent = event("GET", path, queryStringParameters=query)
    if anthropic:
        sent["headers"]["anthropic-version"] = "2023-06-01"
    response = app.handler(sent, context())
    return response.status, json.loads(b"".join(response.body))


def test_the_models_are_listed_by_name_as_openai_does(environment: FakeEnvironment) -> None:
    status, listing = get("/v1/models")
    assert (status, listing["object"]) == (200, "list")
    assert [each["id"] for each in listing["data"]] == ["auto codex/ü", "auto-chat"]
    assert listing["data"][1] == {
        "id": "auto-chat",
        "object": "model",
        "created": 1_790_000_000,
        "owned_by": "vibe-router",
        "description": "auto-chat's description",
        "context_window": None,
        "context_length": None,
        "price": None,
        "pricing": None,
    }


@pytest.mark.parametrize("anthropic", [False, True])
def test_a_model_has_the_largest_window_of_its_chain_and_the_price_of_the_first(
    environment: FakeEnvironment, anthropic: bool
) -> None:
    first, second = virtual("auto-chat", "one/gpt-5", "two/glm-4.7").chain
    first = replace(first, context_window=200_000, price=Price(0.6, 2.2, cache_read=0.11))
    second = replace(second, context_window=1_000_000)
    environment.models["auto-chat"] = VirtualModel("auto-chat", "", ((first,), (second,)))
    _, listing = get("/v1/models/auto-chat", anthropic=anthropic)
    assert (listing["context_window"], listing["context_length"]) == (1_000_000, 1_000_000)
    assert listing["price"] == {"input": 0.6, "output": 2.2, "cache_read": 0.11}
    assert listing["pricing"] == {"prompt": "0.000000600000", "completion": "0.000002200000"}


def test_anthropics_clients_get_anthropics_list(environment: FakeEnvironment) -> None:
    status, listing = get("/v1/models", anthropic=True)
    page = ModelPage.model_validate(listing)
    assert (status, [info.id for info in page.data]) == (200, ["auto codex/ü", "auto-chat"])
    assert listing["data"][1]["created_at"] == "2026-09-21T14:13:20Z"
    assert (listing["data"][1]["type"], listing["data"][1]["display_name"]) == ("model", "auto-chat")
    assert (listing["has_more"], listing["first_id"], listing["last_id"]) == (False, "auto codex/ü", "auto-chat")
    assert get("/v1/models/auto-chat", anthropic=True)[1] == listing["data"][1]
    assert get("/v1/models/no-such", anthropic=True)[1]["error"]["type"] == "not_found_error"


@pytest.mark.parametrize(
    ("query", "ids", "has_more"),
    [
        ({"limit": "1"}, ["auto codex/ü"], True),
        ({"limit": "2"}, ["auto codex/ü", "auto-chat"], False),
        ({"after_id": "auto codex/ü"}, ["auto-chat"], False),
        ({"after_id": "auto-chat"}, [], False),
        ({"before_id": "auto-chat", "limit": "1"}, ["auto codex/ü"], False),
    ],
)
def test_anthropics_clients_page_through_the_list(
    environment: FakeEnvironment, query: dict[str, str], ids: list[str], has_more: bool
) -> None:
    _, listing = get("/v1/models", anthropic=True, **query)
    assert ([each["id"] for each in listing["data"]], listing["has_more"]) == (ids, has_more)


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "many", "9" * 5000])
def test_a_page_of_an_invalid_size_is_a_400(environment: FakeEnvironment, limit: str) -> None:
    status, listing = get("/v1/models", anthropic=True, limit=limit)
    assert (status, listing["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    "path",
    ["/v1/models/auto codex/ü", "/models/auto%20codex/%C3%BC", "/v1/models/auto%20codex%2F%c3%bc"],
    ids=["as it is", "encoded", "its slash encoded too"],
)
def test_a_model_is_found_by_any_spelling_of_its_path(environment: FakeEnvironment, path: str) -> None:
    status, listing = get(path)
    assert (status, listing["id"]) == (200, "auto codex/ü")


@pytest.mark.parametrize("name", ["gpt-9", "auto-chat/x", "%", "%ff", "\ud800"])
def test_a_model_that_does_not_exist_is_a_404(environment: FakeEnvironment, name: str) -> None:
    status, listing = get(f"/v1/models/{name}")
    assert (status, listing["error"]["code"]) == (404, "model_not_found")
    assert "auto-chat" in listing["error"]["message"]


def test_readiness_requires_a_model(environment: FakeEnvironment) -> None:
    assert get("/health/readiness") == (200, {"status": "ready", "models": 2})
    environment.models.clear()
    assert get("/health/readiness") == (503, {"status": "no models", "models": 0})


def rest(state_id: str, until: float, lease_until: float = 0) -> State:
    return State(
        state_id,
        version=1,
        until=until,
        verdict=Verdict.QUOTA,
        strikes=2,
        evidence="429 used_up",
        lease_until=lease_until,
    )


@pytest.mark.parametrize(
    ("times", "state"),
    [
        pytest.param((1_800_000_060.0,), "cooling", id="cooling"),
        pytest.param((1_799_999_999.0,), "due", id="due"),
        pytest.param((1_799_999_999.0, 1_800_000_010.0), "probing", id="being probed"),
    ],
)
@pytest.mark.parametrize("scope", ["deployment", "credential"])
def test_health_shows_the_end_reason_and_strikes_of_a_cooldown(
    environment: FakeEnvironment, scope: str, times: tuple[float, ...], state: str
) -> None:
    found = rest("deployment#one/gpt-5" if scope == "deployment" else "credential#one", *times)
    environment.table.items[found.id] = found
    status, listing = get("/health")
    assert status == 200
    one, two = sorted(listing["deployments"], key=lambda each: str(each["deployment"]))
    assert one == {
        "deployment": "one/gpt-5",
        "state": state,
        "scope": scope,
        "until": "2027-01-15T08:01:00.000+00:00" if state == "cooling" else "2027-01-15T07:59:59.000+00:00",
        "verdict": "quota",
        "strikes": 2,
        "evidence": "429 used_up",
    }
    assert two == {"deployment": "two/glm-4.7", "state": "healthy"}
    assert listing["counts"] == {"healthy": 1, "cooling": 0, "due": 0, "probing": 0, state: 1}


def test_health_shows_the_worse_state_of_deployment_and_credential(environment: FakeEnvironment) -> None:
    for found in (rest("deployment#one/gpt-5", until=1_799_999_999), rest("credential#one", until=1_800_000_060)):
        environment.table.items[found.id] = found
    _, listing = get("/health")
    assert [each["scope"] for each in listing["deployments"] if each["state"] == "cooling"] == ["credential"]


def test_health_shows_the_quota_that_a_provider_reports(environment: FakeEnvironment) -> None:
    windows = (QuotaWindow("5h", 0.95, environment.now + 60), QuotaWindow("7d", 0.5, environment.now - 60))
    environment.observed.table["one/gpt-5"] = Observed(windows, ((environment.now - 1, 0.25),))
    one, two = sorted(get("/health")[1]["deployments"], key=lambda each: str(each["deployment"]))
    assert one["quota"] == {
        "used": 0.95,
        "windows": [
            {"name": "5h", "used": 0.95, "resets_at": "2027-01-15T08:01:00.000+00:00"},
            {"name": "7d", "used": 0.0, "resets_at": None},
        ],
    }
    assert one["ttft_ms"] == 250
    assert "quota" not in two


def test_health_reports_an_unreachable_table(environment: FakeEnvironment) -> None:
    assert get("/health")[1]["state_table"] == "reachable"
    environment.table.degraded = True
    assert get("/health")[1]["state_table"].startswith("unreachable")


def test_liveness_calls_no_service(environment: FakeEnvironment) -> None:
    assert get("/health/liveliness") == get("/health/liveness") == (200, {"status": "alive"})

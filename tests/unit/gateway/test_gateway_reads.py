"""The models there are, and how their deployments do."""

import json
from typing import Any

import pytest

from gateway import app
from tests.unit.gateway.fake_environment import FakeEnvironment, context, event
from vibe_router.routing.cooldown import State
from vibe_router.routing.verdict import Verdict


def get(path: str) -> tuple[int, Any]:
    response = app.handler(event("GET", path), context())
    return response.status, json.loads(b"".join(response.body))


def test_the_models_are_listed_by_name_as_openai_does(environment: FakeEnvironment) -> None:
    status, told = get("/v1/models")
    assert (status, told["object"]) == (200, "list")
    assert [each["id"] for each in told["data"]] == ["auto codex/ü", "auto-chat"]
    assert told["data"][1] == {
        "id": "auto-chat",
        "object": "model",
        "created": 0,
        "owned_by": "vibe-router",
        "description": "auto-chat's description",
    }


@pytest.mark.parametrize(
    "path",
    ["/v1/models/auto codex/ü", "/models/auto%20codex/%C3%BC", "/v1/models/auto%20codex%2F%c3%bc"],
    ids=["as it is", "encoded", "its slash encoded too"],
)
def test_one_model_is_told_whatever_its_name_looks_like(environment: FakeEnvironment, path: str) -> None:
    status, told = get(path)
    assert (status, told["id"]) == (200, "auto codex/ü")


@pytest.mark.parametrize("name", ["gpt-9", "auto-chat/x", "%", "%ff", "\ud800"])
def test_a_model_that_is_none_is_a_404(environment: FakeEnvironment, name: str) -> None:
    status, told = get(f"/v1/models/{name}")
    assert (status, told["error"]["code"]) == (404, "model_not_found")
    assert "auto-chat" in told["error"]["message"]


def test_it_is_ready_once_there_is_something_to_route_to(environment: FakeEnvironment) -> None:
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
def test_what_rests_says_until_when_why_and_how_often(
    environment: FakeEnvironment, scope: str, times: tuple[float, ...], state: str
) -> None:
    found = rest("deployment#one/gpt-5" if scope == "deployment" else "credential#one", *times)
    environment.table.items[found.id] = found
    status, told = get("/health")
    assert status == 200
    one, two = sorted(told["deployments"], key=lambda each: str(each["deployment"]))
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
    assert told["counts"] == {"healthy": 1, "cooling": 0, "due": 0, "probing": 0, state: 1}


def test_of_a_deployments_two_states_the_worse_one_is_told(environment: FakeEnvironment) -> None:
    for found in (rest("deployment#one/gpt-5", until=1_799_999_999), rest("credential#one", until=1_800_000_060)):
        environment.table.items[found.id] = found
    _, told = get("/health")
    assert [each["scope"] for each in told["deployments"] if each["state"] == "cooling"] == ["credential"]


def test_a_table_that_cannot_be_reached_is_told(environment: FakeEnvironment) -> None:
    assert get("/health")[1]["state_table"] == "reachable"
    environment.table.degraded = True
    assert get("/health")[1]["state_table"].startswith("unreachable")


def test_whether_it_lives_asks_nothing_of_anybody(environment: FakeEnvironment) -> None:
    assert get("/health/liveliness") == get("/health/liveness") == (200, {"status": "alive"})

"""The full route suite: every route, streamed and whole, the shapes of errors, headers, and failover.

python tests/test_route.py                                           the router that `make start` runs
VIBE_ROUTER_KEY=… python tests/test_route.py --url https://…/prod/v1 any other
python tests/test_route.py --control http://127.0.0.1:…/_control     with failover, where providers are stand-ins
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for running it as a program

from vibe_cli.chat_client import ChatClient

pytest_plugins = ["tests.router_options"]

MODEL = "auto-chat"
HELLO = [{"role": "user", "content": "Reply with one short sentence."}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def _error(answer: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert isinstance(error["message"], str)
    assert error["message"]
    assert {"type", "param", "code"} <= set(error)
    if code:
        assert error["code"] == code
    return error


def _post(router: ChatClient, body: object, path: str = "/v1/chat/completions", **headers: str) -> httpx.Response:
    return router.client.post(f"{router.root}{path}", json=body, headers=headers)


@pytest.mark.parametrize("path", ["/v1/models", "/models", "/v1/models/"])
def test_models_are_listed_at(router: ChatClient, path: str) -> None:
    answer = router.client.get(f"{router.root}{path}")
    assert answer.status_code == 200
    assert answer.json()["object"] == "list"
    assert all(each["object"] == "model" and each["id"] for each in answer.json()["data"])
    assert MODEL in {each["id"] for each in answer.json()["data"]}


@pytest.mark.parametrize("prefix", ["/v1", ""], ids=["with /v1", "without /v1"])
def test_one_model_is_shown(router: ChatClient, prefix: str) -> None:
    answer = router.client.get(f"{router.root}{prefix}/models/{MODEL}")
    assert (answer.status_code, answer.json()["id"]) == (200, MODEL)
    _error(router.client.get(f"{router.root}{prefix}/models/nobody-has-this"), 404, "model_not_found")


@pytest.mark.parametrize("prefix", ["/v1", ""], ids=["with /v1", "without /v1"])
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_chat_completions(router: ChatClient, prefix: str, stream: bool) -> None:
    with ChatClient(router.root + prefix, router.key) as here:
        answer = here.chat(MODEL, stream=stream)
    assert not answer.why
    provider, _, model = (answer.deployment or "").partition("/")
    assert provider
    assert model
    assert answer.headers["x-vibe-model"] == MODEL
    assert answer.headers["x-vibe-request-id"]
    assert int(answer.headers["x-vibe-attempts"]) >= 1
    assert int(answer.headers["x-vibe-fallbacks"]) >= 0
    assert answer.prompt_tokens
    assert answer.completion_tokens


def test_usage_is_sent_only_on_request(router: ChatClient) -> None:
    answer = router.chat(MODEL, stream=True, stream_options={"include_usage": False})
    assert not answer.why
    assert answer.completion_tokens is None


def test_a_tool_is_called(router: ChatClient) -> None:
    body = {"model": MODEL, "messages": HELLO, "tools": [TOOL], "tool_choice": "required"}
    answer = _post(router, body)
    assert answer.status_code == 200, answer.text
    choice = answer.json()["choices"][0]
    assert choice["message"]["tool_calls"][0]["function"]["name"] == "weather"


@pytest.mark.parametrize("path", ["/health/liveliness", "/health/liveness", "/health/readiness"])
def test_health_is_open(router: ChatClient, path: str) -> None:
    assert httpx.get(f"{router.root}{path}", timeout=60).status_code == 200


def test_deployment_states_require_a_key(router: ChatClient) -> None:
    _error(httpx.get(f"{router.root}/health", timeout=60), 401, "invalid_api_key")
    answer = router.client.get(f"{router.root}/health")
    if answer.status_code == 403:
        pytest.skip("the key is not the master key")
    states = {each["state"] for each in answer.json()["deployments"]}
    assert states <= {"healthy", "cooling", "due", "probing"}
    assert states


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "api-key", "x-litellm-api-key", "x-goog-api-key"])
def test_the_key_is_taken_from(router: ChatClient, name: str) -> None:
    value = f"Bearer {router.key}" if name == "authorization" else router.key
    assert httpx.get(f"{router.root}/v1/models", headers={name: value}, timeout=60).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer sk-wrong"}], ids=["no key", "a wrong key"])
def test_it_is_401_with(router: ChatClient, headers: dict[str, str]) -> None:
    body = {"model": MODEL, "messages": HELLO}
    answer = httpx.post(f"{router.root}/v1/chat/completions", json=body, headers=headers, timeout=60)
    _error(answer, 401, "invalid_api_key")
    assert answer.headers["x-vibe-request-id"]


BAD: list[tuple[str, object, int, str | None]] = [
    ("no messages", {"model": MODEL}, 400, "messages"),
    ("empty messages", {"model": MODEL, "messages": []}, 400, "messages"),
    ("messages that are no list", {"model": MODEL, "messages": "hi"}, 400, "messages"),
    ("no model", {"messages": HELLO}, 400, "model"),
    ("no object", [], 400, None),
    ("an unknown model", {"model": "nobody-has-this", "messages": HELLO}, 404, "model"),
]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(("body", "status", "param"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_request_with(router: ChatClient, body: object, status: int, param: str | None, stream: bool) -> None:
    answer = _post(router, {**body, "stream": stream} if isinstance(body, dict) else body)
    error = _error(answer, status)
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert answer.headers["content-type"].startswith("application/json")


def test_an_invalid_json_body_is_a_400(router: ChatClient) -> None:
    _error(router.client.post(f"{router.url}/chat/completions", content=b"{nope"), 400)


def test_an_unknown_path_is_404(router: ChatClient) -> None:
    _error(router.client.get(f"{router.root}/v1/nobody-has-this"), 404)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_wrong_method_is_a_405_that_names_the_allowed_one(router: ChatClient, method: str) -> None:
    answer = router.client.request(method, f"{router.root}/v1/chat/completions")
    _error(answer, 405)
    assert "POST" in answer.headers["allow"]


def test_an_unknown_origin_gets_no_cors_headers(router: ChatClient) -> None:
    preflight = {"origin": "https://unknown-origin.example", "access-control-request-method": "POST"}
    for path in ("/v1/chat/completions", "/key/list"):
        answer = httpx.options(f"{router.root}{path}", headers=preflight, timeout=60)
        assert "access-control-allow-origin" not in answer.headers


@pytest.fixture
def broken(router: ChatClient, standins: str) -> Iterator[str]:
    """Break the provider that serves first, and heal it; gives the deployment."""
    usual = router.chat(MODEL, stream=False)
    assert usual.deployment, usual.why
    provider = usual.deployment.partition("/")[0]
    httpx.post(f"{standins}/{provider}/503", timeout=60).raise_for_status()
    try:
        yield usual.deployment
    finally:
        httpx.delete(f"{standins}/{provider}", timeout=60).raise_for_status()
        _served_again(router, usual.deployment)


def _served_again(router: ChatClient, deployment: str) -> None:
    end = time.monotonic() + 60  # cooldowns grow, but no further than this in so few calls
    while router.chat(MODEL, stream=True).deployment != deployment:
        assert time.monotonic() < end, f"{deployment} does not serve again"
        time.sleep(0.2)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_failed_deployment_is_skipped_until_it_recovers(router: ChatClient, broken: str, stream: bool) -> None:
    answer = router.chat(MODEL, stream=stream)
    assert not answer.why
    assert answer.deployment != broken
    assert int(answer.headers["x-vibe-fallbacks"]) >= 1
    end = time.monotonic() + 60  # others than the environment that failed read the states once in a second
    while (reported := _state_of(router, broken))["state"] == "healthy":
        assert time.monotonic() < end, f"{broken} is not reported as cooling"
        time.sleep(0.2)
    assert reported["verdict"] == "transient"


def _state_of(router: ChatClient, deployment: str) -> dict[str, Any]:
    states = router.client.get(f"{router.root}/health").json()["deployments"]
    return next(each for each in states if each["deployment"] == deployment)


if __name__ == "__main__":
    from tests.router_program import run

    sys.exit(run("Call every route of a router.", "test_route.py"))

"""Google's API through the handler: its paths, its key, its streams, and its errors."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway import app
from streaming_runtime import StreamingResponse
from tests.unit.gateway.fake_environment import MASTER_KEY, FakeEnvironment, context, event, refusal, virtual

BODY = {"contents": [{"role": "user", "parts": [{"text": "Say hello."}]}]}
GENERATE = "/v1beta/models/auto-chat:generateContent"
STREAM = "/v1beta/models/auto-chat:streamGenerateContent"


def send(method: str, path: str, body: object = None, **query: str) -> tuple[StreamingResponse, bytes]:
    sent = event(method, path, body, queryStringParameters=query or None)
    sent["headers"] = {"Content-Type": "application/json", **({} if "key" in query else {"X-Goog-Api-Key": MASTER_KEY})}
    invocation = context()
    response = app.handler(sent, invocation)
    raw = b"".join(response.body)
    invocation.run_work()
    return response, raw


@pytest.mark.parametrize(
    "path",
    [
        GENERATE,
        "/prod" + GENERATE,
        "/v1/models/auto-chat:generateContent",
        "/v1alpha/models/auto-chat:generateContent",
        "/v1beta/auto-chat:generateContent",
        "/v1beta/models/auto%20codex%2F%C3%BC:generateContent",
    ],
)
def test_an_answer(environment: FakeEnvironment, path: str) -> None:
    response, raw = send("POST", path, BODY)
    assert response.status == 200
    assert json.loads(raw)["candidates"][0]["content"] == {"parts": [{"text": "Hello."}], "role": "model"}
    assert json.loads(raw)["usageMetadata"]["totalTokenCount"] == 10


@pytest.mark.parametrize("alt", [{"alt": "sse"}, {}], ids=["events", "array"])
def test_a_stream(environment: FakeEnvironment, alt: dict[str, str]) -> None:
    response, raw = send("POST", STREAM, BODY, **alt)
    assert response.headers["content-type"].startswith("text/event-stream" if alt else "application/json")
    assert response.heartbeat is not None
    assert response.heartbeat.payload == b"\n"
    chunks = json.loads(raw) if not alt else [json.loads(each[6:]) for each in raw.split(b"\n\n") if each]
    assert "".join(chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in chunks) == "Hello."
    assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"


def test_a_key_in_the_query_is_taken_and_never_logged(
    environment: FakeEnvironment, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    assert send("POST", GENERATE, BODY, key=MASTER_KEY)[0].status == 200
    assert MASTER_KEY not in json.dumps(lines())
    response, raw = send("POST", GENERATE, BODY, key="sk-wrong")
    assert response.status == 401
    assert json.loads(raw)["error"]["status"] == "UNAUTHENTICATED"
    assert b"sk-wrong" not in raw


def test_errors_have_googles_shape(environment: FakeEnvironment) -> None:
    for path, body, status, name in (
        ("/v1beta/models/nope:generateContent", BODY, 404, "NOT_FOUND"),
        (GENERATE, {"contents": []}, 400, "INVALID_ARGUMENT"),
        (GENERATE, "{", 400, "INVALID_ARGUMENT"),
        ("/v1beta/models/auto-chat:embedContent", BODY, 405, "UNIMPLEMENTED"),
        ("/v1beta/files", BODY, 404, "NOT_FOUND"),
    ):
        response, raw = send("POST", path, body)
        assert (response.status, json.loads(raw)["error"]["status"]) == (status, name), path
    response, raw = send("POST", STREAM, {"contents": []})
    assert json.loads(raw)[0]["error"]["code"] == 400
    environment.upstream.script = {name: [refusal(503, {"error": {"message": "busy"}})] for name in ("one", "two")}
    response, raw = send("POST", STREAM, BODY, alt="sse")
    assert (response.status, json.loads(raw)["error"]["status"]) == (502, "INTERNAL")


def test_tokens_are_counted(environment: FakeEnvironment) -> None:
    response, raw = send("POST", "/v1beta/models/auto-chat:countTokens", BODY)
    assert (response.status, json.loads(raw)["totalTokens"] > 0) == (200, True)
    assert not environment.upstream.calls


def test_models_are_listed_by_pages(environment: FakeEnvironment) -> None:
    environment.models["other"] = virtual("other", "one/x")
    _, raw = send("GET", "/v1beta/models", pageSize="2")
    page = json.loads(raw)
    assert [each["name"] for each in page["models"]] == ["models/auto codex/ü", "models/auto-chat"]
    _, raw = send("GET", "/v1beta/models", pageSize="2", pageToken=page["nextPageToken"])
    assert [each["name"] for each in json.loads(raw)["models"]] == ["models/other"]
    _, raw = send("GET", "/v1beta/models/auto-chat")
    assert json.loads(raw)["supportedGenerationMethods"][0] == "generateContent"
    for query in ({"pageSize": "x"}, {"pageSize": "0"}, {"pageToken": "99"}):
        assert send("GET", "/v1beta/models", **query)[0].status == 400


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/auto-chat"])
def test_googles_clients_list_the_models_of_v1_too(environment: FakeEnvironment, path: str) -> None:
    sent = event("GET", path)
    assert "object" in json.loads(b"".join(app.handler(sent, context()).body))
    sent["headers"] = {"x-goog-api-key": MASTER_KEY, "X-Goog-Api-Client": "google-genai-sdk/3.6.1"}
    listed = json.loads(b"".join(app.handler(sent, context()).body))
    assert "models/auto-chat" in [each["name"] for each in listed.get("models", [listed])]
    sent["headers"] = {"X-Goog-Api-Client": "google-genai-sdk/3.6.1"}
    assert json.loads(b"".join(app.handler(sent, context()).body))["error"]["status"] == "UNAUTHENTICATED"

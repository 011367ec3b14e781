"""Callers and providers of different formats, through the handler: the calls made, and the answers returned."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway import app
from streaming_runtime import StreamingResponse
from tests.unit.gateway.fake_environment import (
    STREAM,
    FakeEnvironment,
    context,
    deployment,
    event,
    refusal,
    streamed,
    whole,
)
from vibe_router.core.models import Deployment, VirtualModel
from vibe_router.formats.common import sse
from vibe_router.formats.responses import stream as responses
from vibe_router.formats.responses.echo import complete_response
from vibe_router.routing.verdict import Failure, FailureKind

Lines = Callable[[], list[dict[str, Any]]]

UNAVAILABLE = refusal(503, {"error": {"message": "busy", "type": "server_error"}})
IMAGE = {"role": "user", "content": [{"type": "input_image", "image_url": "https://example.com/a.png"}]}
TOOLS = [{"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}]
THOUGHT = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "proof"}
SAID = {
    "id": "msg_1",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hello.", "annotations": []}],
}
_MINIMAL = {
    "id": "resp_up",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "gpt-5",
    "output": [THOUGHT, SAID],
    "error": None,
    "usage": {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10},
}
RESPONSE: dict[str, Any] = dict(complete_response(_MINIMAL, {}))


def chained(environment: FakeEnvironment, *chain: Deployment) -> None:
    environment.models["auto-chat"] = VirtualModel("auto-chat", "", tuple((each,) for each in chain))


def member(name: str, *formats: str, **more: Any) -> Deployment:
    return replace(deployment(name), formats=formats, **more)


def ask(path: str = "/v1/responses", **more: object) -> tuple[StreamingResponse, bytes, Callable[[], None]]:
    body: dict[str, object] = {"model": "auto-chat", "input": "Say hello."} | more
    if path.endswith("completions"):
        body = {"model": "auto-chat", "messages": [{"role": "user", "content": "Say hello."}], **more}
    invocation = context()
    response = app.handler(event("POST", path, body), invocation)
    return response, b"".join(response.body), invocation.run_work


def json_events(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(each.data) for each in sse.EventDecoder().feed(body) if each.data not in (None, b"[DONE]")]


# --- The format in which a deployment is called ---------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/responses", "/responses", "/prod/v1/responses"])
def test_a_response_from_a_provider_of_chat(environment: FakeEnvironment, path: str) -> None:
    response, body, _ = ask(path)
    answer = json.loads(body)
    assert (response.status, answer["object"], answer["status"]) == (200, "response", "completed")
    assert answer["output"][0]["content"][0]["text"] == "Hello."
    assert answer["usage"]["input_tokens"] == 7
    assert environment.upstream.calls[0][1]["messages"] == [{"role": "user", "content": "Say hello."}]


def test_the_callers_own_format_passes_unchanged(environment: FakeEnvironment) -> None:
    chained(environment, member("one/gpt-5", "chat", "responses"))
    raw = [each.replace(b'":', b'" :') for each in responses.to_events(RESPONSE)]
    environment.upstream.script["one"] = [streamed(*raw)]
    response, body, _ = ask(stream=True, an_extension=1)
    assert response.status == 200
    assert body == b"".join(raw)
    assert environment.upstream.calls[0][1] == {
        "model": "gpt-5",
        "input": "Say hello.",
        "stream": True,
        "an_extension": 1,
    }


def test_a_failover_to_another_format_is_invisible(environment: FakeEnvironment, lines: Lines) -> None:
    chained(environment, member("one/gpt-5", "responses"), member("two/glm-4.7", "chat"))
    begun = responses.to_events(RESPONSE)[:2]
    failed = sse.encode(b'{"type":"response.failed","response":{"error":{"code":"server_is_overloaded"}}}')
    environment.upstream.script["one"] = [streamed(*begun, failed)]
    response, body, settle = ask(stream=True)
    settle()
    events = json_events(body)
    assert [each["sequence_number"] for each in events] == list(range(len(events)))
    assert events[-1]["type"] == "response.completed"
    assert b"resp_up" not in body
    assert response.headers["x-vibe-deployment"] == "two/glm-4.7"
    [line] = lines()
    assert (line["format"], line["provider_format"], line["prompt_tokens"]) == ("responses", "chat", 7)


def test_a_chat_request_fails_over_to_a_provider_of_responses(environment: FakeEnvironment) -> None:
    chained(environment, member("one/glm-4.7", "chat"), member("two/gpt-5", "responses"))
    environment.upstream.script = {"one": [UNAVAILABLE], "two": [streamed(*responses.to_events(RESPONSE))]}
    _, body, _ = ask("/v1/chat/completions", stream=True)
    assert body.endswith(b"data: [DONE]\n\n")
    words = [choice["delta"].get("content") or "" for each in json_events(body) for choice in each["choices"]]
    assert "".join(words) == "Hello."


@pytest.mark.parametrize(
    "answer", [whole(RESPONSE), streamed(*responses.to_events(RESPONSE))], ids=["whole", "streamed"]
)
def test_an_answer_is_accepted_whole_or_streamed(environment: FakeEnvironment, answer: Any) -> None:
    chained(environment, member("one/gpt-5", "responses"))
    environment.upstream.script["one"] = [answer]
    _, body, _ = ask("/v1/chat/completions")
    assert json.loads(body)["choices"][0]["message"]["content"] == "Hello."


# --- Errors in the caller's format ------------------------------------------------------------------------------------


def test_a_broken_stream_ends_as_a_failed_response(environment: FakeEnvironment, lines: Lines) -> None:
    environment.upstream.script["one"] = [streamed(*STREAM[:2], Failure(FailureKind.RESET, detail="broke off"))]
    _, body, settle = ask(stream=True)
    settle()
    last = json_events(body)[-1]
    assert (last["type"], last["response"]["status"]) == ("response.failed", "failed")
    assert "stream_truncated" in last["response"]["error"]["message"]
    assert lines()[0]["error"] == "stream_truncated"


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        pytest.param({"model": "gpt-9"}, 404, "model_not_found", id="an unknown model"),
        pytest.param({"input": None}, 400, None, id="no input"),
        pytest.param({"background": True}, 400, None, id="an answer nobody waits for"),
        pytest.param({"conversation": "conv_1"}, 400, "unsupported_parameter", id="what chat cannot carry"),
    ],
)
def test_a_request_is_rejected_before_any_call(
    environment: FakeEnvironment, more: dict[str, Any], status: int, code: Any
) -> None:
    response, body, _ = ask(**more)
    error = json.loads(body)["error"]
    assert (response.status, error["code"]) == (status, code)
    assert environment.upstream.calls == []


# --- Unfit deployments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("able", "more", "code"),
    [
        pytest.param({"vision": False}, {"input": [IMAGE]}, "unsupported_images", id="images"),
        pytest.param({"tools": False}, {"tools": TOOLS}, "unsupported_tools", id="tools"),
        pytest.param({"context_window": 1000}, {"input": "word " * 2000}, "context_length_exceeded", id="its length"),
        pytest.param({"context_window": 1000}, {"max_output_tokens": 1001}, "context_length_exceeded", id="its answer"),
        pytest.param({"formats": ("embeddings",)}, {}, "unsupported_format", id="its format"),
        pytest.param({}, {"tools": [{"type": "code_interpreter"}]}, "unsupported_parameter", id="a hosted tool"),
    ],
)
def test_an_unfit_deployment_is_skipped_and_the_log_has_the_reason(
    environment: FakeEnvironment, lines: Lines, able: dict[str, Any], more: dict[str, Any], code: str
) -> None:
    chained(environment, replace(deployment("one/glm-4.7"), **able), member("two/gpt-5", "responses"))
    environment.upstream.script["two"] = [whole(RESPONSE)]
    response, _, settle = ask(**more)
    settle()
    assert environment.upstream.called == ["two"]
    assert (response.headers["x-vibe-attempts"], response.headers["x-vibe-fallbacks"]) == ("1", "1")
    [line] = lines()
    assert [(each["deployment"], each["code"]) for each in line["unfit"]] == [("one/glm-4.7", code)]
    assert environment.table.items == {}, "nothing is wrong with it"


@pytest.mark.parametrize(
    ("able", "more", "code"),
    [
        pytest.param({"vision": False}, {"input": [IMAGE]}, "unsupported_images", id="images"),
        pytest.param({"formats": ("embeddings",)}, {}, "unsupported_format", id="its format"),
        pytest.param({}, {"tools": [{"type": "code_interpreter"}]}, "unsupported_parameter", id="a hosted tool"),
    ],
)
def test_a_request_that_no_deployment_can_carry_is_a_400(
    environment: FakeEnvironment, able: dict[str, Any], more: dict[str, Any], code: str
) -> None:
    chained(environment, replace(deployment("one/glm-4.7"), **able))
    response, body, _ = ask(**more)
    assert (response.status, json.loads(body)["error"]["code"]) == (400, code)
    assert environment.upstream.calls == []


def test_an_exhausted_chain_lists_unfit_deployments_too(environment: FakeEnvironment) -> None:
    chained(environment, replace(deployment("one/glm-4.7"), tools=False), member("two/gpt-5", "responses"))
    environment.upstream.script["two"] = [UNAVAILABLE]
    response, body, _ = ask(tools=TOOLS)
    error = json.loads(body)["error"]
    assert (response.status, error["code"]) == (502, "all_deployments_failed")
    assert [each["deployment"] for each in error["unfit"]] == ["one/glm-4.7"]


# --- Proofs of reasoning ----------------------------------------------------------------------------------------------


def refused_proof() -> Failure:
    return refusal(400, {"error": {"message": "The encrypted content could not be verified.", "code": "invalid"}})


def test_a_rejected_proof_is_left_out_in_a_retry(environment: FakeEnvironment, lines: Lines) -> None:
    chained(environment, member("one/gpt-5", "responses"))
    environment.upstream.script["one"] = [refused_proof(), whole(RESPONSE)]
    response, _, settle = ask(input=[{"role": "user", "content": "Hi"}, THOUGHT])
    settle()
    assert response.status == 200
    first, second = (sent["input"] for _, sent in environment.upstream.calls)
    assert THOUGHT in first
    assert THOUGHT not in second
    [line] = lines()
    assert line["reasoning_left_out"] == 1
    assert [each["verdict"] for each in line["attempts"]] == ["client", "ok"]
    assert environment.table.items == {}


def test_a_request_without_proofs_is_retried_once(environment: FakeEnvironment) -> None:
    chained(environment, member("one/gpt-5", "responses"))
    environment.upstream.script["one"] = [refused_proof(), refused_proof()]
    response, _, _ = ask(input=[{"role": "user", "content": "Hi"}, THOUGHT])
    assert response.status == 400
    assert environment.upstream.called == ["one", "one"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_proof_is_sent_only_to_its_issuer(environment: FakeEnvironment, lines: Lines, stream: bool) -> None:
    chained(environment, member("one/gpt-5", "responses"), member("two/gpt-5", "responses"))
    first = streamed(*responses.to_events(RESPONSE)) if stream else whole(RESPONSE)
    environment.upstream.script = {"one": [first, UNAVAILABLE], "two": [whole(RESPONSE)]}
    _, _, settle = ask(stream=stream)
    settle()
    _, _, settle = ask(input=[{"role": "user", "content": "Hi"}, THOUGHT, {"role": "user", "content": "Go on"}])
    settle()
    (_, kept), (_, without) = environment.upstream.calls[1:]
    assert THOUGHT in kept["input"]
    assert THOUGHT not in without["input"]
    assert lines()[-1]["reasoning_left_out"] == 1

"""Callers who speak Anthropic's Messages, through the handler: what they are answered, and what providers are asked."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from anthropic.types import Message

from gateway import app
from streaming_runtime import StreamingResponse
from tests.unit.gateway.fake_environment import (
    STREAM,
    FakeEnvironment,
    ScriptedReply,
    context,
    event,
    refusal,
    streamed,
    virtual,
    whole,
)
from tests.unit.gateway.test_gateway_formats import chained, member
from vibe_router.access.keys import Caller, Key, Limits
from vibe_router.formats.common import sse
from vibe_router.formats.messages import stream as messages
from vibe_router.routing.verdict import Failure, FailureKind

HI = [{"role": "user", "content": "Hi"}]
MESSAGE: dict[str, Any] = {
    "id": "msg_up",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5",
    "content": [{"type": "text", "text": "Hello."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 7, "output_tokens": 3},
}
BUSY = refusal(529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})


def ask(
    path: str = "/v1/messages", headers: Mapping[str, str] | None = None, **more: object
) -> tuple[StreamingResponse, bytes]:
    sent = event("POST", path, {"model": "auto-chat", "max_tokens": 100, "messages": HI} | more)
    sent["headers"] |= headers or {}
    response = app.handler(sent, context())
    return response, b"".join(response.body)


def json_events(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(each.data) for each in sse.EventDecoder().feed(body) if each.data is not None]


@pytest.mark.parametrize("path", ["/v1/messages", "/messages", "/prod/v1/messages"])
def test_a_whole_answer_of_a_provider_that_speaks_chat(environment: FakeEnvironment, path: str) -> None:
    response, body = ask(path)
    answer = Message.model_validate_json(body)
    assert (response.status, answer.content[0].type, answer.stop_reason) == (200, "text", "end_turn")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 3)
    assert response.headers["x-vibe-deployment"] == "one/gpt-5"


def test_a_stream_of_a_provider_that_speaks_chat(environment: FakeEnvironment) -> None:
    response, body = ask(stream=True)
    assert [each["type"] for each in json_events(body)] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert response.heartbeat is not None
    assert response.heartbeat.payload == b'event: ping\ndata: {"type":"ping"}\n\n'


def test_a_provider_of_the_same_format_is_passed_through(environment: FakeEnvironment) -> None:
    chained(environment, member("one/claude-haiku-4-5", "messages"))
    raw = b"".join(messages.to_events(MESSAGE))
    environment.upstream.script["one"] = [streamed(raw)]
    _, body = ask(stream=True, headers={"anthropic-beta": "a,b", "X-Api-Key": "sk-master"}, context_management={})
    assert body == raw
    [(url, headers)] = environment.upstream.sent
    assert url == "https://one.example/v1/messages"
    assert (headers["x-api-key"], headers["anthropic-version"]) == ("sk-provider", "2023-06-01")
    assert headers["anthropic-beta"] == "a,b"
    assert "sk-master" not in headers.values()
    [(_, sent)] = environment.upstream.calls
    assert sent["context_management"] == {}


def test_a_provider_of_messages_answers_a_caller_of_chat(environment: FakeEnvironment) -> None:
    chained(environment, member("one/claude-haiku-4-5", "messages"))
    environment.upstream.script["one"] = [whole(MESSAGE)]
    sent = event("POST", "/v1/chat/completions", {"model": "auto-chat", "messages": HI})
    answer = json.loads(b"".join(app.handler(sent, context()).body))
    assert answer["choices"][0]["message"]["content"] == "Hello."
    assert answer["usage"]["prompt_tokens"] == 7


def test_a_fallback_crosses_formats_before_the_commit(environment: FakeEnvironment) -> None:
    chained(environment, member("one/claude-haiku-4-5", "messages"), member("two/glm-4.7", "chat"))
    cut = streamed(messages.event({"type": "message_start", "message": {}}), Failure(FailureKind.RESET))
    environment.upstream.script["one"] = [cut]
    response, body = ask(stream=True)
    assert json_events(body)[-1] == {"type": "message_stop"}
    assert environment.upstream.called == ["one", "two"]
    assert response.headers["x-vibe-deployment"] == "two/glm-4.7"


# --- Errors -----------------------------------------------------------------------------------------------------------

OPENINGS = {
    "messages": b"".join(tuple(messages.to_events(MESSAGE))[:3]),
    "chat": b"".join(STREAM[:2]),
    "responses": sse.encode(b'{"type":"response.created","response":{"id":"r","output":[]}}')
    + sse.encode(b'{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"Hi"}'),
}
OVERLOADED = {
    "messages": sse.encode(b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', b"error"),
    "chat": sse.encode(b'{"error":{"code":"ServerOverloaded","type":"TooManyRequests","message":"busy"}}'),
    "responses": sse.encode(b'{"type":"response.failed","response":{"error":{"code":"server_is_overloaded"}}}'),
}
LIMITED = {
    "messages": sse.encode(b'{"type":"error","error":{"type":"rate_limit_error","message":"Slow"}}', b"error"),
    "chat": sse.encode(b'{"error":{"code":"rate_limit_exceeded","message":"Slow"}}'),
    "responses": sse.encode(b'{"type":"error","code":"rate_limit_exceeded","message":"Slow"}'),
}
CALLERS: dict[str, tuple[str, dict[str, Any]]] = {
    "messages": ("/v1/messages", {"messages": HI, "max_tokens": 9}),
    "chat": ("/v1/chat/completions", {"messages": HI}),
    "responses": ("/v1/responses", {"input": "Hi"}),
}


@pytest.mark.parametrize("spoken", OPENINGS)
@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize(
    ("errors", "names"),
    [
        pytest.param(OVERLOADED, {"responses": "server_is_overloaded", "": "overloaded_error"}, id="overloaded"),
        pytest.param(LIMITED, {"responses": "rate_limit_exceeded", "": "rate_limit_error"}, id="rate limited"),
    ],
)
def test_an_error_in_the_stream_keeps_its_name_in_every_format(
    environment: FakeEnvironment, caller: str, spoken: str, errors: Any, names: Any
) -> None:
    chained(environment, member("one/m", spoken))
    environment.upstream.script["one"] = [streamed(OPENINGS[spoken], errors[spoken])]
    path, body = CALLERS[caller]
    sent = event("POST", path, {"model": "auto-chat", "stream": True, **body})
    last = json_events(b"".join(app.handler(sent, context()).body))[-1]
    error = last["response"]["error"] if "response" in last else last["error"]
    assert names.get(caller, names[""]) in (error.get("type"), error.get("code"))


@pytest.mark.parametrize(
    ("more", "status", "type_"),
    [
        ({"headers": {"Authorization": "Bearer sk-wrong"}}, 401, "authentication_error"),
        ({"model": "no-such"}, 404, "not_found_error"),
        ({"messages": []}, 400, "invalid_request_error"),
        ({"max_tokens": None}, 400, "invalid_request_error"),
    ],
)
def test_errors_are_in_anthropics_envelope(
    environment: FakeEnvironment, more: dict[str, Any], status: int, type_: str
) -> None:
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        if "max_tokens" in more and path.endswith("count_tokens"):
            continue
        response, body = ask(path, **more)
        error = json.loads(body)
        assert (response.status, error["type"], error["error"]["type"]) == (status, "error", type_)
        assert error["request_id"] == "request-1"
        assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("path", ["/v1/messages", "/messages/count_tokens"])
def test_a_wrong_method_is_in_anthropics_envelope(environment: FakeEnvironment, path: str) -> None:
    response = app.handler(event("GET", path), context())
    assert response.status == 405
    assert json.loads(b"".join(response.body))["type"] == "error"


def test_an_exhausted_chain_lists_each_attempt(environment: FakeEnvironment) -> None:
    chained(environment, member("one/claude-haiku-4-5", "messages"), member("two/glm-4.7", "chat"))
    environment.upstream.script |= {"one": [BUSY], "two": [refusal(429, {"error": {"message": "slow down"}})]}
    response, body = ask()
    error = json.loads(body)["error"]
    assert (response.status, error["type"], error["code"]) == (429, "rate_limit_error", "all_deployments_failed")
    assert [(each["deployment"], each["verdict"]) for each in error["attempts"]] == [
        ("one/claude-haiku-4-5", "transient"),
        ("two/glm-4.7", "rate_limited"),
    ]
    assert response.headers["retry-after"]
    assert "x-should-retry" not in response.headers


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, "transient"),
        ({"type": "rate_limit_error", "message": "Slow down"}, "rate_limited"),
        ({"type": "billing_error", "message": "Your credit balance is too low"}, "quota"),
        ({"type": "authentication_error", "message": "invalid x-api-key"}, "auth"),
        ({"type": "not_found_error", "message": "model: claude-0"}, "misconfigured"),
        ({"type": "api_error", "message": "Internal server error"}, "transient"),
    ],
)
def test_anthropics_errors_are_classified_before_and_in_a_stream(
    environment: FakeEnvironment, body: dict[str, str], verdict: str
) -> None:
    status = {"auth": 401, "quota": 402, "misconfigured": 404, "rate_limited": 429}.get(verdict, 500)
    envelope = {"type": "error", "error": body}
    chained(environment, member("one/claude-haiku-4-5", "messages"))
    for reply in (refusal(status, envelope), streamed(messages.event(envelope))):
        environment.table.items.clear()
        environment.upstream.script["one"] = [reply, *([reply] if verdict == "auth" else [])]
        _, answer = ask(stream=True)
        [attempt] = json.loads(answer)["error"]["attempts"]
        assert attempt["verdict"] == verdict


def test_an_invalid_request_gets_the_providers_message(environment: FakeEnvironment) -> None:
    chained(environment, member("one/claude-haiku-4-5", "messages"))
    details = {"type": "invalid_request_error", "message": "max_tokens: 99999 > 64000"}
    environment.upstream.script["one"] = [refusal(400, {"type": "error", "error": details})]
    response, body = ask()
    assert (response.status, json.loads(body)["error"]["type"]) == (400, "invalid_request_error")
    assert "99999" in json.loads(body)["error"]["message"]


@pytest.mark.parametrize("spoken", ["chat", "messages"])
def test_a_stream_that_breaks_after_the_commit_ends_in_an_error_event(
    environment: FakeEnvironment, spoken: str
) -> None:
    chained(environment, member("one/glm-4.7", spoken))
    begun = STREAM[:2] if spoken == "chat" else tuple(messages.to_events(MESSAGE))[:3]
    environment.upstream.script["one"] = [streamed(*begun, Failure(FailureKind.TIMEOUT))]
    _, body = ask(stream=True)
    *_, last = sse.EventDecoder().feed(body)
    assert last.name == b"error"
    assert json.loads(last.data or b"")["error"]["type"] == "api_error"
    assert b"message_stop" not in body


# --- Thinking ---------------------------------------------------------------------------------------------------------


def thought_before(signature: str) -> list[dict[str, Any]]:
    content = [{"type": "thinking", "thinking": "Hm", "signature": signature}, {"type": "text", "text": "Hello."}]
    return [*HI, {"role": "assistant", "content": content}, *HI]


def test_a_signature_is_sent_only_to_its_issuer(environment: FakeEnvironment) -> None:
    chained(environment, member("one/claude-haiku-4-5", "messages"), member("two/claude-haiku-4-5", "messages"))
    thoughtful = {**MESSAGE, "content": [{"type": "thinking", "thinking": "Hm", "signature": "s"}, *MESSAGE["content"]]}
    environment.upstream.script |= {"one": [whole(thoughtful), whole(MESSAGE), BUSY], "two": [whole(MESSAGE)]}
    ask()
    for _ in range(2):
        ask(messages=thought_before("s"))
    kinds = [[each["type"] for each in sent["messages"][1]["content"]] for _, sent in environment.upstream.calls[1:]]
    assert environment.upstream.called == ["one", "one", "one", "two"]
    assert kinds == [["thinking", "text"], ["thinking", "text"], ["text"]]


def test_a_rejected_signature_is_left_out_in_a_retry(environment: FakeEnvironment) -> None:
    chained(environment, member("one/claude-haiku-4-5", "messages"))
    details = {
        "type": "invalid_request_error",
        "message": "messages.1.content.0: Invalid `signature` in `thinking` block",
    }
    environment.upstream.script["one"] = [refusal(400, {"type": "error", "error": details}), whole(MESSAGE)]
    response, _ = ask(messages=thought_before("of-yesterday"))
    assert response.status == 200
    [(_, first), (_, second)] = environment.upstream.calls
    assert [each["type"] for each in first["messages"][1]["content"]] == ["thinking", "text"]
    assert [each["type"] for each in second["messages"][1]["content"]] == ["text"]


# --- Counting ---------------------------------------------------------------------------------------------------------


def count(**more: object) -> tuple[StreamingResponse, int]:
    body = {"model": "auto-chat", "messages": HI, **more}
    response = app.handler(event("POST", "/v1/messages/count_tokens", body), context())
    return response, json.loads(b"".join(response.body))["input_tokens"]


def test_tokens_are_counted_by_the_first_provider_of_messages(environment: FakeEnvironment) -> None:
    chained(environment, member("one/gpt-5", "chat"), member("two/claude-haiku-4-5", "messages"))
    environment.upstream.script["two"] = [whole({"input_tokens": 42})]
    response, tokens = count(system="Be brief.", max_tokens=100)
    assert (response.status, tokens, response.headers["x-vibe-deployment"]) == (200, 42, "two/claude-haiku-4-5")
    assert environment.upstream.calls == [
        ("two", {"model": "claude-haiku-4-5", "messages": HI, "system": "Be brief."}),
    ]
    assert environment.upstream.sent[0][0].endswith("/v1/messages/count_tokens")


def test_tokens_are_estimated_without_a_provider_of_messages(environment: FakeEnvironment) -> None:
    few, many = count()[1], count(messages=[{"role": "user", "content": "word " * 4000}])[1]
    assert 0 < few < 50
    assert 3000 < many < 8000
    assert environment.upstream.calls == []


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(refusal(404, {"error": "x"}), id="an error"),
        pytest.param(ScriptedReply(404, "text/plain", [b"no"]), id="a path that is not there"),
        pytest.param(Failure(FailureKind.TIMEOUT), id="silence"),
        pytest.param(whole({"tokens": 3}), id="another answer"),
        pytest.param(ScriptedReply(200, "text/html", [b"<html>"]), id="a page"),
    ],
)
def test_tokens_are_estimated_without_a_counter_and_without_a_cooldown(
    environment: FakeEnvironment, answer: Any
) -> None:
    chained(environment, member("one/claude-haiku-4-5", "messages"))
    environment.upstream.script["one"] = [answer, whole({"input_tokens": 42})]
    response, tokens = count()
    assert tokens > 0
    assert "x-vibe-deployment" not in response.headers
    assert environment.table.items == {}
    count()
    assert len(environment.upstream.calls) == 1, "it is not asked again at once"
    environment.elapsed += 61
    assert count()[1] == 42


def test_counting_tokens_requires_an_allowed_model(environment: FakeEnvironment) -> None:
    environment.models = {"other": virtual("other", "one/gpt-5")}
    response = app.handler(event("POST", "/v1/messages/count_tokens", {"model": "x", "messages": HI}), context())
    assert response.status == 404


def test_counting_tokens_counts_against_the_rate_limit(environment: FakeEnvironment) -> None:
    environment.callers.callers = {"sk-a": Caller(Key("a", "a", limits=Limits(rpm=1)))}
    sent = event("POST", "/v1/messages/count_tokens", {"model": "auto-chat", "messages": HI})
    sent["headers"] = {"x-api-key": "sk-a"}
    assert app.handler(sent, context()).status == 200
    response = app.handler(sent, context())
    assert (response.status, json.loads(b"".join(response.body))["error"]["type"]) == (429, "rate_limit_error")


@pytest.mark.parametrize("value", ["a\r\nx-api-key: b", "a\nb", "\x00", "\x7f", "\ud800", "a\x1fb", ""])
def test_a_header_that_no_request_can_carry_is_not_passed_on(environment: FakeEnvironment, value: str) -> None:
    chained(environment, member("one/claude-haiku-4-5", "messages"))
    environment.upstream.script["one"] = [whole(MESSAGE)]
    response, _ = ask(headers={"anthropic-beta": value, "anthropic-version": "2023-06-01"})
    assert response.status == 200
    [(_, sent)] = environment.upstream.sent
    assert "anthropic-beta" not in sent
    assert sent["anthropic-version"] == "2023-06-01"

"""POST /chat/completions through the handler: what the caller gets, and what is written down afterwards."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway import app
from streaming_runtime import StreamingResponse
from tests.unit.gateway.fake_environment import (
    COMPLETION,
    STREAM,
    FakeEnvironment,
    ScriptedReply,
    chat_event,
    context,
    event,
    refusal,
    sent_events,
    streamed,
    virtual,
    whole,
)
from vibe_router.routing.cooldown import Phase, State
from vibe_router.routing.verdict import Failure, FailureKind, Verdict

Lines = Callable[[], list[dict[str, Any]]]

UNAVAILABLE = refusal(503, {"error": {"message": "busy", "type": "server_error"}})
BAD_KEY = refusal(401, {"error": {"message": "Invalid API key sk-provider", "code": "invalid_api_key"}})
BAD_REQUEST = refusal(400, {"error": {"message": "temperature is too hot", "param": "temperature"}})


def ask(**more: object) -> tuple[StreamingResponse, bytes, Callable[[], None]]:
    """Ask the handler; return its answer, the whole payload, and what it left for after the response."""
    invocation = context()
    response = app.handler(chat_event(**more), invocation)
    return response, b"".join(response.body), invocation.run_work


def test_a_whole_answer_and_its_headers(environment: FakeEnvironment) -> None:
    response, body, _ = ask()
    assert response.status == 200
    assert json.loads(body) == COMPLETION
    assert {name: value for name, value in response.headers.items() if name.startswith("x-vibe-")} == {
        "x-vibe-request-id": "request-1",
        "x-vibe-model": "auto-chat",
        "x-vibe-deployment": "one/gpt-5",
        "x-vibe-attempts": "1",
        "x-vibe-fallbacks": "0",
    }


def test_a_stream_has_no_usage_unless_requested(environment: FakeEnvironment) -> None:
    response, body, _ = ask(stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.heartbeat is not None
    assert body == b"".join(piece for piece in STREAM if b"usage" not in piece)


def test_a_failover_shows_only_in_the_headers(environment: FakeEnvironment) -> None:
    environment.upstream.script["one"] = [UNAVAILABLE]
    response, body, _ = ask(stream=True)
    assert response.status == 200
    assert list(sent_events(body))[-1] == b"[DONE]"
    assert response.headers["x-vibe-deployment"] == "two/glm-4.7"
    assert (response.headers["x-vibe-attempts"], response.headers["x-vibe-fallbacks"]) == ("2", "1")


def test_a_cooling_deployment_is_skipped_and_counts_as_a_fallback(environment: FakeEnvironment) -> None:
    ask()
    environment.upstream.script["one"] = [UNAVAILABLE]
    ask()
    environment.upstream.calls.clear()
    response, _, _ = ask()
    assert environment.upstream.called == ["two"]
    assert (response.headers["x-vibe-attempts"], response.headers["x-vibe-fallbacks"]) == ("1", "1")


def test_a_providers_own_reason_reaches_the_caller(environment: FakeEnvironment) -> None:
    environment.upstream.script = {"one": [BAD_REQUEST], "two": [BAD_REQUEST]}
    response, body, _ = ask()
    error = json.loads(body)["error"]
    assert response.status == 400
    assert (error["message"], error["param"]) == ("temperature is too hot", "temperature")
    assert environment.upstream.called == ["one", "two"]


def test_an_exhausted_chain_lists_each_attempt_and_no_secret(environment: FakeEnvironment) -> None:
    environment.upstream.script = {"one": [BAD_KEY], "two": [UNAVAILABLE]}
    response, body, _ = ask()
    error = json.loads(body)["error"]
    assert (response.status, error["code"]) == (502, "all_deployments_failed")
    assert error["attempts"] == [
        {"deployment": "one/gpt-5", "verdict": "auth", "status": 401},
        {"deployment": "two/glm-4.7", "verdict": "transient", "status": 503},
    ]
    assert b"sk-provider" not in body


def test_limits_at_every_deployment_are_a_429_with_retry_after(environment: FakeEnvironment) -> None:
    limited = refusal(429, {"error": {"message": "slow down", "code": "rate_limit_exceeded"}})
    environment.upstream.script = {"one": [limited], "two": [limited]}
    response, _, _ = ask()
    assert response.status == 429
    assert int(response.headers["retry-after"]) >= 1


def test_an_unknown_model_is_a_404_that_names_the_others(environment: FakeEnvironment) -> None:
    response, body, _ = ask(model="gpt-9")
    error = json.loads(body)["error"]
    assert (response.status, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert "auto-chat" in error["message"]
    assert environment.upstream.calls == []


@pytest.mark.parametrize(
    "name", ["ü\r\nx: y", "\ud800", "x" * 100_000], ids=["a line break", "half a pair", "very long"]
)
def test_any_model_name_leaves_headers_and_log_valid(environment: FakeEnvironment, lines: Lines, name: str) -> None:
    response, _, settle = ask(model=name)
    settle()
    assert response.status == 404
    assert "x-vibe-model" not in response.headers
    [line] = lines()
    assert len(line["selected_model"]) <= 200


# --- After the commit -------------------------------------------------------------------------------------------------


def test_a_broken_stream_ends_in_an_error_and_cools_its_deployment(environment: FakeEnvironment, lines: Lines) -> None:
    broken = Failure(FailureKind.NOT_A_COMPLETION, detail="the answer broke off (ReadError)")
    environment.upstream.script["one"] = [streamed(*STREAM[:2], broken)]
    response, body, settle = ask(stream=True)
    settle()
    assert response.status == 200
    assert json.loads(list(sent_events(body))[-1])["error"]["code"] == "stream_truncated"
    state = environment.table.items["deployment#one/gpt-5"]
    assert (state.phase(environment.now), state.verdict) == (Phase.COOLING, Verdict.TRANSIENT)
    [line] = lines()
    assert (line["status"], line["error"]) == (200, "stream_truncated")
    assert [attempt["verdict"] for attempt in line["attempts"]] == ["transient"]


def test_a_stream_beyond_the_deadline_ends_in_an_error_without_cooldown(
    environment: FakeEnvironment, lines: Lines
) -> None:
    silence = Failure(FailureKind.TIMEOUT, detail="the answer fell silent")
    environment.upstream.script["one"] = [streamed(*STREAM[:2], silence)]
    invocation = context()
    response = app.handler(chat_event(stream=True), invocation)
    environment.elapsed += 840
    body = b"".join(response.body)
    invocation.run_work()
    error = json.loads(list(sent_events(body))[-1])["error"]
    assert error["code"] == "deadline_exceeded"
    assert b"[DONE]" not in body
    assert environment.table.items == {}, "it was healthy to the end"
    [line] = lines()
    assert (line["error"], line["attempts"][0]["verdict"]) == ("deadline_exceeded", "ok")


def test_a_stalled_stream_cools_its_deployment(environment: FakeEnvironment) -> None:
    environment.upstream.script["one"] = [streamed(*STREAM[:2], Failure(FailureKind.TIMEOUT, detail="fell silent"))]
    _, body, settle = ask(stream=True)
    settle()
    assert json.loads(list(sent_events(body))[-1])["error"]["code"] == "stream_stalled"
    assert environment.table.items["deployment#one/gpt-5"].phase(environment.now) is Phase.COOLING


# --- What is written down ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_request_logs_one_decision(environment: FakeEnvironment, lines: Lines, stream: bool) -> None:
    environment.upstream.script["one"] = [UNAVAILABLE]
    _, _, settle = ask(stream=stream)
    assert lines() == [], "not before the caller has the answer"
    settle()
    [line] = lines()
    assert (line["message"], line["service"]) == ("ROUTING DECISION", "VIBE-ROUTER")
    assert (line["request_id"], line["selected_model"]) == ("request-1", "auto-chat")
    assert (line["routing_mode"], line["status"], line["stream"]) == ("manual_selection", 200, stream)
    assert (line["deployment"], line["prompt_tokens"], line["completion_tokens"]) == ("two/glm-4.7", 7, 3)
    first, second = line["attempts"]
    assert (first["deployment"], first["verdict"], first["status"]) == ("one/gpt-5", "transient", 503)
    assert first["cooldown_until"].startswith("2027-01-15T08:00:05")
    assert (second["deployment"], second["verdict"], second["cooldown_until"]) == ("two/glm-4.7", "ok", None)
    assert "Say hello" not in json.dumps(line)
    assert "Hello." not in json.dumps(line)


@pytest.mark.parametrize(
    ("more", "status", "error"),
    [
        pytest.param({"model": "gpt-9"}, 404, "model_not_found", id="an unknown model"),
        pytest.param({"messages": []}, 400, "invalid_request_error", id="a bad request"),
    ],
)
def test_a_rejected_request_logs_one_decision(
    environment: FakeEnvironment, lines: Lines, more: dict[str, object], status: int, error: str
) -> None:
    _, _, settle = ask(**more)
    settle()
    [line] = lines()
    assert (line["status"], line["error"], line["attempts"]) == (status, error, [])


def unforeseen(*_: object) -> None:
    raise RuntimeError("the prompt was: Say hello.")


def test_an_unexpected_failure_logs_one_decision(
    environment: FakeEnvironment, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment.failover, "execute", unforeseen)
    _, _, settle = ask()
    settle()
    fault, line = lines()
    assert fault["message"] == "FAULT"
    assert (line["message"], line["status"], line["error"]) == ("ROUTING DECISION", 500, "internal_error")


def test_an_answer_that_the_router_cannot_read_fails_over(environment: FakeEnvironment, lines: Lines) -> None:
    environment.upstream.script["one"] = [RuntimeError("the prompt was: Say hello.")]
    response, _, settle = ask()
    settle()
    assert response.status == 200
    fault, line = lines()
    assert (fault["message"], fault["where"], fault["fault"]) == ("FAULT", "attempt", "RuntimeError")
    assert "Say hello" not in json.dumps(fault)
    assert line["attempts"][0]["verdict"] == "transient"


class Exploding(ScriptedReply):
    def close(self) -> None:
        raise RuntimeError("the socket is gone")


def test_a_request_is_logged_even_if_closing_the_stream_fails(environment: FakeEnvironment, lines: Lines) -> None:
    environment.upstream.script["one"] = [Exploding(200, "text/event-stream", STREAM[:3])]
    _, body, settle = ask(stream=True)
    settle()
    assert list(sent_events(body))[-1] == b"[DONE]"
    assert [line["message"] for line in lines()] == ["FAULT", "ROUTING DECISION"]


@pytest.mark.parametrize(
    ("pieces", "kept"),
    [pytest.param(STREAM, True, id="a whole stream"), pytest.param(STREAM[:3], True, id="one without DONE")],
)
def test_the_providers_connection_is_reused_after_the_answer(
    environment: FakeEnvironment, pieces: tuple[bytes, ...], kept: bool
) -> None:
    reply = streamed(*pieces)
    environment.upstream.script["one"] = [reply]
    _, _, settle = ask(stream=True)
    assert not reply.closed
    settle()
    assert reply.closed


# --- Keys and leases that several deployments of a chain share --------------------------------------------------------


def test_a_rejected_provider_key_is_not_sent_again_in_the_same_chain(environment: FakeEnvironment) -> None:
    environment.models["auto-chat"] = virtual("auto-chat", "one/a", "one/b", "two/c")
    environment.upstream.script["one"] = [BAD_KEY]
    response, _, _ = ask()
    assert environment.upstream.called == ["one", "two"]
    assert (response.headers["x-vibe-attempts"], response.headers["x-vibe-fallbacks"]) == ("2", "2")


def test_a_deployments_failure_does_not_skip_others_of_its_provider(environment: FakeEnvironment) -> None:
    environment.models["auto-chat"] = virtual("auto-chat", "one/a", "one/b", "two/c")
    environment.upstream.script["one"] = [UNAVAILABLE, whole()]
    response, _, _ = ask()
    assert response.headers["x-vibe-deployment"] == "one/b"


def test_a_failed_probe_of_a_credential_goes_on_with_its_next_deployment(environment: FakeEnvironment) -> None:
    environment.models["auto-chat"] = virtual("auto-chat", "one/a", "one/b", "two/c")
    due = State("credential#one", version=1, until=environment.now - 1, verdict=Verdict.AUTH, strikes=1)
    environment.table.items[due.id] = due
    environment.upstream.script["one"] = [UNAVAILABLE, streamed()]
    response, _, _ = ask()
    assert response.headers["x-vibe-deployment"] == "one/b"
    assert environment.table.items[due.id].phase(environment.now) is Phase.HEALTHY


@pytest.mark.parametrize(
    ("meanwhile", "called"),
    [
        pytest.param({"until": 0.0, "verdict": None}, ["one"], id="healed it: it serves"),
        pytest.param({"lease_until": 1_800_000_020.0}, ["two"], id="is probing: it is left alone"),
        pytest.param({"until": 1_800_000_020.0}, ["two"], id="found it down: it is left alone"),
    ],
)
def test_a_lost_lease_when_another_request(
    environment: FakeEnvironment, monkeypatch: pytest.MonkeyPatch, meanwhile: dict[str, Any], called: list[str]
) -> None:
    due = State("deployment#one/gpt-5", version=1, until=environment.now - 1, verdict=Verdict.TRANSIENT, strikes=1)
    environment.table.items[due.id] = replace(due, version=2, **meanwhile)
    monkeypatch.setattr(environment.table, "read", lambda ids: {each: due for each in ids if each == due.id})
    response, _, _ = ask()
    assert response.status == 200
    assert environment.upstream.called == called


def test_a_model_name_with_unusual_characters_is_left_out_of_the_headers(environment: FakeEnvironment) -> None:
    response, _, _ = ask(model="auto codex/ü")
    assert response.status == 200
    assert "x-vibe-model" not in response.headers


def test_a_number_too_large_for_a_float_is_a_400(environment: FakeEnvironment) -> None:
    body = '{"model":"auto-chat","messages":[{"role":"user"}],"x":1e999}'
    response = app.handler(event("POST", "/v1/chat/completions", body), context())
    assert response.status == 400
    assert environment.table.items == {}

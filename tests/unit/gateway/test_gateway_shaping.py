"""Shaped requests: the provider's body, the caller's headers, and the log line."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gateway.app import handler
from tests.unit.gateway.fake_environment import FakeEnvironment, chat_event, context, deployment, event, refusal, whole
from vibe_router.core.models import BetaShape, RequestShape, VirtualModel

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": "Hi."}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 2},
}


def _chain(environment: FakeEnvironment, shape: RequestShape, format_: str = "chat") -> None:
    one = deployment("one/gpt-5")
    one = replace(one, formats=(format_,), policy=replace(one.policy, shape=shape))
    environment.models["auto-chat"] = VirtualModel("auto-chat", "", ((one,), (deployment("two/glm-4.7"),)))


def test_dropped_parameters_are_reported(
    environment: FakeEnvironment, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    _chain(environment, RequestShape(drop_params=True), "messages")
    environment.upstream.script["one"] = [whole(MESSAGE)]
    asked = context()
    answer = handler(chat_event(seed=7), asked)
    assert answer.headers["x-vibe-deployment"] == "one/gpt-5"
    assert answer.headers["x-vibe-dropped-params"] == "seed"
    b"".join(answer.body)
    asked.run_work()
    assert lines()[-1]["dropped_params"] == ["seed"]
    assert environment.books.booked[-1].dropped_params == ("seed",)


def test_a_rejected_beta_flag_is_dropped_by_rule(environment: FakeEnvironment) -> None:
    _chain(environment, RequestShape(betas=BetaShape(drop_rejected=True)), "messages")
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "Unexpected value(s) `new-9`."}}
    message = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": "Hi."}],
        "stop_reason": "end_turn",
    }
    environment.upstream.script["one"] = [refusal(400, error), whole(message)]
    body = {"model": "auto-chat", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi."}]}
    sent = event("POST", "/v1/messages", body)
    sent["headers"]["anthropic-beta"] = "old-1,new-9"
    answer = handler(sent, context())
    assert answer.headers["x-vibe-deployment"] == "one/gpt-5"
    assert answer.headers["x-vibe-dropped-params"] == "new-9"
    flags = [headers.get("anthropic-beta") for _, headers in environment.upstream.sent]
    assert flags == ["old-1,new-9", "old-1"]


def test_each_attempt_is_shaped_separately(environment: FakeEnvironment) -> None:
    _chain(environment, RequestShape(set={"temperature": 0.1}, forward_headers=("x-session-id",)))
    environment.upstream.script["one"] = [refusal(503, {})]
    sent = chat_event(temperature=0.9)
    sent["headers"]["X-Session-Id"] = "s-1"
    handler(sent, context())
    assert [body["temperature"] for _, body in environment.upstream.calls] == [0.1, 0.9]
    assert [headers.get("x-session-id") for _, headers in environment.upstream.sent] == ["s-1", None]


def test_dropped_parameters_of_any_name_are_no_fault(environment: FakeEnvironment) -> None:
    _chain(environment, RequestShape(drop_params=True), "messages")
    names = ["a\r\nx-injected: 1", "ü", "\ud800", "x" * 10_000, "plain"]
    environment.upstream.script["one"] = [whole(MESSAGE)]
    asked = context()
    answer = handler(chat_event(**dict.fromkeys(names, 1)), asked)
    assert answer.status == 200
    assert answer.headers["x-vibe-dropped-params"] == f"?, {'x' * 200}, plain"
    asked.run_work()
    assert [len(each) for each in environment.books.booked[-1].dropped_params] == [16, 1, 1, 200, 5]


def test_many_unknown_parameters_are_refused_instead_of_dropped_one_by_one(environment: FakeEnvironment) -> None:
    _chain(environment, RequestShape(drop_params=True), "messages")
    environment.models["auto-chat"] = VirtualModel("auto-chat", "", environment.models["auto-chat"].steps[:1])
    answer = handler(chat_event(**{f"x{number}": 1 for number in range(100)}), context())
    assert answer.status == 400

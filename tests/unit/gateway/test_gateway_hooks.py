"""Hooks of an operator's module, through the handler: every format, failures, limits, and LiteLLM's handlers."""

import json
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from gateway import app
from tests.unit.gateway.fake_environment import FakeEnvironment, chat_event, context, event, refusal
from vibe_router.hooks import HookAttempt, HookRequest
from vibe_router.hooks.litellm import before_request_of
from vibe_router.hooks.runner import hooks_of

SECRET = "the-code-name"
SAID = f"Tell me about {SECRET}."
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"model": "auto-chat", "messages": [{"role": "user", "content": SAID}]}),
    "chat, parts": (
        "/v1/chat/completions",
        {"model": "auto-chat", "messages": [{"role": "user", "content": [{"type": "text", "text": SAID}]}]},
    ),
    "completions": ("/v1/completions", {"model": "auto-chat", "prompt": SAID}),
    "messages": (
        "/v1/messages",
        {"model": "auto-chat", "max_tokens": 9, "system": SAID, "messages": [{"role": "user", "content": SAID}]},
    ),
    "responses": ("/v1/responses", {"model": "auto-chat", "instructions": SAID, "input": SAID, "store": False}),
    "responses, items": (
        "/v1/responses",
        {
            "model": "auto-chat",
            "store": False,
            "input": [{"role": "user", "content": [{"type": "input_text", "text": SAID}]}],
        },
    ),
    "gemini": ("/v1beta/models/auto-chat:generateContent", {"contents": [{"role": "user", "parts": [{"text": SAID}]}]}),
}


def module(**hooks: Any) -> SimpleNamespace:
    return SimpleNamespace(**hooks)


def send(proxy_event: dict[str, Any]) -> tuple[int, Any]:
    """Send an event; return the status and the answer's JSON, after what is done once the answer has gone."""
    invocation = context()
    response = app.handler(proxy_event, invocation)
    body = b"".join(response.body)
    invocation.run_work()
    return response.status, json.loads(body)


@pytest.mark.parametrize("name", BODIES)
def test_texts_are_replaced_in_every_format(environment: FakeEnvironment, name: str) -> None:
    seen: list[HookRequest] = []

    def before_request(request: HookRequest) -> None:
        seen.append(request)
        request.replace_texts(lambda text: text.replace(SECRET, "it"))

    environment.use_hooks(module(before_request=before_request))
    path, body = BODIES[name]
    status, answer = send(event("POST", path, body))
    assert status == 200, answer
    assert len(seen) == 1
    assert {text for _, text in seen[0].messages} == {"Tell me about it."}
    ((_, sent),) = environment.upstream.calls
    assert SECRET not in json.dumps(sent)
    assert "Tell me about it." in json.dumps(sent)


def test_tool_results_and_arguments_are_texts_and_ids_and_pictures_are_not(environment: FakeEnvironment) -> None:
    texts: list[str] = []
    environment.use_hooks(module(before_request=lambda request: texts.extend(text for _, text in request.messages)))
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "x"}'}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "a cat"},
    ]
    assert send(event("POST", "/v1/chat/completions", {"model": "auto-chat", "messages": messages}))[0] == 200
    assert texts == ["What is this?", '{"at": "x"}', "a cat"]
    texts.clear()
    blocks = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "look", "input": {"at": "x"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "a cat"}]},
    ]
    send(event("POST", "/v1/messages", {"model": "auto-chat", "max_tokens": 9, "messages": blocks}))
    assert texts == ["Look.", "x", "a cat"]


def test_a_request_that_no_hook_changes_is_sent_as_it_came(environment: FakeEnvironment) -> None:
    send(chat_event())
    environment.use_hooks(module(before_request=lambda request: request.messages, before_attempt=lambda attempt: None))
    send(chat_event())
    first, second = environment.upstream.calls
    assert first == second


def test_a_rejection_reaches_the_caller_in_its_format(environment: FakeEnvironment) -> None:
    environment.use_hooks(module(before_request=lambda request: request.reject("Not at night.", 403, "night")))
    status, answer = send(chat_event())
    assert (status, answer["error"]["message"], answer["error"]["code"]) == (403, "Not at night.", "night")
    path, body = BODIES["messages"]
    status, answer = send(event("POST", path, body))
    assert (status, answer["type"], answer["error"]["message"]) == (403, "error", "Not at night.")
    assert environment.upstream.calls == []
    assert [record.error for record in environment.books.booked] == ["night", "night"]


def test_another_model_is_routed_if_the_key_may_use_it(environment: FakeEnvironment) -> None:
    def before_request(request: HookRequest) -> None:
        request.model = "auto codex/ü"

    environment.use_hooks(module(before_request=before_request))
    assert send(chat_event())[0] == 200
    assert environment.upstream.called == ["two"]

    def unknown(request: HookRequest) -> None:
        request.model = "no-such-model"

    environment.use_hooks(module(before_request=unknown))
    assert send(chat_event())[0] == 404


def test_an_attempt_is_changed_for_each_deployment(environment: FakeEnvironment) -> None:
    seen: list[str] = []

    def before_attempt(attempt: HookAttempt) -> None:
        seen.append(attempt.deployment)
        attempt.headers["X-Team"] = attempt.provider
        attempt.headers["authorization"] = "Bearer of the hook"
        attempt.body["temperature"] = 0.5
        del attempt.body["top_p"]

    environment.use_hooks(module(before_attempt=before_attempt))
    environment.upstream.script["one"] = [refusal(503, {"error": {"message": "busy"}})]
    assert send(chat_event(top_p=1))[0] == 200
    assert seen == ["one/gpt-5", "two/glm-4.7"]
    assert [sent.get("temperature") for _, sent in environment.upstream.calls] == [0.5, 0.5]
    assert all("top_p" not in sent for _, sent in environment.upstream.calls)
    assert [headers["x-team"] for _, headers in environment.upstream.sent] == ["one", "two"]
    assert all(headers["authorization"] == "Bearer sk-provider" for _, headers in environment.upstream.sent)


def test_a_skipped_deployment_is_not_called(environment: FakeEnvironment) -> None:
    def before_attempt(attempt: HookAttempt) -> None:
        if attempt.provider == "one":
            attempt.skip("it is on holiday")

    environment.use_hooks(module(before_attempt=before_attempt))
    assert send(chat_event())[0] == 200
    assert environment.upstream.called == ["two"]
    assert environment.books.booked[0].unfit[0]["code"] == "skipped_by_hook"


def failing(argument: object) -> None:
    raise ValueError(f"a canary {argument}")


@pytest.mark.parametrize(
    ("hook", "on_error", "status", "called"),
    [
        ("before_request", None, 500, []),
        ("before_request", "continue", 200, ["one"]),
        ("before_attempt", None, 400, []),
        ("before_attempt", "continue", 200, ["one"]),
        ("before_attempt", "reject", 500, []),
    ],
)
def test_a_failing_hook_rejects_skips_or_is_passed_over(
    environment: FakeEnvironment,
    caplog: pytest.LogCaptureFixture,
    hook: str,
    on_error: str | None,
    status: int,
    called: list[str],
) -> None:
    environment.use_hooks(module(**{hook: failing}, on_error={hook: on_error} if on_error else {}))
    given, answer = send(chat_event())
    assert (given, environment.upstream.called) == (status, called), answer
    assert "HOOK FAILED" in caplog.messages
    assert "canary" not in caplog.text + json.dumps(answer)


def test_a_hook_that_hangs_costs_its_limit_and_changes_nothing(environment: FakeEnvironment) -> None:
    ended = threading.Event()

    def before_request(request: HookRequest) -> None:
        request.body["messages"] = []
        ended.wait(30)

    environment.use_hooks(
        module(before_request=before_request, on_error={"before_request": "continue"}, seconds={"before_request": 0.05})
    )
    try:
        assert send(chat_event())[0] == 200
        assert environment.upstream.calls[0][1]["messages"] != []
    finally:
        ended.set()


@pytest.mark.parametrize("change", [lambda body: body.clear(), lambda body: body.update(messages="no list")])
def test_an_invalid_body_is_the_hooks_fault(
    environment: FakeEnvironment, change: Callable[[dict[str, Any]], None]
) -> None:
    environment.use_hooks(module(before_request=lambda request: change(request.body)))
    status, answer = send(chat_event())
    assert (status, answer["error"]["code"]) == (500, "hook_failed")


def test_a_module_that_cannot_be_loaded_is_reported(environment: FakeEnvironment) -> None:
    environment.use_hooks(module(before_request="no function"))
    status, answer = send(chat_event())
    assert (status, answer["error"]["code"]) == (500, "hook_failed")


@pytest.mark.parametrize(
    "settings",
    [{"on_error": {"before_request": "ignore"}}, {"on_error": {"before": "skip"}}, {"seconds": {"after_answer": 0}}],
)
def test_wrong_settings_are_rejected(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must map a hook"):
        hooks_of(module(**settings))


def test_hooks_see_no_credentials(environment: FakeEnvironment) -> None:
    seen: list[HookRequest] = []
    environment.use_hooks(module(before_request=seen.append))
    sent = chat_event()
    sent["headers"] |= {"x-api-key": "sk-other", "Cookie": "a=b", "X-Trace": "1"}
    send(sent)
    assert seen[0].headers.keys() >= {"x-trace"}
    assert not seen[0].headers.keys() & {"authorization", "x-api-key", "cookie"}


class LiteLLMHandler:
    """A handler as LiteLLM documents it, unmodified."""

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: str
    ) -> Any:
        if user_api_key_dict.key_alias == "blocked":
            return "This key is blocked."
        await cache.async_set_cache("calls", 1)
        assert call_type == "completion"
        data["temperature"] = 0.25
        data["model"] = "auto codex/ü"
        return data


def test_a_handler_of_litellm_runs_unmodified(environment: FakeEnvironment) -> None:
    environment.use_hooks(module(before_request=before_request_of(LiteLLMHandler())))
    assert send(chat_event())[0] == 200
    ((provider, sent),) = environment.upstream.calls
    assert (provider, sent["temperature"]) == ("two", 0.25)
    assert "metadata" not in sent


def test_a_text_and_an_http_exception_of_litellm_reject(environment: FakeEnvironment) -> None:
    class HTTPException(Exception):  # noqa: N818 - the name that FastAPI gives it
        status_code, detail = 429, "Slowly."

    class Handler:
        answer: object = "No."

        async def async_pre_call_hook(self, *_: object) -> object:
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

    handler = Handler()
    environment.use_hooks(module(before_request=before_request_of(handler)))
    assert send(chat_event())[1]["error"]["message"] == "No."
    handler.answer = HTTPException()
    status, answer = send(chat_event())
    assert (status, answer["error"]["message"]) == (429, "Slowly.")

"""What guards find and mask in requests of every format, and that it takes time proportional to the text."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vibe_router.core.errors import ApiError
from vibe_router.core.models import Guard
from vibe_router.guards.inspection import Blocked, Inspection, redact_answer, redact_texts
from vibe_router.guards.masking import Masker
from vibe_router.guards.texts import Place, rewrite_texts, texts_of

ALL = ("secrets", "emails", "phones", "cards")
MAIL = "jane@example.com"
CHAT = {
    "messages": [
        {"role": "system", "content": "prompt 1"},
        {"role": "user", "content": [{"type": "text", "text": "prompt 2"}, {"type": "image_url", "image_url": "no"}]},
        {
            "role": "assistant",
            "reasoning_content": "prompt 3",
            "tool_calls": [{"id": "no", "function": {"name": "no", "arguments": '{"a": ["argument 1"], "n": 1}'}}],
        },
        {"role": "tool", "tool_call_id": "no", "content": "result 1"},
    ],
    "user": "no",
}
MESSAGES = {
    "system": [{"type": "text", "text": "prompt 1"}],
    "messages": [
        {"role": "user", "content": [{"type": "document", "source": {"type": "text", "data": "prompt 2"}}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "prompt 3", "signature": "no"},
            {"type": "tool_use", "id": "no", "name": "no", "input": {"a": {"b": "argument 1"}}},
        ]},
        {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": "result 1"}]}]},
    ],
}  # fmt: skip
RESPONSES = {
    "instructions": "prompt 1",
    "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "prompt 2"}]},
        {"type": "reasoning", "encrypted_content": "no", "summary": [{"type": "summary_text", "text": "prompt 3"}]},
        {"type": "function_call", "call_id": "no", "name": "no", "arguments": '{"a": "argument 1"}'},
        {"type": "function_call_output", "call_id": "no", "output": "result 1"},
    ],
}  # fmt: skip
GEMINI = {
    "systemInstruction": {"parts": [{"text": "prompt 1"}]},
    "contents": [
        {"role": "user", "parts": [{"text": "prompt 2"}, {"inlineData": {"data": "no"}}]},
        {"role": "model", "parts": [{"text": "prompt 3", "thought": True}]},
        {"role": "model", "parts": [{"functionCall": {"name": "no", "args": {"a": "argument 1"}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "no", "response": {"b": "result 1"}}}]},
    ],
}
CONVERSATIONS: dict[str, dict[str, Any]] = {
    "chat": CHAT,
    "messages": MESSAGES,
    "responses": RESPONSES,
    "gemini": GEMINI,
}


def guard(action: str = "mask", *, kinds: tuple[str, ...] = ALL, **more: Any) -> Guard:
    return Guard("g", kinds, action=action, **more)


def inspected(text: str, *guards: Guard, place: Place = "prompts") -> tuple[str, Inspection]:
    inspection = Inspection(guards, Masker(lambda _: False))
    return inspection.change(text, place), inspection


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_texts_have_their_place_in_every_conversation(name: str) -> None:
    found: list[tuple[str, str]] = []

    def note(text: str, place: Place, _field: str) -> str:
        found.append((text, place))
        return text

    body = CONVERSATIONS[name]
    assert rewrite_texts(name, body, note) is body
    assert sorted(found) == [
        ("argument 1", "tool_arguments"),
        *((f"prompt {number}", "prompts") for number in (1, 2, 3)),
        ("result 1", "tool_results"),
    ]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("completions", {"prompt": ["x"], "suffix": "x"}),
        ("embeddings", {"input": ["x", "x"]}),
        ("moderations", {"input": [{"type": "text", "text": "x"}]}),
        ("images", {"prompt": "x"}),
        ("image_edits", {"prompt": "x"}),
        ("transcriptions", {"prompt": "x"}),
        ("speech", {"input": "x", "instructions": "x"}),
        ("rerank", {"query": "x", "documents": ["x", {"text": "x"}]}),
    ],
)
def test_texts_of_other_formats(name: str, body: dict[str, Any]) -> None:
    assert set(texts_of(name, body)) == {"x"}
    changed = rewrite_texts(name, body, lambda *_: "y")
    assert json.dumps(changed).count('"y"') == json.dumps(body).count('"x"')


def test_a_deeply_nested_body_is_refused() -> None:
    body: dict[str, Any] = {}
    for _ in range(2000):
        body = {"content": [body]}
    with pytest.raises(ApiError) as caught:
        rewrite_texts("chat", {"messages": [body]}, lambda text, *_: text)
    assert caught.value.status == 400


def test_a_value_has_one_placeholder_also_in_tool_arguments() -> None:
    body = {
        "messages": [
            {"role": "user", "content": f"{MAIL} or joe@example.org"},
            {"role": "assistant", "tool_calls": [{"function": {"arguments": json.dumps({"to": MAIL})}}]},
        ]
    }
    masked = redact_texts("chat", body, [guard("report", places=())])
    assert masked["messages"][0]["content"] == "[EMAIL_1] or [EMAIL_2]"
    assert json.loads(masked["messages"][1]["tool_calls"][0]["function"]["arguments"]) == {"to": "[EMAIL_1]"}


def test_a_secret_in_arguments_is_known_by_its_field() -> None:
    inspection = Inspection([guard()], Masker(lambda _: False))
    body = rewrite_texts("gemini", {"contents": [{"parts": [{"functionCall": {"args": {"password": "hunter2"}}}]}]},
                         inspection.change)  # fmt: skip
    assert body["contents"][0]["parts"][0]["functionCall"]["args"] == {"password": "[SECRET_1]"}


def test_the_strongest_action_wins_and_findings_are_counted_once() -> None:
    text, inspection = inspected(f"{MAIL}, {MAIL}", guard("report"), guard("mask", kinds=("emails",)))
    assert (text, inspection.counts, inspection.blocked) == ("[EMAIL_1], [EMAIL_1]", {"emails": 2}, None)
    _, inspection = inspected(MAIL, guard("mask"), guard("block", kinds=("emails",)))
    assert inspection.blocked == Blocked("g", "emails")


def test_a_guard_looks_only_at_its_places() -> None:
    text, inspection = inspected(MAIL, guard(places=("tool_results",)))
    assert (text, inspection.counts) == (MAIL, {})


def test_own_patterns_have_their_name() -> None:
    text, inspection = inspected("see ACME-123456", guard(kinds=(), patterns=(("tickets", "ACME-[0-9]{6}"),)))
    assert (text, inspection.counts) == ("see [TICKETS_1]", {"tickets": 1})


def test_overlapping_findings_are_masked_together() -> None:
    text, _ = inspected(f"token = 'a1{MAIL}'", guard())
    assert text == "token = '[SECRET_1]'"


def test_placeholders_of_the_caller_are_left_alone() -> None:
    masker = Masker(lambda placeholder: placeholder in "[EMAIL_1] [EMAIL_2]")
    assert masker.placeholder("emails", MAIL) == "[EMAIL_3]"


@pytest.mark.parametrize(
    "piece",
    ["1 ", "a@", "a.b@c.", "=eyJ", "whsec_//", "-----BEGIN PRIVATE KEY-----!", 'password="', "token=", "x://a:", "+1 ",
     "(01) 23 ", "4111 ", "//glpat-", "phone: 1", "key is \\'", "AKIA", "中文电话"],
)  # fmt: skip
def test_the_time_grows_with_the_text(piece: str) -> None:
    guards = [guard()]

    def seconds(count: int) -> float:
        body = {"messages": [{"role": "user", "content": piece * (count // len(piece))}]}
        started = time.process_time()
        redact_texts("chat", body, guards)
        return time.process_time() - started

    seconds(1000)
    # The fastest of three: a collection of all garbage of a long test run may fall into any of them.
    first, fourth = (min(seconds(count) for _ in range(3)) for count in (20_000, 80_000))
    assert fourth < 12 * first + 0.05, "four times the text takes four times the time; sixteen if it were quadratic"


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.sampled_from("a1@.+-/ =:\"'[]{}\\()4eyJsk_中é\n"), max_size=120))
def test_no_text_fails_and_nothing_else_changes(text: str) -> None:
    masker = Masker(lambda placeholder: placeholder in text)
    masked = Inspection([guard()], masker).change(text, "prompts")
    for placeholder, value in reversed(masker.values.items()):
        masked = masked.replace(placeholder, value)
    assert masked == text


def test_an_answer_is_redacted_in_every_format() -> None:
    arguments = json.dumps({"to": MAIL})
    answer = {
        "id": "r",
        "output": [{"text": f"to {MAIL}"}, {"arguments": arguments}, {"args": {"password": "hunter2"}}],
    }
    redacted = redact_answer(answer, [guard("report")])
    assert redacted["output"] == [
        {"text": "to [EMAIL_1]"}, {"arguments": '{"to": "[EMAIL_1]"}'}, {"args": {"password": "[SECRET_1]"}}
    ]  # fmt: skip
    assert redact_answer({"id": "r"}, [guard()]) == {"id": "r"}


def test_numbers_in_arguments_are_found_too() -> None:
    arguments = {"card": 4111111111111111, "count": 12345678, "ok": True, "cards": [4111111111111111]}
    body = {"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": json.dumps(arguments)}}]}]}
    masked = redact_texts("chat", body, [guard()])["messages"][0]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(masked) == {**arguments, "card": "[CARD_1]", "cards": ["[CARD_1]"]}

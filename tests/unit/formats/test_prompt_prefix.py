"""Successive turns of a conversation, once translated, differ by the new turn only, for the providers' caches."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.core.models import Deployment, Provider
from vibe_router.formats import registry
from vibe_router.upstream.exchange import open_exchange

IMAGE = "iVBORw0KGgo="
MARK = {"type": "ephemeral"}
PAIRS = [
    (caller, target)
    for caller in ("chat", "gemini", "messages", "responses")
    for target in sorted(registry.TRANSLATED)
    if caller != target
]
KINDS = ("words", "call", "two calls", "image", "thought")


def chat_turn(kind: str, at: int) -> list[dict[str, Any]]:
    calls = [{"id": f"c{at}{i}", "type": "function", "function": {"name": "look", "arguments": "{}"}} for i in range(2)]
    calls = calls[: {"words": 0, "two calls": 2}.get(kind, 1)]
    answer = {"role": "assistant", "content": None if calls else f"Answer {at}.", "tool_calls": calls}
    if kind == "thought":
        answer["reasoning_content"] = f"Thought {at}."
    results = [{"role": "tool", "tool_call_id": call["id"], "content": f"Result {at}."} for call in calls]
    return [{key: value for key, value in answer.items() if value}, *results]


def messages_turn(kind: str, at: int) -> list[dict[str, Any]]:
    ids = [f"c{at}{i}" for i in range({"words": 0, "two calls": 2}.get(kind, 1))]
    blocks: list[dict[str, Any]] = [{"type": "tool_use", "id": id_, "name": "look", "input": {"at": at}} for id_ in ids]
    if kind == "thought":
        blocks.insert(0, {"type": "thinking", "thinking": f"Thought {at}.", "signature": ""})
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}}
    result: list[dict[str, Any]] = [{"type": "text", "text": f"Result {at}."}, *([picture] if kind == "image" else [])]
    results = [{"type": "tool_result", "tool_use_id": id_, "content": result} for id_ in ids]
    answer = {"role": "assistant", "content": blocks or [{"type": "text", "text": f"Answer {at}."}]}
    return [answer, *([{"role": "user", "content": results}] if results else [])]


def responses_turn(kind: str, at: int) -> list[dict[str, Any]]:
    ids = [f"c{at}{i}" for i in range({"words": 0, "two calls": 2}.get(kind, 1))]
    text = [{"type": "output_text", "text": f"Answer {at}."}]
    answer: list[dict[str, Any]] = [
        {"type": "function_call", "call_id": id_, "name": "look", "arguments": "{}"} for id_ in ids
    ] or [{"type": "message", "role": "assistant", "content": text}]
    if kind == "thought":
        thought = {
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": f"Thought {at}."}],
        }
        answer.insert(0, thought)
    picture = [{"type": "input_image", "image_url": f"data:image/png;base64,{IMAGE}"}]
    output = picture if kind == "image" else f"Result {at}."
    return [*answer, *({"type": "function_call_output", "call_id": id_, "output": output} for id_ in ids)]


def gemini_turn(kind: str, at: int) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = [{"functionCall": {"name": "look", "args": {"at": at}}}] * {
        "words": 0,
        "two calls": 2,
    }.get(kind, 1)
    thought: list[dict[str, Any]] = [{"text": f"Thought {at}.", "thought": True}] if kind == "thought" else []
    answer: dict[str, Any] = {"role": "model", "parts": [*thought, *(calls or [{"text": f"Answer {at}."}])]}
    response: dict[str, Any] = {"name": "look", "response": {"output": f"Result {at}."}}
    if kind == "image":
        response["parts"] = [{"inlineData": {"mimeType": "image/png", "data": IMAGE}}]
    results = [{"functionResponse": response} for _ in calls]
    return [answer, *([{"role": "user", "parts": results}] if results else [])]


def body(caller: str, kinds: Sequence[str]) -> dict[str, Any]:
    """Return the request after turns of these `kinds`, as Claude Code, Codex and OpenAI's clients write it."""
    schema = {"type": "object", "properties": {}}
    asked: list[dict[str, Any]] = []
    if caller == "messages":
        asked = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
        for at, kind in enumerate(kinds):
            asked += messages_turn(kind, at)
            if asked[-1]["role"] == "assistant":
                asked.append({"role": "user", "content": [{"type": "text", "text": f"And {at}?"}]})
        asked[-1]["content"][-1]["cache_control"] = MARK
        header = f"x-anthropic-billing-header: cc_version=2.1; cch={len(kinds):05x};"
        system = [{"type": "text", "text": header}, {"type": "text", "text": "Be brief.", "cache_control": MARK}]
        tools: list[dict[str, Any]] = [{"name": "look", "input_schema": schema}]
        return {"model": "m", "max_tokens": 99, "system": system, "messages": asked, "tools": tools}
    if caller == "gemini":
        asked = [{"role": "user", "parts": [{"text": "Hi"}]}]
        for at, kind in enumerate(kinds):
            asked += gemini_turn(kind, at)
            asked.append({"role": "user", "parts": [{"text": f"And {at}?"}]})
        functions = [{"name": "look", "parameters": {"type": "OBJECT", "properties": {}}}]
        return {
            "model": "m",
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": asked,
            "tools": [{"functionDeclarations": functions}],
        }
    for at, kind in enumerate(kinds):
        asked += chat_turn(kind, at) if caller == "chat" else responses_turn(kind, at)
        asked.append({"role": "user", "content": f"And {at}?"})
    asked.insert(0, {"role": "user", "content": "Hi"})
    function = {"name": "look", "parameters": schema}
    if caller == "chat":
        asked.insert(0, {"role": "system", "content": "Be brief."})
        return {"model": "m", "messages": asked, "tools": [{"type": "function", "function": function}]}
    return {"model": "m", "instructions": "Be brief.", "input": asked, "tools": [{"type": "function", **function}]}


def without_marks(value: Any) -> Any:
    """Return `value` without cache breakpoints, which move with every turn and are no part of the prompt."""
    if isinstance(value, dict):
        return {key: without_marks(each) for key, each in value.items() if key != "cache_control"}
    if isinstance(value, list):
        return [without_marks(each) for each in value if not (isinstance(each, dict) and "cachePoint" in each)]
    return value


def translated(caller: str, target: str, kinds: Sequence[str]) -> tuple[dict[str, Any], list[Any]]:
    """Return the fields of the translated request, and its messages apart."""
    request = registry.client(caller).parse(json.dumps(body(caller, kinds)).encode(), {})
    deployment = Deployment(Provider("p", "http://127.0.0.1", "KEY"), "anthropic.claude-sonnet-4-5", formats=(target,))
    asked = without_marks(json.loads(open_exchange(request, deployment, 0, stream=False).body(stream=False)))
    return asked, asked.pop("input" if target == "responses" else "messages")


@pytest.mark.parametrize(("caller", "target"), PAIRS)
@given(kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5))
def test_a_new_turn_changes_nothing_before_it(caller: str, target: str, kinds: list[str]) -> None:
    fields, messages = translated(caller, target, kinds[:-1])
    later_fields, later_messages = translated(caller, target, kinds)
    assert later_fields == fields
    assert later_messages[: len(messages)] == messages
    assert len(later_messages) > len(messages)
    assert "billing" not in json.dumps([later_fields, later_messages])

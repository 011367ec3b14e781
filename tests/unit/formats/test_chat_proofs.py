"""Proofs of reasoning that chat providers want back, on their way through callers of other formats."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from vibe_router.core.models import Deployment, Provider
from vibe_router.formats import registry
from vibe_router.formats.common import sse
from vibe_router.formats.neutral.model import ReasoningDelta, ReasoningProof
from vibe_router.upstream.exchange import open_exchange

SIGNED = {"google": {"thought_signature": "c2lnbmVk"}}
DETAILS = [
    {"type": "reasoning.text", "index": 0, "text": "Hm.", "signature": "s", "format": "anthropic-claude-v1"},
    {"type": "reasoning.encrypted", "index": 1, "data": "ZW5j", "id": "a"},
]
CALL = {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}
SIGNED_CALL = {**CALL, "extra_content": SIGNED}
RESULTS = {
    "messages": {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "x"}]},
    "responses": {"type": "function_call_output", "call_id": "a", "output": "x"},
}
QUESTION = {"role": "user", "content": "Hi"}


def opening(caller: str) -> dict[str, Any]:
    if caller == "responses":
        return {"model": "m", "input": [{"type": "message", **QUESTION}]}
    return {"model": "m", "max_tokens": 9_999, "messages": [QUESTION], "thinking": {"type": "adaptive"}}


def with_answer(caller: str, body: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the next turn's body: what the caller sent, the answer as it got it, and a tool's result."""
    if caller == "responses":
        return {**body, "input": [*body["input"], *answer["output"], RESULTS[caller]]}
    turn = {"role": "assistant", "content": answer["content"]}
    return {**body, "messages": [*body["messages"], turn, RESULTS[caller]]}


def deployment(provider: str, model: str) -> Deployment:
    return Deployment(Provider(provider, "http://127.0.0.1", "SECRET"), model, formats=("chat",))


def round_trip(
    caller: str, message: Mapping[str, Any], *, stream: bool, to: str = "one", model: str = "m"
) -> dict[str, Any]:
    """Let provider "one" answer `message`, and return what provider `to` gets of it with the next turn."""
    body = opening(caller)
    exchange = open_exchange(registry.client(caller).parse(dump(body), {}), deployment("one", "m"), 0, stream=stream)
    whole = {"id": "c", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    raw = exchange.to_events(whole)
    if stream:
        reader, splitter = exchange.reader(), sse.EventDecoder()
        sent = b"".join(reader.read(event).raw for event in splitter.feed(b"".join(raw))) + reader.end()
        answer = assembled(caller, sent)
    else:
        answer = json.loads(exchange.whole(whole).body)
    request = registry.client(caller).parse(dump(with_answer(caller, body, answer)), {})
    asked = json.loads(open_exchange(request, deployment(to, model), 0, stream=False).body(stream=False))
    [turn] = [each for each in asked["messages"] if each["role"] == "assistant"]
    return dict(turn)


def dump(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body).encode()


def assembled(caller: str, raw: bytes) -> dict[str, Any]:
    assembler = registry.conversation(caller).assembler()
    for event in sse.EventDecoder().feed(raw):
        if event.data and event.data != b"[DONE]":
            assembler.add(json.loads(event.data))
    return assembler.answer()


callers = pytest.mark.parametrize("caller", ["messages", "responses"])
streamed = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


@callers
@streamed
def test_thought_signatures_of_calls_come_back(caller: str, stream: bool) -> None:
    turn = round_trip(caller, {"content": None, "tool_calls": [SIGNED_CALL]}, stream=stream)
    assert turn["tool_calls"] == [SIGNED_CALL]


@callers
@streamed
def test_reasoning_details_come_back_unchanged(caller: str, stream: bool) -> None:
    message = {"content": "So.", "reasoning": "Hm.", "reasoning_details": DETAILS, "tool_calls": [CALL]}
    turn = round_trip(caller, message, stream=stream)
    assert turn["reasoning_details"] == DETAILS
    assert turn["tool_calls"] == [CALL]


@callers
@streamed
def test_reasoning_content_comes_back_in_a_turn_with_calls(caller: str, stream: bool) -> None:
    message = {"content": None, "reasoning_content": "Hm.", "tool_calls": [CALL]}
    assert round_trip(caller, message, stream=stream)["reasoning_content"] == "Hm."


@callers
def test_proofs_go_to_their_issuer_alone(caller: str) -> None:
    message = {"content": "So.", "reasoning_details": DETAILS, "tool_calls": [SIGNED_CALL]}
    turn = round_trip(caller, message, stream=False, to="another")
    assert "reasoning_details" not in turn
    assert turn["tool_calls"] == [CALL]


@pytest.mark.parametrize(("model", "is_signed"), [("gemini-3-pro", True), ("gemini-2.5-flash", False)])
def test_calls_of_other_models_are_marked_for_gemini(model: str, is_signed: bool) -> None:
    turn = round_trip("messages", {"content": None, "tool_calls": [CALL]}, stream=False, to="two", model=model)
    assert ("extra_content" in turn["tool_calls"][0]) is is_signed


def test_details_in_pieces_are_joined() -> None:
    pieces = [{**DETAILS[0], "text": "H", "signature": None}, {**DETAILS[0], "text": "m."}, DETAILS[1]]
    decoder = registry.conversation("chat").decoder(registry.client("chat").parse(CHAT, {}).neutral())
    deltas: Iterable[dict[str, Any]] = [*({"reasoning_details": [piece]} for piece in pieces), {"content": "So."}]
    events = [each for delta in deltas for each in decoder.decode({"choices": [{"index": 0, "delta": delta}]})]
    [proof] = [each for each in events if isinstance(each, ReasoningProof)]
    assert json.loads(proof.chat or "")["reasoning_details"] == DETAILS
    assert [each.text for each in events if isinstance(each, ReasoningDelta)] == ["H", "m."]


CHAT = dump({"model": "m", "messages": [QUESTION]})

"""Answers in Gemini's format: the chunks of a stream, whole answers, and errors."""

import base64
import json
from typing import Any

import pytest

from vibe_router.core.errors import ApiError
from vibe_router.core.usage import Usage
from vibe_router.formats.common.seal import unwrap
from vibe_router.formats.gemini.errors import error_body
from vibe_router.formats.gemini.format import GEMINI, GeminiCall
from vibe_router.formats.neutral.model import (
    AnnotationAdded,
    Event,
    Finish,
    ReasoningDelta,
    ReasoningProof,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)

HELLO: list[Event] = [Started("r1", "gpt-5"), TextDelta("Hel"), TextDelta("lo"), Finish("stop")]
USAGE = UsageReport(Usage(7, 9, 2, reasoning_tokens=4))


def streamed(events: list[Event], *, sse: bool = True, thoughts: bool = True) -> list[Any]:
    call = GeminiCall("m", stream=True, events=sse)
    config = {"thinkingConfig": {"includeThoughts": thoughts}}
    request = call.parse(json.dumps({"contents": "Hi", "generationConfig": config}).encode(), {})
    writer = call.writer(request, 0)
    raw = b"".join([writer.write(event) for event in events]) + writer.end()
    if not sse:
        return list(json.loads(raw))
    return [json.loads(line.removeprefix(b"data: ")) for line in raw.split(b"\n\n") if line]


def whole(events: list[Event]) -> Any:
    body = b'{"contents": "Hi", "generationConfig": {"thinkingConfig": {"includeThoughts": true}}}'
    return json.loads(GEMINI.whole(GeminiCall("m").parse(body, {}), events, 0))


def parts(chunks: list[Any]) -> list[Any]:
    return [part for chunk in chunks for candidate in chunk["candidates"] for part in candidate["content"]["parts"]]


@pytest.mark.parametrize("sse", [True, False], ids=["events", "array"])
def test_a_stream_of_text(sse: bool) -> None:
    chunks = streamed([*HELLO, USAGE], sse=sse)
    assert [part["text"] for part in parts(chunks)] == ["Hel", "lo", ""]
    assert {(chunk["modelVersion"], chunk["responseId"]) for chunk in chunks} == {("gpt-5", "r1")}
    assert [chunk["candidates"][0].get("finishReason") for chunk in chunks] == [None, None, "STOP"]
    assert chunks[-1]["usageMetadata"] == {
        "promptTokenCount": 7,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 4,
        "cachedContentTokenCount": 2,
        "totalTokenCount": 16,
    }


def test_a_whole_answer() -> None:
    answer = whole([*HELLO, USAGE])
    [candidate] = answer["candidates"]
    assert candidate == {
        "content": {"parts": [{"text": "Hello"}], "role": "model"},
        "index": 0,
        "finishReason": "STOP",
    }
    assert whole([Started(None, None), Finish("stop")])["candidates"][0]["content"]["parts"] == [{"text": ""}]


def test_calls_are_whole_and_the_last_one_has_the_reason() -> None:
    calls: list[Event] = [
        Started(None, None),
        ToolCallStart("c1", "f"),
        ToolCallDelta('{"a": '),
        ToolCallDelta("1}"),
        ToolCallStart("c2", "g"),
        Finish("tool_calls"),
    ]
    expected = [{"id": "c1", "name": "f", "args": {"a": 1}}, {"id": "c2", "name": "g", "args": {}}]
    chunks = streamed(calls)
    assert [part["functionCall"] for part in parts(chunks)] == expected
    assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"
    assert [part["functionCall"] for part in parts([whole(calls)])] == expected


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [('{"a": "x', "MAX_TOKENS"), ("{]", "MALFORMED_FUNCTION_CALL"), ("[1]", "MALFORMED_FUNCTION_CALL")],
)
def test_part_of_a_call_is_never_sent(arguments: str, reason: str) -> None:
    chunks = streamed([Started(None, None), ToolCallStart("c", "f"), ToolCallDelta(arguments), Finish("tool_calls")])
    assert parts(chunks) == [{"text": ""}]
    assert chunks[-1]["candidates"][0]["finishReason"] == reason


def test_thoughts_are_shown_to_who_asked_and_proofs_to_all() -> None:
    events: list[Event] = [
        Started(None, None),
        ReasoningDelta("A", summary=True),
        ReasoningDelta("B", summary=True, part=1),
        ReasoningProof(encrypted="gAAA", id="rs_1", issuer="p"),
        TextDelta("x"),
        Finish("stop"),
    ]
    shown = parts(streamed(events))
    assert shown[:2] == [{"text": "A", "thought": True}, {"text": "\n\nB", "thought": True}]
    hidden = parts(streamed(events, thoughts=False))
    assert [part["text"] for part in hidden] == ["x", ""]
    for part in (shown[2], hidden[0]):
        seal = unwrap(base64.b64decode(part["thoughtSignature"]).decode())
        assert seal is not None
        assert (seal.kind, seal.value, seal.id, seal.issuer) == ("encrypted", "gAAA", "rs_1", "p")


def test_a_proof_without_a_part_after_it_gets_one() -> None:
    events: list[Event] = [
        Started(None, None),
        ReasoningDelta("A"),
        ReasoningProof(signature="s", issuer="p"),
        Finish("stop"),
    ]
    for last in (parts(streamed(events))[-1], parts([whole(events)])[-1]):
        assert last["text"] == ""
        assert last["thoughtSignature"]


def test_several_candidates_log_probabilities_and_pages() -> None:
    tokens = [{"token": "x", "logprob": -0.5, "top_logprobs": [{"token": "x", "logprob": -0.5}]}]
    page = {"type": "url_citation", "url": "https://x.example", "title": "X", "start_index": 0, "end_index": 1}
    events: list[Event] = [
        Started(None, None),
        TextDelta("x", logprobs=tokens),
        AnnotationAdded(page),
        TextDelta("y", choice=1),
        Finish("stop"),
        Finish("length", choice=1),
    ]
    first, second = whole(events)["candidates"]
    assert first["groundingMetadata"] == {"groundingChunks": [{"web": {"uri": "https://x.example", "title": "X"}}]}
    assert first["logprobsResult"]["chosenCandidates"] == [{"token": "x", "logProbability": -0.5}]
    assert (second["content"]["parts"], second["finishReason"], second["index"]) == ([{"text": "y"}], "MAX_TOKENS", 1)


def test_a_failed_stream_ends_in_an_error() -> None:
    error = ApiError(502, "It broke.", type="server_error", code="upstream_error")
    for sse, begun in ((True, True), (False, True), (False, False)):
        call = GeminiCall("m", stream=True, events=sse)
        writer = call.writer(call.parse(b'{"contents": "Hi"}', {}), 0)
        raw = (writer.write(TextDelta("x")) if begun else b"") + writer.fail(error)
        last = json.loads(raw.split(b"data: ")[-1]) if sse else json.loads(raw)[-1]
        assert (last["error"]["code"], last["error"]["status"]) == (502, "INTERNAL")


def test_errors_have_googles_shape() -> None:
    error = ApiError(429, "Slow.", type="rate_limit_error", code="rate_limit_exceeded", headers={"retry-after": "7"})
    body = json.loads(error_body(error))["error"]
    assert (body["code"], body["message"], body["status"]) == (429, "Slow.", "RESOURCE_EXHAUSTED")
    assert body["details"][0]["reason"] == "RATE_LIMIT_EXCEEDED"
    assert body["details"][1]["retryDelay"] == "7s"
    array = GeminiCall("m", stream=True).error_body(error)
    assert json.loads(array) == [{"error": body}]

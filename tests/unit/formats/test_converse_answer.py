"""Bedrock's answers, streamed and whole, decoded and translated for every caller."""

import itertools
import json
from collections.abc import Iterable, Mapping
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.formats.test_translated_answers import count_ids, events, read, without_ids
from vibe_router.core.models import Deployment, Provider
from vibe_router.core.usage import Usage
from vibe_router.formats import registry
from vibe_router.formats.common import sse
from vibe_router.formats.converse.assembly import ConverseAssembler
from vibe_router.formats.converse.format import CONVERSE
from vibe_router.formats.converse.neutral import ConverseDecoder
from vibe_router.formats.converse.stream import ConverseStreamReader, read_usage, read_whole, to_events
from vibe_router.formats.neutral.model import (
    Event,
    Finish,
    NeutralRequest,
    ReasoningDelta,
    ReasoningProof,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from vibe_router.upstream.exchange import Exchange, open_exchange

MODEL = "us.anthropic.claude-haiku-4-5"
COUNTS = {
    "inputTokens": 5,
    "outputTokens": 9,
    "totalTokens": 24,
    "cacheReadInputTokens": 7,
    "cacheWriteInputTokens": 3,
}
USAGE = Usage(prompt_tokens=15, completion_tokens=9, cached_tokens=7, cache_write_tokens=3)
THOUGHT = {"reasoningContent": {"reasoningText": {"text": "Hmm.", "signature": "sig"}}}
SEALED = {"reasoningContent": {"redactedContent": "c2VhbA=="}}
CALLS = [
    {"toolUse": {"toolUseId": "a", "name": "look", "input": {"at": 1}}},
    {"toolUse": {"toolUseId": "b", "name": "look", "input": {}}},
]
HELLO: dict[str, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "Hi"}], "stream_options": {"include_usage": True}},
    "responses": {"input": "Hi", "include": ["reasoning.encrypted_content"]},
    "messages": {
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 9000,
        "thinking": {"type": "enabled", "budget_tokens": 2048},
    },
}


def answer(*content: Mapping[str, Any], stop: str = "end_turn", **more: Any) -> dict[str, Any]:
    output = {"message": {"role": "assistant", "content": list(content)}}
    return {"output": output, "stopReason": stop, "usage": COUNTS, "metrics": {"latencyMs": 1}, **more}


ANSWERS = {
    "talk": answer(THOUGHT, SEALED, {"text": "Héllo there."}),
    "calls": answer({"text": "I look."}, *CALLS, stop="tool_use"),
    "cut short": answer({"text": "Hel"}, stop="max_tokens"),
    "stopped": answer({"text": "One."}, stop="stop_sequence", additionalModelResponseFields={"stop_sequence": "Two"}),
    "filtered": answer({"text": "No."}, stop="guardrail_intervened"),
}


def exchange(caller: str, **fields: Any) -> Exchange:
    body = {"model": "auto", "stream": True, **HELLO[caller], **fields}
    request = registry.client(caller).parse(json.dumps(body).encode(), {})
    provider = Provider("bedrock", "", "", ("converse",), "bedrock")
    return open_exchange(request, Deployment(provider, MODEL, formats=("converse",)), 1_800_000_000.0, stream=True)


def stream(*chunks: Mapping[str, Any]) -> bytes:
    return b"".join(sse.encode(json.dumps(chunk).encode()) for chunk in chunks)


def decoded(*chunks: Mapping[str, Any]) -> list[Event]:
    decoder = ConverseDecoder(NeutralRequest("chat", []))
    return [*(event for chunk in chunks for event in decoder.decode(chunk)), *decoder.end()]


def delta(index: int, **fields: Any) -> dict[str, Any]:
    return {"contentBlockDelta": {"contentBlockIndex": index, "delta": fields}}


def thought(index: int, **fields: Any) -> dict[str, Any]:
    return delta(index, reasoningContent=fields)


def stop(index: int) -> dict[str, Any]:
    return {"contentBlockStop": {"contentBlockIndex": index}}


def call(index: int, id_: str) -> dict[str, Any]:
    begun = {"toolUse": {"toolUseId": id_, "name": "look"}}
    return {"contentBlockStart": {"contentBlockIndex": index, "start": begun}}


# --- Event by event ---------------------------------------------------------------------------------------------------


def test_a_stream_with_every_kind_of_event() -> None:
    chunks = [
        {"messageStart": {"role": "assistant"}},
        thought(0, text="Hm"),
        thought(0, text="m."),
        thought(0, signature="sig"),
        stop(0),
        thought(1, redactedContent="c2VhbA=="),
        stop(1),
        delta(2, text="I "),
        delta(2, text="look."),
        stop(2),
        call(3, "a"),
        delta(3, toolUse={"input": '{"at"'}),
        delta(3, toolUse={"input": ":1}"}),
        stop(3),
        call(4, "b"),
        stop(4),
        {"messageStop": {"stopReason": "tool_use"}},
        {"metadata": {"usage": COUNTS, "metrics": {"latencyMs": 1}}},
    ]
    assert decoded(*chunks) == [
        Started(None, None),
        ReasoningDelta("Hm"),
        ReasoningDelta("m."),
        ReasoningProof(signature="sig"),
        ReasoningProof(redacted="c2VhbA=="),
        TextDelta("I "),
        TextDelta("look."),
        ToolCallStart("a", "look"),
        ToolCallDelta('{"at"'),
        ToolCallDelta(":1}"),
        ToolCallStart("b", "look"),
        ToolCallDelta("{}"),
        Finish("tool_calls"),
        UsageReport(USAGE),
    ]
    reader = ConverseStreamReader()
    pieces = [reader.read(event) for event in sse.EventDecoder().feed(stream(*chunks))]
    assert [piece.commits for piece in pieces].index(True) == 1
    assert [piece.done for piece in pieces] == [False] * 17 + [True]
    assert (reader.complete, reader.usage, reader.malformed) == (True, USAGE, 0)


def test_a_block_without_an_end_event_ends_with_the_next() -> None:
    chunks = [thought(0, text="Hm."), thought(0, signature="sig"), delta(1, text="So."), thought(2, text="Oh.")]
    assert decoded(*chunks, {"messageStop": {"stopReason": "end_turn"}}) == [
        ReasoningDelta("Hm."),
        ReasoningProof(signature="sig"),
        TextDelta("So."),
        ReasoningDelta("Oh."),
        ReasoningProof(),
        Finish("stop"),
    ]


@pytest.mark.parametrize(
    ("reported", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool_calls"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("a reason of next year", "length"),
    ],
)
def test_stop_reasons_are_decoded(reported: str, reason: Any) -> None:
    assert decoded({"messageStop": {"stopReason": reported}}) == [Finish(reason)]


def test_the_stop_sequence_is_decoded() -> None:
    more = {"additionalModelResponseFields": {"stop_sequence": "END"}}
    assert decoded({"messageStop": {"stopReason": "stop_sequence", **more}}) == [Finish("stop", stop_sequence="END")]
    assert decoded({"messageStop": {"stopReason": "end_turn", **more}}) == [Finish("stop")]


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_a_malformed_answer_is_an_error(reason: str) -> None:
    [event] = sse.EventDecoder().feed(stream({"messageStop": {"stopReason": reason}}))
    reader = ConverseStreamReader()
    error = reader.read(event).error
    assert error is not None
    assert json.loads(error)["error"]["type"] == "modelErrorException"
    assert not reader.complete
    assert read_whole(json.dumps(answer({"text": "x"}, stop=reason)).encode()) is None


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        (COUNTS, USAGE),
        ({"inputTokens": 5, "outputTokens": 9, "totalTokens": 14}, Usage(5, 9)),
        ({"inputTokens": 5, "outputTokens": 9, "cacheReadInputTokens": 0}, Usage(5, 9, 0)),
        ({"outputTokens": 9, "cacheReadInputTokens": 7}, Usage(None, 9, 7)),
        ({}, Usage()),
        (None, Usage()),
        ([1], Usage()),
    ],
)
def test_cached_tokens_count_as_prompt_tokens(counts: object, usage: Usage) -> None:
    assert read_usage(counts) == usage


def test_cited_text_is_decoded() -> None:
    cited = {
        "citationsContent": {"content": [{"text": "It "}, {"text": "rains"}, {}, 3], "citations": [{"title": "a"}]}
    }
    answer = {"output": {"message": {"content": [cited, {"text": "."}]}}, "stopReason": "end_turn"}
    deltas = (json.loads(raw[6:]).get("contentBlockDelta", {}).get("delta", {}) for raw in to_events(answer))
    assert "".join(delta.get("text", "") for delta in deltas) == "It rains."


@pytest.mark.parametrize("index", [{}, [], None, "0"], ids=str)
def test_a_block_without_an_index_is_ignored(index: object) -> None:
    assembler = ConverseAssembler()
    assembler.add({"contentBlockStart": {"start": {"toolUse": {"toolUseId": "t"}}, "contentBlockIndex": index}})
    assembler.add({"contentBlockDelta": {"delta": {"text": "x"}, "contentBlockIndex": index}})
    assembler.add({"contentBlockDelta": {"delta": {"text": "Hi"}, "contentBlockIndex": 1}})
    assert assembler.answer()["output"]["message"]["content"] == [{"text": "Hi"}]


@pytest.mark.parametrize(
    ("stop_reason", "counts", "commits"),
    [("end_turn", {}, False), ("end_turn", COUNTS, True), ("guardrail_intervened", {}, True)],
)
def test_an_answer_without_content_commits_if_it_has_usage_or_was_blocked(
    stop_reason: str, counts: object, commits: bool
) -> None:
    chunks: list[dict[str, Any]] = [
        {"messageStart": {}},
        {"messageStop": {"stopReason": stop_reason}},
        {"metadata": {"usage": counts}},
    ]
    reader = ConverseStreamReader()
    assert any(reader.read(event).commits for event in sse.EventDecoder().feed(stream(*chunks))) is commits


@pytest.mark.parametrize(("parts", "complete"), [(['{"a":"b', '"}'], True), (['{"a":"b'], False), ([], True)])
def test_a_truncated_call_never_ends_as_a_call(parts: list[str], complete: bool) -> None:
    chunks = [call(0, "a"), *(delta(0, toolUse={"input": part}) for part in parts), stop(0)]
    reader = ConverseStreamReader()
    pieces = [
        reader.read(event)
        for event in sse.EventDecoder().feed(stream(*chunks, {"messageStop": {"stopReason": "tool_use"}}))
    ]
    assert (reader.complete, pieces[-1].error is None) == (complete, complete)


def test_events_without_content_do_not_commit() -> None:
    silent = [{"messageStart": {"role": "assistant"}}, delta(0, text=""), thought(0, text=""), stop(0), {"new": {}}]
    reader = ConverseStreamReader()
    assert not any(reader.read(event).commits for event in sse.EventDecoder().feed(stream(*silent)))
    assert not reader.complete


# --- Whole ------------------------------------------------------------------------------------------------------------


def output_shape() -> Any:
    return botocore.session.get_session().get_service_model("bedrock-runtime").operation_model("Converse").output_shape


@pytest.mark.parametrize("name", ANSWERS)
def test_the_examples_are_valid_for_bedrock(name: str) -> None:
    report = ParamValidator().validate(ANSWERS[name], output_shape())
    assert not report.has_errors(), report.generate_report()


words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
blocks = st.one_of(
    st.builds(lambda text: {"text": text}, words),
    st.builds(lambda text: {"reasoningContent": {"redactedContent": text}}, words),
    st.builds(
        lambda text, signature: {"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}},
        words,
        words,
    ),
    st.builds(
        lambda id_, given: {"toolUse": {"toolUseId": id_, "name": "look", "input": given}},
        words,
        st.dictionaries(words, st.integers() | words, max_size=2),
    ),
)


@given(content=st.lists(blocks, min_size=1, max_size=4))
def test_an_unfolded_answer_assembles_to_itself(content: list[dict[str, Any]]) -> None:
    whole = answer(*content, stop="stop_sequence", additionalModelResponseFields={"stop_sequence": "x"})
    assembler = ConverseAssembler()
    for event in sse.EventDecoder().feed(b"".join(to_events(whole))):
        assembler.add(json.loads(event.data or b"{}"))
    del whole["metrics"]
    assert assembler.answer() == whole
    assert read_whole(json.dumps(whole).encode()) == whole


@pytest.mark.parametrize("caller", HELLO)
@pytest.mark.parametrize("name", ANSWERS)
def test_a_stream_equals_the_whole_answer(caller: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    count_ids(monkeypatch)
    put = exchange(caller)
    raw = read(put.reader(), b"".join(to_events(ANSWERS[name])))
    assembler = registry.conversation(caller).assembler()
    for chunk in events(raw):
        assembler.add(chunk)
    streamed = assembler.answer()
    whole = put.whole(ANSWERS[name])
    complete = json.loads(whole.body)
    if caller == "chat":  # a stream begins with empty words
        for choice in streamed["choices"]:
            choice["message"]["content"] = choice["message"]["content"] or None
            choice["message"].setdefault("refusal", None)
    assert without_ids(streamed) == without_ids(complete)
    assert complete["model"] == MODEL
    assert whole.usage == USAGE


def test_thinking_returns_only_to_its_issuer() -> None:
    message = json.loads(exchange("messages").whole(ANSWERS["talk"]).body)
    kinds = [block["type"] for block in message["content"]]
    assert kinds == ["thinking", "redacted_thinking", "text"]
    talk = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": message["content"]},
        {"role": "user", "content": "Go on"},
    ]
    again = exchange("messages", messages=talk)
    assert json.loads(again.body(stream=True))["messages"][1]["content"] == [THOUGHT, SEALED, {"text": "Héllo there."}]
    assert again.left_out == 0
    request = registry.client("messages").parse(
        json.dumps({**HELLO["messages"], "model": "m", "messages": talk}).encode(), {}
    )
    other = Deployment(Provider("another", "", "", ("converse",), "bedrock"), MODEL, formats=("converse",))
    elsewhere = open_exchange(request, other, 0, stream=True)
    assert json.loads(elsewhere.body(stream=True))["messages"][1]["content"] == [{"text": "Héllo there."}]
    assert elsewhere.left_out == 2


def test_a_stop_sequence_reaches_messages_callers() -> None:
    message = json.loads(exchange("messages").whole(ANSWERS["stopped"]).body)
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "Two")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"output": {}}',
        b'{"output": {"message": {"content": [1]}}}',
        b'{"output": {"message": {"content": []}}, "stopReason": "end_turn"}',
        b'{"output": {"message": {"content": [{"text": "x"}]}}, "stopReason": "network_error"}',
        b'{"message": "no"}',
    ],
)
def test_other_bodies_are_not_answers(raw: bytes) -> None:
    assert read_whole(raw) is None


# --- Broken streams ---------------------------------------------------------------------------------------------------

WHOLE = b"".join(to_events(answer(THOUGHT, SEALED, {"text": "Héllo."}, *CALLS, stop="tool_use")))


@given(caller=st.sampled_from(sorted(HELLO)), sizes=st.lists(st.integers(1, 90), min_size=1))
def test_a_stream_split_at_any_byte_is_read_alike(caller: str, sizes: list[int]) -> None:
    events = []
    for cut in (None, itertools.cycle(sizes)):
        with pytest.MonkeyPatch.context() as patched:
            count_ids(patched)
            events.append(read(exchange(caller).reader(), WHOLE, cut))
    assert events[0] == events[1]


@given(caller=st.sampled_from(sorted(HELLO)), at=st.integers(0, len(WHOLE) - 1))
def test_a_truncated_stream_never_looks_complete(caller: str, at: int) -> None:
    reader = exchange(caller).reader()
    out = read(reader, WHOLE[:at])
    if not reader.complete:
        assert not any(mark in out for mark in (b"[DONE]", b'"response.completed"', b"message_stop"))


NAMES = [
    *("messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata", "error"),
    *("start", "delta", "toolUse", "input", "text", "reasoningContent", "signature", "redactedContent", "usage"),
    *("stopReason", "contentBlockIndex", "toolUseId", "name", "additionalModelResponseFields", "inputTokens"),
]
odd_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["tool_use", "x", ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=8,
)


@given(caller=st.sampled_from(sorted(HELLO)), odd=st.lists(odd_values, min_size=1, max_size=4))
def test_any_event_is_read_without_an_error(caller: str, odd: list[Any]) -> None:
    put = exchange(caller)
    reader, assembler = put.reader(), put.assembler()
    raw = b"".join(sse.encode(json.dumps(each).encode()) for each in odd)
    for event in sse.EventDecoder().feed(raw):
        piece = reader.read(event)
        if piece.chunk is not None:
            assembler.add(piece.chunk)
    reader.end()
    put.whole(assembler.answer())


@given(content=st.lists(odd_values, max_size=3), rest=st.dictionaries(st.sampled_from(NAMES), odd_values, max_size=3))
def test_any_whole_answer_is_read_without_an_error(content: list[Any], rest: dict[str, Any]) -> None:
    raw = json.dumps({"output": {"message": {"content": content}}, **rest}).encode()
    if (found := read_whole(raw)) is not None:
        exchange("chat").whole(found)
        CONVERSE.usage_of(found)


def test_the_format_itself_writes_nothing_for_callers() -> None:
    reader: Any = CONVERSE.reader(wants_usage=False)
    pieces: Iterable[Any] = [reader.read(event) for event in sse.EventDecoder().feed(WHOLE)]
    assert not any(piece.raw for piece in pieces)
    assert CONVERSE.headers("secret") == {}

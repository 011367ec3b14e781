"""Answers in Messages, decoded into neutral events and written from them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from vibe_router.core.errors import ApiError
from vibe_router.core.usage import Usage
from vibe_router.formats.chat import neutral_answer as chat_answer
from vibe_router.formats.common import sse
from vibe_router.formats.common.json_body import dump
from vibe_router.formats.common.seal import unwrap
from vibe_router.formats.messages import stream as messages
from vibe_router.formats.messages.assembly import MessagesAssembler
from vibe_router.formats.messages.neutral_answer import MessagesDecoder, MessagesWriter, usage_fields, whole
from vibe_router.formats.messages.request import MessagesRequest, parse
from vibe_router.formats.neutral.model import (
    AnnotationAdded,
    Event,
    Finish,
    NeutralRequest,
    Reason,
    ReasoningDelta,
    ReasoningProof,
    RefusalDelta,
    Started,
    TextDelta,
    Tool,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)

EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
THINKING = {"type": "enabled", "budget_tokens": 2048}
PAGE = {"type": "web_search_result_location", "url": "https://a.example", "title": None}


def asked(**more: Any) -> MessagesRequest:
    body = {"model": "auto-claude", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}], **more}
    return parse(dump(body), {})


def written(*events: Event, thinking: object = THINKING) -> list[dict[str, Any]]:
    """Return the events for a caller, validated by the types of Anthropic's package."""
    writer = MessagesWriter(asked(thinking=thinking))
    raw = b"".join([*(writer.write(event) for event in events), writer.end()])
    emitted = []
    for event in sse.EventDecoder().feed(raw):
        chunk = json.loads(event.data or b"null")
        assert event.name.decode() == chunk["type"]
        EVENTS.validate_python(chunk)
        emitted.append(chunk)
    return emitted


def content(*events: Event, thinking: object = THINKING) -> list[dict[str, Any]]:
    """Return the assembled content, which equals that of the whole answer."""
    assembler = MessagesAssembler()
    for chunk in written(*events, thinking=thinking):
        assembler.add(chunk)
    answer = json.loads(whole(asked(thinking=thinking), events))
    Message.model_validate(answer)
    blocks: list[dict[str, Any]] = assembler.answer()["content"]
    assert answer["content"] == blocks
    return blocks


def read(*chunks: Mapping[str, Any], tools: Sequence[Tool] = ()) -> list[Event]:
    decoder = MessagesDecoder(NeutralRequest("chat", [], tools=tools))
    return [*(event for chunk in chunks for event in decoder.decode(chunk)), *decoder.end()]


# --- Writing ----------------------------------------------------------------------------------------------------------


def test_events_are_written_in_anthropics_order() -> None:
    emitted = written(
        Started("msg_7", "glm-4.7"),
        ReasoningDelta("Hm"),
        ReasoningProof(),
        TextDelta("Hello"),
        TextDelta(" there"),
        ToolCallStart("call_1", "weather"),
        ToolCallDelta('{"city":'),
        ToolCallDelta('"Rome"}'),
        Finish("tool_calls"),
        UsageReport(Usage(10, 5, 4)),
    )
    assert [(each["type"], each.get("index")) for each in emitted] == [
        ("message_start", None),
        ("content_block_start", 0),
        ("content_block_delta", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
        ("content_block_start", 2),
        ("content_block_delta", 2),
        ("content_block_delta", 2),
        ("content_block_stop", 2),
        ("message_delta", None),
        ("message_stop", None),
    ]
    assert (emitted[0]["message"]["id"], emitted[0]["message"]["model"]) == ("msg_7", "glm-4.7")
    assert emitted[-2] == {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {
            "input_tokens": 6,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 4,
            "output_tokens": 5,
        },
    }


@pytest.mark.parametrize(
    ("events", "blocks"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([TextDelta("a"), TextDelta("\n\u2028\ud800")], ["a\n\u2028\ud800"], id="text in pieces"),
        pytest.param([RefusalDelta("No."), TextDelta("!")], ["No.!"], id="a refusal is text"),
        pytest.param([TextDelta("a"), TextDelta("b", 1), Finish("length", 1)], ["a"], id="one answer of several"),
        pytest.param([TextDelta("a"), AnnotationAdded({"type": "file_citation"})], ["a"], id="citations of files"),
        pytest.param(
            [TextDelta("a"), AnnotationAdded({"type": "url_citation", "url": "https://a.example", "start_index": 0})],
            [{"type": "text", "text": "a", "citations": [{**PAGE, "cited_text": "", "encrypted_index": ""}]}],
            id="a page that is cited",
        ),
        pytest.param(
            [ToolCallStart("c", "clock"), AnnotationAdded({"type": "url_citation", "url": "https://a.example"})],
            [{"type": "tool_use", "id": "c", "name": "clock", "input": {}}],
            id="a page without text before it",
        ),
        pytest.param(
            [ToolCallStart("c", "clock"), Finish("tool_calls")],
            [{"type": "tool_use", "id": "c", "name": "clock", "input": {}}],
            id="a call without arguments",
        ),
        pytest.param(
            [ToolCallStart("c", "a"), ToolCallDelta("{}"), ToolCallStart("d", "b"), ToolCallDelta('{"x":1}')],
            [
                {"type": "tool_use", "id": "c", "name": "a", "input": {}},
                {"type": "tool_use", "id": "d", "name": "b", "input": {"x": 1}},
            ],
            id="parallel calls",
        ),
        pytest.param(
            [ReasoningDelta("Hm"), ReasoningDelta("!"), TextDelta("a")],
            [{"type": "thinking", "thinking": "Hm!", "signature": ""}, "a"],
            id="unsigned thinking",
        ),
        pytest.param(
            [ReasoningDelta("a", True), ReasoningDelta("b", True), ReasoningDelta("c", True, 1), ReasoningProof()],
            [{"type": "thinking", "thinking": "ab\n\nc", "signature": ""}],
            id="paragraphs of a summary",
        ),
        pytest.param(
            [ReasoningDelta("a"), ReasoningProof(), ReasoningDelta("b")],
            [
                {"type": "thinking", "thinking": "a", "signature": ""},
                {"type": "thinking", "thinking": "b", "signature": ""},
            ],
            id="thinking twice",
        ),
    ],
)
def test_events_make_up_blocks(events: Sequence[Event], blocks: Sequence[object]) -> None:
    expected = [{"type": "text", "text": each} if isinstance(each, str) else each for each in blocks]
    assert content(Started(None, None), *events) == expected


@pytest.mark.parametrize(
    "sealed",
    [
        ReasoningProof(encrypted="gAAA", id="rs_1", issuer="openai"),
        ReasoningProof(signature="sig", issuer="bedrock"),
        ReasoningProof(redacted="x", issuer="bedrock"),
    ],
)
def test_a_proof_of_another_provider_is_sealed(sealed: ReasoningProof) -> None:
    [*_, block] = content(Started(None, None), ReasoningDelta("Hm"), sealed)
    assert unwrap(block.get("signature") or block["data"]) == sealed.seal()
    assert (block["type"] == "redacted_thinking") is (sealed.redacted is not None)


@pytest.mark.parametrize("thinking", [None, {"type": "disabled"}])
def test_thinking_is_hidden_unless_asked_for(thinking: object) -> None:
    events: list[Event] = [
        Started(None, None),
        ReasoningDelta("Hm"),
        ReasoningProof(encrypted="x", issuer="o"),
        TextDelta("Hi"),
    ]
    assert content(*events, thinking=thinking) == [{"type": "text", "text": "Hi"}]


def test_omitted_thinking_keeps_its_proof() -> None:
    events: list[Event] = [
        Started(None, None),
        ReasoningDelta("Hm"),
        ReasoningProof(encrypted="x", issuer="o"),
        TextDelta("Hi"),
    ]
    [thought, _] = content(*events, thinking={"type": "adaptive", "display": "omitted"})
    assert thought["thinking"] == ""
    assert unwrap(thought["signature"])


@pytest.mark.parametrize(
    ("events", "reason", "sequence"),
    [
        ([TextDelta("a"), Finish("stop")], "end_turn", None),
        ([TextDelta("a"), Finish("stop", stop_sequence="END")], "stop_sequence", "END"),
        ([TextDelta("a"), Finish("length")], "max_tokens", None),
        ([TextDelta("a"), Finish("content_filter")], "refusal", None),
        ([RefusalDelta("a"), Finish("refusal")], "refusal", None),
        ([ToolCallStart("c", "x"), Finish("tool_calls")], "tool_use", None),
        ([ToolCallStart("c", "x"), Finish("stop")], "tool_use", None),
        ([ToolCallStart("c", "x"), Finish("length")], "max_tokens", None),
        ([ToolCallStart("c", "x"), ToolCallDelta('{"a":"b'), Finish("tool_calls")], "max_tokens", None),
        ([ToolCallStart("c", "x"), ToolCallDelta('{"a":'), ToolCallDelta("1"), Finish("stop")], "max_tokens", None),
        ([ToolCallStart("c", "x"), ToolCallDelta('{"a":1,}'), Finish("tool_calls")], "tool_use", None),
    ],
)
def test_stop_reasons_are_written(events: Sequence[Event], reason: str, sequence: object) -> None:
    ending = written(Started(None, None), *events)[-2]["delta"]
    assert ending == {"stop_reason": reason, "stop_sequence": sequence}


def test_missing_ids_and_models_are_filled_in() -> None:
    message = written(TextDelta("a"))[0]["message"]
    assert message["id"].startswith("msg_")
    assert message["model"] == "auto-claude"


def test_a_failed_stream_ends_in_an_error() -> None:
    assert MessagesWriter(asked()).fail(ApiError(502, "Cut.")).startswith(b"event: error\n")


@pytest.mark.parametrize(
    "usage",
    [
        Usage(107, 9, 100, 2, 4),
        Usage(107, 9, 0, 0),
        Usage(0, 0, 0, 0),
    ],
)
def test_usage_survives_writing_and_reading(usage: Usage) -> None:
    assert messages.read_usage(usage_fields(usage)) == usage


def test_inconsistent_usage_is_never_negative() -> None:
    assert usage_fields(Usage(5, 1, 100))["input_tokens"] == 0


# --- Reading ----------------------------------------------------------------------------------------------------------


def stream(*blocks: Mapping[str, Any], **more: Any) -> Iterable[dict[str, Any]]:
    answer = {"id": "msg_1", "model": "claude", "content": list(blocks), "stop_reason": "end_turn", **more}
    return [json.loads(raw.partition(b"data: ")[2]) for raw in messages.to_events(answer)]


def test_a_message_is_decoded() -> None:
    events = read(
        *stream(
            {"type": "thinking", "thinking": "Hm", "signature": "sig"},
            {"type": "redacted_thinking", "data": "x"},
            {"type": "text", "text": "Hi"},
            {"type": "tool_use", "id": "t", "name": "weather", "input": {"city": "Rome"}},
            {"type": "tool_use", "id": "u", "name": "clock", "input": {}},
            stop_reason="tool_use",
            usage={"input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 2},
        )
    )
    assert [event for event in events if not isinstance(event, UsageReport)] == [
        Started("msg_1", "claude"),
        ReasoningDelta("Hm"),
        ReasoningProof(signature="sig"),
        ReasoningProof(redacted="x"),
        TextDelta("Hi"),
        ToolCallStart("t", "weather"),
        ToolCallDelta('{"city":"Rome"}'),
        ToolCallStart("u", "clock"),
        ToolCallDelta("{}"),
        Finish("tool_calls"),
    ]
    assert [event for event in events if isinstance(event, UsageReport)][-1] == UsageReport(Usage(8, 2, 3))


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", Finish("stop")),
        ("stop_sequence", Finish("stop", stop_sequence="END")),
        ("max_tokens", Finish("length")),
        ("model_context_window_exceeded", Finish("length")),
        ("tool_use", Finish("tool_calls")),
        ("refusal", Finish("refusal")),
        ("pause_turn", Finish("stop")),
        ("a reason of next year", Finish("length")),
        ("MAX_TOKENS", Finish("length")),
        ("sensitive", Finish("content_filter")),
    ],
)
def test_stop_reasons_are_decoded(reason: str, finish: Finish) -> None:
    events = read(*stream(stop_reason=reason, stop_sequence=finish.stop_sequence))
    assert [event for event in events if isinstance(event, Finish)] == [finish]


def test_the_input_of_a_free_text_tool_is_decoded() -> None:
    call = {"type": "tool_use", "id": "t", "name": "patch", "input": {"input": "*** Begin"}}
    events = read(*stream(call), tools=[Tool("patch", custom=True)])
    assert ToolCallStart("t", "patch", custom=True) in events
    assert [event for event in events if isinstance(event, ToolCallDelta)] == [ToolCallDelta("*** Begin")]


def test_calls_of_server_tools_are_not_tool_calls() -> None:
    events = read(*stream({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}}))
    assert not [event for event in events if isinstance(event, ToolCallStart | ToolCallDelta)]


def test_blocks_that_start_with_content_are_decoded() -> None:
    start = {"type": "content_block_start", "index": 0}
    assert read({**start, "content_block": {"type": "text", "text": "Hi"}}) == [TextDelta("Hi")]
    assert read({**start, "content_block": {"type": "thinking", "thinking": "Hm", "signature": "s"}}) == [
        ReasoningDelta("Hm"),
        ReasoningProof(signature="s"),
    ]
    call = {"type": "tool_use", "id": "t", "name": "x", "input": {"a": 1}}
    assert read({**start, "content_block": call}) == [ToolCallStart("t", "x"), ToolCallDelta('{"a":1}')]


words = st.text(min_size=1, max_size=8)
runs = st.one_of(
    st.lists(st.builds(TextDelta, words), min_size=1, max_size=3),
    st.builds(
        lambda thought, seal: [*map(ReasoningDelta, thought), ReasoningProof(signature=seal, issuer="a")],
        st.lists(words, min_size=1, max_size=3),
        words,
    ),
    st.builds(
        lambda name, given: [ToolCallStart("call_1", name), ToolCallDelta(dump(given).decode())],
        words,
        st.dictionaries(words, st.integers(), max_size=2),
    ),
)


@given(st.lists(runs, max_size=4), st.sampled_from(["stop", "length", "refusal"]))
def test_events_survive_being_written_and_read(emitted: list[list[Event]], reason: Reason) -> None:
    events = [
        Started("msg_1", "m"),
        *(event for run in emitted for event in run),
        Finish(reason),
        UsageReport(Usage(3, 2, 0, 0)),
    ]
    chunks = written(*events)
    back = [event for event in read(*chunks) if not isinstance(event, UsageReport | Started)]
    for event in back:
        if isinstance(event, ReasoningProof):
            seal = unwrap(event.signature or "")
            assert seal
            event.signature, event.issuer = seal.value, seal.issuer
    if any(isinstance(event, ToolCallStart) for event in events) and reason == "stop":
        back[-1] = Finish("stop")
    assert _joined(back) == _joined(events[1:-1])


def _joined(events: Iterable[Event]) -> list[Event]:
    """Return the events with each run of pieces as one."""
    joined: list[Event] = []
    for event in events:
        last = joined[-1] if joined else None
        if isinstance(event, TextDelta) and isinstance(last, TextDelta):
            joined[-1] = TextDelta(last.text + event.text)
        elif isinstance(event, ReasoningDelta) and isinstance(last, ReasoningDelta):
            joined[-1] = ReasoningDelta(last.text + event.text)
        else:
            joined.append(event)
    return joined


@given(st.lists(runs, max_size=4))
def test_a_chat_caller_gets_the_same_whole_as_streamed(emitted: list[list[Event]]) -> None:
    events = [
        Started("msg_1", "m"),
        *(event for run in emitted for event in run),
        Finish("stop"),
        UsageReport(Usage(3, 2)),
    ]
    answer = json.loads(whole(asked(thinking=THINKING), events))
    unfolded = [json.loads(raw.partition(b"data: ")[2]) for raw in messages.to_events(answer)]
    streamed = chat_answer.whole(read(*written(*events)), 0)
    again = chat_answer.whole(read(*unfolded), 0)
    assert {**json.loads(streamed), "id": ""} == {**json.loads(again), "id": ""}


FIELDS = ["type", "index", "delta", "content_block", "message", "usage", "text", "id", "name", "input", "partial_json"]
TYPES = ["text", "tool_use", "thinking", "text_delta", "input_json_delta", "signature_delta", "redacted_thinking"]
anything = st.recursive(
    st.none() | st.integers() | st.sampled_from(TYPES) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=12,
)
KINDS = ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "ping"]


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(FIELDS), anything)), max_size=6))
def test_any_chunk_is_decoded_without_an_error(chunks: list[tuple[str, dict[str, Any]]]) -> None:
    events = read(*({**chunk, "type": kind} for kind, chunk in chunks))
    written(*events)


# --- What is cited ----------------------------------------------------------------------------------------------------


def cited(*citations: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return an answer that looks a page up: words, a search, and words that rest on it."""
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    blocks = [
        {"type": "text", "text": "I look. "},
        search,
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        {"type": "text", "text": "It rains", "citations": list(citations)},
        {"type": "text", "text": "."},
    ]
    answer = {"id": "msg_1", "model": "c", "content": blocks, "stop_reason": "end_turn", "usage": {}}
    return [
        json.loads(event.data or b"") for raw in messages.to_events(answer) for event in sse.EventDecoder().feed(raw)
    ]


FOUND = {**PAGE, "title": "Weather", "cited_text": "It rains.", "encrypted_index": "E"}
NOTE = {"type": "url_citation", "url": "https://a.example", "title": "Weather", "start_index": 8, "end_index": 16}


def test_a_citation_covers_its_whole_block() -> None:
    events = read(*cited(FOUND))
    assert [event for event in events if isinstance(event, AnnotationAdded)] == [AnnotationAdded(NOTE)]
    texts = [event.text for event in events if isinstance(event, TextDelta)]
    assert "".join(texts)[8:16] == "It rains"
    assert events.index(AnnotationAdded(NOTE)) == events.index(TextDelta("It rains")) + 1


def test_a_citation_before_the_text_covers_the_same_block() -> None:
    def block(*deltas: Mapping[str, Any]) -> list[Event]:
        start = {"type": "content_block_start", "content_block": {"type": "text", "text": "", "citations": []}}
        emitted = ({"type": "content_block_delta", "delta": delta} for delta in deltas)
        return read(start, *emitted, {"type": "content_block_stop"})

    words: dict[str, Any] = {"type": "text_delta", "text": "It rains"}
    citation: dict[str, Any] = {"type": "citations_delta", "citation": {**FOUND, "title": None}}
    note = AnnotationAdded({**NOTE, "title": "", "start_index": 0, "end_index": 8})
    assert block(words, citation) == block(citation, words) == [TextDelta("It rains"), note]


def test_malformed_citations_are_ignored() -> None:
    assembler = MessagesAssembler()
    start = {"type": "text", "text": "", "citations": 3}
    assembler.add({"type": "content_block_start", "index": 0, "content_block": start})
    delta = {"type": "citations_delta", "citation": FOUND}
    assembler.add({"type": "content_block_delta", "index": 0, "delta": delta})
    assert assembler.answer()["content"][0]["citations"] == [FOUND]


@pytest.mark.parametrize("kind", ["char_location", "page_location", "content_block_location", "search_result_location"])
def test_citations_of_documents_are_left_out(kind: str) -> None:
    assert not [
        event for event in read(*cited({"type": kind, "cited_text": "x"})) if isinstance(event, AnnotationAdded)
    ]


@given(
    citation=st.recursive(
        st.none() | st.text(max_size=3), lambda inner: st.dictionaries(st.sampled_from(["type", "url", "title"]), inner)
    )
)
def test_any_citation_is_decoded_without_an_error(citation: Any) -> None:
    read(*cited(citation, {"type": "web_search_result_location", "url": citation, "title": citation}))


def test_translated_citations_are_not_sent_to_anthropic() -> None:
    foreign = {**PAGE, "cited_text": "", "encrypted_index": ""}
    talk = [
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "a", "citations": [foreign]},
                {"type": "text", "text": "b", "citations": [foreign, FOUND]},
            ],
        },
        {"role": "user", "content": "Go on"},
    ]
    body = json.loads(asked(messages=talk).for_provider("c", stream=False, keep_proof=unwrap))
    assert body["messages"][1]["content"] == [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b", "citations": [FOUND]},
    ]

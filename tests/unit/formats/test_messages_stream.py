"""A provider's answer in Messages: read from a stream, and converted between streamed and whole."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from vibe_router.core.errors import ApiError
from vibe_router.core.usage import Usage
from vibe_router.formats.common import sse
from vibe_router.formats.common.json_body import dump
from vibe_router.formats.interfaces import Piece
from vibe_router.formats.messages import stream as messages
from vibe_router.formats.messages.assembly import MessagesAssembler
from vibe_router.formats.messages.errors import error_body
from vibe_router.formats.messages.stream import MessagesStreamReader

EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
COUNTS = {
    "input_tokens": 5,
    "cache_creation_input_tokens": 2,
    "cache_read_input_tokens": 100,
    "output_tokens": 9,
    "output_tokens_details": {"thinking_tokens": 4},
}
START = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 5, "output_tokens": 1},
    },
}
STOP = {"type": "message_stop"}


def begin(block: object, index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(what: object, index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": what}


def finish(reason: object = "end_turn", **usage: object) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}


TEXT = begin({"type": "text", "text": ""})
HI = delta({"type": "text_delta", "text": "Hi"})
END = {"type": "content_block_stop", "index": 0}


def encoded(event: object) -> bytes:
    if isinstance(event, bytes):
        return event
    assert isinstance(event, dict)
    return messages.event(event) if isinstance(event.get("type"), str) else sse.encode(dump(event))


def read(*events: object) -> tuple[MessagesStreamReader, list[Piece]]:
    reader, decoder = MessagesStreamReader(), sse.EventDecoder()
    raw = b"".join(encoded(each) for each in events)
    return reader, [reader.read(event) for event in (*decoder.feed(raw), *decoder.flush())]


@pytest.mark.parametrize(
    ("event", "commits"),
    [
        pytest.param(START, False, id="the start"),
        pytest.param({"type": "ping"}, False, id="a ping"),
        pytest.param(b": PING\n\n", False, id="a comment"),
        pytest.param(b"event: ping\n\n", False, id="a ping without data"),
        pytest.param(b"data: {broken\n\n", False, id="a malformed event"),
        pytest.param(b"data: [DONE]\n\n", False, id="chat's end"),
        pytest.param(TEXT, False, id="an empty text begins"),
        pytest.param(begin({"type": "thinking", "thinking": "", "signature": ""}), False, id="a thought begins"),
        pytest.param(begin({"type": "thinking"}), False, id="a thought begins without a word"),
        pytest.param(begin(None), False, id="a malformed block"),
        pytest.param(delta(None), False, id="a malformed delta"),
        pytest.param(delta({"type": "text_delta", "text": ""}), False, id="an empty text"),
        pytest.param(delta({"type": "signature_delta", "signature": ""}), False, id="an empty signature"),
        pytest.param(END, False, id="a block ends"),
        pytest.param(finish(None), False, id="usage without a stop reason"),
        pytest.param({"type": "message_delta"}, False, id="a message delta without one"),
        pytest.param(STOP, False, id="the end"),
        pytest.param({"type": "message_new"}, False, id="an unknown event"),
        pytest.param(HI, True, id="text"),
        pytest.param(delta({"type": "text_delta", "text": " "}), True, id="text that is a space"),
        pytest.param(delta({"type": "thinking_delta", "thinking": "Hm"}), True, id="thinking"),
        pytest.param(delta({"type": "signature_delta", "signature": "abc"}), True, id="a signature"),
        pytest.param(delta({"type": "input_json_delta", "partial_json": ""}), True, id="arguments"),
        pytest.param(begin({"type": "text", "text": "Hi"}), True, id="a block that begins with its text"),
        pytest.param(begin({"type": "tool_use", "id": "t", "name": "look", "input": {}}), True, id="a tool call"),
        pytest.param(begin({"type": "redacted_thinking", "data": "x"}), True, id="redacted thinking"),
        pytest.param(begin({"type": "server_tool_use", "id": "t", "name": "web_search"}), True, id="a server's tool"),
        pytest.param(finish("refusal"), True, id="a reason alone"),
    ],
)
def test_the_first_content_commits(event: object, commits: bool) -> None:
    _, [piece] = read(event)
    assert piece.commits is commits


@pytest.mark.parametrize(
    ("events", "complete"),
    [
        pytest.param([START, TEXT, HI, END, finish(), STOP], True, id="complete"),
        pytest.param([START, TEXT, HI, END, finish()], True, id="without message_stop"),
        pytest.param([START, TEXT, HI, END, STOP], False, id="a stop without a reason"),
        pytest.param([START, TEXT, HI, END], False, id="cut"),
        pytest.param([START, TEXT, HI, finish(None), STOP], False, id="a null reason"),
        pytest.param([], False, id="nothing"),
        pytest.param([b"data: [DONE]\n\n"], False, id="chat's end alone"),
    ],
)
def test_a_stream_is_complete_with_a_stop_reason(events: Sequence[object], complete: bool) -> None:
    reader, _ = read(*events)
    assert reader.complete is complete


EMPTY_START = {"type": "message_start", "message": {"content": []}}


@pytest.mark.parametrize(
    ("events", "complete"),
    [
        pytest.param([EMPTY_START, finish(), STOP], False, id="neither content nor usage"),
        pytest.param([EMPTY_START, TEXT, END, finish(output_tokens=0), STOP], False, id="an empty text and no usage"),
        pytest.param([START, finish(), STOP], True, id="usage of the prompt"),
        pytest.param([EMPTY_START, finish("refusal"), STOP], True, id="a refusal"),
        pytest.param([EMPTY_START, finish("sensitive"), STOP], True, id="a content filter"),
    ],
)
def test_a_message_without_content_is_an_answer_only_with_usage_or_a_block(
    events: Sequence[object], complete: bool
) -> None:
    reader, pieces = read(*events)
    assert reader.complete is complete
    assert any(piece.commits for piece in pieces) is complete


@pytest.mark.parametrize("reason", ["error", "network_error", "abort", "insufficient_system_resource"])
def test_a_stop_reason_that_means_a_failure_is_an_error(reason: str) -> None:
    reader, pieces = read(START, TEXT, HI, END, finish(reason), STOP)
    assert reason.encode() in (pieces[-2].error or b"")
    assert not reader.complete


@pytest.mark.parametrize(
    ("parts", "reason", "failed"),
    [
        (['{"command":"rm -rf ', "./x"], "tool_use", True),
        (['{"command":"rm -rf /tmp/x"'], "tool_use", True),
        (['{"command":', '"ls"}'], "tool_use", False),
        ([], "tool_use", False),
        (['{"command":1,}'], "tool_use", False),
        (['{"command":"rm'], "max_tokens", False),
    ],
)
def test_a_truncated_call_never_ends_as_a_call(parts: Sequence[str], reason: str, failed: bool) -> None:
    call = begin({"type": "tool_use", "id": "t", "name": "Bash", "input": {}})
    pieces_of_input = [delta({"type": "input_json_delta", "partial_json": part}) for part in parts]
    reader, pieces = read(START, call, *pieces_of_input, END, finish(reason), STOP)
    assert any(piece.error for piece in pieces) is failed
    assert reader.complete is not failed


def test_an_error_without_data_before_it_is_an_error() -> None:
    raw = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    _, pieces = read(START, TEXT, HI, raw)
    assert b"overloaded_error" in (pieces[-1].error or b"")


def test_bytes_pass_untouched() -> None:
    raw = [
        b": a comment\n\n",
        b'event: message_start\r\ndata: {"type": "message_start",  "message": {}}\r\n\r\n',
        b'event: ping\ndata: {"type":"ping"}\n\n',
        b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"new","x":1.50}}\n\n',
    ]
    _, pieces = read(*raw)
    assert [piece.raw for piece in pieces] == raw


def test_a_missing_event_name_is_added() -> None:
    _, [piece] = read(b'data: {"type":"ping"}\n\n')
    assert piece.raw == b'event: ping\ndata: {"type":"ping"}\n\n'


def test_a_missing_message_stop_is_added_once() -> None:
    reader, _ = read(START, TEXT, HI, END, finish())
    assert reader.end() == b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    whole, _ = read(START, finish(), STOP)
    assert whole.end() == b""


def test_a_message_stop_without_a_stop_reason_is_dropped() -> None:
    _, pieces = read(START, TEXT, HI, END, STOP)
    assert (pieces[-1].raw, pieces[-1].done) == (b"", True)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        {"error": {"message": "Overloaded"}},
        {"error": "Overloaded"},
        b'event: error\ndata: {"message": "Overloaded"}\n\n',
    ],
)
def test_an_error_in_the_stream_is_not_passed_on(event: object) -> None:
    _, [piece] = read(event)
    assert piece.raw == b""
    assert b"Overloaded" in (piece.error or b"")


@pytest.mark.parametrize(
    ("events", "usage"),
    [
        pytest.param([START, finish(output_tokens=9)], Usage(5, 9), id="input at the start, output at the end"),
        pytest.param([finish(**COUNTS)], Usage(107, 9, 100, 2, 4), id="cached tokens count as prompt"),
        pytest.param([START, finish(input_tokens=0, output_tokens=2)], Usage(5, 2), id="a total is not taken back"),
        pytest.param([START, finish(input_tokens=6, output_tokens=2)], Usage(6, 2), id="the later total counts"),
        pytest.param([finish()], Usage(), id="none"),
        pytest.param([{"type": "message_delta", "usage": "many"}], Usage(), id="nonsense"),
        pytest.param([{"type": "message_start", "message": 3}], Usage(), id="a malformed message"),
    ],
)
def test_usage(events: Sequence[object], usage: Usage) -> None:
    reader, _ = read(*events)
    assert reader.usage == usage


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"{}",
        b'{"type":"error","error":{"type":"api_error","message":"x"}}',
        b'{"error":"x","content":[{"type":"text","text":"Hi"}]}',
        b'{"type":"message","content":[]}',
        b'{"type":"message","id":"","content":[],"stop_reason":"end_turn"}',
        b'{"content":[{"type":"text","text":""}],"stop_reason":"end_turn","usage":{"output_tokens":0}}',
        b'{"content":[{"type":"text","text":"Hi"}],"stop_reason":"network_error"}',
        b'{"type":"message","content":"Hi","stop_reason":"end_turn"}',
        b'{"type":"message","content":[3],"stop_reason":"end_turn"}',
    ],
)
def test_other_bodies_are_not_messages(raw: bytes) -> None:
    assert messages.read_whole(raw) is None


@pytest.mark.parametrize(
    ("status", "type_"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (405, "invalid_request_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
    ],
)
def test_errors_have_anthropics_types(status: int, type_: str) -> None:
    reported = json.loads(error_body(ApiError(status, "No.", type="auth_error")))
    assert reported == {"type": "error", "error": {"type": type_, "message": "No."}}


def test_an_error_has_the_routers_details() -> None:
    error = ApiError(429, "No.", code="all_deployments_failed", param="model", details={"attempts": [1]})
    reported = json.loads(error_body(error))["error"]
    assert reported["code"] == "all_deployments_failed"
    assert reported["param"] == "model"
    assert reported["attempts"] == [1]


def test_an_error_names_the_request() -> None:
    error = ApiError(404, "No.")
    error.request_id = "req-1"
    assert json.loads(error_body(error))["request_id"] == "req-1"


@pytest.mark.parametrize("message", ["maximum context length is 10", "Prompt is too long: 10 > 9"])
def test_a_context_length_error_has_anthropics_message(message: str) -> None:
    reported = json.loads(error_body(ApiError(400, message, code="context_length_exceeded")))
    assert reported["error"]["message"].lower().count("prompt is too long") == 1
    assert reported["error"]["message"].endswith(message)


def test_an_error_in_the_stream_has_its_event() -> None:
    assert MessagesStreamReader().fail(ApiError(502, "Cut.")) == (
        b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"Cut."}}\n\n'
    )


# --- Whole and streamed are the same ----------------------------------------------------------------------------------

words = st.text(max_size=12)
blocks = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, words),
    st.builds(lambda text, sign: {"type": "thinking", "thinking": text, "signature": sign}, words, words),
    st.builds(lambda data: {"type": "redacted_thinking", "data": data}, words),
    st.builds(
        lambda name, given: {"type": "tool_use", "id": "toolu_1", "name": name, "input": given},
        words,
        st.dictionaries(words, st.none() | st.integers() | words, max_size=3),
    ),
)
answers = st.builds(
    lambda content, reason, output: {
        **START["message"],  # type: ignore[dict-item]
        "content": content,
        "stop_reason": reason,
        "usage": {**COUNTS, "output_tokens": output},
    },
    st.lists(blocks, max_size=4),
    st.sampled_from(["end_turn", "tool_use", "max_tokens", "refusal"]),
    st.integers(0, 10_000),
)


@given(answers)
def test_a_message_survives_being_streamed(answer: dict[str, Any]) -> None:
    assembler, reader = MessagesAssembler(), MessagesStreamReader()
    for raw in messages.to_events(answer):
        [event] = sse.EventDecoder().feed(raw)
        piece = reader.read(event)
        assert piece.chunk is not None
        EVENTS.validate_python(piece.chunk)
        assembler.add(piece.chunk)
    assert assembler.answer() == answer
    Message.model_validate(assembler.answer())
    assert (reader.complete, reader.done, reader.malformed) == (True, True, 0)
    assert reader.usage == messages.usage_of(answer)
    assert messages.read_whole(dump(answer)) == answer


@given(answers, st.lists(st.integers(1, 40), max_size=60))
def test_a_stream_split_anywhere_is_read_alike(answer: dict[str, Any], cuts: Sequence[int]) -> None:
    raw = b"".join(messages.to_events(answer))
    decoder, reader, reported = sse.EventDecoder(), MessagesStreamReader(), b""
    start = 0
    for cut in (*cuts, len(raw)):
        for event in decoder.feed(raw[start : start + cut]):
            reported += reader.read(event).raw
        start += cut
    assert reported == raw
    assert reader.complete


def test_arguments_that_are_not_json_are_preserved() -> None:
    assembler = MessagesAssembler()
    for event in (
        START,
        begin({"type": "tool_use", "id": "t", "name": "look", "input": {}}),
        delta({"type": "input_json_delta", "partial_json": '{"city": "Ro'}),
        finish("max_tokens"),
    ):
        assembler.add(event)
    assert assembler.answer()["content"][0]["input"] == {"INVALID_JSON": '{"city": "Ro'}


@given(st.recursive(st.none() | st.booleans() | st.integers() | words, lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["type", "message", "delta", "usage", "content_block", "index", "error", "text"]), inner
)))  # fmt: skip
def test_any_event_is_read_without_an_error(value: object) -> None:
    for name in (b"", b"message_delta", b"error"):
        MessagesStreamReader().read(sse.Event(b"x", dump(value), name))
    messages.read_whole(dump(value))
    if isinstance(value, dict):
        for kind in ("message_start", "message_delta", "content_block_start", "content_block_delta"):
            MessagesStreamReader().read(sse.Event(b"x", dump({**value, "type": kind}), b""))
            MessagesAssembler().add({**value, "type": kind})

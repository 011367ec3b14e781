import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.core.errors import ApiError
from vibe_router.core.usage import Usage
from vibe_router.formats.chat import stream as chat
from vibe_router.formats.chat.stream import ChatStreamReader
from vibe_router.formats.common import sse
from vibe_router.formats.interfaces import Piece

DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def chunk(delta: object = None, *, index: object = 0, finish: object = None, **more: object) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {"id": "c-1", "object": "chat.completion.chunk", "model": "gpt-5", "choices": [choice], **more}


def read(*events: object, wants_usage: bool = False) -> tuple[ChatStreamReader, list[Piece]]:
    """Read events: bytes as they are, anything else as JSON."""
    reader, decoder = ChatStreamReader(wants_usage), sse.EventDecoder()
    raw = b"".join(each if isinstance(each, bytes) else sse.encode(json.dumps(each).encode()) for each in events)
    return reader, [reader.read(event) for event in (*decoder.feed(raw), *decoder.flush())]


@pytest.mark.parametrize(
    ("event", "commits"),
    [
        pytest.param(chunk({"role": "assistant"}), False, id="only a role"),
        pytest.param(chunk({"role": "assistant", "content": ""}), False, id="a role and empty content"),
        pytest.param(chunk({"role": "assistant", "content": None}), False, id="a role and null content"),
        pytest.param(chunk({"role": "assistant", "refusal": None, "tool_calls": []}), False, id="empty lists"),
        pytest.param(chunk({}), False, id="an empty delta"),
        pytest.param(chunk(None), False, id="a null delta"),
        pytest.param(chunk("text"), False, id="a delta that is no object"),
        pytest.param(chunk({}, finish=""), False, id="an empty finish reason"),
        pytest.param({"choices": []}, False, id="no choices"),
        pytest.param({"choices": [], "prompt_filter_results": [{}]}, False, id="only filter results"),
        pytest.param({"choices": None}, False, id="null choices"),
        pytest.param({"choices": [None, 3]}, False, id="choices that are no objects"),
        pytest.param({"choices": [], "usage": USAGE}, False, id="only usage"),
        pytest.param({"id": "c-1"}, False, id="nothing but an id"),
        pytest.param(b": PING\n\n", False, id="a comment"),
        pytest.param(b"event: ping\n\n", False, id="an event without data"),
        pytest.param(b"data: {broken\n\n", False, id="a malformed chunk"),
        pytest.param(chunk({"content": "Hi"}), True, id="content"),
        pytest.param(chunk({"content": " "}), True, id="content that is a space"),
        pytest.param(chunk({"reasoning_content": "Hm"}), True, id="reasoning"),
        pytest.param(chunk({"reasoning": "Hm"}), True, id="reasoning by its other name"),
        pytest.param(chunk({"refusal": "No."}), True, id="a refusal"),
        pytest.param(chunk({"tool_calls": [{"index": 0, "id": "t"}]}), True, id="a tool call"),
        pytest.param(chunk({"function_call": {"name": "look"}}), True, id="a function call"),
        pytest.param(chunk({"audio": {"id": "a", "data": "AA=="}}), True, id="audio"),
        pytest.param(chunk({}, finish="stop"), True, id="a finish reason alone"),
        pytest.param(
            chunk({"role": "assistant", "content": ""}, finish="content_filter"), True, id="a filtered answer"
        ),
        pytest.param(chunk({"content": "Hi"}, index=None), True, id="content of a choice without an index"),
        pytest.param({"choices": [{}, {"delta": {"content": "Hi"}}]}, True, id="content of the second choice"),
    ],
)
def test_events_that_commit(event: object, commits: bool) -> None:
    _, [piece] = read(event)
    assert piece.commits is commits


@pytest.mark.parametrize(
    ("events", "complete"),
    [
        pytest.param([chunk({"content": "Hi"}), DONE], False, id="DONE alone"),
        pytest.param([chunk({"content": "Hi"}), chunk({}, finish="stop")], True, id="a finish reason"),
        pytest.param([chunk({"content": "Hi"}), chunk({}, finish="stop"), DONE], True, id="both"),
        pytest.param([chunk({"content": "Hi"})], False, id="neither"),
        pytest.param([], False, id="nothing at all"),
        pytest.param([b": PING\n\n"], False, id="only comments"),
        pytest.param([{"choices": [], "usage": USAGE}], False, id="only usage"),
        pytest.param(
            [chunk({"content": "A"}), chunk({"content": "B"}, index=1), chunk({}, finish="stop")],
            False,
            id="one of two choices finished",
        ),
        pytest.param(
            [
                chunk({"content": "A"}),
                chunk({"content": "B"}, index=1),
                chunk({}, index=1, finish="length"),
                chunk({}, finish="stop"),
            ],
            True,
            id="both of two choices finished",
        ),
        pytest.param([chunk({"content": "Hi"}, index=None), chunk({}, finish="stop")], True, id="indices left out"),
        pytest.param([chunk({"content": "Hi"}, finish="")], False, id="an empty finish reason"),
        pytest.param([b"data:  [DONE] \n\n"], True, id="DONE with spaces around"),
    ],
)
def test_when_an_end_is_a_whole_answer(events: list[object], complete: bool) -> None:
    assert read(*events)[0].complete is complete


def test_the_bytes_of_a_healthy_stream_pass_untouched() -> None:
    raws = [
        b": PING\n\n",
        b'data:{"choices":[{"delta":{"content":"a"}}]}\r\n\r\n',
        b'event: x\nid: 4\ndata: {"choices":[{"delta":\ndata: {"content":"b"}}]}\n\n',
        b'data: {"choices" : [ {"delta":{},"finish_reason":"stop"} ], "unknown": 1.0}\n\n',
        DONE,
    ]
    _, pieces = read(*raws)
    assert [piece.raw for piece in pieces] == raws
    assert pieces[-1].done


@pytest.mark.parametrize("wants_usage", [True, False], ids=["wanted", "not wanted"])
def test_the_usage_chunk_is_passed_on_only_to_who_asked(wants_usage: bool) -> None:
    reader, [piece] = read({"choices": [], "usage": USAGE}, wants_usage=wants_usage)
    assert bool(piece.raw) is wants_usage
    assert reader.usage == Usage(7, 3)
    assert piece.chunk is not None, "who puts the stream together needs it"


def test_usage_in_a_chunk_with_content_is_counted_and_passed_on() -> None:
    reader, [first, last] = read(
        chunk({"content": "Hi"}, usage={"prompt_tokens": 7, "completion_tokens": 1}),
        chunk({}, finish="stop", usage=USAGE),
    )
    assert reader.usage == Usage(7, 3)
    assert first.raw
    assert last.raw


def test_a_null_usage_does_not_wipe_out_the_counted_one() -> None:
    reader, _ = read(chunk({"content": "Hi"}, usage=USAGE), chunk({}, finish="stop", usage=None))
    assert reader.usage == Usage(7, 3)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"{broken", id="broken JSON"),
        pytest.param(b'{"choices":[{"delta":{"content":"h', id="a cut chunk"),
        pytest.param(b"[]", id="an array"),
        pytest.param(b"null", id="null"),
        pytest.param(b"\xff\xfe", id="bytes that are not UTF-8"),
        pytest.param(b"", id="empty data"),
        pytest.param(b"[" * 100_000, id="nested too deeply"),
        pytest.param(b'{"a":' + b"9" * 5_000 + b"}", id="a number that is too large"),
    ],
)
def test_a_malformed_chunk_is_skipped_and_counted(data: bytes) -> None:
    reader, pieces = read(chunk({"content": "a"}), sse.encode(data), chunk({"content": "b"}, finish="stop"))
    assert [piece.malformed for piece in pieces] == [False, True, False]
    assert pieces[1].raw == b""
    assert reader.malformed == 1
    assert reader.complete


@pytest.mark.parametrize(
    ("event", "error"),
    [
        pytest.param(b'data: {"error":{"message":"m"}}\n\n', {"error": {"message": "m"}}, id="an object"),
        pytest.param(b'data: {"error":"overloaded"}\n\n', {"error": "overloaded"}, id="a string"),
        pytest.param(b'event: error\ndata: {"message":"m"}\n\n', {"error": {"message": "m"}}, id="by the event's name"),
        pytest.param(b'event: error\ndata: {"error":{"code":1}}\n\n', {"error": {"code": 1}}, id="by both"),
        pytest.param(
            b'data: {"choices":[],"error":{"code":502}}\n\n', {"choices": [], "error": {"code": 502}}, id="in a chunk"
        ),
    ],
)
def test_an_error_in_the_stream_is_reported_and_not_forwarded(event: bytes, error: object) -> None:
    reader, [piece] = read(event)
    assert piece.raw == b""
    assert piece.error is not None
    assert json.loads(piece.error) == error
    assert not piece.commits
    assert not reader.complete


def test_a_null_error_is_no_error() -> None:
    _, [piece] = read(chunk({"content": "Hi"}, error=None))
    assert piece.error is None
    assert piece.commits


def test_a_log_probability_of_minus_infinity_is_no_malformed_chunk() -> None:
    raw = b'data: {"choices":[{"delta":{"content":"Hi"},"logprobs":{"content":[{"logprob":-Infinity}]}}]}\n\n'
    _, [piece] = read(raw)
    assert piece.raw == raw
    assert piece.commits


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "stop", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "index", "delta", "content", "finish_reason", "usage", "error", "role"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(events=st.lists(json_values, max_size=4), wants_usage=st.booleans())
def test_no_chunk_breaks_the_reader(events: Sequence[object], wants_usage: bool) -> None:
    reader, pieces = read(*events, wants_usage=wants_usage)
    assert reader.malformed == sum(not isinstance(event, dict) for event in events)
    for piece in pieces:
        assert not (piece.raw and (piece.malformed or piece.error is not None))


@given(data=st.binary(max_size=60))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    _, pieces = read(b"data: " + data + b"\n\n")
    assert pieces


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        pytest.param(USAGE, Usage(7, 3), id="both"),
        pytest.param({"prompt_tokens": 7}, Usage(7, None), id="one"),
        pytest.param({"prompt_tokens": "7", "completion_tokens": 1.5}, Usage(), id="no whole numbers"),
        pytest.param(None, Usage(), id="null"),
        pytest.param([7, 3], Usage(), id="an array"),
    ],
)
def test_usage_is_read_as_the_provider_reported_it(usage: object, counted: Usage) -> None:
    assert chat.usage_of({"usage": usage}) == counted


def counts(prompt: int, completion: int, total: int, **more: object) -> dict[str, object]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total, **more}


THOUGHT_200 = {"completion_tokens_details": {"reasoning_tokens": 200}}
CACHED_60 = {"prompt_tokens_details": {"cached_tokens": 60}}


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        pytest.param(counts(100, 210, 310, **THOUGHT_200), (100, 210), id="reasoning within the completion"),
        pytest.param(counts(100, 10, 310, **THOUGHT_200), (100, 210), id="reasoning beside it (xAI)"),
        pytest.param({"prompt_tokens": 100, "completion_tokens": 10, **THOUGHT_200}, (100, 210), id="beside, no total"),
        pytest.param(counts(100, 10, 310), (100, 210), id="reasoning in the total only (Gemini)"),
        pytest.param(counts(100, 10, 310, reasoning_tokens=200), (100, 210), id="reasoning at the top level"),
        pytest.param(counts(100, 10, 110, **CACHED_60), (100, 10), id="a cache within the prompt"),
        pytest.param(counts(40, 10, 110, **CACHED_60), (100, 10), id="a cache beside it, by the total"),
        pytest.param(counts(40, 10, 50, **CACHED_60), (100, 10), id="a cache larger than the prompt"),
        pytest.param(counts(40, 10, 310, **CACHED_60, **THOUGHT_200), (100, 210), id="both beside"),
        pytest.param(counts(100, 10, 110, cached_tokens=60), (100, 10), id="a cache at the top level (Moonshot)"),
        pytest.param({"input_tokens": 100, "output_tokens": 10}, (100, 10), id="the names of Responses"),
        pytest.param(
            {"input_tokens": 40, "output_tokens": 10, "cache_read_input_tokens": 60}, (100, 10), id="Anthropic's names"
        ),
        pytest.param({"prompt_tokens": 0, "input_tokens": 9, "output_tokens": 3}, (9, 3), id="names of both"),
        pytest.param(counts(100, 10, 0), (100, 10), id="a total of nothing"),
        pytest.param({"prompt_tokens": 100.0, "completion_tokens": 10.0}, (100, 10), id="floats"),
        pytest.param({"completion_tokens": 10, "total_tokens": 110}, (100, 10), id="no prompt"),
        pytest.param({"prompt_tokens": 100, "total_tokens": 110}, (100, 10), id="no completion"),
        pytest.param(counts(0, 0, 0), (None, None), id="zeros"),
        pytest.param({"total_tokens": 9}, (None, None), id="a total alone"),
    ],
)
def test_usage_agrees_with_its_total(usage: dict[str, object], counted: tuple[int | None, int | None]) -> None:
    read_usage = chat.usage_of({"usage": usage})
    assert (read_usage.prompt_tokens, read_usage.completion_tokens) == counted
    if "cached_tokens" in str(usage):
        assert read_usage.cached_tokens == 60


@given(prompt=st.integers(1, 999), completion=st.integers(0, 999), beside=st.integers(0, 999))
def test_no_tokens_of_the_total_are_lost(prompt: int, completion: int, beside: int) -> None:
    usage = chat.usage_of({"usage": counts(prompt, completion, prompt + completion + beside)})
    assert usage.total_tokens == prompt + completion + beside


@pytest.mark.parametrize("place", ["choice", "x_groq"])
def test_usage_in_another_place_is_counted(place: str) -> None:
    last = chunk({}, finish="stop")
    last = {**last, "x_groq": {"usage": USAGE}} if place == "x_groq" else last
    if place == "choice":
        last["choices"][0]["usage"] = USAGE
    reader, _ = read(chunk({"content": "x"}), last)
    assert reader.usage == Usage(7, 3)


@pytest.mark.parametrize("word", ["error", "network_error", "abort", "insufficient_system_resource"])
@pytest.mark.parametrize("delta", [{}, {"content": "half"}, {"tool_calls": [{"index": 0}]}], ids=["", "text", "call"])
def test_a_finish_reason_that_is_a_failure_breaks_the_stream(word: str, delta: dict[str, Any]) -> None:
    reader, [piece, *_] = read(chunk(delta, finish=word), DONE)
    assert piece.error is not None
    assert word in json.loads(piece.error)["error"]["message"]
    assert (piece.raw, piece.commits, reader.complete) == (b"", False, False)


def test_an_error_in_a_choice_breaks_the_stream() -> None:
    failed = chunk({"content": ""})
    failed["choices"][0]["error"] = {"code": 502, "message": "Upstream idle timeout"}
    reader, [piece] = read(failed)
    assert piece.error is not None
    assert json.loads(piece.error)["error"]["code"] == 502
    assert not reader.complete


@pytest.mark.parametrize("word", ["null", "NONE"])
def test_a_finish_reason_that_spells_null_is_ignored(word: str) -> None:
    reader, [piece] = read(chunk({"role": "assistant"}, finish=word))
    assert not piece.commits
    assert not reader.complete


def test_invalid_events_are_not_forwarded() -> None:
    _, pieces = read(b"<html>no</html>\n\n", b'{"error":{"message":"Overloaded"}}\n\n', b": PING\n\n")
    assert [piece.raw for piece in pieces] == [b"", b"", b": PING\n\n"]
    assert pieces[1].error is not None


def test_an_error_event_is_one_event_and_no_done() -> None:
    event = chat.error_event(ApiError(502, "Broken\noff.", type="upstream_error", code="stream_truncated"))
    [decoded] = sse.EventDecoder().feed(event)
    assert decoded.data is not None
    assert json.loads(decoded.data)["error"]["code"] == "stream_truncated"

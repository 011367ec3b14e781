import json
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.formats.common.sse import COMMENT, Event, EventDecoder, EventTooLargeError, encode, event_name

TOKENS = (b"data: ", b"data:", b"data", b"event: error", b"id: 7", b":", b": PING", b"{}", b"\xe4\xbd\xa0", b" ")
ENDS = (b"\n", b"\r", b"\r\n")

wild = st.lists(st.sampled_from(TOKENS + ENDS * 3), max_size=30).map(b"".join)


@st.composite
def splits(draw: st.DrawFn, streams: st.SearchStrategy[bytes]) -> tuple[bytes, list[bytes]]:
    """A stream, and the same stream in pieces, cut anywhere; some pieces are empty."""
    stream = draw(streams)
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    return stream, [stream[start:end] for start, end in pairwise([0, *cuts, len(stream)])]


def decoded(pieces: Iterable[bytes]) -> list[Event]:
    decoder = EventDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.flush()


def contents(events: Iterable[Event]) -> list[tuple[bytes, bytes]]:
    return [(event.name, event.data) for event in events if event.data is not None]


def as_in_the_standard(stream: bytes) -> list[tuple[bytes, bytes]]:
    """Read `stream` line by line.

    Unlike in a browser, an event without its empty line counts, one without text, and a JSON object without a field.
    """
    events: list[tuple[bytes, bytes]] = []
    name, data = b"", list[bytes]()
    bare = list[bytes]()
    for line in [*stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"), b""]:
        if not line:
            if data:
                events.append((name, b"\n".join(data)))
            elif bare:
                events.append((b"error", b"\n".join(bare).strip()))
            name, data, bare = b"", [], []
            continue
        if bare or line.startswith(b"{"):
            bare.append(line)
            continue
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return events


@given(split=splits(wild | st.binary(max_size=60)))
def test_however_a_stream_is_cut_it_gives_the_same_events(split: tuple[bytes, list[bytes]]) -> None:
    stream, pieces = split
    assert decoded(pieces) == decoded([stream]) == decoded(bytes([byte]) for byte in stream)


@given(stream=wild)
def test_events_are_parsed_as_in_the_standard(stream: bytes) -> None:
    assert contents(decoded([stream])) == as_in_the_standard(stream)


@pytest.mark.parametrize("stream", [b'{"error":{"message":"m"}}', b'data: {"a":1}\n{"error":\n{"message":"m"}}\n\n'])
def test_a_json_error_in_no_field_is_an_error_event(stream: bytes) -> None:
    [event] = decoded([stream])
    assert event.name == b"error"
    assert event.data is not None
    assert json.loads(event.data) == {"error": {"message": "m"}}


def test_a_byte_order_mark_is_skipped_at_the_beginning_only() -> None:
    bom = b"\xef\xbb\xbf"
    [first, second] = decoded([bytes([byte]) for byte in bom + b"data: a\n\n" + bom + b"data: b\n\n"])
    assert (first.data, second.data) == (b"a", None)
    assert first.raw == b"data: a\n\n"


@given(split=splits(wild))
def test_no_byte_is_lost_added_or_changed(split: tuple[bytes, list[bytes]]) -> None:
    stream, pieces = split
    decoder = EventDecoder()
    raws = b"".join(event.raw for piece in pieces for event in decoder.feed(piece))
    assert stream.startswith(raws)
    rest = b"".join(event.raw for event in decoder.flush())
    assert rest.rstrip(b"\r\n") == stream[len(raws) :].rstrip(b"\r\n") or not stream[len(raws) :].strip()


@pytest.mark.parametrize("end", ENDS, ids=["LF", "CR", "CRLF"])
def test_an_event_ends_with_an_empty_line(end: bytes) -> None:
    first, second = b"event: a" + end + b"data: 1" + end * 2, b"data: 2" + end * 2
    assert decoded([first + second]) == [Event(first, b"1", b"a"), Event(second, b"2")]


@pytest.mark.parametrize(
    ("raw", "data", "name"),
    [
        pytest.param(b'data: {"a":1}\n\n', b'{"a":1}', b"", id="one line"),
        pytest.param(b"data:x\n\n", b"x", b"", id="no space after the colon"),
        pytest.param(b"data:  x\n\n", b" x", b"", id="only one space is the format's"),
        pytest.param(b"data: a\ndata: b\n\n", b"a\nb", b"", id="several lines of data"),
        pytest.param(b"data\n\n", b"", b"", id="a field without a colon"),
        pytest.param(b"id: 3\nevent: ping\ndata: x\nretry: 9\n\n", b"x", b"ping", id="other fields"),
        pytest.param(b": PING\n\n", None, b"", id="a comment"),
        pytest.param(b"event: ping\n\n", None, b"ping", id="an event without data"),
        pytest.param(b"\n\n", None, b"", id="empty lines"),
        pytest.param(b"dataset: x\n\n", None, b"", id="a field that only begins alike"),
        pytest.param(b": x\ndata: y\n\n", b"y", b"", id="a comment before data"),
        pytest.param(b"data: a: b\n\n", b"a: b", b"", id="a colon in the data"),
    ],
)
def test_an_event(raw: bytes, data: bytes | None, name: bytes) -> None:
    assert decoded([raw]) == [Event(raw, data, name)]


@pytest.mark.parametrize(
    ("rest", "data"),
    [
        pytest.param(b"data: [DONE]", [b"[DONE]"], id="no line end at all"),
        pytest.param(b"data: [DONE]\n", [b"[DONE]"], id="one line end"),
        pytest.param(b"data: [DONE]\r\n", [b"[DONE]"], id="one CRLF"),
        pytest.param(b"data: x\r\n\r", [b"x"], id="half of the last CRLF"),
        pytest.param(b"\n", [], id="only a line end"),
        pytest.param(b"", [], id="nothing"),
    ],
)
def test_the_last_event_counts_without_its_empty_line(rest: bytes, data: list[bytes]) -> None:
    decoder = EventDecoder()
    assert decoder.feed(rest) == []
    flushed = decoder.flush()
    assert [event.data for event in flushed] == data
    assert all(event.raw.endswith(b"\n\n") for event in flushed), "so that what follows is an event of its own"
    assert decoder.flush() == []


def test_an_event_without_an_end_is_rejected_before_it_fills_memory() -> None:
    decoder = EventDecoder()
    mebibyte = b"x" * 1024 * 1024
    for _ in range(16):
        assert decoder.feed(mebibyte) == []
    with pytest.raises(EventTooLargeError):
        decoder.feed(b"x")


@given(data=st.binary(max_size=40).filter(lambda data: not {10, 13} & set(data)), name=st.sampled_from([b"", b"error"]))
def test_encoded_values_are_decoded(data: bytes, name: bytes) -> None:
    assert contents(decoded([COMMENT, encode(data, name), COMMENT])) == [(name, data)]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("response.created", b"response.created"),
        ("\ud800", b"?"),
        ("x\r\ndata: y", b"xdata: y"),
        (None, b""),
        ([], b""),
        (3, b"3"),
    ],
)
def test_the_name_of_an_event_is_one_line_whatever_a_provider_sends(kind: object, name: bytes) -> None:
    assert event_name(kind) == name

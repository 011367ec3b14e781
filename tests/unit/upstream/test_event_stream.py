"""AWS's event stream encoding, as botocore reads it."""

import struct
import zlib
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from local.standin.bedrock import message
from vibe_router.upstream.event_stream import BrokenStreamError, Decoder


def framed(headers: bytes, payload: bytes = b"", length: int | None = None) -> bytes:
    """Return a message whose checksums hold, whatever is in it."""
    prelude = struct.pack("!II", 16 + len(headers) + len(payload) if length is None else length, len(headers))
    raw = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return raw + struct.pack("!I", zlib.crc32(raw))


def header(name: bytes, kind: int, value: bytes) -> bytes:
    return struct.pack("!B", len(name)) + name + struct.pack("!B", kind) + value


texts = st.text(st.characters(codec="utf-8"), max_size=20)
messages = st.lists(
    st.tuples(st.dictionaries(st.sampled_from([":event-type", ":message-type", "x"]), texts), st.binary(max_size=40)),
    max_size=4,
)


@given(events=messages, sizes=st.lists(st.integers(1, 50), min_size=1))
def test_events_are_read_as_botocore_reads_them(events: list[tuple[dict[str, str], bytes]], sizes: list[int]) -> None:
    raw = b"".join(message(headers, payload) for headers, payload in events)
    decoder, read, at = Decoder(), [], 0
    while at < len(raw):
        size = sizes[at % len(sizes)]
        read += decoder.feed(raw[at : at + size])
        at += size
    assert read == events
    buffer = EventStreamBuffer()
    buffer.add_data(raw)
    again: Any = [(each.headers, each.payload) for each in buffer]  # stubs take headers for numbers
    assert read == again


def test_only_text_headers_are_read() -> None:
    raw = b"".join(
        [
            header(b"true", 0, b""),
            header(b"false", 1, b""),
            header(b"byte", 2, b"\x01"),
            header(b"short", 3, b"\x00\x01"),
            header(b"int", 4, bytes(4)),
            header(b"long", 5, bytes(8)),
            header(b"bytes", 6, b"\x00\x03abc"),
            header(b"time", 8, bytes(8)),
            header(b"uuid", 9, bytes(16)),
            header(b"text", 7, b"\x00\x02hi"),
        ]
    )
    buffer = EventStreamBuffer()
    buffer.add_data(framed(raw, b"{}"))
    [known] = buffer
    headers: Any = known.headers  # as above
    assert len(headers) == 10
    assert Decoder().feed(framed(raw, b"{}")) == [({"text": "hi"}, b"{}")]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(framed(header(b"x", 10, b"")), id="an unknown type"),
        pytest.param(framed(header(b"x", 7, b"\x00\x09hi")), id="a text that goes on"),
        pytest.param(framed(b"\x09x"), id="a name that goes on"),
        pytest.param(framed(b"\x01x"), id="a header without a value"),
        pytest.param(framed(header(b"x", 7, b"\x00\x01\xff")), id="no text"),
        pytest.param(framed(b"", length=1 << 30), id="a message without an end"),
        pytest.param(framed(b"", length=8), id="a message without a beginning"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", id="something else"),
    ],
)
def test_a_malformed_event_stream_is_rejected(raw: bytes) -> None:
    with pytest.raises(BrokenStreamError):
        Decoder().feed(raw)

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.payload import WORD
from bench.wire import Message, WireError, read_message

EVENTS = (b'data: {"role": "assistant"}\n\n', b"data: " + WORD + b" 0\n\n", b"data: [DONE]\n\n")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(
    b"%x\r\n%b\r\n" % (len(event), event) for event in EVENTS
)
STREAM = CHUNKED + b"0\r\n\r\n"
TRAILED = CHUNKED + b"0\r\nLambda-Runtime-Function-Error-Type: Broken\r\n\r\n"
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n" + WORD + b" 1"
UNTIL_END = b"HTTP/1.0 200 OK\r\n\r\n" + WORD
NEXT = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: a\r\n\r\n"


class Parts:
    """A connection on which these bytes come, one part after the other, and then its end or nothing more."""

    def __init__(self, parts: Sequence[bytes], *, ends: bool) -> None:
        self._parts = [*parts, b""] if ends else list(parts)

    def recv(self, size: int, /) -> bytes:
        assert self._parts, "it waits for more than there is"
        return self._parts.pop(0)


def sent(*parts: bytes, end: bool = True) -> Message | None:
    return read_message(Parts(parts, ends=end))


@given(st.lists(st.integers(1, len(STREAM) - 1), unique=True, max_size=6))
def test_a_stream_is_the_same_however_it_is_cut(cuts: list[int]) -> None:
    bounds = [0, *sorted(cuts), len(STREAM)]
    message = sent(*(STREAM[begin:end] for begin, end in pairwise(bounds)), end=False)
    assert message is not None
    assert message.body() == b"".join(EVENTS)
    assert message.first_token_at is not None
    assert message.first_token_at <= message.ended_at


@pytest.mark.parametrize(
    ("raw", "end", "body"),
    [
        pytest.param(STREAM, False, b"".join(EVENTS), id="chunked, on a connection that stays"),
        pytest.param(TRAILED, False, b"".join(EVENTS), id="chunked, with trailers"),
        pytest.param(WHOLE, False, WORD + b" 1", id="with a length"),
        pytest.param(UNTIL_END, True, WORD, id="up to the connection's end"),
        pytest.param(NEXT, False, b"", id="a request without a body"),
    ],
)
def test_every_framing_is_read(raw: bytes, end: bool, body: bytes) -> None:
    message = sent(raw, end=end)
    assert message is not None
    assert message.body() == body


def test_the_first_token_is_distinguished_from_the_role() -> None:
    role_only = sent(STREAM.replace(WORD, b"nothing"))
    assert role_only is not None
    assert role_only.first_token_at is None


def test_a_connection_that_ended_before_a_message_is_none() -> None:
    assert sent() is None


@pytest.mark.parametrize("length", [10, len(CHUNKED), len(STREAM) - 1])
def test_a_message_that_breaks_off_is_an_error(length: int) -> None:
    with pytest.raises(WireError, match="ended within"):
        sent(STREAM[:length])


@pytest.mark.parametrize(("header", "closes"), [(b"Connection: close", True), (b"Connection: keep-alive", False)])
def test_a_message_indicates_whether_the_connection_ends(header: bytes, closes: bool) -> None:
    message = sent(WHOLE.replace(b"content-length", header + b"\r\ncontent-length"))
    assert message is not None
    assert message.closes is closes

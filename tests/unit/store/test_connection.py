"""Answers as they come over a connection, in pieces of any size."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.store.connection import HttpResponse, InvalidResponseError, read_response


class Incoming:
    """A socket whose data come in the pieces that are given, and then end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def sendall(self, _data: bytes, /) -> None:
        raise AssertionError("nothing is sent while an answer is read")

    def recv(self, _size: int, /) -> bytes:
        return next(self._pieces, b"")


def read(*pieces: bytes) -> HttpResponse:
    return read_response(Incoming(iter(pieces)))


WHOLE = b'HTTP/1.1 400 Bad Request\r\nContent-Length: 8\r\nX-Amzn-RequestId:  ABC\r\nEmpty:\r\n\r\n{"a": 1}'


@given(st.lists(st.integers(1, len(WHOLE) - 1), unique=True).map(sorted))
def test_an_answer_is_read_in_any_pieces(cuts: list[int]) -> None:
    pieces = [WHOLE[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(WHOLE)], strict=True)]
    assert read(*pieces) == HttpResponse(
        400, {"content-length": "8", "x-amzn-requestid": "ABC", "empty": ""}, b'{"a": 1}'
    )


@pytest.mark.parametrize("end", range(len(WHOLE)))
def test_a_truncated_answer_is_an_error(end: int) -> None:
    with pytest.raises(InvalidResponseError):
        read(WHOLE[:end] or b"")


CHUNKS = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{"a"\r\n4;x=y\r\n: 1}\r\n0\r\nTrailer: x\r\n\r\n'


@given(st.lists(st.integers(1, len(CHUNKS) - 1), unique=True).map(sorted))
def test_chunks_are_read_in_any_pieces(cuts: list[int]) -> None:
    pieces = [CHUNKS[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(CHUNKS)], strict=True)]
    assert read(*pieces).body == b'{"a": 1}'


@pytest.mark.parametrize("end", range(len(CHUNKS)))
def test_truncated_chunks_are_an_error(end: int) -> None:
    with pytest.raises(InvalidResponseError):
        read(CHUNKS[:end])


NO_ANSWERS = {
    "nothing of HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
    "a status in other digits": "HTTP/1.1 ２００ OK\r\nContent-Length: 0\r\n\r\n".encode(),
    "no length": b"HTTP/1.1 200 OK\r\n\r\n{}",
    "a chunk without size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n{}\r\n0\r\n\r\n",
    "a chunk of a negative size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    "a chunk too large": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n{}",
    "a chunk longer than its size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    "chunks without end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
    "more than the chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{}",
    "a size without end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 90_000,
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "a length without end": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
    "a length beyond all": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n",
    "more than was announced": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}",
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000,
}


@pytest.mark.parametrize("came", NO_ANSWERS)
def test_an_invalid_answer_is_an_error(came: str) -> None:
    with pytest.raises(InvalidResponseError):
        read(NO_ANSWERS[came])


@given(st.sampled_from([b"HTTP/1.1 200 OK\r\n", CHUNKS[:47]]), st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_an_error(head: bytes, came: bytes) -> None:
    try:
        answer = read(head + came)
    except InvalidResponseError:
        return
    assert answer.status == 200

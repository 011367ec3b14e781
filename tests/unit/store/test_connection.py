"""Answers as they come over a connection, in pieces of any size."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.store.connection import Answer, NoAnswerError, read_answer


class Incoming:
    """A socket whose data come in the pieces that are given, and then end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def sendall(self, _data: bytes, /) -> None:
        raise AssertionError("nothing is sent while an answer is read")

    def recv(self, _size: int, /) -> bytes:
        return next(self._pieces, b"")


def read(*pieces: bytes) -> Answer:
    return read_answer(Incoming(iter(pieces)))


WHOLE = b'HTTP/1.1 400 Bad Request\r\nContent-Length: 8\r\nX-Amzn-RequestId:  ABC\r\nEmpty:\r\n\r\n{"a": 1}'


@given(st.lists(st.integers(1, len(WHOLE) - 1), unique=True).map(sorted))
def test_an_answer_is_read_in_any_pieces(cuts: list[int]) -> None:
    pieces = [WHOLE[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(WHOLE)], strict=True)]
    assert read(*pieces) == Answer(400, {"content-length": "8", "x-amzn-requestid": "ABC", "empty": ""}, b'{"a": 1}')


@pytest.mark.parametrize("end", range(len(WHOLE)))
def test_a_truncated_answer_is_an_error(end: int) -> None:
    with pytest.raises(NoAnswerError):
        read(WHOLE[:end] or b"")


NO_ANSWERS = {
    "nothing of HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
    "a status in other digits": "HTTP/1.1 ２００ OK\r\nContent-Length: 0\r\n\r\n".encode(),
    "no length": b"HTTP/1.1 200 OK\r\n\r\n{}",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "a length without end": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
    "a length beyond all": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n",
    "more than was announced": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}",
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000,
}


@pytest.mark.parametrize("came", NO_ANSWERS)
def test_an_invalid_answer_is_an_error(came: str) -> None:
    with pytest.raises(NoAnswerError):
        read(NO_ANSWERS[came])


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_an_error(came: bytes) -> None:
    try:
        answer = read(b"HTTP/1.1 200 OK\r\n" + came)
    except NoAnswerError:
        return
    assert answer.status == 200

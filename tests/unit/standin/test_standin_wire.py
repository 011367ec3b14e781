"""Reading requests from bytes, however they are cut, and refusing what is no request."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.standin.wire import BadHttp, Head, RequestReader, chunk, plain

PASSTHROUGH = b"POST /ark/v1/chat/completions?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST /ark/v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;note=x\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: y\r\n\r\n"
)
CHUNKED_BARE = b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


def _read(data: bytes, cuts: list[int]) -> list[tuple[Head, bytes]]:
    """Feed the bytes cut at these places; return the requests that come out."""
    reader, found = RequestReader(), []
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    for start, end in pairwise(places):
        reader.feed(data[start:end])
        while (head := reader.head()) is not None and (body := reader.body()) is not None:
            found.append((head, body))
    return found


@given(st.lists(st.integers(0, 400), max_size=20))
def test_requests_cut_anywhere_are_read_the_same(cuts: list[int]) -> None:
    found = _read(PASSTHROUGH + CHUNKED + b"\r\n" + PASSTHROUGH + CHUNKED_BARE, cuts)
    assert [body for _, body in found] == [b"hello"] * 4
    assert found[0][0].query == {"x": "1"}
    assert found[1][0].path == "/ark/v1/chat/completions"


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda end: PASSTHROUGH[:30] + end + b"\r\n\r\n"))
def test_no_bytes_make_the_reader_fail_in_any_other_way_than_its_own(data: bytes) -> None:
    status = 200
    try:
        _read(data, [len(data) // 2])
    except BadHttp as bad:
        status = bad.status
    assert status in (200, 400, 413, 431, 501, 505)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"GET\r\n\r\n", 400, id="a request line of one word"),
        pytest.param(b"GET http://x/ HTTP/1.1\r\n\r\n", 400, id="an absolute target"),
        pytest.param(b"GET / HTTP/3\r\n\r\n", 505, id="another version"),
        pytest.param(b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, id="a header without a colon"),
        pytest.param(b"GET / HTTP/1.1\r\nbad name: x\r\n\r\n", 400, id="a space in a header's name"),
        pytest.param(b"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400, id="a negative length"),
        pytest.param(b"GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400, id="two lengths"),
        pytest.param(b"GET / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n", 413, id="a body over the limit"),
        pytest.param(
            b"GET / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400, id="length and encoding"
        ),
        pytest.param(b"GET / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", 501, id="an unknown encoding"),
        pytest.param(b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400, id="a chunk of no size"),
        pytest.param(
            b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc\r\n", 400, id="a chunk that is longer"
        ),
        pytest.param(b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000, 431, id="a head that does not end"),
    ],
)
def test_invalid_requests_are_rejected(data: bytes, status: int) -> None:
    with pytest.raises(BadHttp) as caught:
        _read(data, [])
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("request_line", "connection", "kept"),
    [
        pytest.param("GET / HTTP/1.1", "", True, id="1.1 is kept"),
        pytest.param("GET / HTTP/1.1", "close", False, id="1.1 closes when asked"),
        pytest.param("GET / HTTP/1.0", "", False, id="1.0 closes"),
        pytest.param("GET / HTTP/1.0", "keep-alive", True, id="1.0 is kept when asked"),
    ],
)
def test_connections_persist_by_the_rules_of_http(request_line: str, connection: str, kept: bool) -> None:
    [(head, _)] = _read(f"{request_line}\r\nConnection: {connection}\r\n\r\n".encode(), [])
    assert head.keep_alive is kept


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("Authorization: Bearer k1", "k1"),
        ("authorization: bearer  k2", "k2"),
        ("x-api-key: k3", "k3"),
        ("api-key: k4", "k4"),
        ("X-Goog-Api-Key: k5", "k5"),
        ("Authorization: Basic k6", ""),
        ("Authorization: Bearer ", ""),
        ("Other: k7", ""),
    ],
)
def test_the_key_is_found_in_any_header_that_clients_use(header: str, key: str) -> None:
    [(head, _)] = _read(f"GET / HTTP/1.1\r\n{header}\r\n\r\n".encode(), [])
    assert head.key == key


def test_framing() -> None:
    assert chunk(b"hello") == b"5\r\nhello\r\n"
    assert chunk(b"") == b""
    assert plain(200, {"a": "b"}, b"hi") == b"HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 2\r\n\r\nhi"
    assert plain(204, {}, b"hi") == b"HTTP/1.1 204 No Content\r\n\r\n"
    assert plain(529, {}, b"").startswith(b"HTTP/1.1 529 Unknown\r\n")

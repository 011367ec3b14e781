"""Chunks that are merged, as h11 reads them."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.upstream.chunk_merger import ChunkMerger

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EARLY = b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
PIECES = st.lists(st.integers(1, 40), max_size=30)


def chunked(chunks: list[bytes], trailers: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in chunks) + b"0\r\n" + trailers + b"\r\n"


def read(pieces: list[bytes]) -> tuple[bytes, int, str]:
    """Return what h11 makes of an answer that ends with the connection: its body, its events, and how it ended."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="POST", target="/", headers=[("host", "a")]))
    connection.send(h11.EndOfMessage())
    body, events, waiting = b"", 0, [*pieces, b""]
    try:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(waiting.pop(0))
            elif isinstance(event, h11.Data):
                body, events = body + bytes(event.data), events + 1
            elif isinstance(event, h11.EndOfMessage):
                return body, events, "complete"
    except h11.RemoteProtocolError:
        return body, events, "broken"
    except IndexError:
        return body, events, "open"


def merged(pieces: list[bytes]) -> list[bytes]:
    merger = ChunkMerger()
    merger.begin()
    out = [found for piece in pieces if (found := merger.feed(piece))]
    return [*out, *filter(None, [merger.flush()])]


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces: list[bytes] = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [piece for piece in [*pieces, data] if piece]


ANSWERS = st.one_of(
    st.builds(lambda chunks, end: HEAD + chunked(chunks, end), st.lists(st.binary(min_size=1, max_size=30), max_size=8),
              st.sampled_from([b"", b"X: y\r\n"])),
    st.builds(lambda body: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body, st.binary(max_size=60)),
    st.builds(lambda body: b"HTTP/1.1 200 OK\r\n\r\n" + body, st.binary(max_size=60)),
    st.builds(lambda rest: HEAD + rest, st.binary(max_size=40)),
    st.builds(lambda rest: HEAD + b"2\r\nab" + rest, st.binary(max_size=20)),
    st.builds(lambda body: EARLY + HEAD + chunked([body]), st.binary(min_size=1, max_size=9)),
    st.binary(max_size=40),
)  # fmt: skip


@given(ANSWERS, PIECES, st.integers(0, 60))
def test_h11_reads_the_same(answer: bytes, sizes: list[int], lost: int) -> None:
    answer = answer[: len(answer) - lost]
    pieces = cut(answer, sizes)
    body, _, end = read(merged(pieces))
    expected, _, expected_end = read(pieces)
    assert end == expected_end
    # Of a broken answer either may have read more.
    assert body == expected if end == "complete" else (body.startswith(expected) or expected.startswith(body))


def test_the_chunks_of_one_packet_become_one() -> None:
    events = [b"data: %d\n\n" % number for number in range(100)]
    body, count, end = read(merged([HEAD + chunked(events)]))
    assert (body, count, end) == (b"".join(events), 1, "complete")


def test_a_part_of_a_chunk_is_passed_on_at_once() -> None:
    merger = ChunkMerger()
    merger.begin()
    assert merger.feed(HEAD + b"10\r\nfirst") == HEAD + b"5\r\nfirst\r\n"
    assert merger.feed(b"second") == b"6\r\nsecond\r\n"
    assert merger.feed(b"third\r\n0\r\n\r\n") == b"5\r\nthird\r\n0\r\n\r\n"


@pytest.mark.parametrize("pieces", [[HEAD + b"2;a=b\r\nab\r\n0\r\n\r\n"], [HEAD, b"zz\r\n"], [b"x" * 70_000]])
def test_what_is_unusual_is_passed_on_as_it_is(pieces: list[bytes]) -> None:
    assert b"".join(merged(pieces)) == b"".join(pieces)


def test_a_connection_serves_several_answers() -> None:
    merger = ChunkMerger()
    for _ in range(2):
        merger.begin()
        assert merger.feed(HEAD + chunked([b"a", b"b"])) == HEAD + b"2\r\nab\r\n0\r\n\r\n"

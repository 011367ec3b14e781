"""The fast stand-in provider: rendered answers, served by a process of its own.

    python -m bench.provider [PORT]

Its base URL is its first line of output. It ends when its standard input does.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from functools import cache
from typing import cast

from . import payload

__all__ = ["main"]

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n%b\r\n\r\n"


class _Connection(asyncio.Protocol):
    """The requests of one connection, in order. Parses only the HTTP that API clients send."""

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        body = _body(head, rest)
        if body is None:
            return
        self._buffer = b""
        if not head.startswith(b"POST "):
            self._transport.write(_not_found())
            return
        wanted = json.loads(body)
        words = wanted.get("max_tokens") or wanted.get("max_completion_tokens") or payload.CALL_WORDS
        if not wanted.get("stream"):
            self._transport.write(_whole(wanted["model"], words))
        elif wanted.get("user") == payload.PACED:
            self._write_paced(iter(_stream(wanted["model"], words)).__next__)
        else:
            for part in _stream(wanted["model"], words):
                self._transport.write(part)

    def _write_paced(self, next_part: Callable[[], bytes]) -> None:
        try:
            self._transport.write(next_part())
        except StopIteration:
            return
        asyncio.get_running_loop().call_later(payload.PACE_SECONDS, self._write_paced, next_part)


def _body(head: bytes, rest: bytes) -> bytes | None:
    """Return the request's body, None while it is incomplete."""
    for line in head.lower().split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return rest if len(rest) >= int(value) else None
        if name == b"transfer-encoding":
            return _unchunked(rest)
    return b""


def _unchunked(rest: bytes) -> bytes | None:
    body = b""
    while True:
        size_line, separator, rest = rest.partition(b"\r\n")
        if not separator:
            return None
        size = int(size_line, 16)
        if len(rest) < size + 2:
            return None
        if size == 0:
            return body
        body, rest = body + rest[:size], rest[size + 2 :]


@cache
def _whole(model: str, words: int) -> bytes:
    body = payload.completion(model, words)
    return _HEAD % (b"application/json", b"Content-Length: %d" % len(body)) + body


@cache
def _stream(model: str, words: int) -> tuple[bytes, ...]:
    """Return the writes of a stream: the head, then each event as a chunk."""
    framed = [b"%x\r\n%b\r\n" % (len(event), event) for event in payload.chunks(model, words)]
    return _HEAD % (b"text/event-stream", b"Transfer-Encoding: chunked"), *framed, b"0\r\n\r\n"


def _not_found() -> bytes:
    return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", port)
    ended = asyncio.Event()
    loop.add_reader(0, ended.set)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await ended.wait()
    server.close()


def main() -> None:
    """Serve on the port that the command line names, else on a free one."""
    asyncio.run(_serve(int(sys.argv[1]) if len(sys.argv) > 1 else 0))


if __name__ == "__main__":
    main()

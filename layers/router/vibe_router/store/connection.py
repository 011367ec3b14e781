"""A persistent HTTP/1.1 connection for AWS's JSON APIs: one request, one response.

http.client takes two packets per request and parses headers as e-mail: 0.23 ms of processor time per call instead of
0.1 (Python 3.11, a request and a response of DynamoDB's size), which a caller waits for.
"""

import re
import select
import socket
import ssl
from collections.abc import Mapping
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

__all__ = ["Connection", "HttpResponse", "InvalidResponseError", "read_response"]

_MAX_HEAD_BYTES = 64 * 1024
_MAX_BODY_BYTES = 16 * 1024 * 1024  # DynamoDB's largest response is that of a BatchGetItem
_READ_BYTES = 64 * 1024
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")
_LENGTH = re.compile(r"[0-9]{1,9}")
_STATUS = re.compile(r"HTTP/1\.[01] ([0-9]{3})(?: |$)")


class InvalidResponseError(Exception):
    """The bytes received are not a supported response. Close the connection."""


class HttpResponse(NamedTuple):
    """An HTTP response; the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Socket(Protocol):
    def sendall(self, data: bytes, /) -> None: ...
    def recv(self, size: int, /) -> bytes: ...


class Connection:
    """A connection to the host of `url`; creating it connects. `read_seconds` limits the wait for each packet.

    `tls` verifies an https host; by default, with the machine's own authorities. Raises OSError.
    """

    def __init__(
        self, url: str, *, connect_seconds: float, read_seconds: float, tls: ssl.SSLContext | None = None
    ) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        host = parts.hostname or ""
        connected = socket.create_connection((host, parts.port or (443 if secure else 80)), connect_seconds)
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if secure:
                connected = (tls or ssl.create_default_context()).wrap_socket(connected, server_hostname=host)
            connected.settimeout(read_seconds)
        except BaseException:
            connected.close()
            raise
        self._socket = connected
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    @property
    def is_open(self) -> bool:
        """Return whether the server has left the idle connection open."""
        # A server sends nothing between two requests, so a readable socket has been closed.
        readable, _, _ = select.select([self._socket], [], [], 0)
        return not readable

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def post(self, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        """Send a POST and return its response. `headers` must include Host. Raises OSError and InvalidResponseError."""
        return self._send("POST", headers, body)

    def put(self, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        """Send a PUT and return its response, as `post` does."""
        return self._send("PUT", headers, body)

    def get(self, headers: Mapping[str, str]) -> HttpResponse:
        """Send a GET and return its response, as `post` does."""
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        self._socket.sendall(f"GET {self._target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))
        return read_response(self._socket)

    def _send(self, method: str, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = f"{method} {self._target} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode("latin-1") + body)
        return read_response(self._socket)


def read_response(incoming: _Socket) -> HttpResponse:
    """Read one response. Raises InvalidResponseError for an invalid one, and OSError."""
    received = b""
    while (end := received.find(b"\r\n\r\n")) < 0:
        if len(received) > _MAX_HEAD_BYTES:
            raise InvalidResponseError("the headers are too long")
        received += _receive(incoming)
    status, headers = _parse_head(received[:end])
    if headers.get("transfer-encoding", "").lower() == "chunked":  # not AWS's way, but that of servers like it
        return HttpResponse(status, headers, _read_chunks(incoming, received[end + 4 :]))
    length = headers.get("content-length", "")
    if not _LENGTH.fullmatch(length) or int(length) > _MAX_BODY_BYTES:
        raise InvalidResponseError("the Content-Length is missing or too large")
    parts = [received[end + 4 :]]
    missing = int(length) - len(parts[0])
    while missing > 0:
        parts.append(_receive(incoming))
        missing -= len(parts[-1])
    if missing:
        raise InvalidResponseError("the response is longer than its Content-Length")
    return HttpResponse(status, headers, b"".join(parts))


def _read_chunks(incoming: _Socket, received: bytes) -> bytes:
    """Read a body in chunks, of which `received` has arrived, up to the last chunk and its trailers."""
    body: list[bytes] = []
    left = _MAX_BODY_BYTES
    while True:
        while (end := received.find(b"\r\n")) < 0:
            received = _more(incoming, received)
        size = received[:end].partition(b";")[0].strip()
        if not _CHUNK_SIZE.fullmatch(size) or int(size, 16) > left:
            raise InvalidResponseError("a chunk has no size, or the response is too large")
        start, length = end + 2, int(size, 16)
        if not length:
            break
        left -= length
        parts, missing = [received[start:]], length + 2 - len(received[start:])
        while missing > 0:
            parts.append(_receive(incoming))
            missing -= len(parts[-1])
        received = b"".join(parts)
        if received[length : length + 2] != b"\r\n":
            raise InvalidResponseError("a chunk is longer than its size")
        body.append(received[:length])
        received = received[length + 2 :]
    trailers = received[end:]  # the line break of the last size, and another one after the trailers
    while b"\r\n\r\n" not in trailers:
        trailers = _more(incoming, trailers)
    if not trailers.endswith(b"\r\n\r\n"):
        raise InvalidResponseError("the response is longer than its chunks")
    return b"".join(body)


def _more(incoming: _Socket, received: bytes) -> bytes:
    if len(received) > _MAX_HEAD_BYTES:
        raise InvalidResponseError("a line is too long")
    return received + _receive(incoming)


def _receive(incoming: _Socket) -> bytes:
    data = incoming.recv(_READ_BYTES)
    if not data:
        raise InvalidResponseError("the connection was closed")
    return data


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    if not (status := _STATUS.match(first)):
        raise InvalidResponseError("the response is not HTTP")
    fields = (line.partition(":") for line in lines)
    return int(status[1]), {name.lower(): value.strip() for name, _, value in fields}

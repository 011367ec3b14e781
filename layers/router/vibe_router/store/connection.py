"""A persistent HTTP/1.1 connection for AWS's JSON APIs: one request, one answer of a known length.

http.client takes two packets per request and parses headers as e-mail: 0.23 ms of processor time per call instead of
0.1 (Python 3.11, a request and an answer of DynamoDB's size), which a caller waits for.
"""

import re
import select
import socket
import ssl
from collections.abc import Mapping
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

__all__ = ["Answer", "Connection", "NoAnswerError", "read_answer"]

_MOST_HEAD = 64 * 1024
_MOST_BODY = 16 * 1024 * 1024  # DynamoDB's largest is a BatchGetItem's
_AT_ONCE = 64 * 1024
_LENGTH = re.compile(r"[0-9]{1,9}")
_STATUS = re.compile(r"HTTP/1\.[01] ([0-9]{3})(?: |$)")


class NoAnswerError(Exception):
    """The bytes received are not a supported answer. Close the connection."""


class Answer(NamedTuple):
    """An HTTP answer; the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Socket(Protocol):
    def sendall(self, data: bytes, /) -> None: ...
    def recv(self, size: int, /) -> bytes: ...


class Connection:
    """A connection to the host of `url`, made at once. Times are in seconds; `read_seconds` is for each packet.

    `tls` is what an https connection is checked by; by default, the machine's own certificates. Raises OSError.
    """

    def __init__(
        self, url: str, *, connect_seconds: float, read_seconds: float, tls: ssl.SSLContext | None = None
    ) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        host = parts.hostname or ""
        made = socket.create_connection((host, parts.port or (443 if secure else 80)), connect_seconds)
        try:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if secure:
                made = (tls or ssl.create_default_context()).wrap_socket(made, server_hostname=host)
            made.settimeout(read_seconds)
        except BaseException:
            made.close()
            raise
        self._socket = made
        self._target = parts.path or "/"

    @property
    def open(self) -> bool:
        """Whether the server has kept it open while it was idle: anything readable is its end."""
        readable, _, _ = select.select([self._socket], [], [], 0)
        return not readable

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def post(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send a POST and return its answer. `headers` name the host. Raises OSError and NoAnswerError."""
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = f"POST {self._target} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode("latin-1") + body)
        return read_answer(self._socket)


def read_answer(incoming: _Socket) -> Answer:
    """Read one answer. Raises NoAnswerError for anything else, and what the socket raises."""
    came = b""
    while (end := came.find(b"\r\n\r\n")) < 0:
        if len(came) > _MOST_HEAD:
            raise NoAnswerError("a head without an end")
        came += _more(incoming)
    status, headers = _head(came[:end])
    length = headers.get("content-length", "")
    if not _LENGTH.fullmatch(length) or int(length) > _MOST_BODY:
        raise NoAnswerError("an answer of unknown length")
    parts = [came[end + 4 :]]
    missing = int(length) - len(parts[0])
    while missing > 0:
        parts.append(_more(incoming))
        missing -= len(parts[-1])
    if missing:
        raise NoAnswerError("more than one answer")
    return Answer(status, headers, b"".join(parts))


def _more(incoming: _Socket) -> bytes:
    data = incoming.recv(_AT_ONCE)
    if not data:
        raise NoAnswerError("the connection ended")
    return data


def _head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    if not (status := _STATUS.match(first)):
        raise NoAnswerError("no HTTP")
    fields = (line.partition(":") for line in lines)
    return int(status[1]), {name.lower(): value.strip() for name, _, value in fields}

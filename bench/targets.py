"""The targets of the benchmark, and their answers."""

import json
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from .payload import WORD
from .wire import PATIENCE, Message, WireError, read_message

__all__ = ["Answer", "BrokenError", "Target", "UrlTarget", "checked"]


class BrokenError(Exception):
    """A target failed, so it cannot be measured; the message says what failed and where to look."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer and its times in seconds. `settled`: until the function was ready for the next event, where known."""

    status: int
    body: bytes
    first_token: float | None
    total: float
    settled: float | None = None


class Target(Protocol):
    """A server of chat completions, called once at a time."""

    name: str

    def prepare(self, body: Mapping[str, Any]) -> bytes:
        """Return the bytes that `exchange` sends for a request's body, rendered outside the measurement."""

    def exchange(self, prepared: bytes) -> Answer:
        """Send a request and wait for the whole answer. Raises BrokenError."""

    def processes(self) -> Mapping[str, Sequence[int]]:
        """Return the ids of its processes on this machine, by role: "function", "gateway", "aws"; "peer" for others."""


class UrlTarget:
    """An OpenAI-compatible API at `base_url`, over one persistent connection. `model` replaces the request's.

    `headers` are sent in addition. `processes` finds the ids of its processes; without it, it has none to measure.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        key: str,
        model: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        processes: Callable[[], Mapping[str, Sequence[int]]] = dict,
    ) -> None:
        self.name = name
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        self._processes = processes
        self._url = urlsplit(base_url.rstrip("/") + "/chat/completions")
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise BrokenError(f"{name}: {base_url!r} is no URL such as http://127.0.0.1:4000/v1")
        self._key = key
        self._model = model
        self._socket: socket.socket | None = None

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def another(self) -> "UrlTarget":
        """Return the same target with a connection of its own."""
        other = copy(self)
        other._socket = None  # noqa: SLF001 - of its own class
        return other

    def processes(self) -> Mapping[str, Sequence[int]]:
        """Return the ids of its processes, by role."""
        return self._processes()

    def prepare(self, body: Mapping[str, Any]) -> bytes:
        """Return the bytes of the request."""
        content = json.dumps({**body, "model": self._model or body["model"]}).encode()
        head = (
            f"POST {self._url.path} HTTP/1.1\r\nHost: {self._url.netloc}\r\nAuthorization: Bearer {self._key}\r\n"
            "Content-Type: application/json\r\nAccept: */*\r\nAccept-Encoding: identity\r\nUser-Agent: bench\r\n"
            f"{self._headers}Content-Length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content

    def exchange(self, prepared: bytes) -> Answer:
        """Send a request and read the whole answer; reconnect once if the server has closed the connection."""
        was_open = self._socket is not None
        try:
            began, message = self._ask(prepared)
            if message is None and was_open:
                self.close()
                began, message = self._ask(prepared)
        except (OSError, WireError) as error:
            self.close()
            raise BrokenError(f"{self.name} at {self._url.netloc}: {error}") from error
        if message is None:
            raise BrokenError(f"{self.name} at {self._url.netloc}: the connection was closed without an answer")
        if message.closes:
            self.close()
        first = message.first_token_at - began if message.first_token_at is not None else None
        try:
            return Answer(int(message.start_line.split(" ")[1]), message.body(), first, message.ended_at - began)
        except (ValueError, IndexError) as error:
            raise BrokenError(f"{self.name} at {self._url.netloc} does not speak HTTP: {message.start_line}") from error

    def _ask(self, prepared: bytes) -> tuple[float, Message | None]:
        connection = self._socket or self._connect()
        began = time.perf_counter()
        connection.sendall(prepared)
        return began, read_message(connection)

    def _connect(self) -> socket.socket:
        secure = self._url.scheme == "https"
        assert self._url.hostname is not None
        connection = socket.create_connection((self._url.hostname, self._url.port or (443 if secure else 80)), PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if secure:
            connection = ssl.create_default_context().wrap_socket(connection, server_hostname=self._url.hostname)
        self._socket = connection
        return connection


def checked(target: Target, answer: Answer, words: int, *, stream: bool) -> Answer:
    """Return `answer` if it is complete. Raises BrokenError."""
    found = answer.body.count(WORD)
    if answer.status != 200:
        problem = f"status {answer.status}"
    elif found != words:
        problem = f"{found} words of {words}"
    elif stream and b"data: [DONE]" not in answer.body:
        problem = "a stream without [DONE]"
    else:
        return answer
    raise BrokenError(f"{target.name} gave {problem}: {answer.body[:300].decode('utf-8', 'replace')}")

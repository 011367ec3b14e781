"""A Runtime API that plays a script over real sockets and records every byte it receives."""

import base64
import json
import re
import socket
import struct
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from streaming_runtime.client import RuntimeApi

PATIENCE = 20  # seconds after which a test that hangs fails


@dataclass(frozen=True)
class Reply:
    """The reply to one request: bytes to send, and whether to drop the connection."""

    data: bytes
    drop: bool = False


@dataclass(frozen=True)
class Reset:
    """Reset the connection as soon as these bytes have come."""

    after: bytes


Step = Reply | Reset


def reply(status: int, body: bytes = b"", headers: str = "", *, drop: bool = False) -> Reply:
    head = f"HTTP/1.1 {status} Status\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return Reply(head.encode() + body, drop)


ACCEPTED = reply(202, b'{"status":"OK"}\n')
HANG_UP = Reply(b"", drop=True)


def event(value: object = None, request_id: str = "req-1", headers: str = "") -> Reply:
    """The answer to `next`."""
    common = f"Lambda-Runtime-Aws-Request-Id: {request_id}\r\nLambda-Runtime-Deadline-Ms: 4102444800000\r\n"
    return reply(200, json.dumps(value).encode(), common + headers)


@dataclass
class Request:
    """One request as it came. `body` is still framed."""

    head: bytes
    body: bytes

    @property
    def line(self) -> str:
        return self.head.split(b"\r\n")[0].decode()

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode().split("\r\n")[1:-2]
        return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}

    @property
    def chunks(self) -> list[bytes]:
        found: list[bytes] = []
        rest = self.body
        while True:
            size_line, rest = rest.split(b"\r\n", 1)
            size = int(size_line, 16)
            if size == 0:
                return found
            found.append(rest[:size])
            assert rest[size : size + 2] == b"\r\n", "a chunk is longer than it says"
            rest = rest[size + 2 :]

    @property
    def trailers(self) -> dict[str, str]:
        lines = self.body[self.body.rindex(b"0\r\n") + 3 :].decode().split("\r\n")
        return dict(line.split(": ", 1) for line in lines if line)

    @property
    def trailing_error(self) -> dict[str, object]:
        error = json.loads(base64.b64decode(self.trailers["Lambda-Runtime-Function-Error-Body"]))
        assert isinstance(error, dict)
        return error

    @property
    def prelude(self) -> dict[str, object]:
        prelude, delimiter, _ = b"".join(self.chunks).partition(bytes(8))
        assert delimiter
        value = json.loads(prelude)
        assert isinstance(value, dict)
        return value

    @property
    def payload(self) -> bytes:
        return b"".join(self.chunks).partition(bytes(8))[2]

    @property
    def json(self) -> dict[str, object]:
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


@dataclass
class FakeRuntimeApi:
    """Plays one step of `script` per request to `client`; when it is over, the server is gone."""

    script: list[Step]
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.client = RuntimeApi(self.address)
        self._received = bytearray()  # of the request that is being read
        self._changed = threading.Condition()
        self._fault: Exception | None = None
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.join(PATIENCE)
        self._listener.close()
        self.client.close()
        if self._fault is not None and error is None:
            raise self._fault
        assert error is not None or not self._thread.is_alive(), "the script was not played to its end"

    def wait_for(self, data: bytes, times: int = 1) -> None:
        """Wait until the request that is being sent holds `data` so many times."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._received.count(data) >= times, PATIENCE)

    def _play(self) -> None:
        try:
            steps = list(self.script)
            while steps:
                connection, _ = self._listener.accept()
                self.connections += 1
                with connection:
                    connection.settimeout(PATIENCE)
                    # A client may leave between two requests and come back for the next step.
                    while steps and connection.recv(1, socket.MSG_PEEK):
                        if not self._perform(connection, steps.pop(0)):
                            break
        except Exception as error:  # noqa: BLE001 - reported to the test at the end
            self._fault = error
        finally:
            self._listener.close()

    def _perform(self, connection: socket.socket, step: Step) -> bool:
        with self._changed:
            self._received.clear()
        if isinstance(step, Reset):
            self._read_until(connection, re.compile(re.escape(step.after)))
            # Linger 0: the kernel sends a reset and not an end.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        head_end = self._read_until(connection, re.compile(rb"\r\n\r\n"))
        head = bytes(self._received[:head_end])
        if length := re.search(rb"Content-Length: (\d+)", head):
            self._read_until(connection, re.compile(rb"(?s)^.{%d}" % (head_end + int(length[1]))))
        elif b"Transfer-Encoding: chunked" in head:
            self._read_until(connection, re.compile(rb"(?s)^.{%d}.*\r\n0\r\n(?:[^\r]+\r\n)*\r\n$" % (head_end - 2)))
        self.requests.append(Request(head, bytes(self._received[head_end:])))
        connection.sendall(step.data)
        return not step.drop

    def _read_until(self, connection: socket.socket, pattern: re.Pattern[bytes]) -> int:
        while not (found := pattern.search(self._received)):
            data = connection.recv(1 << 16)
            if not data:
                raise ConnectionError(f"the runtime hung up after {bytes(self._received)!r}")
            with self._changed:
                self._received += data
                self._changed.notify_all()
        return found.end()

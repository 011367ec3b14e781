"""The embedded AWS behind a proxy that can fail as AWS, or the network before it, does."""

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from local.template import REGION
from tests.moto_app import Moto, wsgi_environ

__all__ = ["Abort", "AwsFront", "Fault", "Garbage", "Hang", "Refused", "Reset", "Slow"]


@dataclass(frozen=True)
class Abort:
    """An error of AWS's own: `code` is its name."""

    status: int
    code: str


@dataclass(frozen=True)
class Garbage:
    """A page of some proxy's instead of an answer."""


@dataclass(frozen=True)
class Reset:
    """The connection is reset once the request has been read."""


@dataclass(frozen=True)
class Hang:
    """Nothing comes until the fault is taken back, and then the end of the connection."""


@dataclass(frozen=True)
class Refused:
    """Nobody listens any more, and every open connection is cut. Of all services or none."""


@dataclass(frozen=True)
class Slow:
    """The right answer comes `seconds` late."""

    seconds: float


Fault = Abort | Garbage | Reset | Hang | Refused | Slow

_SERVICES = {"DynamoDB_20120810": "dynamodb", "secretsmanager": "secretsmanager"}


class AwsFront:
    """Listens on loopback. `calls` holds the operations that came, tries made again included.

    An operation on one table is also called "PutItem usage-1": operation and table.
    """

    def __init__(self) -> None:
        self.moto = Moto(REGION)
        self.calls: list[str] = []
        self._one_at_a_time = threading.Lock()  # a conditional write of moto's is not atomic
        self._faults: dict[str, Fault] = {}
        self._healed = threading.Event()
        self._connections: set[socket.socket] = set()
        self._server: _Server | None = None
        self._port = 0
        self._listen()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def fail(self, fault: Fault, *what: str) -> None:
        """Let services (`dynamodb`), operations (`PutItem`), or those on one table, fail until all are healed."""
        self._healed.clear()
        self._faults |= dict.fromkeys(what, fault)
        if isinstance(fault, Refused):
            self._stop_listening()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def heal(self) -> None:
        """Be well again."""
        self._faults.clear()
        self._healed.set()
        if self._server is None:
            self._listen()

    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Do an operation behind the front, where there are no faults and nothing is counted."""
        target = {"dynamodb": "DynamoDB_20120810", "secretsmanager": "secretsmanager"}[service]
        with self._one_at_a_time:
            return self.moto.call(service, f"{target}.{operation}", parameters)

    def close(self) -> None:
        """Stop listening, and end every connection."""
        self._healed.set()
        self._stop_listening()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def fault_of(self, target: str, table: str) -> Fault | None:
        prefix, _, operation = target.rpartition(".")
        names = [operation, f"{operation} {table}"]
        self.calls += names
        return next((self._faults[each] for each in (*names, _SERVICES[prefix]) if each in self._faults), None)

    def wait_until_healed(self) -> None:
        self._healed.wait(30)

    def respond(self, environ: dict[str, Any]) -> tuple[int, list[tuple[str, str]], bytes]:
        with self._one_at_a_time:
            return self.moto.respond(environ)

    @contextmanager
    def connected(self, connection: socket.socket) -> Iterator[None]:
        self._connections.add(connection)
        try:
            yield
        finally:
            self._connections.discard(connection)

    def _listen(self) -> None:
        self._server = _Server(self, self._port)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, front: AwsFront, port: int) -> None:
        self.front = front
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that give up are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    connection: socket.socket

    def handle(self) -> None:
        with self.server.front.connected(self.connection):
            super().handle()

    def do_POST(self) -> None:
        front = self.server.front
        body = self.rfile.read(int(self.headers["content-length"]))
        match front.fault_of(self.headers["x-amz-target"], json.loads(body).get("TableName", "")):
            case None:
                self._answer(body)
            case Slow(seconds):
                time.sleep(seconds)
                self._answer(body)
            case Abort(status, code):
                error = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "as a test wants it"}
                self._send(status, "application/x-amz-json-1.0", json.dumps(error).encode())
            case Garbage():
                self._send(200, "text/html", b"<html>Please sign in to the network</html>")
            case Hang():
                front.wait_until_healed()
                self.close_connection = True
            case Reset() | Refused():
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True

    def _answer(self, body: bytes) -> None:
        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        status, answered, content = self.server.front.respond(wsgi_environ("POST", self.path, headers, body))
        kind = next((value for name, value in answered if name.lower() == "content-type"), "application/x-amz-json-1.0")
        self._send(status, kind, content)

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as http.server calls it
        """Say nothing."""

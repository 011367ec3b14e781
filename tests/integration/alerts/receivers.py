"""A receiver of webhooks on loopback, which answers as a test tells it: refusing, hanging, redirecting, flooding."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

__all__ = ["Message", "ReceiverServer", "receiving"]


@dataclass(frozen=True)
class Message:
    """A POST that a receiver got."""

    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def is_signed_with(self, secret: str) -> bool:
        """Verify the signature as Standard Webhooks has it."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return hmac.compare_digest(self.headers["webhook-signature"], f"v1,{expected}")


@dataclass
class ReceiverServer:
    """`received` are the messages; each answer is the next of `answers`, or 200."""

    url: str = ""
    received: list[Message] = field(default_factory=list)
    answers: list[Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=list)
    released: Event = field(default_factory=Event)

    def of(self, event: str) -> list[Message]:
        """Return the messages about one event."""
        return [each for each in self.received if each.headers["webhook-id"].startswith(f"{event}-")]


def answer(status: int, body: bytes = b"", **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """Return an answer; underscores in names of headers are hyphens."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return send


def flood(handler: BaseHTTPRequestHandler) -> None:
    """Answer 200 with a body that does not end until the caller hangs up."""
    handler.send_response(200)
    handler.end_headers()
    with suppress(OSError):
        while True:
            handler.wfile.write(b"x" * 65_536)


def hang(server: ReceiverServer) -> Callable[[BaseHTTPRequestHandler], None]:
    """Return an answer that does not come until the test is over."""

    def wait(_: BaseHTTPRequestHandler) -> None:
        server.released.wait(60)

    return wait


@contextmanager
def receiving() -> Iterator[ReceiverServer]:
    """Run a receiver."""
    state = ReceiverServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.received.append(Message(self.path, headers, body))
            respond = state.answers.pop(0) if state.answers else answer(200, b"ok")
            respond(self)

        def log_message(self, *_: object) -> None:
            """Leave standard error alone."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        server.server_close()

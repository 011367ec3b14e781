"""The Runtime API: an environment gets events from it and sends responses to it.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from typing import Protocol

from .http11 import Connection, Headers
from .invocation import FunctionFailedError, Invocation, Payload

__all__ = ["MAX_BUFFERED_RESPONSE", "Caller", "RuntimeApiConnection"]

MAX_BUFFERED_RESPONSE = 6291556
"""Largest buffered response in bytes; Lambda's limit, 100 bytes above 6 MB."""

_RUNTIME = "/2018-06-01/runtime"


class Caller(Protocol):
    """The environment of the calling runtime."""

    @property
    def invocation(self) -> Invocation | None:
        """The current invocation."""

    def connection_opened(self, connection: "RuntimeApiConnection") -> None:
        """Handle a new connection."""

    def connection_closed(self, connection: "RuntimeApiConnection") -> None:
        """Handle a closed connection."""

    def ask_next(self, connection: "RuntimeApiConnection") -> None:
        """Handle the request for an event, to be answered over `connection`."""

    def response_ended(self) -> None:
        """Handle the end of the response."""

    def fail_init(self, failure: FunctionFailedError) -> None:
        """Handle an init error."""


class RuntimeApiConnection(Connection):
    """One connection of `environment`'s Runtime API."""

    def __init__(self, environment: Caller) -> None:
        super().__init__()
        self._environment = environment
        self._finish: Callable[[bytes, Headers], None] = self._refuse_unknown
        self._body = bytearray()
        self._payload: Payload | None = None  # receives the body as it arrives
        self._room = MAX_BUFFERED_RESPONSE

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport and notify the environment."""
        super().connection_made(transport)
        self._environment.connection_opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Notify the environment. A partial response fails when the runtime asks for the next event or ends."""
        super().connection_lost(exc)
        self._environment.connection_closed(self)

    def request_begun(self, method: str, target: str, headers: Headers) -> None:
        """Choose the handler of the request."""
        self._body.clear()
        self._payload = None
        self._finish = self._refuse_unknown
        path = target.removeprefix(_RUNTIME)
        if method == "GET" and path == "/invocation/next":
            self._finish = lambda _body, _trailers: self._environment.ask_next(self)
        elif method == "POST" and path == "/init/error":
            self._finish = self._take_init_error
        elif method == "POST" and path.startswith("/invocation/"):
            _, _, request_id, kind = (*path.split("/"), "", "")[:4]
            self._begin_outcome(request_id, kind, {name.lower(): value for name, value in headers})

    def _begin_outcome(self, request_id: str, kind: str, headers: Mapping[bytes, bytes]) -> None:
        invocation = self._environment.invocation
        echo = headers.get(b"lambda-runtime-invocation-id")
        if (
            invocation is None
            or invocation.request_id != request_id
            or invocation.payload.ended
            or (echo is not None and echo.decode("latin-1") != invocation.invocation_id)
        ):
            self._finish = self._refuse_request_id
        elif kind == "error":
            self._finish = self._take_error
        elif kind == "response":
            streamed = headers.get(b"lambda-runtime-function-response-mode", b"").lower() == b"streaming"
            self._room = sys.maxsize if streamed else MAX_BUFFERED_RESPONSE
            self._payload = invocation.payload
            self._payload.on_flow(self._pace)
            self._finish = self._take_response

    def body_received(self, data: bytes) -> None:
        """Forward the bytes of a response at once; collect any other body."""
        if self._payload is None:
            if len(self._body) < MAX_BUFFERED_RESPONSE:
                self._body += data
            return
        self._room -= len(data)
        if self._room >= 0:
            self._payload.feed(data)

    def request_ended(self, trailers: Headers) -> None:
        """Answer the runtime."""
        self._finish(bytes(self._body), trailers)

    def _pace(self, ready: bool) -> None:
        if ready:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def _take_response(self, _body: bytes, trailers: Headers) -> None:
        payload, self._payload = self._payload, None
        if payload is None:
            return
        if self._room < 0:
            payload.fail(
                FunctionFailedError(
                    "Function.ResponseSizeTooLarge",
                    f"Response payload size exceeded maximum allowed payload size ({MAX_BUFFERED_RESPONSE} bytes).",
                )
            )
            self._reply_json(413, {"errorMessage": "The response is too large.", "errorType": "RequestEntityTooLarge"})
        else:
            kind = dict(trailers).get(b"lambda-runtime-function-error-type")
            if kind is None:
                payload.end()
            else:
                payload.fail(FunctionFailedError(kind.decode("latin-1"), "after the first byte of its response"))
            self._accept()
        self._environment.response_ended()

    def _take_error(self, body: bytes, _trailers: Headers) -> None:
        invocation = self._environment.invocation
        if invocation is not None:
            invocation.payload.fail(_parse_error(body))
        self._accept()
        self._environment.response_ended()

    def _take_init_error(self, body: bytes, _trailers: Headers) -> None:
        self._environment.fail_init(_parse_error(body))
        self._accept()

    def _refuse_unknown(self, _body: bytes, _trailers: Headers) -> None:
        self._reply_json(404, {"errorMessage": "No such path in the Runtime API.", "errorType": "NotFound"})

    def _refuse_request_id(self, _body: bytes, _trailers: Headers) -> None:
        self._reply_json(400, {"errorMessage": "Invalid request ID", "errorType": "InvalidRequestID"})

    def _accept(self) -> None:
        self._reply_json(202, {"status": "OK"})

    def _reply_json(self, status: int, content: dict[str, str]) -> None:
        self.reply(status, [("Content-Type", "application/json")], json.dumps(content).encode())


def _parse_error(body: bytes) -> FunctionFailedError:
    """Parse the error of a runtime: `errorType` and `errorMessage` in JSON."""
    try:
        report = json.loads(body)
        return FunctionFailedError(str(report["errorType"]), str(report["errorMessage"]))
    except (ValueError, KeyError, TypeError):
        return FunctionFailedError("Runtime.Unknown", "the runtime reported an error without its type")

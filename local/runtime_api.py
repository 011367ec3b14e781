"""The Runtime API: where an environment gets its events and leaves its answers.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from typing import Protocol

from .http11 import Connection, Headers
from .invocation import Answer, FunctionFailedError, Invocation

__all__ = ["MAX_BUFFERED_RESPONSE", "Caller", "RuntimeApiConnection"]

MAX_BUFFERED_RESPONSE = 6291556
"""Bytes of an answer that is not streamed; Lambda's own limit, 100 bytes above 6 MB."""

_RUNTIME = "/2018-06-01/runtime"


class Caller(Protocol):
    """The environment whose runtime calls."""

    @property
    def invocation(self) -> Invocation | None:
        """What it is working on."""

    def connection_opened(self, connection: "RuntimeApiConnection") -> None:
        """Take note of a connection."""

    def connection_closed(self, connection: "RuntimeApiConnection") -> None:
        """Take note that it has gone."""

    def ask_next(self, connection: "RuntimeApiConnection") -> None:
        """Take the request for an event, to be answered over `connection`."""

    def answered(self) -> None:
        """Take note that the whole answer has come."""

    def fail_init(self, failure: FunctionFailedError) -> None:
        """Take the reason for which the function could not start."""


class RuntimeApiConnection(Connection):
    """The Runtime API as `environment` sees it, over one connection."""

    def __init__(self, environment: Caller) -> None:
        super().__init__()
        self._environment = environment
        self._finish: Callable[[bytes, Headers], None] = self._refuse_unknown
        self._body = bytearray()
        self._answer: Answer | None = None  # what a body goes to as it comes
        self._room = MAX_BUFFERED_RESPONSE

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport, and tell the environment."""
        super().connection_made(transport)
        self._environment.connection_opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as asyncio calls it
        """Leave a half-sent answer: it fails when the runtime asks for the next event, or ends."""
        self._environment.connection_closed(self)

    def request_begun(self, method: str, target: str, headers: Headers) -> None:
        """Choose what the body goes to."""
        self._body.clear()
        self._answer = None
        self._finish = self._refuse_unknown
        path = target.removeprefix(_RUNTIME)
        if method == "GET" and path == "/invocation/next":
            self._finish = lambda _body, _trailers: self._environment.ask_next(self)
        elif method == "POST" and path == "/init/error":
            self._finish = self._take_init_error
        elif method == "POST" and path.startswith("/invocation/"):
            _, _, request_id, what = (*path.split("/"), "", "")[:4]
            self._begin_outcome(request_id, what, {name.lower(): value for name, value in headers})

    def _begin_outcome(self, request_id: str, what: str, headers: Mapping[bytes, bytes]) -> None:
        invocation = self._environment.invocation
        echo = headers.get(b"lambda-runtime-invocation-id")
        if (
            invocation is None
            or invocation.request_id != request_id
            or invocation.answer.ended
            or (echo is not None and echo.decode("latin-1") != invocation.invocation_id)
        ):
            self._finish = self._refuse_request_id
        elif what == "error":
            self._finish = self._take_error
        elif what == "response":
            streamed = headers.get(b"lambda-runtime-function-response-mode", b"").lower() == b"streaming"
            self._room = sys.maxsize if streamed else MAX_BUFFERED_RESPONSE
            self._answer = invocation.answer
            self._answer.paced_by(self._pace)
            self._finish = self._take_response

    def body_received(self, data: bytes) -> None:
        """Pass the bytes of an answer on at once; collect those of anything else."""
        if self._answer is None:
            if len(self._body) < MAX_BUFFERED_RESPONSE:
                self._body += data
            return
        self._room -= len(data)
        if self._room >= 0:
            self._answer.feed(data)

    def request_ended(self, trailers: Headers) -> None:
        """Answer the runtime."""
        self._finish(bytes(self._body), trailers)

    def _pace(self, ready: bool) -> None:
        if ready:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def _take_response(self, _body: bytes, trailers: Headers) -> None:
        answer, self._answer = self._answer, None
        if answer is None:
            return
        if self._room < 0:
            answer.fail(
                FunctionFailedError(
                    "Function.ResponseSizeTooLarge",
                    f"Response payload size exceeded maximum allowed payload size ({MAX_BUFFERED_RESPONSE} bytes).",
                )
            )
            self._say(413, {"errorMessage": "The answer is too large.", "errorType": "RequestEntityTooLarge"})
        else:
            kind = dict(trailers).get(b"lambda-runtime-function-error-type")
            if kind is None:
                answer.end()
            else:
                answer.fail(FunctionFailedError(kind.decode("latin-1"), "after the first byte of its answer"))
            self._accept()
        self._environment.answered()

    def _take_error(self, body: bytes, _trailers: Headers) -> None:
        invocation = self._environment.invocation
        if invocation is not None:
            invocation.answer.fail(_reported(body))
        self._accept()
        self._environment.answered()

    def _take_init_error(self, body: bytes, _trailers: Headers) -> None:
        self._environment.fail_init(_reported(body))
        self._accept()

    def _refuse_unknown(self, _body: bytes, _trailers: Headers) -> None:
        self._say(404, {"errorMessage": "No such path in the Runtime API.", "errorType": "NotFound"})

    def _refuse_request_id(self, _body: bytes, _trailers: Headers) -> None:
        self._say(400, {"errorMessage": "Invalid request ID", "errorType": "InvalidRequestID"})

    def _accept(self) -> None:
        self._say(202, {"status": "OK"})

    def _say(self, status: int, content: dict[str, str]) -> None:
        self.reply(status, [("Content-Type", "application/json")], json.dumps(content).encode())


def _reported(body: bytes) -> FunctionFailedError:
    """Read the error that a runtime reports: `errorType` and `errorMessage` in JSON."""
    try:
        report = json.loads(body)
        return FunctionFailedError(str(report["errorType"]), str(report["errorMessage"]))
    except (ValueError, KeyError, TypeError):
        return FunctionFailedError("Runtime.Unknown", "the runtime reported an error without its type")

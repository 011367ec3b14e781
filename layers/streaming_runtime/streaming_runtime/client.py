"""The Lambda Runtime API over one kept-alive socket.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html and .../runtimes-custom.html (streaming). HTTP is written
out here because http.client takes 26 ms to import and sends head, chunk size, chunk and chunk end each on its own; this
sends one segment per chunk.
"""

import io
import json
import logging
import socket
from typing import NamedTuple

from .errors import ErrorReport, RuntimeApiError, RuntimeApiLostError
from .response import STREAM_CONTENT_TYPE

__all__ = ["Invocation", "ResponseStream", "RuntimeApi"]

_logger = logging.getLogger("streaming_runtime")

_VERSION = "/2018-06-01/runtime"
_ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"
_ERROR_BODY = "Lambda-Runtime-Function-Error-Body"
# The Runtime API's server (Go's net/http) reads trailers of up to 4 KB, both lines and their ends counted. Base64 makes
# 3,600 bytes of this, which leaves room for the names and the error's type.
_TRAILER_JSON_LIMIT = 2700


class Invocation(NamedTuple):
    """One event to be handled, as `/next` gave it. `deadline_ms` is in milliseconds of the epoch."""

    event: bytes
    request_id: str
    deadline_ms: int
    function_arn: str | None
    trace_id: str | None
    invocation_id: str | None
    client_context: str | None
    cognito_identity: str | None
    tenant_id: str | None


class _Answer(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes

    def text(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode(errors="replace")


class RuntimeApi:
    """The Runtime API at `address`, the `host:port` of `AWS_LAMBDA_RUNTIME_API`.

    Every method raises `RuntimeApiLostError` when the API cannot be reached, also not over a new connection, and
    `RuntimeApiError` when it answers that this runtime cannot go on. Nothing has a timeout: `/next` blocks while the
    environment is frozen, and Lambda ends an environment that takes too long.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._address = (host.strip("[]"), int(port))
        self._common = f"Host: {address}\r\nUser-Agent: streaming-runtime\r\n"
        self._next = f"GET {_VERSION}/invocation/next HTTP/1.1\r\n{self._common}\r\n".encode()
        self._socket: socket.socket | None = None
        self._reader: io.BufferedReader | None = None

    def next(self) -> Invocation:
        """Wait for the next event."""
        answer = self._exchange(self._next)
        if answer.status != 200:
            raise _refused("/invocation/next", answer)
        return Invocation(
            answer.body,
            answer.text(b"lambda-runtime-aws-request-id") or "",
            int(answer.headers.get(b"lambda-runtime-deadline-ms", 0)),
            answer.text(b"lambda-runtime-invoked-function-arn"),
            answer.text(b"lambda-runtime-trace-id"),
            answer.text(b"lambda-runtime-invocation-id"),
            answer.text(b"lambda-runtime-client-context"),
            answer.text(b"lambda-runtime-cognito-identity"),
            answer.text(b"lambda-runtime-aws-tenant-id"),
        )

    def respond(self, invocation: Invocation, body: bytes) -> None:
        """Send a whole answer as plain JSON."""
        self._post_outcome(invocation, "response", f"Content-Type: application/json\r\n{_echo(invocation)}", body)

    def stream(self, invocation: Invocation, prelude: bytes) -> "ResponseStream":
        """Begin a streamed answer. Nothing is sent before its first chunk, its end or its error."""
        head = (
            f"POST {_VERSION}/invocation/{invocation.request_id}/response HTTP/1.1\r\n{self._common}"
            f"Content-Type: {STREAM_CONTENT_TYPE}\r\n"
            "Lambda-Runtime-Function-Response-Mode: streaming\r\n"
            "Transfer-Encoding: chunked\r\n"
            f"Trailer: {_ERROR_TYPE}, {_ERROR_BODY}\r\n{_echo(invocation)}\r\n"
        )
        return ResponseStream(self, invocation.request_id, b"%b%x\r\n%b\r\n" % (head.encode(), len(prelude), prelude))

    def fail(self, invocation: Invocation, report: ErrorReport) -> None:
        """Send an error in place of an answer of which nothing has been sent."""
        headers = f"{_error_headers(report)}Lambda-Runtime-Function-XRay-Error-Cause: {report.xray_cause()}\r\n"
        self._post_outcome(invocation, "error", headers + _echo(invocation), report.to_json())

    def fail_init(self, report: ErrorReport) -> None:
        """Say that the function could not start."""
        self._post("/init/error", _error_headers(report), report.to_json())

    def restore_next(self) -> None:
        """Say that the environment may be snapshotted; returns in each environment restored from the snapshot."""
        answer = self._exchange(f"GET {_VERSION}/restore/next HTTP/1.1\r\n{self._common}\r\n".encode())
        # A socket that was copied with the snapshot belongs to another machine.
        self.close()
        if answer.status != 200:
            raise _refused("/restore/next", answer)

    def fail_restore(self, report: ErrorReport) -> None:
        """Say that the hooks after the restore failed."""
        self._post("/restore/error", _error_headers(report), report.to_json())

    def close(self) -> None:
        """Drop the connection; the next request makes a new one."""
        if self._reader is not None:
            self._reader.close()
        if self._socket is not None:
            self._socket.close()
        self._reader = self._socket = None

    def connection(self) -> socket.socket:
        """Return a socket that the API had not closed a moment ago."""
        if self._socket is not None:
            if _is_idle(self._socket):
                return self._socket
            self.close()
        try:
            self._socket = socket.create_connection(self._address)
        except OSError as error:
            raise RuntimeApiLostError(f"the Runtime API at {self._address} cannot be reached: {error}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = self._socket.makefile("rb")
        return self._socket

    def accept(self, what: str, request_id: str) -> None:
        """Read the API's word on an answer or error that was sent."""
        self._classify_failure(what, request_id, self._read_answer())

    def _post_outcome(self, invocation: Invocation, kind: str, headers: str, body: bytes) -> None:
        answer = self._post(f"/invocation/{invocation.request_id}/{kind}", headers, body)
        self._classify_failure(kind, invocation.request_id, answer)

    def _classify_failure(self, what: str, request_id: str, answer: _Answer) -> None:
        if answer.status == 410:
            _logger.warning("The %s of %s came too late: the invocation had timed out", what, request_id)
        elif 400 <= answer.status < 500:
            # Too large, or already answered: this invocation is lost, the next one is not.
            _logger.error("Lambda refused the %s of %s: %s", what, request_id, _refusal(answer))
        elif answer.status >= 300:
            raise _refused(what, answer)

    def _post(self, path: str, headers: str, body: bytes) -> _Answer:
        head = f"POST {_VERSION}{path} HTTP/1.1\r\n{self._common}{headers}Content-Length: {len(body)}\r\n\r\n"
        return self._exchange(head.encode() + body)

    def _exchange(self, request: bytes) -> _Answer:
        """Send a request and read its answer; once more when the connection breaks, as all of them bear repeating."""
        try:
            self.connection().sendall(request)
            return self._read_answer()
        except (OSError, RuntimeApiLostError) as error:
            _logger.debug("Connecting to the Runtime API anew: %s", error)
            self.close()
        try:
            self.connection().sendall(request)
            return self._read_answer()
        except OSError as error:
            self.close()
            raise RuntimeApiLostError(f"the Runtime API at {self._address} stopped listening: {error}") from error

    def _read_answer(self) -> _Answer:
        try:
            answer = _read_answer(self._reader) if self._reader is not None else None
        except OSError as error:
            self.close()
            raise RuntimeApiLostError(f"no answer from the Runtime API: {error}") from error
        if answer is None:
            self.close()
            raise RuntimeApiLostError("the Runtime API closed the connection without an answer")
        if answer.headers.get(b"connection", b"").lower() == b"close":
            self.close()
        return answer


class ResponseStream:
    """One streamed answer on its way. `started` tells whether any of it has been sent.

    Its methods raise `RuntimeApiLostError` when the connection breaks; the answer is lost then. Two threads must take
    turns.
    """

    def __init__(self, api: RuntimeApi, request_id: str, head: bytes) -> None:
        self._api = api
        self._request_id = request_id
        self._head = head
        self._socket: socket.socket

    @property
    def started(self) -> bool:
        """Whether an error can no longer take the answer's place."""
        return not self._head

    def send(self, chunk: bytes) -> None:
        """Send one chunk at once, with all that has to stand before it, in one call to the system."""
        if self._head:
            framed = self._begin() + _framed(chunk)
        elif chunk:
            framed = b"%x\r\n%b\r\n" % (len(chunk), chunk)
        else:
            return
        try:
            self._socket.sendall(framed)
        except OSError as error:
            raise self._lost(error) from error

    def end(self, last: bytes = b"") -> None:
        """Send a last chunk and the end, and read the API's word on it."""
        self._finish(_framed(last), b"")

    def fail(self, report: ErrorReport) -> None:
        """End in an error: the payload stops where it is and trailers say why."""
        from base64 import b64encode

        body = b64encode(report.within(_TRAILER_JSON_LIMIT)).decode()
        error_type = _line_safe(report.error_type)
        self._finish(b"", f"{_ERROR_TYPE}: {error_type}\r\n{_ERROR_BODY}: {body}\r\n".encode())

    def _finish(self, last: bytes, trailers: bytes) -> None:
        head = self._begin() if self._head else b""
        try:
            self._socket.sendall(b"%b%b0\r\n%b\r\n" % (head, last, trailers))
        except OSError as error:
            raise self._lost(error) from error
        self._api.accept("response", self._request_id)

    def _begin(self) -> bytes:
        """Take the connection, now that there is something to send, and return what goes first."""
        self._socket = self._api.connection()
        head, self._head = self._head, b""
        return head

    def _lost(self, error: OSError) -> RuntimeApiLostError:
        """Drop the connection; when the API left word why it stopped reading, log that."""
        try:
            self._api.accept("response", self._request_id)
        except (RuntimeApiLostError, RuntimeApiError) as said:
            _logger.debug("The Runtime API left no word: %s", said)
        self._api.close()
        return RuntimeApiLostError(f"the connection to the Runtime API broke in the middle of a response: {error}")


def _framed(chunk: bytes) -> bytes:
    # A chunk of no bytes would be the end.
    return b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunk else b""


def _is_idle(connection: socket.socket) -> bool:
    """Whether a kept connection is still open and says nothing, as one between two requests should."""
    try:
        connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _read_answer(reader: io.BufferedReader) -> _Answer | None:
    """Read one HTTP answer; `None` when the connection ends before or within it."""
    status_line = reader.readline()
    headers: dict[bytes, bytes] = {}
    while (line := reader.readline()) not in (b"\r\n", b"\n"):
        if not line:
            return None
        name, _, value = line.partition(b":")
        headers[name.lower()] = value.strip()
    if b"content-length" in headers:
        length = int(headers[b"content-length"])
        body = reader.read(length)
        if len(body) < length:
            return None
    elif headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        chunks = _read_chunks(reader)
        if chunks is None:
            return None
        body = chunks
    else:
        body = reader.read()
        headers[b"connection"] = b"close"
    return _Answer(int(status_line.split(None, 2)[1]), headers, body)


def _read_chunks(reader: io.BufferedReader) -> bytes | None:
    chunks: list[bytes] = []
    while line := reader.readline():
        size = int(line.partition(b";")[0], 16)
        if size == 0:
            while (line := reader.readline()) not in (b"\r\n", b"\n"):
                if not line:
                    return None
            return b"".join(chunks)
        chunk = reader.read(size + 2)
        if len(chunk) < size + 2:
            return None
        chunks.append(chunk[:-2])
    return None


def _echo(invocation: Invocation) -> str:
    """Return the header that proves which invocation an outcome belongs to, when Lambda asked for it."""
    return f"Lambda-Runtime-Invocation-Id: {invocation.invocation_id}\r\n" if invocation.invocation_id else ""


def _error_headers(report: ErrorReport) -> str:
    return f"Content-Type: application/json\r\n{_ERROR_TYPE}: {_line_safe(report.error_type)}\r\n"


def _line_safe(error_type: str) -> str:
    """Class names may hold any letter; a header line may not."""
    return error_type.encode("ascii", "replace").decode()[:100] or "Error"


def _refusal(answer: _Answer) -> str:
    try:
        said = json.loads(answer.body)
        return f"{answer.status} {said['errorType']}: {said['errorMessage']}"
    except (ValueError, KeyError, TypeError):
        return str(answer.status)


def _refused(what: str, answer: _Answer) -> RuntimeApiError:
    return RuntimeApiError(f"the Runtime API answered {what} with {_refusal(answer)}")

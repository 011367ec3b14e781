"""A client of the Lambda Runtime API, over one keep-alive connection.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html and .../runtimes-custom.html (streaming). HTTP is
implemented here because http.client takes 26 ms to import and sends the head, the chunk size, the chunk and its end
separately. This client sends one segment per chunk.
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
# The Runtime API's server (Go's net/http) reads at most 4 KB of trailers, line ends included. In base64 this limit is
# 3,600 bytes, which leaves room for the header names and the error type.
_TRAILER_JSON_LIMIT = 2700


class Invocation(NamedTuple):
    """One event, as `/next` returned it. `deadline_ms` is in milliseconds since the epoch."""

    event: bytes
    request_id: str
    deadline_ms: int
    function_arn: str | None
    trace_id: str | None
    invocation_id: str | None
    client_context: str | None
    cognito_identity: str | None
    tenant_id: str | None


class _Response(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes

    def text(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode(errors="replace")


class RuntimeApi:
    """The Runtime API at `address`, the `host:port` of `AWS_LAMBDA_RUNTIME_API`.

    Every method raises `RuntimeApiLostError` if the API cannot be reached even over a new connection, and
    `RuntimeApiError` for a status after which the runtime must exit. There are no timeouts: `/next` blocks while the
    environment is frozen, and Lambda stops an environment that takes too long.
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
        response = self._exchange(self._next)
        if response.status != 200:
            raise _api_error("/invocation/next", response)
        return Invocation(
            response.body,
            response.text(b"lambda-runtime-aws-request-id") or "",
            int(response.headers.get(b"lambda-runtime-deadline-ms", 0)),
            response.text(b"lambda-runtime-invoked-function-arn"),
            response.text(b"lambda-runtime-trace-id"),
            response.text(b"lambda-runtime-invocation-id"),
            response.text(b"lambda-runtime-client-context"),
            response.text(b"lambda-runtime-cognito-identity"),
            response.text(b"lambda-runtime-aws-tenant-id"),
        )

    def respond(self, invocation: Invocation, body: bytes) -> None:
        """Send a whole response as plain JSON."""
        self._post_outcome(invocation, "response", f"Content-Type: application/json\r\n{_echo(invocation)}", body)

    def stream(self, invocation: Invocation, prelude: bytes) -> "ResponseStream":
        """Start a streamed response. Nothing is sent before its first chunk, its end or its error."""
        head = (
            f"POST {_VERSION}/invocation/{invocation.request_id}/response HTTP/1.1\r\n{self._common}"
            f"Content-Type: {STREAM_CONTENT_TYPE}\r\n"
            "Lambda-Runtime-Function-Response-Mode: streaming\r\n"
            "Transfer-Encoding: chunked\r\n"
            f"Trailer: {_ERROR_TYPE}, {_ERROR_BODY}\r\n{_echo(invocation)}\r\n"
        )
        return ResponseStream(self, invocation.request_id, b"%b%x\r\n%b\r\n" % (head.encode(), len(prelude), prelude))

    def fail(self, invocation: Invocation, report: ErrorReport) -> None:
        """Send an error instead of a response that has not been started."""
        headers = f"{_error_headers(report)}Lambda-Runtime-Function-XRay-Error-Cause: {report.xray_cause()}\r\n"
        self._post_outcome(invocation, "error", headers + _echo(invocation), report.to_json())

    def fail_init(self, report: ErrorReport) -> None:
        """Report that the function could not start."""
        self._post("/init/error", _error_headers(report), report.to_json())

    def restore_next(self) -> None:
        """Report that the snapshot can be taken. Returns in each environment restored from it."""
        response = self._exchange(f"GET {_VERSION}/restore/next HTTP/1.1\r\n{self._common}\r\n".encode())
        # The socket in the snapshot belongs to another machine.
        self.close()
        if response.status != 200:
            raise _api_error("/restore/next", response)

    def fail_restore(self, report: ErrorReport) -> None:
        """Report that the hooks after the restore failed."""
        self._post("/restore/error", _error_headers(report), report.to_json())

    def close(self) -> None:
        """Close the connection. The next request opens a new one."""
        if self._reader is not None:
            self._reader.close()
        if self._socket is not None:
            self._socket.close()
        self._reader = self._socket = None

    def connection(self) -> socket.socket:
        """Return a connected socket, checked to be still open."""
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

    def read_outcome(self, kind: str, request_id: str) -> None:
        """Read and check the API's reply to a response or error."""
        self._check_outcome(kind, request_id, self._read_response())

    def _post_outcome(self, invocation: Invocation, kind: str, headers: str, body: bytes) -> None:
        response = self._post(f"/invocation/{invocation.request_id}/{kind}", headers, body)
        self._check_outcome(kind, invocation.request_id, response)

    def _check_outcome(self, kind: str, request_id: str, response: _Response) -> None:
        if response.status == 410:
            _logger.warning("The %s of %s came too late: the invocation had timed out", kind, request_id)
        elif 400 <= response.status < 500:
            # Too large or already answered. Only this invocation is lost.
            _logger.error("Lambda rejected the %s of %s: %s", kind, request_id, _describe(response))
        elif response.status >= 300:
            raise _api_error(kind, response)

    def _post(self, path: str, headers: str, body: bytes) -> _Response:
        head = f"POST {_VERSION}{path} HTTP/1.1\r\n{self._common}{headers}Content-Length: {len(body)}\r\n\r\n"
        return self._exchange(head.encode() + body)

    def _exchange(self, request: bytes) -> _Response:
        """Send a request and read its response. Retries once on a broken connection: every request is idempotent."""
        try:
            self.connection().sendall(request)
            return self._read_response()
        except (OSError, RuntimeApiLostError) as error:
            _logger.debug("Reconnecting to the Runtime API: %s", error)
            self.close()
        try:
            self.connection().sendall(request)
            return self._read_response()
        except OSError as error:
            self.close()
            raise RuntimeApiLostError(f"the Runtime API at {self._address} stopped listening: {error}") from error

    def _read_response(self) -> _Response:
        try:
            response = _read_response(self._reader) if self._reader is not None else None
        except OSError as error:
            self.close()
            raise RuntimeApiLostError(f"no response from the Runtime API: {error}") from error
        if response is None:
            self.close()
            raise RuntimeApiLostError("the Runtime API closed the connection without a response")
        if response.headers.get(b"connection", b"").lower() == b"close":
            self.close()
        return response


class ResponseStream:
    """One streamed response. Not thread-safe.

    Its methods raise `RuntimeApiLostError` if the connection breaks. The response is lost then.
    """

    def __init__(self, api: RuntimeApi, request_id: str, head: bytes) -> None:
        self._api = api
        self._request_id = request_id
        self._head = head
        self._socket: socket.socket

    @property
    def started(self) -> bool:
        """Return whether the head has been sent, so that an error can no longer replace the response."""
        return not self._head

    def send(self, chunk: bytes) -> None:
        """Send one chunk, preceded by the head if it has not been sent, in one system call."""
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
        """Send a last chunk and the end, and read the API's reply."""
        self._finish(_framed(last), b"")

    def fail(self, report: ErrorReport) -> None:
        """End with an error: the payload stops and the trailers report why."""
        from base64 import b64encode

        body = b64encode(report.truncated(_TRAILER_JSON_LIMIT)).decode()
        error_type = _line_safe(report.error_type)
        self._finish(b"", f"{_ERROR_TYPE}: {error_type}\r\n{_ERROR_BODY}: {body}\r\n".encode())

    def _finish(self, last: bytes, trailers: bytes) -> None:
        head = self._begin() if self._head else b""
        try:
            self._socket.sendall(b"%b%b0\r\n%b\r\n" % (head, last, trailers))
        except OSError as error:
            raise self._lost(error) from error
        self._api.read_outcome("response", self._request_id)

    def _begin(self) -> bytes:
        """Acquire the connection and return the head, which is sent first."""
        self._socket = self._api.connection()
        head, self._head = self._head, b""
        return head

    def _lost(self, error: OSError) -> RuntimeApiLostError:
        """Close the connection. If the API replied why it stopped reading, that is logged."""
        try:
            self._api.read_outcome("response", self._request_id)
        except (RuntimeApiLostError, RuntimeApiError) as failure:
            _logger.debug("The Runtime API sent no reply: %s", failure)
        self._api.close()
        return RuntimeApiLostError(f"the connection to the Runtime API broke in the middle of a response: {error}")


def _framed(chunk: bytes) -> bytes:
    # An empty chunk would end the body.
    return b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunk else b""


def _is_idle(connection: socket.socket) -> bool:
    """Return whether an idle connection is still open and has no unread bytes."""
    try:
        connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _read_response(reader: io.BufferedReader) -> _Response | None:
    """Read one HTTP response. Returns None if the connection ends before the response does."""
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
    return _Response(int(status_line.split(None, 2)[1]), headers, body)


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
    """Return the header that identifies the invocation of an outcome, if Lambda sent one."""
    return f"Lambda-Runtime-Invocation-Id: {invocation.invocation_id}\r\n" if invocation.invocation_id else ""


def _error_headers(report: ErrorReport) -> str:
    return f"Content-Type: application/json\r\n{_ERROR_TYPE}: {_line_safe(report.error_type)}\r\n"


def _line_safe(error_type: str) -> str:
    """Return `error_type` as ASCII: class names may contain characters that headers may not."""
    return error_type.encode("ascii", "replace").decode()[:100] or "Error"


def _describe(response: _Response) -> str:
    try:
        error = json.loads(response.body)
        return f"{response.status} {error['errorType']}: {error['errorMessage']}"
    except (ValueError, KeyError, TypeError):
        return str(response.status)


def _api_error(endpoint: str, response: _Response) -> RuntimeApiError:
    return RuntimeApiError(f"the Runtime API answered {endpoint} with {_describe(response)}")

"""An HTTP client whose every wait ends at an instant, not after a pause.

httpx's timeouts bound the silence between two reads; a provider that drips a byte now and then would hold a caller for
ever. Here each read may last until one deadline that the reader moves as the answer proceeds. `BoundedTransport` puts
httpcore's pool, with sockets that know the deadline, under httpx.

- `AttemptFailedError`: holds a `routing.verdict.Failure`: why, as a value
"""

import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any

import httpcore
import httpx

from vibe_router.routing.verdict import Failure, FailureKind

__all__ = ["AttemptFailedError", "Reply", "Upstream"]

# A pooled connection that was idle for longer may have been closed while Lambda had this environment frozen.
_TRUSTED_IDLE_SECONDS = 1.0
_POOL_SIZE = 20  # one call at a time, but a connection kept for each provider
_KEEPALIVE_SECONDS = 60.0


class AttemptFailedError(Exception):
    """A call to a provider failed; `failure` says how."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail or failure.kind)
        self.failure = failure


class _Limit:
    """The deadline that all sockets of one client obey (monotonic seconds), and what was seen of the current call."""

    __slots__ = ("deadline", "fresh", "received", "rested")

    def __init__(self) -> None:
        self.deadline = 0.0
        self.fresh = False
        self.received = False
        self.rested = 0.0  # seconds that the call's connection had been idle before it

    def left(self) -> float:
        return self.deadline - time.monotonic()


class _BoundedStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, limit: _Limit) -> None:
        self._stream = stream
        self._limit = limit
        self._used_at = time.monotonic()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the deadline replaces it
        left = self._limit.left()
        if left <= 0:
            raise httpcore.ReadTimeout
        data = self._stream.read(max_bytes, left)
        self._limit.received |= bool(data)  # the end of a connection is no answer
        self._used_at = time.monotonic()
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - the deadline replaces it
        left = self._limit.left()
        if left <= 0:
            raise httpcore.WriteTimeout
        self._limit.rested = max(self._limit.rested, time.monotonic() - self._used_at)
        self._stream.write(buffer, left)
        self._used_at = time.monotonic()

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _BoundedStream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._limit)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _BoundedBackend(httpcore.NetworkBackend):
    def __init__(self, limit: _Limit) -> None:
        self._backend = httpcore.SyncBackend()
        self._limit = limit

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        self._limit.fresh = True
        stream = self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        return _BoundedStream(stream, self._limit)

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def close(self) -> None:
        if close := getattr(self._stream, "close", None):
            close()


class _BoundedTransport(httpx.BaseTransport):
    def __init__(self, limit: _Limit, ssl_context: ssl.SSLContext | None) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl_context,
            max_connections=_POOL_SIZE,
            max_keepalive_connections=_POOL_SIZE,
            keepalive_expiry=_KEEPALIVE_SECONDS,
            network_backend=_BoundedBackend(limit),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        response = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        assert isinstance(response.stream, Iterable)  # noqa: S101 - httpcore's sync pool promises it; for mypy
        return httpx.Response(
            response.status, headers=response.headers, stream=_Body(response.stream), extensions=response.extensions
        )

    def close(self) -> None:
        self._pool.close()


class Reply:
    """A provider's answer: `status` and `headers` (lower-case) are here, the body is still to be read."""

    def __init__(self, response: httpx.Response, limit: _Limit) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = dict(response.headers)
        self._response = response
        self._chunks = response.iter_bytes()
        self._limit = limit

    def __enter__(self) -> "Reply":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def read(self, until: float) -> bytes:
        """Return the next bytes of the body, b"" at its end.

        Waits until `until` (monotonic seconds). Raises AttemptFailedError: TIMEOUT when nothing came by then,
        NOT_A_COMPLETION when the connection broke inside the body.
        """
        self._limit.deadline = until
        try:
            return next(self._chunks, b"")
        except httpcore.TimeoutException:
            raise _failed(FailureKind.TIMEOUT, "the answer fell silent") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpx.DecodingError) as error:
            raise _failed(FailureKind.NOT_A_COMPLETION, f"the answer broke off ({type(error).__name__})") from None

    def drain(self, until: float) -> None:
        """Read what is left by `until`, so that the connection can serve the next call; else close it."""
        try:
            while self.read(until):
                pass
        except AttemptFailedError:
            pass  # closing is all that is left to do
        self.close()

    def close(self) -> None:
        """Give the connection back, or end it where the answer was not read to its end."""
        self._response.close()


class Upstream:
    """Calls providers, one call at a time: an environment of Lambda serves one request at a time.

    So the answer before has been read or given up when the next call is made, and is closed then at the latest.
    """

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self._limit = _Limit()
        self._client = httpx.Client(
            transport=_BoundedTransport(self._limit, ssl_context or httpx.create_ssl_context()), trust_env=False
        )
        self._before: Reply | None = None

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def post(self, url: str, headers: Mapping[str, str], body: bytes, *, connect: float, until: float) -> Reply:
        """Send `body` and return the answer once its headers are here.

        `connect` bounds connecting in seconds, `until` (monotonic seconds) everything. Raises AttemptFailedError.
        """
        if self._before:
            # Else the garbage collector may close it while the pool is locked, and wait for that lock for ever.
            self._before.close()
        limit = self._limit
        limit.deadline = until
        for again in (False, True):
            limit.fresh = limit.received = False
            limit.rested = 0.0
            request = self._client.build_request(
                "POST", url, headers=headers, content=body, timeout=httpx.Timeout(None, connect=connect)
            )
            try:
                self._before = Reply(self._client.send(request, stream=True), limit)
                return self._before
            except httpcore.ConnectTimeout:
                raise _failed(FailureKind.TIMEOUT, "connecting took too long") from None
            except httpcore.TimeoutException:
                raise _failed(FailureKind.TIMEOUT, "no answer began") from None
            except httpcore.ConnectError as error:
                raise _failed(FailureKind.UNREACHABLE, f"could not connect ({_cause(error)})") from None
            except (httpcore.NetworkError, httpcore.ProtocolError) as error:
                # Nothing came on a connection that had rested: it was closed long ago, which says nothing of today.
                if not again and not limit.fresh and not limit.received and limit.rested > _TRUSTED_IDLE_SECONDS:
                    continue
                raise _failed(FailureKind.RESET, f"the connection broke ({type(error).__name__})") from None
        raise AssertionError("unreachable")


def _failed(kind: FailureKind, detail: str) -> AttemptFailedError:
    return AttemptFailedError(Failure(kind, detail=detail))


def _cause(error: BaseException) -> str:
    """Return the name of what is behind httpcore's wrapper: ConnectionRefusedError, gaierror, SSLError."""
    cause = error.__cause__ or error.__context__
    return type(cause).__name__ if cause else type(error).__name__

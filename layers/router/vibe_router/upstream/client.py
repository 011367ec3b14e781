"""An HTTP client whose reads end at a deadline.

The timeouts of HTTP clients limit the silence between two reads; a provider that sends a byte now and then could hold
a caller for ever. Here each read lasts until one deadline, which the reader moves as the answer proceeds: httpcore's
pool, with sockets that observe the deadline.

httpcore, the engine of httpx, is used without httpx: a call to a provider must not have cookies, redirects or
authentication, and httpx takes 0.4 of 0.7 ms of a call and 80 ms of a cold start.

- `AttemptFailedError`: holds a `routing.verdict.Failure`, the reason as a value
"""

import socket
import ssl
import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import httpcore

from vibe_router.core.tls import trusted_ssl_context
from vibe_router.core.urls import host_header, host_of, is_metadata
from vibe_router.routing.verdict import Failure, FailureKind
from vibe_router.upstream.chunk_merger import ChunkMerger
from vibe_router.upstream.redaction import KeyRedactor, redactor_for

__all__ = [
    "AttemptFailedError",
    "HttpReply",
    "Reply",
    "Upstream",
    "encoded_headers",
    "encoded_url",
]

# A pooled connection that was idle for longer may have been closed while Lambda had this environment frozen.
TRUSTED_IDLE_SECONDS = 1.0
_POOL_SIZE = 20  # one call at a time, and an idle connection for each provider
_KEEPALIVE_SECONDS = 60.0
_MAX_PIECE = 1024 * 1024  # bytes, of a compressed answer
_HELD_BYTES = 64 * 1024  # of a request, before it is sent
_ENCODED = "/%:@!$&'()*+,;=-._~?"  # characters of a path or query that are not encoded, or are already


class AttemptFailedError(Exception):
    """A call to a provider failed; `failure` says how."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail or failure.kind)
        self.failure = failure


class _Limit:
    """The deadline of all sockets of a client (monotonic seconds), and the progress of the current call."""

    __slots__ = ("aborted", "deadline", "fresh", "received", "rested", "stream")

    def __init__(self) -> None:
        self.aborted = False
        self.stream: httpcore.NetworkStream | None = None  # in use
        self.deadline = 0.0
        self.fresh = False
        self.received = False
        self.rested = 0.0  # seconds for which the connection was idle before the call

    def left(self) -> float:
        return self.deadline - time.monotonic()


class _BoundedStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, limit: _Limit) -> None:
        self._stream = stream
        self._limit = limit
        self._used_at = time.monotonic()
        self._unsent = b""
        self._chunks = ChunkMerger()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the deadline replaces it
        self._limit.stream = self._stream
        if self._unsent:
            self._send()
        while True:
            left = self._limit.left()
            if left <= 0 or self._limit.aborted:
                raise httpcore.ReadTimeout
            data = self._stream.read(max_bytes, left)
            self._limit.received |= bool(data)  # the end of a connection is no answer
            self._used_at = time.monotonic()
            if not data:
                return self._chunks.flush()
            if passed := self._chunks.feed(data):
                return passed

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - the deadline replaces it
        """Send `buffer`, or hold a small one until the next read: head and body of a request are one packet then."""
        self._limit.stream = self._stream
        if self._limit.left() <= 0 or self._limit.aborted:
            raise httpcore.WriteTimeout
        self._limit.rested = max(self._limit.rested, time.monotonic() - self._used_at)
        self._used_at = time.monotonic()
        self._unsent = self._unsent + buffer if self._unsent else buffer
        if len(self._unsent) > _HELD_BYTES:
            self._write_held()

    def _send(self) -> None:
        """Send what is held. As in httpcore, a provider that stops reading may have answered already."""
        try:
            self._write_held()
        except httpcore.WriteError:
            return

    def _write_held(self) -> None:
        self._chunks.begin()
        left = self._limit.left()
        if left <= 0 or self._limit.aborted:
            raise httpcore.WriteTimeout
        held, self._unsent = self._unsent, b""
        self._stream.write(held, left)
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
        if self._limit.aborted:
            raise httpcore.ConnectError("the call was cancelled")
        stream = self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        # By its address, as a name may lead anywhere: no key goes to a cloud's metadata service.
        if is_metadata((stream.get_extra_info("server_addr") or [""])[0]):
            stream.close()
            raise httpcore.ConnectError("a link-local or metadata address is rejected")
        return _BoundedStream(stream, self._limit)

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class _Decoder(Protocol):
    """A decompressor of zlib."""

    @property
    def unconsumed_tail(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class Reply(ABC):
    """A provider's answer: `status` and `headers` (lower-case) have arrived, the body is still to be read.

    Nothing of it repeats the key that the provider was sent.
    """

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        self.status = status
        self.headers = headers

    def __enter__(self) -> "Reply":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @abstractmethod
    def read(self, until: float) -> bytes:
        """Return the next bytes of the body, b"" at its end.

        Waits until `until` (monotonic seconds). Raises AttemptFailedError: TIMEOUT when nothing came by then,
        NOT_A_COMPLETION when the connection broke inside the body.
        """

    @abstractmethod
    def close(self) -> None:
        """Return the connection to the pool, or close it if the answer was not read to its end."""

    def redact(self, error: bytes) -> bytes:
        """Return an error of this answer without the key, however short that is and however it is spelled."""
        return error

    def drain(self, until: float) -> None:
        """Read the rest by `until`, so that the connection can serve the next call; else close it."""
        try:
            while self.read(until):
                pass
        except AttemptFailedError:
            pass  # only closing is left to do
        self.close()


class HttpReply(Reply):
    """An answer over HTTP, decompressed and redacted as it is read."""

    def __init__(self, response: httpcore.Response, limit: _Limit, redactor: KeyRedactor | None = None) -> None:
        headers = _joined(response.headers)
        super().__init__(response.status, redactor.redact_headers(headers) if redactor else headers)
        self._redactor = redactor
        # A short key may be a word of a healthy answer; an error is redacted whatever the key.
        self._redacted = redactor.stream() if redactor and (redactor.redacts_answers or self.status != 200) else None
        self._response = response
        decoder = _decoder(self.headers.get("content-encoding", ""))
        self._chunks = _decompressed(response.iter_stream(), decoder) if decoder else response.iter_stream()
        self._limit = limit

    def read(self, until: float) -> bytes:
        """Return the next bytes of the body, as `Reply.read` does."""
        self._limit.deadline = until
        try:
            for chunk in self._chunks:
                if chunk and (passed := self._redacted.feed(chunk) if self._redacted else chunk):
                    return passed
        except httpcore.TimeoutException:
            raise _failed(FailureKind.TIMEOUT, "the answer fell silent") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, zlib.error) as error:
            raise _failed(FailureKind.NOT_A_COMPLETION, f"the answer broke off ({type(error).__name__})") from None
        return self._redacted.flush() if self._redacted else b""

    def redact(self, error: bytes) -> bytes:
        """Return an error of this answer without the key, however short that is and however it is spelled."""
        return self._redactor.redact_error(error) if self._redactor else error

    def close(self) -> None:
        """Return the connection to the pool, or close it if the answer was not read to its end."""
        self._response.close()


class Upstream:
    """Calls providers, one call at a time: an environment of Lambda serves one request at a time.

    So the previous answer is no longer read when the next call is made, and is closed then at the latest. `tls` returns
    the context that verifies providers; it is called by the first https call.
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext] = trusted_ssl_context) -> None:
        self._limit = _Limit()
        self._tls = tls
        self._pools: dict[bytes, httpcore.ConnectionPool] = {}  # by scheme
        self._before: Reply | None = None

    @property
    def open_connections(self) -> int:
        """The number of connections, in use or idle."""
        return sum(len(pool.connections) for pool in self._pools.values())

    def sibling(self) -> "Upstream":
        """Return a client with connections of its own, for a call beside one of this client."""
        return Upstream(self._tls)

    def abort(self) -> None:
        """End the current call from another thread, and reject further ones until `rearm`."""
        self._limit.aborted = True
        stream = self._limit.stream
        connected = stream.get_extra_info("socket") if stream else None
        if connected is not None:
            with suppress(OSError):  # it is closed already
                socket.socket.shutdown(connected, socket.SHUT_RDWR)  # not TLS's, which another thread is reading

    def rearm(self) -> None:
        """Accept calls again after `abort`."""
        self._limit.aborted = False

    def close(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            pool.close()

    def post(self, url: str, headers: Mapping[str, str], body: bytes, *, connect: float, until: float) -> Reply:
        """Send `body` and return the answer once its headers have arrived.

        `connect` limits connecting in seconds, `until` (monotonic seconds) everything. Raises AttemptFailedError.
        """
        if self._before:
            # Otherwise the garbage collector may close it while the pool is locked, a deadlock.
            self._before.close()
        address, sent = encoded_url(url), encoded_headers(host_header(url), headers, body)
        pool = self._pools.get(address.scheme) or self._open_pool(address.scheme)
        limit = self._limit
        limit.deadline = until
        redactor = redactor_for(headers)
        for again in (False, True):
            limit.fresh = limit.received = False
            limit.rested = 0.0
            request = httpcore.Request(
                "POST",
                address,
                headers=sent,
                content=body,
                extensions={"timeout": {"connect": connect}},
            )
            try:
                self._before = HttpReply(pool.handle_request(request), limit, redactor)
                return self._before
            except httpcore.ConnectTimeout:
                raise _failed(FailureKind.TIMEOUT, "connecting took too long") from None
            except httpcore.TimeoutException:
                raise _failed(FailureKind.TIMEOUT, "no answer began") from None
            except httpcore.ConnectError as error:
                raise _failed(FailureKind.UNREACHABLE, f"could not connect ({_cause(error)})") from None
            except (httpcore.NetworkError, httpcore.ProtocolError) as error:
                # The pooled connection had been closed while idle, which says nothing about the provider.
                if not again and not limit.fresh and not limit.received and limit.rested > TRUSTED_IDLE_SECONDS:
                    continue
                raise _failed(FailureKind.RESET, f"the connection broke ({type(error).__name__})") from None
        raise AssertionError("unreachable")

    def _open_pool(self, scheme: bytes) -> httpcore.ConnectionPool:
        self._pools[scheme] = httpcore.ConnectionPool(
            ssl_context=self._tls() if scheme == b"https" else None,
            max_connections=_POOL_SIZE,
            max_keepalive_connections=_POOL_SIZE,
            keepalive_expiry=_KEEPALIVE_SECONDS,
            network_backend=_BoundedBackend(self._limit),
        )
        return self._pools[scheme]


@lru_cache(256)
def encoded_url(url: str) -> httpcore.URL:
    """Return the address of a request, with host and path encoded."""
    parts = urlsplit(url)
    target = quote(parts.path or "/", safe=_ENCODED) + (f"?{quote(parts.query, safe=_ENCODED)}" if parts.query else "")
    return httpcore.URL(
        scheme=parts.scheme.encode(), host=host_of(url).encode(), port=parts.port, target=target.encode()
    )


def encoded_headers(host: str, headers: Mapping[str, str], body: bytes) -> list[tuple[bytes, bytes]]:
    """Return the headers of a request, each once, with its host and its length."""
    given = {name.lower(): value for name, value in headers.items()}
    whole = {"host": host, **given, "content-length": str(len(body))}
    return [(name.encode(), value.encode()) for name, value in whole.items()]


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by name; those of one name are joined by a comma, as HTTP has it."""
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _decoder(encoding: str) -> _Decoder | None:
    """Return a decompressor for an answer that is compressed unasked; None for a plain one."""
    match encoding.strip().lower():
        case "gzip" | "x-gzip" | "deflate":
            return zlib.decompressobj(zlib.MAX_WBITS | 32)  # detects which of the two it is
    return None


def _decompressed(chunks: Iterable[bytes], decoder: _Decoder) -> Iterator[bytes]:
    """Yield an answer in bounded pieces: a small chunk may decompress to a thousand times its size."""
    for chunk in chunks:
        rest, piece = chunk, b"."
        while rest or len(piece) == _MAX_PIECE:
            piece = decoder.decompress(rest, _MAX_PIECE)
            rest = decoder.unconsumed_tail
            yield piece


def _failed(kind: FailureKind, detail: str) -> AttemptFailedError:
    return AttemptFailedError(Failure(kind, detail=detail))


def _cause(error: BaseException) -> str:
    """Return the name of the error that httpcore wraps: ConnectionRefusedError, gaierror, SSLError."""
    cause = error.__cause__ or error.__context__
    return type(cause).__name__ if cause else type(error).__name__

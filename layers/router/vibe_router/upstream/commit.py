"""Call one deployment, up to the commit of its answer: the moment at which it reaches the caller.

Before the commit nothing is sent to the caller, so a failover is invisible. A stream commits with its
first real content, a whole answer with its last byte.
"""

import re
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from vibe_router.core.models import Deployment
from vibe_router.core.usage import Usage
from vibe_router.formats.common import sse
from vibe_router.formats.interfaces import Piece, StreamReader, WholeAnswer
from vibe_router.routing.deadline import Bounds
from vibe_router.routing.verdict import Failure, FailureKind
from vibe_router.upstream.client import AttemptFailedError, Reply, Upstream
from vibe_router.upstream.exchange import Exchange

__all__ = ["OpenStream", "WholeAnswer", "call_streamed", "call_whole"]

_MAX_ERROR_BYTES = 64 * 1024
_MAX_WHOLE_BYTES = 32 * 1024 * 1024
_ERROR_BODY_SECONDS = 5.0  # an error's body comes with its headers; a later one is not awaited


@dataclass(slots=True)
class OpenStream:
    """A committed stream. `held` are the pieces up to the commit; `pending` are events received but not yet read."""

    reply: Reply
    exchange: Exchange
    reader: StreamReader
    decoder: sse.EventDecoder
    held: list[Piece]
    pending: deque[sse.Event] = field(default_factory=deque)
    ended: bool = False  # the provider's stream is over, and all of it is in `held` and `pending`

    def batches(self, until: float, idle: float) -> Iterator[list[Piece]]:
        """Yield all pieces from the first held one on; those that were received together as one list.

        `until` (monotonic seconds) limits it all, `idle` (seconds) the silence between two events with data. Ends with
        the provider's stream; `reader.complete` is true if that is a whole answer. Raises AttemptFailedError if it
        stalls, breaks or reports an error before the answer is complete.
        """
        yield self.held
        silent_at = min(until, time.monotonic() + idle)
        while True:
            batch: list[Piece] = []
            failure: Failure | None = None
            while self.pending and not self.reader.done:
                event = self.pending.popleft()
                piece = self.reader.read(event)
                if piece.error is not None:
                    failure = _stream_error(self.reply, piece.error, in_open_stream=True)
                    break
                batch.append(piece)
                if event.data is not None:
                    silent_at = min(until, time.monotonic() + idle)
            if batch:
                yield batch
            if failure:
                raise AttemptFailedError(failure)
            if self.ended or self.reader.done:
                return
            try:
                self.receive(silent_at)
            except AttemptFailedError:
                if self.reader.complete:
                    return
                raise

    def receive(self, until: float) -> None:
        """Read once, by `until` (monotonic seconds), into `pending`. Raises AttemptFailedError."""
        chunk = self.reply.read(until)
        self.ended = not chunk
        try:
            self.pending.extend(self.decoder.feed(chunk) if chunk else self.decoder.flush())
        except sse.EventTooLargeError:
            raise _not_a_completion("an event without an end") from None


_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]{1,60}", re.ASCII)


def call_streamed(
    upstream: Upstream, deployment: Deployment, secret: str, exchange: Exchange, bounds: Bounds, *, probe: bool
) -> OpenStream:
    """Ask for a stream and return it once it commits. Raises AttemptFailedError."""
    reply = _post(upstream, deployment, secret, exchange, bounds, stream=True)
    try:
        if reply.headers.get("content-type", "").startswith("application/json"):
            return _as_stream(reply, exchange, bounds)
        return _until_commit(reply, exchange, bounds, probe=probe)
    except BaseException:
        reply.close()
        raise


def call_whole(
    upstream: Upstream, deployment: Deployment, secret: str, exchange: Exchange, bounds: Bounds
) -> WholeAnswer:
    """Ask for a whole answer and return it. Raises AttemptFailedError."""
    with _post(upstream, deployment, secret, exchange, bounds, stream=False) as reply:
        if exchange.streams and reply.headers.get("content-type", "").startswith("text/event-stream"):
            stream = _until_commit(reply, exchange, bounds, probe=False)
            return assemble(stream, bounds.commit, deployment.policy.timeouts.idle)
        body = _read_all(reply, bounds.commit)
        if body and exchange.media_types and (media_type := _media_type(reply, exchange)):
            return WholeAnswer(body, Usage(), content_type=media_type)
        return exchange.whole(_completion(exchange, reply, body), body)


def _media_type(reply: Reply, exchange: Exchange) -> str | None:
    """Return the media type of an answer that passes unchanged, without the provider's parameters; None for others."""
    declared = reply.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
    if not declared.startswith(exchange.media_types) or not _MEDIA_TYPE.fullmatch(declared):
        return None
    return f"{declared}; charset=utf-8" if declared.startswith("text/") else declared


def assemble(stream: OpenStream, until: float, idle: float) -> WholeAnswer:
    """Read a committed stream to its end, with the limits of `batches`, and return it as a whole answer.

    Raises AttemptFailedError if it is not complete.
    """
    assembler = stream.exchange.assembler()
    with stream.reply:
        for batch in stream.batches(until, idle):
            for piece in batch:
                if piece.chunk is not None:
                    assembler.add(piece.chunk)
    if not stream.reader.complete:
        raise _not_a_completion("the stream was truncated")
    return stream.exchange.whole(assembler.answer())


def _post(
    upstream: Upstream, deployment: Deployment, secret: str, exchange: Exchange, bounds: Bounds, *, stream: bool
) -> Reply:
    """Call, and raise AttemptFailedError for any status but 200."""
    if not deployment.provider.keyed:
        return _post_signed(upstream, deployment, exchange, bounds, stream=stream)
    headers = {
        "content-type": "application/json",
        "accept": "text/event-stream" if stream else "application/json",
        "accept-encoding": "identity",  # uncompressed bytes can be passed through
        "user-agent": "vibe-router",
        **exchange.headers(secret),
    }
    reply = upstream.post(
        deployment.provider.base_url + exchange.path,
        headers,
        exchange.body(stream=stream),
        connect=bounds.connect,
        until=bounds.first_byte,
    )
    exchange.reply_headers = reply.headers
    if reply.status == 200:
        return reply
    with reply:
        body = reply.redact(_read_error(reply, min(bounds.commit, time.monotonic() + _ERROR_BODY_SECONDS)))
    raise AttemptFailedError(Failure(FailureKind.STATUS, reply.status, reply.headers, body))


def _post_signed(
    upstream: Upstream, deployment: Deployment, exchange: Exchange, bounds: Bounds, *, stream: bool
) -> Reply:
    """As `_post`, for Bedrock."""
    from vibe_router.upstream import bedrock  # brings botocore's signing, which other calls do without

    body = exchange.body(stream=stream)
    reply = bedrock.post(
        upstream,
        deployment,
        body,
        stream=stream,
        connect=bounds.connect,
        until=bounds.first_byte,
        path=exchange.path,
        headers=exchange.headers(""),
    )
    exchange.reply_headers = reply.headers
    if reply.status == 200:
        return reply
    with reply:
        error = _read_error(reply, min(bounds.commit, time.monotonic() + _ERROR_BODY_SECONDS))
    raise AttemptFailedError(
        Failure(FailureKind.STATUS, reply.status, reply.headers, bedrock.normalize_error(reply.headers, error))
    )


def _until_commit(reply: Reply, exchange: Exchange, bounds: Bounds, *, probe: bool) -> OpenStream:
    stream = OpenStream(reply, exchange, exchange.reader(), sse.EventDecoder(), [])
    until = bounds.first_byte if probe else bounds.commit
    while True:
        stream.receive(until)
        if any(event.data is not None for event in stream.pending):  # comments say nothing about the model
            until = bounds.commit
        while stream.pending:
            piece = stream.reader.read(stream.pending.popleft())
            if piece.error is not None:
                raise AttemptFailedError(_stream_error(reply, piece.error, in_open_stream=bool(stream.held)))
            if piece.done and not piece.commits:
                raise _not_a_completion("a stream without content")
            stream.held.append(piece)
            if piece.commits:
                return stream
        if stream.ended:
            raise _not_a_completion("a stream without content")


def _stream_error(reply: Reply, error: bytes, *, in_open_stream: bool) -> Failure:
    detail = "an error in the stream"
    return Failure(FailureKind.IN_BODY, reply.status, reply.headers, reply.redact(error), detail, in_open_stream)


def _as_stream(reply: Reply, exchange: Exchange, bounds: Bounds) -> OpenStream:
    """Return a whole answer to a request for a stream as the stream it should have been."""
    answer = _completion(exchange, reply, _read_all(reply, bounds.commit))
    stream = OpenStream(reply, exchange, exchange.reader(), sse.EventDecoder(), [], ended=True)
    for raw in exchange.to_events(answer):
        stream.pending.extend(stream.decoder.feed(raw))
    stream.held.append(stream.reader.read(stream.pending.popleft()))
    return stream


def _completion(exchange: Exchange, reply: Reply, body: bytes) -> dict[str, Any]:
    answer = exchange.read_whole(body)
    if answer is not None:
        return answer
    error = body[:_MAX_ERROR_BYTES]
    if b'"error"' in error:
        detail = "an error with status 200"
        raise AttemptFailedError(Failure(FailureKind.IN_BODY, 200, reply.headers, reply.redact(error), detail))
    raise _not_a_completion("a body that is no completion")


def _read_all(reply: Reply, until: float) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while chunk := reply.read(until):
        chunks.append(chunk)
        size += len(chunk)
        if size > _MAX_WHOLE_BYTES:
            raise _not_a_completion(f"more than {_MAX_WHOLE_BYTES} bytes")
    return b"".join(chunks)


def _read_error(reply: Reply, until: float) -> bytes:
    """Return the part of an error's body that arrives in time; the status alone may do."""
    body = b""
    try:
        while len(body) < _MAX_ERROR_BYTES and (chunk := reply.read(until)):
            body += chunk
    except AttemptFailedError:
        pass
    return body[:_MAX_ERROR_BYTES]


def _not_a_completion(detail: str) -> AttemptFailedError:
    return AttemptFailedError(Failure(FailureKind.NOT_A_COMPLETION, 200, detail=detail))

"""Passes a committed stream on to the caller, and never lets a broken one look whole."""

from collections.abc import Iterator

from vibe_router.clock import Clock
from vibe_router.formats import chat
from vibe_router.formats.errors import ApiError
from vibe_router.routing.models import Deployment
from vibe_router.routing.verdict import Failure, FailureKind, judge
from vibe_router.telemetry import log_fault
from vibe_router.upstream.attempt import OpenStream
from vibe_router.upstream.client import AttemptFailedError

__all__ = ["Relay"]

_CODES = {FailureKind.TIMEOUT: "stream_stalled", FailureKind.IN_BODY: "stream_error"}


class Relay:
    """The caller's side of a committed stream: an iterator of bytes that ends in `[DONE]` or in an error event.

    Iterate once. Afterwards `failure` says what broke the stream, None when it is whole; `overran` says that it was the
    request's own end and not the deployment's doing. The provider's connection is left open: `stream.reply` is to be
    drained or closed once the caller has its answer.
    """

    def __init__(self, stream: OpenStream, deployment: Deployment, until: float, clock: Clock) -> None:
        """`until` (monotonic seconds) is when the request must have ended."""
        self.stream = stream
        self.failure: Failure | None = None
        self.overran = False
        self._deployment = deployment
        self._until = until
        self._clock = clock

    @property
    def code(self) -> str:
        """What the error event calls the failure."""
        if self.overran:
            return "deadline_exceeded"
        return _CODES.get(self.failure.kind, "stream_truncated") if self.failure else ""

    def __iter__(self) -> Iterator[bytes]:
        reader = self.stream.reader
        try:
            for batch in self.stream.batches(self._until, self._deployment.policy.timeouts.idle):
                if raw := b"".join([piece.raw for piece in batch]):
                    yield raw
        except AttemptFailedError as error:
            self.failure = error.failure
            self.overran = self.failure.kind is FailureKind.TIMEOUT and self._clock.monotonic() >= self._until
        except Exception as error:  # noqa: BLE001 - whatever happens, the stream must not end as if it were whole
            self.failure = Failure(FailureKind.NOT_A_COMPLETION, 200, detail="the router failed")
            log_fault("relay", error)
        if self.failure is None and not reader.complete:
            self.failure = Failure(FailureKind.NOT_A_COMPLETION, 200, detail="the stream was truncated")
        if self.failure is not None:
            yield chat.error_event(self._told(self.failure))
        elif not reader.done:
            yield chat.DONE

    def _told(self, failure: Failure) -> ApiError:
        judgement = judge(failure, self._clock.now())
        if self.overran:
            message = "The answer took longer than a request may last."
        elif failure.kind is FailureKind.IN_BODY:
            message = f"{self._deployment.id} ended the answer with an error ({judgement.code or judgement.verdict})."
        else:
            message = f"The answer of {self._deployment.id} is incomplete: {failure.detail}."
        return ApiError(502, message, type="upstream_error", code=self.code)

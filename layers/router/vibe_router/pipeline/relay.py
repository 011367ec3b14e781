"""Passes a committed stream on to the caller, and never lets a broken one look whole."""

from collections.abc import Callable, Iterator

from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError
from vibe_router.core.models import Deployment
from vibe_router.core.telemetry import log_fault
from vibe_router.routing.verdict import Failure, FailureKind, classify_failure
from vibe_router.upstream.attempt import OpenStream
from vibe_router.upstream.client import AttemptFailedError

__all__ = ["Relay"]

_CODES = {FailureKind.TIMEOUT: "stream_stalled", FailureKind.IN_BODY: "stream_error"}


class Relay:
    """The caller's side of a committed stream: an iterator of bytes that ends as its format says, or in an error event.

    Iterate once. Afterwards `failure` says what broke the stream, None when it is whole; `blameless` says that this was
    not the deployment's doing: the request's own end, or a fault of the router. The provider's connection is left open:
    `stream.reply` is to be drained or closed once the caller has its answer.
    """

    def __init__(
        self,
        stream: OpenStream,
        deployment: Deployment,
        until: float,
        clock: Clock,
        before_end: Callable[[bytes], bytes] | None = None,
    ) -> None:
        """`until` (monotonic seconds) is when the request must have ended.

        `before_end` is given the end of a stream that is whole, and returns what is told of it.
        """
        self.stream = stream
        self.failure: Failure | None = None
        self.code = ""
        self.blameless = False
        self.deployment = deployment
        self._until = until
        self._clock = clock
        self._before_end = before_end

    def __iter__(self) -> Iterator[bytes]:
        reader = self.stream.reader
        ending = b""
        try:
            for batch in self.stream.batches(self._until, self.deployment.policy.timeouts.idle):
                if raw := b"".join([piece.raw for piece in batch]):
                    if reader.done and self._before_end:
                        ending = raw  # the last one: it waits for what is done before it
                    else:
                        yield raw
            if reader.complete:
                ending += reader.end()
                if self._before_end:
                    ending = self._before_end(ending)
        except AttemptFailedError as error:
            self._end(error.failure)
        except Exception as error:  # noqa: BLE001 - whatever happens, the stream must not end as if it were whole
            log_fault("relay", error)
            self._end(Failure(FailureKind.NOT_A_COMPLETION, 200, detail="the router failed"), "internal_error")
        else:
            if not reader.complete:
                self._end(Failure(FailureKind.NOT_A_COMPLETION, 200, detail="the stream was truncated"))
        if self.failure is not None:
            ending += reader.fail(self._told(self.failure))
        if ending:
            yield ending

    def _end(self, failure: Failure, blameless: str = "") -> None:
        """Note what broke the stream; `blameless` is the error's code where it was not the deployment's doing."""
        if failure.kind is FailureKind.TIMEOUT and self._clock.monotonic() >= self._until:
            blameless = "deadline_exceeded"
        self.failure = failure
        self.blameless = bool(blameless)
        self.code = blameless or _CODES.get(failure.kind, "stream_truncated")

    def _told(self, failure: Failure) -> ApiError:
        if self.code == "deadline_exceeded":
            message = "The answer took longer than a request may last."
        elif failure.kind is FailureKind.IN_BODY:
            classification = classify_failure(failure, self._clock.now())
            reason = classification.code or classification.verdict
            message = f"{self.deployment.id} ended the answer with an error ({reason})."
        else:
            message = f"The answer of {self.deployment.id} is incomplete: {failure.detail}."
        return ApiError(502, message, type="upstream_error", code=self.code)

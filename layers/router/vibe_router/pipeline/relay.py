"""Relay a committed stream to its caller, so that a broken stream never looks complete."""

from collections.abc import Callable, Generator, Iterator

from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError
from vibe_router.core.models import Deployment
from vibe_router.core.telemetry import log_fault
from vibe_router.routing.classification import classify_failure
from vibe_router.routing.verdict import Classification, Failure, FailureKind, Verdict
from vibe_router.upstream.client import AttemptFailedError
from vibe_router.upstream.commit import OpenStream

__all__ = ["Relay", "Resume"]

_CODES = {FailureKind.TIMEOUT: "stream_stalled", FailureKind.IN_BODY: "stream_error"}


# Returns the stream that continues the one of a relay, and its deployment; None if nothing does. The relay's `failure`
# says what broke it.
Resume = Callable[["Relay"], tuple[Deployment, OpenStream] | None]


class Relay:
    """The caller's side of a committed stream: bytes that end as the caller's format requires, or in an error event.

    Iterate once. Afterwards `failure` is what broke the stream, None when it is complete. `blameless` is true if the
    deployment did not cause the failure: the request ran out of time, or the router failed. The provider's connection
    stays open: drain or close `stream.reply` once the caller has its answer. `stream` and `deployment` are those that
    wrote last; `events` and `sent_bytes` count what they wrote.
    """

    def __init__(
        self,
        stream: OpenStream,
        deployment: Deployment,
        until: float,
        clock: Clock,
        before_end: Callable[[bytes], bytes] | None = None,
        resume: "Resume | None" = None,
    ) -> None:
        """Relay `stream` until the deadline `until` (monotonic seconds).

        `before_end` receives the last bytes of a complete stream and returns the bytes to send instead. `resume` finds
        the stream that continues a broken one.
        """
        self.stream = stream
        self.failure: Failure | None = None
        self.code = ""
        self.blameless = False
        self.deployment = deployment
        self.events = 0  # relayed so far, and their bytes
        self.sent_bytes = 0
        self._until = until
        self._clock = clock
        self._before_end = before_end
        self._resume = resume

    def __iter__(self) -> Iterator[bytes]:
        ending = yield from self._relayed()
        while self.failure is not None and self._resume and (resumed := self._resume(self)):
            if ending:
                yield ending
            self._switch(*resumed)
            ending = yield from self._relayed()
        if self.failure is not None:
            ending += self.stream.reader.fail(self._to_api_error(self.failure))
        if ending:
            yield ending

    def _switch(self, deployment: Deployment, stream: OpenStream) -> None:
        """Go on with the stream of another deployment."""
        self.stream, self.deployment = stream, deployment
        self.failure, self.code, self.blameless = None, "", False
        self.events = self.sent_bytes = 0

    def _relayed(self) -> Generator[bytes, None, bytes]:
        """Yield the bytes of the current stream; return the last bytes, which are sent after all."""
        reader = self.stream.reader
        ending = b""
        try:
            for batch in self.stream.batches(self._until, self.deployment.policy.timeouts.idle):
                if raw := b"".join([piece.raw for piece in batch]):
                    self.events += len(batch)
                    self.sent_bytes += len(raw)
                    if reader.done and self._before_end:
                        ending = raw  # sent after `before_end` has run
                    else:
                        yield raw
            if reader.complete:
                ending += reader.end()
                if self._before_end:
                    ending = self._before_end(ending)
        except AttemptFailedError as error:
            self._end(error.failure)
        except Exception as error:  # noqa: BLE001 - a stream that any fault ends must not look complete
            log_fault("relay", error)
            self._end(Failure(FailureKind.NOT_A_COMPLETION, 200, detail="the router failed"), "internal_error")
        else:
            if getattr(reader, "diverged", False):  # of a continuation
                detail = "it does not continue the text so far"
                self._end(Failure(FailureKind.NOT_A_COMPLETION, 200, detail=detail), "stream_truncated")
            elif not reader.complete:
                self._end(Failure(FailureKind.NOT_A_COMPLETION, 200, detail="the stream was truncated"))
        return ending

    def _end(self, failure: Failure, blameless: str = "") -> None:
        """Record what broke the stream; `blameless` is the error's code if the deployment did not cause it."""
        if failure.kind is FailureKind.TIMEOUT and self._clock.monotonic() >= self._until:
            blameless = "deadline_exceeded"
        self.failure = failure
        self.blameless = bool(blameless)
        self.code = blameless or _CODES.get(failure.kind, "stream_truncated")

    def _to_api_error(self, failure: Failure) -> ApiError:
        status, type_ = 502, "upstream_error"
        if self.code == "deadline_exceeded":
            message = "The answer took longer than a request may take."
        elif failure.kind is FailureKind.IN_BODY:
            classification = classify_failure(failure, self._clock.now())
            status, type_ = _status_and_type(classification)
            reason = classification.code or classification.verdict
            message = f"{self.deployment.id} ended the answer with an error ({reason})."
        else:
            message = f"The answer of {self.deployment.id} is incomplete: {failure.detail}."
        return ApiError(status, message, type=type_, code=self.code)


def _status_and_type(classification: Classification) -> tuple[int, str]:
    """Return the status and type of an error in the stream: clients decide by its name whether to retry."""
    names = f"{classification.type} {classification.code}".lower()
    if "overload" in names or classification.status == 529:
        return 529, "overloaded_error"
    if classification.verdict in (Verdict.RATE_LIMITED, Verdict.QUOTA):
        return 429, "rate_limit_error"
    return (504, "timeout_error") if classification.timeout else (502, "upstream_error")

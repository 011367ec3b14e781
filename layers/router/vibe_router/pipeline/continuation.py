"""Continue an answer that breaks after its commit on the next deployment that can, in the same stream of its caller.

    deployment 1   The quick brown fox ju ✂
    deployment 2   is asked with that text as its own beginning, or again from the start if it rejects that
    caller         The quick brown fox jumps over the lazy dog.

Only for streams of one text: tool calls and thinking are never continued (`formats.continuation`).
"""

from collections.abc import Callable

from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError
from vibe_router.core.models import Deployment, VirtualModel
from vibe_router.core.usage import Usage
from vibe_router.formats.continuation import ContinuationReader, TrackingWriter
from vibe_router.formats.interfaces import ClientRequest
from vibe_router.formats.overlap import ContinuationJoiner, Joiner, RepetitionJoiner, as_prefill
from vibe_router.pipeline.accounting import bounded_usage, cut_stream_usage
from vibe_router.pipeline.failover import FailoverExecutor
from vibe_router.pipeline.relay import Relay
from vibe_router.pipeline.trace import AttemptTrace, BilledPart
from vibe_router.routing.chain import Candidate
from vibe_router.routing.deadline import BEFORE_COMMIT, Deadline
from vibe_router.upstream.commit import OpenStream
from vibe_router.upstream.exchange import Exchange
from vibe_router.upstream.fit import unfit_reason

__all__ = ["StreamContinuer"]


class StreamContinuer:
    """Finds the stream that continues the broken stream of one request; `until` is in monotonic seconds."""

    def __init__(
        self,
        failover: FailoverExecutor,
        model: VirtualModel,
        request: ClientRequest,
        trace: AttemptTrace,
        clock: Clock,
        until: float,
    ) -> None:
        self._failover = failover
        self._model = model
        self._request = request
        self._trace = trace
        self._clock = clock
        self._until = until
        self._tracker: TrackingWriter | None = None

    def resume(self, relay: Relay) -> tuple[Deployment, OpenStream] | None:
        """Return the stream of the next deployment; None if the answer cannot be continued, or none commits to it."""
        tracker = self._tracker = self._tracker or relay.stream.exchange.tracker
        if tracker is None or relay.blameless or relay.failure is None or not tracker.can_continue:
            return None
        trace, request = self._trace, self._request
        self._failover.report_broken_stream(trace, relay.failure)
        relay.blameless = True  # it has been reported
        relay.stream.reply.close()
        first = trace.served_by
        used = cut_stream_usage(relay.stream.reader.usage, request, relay.events, relay.sent_bytes)
        parts = [*trace.parts, BilledPart(relay.deployment, bounded_usage(used, request))]
        now = self._clock.monotonic()
        deadline = Deadline(min(now + BEFORE_COMMIT, self._until), self._until)
        before = sum((part.usage for part in parts), Usage())
        try:
            committed = self._failover.resume(
                self._others(parts),
                request,
                deadline,
                trace,
                lambda candidate, *_: self._open(candidate, tracker, before),
            )
        except ApiError:  # the provider rejected the request itself; the caller has its beginning
            committed = None
        trace.served_by = first
        if committed is None or not isinstance(committed.answer, OpenStream):
            return None
        trace.parts = parts
        trace.ended_by = committed.deployment
        return committed.deployment, committed.answer

    def describe_parts(self) -> None:
        """Record in the trace which deployment wrote what."""
        if self._tracker and self._trace.parts:
            self._trace.written = self._tracker.parts

    def _others(self, parts: list[BilledPart]) -> list[Deployment]:
        """Return the deployments of the chain that have not written, and that can serve the request."""
        wrote = {part.deployment.id for part in parts}
        return [each for each in self._model.chain if each.id not in wrote and not unfit_reason(self._request, each)]

    def _open(self, candidate: Candidate, tracker: TrackingWriter, before: Usage) -> Exchange | None:
        deployment, request = candidate.deployment, self._request
        known = tracker.text
        try:
            again = _continuing(
                self._failover.open_exchange(deployment, request, client_headers=self._trace.client_headers),
                tracker,
                deployment,
                lambda: RepetitionJoiner(known),
                before,
            )
        except ApiError:
            return None
        if again is None or not (prefill := as_prefill(known)):
            return again
        try:
            opened = self._failover.open_exchange(
                deployment, request.continued(prefill), client_headers=self._trace.client_headers
            )
        except ApiError:  # a format without a turn of the model at the end
            return again
        exchange = _continuing(opened, tracker, deployment, lambda: ContinuationJoiner(known), before)
        if exchange:
            exchange.alternative = lambda: again
        return exchange


def _continuing(
    exchange: Exchange, tracker: TrackingWriter, deployment: Deployment, joiner: Callable[[], Joiner], before: Usage
) -> Exchange | None:
    """Return `exchange` with a reader that joins its answer to the one so far; None if it cannot be decoded."""
    if not exchange.is_conversation:
        return None
    name = deployment.id
    exchange.open_reader = lambda opened: ContinuationReader(*opened.decoded(), tracker, name, joiner(), before)
    return exchange

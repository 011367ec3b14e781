"""What became of one request: collected on its way, told in its headers, written down after the answer."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit, single_metric

from vibe_router.access.holders import Caller
from vibe_router.access.ledger import rate_headers
from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError
from vibe_router.core.price import as_dollars, cost
from vibe_router.core.record import Record, bounded_tags, text
from vibe_router.core.telemetry import DECISION, NAMESPACE, log_fault, logger, metrics, start_tracing
from vibe_router.core.usage import Usage
from vibe_router.pipeline.failover import AttemptTrace
from vibe_router.routing.outcome import Attempt
from vibe_router.routing.verdict import Verdict
from vibe_router.store.ledger import Reservation

__all__ = ["Decision"]

# Where OpenAI's and Anthropic's packages look for the id that they tell in their errors.
_ID_HEADERS = {"chat": "x-request-id", "responses": "x-request-id", "messages": "request-id"}
_MODEL_CHARACTERS = 200  # of what a caller named; it need not be a model's name

Book = Callable[[Record], None]
"""Writes a request into the usage table, and settles what it owes."""


class Decision:
    """The record behind one ROUTING DECISION line. `started` is in monotonic seconds.

    `book` is called with the record once the line is written, if the `caller` is known by then.
    """

    def __init__(self, request_id: str, clock: Clock) -> None:
        self.request_id = request_id
        self.started = clock.monotonic()
        self.trace = AttemptTrace()
        self.usage = Usage()
        self.model: str | None = None
        self.resolved = False  # whether `model` is one of the router's
        self.stream = False
        self.format: str | None = None  # the caller's
        self.caller: Caller | None = None  # None while it is not known
        self.tags: tuple[str, ...] = ()  # the caller's own, for this request
        self.reservation: Reservation | None = None
        self.book: Book | None = None
        self.malformed_chunks = 0
        self.before_settling: list[Callable[[], None]] = []  # done first, when the caller has its answer
        self._clock = clock
        self._began = clock.now()
        self._status = 200
        self._error: str | None = None
        self._broke_off = False
        self._committed_at: float | None = None

    def committed(self) -> None:
        """Note that an answer is on its way to the caller."""
        self._committed_at = self._clock.monotonic()

    def failed(self, error: ApiError) -> None:
        """Note that the caller got an error instead of an answer."""
        self._status, self._error = error.status, error.code or error.type

    def broke_off(self, code: str) -> None:
        """Note that the answer ended in an error after its commit."""
        self._error, self._broke_off = code, True

    def headers(self) -> dict[str, str]:
        """Return the `x-vibe-*` and `x-ratelimit-*` headers, as far as they are known, and the id by its usual name."""
        headers = {
            "x-vibe-request-id": self.request_id,
            "x-vibe-attempts": str(len(self.trace.attempts)),
            "x-vibe-fallbacks": str(self.trace.fallbacks),
        }
        if name := _ID_HEADERS.get(self.format or ""):
            headers[name] = self.request_id
        model = self.model or ""
        if model.isascii() and model.isprintable() and 0 < len(model) <= _MODEL_CHARACTERS:
            headers["x-vibe-model"] = model
        if self.trace.served_by:
            headers["x-vibe-deployment"] = self.trace.served_by.id
        if self.reservation:
            headers |= rate_headers(self.reservation.standings, self._clock.now())
        return headers

    def settle(self) -> None:
        """Finish what was left for later, then write the log line, the usage and the metrics."""
        answered = self._clock.monotonic()
        self._do(*self.before_settling)
        record = self.record(answered)
        if self.malformed_chunks:
            told = {"request_id": self.request_id, "chunks": self.malformed_chunks}
            logger.warning("MALFORMED CHUNKS SKIPPED", extra=told)
        logger.info(DECISION, extra=record.as_line())
        if self.book and record.key is not None:  # the line stands already: it is what a lost booking is made from
            book = self.book
            self._do(lambda: book(record))
        self._count(record)
        start_tracing()

    def record(self, answered: float) -> Record:
        """Return all that is kept of the request, whose answer ended at `answered` (monotonic seconds)."""
        trace, caller = self.trace, self.caller
        key, served = caller.key if caller else None, trace.served_by
        return Record(
            request_id=self.request_id,
            started=round(self._began, 3),
            key=caller.key_id if caller else None,
            key_alias=text(key.alias) if key and key.alias else None,
            team=key.team_id if key else None,
            user=text(key.user_id) if key and key.user_id else None,
            tags=bounded_tags(caller.tags, self.tags) if caller else (),
            model=_cut(self.model),
            resolved=self.resolved,
            deployment=served.id if served else None,
            provider_model=served.model if served else None,
            format=self.format,
            provider_format=trace.provider_format,
            stream=self.stream,
            status=self._status,
            error=self._error,
            attempts=tuple(_told(attempt) for attempt in trace.attempts),
            cooling=tuple(each.deployment.id for each in trace.skipped),
            unfit=tuple(
                {"deployment": each.deployment.id, "code": each.error.code, "param": _cut(each.error.param)}
                for each in trace.unfit
            ),
            fallbacks=trace.fallbacks,
            reasoning_left_out=trace.reasoning_left_out,
            usage=self.usage,
            cost=cost(served.price, self.usage) if served else 0,
            ttft_ms=_ms(self._committed_at - self.started) if self._committed_at is not None else None,
            total_ms=_ms(answered - self.started),
        )

    def _do(self, *works: Callable[[], None]) -> None:
        for work in works:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - whatever happens, the request is accounted for
                log_fault("settle", error)

    def _count(self, record: Record) -> None:
        attempts = self.trace.attempts
        metrics.add_metric("Requests", MetricUnit.Count, 1)
        failed = self._status >= 500 or self._status == 429 or self._broke_off
        metrics.add_metric("Errors", MetricUnit.Count, int(failed))
        metrics.add_metric("Failovers", MetricUnit.Count, int(bool(self.trace.served_by and self.trace.fallbacks)))
        metrics.add_metric("AllDeploymentsFailed", MetricUnit.Count, int(self._error == "all_deployments_failed"))
        metrics.add_metric(
            "Cooldowns", MetricUnit.Count, len({each.deployment for each in attempts if each.cooldown_until})
        )
        metrics.add_metric("TotalMs", MetricUnit.Milliseconds, record.total_ms)
        for name, unit, value in (
            ("TtftMs", MetricUnit.Milliseconds, record.ttft_ms),
            ("PromptTokens", MetricUnit.Count, self.usage.prompt_tokens),
            ("CompletionTokens", MetricUnit.Count, self.usage.completion_tokens),
            ("Cost", MetricUnit.NoUnit, as_dollars(record.cost)),
        ):
            if value is not None:
                metrics.add_metric(name, unit, value)
        metrics.flush_metrics()
        for attempt in attempts:
            if attempt.classification:
                _count_by("AttemptFailures", "verdict", attempt.verdict)
                if attempt.classification.verdict is Verdict.AUTH:
                    _count_by("AuthFailures", "provider", attempt.deployment.partition("/")[0])


def _cut(name: str | None) -> str | None:
    """Return what a caller named, cut, and without the lone surrogates that a line of UTF-8 can't hold."""
    return name and text(name, _MODEL_CHARACTERS)


def _told(attempt: Attempt) -> dict[str, Any]:
    until = attempt.cooldown_until
    return {
        "deployment": attempt.deployment,
        "verdict": attempt.verdict,
        "status": attempt.status,
        "ms": attempt.ms,
        "cooldown_until": datetime.fromtimestamp(until, UTC).isoformat(timespec="milliseconds") if until else None,
    }


def _count_by(name: str, dimension: str, value: str) -> None:
    with single_metric(name, MetricUnit.Count, 1, namespace=NAMESPACE) as metric:
        metric.add_dimension("service", "VIBE-ROUTER")
        metric.add_dimension(dimension, value)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)

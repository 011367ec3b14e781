"""The routing decision of one request: collected while it is served, then sent as headers, a log line and metrics."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vibe_router.access.keys import Caller
from vibe_router.access.ledger import rate_limit_headers
from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError
from vibe_router.core.metrics import metrics_line
from vibe_router.core.price import as_dollars, cost
from vibe_router.core.record import Record
from vibe_router.core.tags import bounded_tags, bounded_text
from vibe_router.core.telemetry import NAMESPACE, log_decision, logger
from vibe_router.core.usage import Usage
from vibe_router.pipeline.accounting import charged_cost
from vibe_router.pipeline.trace import AttemptTrace, BilledPart
from vibe_router.routing.outcome import Attempt
from vibe_router.routing.verdict import Verdict
from vibe_router.store.ledger import Reservation

if TYPE_CHECKING:
    from vibe_router.access.budgets import BudgetLadder, SoftBudget
    from vibe_router.routing.complexity.decision import Choice

__all__ = ["RoutingDecision"]

# The header in which OpenAI's and Anthropic's packages look for the request id that their errors show.
_ID_HEADERS = {"chat": "x-request-id", "responses": "x-request-id", "messages": "request-id"}
_MODEL_CHARACTERS = 200  # a caller may send anything as a model's name


class RoutingDecision:
    """The record behind one ROUTING DECISION line: each step of the pipeline reports to it.

    `started` is in monotonic seconds. `format` is the name of the caller's format, None where the path has none.
    """

    def __init__(self, request_id: str, format: str | None, clock: Clock) -> None:  # noqa: A002 - the field's name
        self.request_id = request_id
        self.format = format
        self.started = clock.monotonic()
        self.trace = AttemptTrace()
        self.reservation: Reservation | None = None
        self._clock = clock
        self._received_at = clock.now()
        self._caller: Caller | None = None
        self._tags: tuple[str, ...] = ()
        self._model: str | None = None
        self._requested: str | None = None  # the alias that was sent
        self._model_exists = False
        self._choice: Choice | None = None  # of a model that is routed by complexity
        self._stores_features = False
        self._ladder: BudgetLadder | None = None  # of a request that another model serves, because of a budget
        self._soft: tuple[SoftBudget, ...] = ()  # budgets that are spent and only warn
        self._stream = False
        self._is_archived = False
        self._cache: str | None = None  # hit, miss or off; None without a cache
        self._guard_findings: dict[str, int] = {}
        self._usage = Usage()
        self._usage_flag: str | None = None
        self._malformed_chunks = 0
        self._status = 200
        self._error: str | None = None
        self._broke_off = False
        self._committed_at: float | None = None

    @property
    def caller(self) -> Caller | None:
        """The sender of the request, None as long as that is unknown."""
        return self._caller

    @property
    def is_bookable(self) -> bool:
        """Return whether the caller is known: a request without a valid key is logged but not stored."""
        return self._caller is not None

    def admit(self, caller: Caller, tags: tuple[str, ...]) -> None:
        """Record who sent the request, with the tags of its headers."""
        self._caller, self._tags = caller, tags

    def read(self, model: str, *, stream: bool, tags: tuple[str, ...] = ()) -> None:
        """Record what the body asks for; `model` may be any text."""
        self._model, self._stream = model, stream
        if tags:
            self._tags = bounded_tags(self._tags, tags)

    def resolve(self, model: str) -> None:
        """Record the virtual model that serves the request: it exists, and the caller may use it."""
        self._requested, self._model = (self._model, model) if model != self._model else (None, model)
        self._model_exists = True

    def warn(self, soft: "tuple[SoftBudget, ...]") -> None:
        """Record the soft budgets that are spent."""
        self._soft = soft

    def step_down(self, ladder: "BudgetLadder") -> None:
        """Record that a budget ladder has another model serve than the one that the request names."""
        self._ladder, self._model = ladder, ladder.serves

    def route(self, choice: "Choice | None", *, stores_features: bool) -> None:
        """Record how the request is routed by complexity, and whether its features are stored."""
        self._choice, self._stores_features = choice, stores_features

    def archive(self) -> None:
        """Record that request and answer are archived."""
        self._is_archived = True

    def cache(self, state: str) -> None:
        """Record that the answer is not replayed: it is a `miss`, or the cache is `off` for this request."""
        self._cache = state

    def replay(self, usage: Usage) -> None:
        """Record that a stored answer is replayed, and what it once used."""
        self._cache, self._usage = "hit", usage

    def count_findings(self, counts: Mapping[str, int]) -> None:
        """Record how much guards found in the request, by kind."""
        self._guard_findings = dict(counts)

    def reserve(self, reservation: Reservation) -> None:
        """Record what was reserved of the caller's limits."""
        self.reservation = reservation

    def commit(self) -> None:
        """Record that an answer is on its way to the caller."""
        self._committed_at = self._clock.monotonic()

    def count(self, usage: Usage, malformed_chunks: int = 0, flag: str | None = None) -> None:
        """Record the tokens of the answer, and how many chunks of its stream were skipped.

        `flag` says why these are not the tokens that the provider reports (pipeline.accounting).
        """
        self._usage, self._malformed_chunks, self._usage_flag = usage, malformed_chunks, flag

    def fail(self, error: ApiError) -> None:
        """Record that the caller got an error instead of an answer."""
        self._status, self._error = error.status, error.code or error.type

    def break_off(self, code: str) -> None:
        """Record that the answer ended in an error after its commit."""
        self._error, self._broke_off = code, True

    def headers(self) -> dict[str, str]:
        """Return the `x-vibe-*` and `x-ratelimit-*` headers collected so far, and the request id by its usual name."""
        headers = {
            "x-vibe-request-id": self.request_id,
            "x-vibe-attempts": str(len(self.trace.attempts)),
            "x-vibe-fallbacks": str(self.trace.fallbacks),
        }
        if name := _ID_HEADERS.get(self.format or ""):
            headers[name] = self.request_id
        model = self._model or ""
        if _is_word(model) and len(model) <= _MODEL_CHARACTERS:
            headers["x-vibe-model"] = model
        if self._choice:
            headers["x-vibe-routing"] = self._choice.header()
        if self._ladder:
            headers["x-vibe-budget-ladder"] = self._ladder.header()
        if self._soft:
            headers["x-vibe-soft-budget"] = ", ".join(each.header() for each in self._soft)
        if self._cache:
            headers["x-vibe-cache"] = self._cache
        if self.trace.served_by:
            headers["x-vibe-deployment"] = self.trace.served_by.id
        if self.trace.dropped_params:
            headers["x-vibe-dropped-params"] = ", ".join(filter(_is_word, _cut_all(self.trace.dropped_params)))
        if self.reservation:
            headers |= rate_limit_headers(self.reservation.windows, self._clock.now())
        return headers

    def record(self, answered: float) -> Record:
        """Return everything that is stored of the request, whose answer ended at `answered` (monotonic seconds)."""
        trace, caller = self.trace, self._caller
        usage, total_cost, parts = self._account()
        key, served = caller.key if caller else None, trace.served_by
        charge = charged_cost(served, total_cost, self.reservation)
        return Record(
            request_id=self.request_id,
            started=round(self._received_at, 3),
            key=caller.key_id if caller else None,
            key_alias=bounded_text(key.alias) if key and key.alias else None,
            team=key.team_id if key else None,
            user=bounded_text(key.user_id) if key and key.user_id else None,
            tags=bounded_tags(caller.tags, self._tags) if caller else (),
            model=_cut(self._model),
            requested_model=_cut(self._requested),
            resolved=self._model_exists,
            deployment=served.id if served else None,
            provider_model=served.model if served else None,
            format=self.format,
            provider_format=trace.provider_format,
            stream=self._stream,
            status=self._status,
            error=self._error,
            attempts=tuple(_attempt_fields(attempt) for attempt in trace.attempts),
            cooling=tuple(each.deployment.id for each in trace.skipped),
            unfit=tuple(
                {"deployment": each.deployment.id, "code": each.error.code, "param": _cut(each.error.param)}
                for each in trace.unfit
            ),
            fallbacks=trace.fallbacks,
            reasoning_left_out=trace.reasoning_left_out,
            dropped_params=_cut_all(trace.dropped_params),
            archived=self._is_archived,
            cache_hit=self._cache == "hit",
            guard_findings=self._guard_findings or None,
            usage=usage,
            usage_flag=self._usage_flag,
            parts=parts,
            cost=total_cost,
            charged=None if charge == (total_cost or 0) else charge,
            hold=self.reservation.hold_id if self.reservation and self.reservation.held else None,
            model_holds=_model_holds(self.reservation.held) if self.reservation else (),
            charge_later=_owners(self.reservation.unheld) if self.reservation and charge else (),
            ttft_ms=_ms(self._committed_at - self.started) if self._committed_at is not None else None,
            total_ms=_ms(answered - self.started),
            **self._budget_fields(),
            **self._routing_fields(),
        )

    def _budget_fields(self) -> dict[str, Any]:
        """Return the fields of a request with a budget ladder or spent soft budgets; none for any other."""
        fields: dict[str, Any] = {"soft_budgets": tuple(each.owner for each in self._soft)} if self._soft else {}
        if (ladder := self._ladder) and ladder.step:
            fields |= {
                "ladder_model": ladder.asked,
                "ladder_from": ladder.step.share,
                "ladder_budget": ladder.owner,
            }
        return fields

    def _routing_fields(self) -> dict[str, Any]:
        """Return the fields of a request that is routed by complexity; none for any other."""
        if (choice := self._choice) is None:
            return {}
        from vibe_router.routing.complexity.features import encode

        is_evidence = self._cache != "hit"  # no model was asked, so a replay says nothing about either
        return {
            "routing_mode": choice.mode,
            "routing_score": choice.score,
            "routing_would": choice.would,
            "routing_choice": choice.choice,
            "routing_arm": choice.arm if is_evidence else None,
            "routing_strata": choice.strata,
            "routing_model": choice.model or None,
            "routing_stage": choice.stage or None,
            "routing_features": encode(choice.features)
            if self._stores_features and choice.features and is_evidence
            else None,
        }

    def _account(self) -> tuple[Usage, int | None, tuple[dict[str, Any], ...]]:
        """Return the usage and the cost (nano-dollars) of all parts of the answer, and the parts, if there are several.

        Each part is charged at the price of the deployment that wrote it.
        """
        trace = self.trace
        last = trace.ended_by or trace.served_by
        if last is None or not (trace.parts or trace.losers):
            return self._usage, cost(last.price, self._usage) if last else 0, ()
        wrote = [*trace.parts, BilledPart(last, self._usage)]
        billed = [*trace.losers, *wrote]
        costs = [cost(each.deployment.price, each.usage) for each in billed]
        written = {each["deployment"]: each["characters"] for each in trace.written}
        parts = tuple(
            {
                "deployment": each.deployment.id,
                "characters": written.get(each.deployment.id, None if each is wrote[-1] else 0),
                "prompt_tokens": each.usage.prompt_tokens,
                "completion_tokens": each.usage.completion_tokens,
                "cost": as_dollars(part_cost),
            }
            for each, part_cost in zip(billed, costs, strict=True)
        )
        total = None if costs[-1] is None else sum(each or 0 for each in costs)
        return sum((each.usage for each in wrote), Usage()), total, parts

    def log(self, record: Record) -> None:
        """Write the ROUTING DECISION line, and a warning where chunks were skipped."""
        if self._malformed_chunks:
            counted = {"request_id": self.request_id, "chunks": self._malformed_chunks}
            logger.warning("MALFORMED CHUNKS SKIPPED", extra=counted)
        log_decision(record.as_line())

    def measure(self, record: Record) -> None:
        """Write the request's metrics."""
        attempts = self.trace.attempts
        values = {
            "Requests": 1,
            "Errors": self._status >= 500 or self._status == 429 or self._broke_off,
            "Failovers": bool(self.trace.served_by and self.trace.fallbacks),
            "AllDeploymentsFailed": self._error == "all_deployments_failed",
            "Cooldowns": len({each.deployment for each in attempts if each.cooldown_until}),
            "AuthFailures": sum(each.verdict == Verdict.AUTH for each in attempts),
        }
        times = {"TtftMs": record.ttft_ms, "TotalMs": record.total_ms, "Cost": as_dollars(record.cost)}
        counts = {name: int(value) for name, value in values.items()}
        print(metrics_line({**counts, **times}, NAMESPACE, self._clock.now()), flush=True)  # noqa: T201 - CloudWatch reads it off the log


def _cut(name: str | None) -> str | None:
    """Return a caller's text, shortened, and without the lone surrogates that UTF-8 cannot hold."""
    return name and bounded_text(name, _MODEL_CHARACTERS)


def _cut_all(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(bounded_text(each, _MODEL_CHARACTERS) for each in names)


def _is_word(text: str) -> bool:
    """Return whether `text` may be in a header."""
    return text != "" and text.isascii() and text.isprintable()


def _owners(ledgers: Iterable[str]) -> tuple[str, ...]:
    """Return the owners of ledgers: of `key#<id>`, "key"; of its budget for a model, "key#<model>"."""
    parts = (each.split("#", 2) for each in ledgers)
    return tuple("#".join((owner, *model)) for owner, _, *model in parts)


def _model_holds(held: Iterable[str]) -> tuple[str, ...]:
    """Return the owners of ledgers of budgets for models, with their models."""
    return tuple(owner for owner in _owners(held) if "#" in owner)


def _attempt_fields(attempt: Attempt) -> dict[str, Any]:
    until = attempt.cooldown_until
    return {
        "deployment": attempt.deployment,
        "verdict": attempt.verdict,
        "status": attempt.status,
        "ms": attempt.ms,
        "cooldown_until": datetime.fromtimestamp(until, UTC).isoformat(timespec="milliseconds") if until else None,
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)

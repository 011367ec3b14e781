"""Collect evidence on complexity routing after the answer: bad events, repeated turns and feedback. Numbers only.

A bad event is a complaint, an error, or a turn that was asked again within ten minutes. Each is counted for its arm,
and then the sequential test decides: if mini is worse, one conditional write returns the model to manual routing, and
an alarm is raised. Nothing runs without requests.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit, single_metric

from vibe_router.access.keys import Caller
from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError
from vibe_router.core.models import Catalogue, ComplexityRule
from vibe_router.core.record import Record
from vibe_router.core.telemetry import NAMESPACE, logger
from vibe_router.formats.interfaces import ClientRequest
from vibe_router.routing.complexity.decision import Rollout, rollout_of
from vibe_router.routing.complexity.reading import read_conversation
from vibe_router.routing.complexity.sequential import LIMIT, evidence_against_mini, is_mini_worse
from vibe_router.store.complexity import BadEvents, ComplexityStore, RolloutChangedError

__all__ = ["EvidenceRecorder"]

_ASKED_AGAIN_SECONDS = 600
_MAX_ID = 200


class EvidenceRecorder:
    """Counts bad events and rolls back. One for an environment. Methods raise AwsError.

    `items` returns the stored rollouts as this environment has read them; `accept` receives the one after a rollback,
    so that here it is effective at once. `on_rollback` receives the model, the rollout's number and the reason.
    """

    def __init__(
        self,
        store: ComplexityStore,
        items: Callable[[], Mapping[str, Mapping[str, Any]]],
        accept: Callable[[str, Mapping[str, Any]], None],
        clock: Clock,
        on_rollback: Callable[[str, int, str], None] | None = None,
    ) -> None:
        self._store = store
        self._items = items
        self._accept = accept
        self._clock = clock
        self._on_rollback = on_rollback
        self._secret: tuple[str, bytes] | None = None  # of a day

    def observe(self, rule: ComplexityRule, request: ClientRequest, record: Record, *, asked: str | None) -> None:
        """Take note of a routed request that has ended; `asked` is the caller's own choice, if any."""
        failed = record.status >= 500 or (record.error is not None and record.status < 400)
        if record.routing_arm and failed:
            self.count_bad_event(rule, record.model or "", record.routing_arm, record.routing_stage, "an error")
        if rule.evidence and record.status < 400 and not record.error:
            self._record_turn(rule, request, record, asked)

    def give_feedback(self, caller: Caller, request_id: str, value: int, catalogue: Catalogue) -> None:
        """Store the feedback of the caller that made the request. Raises ApiError (404)."""
        record = self._store.find_request(request_id[:_MAX_ID])
        if record is None or record.key != caller.key_id:
            message = f"This key has made no request {request_id[:100]}, or it is not booked yet."
            raise ApiError(404, message, code="request_not_found", param="request_id")
        is_first_complaint = self._store.set_feedback(record, value)
        model = catalogue.models.get(record.model or "")
        if is_first_complaint and record.routing_arm and model and model.routing:
            self.count_bad_event(model.routing, model.name, record.routing_arm, record.routing_stage, "complaints")

    def count_bad_event(self, rule: ComplexityRule, model: str, arm: str, stage: str | None, kind: str) -> None:
        """Count a bad event of an arm, and roll back if the test says so. Events of an earlier stage do not count."""
        item = self._items().get(model)
        rollout = rollout_of(rule, item)
        if rollout.mode != "complexity" or rollout.stage != stage:
            return
        counted = self._store.count_bad_event(model, rollout.number, arm)
        if is_mini_worse(counted.mini, counted.standard, rollout.share / 100):
            self._roll_back(model, item, rollout, counted, kind)

    def _roll_back(
        self, model: str, item: Mapping[str, Any] | None, rollout: Rollout, counted: BadEvents, kind: str
    ) -> None:
        """Return a model to manual routing and raise the alarm: the one place where a rollback is automatic."""
        evidence = evidence_against_mini(counted.mini, counted.standard, rollout.share / 100)
        reason = (
            f"rolled back automatically at {rollout.share:g} %: {counted.mini} of {counted.mini + counted.standard} "
            f"bad events were mini's, the last one {kind} (e-value {min(evidence, 1e6):.0f}, limit {LIMIT:.0f})"
        )
        try:
            changed = self._store.roll_back(model, item, sorted(rollout.strata), reason)
        except RolloutChangedError:
            return  # another environment has rolled back, or somebody has changed the rollout
        self._accept(model, changed)
        logger.error("COMPLEXITY ROLLBACK", extra={"model": model, "reason": reason, "number": rollout.number})
        with single_metric("ComplexityRollbacks", MetricUnit.Count, 1, namespace=NAMESPACE) as metric:
            metric.add_dimension("service", "VIBE-ROUTER")
        if self._on_rollback:
            self._on_rollback(model, rollout.number, reason)

    def observe_standard(
        self, watched: Sequence[str], request: ClientRequest, record: Record, catalogue: Catalogue
    ) -> None:
        """Take note of a request for a standard model by its own name: it may repeat a turn that mini has answered."""
        for name in watched:
            turn, model = self._turn(request, record.key or "", name), catalogue.models.get(name)
            before = self._store.find_turn(turn) if turn and model and model.routing else None
            if turn and before and before.get("arm") and model and model.routing:
                self._store.replace_turn(turn, {"arm": None}, _ASKED_AGAIN_SECONDS)  # counted once
                kind = "a turn asked again of standard"
                self.count_bad_event(model.routing, name, str(before["arm"]), str(before.get("stage")), kind)

    def _record_turn(self, rule: ComplexityRule, request: ClientRequest, record: Record, asked: str | None) -> None:
        """Store which arm answered this turn; count a bad event if the same turn was answered a short while ago."""
        model = record.model or ""
        if (turn := self._turn(request, record.key or "", model)) is None:
            return
        values = {"arm": record.routing_arm, "stage": record.routing_stage}
        before = self._store.replace_turn(turn, values, _ASKED_AGAIN_SECONDS)
        if before and before.get("arm"):
            kind = "a turn asked again of standard" if asked == "standard" else "a turn asked again"
            self.count_bad_event(rule, model, str(before["arm"]), str(before.get("stage")), kind)

    def _turn(self, request: ClientRequest, key: str, model: str) -> str | None:
        """Return the keyed hash of the last turn of a conversation, None without one."""
        turns = read_conversation(request.body).turns
        if not turns:
            return None
        messages = request.body.get("messages") or request.body.get("input") or request.body.get("contents") or ""
        length = len(messages) if isinstance(messages, list) else 1  # the steps of a tool loop are not repetitions
        parts = (key, model, request.affinity().hex(), str(length), turns[-1])
        hashed = hmac.new(self._secret_of_today(), "\0".join(parts).encode(errors="replace"), hashlib.sha256)
        return hashed.hexdigest()[:32]

    def _secret_of_today(self) -> bytes:
        day = datetime.fromtimestamp(self._clock.now(), UTC).date().isoformat()
        if self._secret is None or self._secret[0] != day:
            self._secret = day, self._store.secret_of_day(day)
        return self._secret[1]

"""The AlertsTable: one item per alert, with what became of each delivery.

    id                       attributes
    budget-3f2a…             kind (alert), at, event, subject, figures, expires_at
                             delivery#<receiver>: [status, attempts, at, detail], one for each receiver
    test-91bc…               the same, with `only`: the one receiver that it tries

An alert is written on the condition that there is none of its id. So of all environments that detect an event, one
raises it, and the table's stream starts its delivery (functions/notifier). The index `by-time` lists the alerts.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from vibe_router.alerts.alert import Alert, describe
from vibe_router.core.clock import Clock, to_iso
from vibe_router.core.rows import read_mapping, read_text
from vibe_router.store.aws_errors import ClientError
from vibe_router.store.circuit_breaker import AWS_ERRORS, CircuitBreaker, Spawn, error_code, run_in_background
from vibe_router.store.dynamodb import DynamoDB, Value, from_item, to_item

__all__ = ["DELIVERED", "FAILED", "RETRYING", "AlertRaiser", "AlertStore", "Delivery", "StoredAlert", "parse_alert"]

DELIVERED, RETRYING, FAILED = "delivered", "retrying", "failed"
_KIND = "alert"
_INDEX = "by-time"
_DELIVERY = "delivery#"
_REMEMBERED = 1000  # ids that an environment knows to be raised

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """The delivery of an alert to one receiver: DELIVERED, RETRYING or FAILED after so many attempts, the last at `at`.

    `detail` says why the last one failed; it reveals neither URL nor secret.
    """

    status: str
    attempts: int
    at: float
    detail: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it for people and programs."""
        return {
            "status": self.status,
            "attempts": self.attempts,
            "at": to_iso(self.at),
            "detail": self.detail or None,
        }


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """An alert as the table has it. `only` names the receiver that it is for; None for all that want it."""

    alert: Alert
    at: str  # ISO 8601
    only: str | None = None
    deliveries: Mapping[str, Delivery] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the alert for people and programs."""
        alert = self.alert
        return {
            "id": alert.id,
            "at": self.at,
            "event": alert.event,
            "subject": alert.subject,
            "text": describe(alert.event, alert.subject, alert.figures),
            "figures": dict(alert.figures),
            "deliveries": [{"receiver": name, **each.as_json()} for name, each in sorted(self.deliveries.items())],
        }


class AlertStore:
    """Writes and reads alerts. Raises AwsError."""

    def __init__(self, client: DynamoDB, table: str, clock: Clock) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    def raise_once(self, alert: Alert, only: str | None = None) -> bool:
        """Write `alert`; return whether this call raised it, False if it was raised before."""
        item: dict[str, Value] = {
            "id": alert.id,
            "kind": _KIND,
            "at": to_iso(self._clock.now()),
            "event": alert.event,
            "subject": alert.subject,
            "figures": dict(alert.figures),
            **({"expires_at": int(alert.keep_until)} if alert.keep_until is not None else {}),
            **({"only": only} if only else {}),
        }
        try:
            self._client.put_item(
                TableName=self._table, Item=to_item(item), ConditionExpression="attribute_not_exists(id)"
            )
        except ClientError as error:
            if error_code(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def read(self, alert_id: str) -> StoredAlert | None:
        """Return the alert of this id, None if there is none."""
        found = self._client.get_item(TableName=self._table, Key=to_item({"id": alert_id}), ConsistentRead=True)
        item = found.get("Item")
        return parse_alert(from_item(item)) if item else None

    def recent(self, limit: int, before: str | None = None) -> list[StoredAlert]:
        """Return the newest alerts, the newest first; with `before`, those raised before that time (ISO 8601)."""
        condition, names, values = "#kind = :kind", {"#kind": "kind"}, {":kind": _KIND}
        if before is not None:
            condition += " AND #at < :before"
            names, values = names | {"#at": "at"}, values | {":before": before}
        page = self._client.query(
            TableName=self._table,
            IndexName=_INDEX,
            KeyConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=to_item(values),
            ScanIndexForward=False,
            Limit=limit,
        )
        return [alert for item in page["Items"] if (alert := parse_alert(from_item(item)))]

    def record_delivery(self, alert_id: str, receiver: str, delivery: Delivery) -> None:
        """Store what became of an alert at `receiver`. An alert that has expired stays away."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key=to_item({"id": alert_id}),
                UpdateExpression="SET #delivery = :delivery",
                ConditionExpression="attribute_exists(id)",
                ExpressionAttributeNames={"#delivery": _DELIVERY + receiver},
                ExpressionAttributeValues=to_item(
                    {":delivery": [delivery.status, delivery.attempts, delivery.at, delivery.detail]}
                ),
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise


class AlertRaiser:
    """Raises alerts after an answer: what this environment knows to be raised costs no write."""

    def __init__(
        self,
        store: AlertStore,
        clock: Clock,
        *,
        spawn: Spawn = run_in_background,
        service: CircuitBreaker | None = None,
    ) -> None:
        self._store = store
        self._spawn = spawn
        self._breaker = CircuitBreaker("the alerts table", clock, "alerts are raised later", service=service)
        self._known: dict[str, None] = {}

    def raise_alerts(self, alerts: Iterable[Alert]) -> None:
        """Raise each alert that no environment has raised yet. While DynamoDB is unreachable, a later request does."""
        for alert in alerts:
            if alert.id not in self._known:
                self._breaker.run(partial(self._raise, alert), self._spawn)

    def _raise(self, alert: Alert) -> None:
        try:
            is_first = self._store.raise_once(alert)
        except AWS_ERRORS as error:
            self._breaker.record_failure(error)
            return
        self._breaker.record_success()
        self._known[alert.id] = None
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]
        if is_first:
            _log.warning("ALERT RAISED", extra={"alert": alert.id, "event": alert.event, "subject": alert.subject})


def parse_alert(values: Mapping[str, Any]) -> StoredAlert | None:
    """Read an item of the table, in plain values; None for one that cannot be read, which is logged."""
    try:
        alert = Alert(
            read_text(values, "id") or "",
            read_text(values, "event") or "",
            read_text(values, "subject") or "",
            read_mapping(values, "figures"),
        )
        stored = StoredAlert(alert, read_text(values, "at") or "", read_text(values, "only"))
        noted = {name.removeprefix(_DELIVERY): it for name, it in values.items() if name.startswith(_DELIVERY)}
        deliveries = {
            name: Delivery(str(status), int(attempts), float(at), str(detail))
            for name, (status, attempts, at, detail) in noted.items()
        }
    except (ValueError, TypeError) as error:
        _log.warning("an item of the alerts table is corrupt: %s", error)
        return None
    return replace(stored, deliveries=deliveries)

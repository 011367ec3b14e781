"""Items of complexity routing: one per routed model in the RoutesTable, and counters of bad events in the UsageTable.

    RoutesTable  kind=complexity   name=MODEL    number, mode, share, strata, since, trees, reason, previous
    UsageTable   id=complexity#MODEL#NUMBER  at=events    mini, standard: bad events of each arm

`number` rises with each change, and every writer names the one it has read, so of two writers one wins. `previous` is
the item before the last change, as JSON, which undo restores. The gateway reads the items with the routes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vibe_router.core.clock import Clock
from vibe_router.store.aws_errors import ClientError
from vibe_router.store.circuit_breaker import error_code
from vibe_router.store.dynamodb import DynamoDB, from_item, to_item
from vibe_router.store.routes import COMPLEXITY as KIND

__all__ = ["ComplexityStore", "Counted", "RolloutChangedError"]

_KEPT_SECONDS = 90 * 86_400
_FIELDS = ("mode", "share", "strata", "trees", "reason")


class RolloutChangedError(Exception):
    """The rollout was changed since it was read."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The bad events of one rollout so far, by arm."""

    mini: int
    standard: int


class ComplexityStore:
    """Writes the items, which are read with the routes (RoutesStore.complexity). Raises AwsError."""

    def __init__(self, client: DynamoDB, routes_table: str, usage_table: str, clock: Clock) -> None:
        self._client = client
        self._routes_table = routes_table
        self._usage_table = usage_table
        self._clock = clock

    def change(self, model: str, current: Mapping[str, Any] | None, **changes: Any) -> dict[str, Any]:
        """Write the item with `changes` in place of `current`. Raises RolloutChangedError if that is not current."""
        number = int((current or {}).get("number") or 0)
        before = {name: current[name] for name in _FIELDS if current and current.get(name) is not None}
        item = {name: value for name, value in {**before, **changes}.items() if value is not None}
        item |= {"number": number + 1, "since": round(self._clock.now()), "previous": json.dumps(before)}
        self._put(model, item, number)
        return item

    def undo(self, model: str, current: Mapping[str, Any] | None) -> dict[str, Any]:
        """Restore the item before the last change. Raises ValueError without one, and RolloutChangedError."""
        try:
            previous = json.loads(str((current or {})["previous"]))
        except (KeyError, ValueError):
            raise ValueError("there is no change to undo") from None
        fields = {name: previous.get(name) for name in _FIELDS}
        return self.change(model, current, **fields)

    def _put(self, model: str, item: Mapping[str, Any], seen: int) -> None:
        condition = "#number = :seen" if seen else "attribute_not_exists(#number)"
        try:
            self._client.put_item(
                TableName=self._routes_table,
                Item=to_item({**item, "kind": KIND, "name": model}),
                ConditionExpression=condition,
                ExpressionAttributeNames={"#number": "number"},
                **({"ExpressionAttributeValues": to_item({":seen": seen})} if seen else {}),
            )
        except ClientError as error:
            if error_code(error) == "ConditionalCheckFailedException":
                raise RolloutChangedError from None
            raise

    def count_bad_event(self, model: str, number: int, arm: str) -> Counted:
        """Count a bad event of an arm in the rollout `number`; return all of its events."""
        updated = self._client.update_item(
            TableName=self._usage_table,
            Key=to_item({"id": f"{KIND}#{model}#{number}", "at": "events"}),
            UpdateExpression="ADD #arm :one SET expires_at = :expires",
            ExpressionAttributeNames={"#arm": arm},
            ExpressionAttributeValues=to_item({":one": 1, ":expires": int(self._clock.now()) + _KEPT_SECONDS}),
            ReturnValues="ALL_NEW",
        )
        return _counted(from_item(updated.get("Attributes") or {}))

    def bad_events(self, model: str, number: int) -> Counted:
        """Return the bad events of the rollout `number`."""
        found = self._client.query(
            TableName=self._usage_table,
            KeyConditionExpression="id = :id",
            ExpressionAttributeValues=to_item({":id": f"{KIND}#{model}#{number}"}),
        ).get("Items")
        return _counted(from_item(found[0])) if found else Counted(0, 0)


def _counted(item: Mapping[str, Any]) -> Counted:
    def count(name: str) -> int:
        value = item.get(name)
        return value if isinstance(value, int) else 0

    return Counted(count("mini"), count("standard"))

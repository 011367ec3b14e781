"""Items of complexity routing: one per routed model in the RoutesTable, and counters of bad events in the UsageTable.

    RoutesTable  kind=complexity   name=MODEL    number, mode, share, strata, since, trees, reason, previous
    UsageTable   id=complexity#MODEL#NUMBER  at=events    mini, standard: bad events of each arm
                 id=complexity#MODEL#judge   at=noise     pairs, differing: of two answers of the same model
                 id=complexity#MODEL#budget  at=DAY       spent: by dual runs, in nano-dollars
                 id=turn#HASH                at=turn      what answered a turn; the hash is keyed with the next
                 id=turn-secret#DAY          at=secret    value

`number` rises with each change, and every writer names the one it has read, so of two writers one wins. `previous` is
the item before the last change, as JSON, which undo restores. The gateway reads the items with the routes.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vibe_router.core.clock import Clock
from vibe_router.core.record import Record, row_id
from vibe_router.store.aws_errors import ClientError
from vibe_router.store.circuit_breaker import error_code
from vibe_router.store.dynamodb import DynamoDB, from_item, to_item
from vibe_router.store.routes import COMPLEXITY as KIND

__all__ = ["BadEvents", "ComplexityStore", "RolloutChangedError"]

_KEPT_SECONDS = 90 * 86_400
_FIELDS = ("mode", "share", "strata", "trees", "reason")


class RolloutChangedError(Exception):
    """The rollout was changed since it was read."""


@dataclass(frozen=True, slots=True)
class BadEvents:
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

    def roll_back(
        self, model: str, current: Mapping[str, Any] | None, strata: Sequence[str], reason: str
    ) -> dict[str, Any]:
        """Return a model to manual routing. Every rollback is recorded here, an automatic one and one by hand.

        Raises RolloutChangedError, so of several that find the same reason one succeeds.
        """
        return self.change(model, current, mode="manual", share=0, strata=list(strata), reason=reason)

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

    def count_bad_event(self, model: str, number: int, arm: str) -> BadEvents:
        """Count a bad event of an arm in the rollout `number`; return all of its events."""
        return _bad_events(self._add(f"{KIND}#{model}#{number}", "events", {arm: 1}))

    def bad_events(self, model: str, number: int) -> BadEvents:
        """Return the bad events of the rollout `number`."""
        return _bad_events(self._first(f"{KIND}#{model}#{number}") or {})

    def count_judge_noise(self, model: str, *, differs: bool) -> None:
        """Count a comparison of two answers of the same model, which a judge without noise finds equal."""
        self._add(f"{KIND}#{model}#judge", "noise", {"pairs": 1, "differing": int(differs)})

    def judge_noise(self, model: str) -> tuple[int, int]:
        """Return how many such comparisons there were, and in how many the judge preferred one."""
        found = self._first(f"{KIND}#{model}#judge") or {}
        return _number(found, "pairs"), _number(found, "differing")

    def spend(self, model: str, day: str, amount: int, most: int | None = None) -> bool:
        """Add to what dual runs of a day have cost (nano-dollars); return False if it would exceed `most`.

        Called with the estimate before a dual run, and without `most` for the difference after it.
        """
        key = f"{KIND}#{model}#budget"
        if most is None:
            self._add(key, day, {"spent": amount})
            return True
        if amount > most:
            return False
        try:
            self._client.update_item(
                TableName=self._usage_table,
                Key=to_item({"id": key, "at": day}),
                UpdateExpression="ADD spent :amount SET expires_at = :expires",
                ConditionExpression="attribute_not_exists(spent) OR spent <= :left",
                ExpressionAttributeValues=to_item(
                    {":amount": amount, ":left": most - amount, ":expires": self._expires(_KEPT_SECONDS)}
                ),
            )
        except ClientError as error:
            if error_code(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def find_request(self, request_id: str) -> Record | None:
        """Return the row of a request, None if it is not booked (yet)."""
        found = self._first(row_id(request_id))
        try:
            return Record.from_row(found) if found else None
        except ValueError:
            return None

    def set_feedback(self, record: Record, value: int) -> bool:
        """Store the caller's feedback with the row; return whether a request is complained about for the first time."""
        complains = value < 0
        updated = self._client.update_item(
            TableName=self._usage_table,
            Key=to_item({"id": row_id(record.request_id), "at": record.at}),
            UpdateExpression="SET feedback = :value" + (", complained = :true" if complains else ""),
            ConditionExpression="attribute_exists(id)",
            ExpressionAttributeValues=to_item({":value": value, **({":true": True} if complains else {})}),
            ReturnValues="ALL_OLD",
        )
        return complains and not from_item(updated.get("Attributes") or {}).get("complained")

    def set_judged(self, record: Record, judged: float) -> None:
        """Store the result of a dual run with the row of its request, if that is booked."""
        try:
            self._client.update_item(
                TableName=self._usage_table,
                Key=to_item({"id": row_id(record.request_id), "at": record.at}),
                UpdateExpression="SET judged = :judged",
                ConditionExpression="attribute_exists(id)",
                ExpressionAttributeValues=to_item({":judged": judged}),
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise

    def delete_features(self, key_id: str, seconds: float) -> None:
        """Delete the features in the rows of a key, as many as `seconds` suffice for."""
        ends = self._clock.monotonic() + seconds
        asked: dict[str, Any] = {
            "TableName": self._usage_table,
            "IndexName": "by-key",
            "KeyConditionExpression": "#key = :key",
            "FilterExpression": "attribute_exists(routing_features)",
            "ExpressionAttributeNames": {"#key": "key"},
            "ExpressionAttributeValues": to_item({":key": key_id}),
        }
        while self._clock.monotonic() < ends:
            found = self._client.query(**asked)
            for row in found["Items"]:
                if self._clock.monotonic() >= ends:
                    return
                self._remove_features({"id": row["id"], "at": row["at"]})
            if not (following := found.get("LastEvaluatedKey")):
                return
            asked["ExclusiveStartKey"] = following

    def _remove_features(self, key: Any) -> None:
        try:
            self._client.update_item(
                TableName=self._usage_table,
                Key=key,
                UpdateExpression="REMOVE routing_features",
                ConditionExpression="attribute_exists(id)",
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":  # the row has expired meanwhile
                raise

    def replace_turn(self, turn: str, values: Mapping[str, Any], seconds: int) -> dict[str, Any] | None:
        """Store what answered a turn, known by a keyed hash; return what answered the same turn before, if recently."""
        item: dict[str, Any] = {**values, "id": f"turn#{turn}", "at": "turn", "expires_at": self._expires(seconds)}
        before = self._client.put_item(TableName=self._usage_table, Item=to_item(item), ReturnValues="ALL_OLD")
        found = from_item(before.get("Attributes") or {})
        return found if _number(found, "expires_at") > self._clock.now() else None  # TTL deletes late

    def find_turn(self, turn: str) -> dict[str, Any] | None:
        """Return what answered a turn, if recently."""
        found = self._first(f"turn#{turn}") or {}
        return found if _number(found, "expires_at") > self._clock.now() else None

    def secret_of_day(self, day: str) -> bytes:
        """Return the secret that turns of a day are hashed with; the first environment to ask creates it for all."""
        made = secrets.token_hex(32)
        item: dict[str, Any] = {
            "id": f"turn-secret#{day}",
            "at": "secret",
            "value": made,
            "expires_at": self._expires(2 * 86_400),
        }
        try:
            self._client.put_item(
                TableName=self._usage_table, Item=to_item(item), ConditionExpression="attribute_not_exists(id)"
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            made = str((self._first(f"turn-secret#{day}") or {}).get("value") or "")
        return bytes.fromhex(made)

    def _add(self, key: str, at: str, amounts: Mapping[str, int]) -> dict[str, Any]:
        names: dict[str, str] = {f"#n{index}": name for index, name in enumerate(amounts)}
        values = {f":v{index}": amount for index, amount in enumerate(amounts.values())}
        added = ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
        updated = self._client.update_item(
            TableName=self._usage_table,
            Key=to_item({"id": key, "at": at}),
            UpdateExpression=f"ADD {added} SET expires_at = :expires",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=to_item({**values, ":expires": self._expires(_KEPT_SECONDS)}),
            ReturnValues="ALL_NEW",
        )
        return from_item(updated.get("Attributes") or {})

    def _first(self, key: str) -> dict[str, Any] | None:
        found = self._client.query(
            TableName=self._usage_table,
            KeyConditionExpression="id = :id",
            ExpressionAttributeValues=to_item({":id": key}),
            ConsistentRead=True,
            Limit=1,
        ).get("Items")
        return from_item(found[0]) if found else None

    def _expires(self, seconds: int) -> int:
        return int(self._clock.now()) + seconds


def _number(item: Mapping[str, Any], name: str) -> int:
    value = item.get(name)
    return value if isinstance(value, int) else 0


def _bad_events(item: Mapping[str, Any]) -> BadEvents:
    return BadEvents(_number(item, "mini"), _number(item, "standard"))

"""The LedgerTable: reads and conditional writes of ledgers, and this environment's last copy of each.

id               attributes
key#<key_id>     committed, spent, total (nano-dollars), period_ends, window_ends (epoch seconds), requests_used,
team#<team_id>   tokens_used, and held: hold id → [nano-dollars, tokens, until]
                 swept#<hold id>: when an expired hold was removed

`key#<key_id>#<model>` and `team#<team_id>#<model>` are the ledgers of budgets for single models (Limits.models).
"""

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, cast

from vibe_router.access.ledger import COUNTERS, TIMES, Hold, Ledger, LedgerUpdate
from vibe_router.core.rows import LARGEST, CorruptRowError, read_int, read_mapping, read_time
from vibe_router.store.aws_errors import ClientError
from vibe_router.store.circuit_breaker import error_code
from vibe_router.store.dynamodb import DynamoDB, Item, Value, from_item, to_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef, UpdateTypeDef


__all__ = ["CONDITION_FAILED", "CancellationReason", "LedgerTable", "cancellation_reasons", "parse_ledger"]

CONDITION_FAILED = "ConditionalCheckFailed"

_MAX_LEDGERS = 10_000  # remembered by an environment
_READ_TRIES = 3  # for ledgers that DynamoDB leaves unprocessed
_CONFLICT = "TransactionConflict"
_CONFLICTS = frozenset({"TransactionConflictException", "TransactionInProgressException"})
_ATTRIBUTES = frozenset({*COUNTERS, *TIMES, "held"})
_SWEPT = "swept#"  # attributes of their own: items of earlier releases have no map to put them in


class CancellationReason(TypedDict, total=False):
    """Why a transaction was cancelled, for one of its items."""

    Code: str
    Message: str
    Item: Item | None


class LedgerTable:
    """Reads and writes ledgers. Methods raise AwsError, and CorruptRowError for a ledger edited by hand."""

    def __init__(self, client: DynamoDB, name: str) -> None:
        self._client = client
        self._name = name
        self._ledgers: OrderedDict[str, Ledger] = OrderedDict()

    def cached(self, ledger_id: str) -> Ledger:
        """Return the last copy of a ledger; an empty one if it was never read."""
        return self._ledgers.get(ledger_id) or Ledger(exists=False)

    def has(self, ledger_id: str) -> bool:
        """Return whether there is a copy of a ledger, even one of a ledger that does not exist yet."""
        return ledger_id in self._ledgers

    def remember(self, ledger_id: str, ledger: Ledger) -> Ledger:
        """Replace the last copy of a ledger, and return it."""
        self._ledgers[ledger_id] = ledger
        self._ledgers.move_to_end(ledger_id)
        if len(self._ledgers) > _MAX_LEDGERS:
            self._ledgers.popitem(last=False)
        return ledger

    def accept(self, ledger_id: str, item: Item | None) -> Ledger:
        """Parse and remember an item that was read just now (None: there is none); add attributes that it lacks."""
        ledger = parse_ledger(item)
        if item is not None and not item.keys() >= _ATTRIBUTES:
            self._client.update_item(**self._update(ledger_id, LedgerUpdate(fill=True)))
        return self.remember(ledger_id, ledger)

    def read(self, ids: Collection[str]) -> dict[str, Ledger]:
        """Read ledgers consistently."""
        keys: list[Item] = [{"id": {"S": each}} for each in ids]
        found: dict[str, Item] = {}
        for _ in range(_READ_TRIES):
            response = self._client.batch_get_item(RequestItems={self._name: {"Keys": keys, "ConsistentRead": True}})
            if "Responses" not in response:  # another server's response
                raise ClientError({"Error": {"Code": "MalformedAnswer"}}, "BatchGetItem")
            found |= {item["id"]["S"]: item for item in response["Responses"].get(self._name, [])}
            if not (unprocessed := response.get("UnprocessedKeys", {}).get(self._name)):
                break
            keys = [dict(key) for key in unprocessed["Keys"]]
        else:
            raise ClientError({"Error": {"Code": "UnprocessedKeys"}}, "BatchGetItem")
        return {each: self.accept(each, found.get(each)) for each in ids}

    def write(self, updates: Mapping[str, LedgerUpdate]) -> dict[str, Any]:
        """Write all of `updates` or none; return the counters that a single update reports."""
        if len(updates) > 1:
            self._client.transact_write_items(TransactItems=self.items(updates))
            return {}
        [(ledger_id, update)] = updates.items()
        response = self._client.update_item(**self._update(ledger_id, update), ReturnValues="UPDATED_NEW")
        return _counters(response.get("Attributes", {}))

    def renew(self, ledger_id: str, hold_id: str, until: float) -> None:
        """Move the end of a hold to `until`. Fails if there is no such hold any more."""
        self._client.update_item(
            TableName=self._name,
            Key={"id": {"S": ledger_id}},
            UpdateExpression="SET held.#hold[2] = :until",
            ConditionExpression="attribute_exists(held.#hold)",
            ExpressionAttributeNames={"#hold": hold_id},
            ExpressionAttributeValues=to_item({":until": until}),
        )

    def items(self, updates: Mapping[str, LedgerUpdate]) -> "list[TransactWriteItemTypeDef]":
        """Return `updates` as items of a transaction."""
        return [{"Update": self._update(each, update)} for each, update in updates.items()]

    def _update(self, ledger_id: str, change: LedgerUpdate) -> "UpdateTypeDef":
        """Return `change` as an UpdateItem, alone or in a transaction.

        Every clause of a LedgerUpdate is a clause of an expression:

            add    SET n = if_not_exists(n, 0) + x        new    attribute_not_exists(id)
            put    SET n = x                              same   n = x
            take   SET held.id = hold                     most   n <= x
            drop   REMOVE held.id                         slots  size(held) <= x
                                                     unrenewed   held.id[2] = x, of those dropped
            sweep  SET swept#id = time                    claim  REMOVE swept#id, which must exist
            forget REMOVE swept#id
            fill   SET n = if_not_exists(n, 0), for every attribute that no other clause names
        """
        names: dict[str, str] = {}
        values: dict[str, Value] = {}
        sets: list[str] = []
        conditions: list[str] = []

        def name(attribute: str) -> str:
            names[f"#{attribute}"] = attribute
            return f"#{attribute}"

        def value(placeholder: str, plain: Value) -> str:
            values[f":{placeholder}"] = plain
            return f":{placeholder}"

        for each, by in change.add.items():
            sets.append(f"{name(each)} = if_not_exists({name(each)}, {value('zero', 0)}) + {value(f'add_{each}', by)}")
        for each, to in change.put.items():
            sets.append(f"{name(each)} = {value(f'put_{each}', to)}")
        if change.fill:
            missing = (each for each in (*COUNTERS, *TIMES) if each not in change.add and each not in change.put)
            sets += (f"{name(each)} = if_not_exists({name(each)}, {value('zero', 0)})" for each in missing)
            sets.append(f"{name('held')} = if_not_exists({name('held')}, {value('none', {})})")
        if change.new:
            conditions.append(f"attribute_not_exists({name('id')})")
            held = {change.take[0]: _hold_value(change.take[1])} if change.take else {}
            sets.append(f"{name('held')} = {value('held', held)}")
        elif change.take:
            names["#take"] = change.take[0]
            sets.append(f"{name('held')}.#take = {value('take', _hold_value(change.take[1]))}")
            conditions += (f"attribute_exists({name('held')})", f"attribute_not_exists({name('held')}.#take)")
        dropped: list[str] = []
        for number, each in enumerate(change.drop):
            names[f"#drop{number}"] = each
            dropped.append(f"{name('held')}.#drop{number}")
            if (end := change.unrenewed.get(each)) is not None:
                conditions.append(f"{dropped[-1]}[2] = {value(f'end{number}', end)}")
            else:
                conditions.append(f"attribute_exists({dropped[-1]})")
        for number, (each, at) in enumerate(change.sweep.items()):
            names[f"#sweep{number}"] = _SWEPT + each
            sets.append(f"#sweep{number} = {value(f'sweep{number}', at)}")
        for number, each in enumerate(change.forget):
            names[f"#forget{number}"] = _SWEPT + each
            dropped.append(f"#forget{number}")
        if change.claim is not None:
            names["#claim"] = _SWEPT + change.claim
            dropped.append("#claim")
            conditions.append("attribute_exists(#claim)")
        conditions += (f"{name(each)} = {value(f'same_{each}', seen)}" for each, seen in change.same.items())
        conditions += (f"{name(each)} <= {value(f'most_{each}', bound)}" for each, bound in change.most.items())
        if change.slots is not None:
            conditions.append(f"size({name('held')}) <= {value('slots', change.slots)}")
        expressions = [f"SET {', '.join(sets)}"] if sets else []
        expressions += [f"REMOVE {', '.join(dropped)}"] if dropped else []
        update: UpdateTypeDef = {
            "TableName": self._name,
            "Key": {"id": {"S": ledger_id}},
            "UpdateExpression": " ".join(expressions),
            "ExpressionAttributeNames": names,
        }
        if values:  # DynamoDB rejects an empty mapping
            update["ExpressionAttributeValues"] = to_item(values)
        if conditions:
            update["ConditionExpression"] = " AND ".join(conditions)
            update["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"  # saves the loser a second read
        return update


def parse_ledger(item: Item | None) -> Ledger:
    """Parse an item; None is a ledger that was never written. Raises CorruptRowError."""
    if item is None:
        return Ledger(exists=False)
    values = from_item(item)
    return Ledger(
        committed=read_int(values, "committed", least=-LARGEST) or 0,
        spent=read_int(values, "spent", least=-LARGEST) or 0,
        total=read_int(values, "total", least=-LARGEST) or 0,
        period_ends=read_time(values, "period_ends") or 0,
        window_ends=read_time(values, "window_ends") or 0,
        requests_used=read_int(values, "requests_used", least=-LARGEST) or 0,
        tokens_used=read_int(values, "tokens_used", least=-LARGEST) or 0,
        holds={each: _parse_hold(hold) for each, hold in read_mapping(values, "held").items()},
        swept={each.removeprefix(_SWEPT): read_time(values, each) or 0 for each in values if each.startswith(_SWEPT)},
    )


def cancellation_reasons(error: ClientError) -> Sequence[CancellationReason]:
    """Return why a write was rejected, for each of its items in order. Raises every other error again."""
    code = error_code(error)
    if code == "ConditionalCheckFailedException":
        return [{"Code": CONDITION_FAILED, "Item": cast("Item | None", error.response.get("Item"))}]
    if code in _CONFLICTS:
        return [{"Code": _CONFLICT}]
    if code == "TransactionCanceledException":
        reasons = cast("Sequence[CancellationReason]", error.response.get("CancellationReasons", ()))
        codes = {reason.get("Code") for reason in reasons} - {"None", None}
        if codes and codes <= {CONDITION_FAILED, _CONFLICT}:
            return reasons
    raise error


def _parse_hold(value: object) -> Hold:
    match value:
        case [int(cost), int(tokens), int() | float() as until]:
            return Hold(cost, tokens, until)
    raise CorruptRowError("a hold is malformed")


def _hold_value(hold: Hold) -> Value:
    return [hold.cost, hold.tokens, hold.until]


def _counters(attributes: Item) -> dict[str, Any]:
    """Return the counters and times that an update reports."""
    values = from_item({name: value for name, value in attributes.items() if name in (*COUNTERS, *TIMES)})
    return {name: value for name, value in values.items() if isinstance(value, int | float)}

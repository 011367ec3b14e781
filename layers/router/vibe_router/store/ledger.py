"""What keys and teams have spent and reserved, as the whole fleet sees it: the LedgerTable.

    id               attributes
    key#<key_id>     committed, spent, total (nano-dollars), period_ends, window_ends (epoch seconds), requests_used,
    team#<team_id>   tokens_used, and held: hold id → [nano-dollars, tokens, until]

A reservation is one conditional write, of the key's ledger or, where its team is limited too, of both in one
transaction. It is decided from the ledger as this environment last saw it; if that is outdated, the write fails and
brings what stands. Only a ledger read that freshly refuses anybody, but for the requests of a minute: within it they
only grow. While DynamoDB can't be asked, everybody whose key is known goes on without a reservation.
"""

import logging
import secrets
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypedDict, cast

from botocore.exceptions import ClientError

from vibe_router.access.keys import Limits
from vibe_router.access.ledger import (
    COUNTERS,
    TIMES,
    Denial,
    Hold,
    Ledger,
    LedgerUpdate,
    Limit,
    ReservationRequest,
    apply_update,
    plan_reservation,
    plan_settlement,
)
from vibe_router.core.clock import Clock
from vibe_router.store.circuit_breaker import AWS_ERRORS, CallMode, CircuitBreaker, Spawn, error_code, run_in_background
from vibe_router.store.dynamodb import Item, Value, from_item, to_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        TransactWriteItemTypeDef,
        UpdateTypeDef,
    )

    from vibe_router.store.direct import Writes

__all__ = ["LedgerBusyError", "LedgerStore", "LimitReachedError", "Reason", "Reservation", "Settlement", "ledger_from"]

_KNOWN = 10_000  # ledgers remembered by an environment
_READ_TRIES = 3  # for ledgers that DynamoDB leaves unprocessed
_PATIENCE = 2.0  # seconds in all, against others that write to the same ledger
_SLOT_WAITS = (0.02, 0.05, 0.08, 0.15)  # seconds; a slot that is about to be given back comes within them
_CONFLICT_WAIT = 0.05  # seconds at most, the first time; more each time
_CONFLICTS = frozenset({"TransactionConflictException", "TransactionInProgressException"})
_CONDITION_FAILED = "ConditionalCheckFailed"
_CONFLICT = "TransactionConflict"

_log = logging.getLogger(__name__)


class Reason(TypedDict, total=False):
    """Why a transaction was cancelled, for one of its items."""

    Code: str
    Message: str
    Item: Item | None


class LedgerBusyError(Exception):
    """So many write to a ledger that it could not be reserved from in time."""


class LimitReachedError(Exception):
    """A request does not fit into a limit. `ledger_id` says whose; `windows` are as in a Reservation."""

    def __init__(self, ledger_id: str, refusal: Denial, windows: "Sequence[tuple[Ledger, Limits]]" = ()) -> None:
        super().__init__(f"{ledger_id}: {refusal.limit}")
        self.ledger_id = ledger_id
        self.refusal = refusal
        self.windows = windows


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a request has reserved. `ledgers` are all that its cost goes to; `held` those that it holds something in.

    `lost` are those that it may hold something in: the write was sent, and no answer came.
    """

    hold_id: str
    ledgers: Mapping[str, Limits]
    held: Mapping[str, Ledger] = field(default_factory=dict)  # as they stood with the hold
    cost: int = 0  # nano-dollars reserved in each
    lost: Mapping[str, Ledger] = field(default_factory=dict)  # as they stand if the write was done

    @property
    def windows(self) -> list[tuple[Ledger, Limits]]:
        """The ledgers that something is held in, each with its limits."""
        return [(ledger, self.ledgers[each]) for each, ledger in self.held.items()]


class LedgerStore:
    """Reserves from ledgers, and gives what ends a reservation. `spawn` runs work that nobody waits for.

    `writes` carries out the reservations; by default `client`, which does all the rest.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        clock: Clock,
        *,
        spawn: Spawn = run_in_background,
        writes: "Writes | None" = None,
    ) -> None:
        self._client = client
        self._writes = writes or client
        self._table = table
        self._clock = clock
        self._spawn = spawn
        self._breaker = CircuitBreaker("the ledger table", clock)
        self._seen: OrderedDict[str, Ledger] = OrderedDict()

    @property
    def degraded(self) -> bool:
        """Whether nothing can be reserved, because DynamoDB can't be asked."""
        return self._breaker.is_open

    def seen(self, ledger_id: str, item: Item | None) -> None:
        """Take in a ledger's item (None: there is none) that was read with something else; it may be a bit outdated."""
        try:
            self._remember(ledger_id, ledger_from(item))
        except ValueError:
            return  # whoever wants to reserve will see for themselves

    def reserve(self, ledgers: Mapping[str, Limits], wish: ReservationRequest) -> Reservation:
        """Reserve what `wish` says in those of `ledgers` (id → limits) that are limited: one write, if any.

        Where DynamoDB can't be asked, the reservation holds nothing. Raises LimitReachedError and LedgerBusyError.
        """
        hold_id = secrets.token_urlsafe(9)
        limited = {each: limits for each, limits in ledgers.items() if limits}
        if not limited or not self._may_ask(limited):
            return Reservation(hold_id, ledgers, cost=wish.cost)
        reserving = _Reserving(self, limited, wish, hold_id)
        try:
            held = reserving.run()
        except AWS_ERRORS as error:
            self._breaker.record_failure(error)
            return Reservation(hold_id, ledgers, cost=wish.cost, lost=reserving.sent)
        except ValueError as error:
            _log.warning("a ledger is corrupt (%s): its limits are not held to", error)
        except (LimitReachedError, LedgerBusyError):
            self._breaker.record_success()
            raise
        else:
            self._breaker.record_success()
            return Reservation(hold_id, ledgers, held, wish.cost)
        return Reservation(hold_id, ledgers, cost=wish.cost)

    def settlement(self, reservation: Reservation, cost: int, tokens: int | None) -> "Settlement":
        """Return what ends a request that has cost so many nano-dollars and used so many tokens (None: not known)."""
        return Settlement(self, reservation, cost, tokens)

    def read(self, ids: Collection[str]) -> dict[str, Ledger]:
        """Read ledgers as they stand now. Raises botocore's errors, and ValueError for one that is corrupt."""
        keys: list[Item] = [{"id": {"S": each}} for each in ids]
        found: dict[str, Item] = {}
        for _ in range(_READ_TRIES):
            answer = self._client.batch_get_item(RequestItems={self._table: {"Keys": keys, "ConsistentRead": True}})
            if "Responses" not in answer:  # botocore takes what is not DynamoDB's for an empty answer
                raise ClientError({"Error": {"Code": "MalformedAnswer"}}, "BatchGetItem")
            found |= {item["id"]["S"]: item for item in answer["Responses"].get(self._table, [])}
            if not (unprocessed := answer.get("UnprocessedKeys", {}).get(self._table)):
                break
            keys = [dict(key) for key in unprocessed["Keys"]]
        else:
            raise ClientError({"Error": {"Code": "UnprocessedKeys"}}, "BatchGetItem")
        return {each: self._stands(each, found.get(each)) for each in ids}

    def _may_ask(self, ids: Collection[str]) -> bool:
        advice = self._breaker.next_call()
        if advice is CallMode.PROBE:
            self._spawn(lambda: self._look(ids))
        return advice is CallMode.CALL

    def _look(self, ids: Collection[str]) -> None:
        """See whether DynamoDB answers again."""
        try:
            self.read(ids)
        except AWS_ERRORS as error:
            self._breaker.record_failure(error)
        except ValueError:
            self._breaker.record_success()  # with what is corrupt, but it answers
        else:
            self._breaker.record_success()

    def _known(self, ledger_id: str) -> Ledger:
        return self._seen.get(ledger_id) or Ledger(stands=False)

    def _remember(self, ledger_id: str, ledger: Ledger) -> Ledger:
        self._seen[ledger_id] = ledger
        self._seen.move_to_end(ledger_id)
        if len(self._seen) > _KNOWN:
            self._seen.popitem(last=False)
        return ledger

    def _stands(self, ledger_id: str, item: Item | None) -> Ledger:
        """Take in what stands in the table; what a ledger lacks is filled in. Raises ValueError for a corrupt one."""
        ledger = ledger_from(item)
        if item is not None and not {*COUNTERS, *TIMES, "held"} <= item.keys():
            self._client.update_item(**_update(self._table, ledger_id, LedgerUpdate(fill=True)))
        return self._remember(ledger_id, ledger)

    def _failed(self, ledger_id: str, item: Item | None) -> Ledger:
        """Take in what stood in the way of a write; DynamoDB gives it with the failure, others may not."""
        return self._stands(ledger_id, item) if item else self.read([ledger_id])[ledger_id]


class _Reserving:
    """One reservation on its way."""

    def __init__(
        self, store: LedgerStore, limited: Mapping[str, Limits], wish: ReservationRequest, hold_id: str
    ) -> None:
        self._store = store
        self._clock = store._clock
        self._limited = limited
        self._wish = wish
        self._hold_id = hold_id
        self.sent: dict[str, Ledger] = {}  # as they stand with the write that was sent last
        self._fresh: set[str] = set()  # ledgers that were read, or stood in the way, since this last waited

    def run(self) -> dict[str, Ledger]:
        """Return the ledgers with the hold in them."""
        end = self._clock.monotonic() + _PATIENCE
        waits = iter(_SLOT_WAITS)
        wait = _CONFLICT_WAIT
        while True:
            changes = self._decided()
            if isinstance(changes, LimitReachedError):
                if changes.ledger_id not in self._fresh and changes.refusal.limit is not Limit.REQUESTS:
                    self._store.read(self._limited)
                    self._fresh.update(self._limited)
                elif changes.refusal.limit is Limit.PARALLEL and (pause := next(waits, None)):
                    self._clock.sleep(pause)
                    self._fresh.clear()
                else:
                    raise changes
                continue
            if self._written(changes):
                return {each: self._store._known(each) for each in self._limited}
            if self._clock.monotonic() >= end:
                raise LedgerBusyError("too many write to a ledger")
            if not self._fresh:
                self._clock.sleep(self._clock.jitter() * wait)
                wait = min(wait * 2, _PATIENCE / 4)

    def _decided(self) -> "dict[str, LedgerUpdate] | LimitReachedError":
        changes: dict[str, LedgerUpdate] = {}
        now = self._clock.now()
        for each, limits in self._limited.items():
            decided = plan_reservation(self._store._known(each), limits, self._wish, self._hold_id, now)
            if isinstance(decided, Denial):
                windows = [(self._store._known(other), its) for other, its in self._limited.items()]
                return LimitReachedError(each, decided, windows)
            changes[each] = decided
        return changes

    def _written(self, changes: Mapping[str, LedgerUpdate]) -> bool:
        """Write, and say whether that was done; if not, what stands in the way is known then, and fresh."""
        self._fresh.clear()
        store = self._store
        self.sent = {
            each: apply_update(change, store._known(each)) or store._known(each) for each, change in changes.items()
        }
        try:
            if len(changes) > 1:
                store._writes.transact_write_items(TransactItems=_items(store._table, changes))
                counted: Mapping[str, Any] = {}
            else:
                [(ledger_id, change)] = changes.items()
                answer = store._writes.update_item(
                    **_update(store._table, ledger_id, change), ReturnValues="UPDATED_NEW"
                )
                counted = _counted(answer.get("Attributes", {}))
        except ClientError as error:
            return self._stood_in_the_way(changes, error)
        for each, after in self.sent.items():
            store._remember(each, replace(after, **counted))
        return True

    def _stood_in_the_way(self, changes: Mapping[str, LedgerUpdate], error: ClientError) -> bool:
        for each, reason in zip(changes, _reasons(error), strict=False):
            if reason.get("Code") == _CONDITION_FAILED:
                self._store._failed(each, reason.get("Item"))
                self._fresh.add(each)
        # A call is tried twice when its answer was lost on the way: what stands may be this very write.
        return bool(self._fresh) and all(self._hold_id in self._store._known(each).held for each in changes)


class Settlement:
    """The end of a request, in its ledgers: the writes of one transaction, which more may go into.

    Where that is cancelled, `cancelled` takes in what stands, and `items` are then what is right for that.
    """

    def __init__(self, store: LedgerStore, reservation: Reservation, cost: int, tokens: int | None) -> None:
        self._store = store
        self._reservation = reservation
        self._cost = cost
        self._tokens = tokens
        self._changes: dict[str, LedgerUpdate] = {}
        # The hold stands until it is found that it does not: what an environment remembers may be older.
        self._reserved = {**reservation.lost, **reservation.held}
        self._seen = {each: self._reserved.get(each) or store._known(each) for each in reservation.ledgers}

    def items(self) -> "list[TransactWriteItemTypeDef]":
        """Return the writes; none where there is nothing to settle."""
        self._changes = dict(self._decided())
        return _items(self._store._table, self._changes)

    def cancelled(self, reasons: Sequence[Reason]) -> None:
        """Take in why a transaction was cancelled, by the reasons of `items`, in their order.

        Raises as `LedgerStore.read` does: where none of the ledgers in the way is told, all are read.
        """
        failed = {
            each: reason.get("Item")
            for each, reason in zip(self._changes, reasons, strict=False)
            if reason.get("Code") == _CONDITION_FAILED
        }
        if failed and all(failed.values()):
            self._seen |= {each: self._store._stands(each, item) for each, item in failed.items()}
        elif failed:
            self._seen |= self._store.read(failed)

    def done(self) -> None:
        """Take note that `items` were written."""
        for each, change in self._changes.items():
            if after := apply_update(change, self._store._known(each)):
                self._store._remember(each, after)

    def _decided(self) -> Iterator[tuple[str, LedgerUpdate]]:
        now = self._store._clock.now()
        for each, limits in self._reservation.ledgers.items():
            held = self._reserved.get(each)
            change = plan_settlement(
                self._seen[each],
                limits,
                self._reservation.hold_id if held else None,
                cost=self._cost,
                tokens=self._tokens,
                window_ends=held.window_ends if held else 0,
                now=now,
            )
            if change:
                yield each, change


def ledger_from(item: Item | None) -> Ledger:
    """Read an item; None is the ledger of which nothing was ever written. Raises ValueError for a corrupt one."""
    if item is None:
        return Ledger(stands=False)
    values = from_item(item)
    held = values.get("held", {})
    if not isinstance(held, dict):
        raise ValueError("held is not a mapping")
    return Ledger(
        committed=_whole(values, "committed"),
        spent=_whole(values, "spent"),
        total=_whole(values, "total"),
        period_ends=_number(values, "period_ends"),
        window_ends=_number(values, "window_ends"),
        requests_used=_whole(values, "requests_used"),
        tokens_used=_whole(values, "tokens_used"),
        held={each: _hold(hold) for each, hold in held.items()},
    )


def _hold(value: object) -> Hold:
    match value:
        case [int(cost), int(tokens), int() | float() as until]:
            return Hold(cost, tokens, until)
    raise ValueError("a hold is not what holds are")


def _number(values: Mapping[str, Any], name: str) -> float:
    value = values.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is not a number")
    return value


def _whole(values: Mapping[str, Any], name: str) -> int:
    value = _number(values, name)
    if not isinstance(value, int):
        raise ValueError(f"{name} is not a whole number")
    return value


def _counted(attributes: Item) -> dict[str, int | float]:
    """Return the counters and times in what an update gave back."""
    values = from_item({name: value for name, value in attributes.items() if name in (*COUNTERS, *TIMES)})
    return {name: value for name, value in values.items() if isinstance(value, int | float)}


def _reasons(error: ClientError) -> Sequence[Reason]:
    """Return why a write was not done, for each of its items in order. Raises what is no reason of that sort."""
    code = error_code(error)
    if code == "ConditionalCheckFailedException":
        return [{"Code": _CONDITION_FAILED, "Item": cast("Item | None", error.response.get("Item"))}]
    if code in _CONFLICTS:
        return [{"Code": _CONFLICT}]
    if code == "TransactionCanceledException":
        reasons = cast("Sequence[Reason]", error.response.get("CancellationReasons", ()))
        codes = {reason.get("Code") for reason in reasons} - {"None", None}
        if codes and codes <= {_CONDITION_FAILED, _CONFLICT}:
            return reasons
    raise error


def _items(table: str, changes: Mapping[str, LedgerUpdate]) -> "list[TransactWriteItemTypeDef]":
    return [{"Update": _update(table, each, change)} for each, change in changes.items()]


def _update(table: str, ledger_id: str, change: LedgerUpdate) -> "UpdateTypeDef":
    """Return `change` as an UpdateItem, alone or in a transaction.

    Every clause of a Change is a clause of an expression:

        add    SET n = if_not_exists(n, 0) + x        new    attribute_not_exists(id)
        put    SET n = x                              same   n = x
        take   SET held.id = hold                     most   n <= x
        drop   REMOVE held.id                         slots  size(held) <= x
        fill   SET n = if_not_exists(n, 0), for all that is not named otherwise
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
        held = {change.take[0]: _written_hold(change.take[1])} if change.take else {}
        sets.append(f"{name('held')} = {value('held', held)}")
    elif change.take:
        names["#take"] = change.take[0]
        sets.append(f"{name('held')}.#take = {value('take', _written_hold(change.take[1]))}")
        conditions += (f"attribute_exists({name('held')})", f"attribute_not_exists({name('held')}.#take)")
    dropped: list[str] = []
    for number, each in enumerate(change.drop):
        names[f"#drop{number}"] = each
        dropped.append(f"{name('held')}.#drop{number}")
    conditions += (f"attribute_exists({path})" for path in dropped)
    conditions += (f"{name(each)} = {value(f'same_{each}', seen)}" for each, seen in change.same.items())
    conditions += (f"{name(each)} <= {value(f'most_{each}', bound)}" for each, bound in change.most.items())
    if change.slots is not None:
        conditions.append(f"size({name('held')}) <= {value('slots', change.slots)}")
    expressions = [f"SET {', '.join(sets)}"] if sets else []
    expressions += [f"REMOVE {', '.join(dropped)}"] if dropped else []
    update: UpdateTypeDef = {
        "TableName": table,
        "Key": {"id": {"S": ledger_id}},
        "UpdateExpression": " ".join(expressions),
        "ExpressionAttributeNames": names,
    }
    if values:  # an empty mapping is refused
        update["ExpressionAttributeValues"] = to_item(values)
    if conditions:
        update["ConditionExpression"] = " AND ".join(conditions)
        update["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"  # the loser needs no second read
    return update


def _written_hold(hold: Hold) -> Value:
    return [hold.cost, hold.tokens, hold.until]

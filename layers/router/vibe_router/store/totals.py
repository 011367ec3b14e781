"""Add the rows of requests to the totals, each exactly once: from the UsageTable's stream.

A batch of the stream comes from one of its shards, in order, and may come again: whole, in part, or beginning with
rows that were counted before. So the sequence number of the last row that is counted is stored per shard, in the same
transaction as what its rows add, on the condition that no other process has moved it:

    position 5   batch 4 5 6 7  →  [totals += 6 7, position 5 → 7]
    position 7   batch 6 7      →  nothing
    position 7   batch 8 9      →  cancelled, as another writer moved it: read again, and count what is left

Tags are the caller's own words, so nothing bounds their number: a transaction has the totals of its most frequent ones,
and adds up the others under one name. Totals of tags expire.

Shards need no order among each other, since sums do not depend on it. The same transaction charges the ledgers of keys
and teams that had no hold of the request (store.ledger), so they are charged once too.
"""

import logging
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vibe_router.access.keys import user_ledger_id
from vibe_router.access.ledger import plan_charge
from vibe_router.core.clock import Clock
from vibe_router.core.record import Contribution, Kind, Record, is_counted_later, row_id
from vibe_router.store.aws_errors import ClientError
from vibe_router.store.circuit_breaker import AWS_ERRORS, error_code
from vibe_router.store.dynamodb import DynamoDB, Value, from_item, to_item
from vibe_router.store.ledger_table import CancellationReason, LedgerTable
from vibe_router.store.usage import TOTAL_SHARDS

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

__all__ = [
    "MAX_ITEMS",
    "MAX_TAGS",
    "OTHER_TAGS",
    "TAG_DAYS",
    "Change",
    "Sums",
    "TotalsAggregator",
    "next_sums",
    "read_changes",
]

MAX_ITEMS = 90
"""Totals and ledgers in one transaction. DynamoDB allows 100 items, of which one is the position."""

MAX_TAGS = 40
"""Tags in one transaction, each with a total of its own. A request has 20 at most."""
OTHER_TAGS = "(other tags)"
TAG_DAYS = 400
"""The totals of tags expire after so many days."""

_TRIES = 8  # of a transaction that conflicts
_FIRST_DELAY, _MAX_DELAY = 0.02, 1.0  # seconds before the second and before the last try, at most
_MAX_SORT_KEY = 1024  # bytes
_POSITION_SECONDS = 7 * 86_400  # a stream has its records for a day
_CHANGED = "ConditionalCheckFailed"
_RETRYABLE = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
_CONFLICTS = frozenset({"TransactionConflictException", "TransactionInProgressException"})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """One change in the stream; `record` is None if there is nothing to count."""

    sequence: str
    record: Record | None

    @property
    def number(self) -> int:
        """The sequence number, which grows within a shard."""
        return int(self.sequence)


@dataclass(slots=True)
class Sums:
    """The sums of the changes up to `last`: for totals by kind and place, and for ledgers in nano-dollars."""

    last: str = ""
    totals: dict[tuple[Kind, str], Counter[str]] = field(default_factory=dict)
    charges: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.totals) + len(self.charges)

    def add(self, totals: Mapping[tuple[Kind, str], Mapping[str, int]]) -> None:
        """Add to totals."""
        for place, counters in totals.items():
            self.totals.setdefault(place, Counter()).update(counters)


def read_changes(records: Iterable[Mapping[str, Any]]) -> list[Change]:
    """Read the records of a stream event, in order. A row that cannot be parsed is logged and not counted."""
    changes = (Change(str(each["dynamodb"]["SequenceNumber"]), _record(each)) for each in records)
    return sorted(changes, key=lambda change: change.number)


def next_sums(changes: Iterable[Change], after: int, most: int = MAX_ITEMS) -> Sums:
    """Sum up the changes after the position `after`, in order, as many as fit into one transaction."""
    sums, tags = Sums(), Sums()
    for change in changes:
        if change.number <= after:
            continue
        if change.record is not None:
            shares = {(each.kind, each.at): each.counters for each in _storable_contributions(change.record)}
            of_tags = {place: counters for place, counters in shares.items() if place[0] == "tag"}
            totals = {place: counters for place, counters in shares.items() if place[0] != "tag"}
            charges = _charges(change.record)
            added = len(totals.keys() - sums.totals.keys()) + len(charges.keys() - sums.charges.keys())
            if sums.last and len(sums) + added + _most_items(tags.totals.keys() | of_tags.keys()) > most:
                break
            sums.add(totals)
            sums.charges.update(charges)
            tags.add(of_tags)
        sums.last = change.sequence
    sums.add(_most_frequent(tags.totals))
    return sums


def _most_items(tags: Collection[tuple[Kind, str]]) -> int:
    """Return how many totals `_most_frequent` returns of `tags`, at most."""
    if len(tags) <= MAX_TAGS:
        return len(tags)
    return MAX_TAGS + len({at.partition("#")[0] for _, at in tags})


def _most_frequent(tags: Mapping[tuple[Kind, str], Counter[str]]) -> Mapping[tuple[Kind, str], Counter[str]]:
    """Return the totals of the most frequent tags, and the sum of the others, by day."""
    if len(tags) <= MAX_TAGS:
        return tags
    by_frequency = sorted(tags.items(), key=lambda each: (-each[1]["requests"], each[0]))
    merged = Sums()
    merged.add(dict(by_frequency[:MAX_TAGS]))
    for (kind, at), counters in by_frequency[MAX_TAGS:]:
        merged.add({(kind, f"{at.partition('#')[0]}#{OTHER_TAGS}"): counters})
    return merged.totals


def _record(change: Mapping[str, Any]) -> Record | None:
    """Return the request whose row was inserted, if it is to be counted."""
    if change.get("eventName") != "INSERT":
        return None
    row = from_item(change["dynamodb"].get("NewImage") or {})
    if not str(row.get("id")).startswith(row_id("")) or not is_counted_later(row):
        return None
    try:
        return Record.from_row(row)
    except ValueError as error:
        _log.error("%s is not counted: %s", row.get("id"), error)
        return None


def _storable_contributions(record: Record) -> Iterator[Contribution]:
    for each in record.contributions():
        if len(each.at.encode(errors="replace")) <= _MAX_SORT_KEY:
            yield each
        else:
            _log.error("the totals have no room for the name of a %s of request %s", each.kind, record.request_id)


def _charges(record: Record) -> dict[str, int]:
    user = user_ledger_id(record.user).partition("#")[2] if record.user else None
    owners = {"key": record.key, "team": record.team, "user": user}
    named: set[str] = set()
    for each in record.charge_later:  # an owner, or an owner and a model
        owner, *model = each.split("#", 1)
        if name := owners.get(owner):
            named.add("#".join((owner, name, *model)))
    return dict.fromkeys(sorted(named), record.charge) if record.charge > 0 else {}


class _MovedError(Exception):
    """Another writer has moved the position."""


class _InvalidError(Exception):
    """DynamoDB rejects a transaction as a whole."""


class _BusyError(Exception):
    """Transactions kept conflicting."""


class TotalsAggregator:
    """Counts batches of the stream. Several may run at once, even on the same batch."""

    def __init__(self, client: DynamoDB, usage_table: str, ledger_table: str, clock: Clock) -> None:
        self._client = client
        self._table = usage_table
        self._ledgers = LedgerTable(client, ledger_table)
        self._clock = clock

    def count(self, stream: str, shard: str, records: Iterable[Mapping[str, Any]]) -> str | None:
        """Count the records of `shard` of `stream`; return the sequence number of the first that is not counted.

        None if all are. What is not counted is to be sent again.
        """
        changes = read_changes(records)
        if all(change.record is None for change in changes):
            return None  # among them this function's own changes of totals
        position = f"position#{stream}#{shard}"
        total_shard = zlib.crc32(shard.encode()) % TOTAL_SHARDS
        after: str | None = None
        most, left_out = MAX_ITEMS, set[object]()
        try:
            after = self._read(position)
            while (sums := next_sums(changes, int(after or 0), most)).last:
                try:
                    self._write(position, after, sums, total_shard, left_out)
                    after = sums.last
                except _MovedError:
                    after = self._read(position)
                except _InvalidError:
                    if most:  # find the row that DynamoDB rejects: one at a time
                        most = 0
                        continue
                    self._write_valid(position, after, sums, total_shard, left_out)
                    most, after = MAX_ITEMS, sums.last
        except (_BusyError, _MovedError):
            _log.warning("transactions kept conflicting: the rest of the batch is counted later")
        except AWS_ERRORS as error:
            _log.warning("the totals cannot be written (%s): the rest of the batch is counted later", error_code(error))
        else:
            return None
        return next(change.sequence for change in changes if change.number > int(after or 0))

    def _read(self, position: str) -> str | None:
        """Return the sequence number up to which a shard is counted; None if nothing of it is."""
        key = to_item({"id": position, "at": "position"})
        item = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        return str(from_item(item)["sequence"]) if item else None

    def _write_valid(
        self, position: str, after: str | None, sums: Sums, total_shard: int, left_out: set[object]
    ) -> None:
        """Write the sums of a row without the total or ledger that rejects it, which joins `left_out`."""
        for place in (*sums.totals, *sums.charges):
            try:
                self._write(position, after, sums, total_shard, left_out | {place})
            except _InvalidError:
                continue
            left_out.add(place)
            _log.error("%s cannot be added to, and is left out", place)
            return
        _log.error("the row at %s is rejected, and not counted", sums.last)
        self._write(position, after, Sums(sums.last), total_shard, left_out)

    def _write(
        self, position: str, after: str | None, sums: Sums, total_shard: int, left_out: Collection[object]
    ) -> None:
        """Add `sums` and move the position. Raises _MovedError, _BusyError, _InvalidError and AwsError."""
        items = [*self._additions(sums, total_shard, left_out)]
        moved = self._move(position, after, sums.last)
        for tried in range(_TRIES):
            if tried:
                self._clock.sleep(self._clock.jitter() * min(_FIRST_DELAY * 2**tried, _MAX_DELAY))
            try:
                self._client.transact_write_items(TransactItems=[moved, *items])
                return
            except ClientError as error:
                if error_code(error) == "ValidationException":
                    raise _InvalidError from error
                reasons = _reasons(error)
            if reasons and reasons[0].get("Code") == _CHANGED:
                raise _MovedError
            invalid = {number for number, each in enumerate(reasons) if each.get("Code") == "ValidationError"}
            for number in sorted(invalid):
                update: Any = items[number - 1]["Update"]
                _log.error("%s cannot be added to, and is left out", from_item(update["Key"]))
            items = [item for number, item in enumerate(items, start=1) if number not in invalid]
        raise _BusyError

    def _move(self, position: str, after: str | None, last: str) -> "TransactWriteItemTypeDef":
        seen = "attribute_not_exists(id)" if after is None else "#sequence = :after"
        values: dict[str, Value] = {":last": last, ":ends": int(self._clock.now()) + _POSITION_SECONDS}
        if after is not None:
            values[":after"] = after
        return {
            "Update": {
                "TableName": self._table,
                "Key": to_item({"id": position, "at": "position"}),
                "UpdateExpression": "SET #sequence = :last, expires_at = :ends",
                "ConditionExpression": seen,
                "ExpressionAttributeNames": {"#sequence": "sequence"},
                "ExpressionAttributeValues": to_item(values),
            }
        }

    def _additions(self, sums: Sums, shard: int, left_out: Collection[object]) -> "Iterator[TransactWriteItemTypeDef]":
        for (kind, at), counters in sums.totals.items():
            if (kind, at) in left_out:
                continue
            terms = ", ".join(f"#{index} :{index}" for index, _ in enumerate(counters))
            values: dict[str, Value] = {f":{index}": n for index, n in enumerate(counters.values())}
            expiry = ""
            if kind == "tag":
                expiry, values[":ends"] = "SET expires_at = :ends ", _expiry(at)
            yield {
                "Update": {
                    "TableName": self._table,
                    "Key": to_item({"id": f"totals#{kind}#{shard}", "at": at}),
                    "UpdateExpression": f"{expiry}ADD {terms}",
                    "ExpressionAttributeNames": {f"#{index}": name for index, name in enumerate(counters)},
                    "ExpressionAttributeValues": to_item(values),
                }
            }
        yield from self._ledgers.items(
            {each: plan_charge(amount) for each, amount in sums.charges.items() if each not in left_out}
        )


def _expiry(at: str) -> int:
    """Return when the total of a tag expires, in epoch seconds."""
    return int(datetime.fromisoformat(at[:10]).replace(tzinfo=UTC).timestamp()) + TAG_DAYS * 86_400


def _reasons(error: ClientError) -> Sequence[CancellationReason]:
    """Return why a transaction was cancelled, for each item, if another try may succeed. Raises every other error."""
    code = error_code(error)
    if code in _CONFLICTS:
        return []
    if code == "TransactionCanceledException":
        reasons: Sequence[Any] = error.response.get("CancellationReasons") or []
        codes = {str(reason.get("Code")) for reason in reasons} - {"None"}
        position = str(reasons[0].get("Code")) if reasons else ""
        if codes and codes <= _RETRYABLE | {_CHANGED, "ValidationError"} and position != "ValidationError":
            return reasons
    raise error

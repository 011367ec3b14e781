"""The UsageTable: a row for each request, and totals.

    id                at                               what
    request#<id>      2026-11-24T13:05:00.250Z         a row for each request, with an index by day and one by key
    totals#all        2026-11-24T13#<shard>            what the requests of an hour add up to
    totals#<kind>     2026-11-24#<name>#<shard>        the same of a day, by key, team, model or deployment

A request is booked once, in one transaction: its row, on the condition that there is none, its share of every total,
and the settlement of its key and team. So the totals are the sum of the rows, however often a booking is retried. Each
total is split into shards, because concurrent transactions on one item conflict.
"""

import base64
import binascii
import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import Enum, auto
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from vibe_router.core.clock import Clock
from vibe_router.core.record import COUNTERS, Kind, Record, row_id
from vibe_router.core.rows import LARGEST
from vibe_router.store.aws_errors import ClientError
from vibe_router.store.circuit_breaker import AWS_ERRORS, CallMode, CircuitBreaker, Spawn, error_code, run_in_background
from vibe_router.store.dynamodb import DynamoDB, Item, from_item, to_item
from vibe_router.store.ledger_table import CancellationReason

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

__all__ = [
    "Filter",
    "NotRecordedError",
    "Page",
    "Record",
    "Settlement",
    "Total",
    "UsageReader",
    "UsageRecorder",
    "UsageWriter",
]

_TRIES = 8  # of a transaction that conflicts: waiting more than a second in all is not worth its price
_FIRST_DELAY, _MAX_DELAY = 0.01, 0.3  # seconds before the second and before the last try, at most
_MAX_WAITING = 1_000  # records that wait in memory while DynamoDB is unreachable: about 2 MB
_RETRYABLE = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
_CONFLICTS = frozenset({"TransactionConflictException", "TransactionInProgressException"})
_CHANGED = "ConditionalCheckFailed"
_HOPELESS = frozenset({"ValidationException", "ValidationError", "ItemCollectionSizeLimitExceeded"})

_log = logging.getLogger(__name__)


class Settlement(Protocol):
    """The settlement of one request in the ledgers of its key and team (store.ledger)."""

    def items(self) -> "Sequence[TransactWriteItemTypeDef]":
        """Return the writes, planned from the last copy of the ledgers."""

    def cancelled(self, reasons: Sequence[CancellationReason], /) -> None:
        """Learn why the transaction was cancelled. Raises AwsError and ValueError."""

    def done(self) -> None:
        """Record that `items` were written."""


class NotRecordedError(Exception):
    """A request was not booked: transactions conflicted for too long, or (`hopeless`) it never can be."""

    def __init__(self, reason: str, *, hopeless: bool = False) -> None:
        super().__init__(reason)
        self.hopeless = hopeless


class UsageWriter:
    """Books each request once. Rows expire after `days`."""

    def __init__(self, client: DynamoDB, table: str, clock: Clock, *, days: int) -> None:
        self._client = client
        self._table = table
        self._clock = clock
        self._days = days

    def write(self, record: Record, settlement: Settlement | None = None) -> bool:
        """Book `record`; False if it was booked before. Raises NotRecordedError and AwsError."""
        try:
            own = self.items(record)
        except ValueError:
            raise NotRecordedError("DynamoDB cannot store its values", hopeless=True) from None
        for tried in range(_TRIES):
            if tried > 1:  # the second try uses the ledger that was just read
                self._clock.sleep(self._clock.jitter() * min(_FIRST_DELAY * 2**tried, _MAX_DELAY))
            owed = settlement.items() if settlement else ()
            try:
                self._client.transact_write_items(TransactItems=[*own, *owed])
            except ClientError as error:
                reasons = _reasons(error)
                if reasons[0].get("Code") == _CHANGED:
                    return False
                try:
                    if settlement and any(reason.get("Code") == _CHANGED for reason in reasons):
                        settlement.cancelled(reasons[len(own) :])
                except ValueError as corrupt:
                    _log.warning("a ledger is corrupt (%s): a request is booked without it", corrupt)
                    settlement = None
            else:
                if settlement:
                    settlement.done()
                return True
        raise NotRecordedError("transactions kept conflicting")

    def items(self, record: Record) -> "list[TransactWriteItemTypeDef]":
        """Return the writes that book `record`, its row first. Raises ValueError for an unstorable value."""
        put: TransactWriteItemTypeDef = {
            "Put": {
                "TableName": self._table,
                "Item": to_item(record.as_row(self._days)),
                "ConditionExpression": "attribute_not_exists(id)",
            }
        }
        return [put, *(self._addition(f"totals#{share.kind}", share.at, share.counters) for share in record.shares())]

    def _addition(self, total: str, at: str, counters: Mapping[str, int]) -> "TransactWriteItemTypeDef":
        terms = ", ".join(f"#{index} :{index}" for index, _ in enumerate(counters))
        return {
            "Update": {
                "TableName": self._table,
                "Key": {"id": {"S": total}, "at": {"S": at}},
                "UpdateExpression": f"ADD {terms}",
                "ExpressionAttributeNames": {f"#{index}": name for index, name in enumerate(counters)},
                "ExpressionAttributeValues": {f":{index}": {"N": str(n)} for index, n in enumerate(counters.values())},
            }
        }


def _reasons(error: ClientError) -> "Sequence[CancellationReason]":
    """Return why a transaction was cancelled, for each item, if a retry may succeed. Raises every other error."""
    code = error_code(error)
    if code == "TransactionCanceledException":
        reasons = cast("Sequence[CancellationReason]", error.response.get("CancellationReasons") or [{}])
        codes = {str(reason.get("Code")) for reason in reasons} - {"None"}
        if codes and codes <= _RETRYABLE | {_CHANGED}:
            return reasons
        code = ", ".join(sorted(codes))
    elif code in _CONFLICTS:
        return [{}]
    if any(hopeless in code for hopeless in _HOPELESS):
        raise NotRecordedError(code, hopeless=True) from error
    raise error


class _Outcome(Enum):
    BOOKED = auto()  # now or before
    RETRY = auto()
    LOST = auto()  # only the log has it


@dataclass(frozen=True, slots=True)
class _Entry:
    record: Record
    settlement: Settlement | None


class UsageRecorder:
    """Books requests after their answers. A booking that fails waits in memory and is retried along with later ones.

    `spawn` runs work in the background. DynamoDB's errors are never raised: a request that is given up is named in the
    log, and `vibe usage book` can book it from its decision line.
    """

    def __init__(
        self,
        book: UsageWriter,
        clock: Clock,
        *,
        spawn: Spawn = run_in_background,
        service: CircuitBreaker | None = None,
    ) -> None:
        self._book = book
        self._spawn = spawn
        self._breaker = CircuitBreaker("the usage table", clock, service=service)
        if service:
            service.on_close(self._flush_in_background)
        self._waiting: deque[_Entry] = deque()
        self._flushing = Lock()

    @property
    def waiting(self) -> int:
        """The number of requests that wait in memory."""
        return len(self._waiting)

    def book(self, record: Record, settlement: Settlement | None = None) -> None:
        """Book a request of an authenticated caller."""
        if record.key is None:
            return
        entry = _Entry(record, settlement)
        mode = self._breaker.next_call()
        if mode is not CallMode.CALL or self._try_to_book(entry) is _Outcome.RETRY:
            self._enqueue(entry)
        if self._waiting and (mode is CallMode.PROBE or not self._breaker.is_open):
            self._spawn(self._flush)

    def _flush_in_background(self) -> None:
        if self._waiting:
            self._spawn(self._flush)

    def _enqueue(self, entry: _Entry) -> None:
        if len(self._waiting) >= _MAX_WAITING:
            _give_up(self._waiting.popleft().record, "too many requests are waiting")
        self._waiting.append(entry)

    def _flush(self) -> None:
        """Book the waiting requests, the oldest first, until one fails."""
        if not self._flushing.acquire(blocking=False):
            return
        try:
            for _ in range(len(self._waiting)):
                try:
                    entry = self._waiting.popleft()
                except IndexError:  # given up concurrently
                    return
                if self._try_to_book(entry) is _Outcome.RETRY:
                    self._waiting.append(entry)
                    return
        finally:
            self._flushing.release()

    def _try_to_book(self, entry: _Entry) -> _Outcome:
        try:
            self._book.write(entry.record, entry.settlement)
        except NotRecordedError as error:
            self._breaker.record_success()
            if not error.hopeless:
                return _Outcome.RETRY
            _give_up(entry.record, str(error))
            return _Outcome.LOST
        except AWS_ERRORS as error:
            self._breaker.record_failure(error)
            return _Outcome.RETRY
        self._breaker.record_success()
        return _Outcome.BOOKED


def _give_up(record: Record, reason: str) -> None:
    _log.error("the usage of request %s is not booked (%s): only its decision line has it", record.request_id, reason)


Status = Literal["ok", "error", "failover"]


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter of rows; None matches any. `first` and `last` are days in UTC, inclusive."""

    key: str | None = None
    team: str | None = None
    model: str | None = None
    deployment: str | None = None
    status: Status | None = None
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, the newest first, and where the next page begins: None at the end, however few `records` there are."""

    records: list[Record]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Total:
    """The total of requests. `at` is a day or an hour (2026-11-24T13); `name` is its key, team or model, "" for all.

    `cost` is in nano-dollars; `unpriced` requests are not in it.
    """

    at: str
    name: str
    counters: Mapping[str, int] = field(default_factory=dict)

    def __getitem__(self, counter: str) -> int:
        """Return one of COUNTERS."""
        return self.counters.get(counter, 0)

    @property
    def ttft_ms(self) -> float | None:
        """The mean time to the first token, None without one."""
        return self["ttft_ms_sum"] / self["ttft_count"] if self["ttft_count"] else None


_MAX_QUERIES = 12  # for one page: each reads up to 1 MB, and a caller waits
_ROWS_AT_ONCE = 500
_FOREVER = date(9999, 12, 30)
_FIRST_DAY = date(2025, 1, 1)  # no request is older


class UsageReader:
    """Reads rows and totals, for the admin function."""

    def __init__(self, client: DynamoDB, table: str) -> None:
        self._client = client
        self._table = table

    def request(self, request_id: str) -> Record | None:
        """Return the row of one request. Raises AwsError, as every method does."""
        found = self._client.query(
            TableName=self._table,
            KeyConditionExpression="id = :id",
            ExpressionAttributeValues={":id": {"S": row_id(request_id)}},
            Limit=1,
        )["Items"]
        return next(_records(found), None)

    def find(self, wanted: Filter, *, limit: int = 50, before: str | None = None) -> Page:
        """Return the newest rows that match `wanted`, after the previous page (`Page.next`).

        Reads a bounded part of the table: a page may be short, or empty, and yet have a next one. Raises ValueError for
        a `before` that is not such a position.
        """
        position = _Position.parse(before) if before else None
        if wanted.key is not None:
            return self._by_key(wanted, wanted.key, limit, position)
        return self._by_day(wanted, limit, position)

    def totals(self, kind: Kind, first: date, last: date) -> list[Total]:
        """Return the totals of the days from `first` to `last`, by time and name; by hour for the kind `all`."""
        asked: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "id = :id AND #at BETWEEN :first AND :end",
            "ExpressionAttributeNames": {"#at": "at"},
            "ExpressionAttributeValues": to_item(
                {":id": f"totals#{kind}", ":first": first.isoformat(), ":end": _day_after(last)}
            ),
        }
        sums: dict[tuple[str, str], dict[str, int]] = {}
        while True:
            found = self._client.query(**asked)
            for row in map(from_item, found["Items"]):
                at, _, rest = str(row["at"]).partition("#")
                into = sums.setdefault((at, rest.rpartition("#")[0]), {})
                for counter in COUNTERS:
                    if isinstance(value := row.get(counter), int) and 0 < value <= LARGEST:
                        into[counter] = into.get(counter, 0) + value
            if not found.get("LastEvaluatedKey"):
                return [Total(at, name, counters) for (at, name), counters in sorted(sums.items())]
            asked["ExclusiveStartKey"] = found["LastEvaluatedKey"]

    def _by_key(self, wanted: Filter, key: str, limit: int, position: "_Position | None") -> Page:
        bounds = (wanted.first or date.min).isoformat(), _day_after(wanted.last or _FOREVER)
        found, left = self._query("by-key", ("key", key), bounds, wanted, limit, position, _MAX_QUERIES)
        return Page(found, left.to_text() if left else None)

    def _by_day(self, wanted: Filter, limit: int, position: "_Position | None") -> Page:
        """Walk back day by day, to the days that have a total."""
        latest = wanted.last or _FOREVER
        day = self._day_with_requests(min(latest, position.day) if position else latest)
        records: list[Record] = []
        for _ in range(_MAX_QUERIES):
            if day is None or (wanted.first and day < wanted.first):
                return Page(records)
            if len(records) >= limit:
                break
            start = position if position and position.request_id and position.day == day else None
            bounds = day.isoformat(), _day_after(day)
            found, left = self._query("by-day", ("day", bounds[0]), bounds, wanted, limit - len(records), start, 4)
            records += found
            if left:
                return Page(records, left.to_text())
            day = self._day_with_requests(day - timedelta(days=1))
        return Page(records, _Position(day.isoformat()).to_text() if day else None)

    def _day_with_requests(self, latest: date) -> date | None:
        """Return the newest day up to `latest` on which there was a request."""
        found = self._client.query(
            TableName=self._table,
            KeyConditionExpression="id = :id AND #at < :end",
            ExpressionAttributeNames={"#at": "at"},
            ExpressionAttributeValues={
                ":id": {"S": "totals#all"},
                ":end": {"S": _day_after(latest)},
            },
            ScanIndexForward=False,
            Limit=1,
        )["Items"]
        try:
            return date.fromisoformat(found[0]["at"]["S"][:10]) if found else None
        except ValueError:  # a total that was edited by hand; the day before is found by its own totals
            return self._day_with_requests(latest - timedelta(days=1)) if latest > _FIRST_DAY else None

    def _query(
        self,
        index: str,
        partition: tuple[str, str],
        bounds: tuple[str, str],
        wanted: Filter,
        limit: int,
        position: "_Position | None",
        max_queries: int,
    ) -> "tuple[list[Record], _Position | None]":
        """Return up to `limit` rows of an index, and where to continue; None at the end of the partition."""
        conditions, names, values = _conditions(wanted)
        asked: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": index,
            "KeyConditionExpression": "#partition = :partition AND #at BETWEEN :first AND :end",
            "ExpressionAttributeNames": {"#partition": partition[0], "#at": "at", **names},
            "ExpressionAttributeValues": to_item(
                {":partition": partition[1], ":first": bounds[0], ":end": bounds[1], **values}
            ),
            "ScanIndexForward": False,
        }
        if conditions:
            asked["FilterExpression"] = " AND ".join(conditions)
        if position:
            asked["ExclusiveStartKey"] = {**position.row(), partition[0]: {"S": partition[1]}}
        records: list[Record] = []
        for _ in range(max_queries):
            asked["Limit"] = _ROWS_AT_ONCE if conditions else limit - len(records)
            found = self._client.query(**asked)
            records += _records(found["Items"])
            position = _Position.of(found.get("LastEvaluatedKey"))
            if len(records) > limit:
                last = records[limit - 1]
                return records[:limit], _Position(last.at, last.request_id)
            if position is None or len(records) == limit:
                break
            asked["ExclusiveStartKey"] = found["LastEvaluatedKey"]
        return records, position


@dataclass(frozen=True, slots=True)
class _Position:
    """The end of a page: a row, or the start of the day `at`. Its text is opaque to callers."""

    at: str
    request_id: str = ""

    @classmethod
    def of(cls, key: Mapping[str, Any] | None) -> "_Position | None":
        """Parse DynamoDB's LastEvaluatedKey."""
        return cls(key["at"]["S"], key["id"]["S"].removeprefix(row_id(""))) if key else None

    @classmethod
    def parse(cls, text: str) -> "_Position":
        """Parse the text of `to_text`. Raises ValueError."""
        try:
            at, _, request_id = base64.urlsafe_b64decode(text.encode()).decode().partition(" ")
            date.fromisoformat(at[:10])
        except (binascii.Error, ValueError):
            raise ValueError("not a position in the list of requests") from None
        return cls(at, request_id)

    def to_text(self) -> str:
        """Return its text, safe in a URL."""
        return base64.urlsafe_b64encode(f"{self.at} {self.request_id}".encode()).decode()

    @property
    def day(self) -> date:
        """Its day."""
        return date.fromisoformat(self.at[:10])

    def row(self) -> Item:
        """Return the key of the row."""
        return {"id": {"S": row_id(self.request_id)}, "at": {"S": self.at}}


def _conditions(wanted: Filter) -> tuple[list[str], dict[str, str], dict[str, str | int]]:
    """Return the filter conditions beyond the key, with their names and values."""
    conditions: list[str] = []
    names: dict[str, str] = {}
    values: dict[str, str | int] = {}
    for name in ("team", "model", "deployment"):
        if (value := getattr(wanted, name)) is not None:
            conditions.append(f"#{name} = :{name}")
            names[f"#{name}"], values[f":{name}"] = name, value
    if wanted.status == "failover":
        conditions.append("attribute_exists(failover)")
    elif wanted.status:
        names |= {"#status": "status", "#error": "error"}
        values[":bad"] = 400
        good = "#status < :bad AND attribute_not_exists(#error)"
        conditions.append(good if wanted.status == "ok" else "(#status >= :bad OR attribute_exists(#error))")
    return conditions, names, values


def _records(rows: Sequence[Mapping[str, Any]]) -> Iterator[Record]:
    """Yield the rows that can be parsed; a corrupt one is logged."""
    for row in rows:
        try:
            yield Record.from_row(from_item(row))
        except ValueError as error:
            _log.warning("%s: %s", row.get("id", {}).get("S"), error)


def _day_after(day: date) -> str:
    """Return the exclusive upper bound of a day's sort keys."""
    return (min(day, _FOREVER) + timedelta(days=1)).isoformat()

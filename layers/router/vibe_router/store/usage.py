"""The UsageTable: a row for each request, and totals.

    id                        at                          what
    request#<id>              2026-11-24T13:05:00.250Z    a row for each request, with an index by day and one by key
    totals#all#<shard>        2026-11-24T13               what the requests of an hour add up to
    totals#<kind>#<shard>     2026-11-24#<name>           the same of a day, by key, team, model, deployment, user, tag
    position#<stream shard>   position                    how far the aggregator has counted (store.totals)

A request is booked with one conditional write of its row, after its holds are settled (store.ledger). The aggregator
reads the rows from the table's stream and adds them to the totals, each once. Totals and the index by day are split
into shards, because a partition takes a limited number of writes a second; readers merge them. Earlier releases wrote
no such shards: `totals#<kind>` with a shard at the end of `at`, and rows whose `day` is only the day.
"""

import base64
import binascii
import heapq
import logging
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import Enum, auto
from threading import Lock
from typing import Any, Literal, Protocol

from vibe_router.core.clock import Clock
from vibe_router.core.record import COUNTERS, HISTOGRAM_COUNTERS, Kind, Record, day_partitions, row_id
from vibe_router.core.rows import LARGEST
from vibe_router.store.aws_errors import ClientError
from vibe_router.store.circuit_breaker import (
    AWS_ERRORS,
    CallMode,
    CircuitBreaker,
    Spawn,
    error_code,
    is_rejection,
    run_in_background,
)
from vibe_router.store.dynamodb import DynamoDB, from_item, to_item
from vibe_router.store.ledger import LedgerBusyError

__all__ = [
    "MAX_ROWS",
    "TOTAL_SHARDS",
    "Filter",
    "NotRecordedError",
    "Page",
    "Record",
    "Settlement",
    "TooMuchError",
    "Total",
    "UsageReader",
    "UsageRecorder",
    "UsageWriter",
    "total_partitions",
]

TOTAL_SHARDS = 4
"""Partitions of the totals of a kind. Each shard of the stream adds to one of them, a few times a second at most."""

_MAX_WAITING = 1_000  # records that wait in memory while DynamoDB is unreachable: about 2 MB
_HOPELESS = frozenset({"ValidationException", "ItemCollectionSizeLimitExceededException", "SerializationException"})

_log = logging.getLogger(__name__)


_NOT_IN_EARLIER_RELEASES = frozenset({"user", "tag"})
_TOTAL_COUNTERS = frozenset({*COUNTERS, *HISTOGRAM_COUNTERS})


def total_partitions(kind: Kind) -> list[str]:
    """Return the partitions that hold the totals of a kind: that of earlier releases, if any, and the shards."""
    earlier = [] if kind in _NOT_IN_EARLIER_RELEASES else [f"totals#{kind}"]
    return [*earlier, *(f"totals#{kind}#{shard}" for shard in range(TOTAL_SHARDS))]


class Settlement(Protocol):
    """The settlement of one request in the ledgers of its key and team (store.ledger)."""

    def settle(self) -> None:
        """Settle, once. Raises AwsError, LedgerBusyError and ValueError for a corrupt ledger."""


class NotRecordedError(Exception):
    """A request was not booked: its ledger is too busy, or (`hopeless`) it never can be."""

    def __init__(self, reason: str, *, hopeless: bool = False) -> None:
        super().__init__(reason)
        self.hopeless = hopeless


class UsageWriter:
    """Books each request once. Rows expire after `days`."""

    def __init__(self, client: DynamoDB, table: str, *, days: int) -> None:
        self._client = client
        self._table = table
        self._days = days

    def write(self, record: Record, settlement: Settlement | None = None) -> bool:
        """Book `record`; False if it was booked before. Raises NotRecordedError and AwsError.

        It is settled first. If the environment dies in between, the row can be booked from the log, and neither is done
        twice.
        """
        if settlement:
            _settle(record, settlement)
        try:
            self._client.put_item(
                TableName=self._table,
                Item=to_item(record.as_row(self._days)),
                ConditionExpression="attribute_not_exists(id)",
            )
        except ClientError as error:
            code = error_code(error)
            if code == "ConditionalCheckFailedException":
                return False
            if code in _HOPELESS:
                raise NotRecordedError(code, hopeless=True) from error
            raise
        except ValueError:
            raise NotRecordedError("DynamoDB cannot store its values", hopeless=True) from None
        return True


def _settle(record: Record, settlement: Settlement) -> None:
    try:
        settlement.settle()
    except LedgerBusyError as error:
        raise NotRecordedError(str(error)) from error
    except ValueError as corrupt:
        _log.warning("a ledger is corrupt (%s): request %s is booked without it", corrupt, record.request_id)
    except ClientError as error:
        if not is_rejection(error):
            raise
        reason = error_code(error)
        _log.warning("a ledger rejects its settlement (%s): request %s is booked without it", reason, record.request_id)


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
        """Return one of COUNTERS and HISTOGRAM_COUNTERS."""
        return self.counters.get(counter, 0)

    @property
    def ttft_ms(self) -> float | None:
        """The mean time to the first token, None without one."""
        return self["ttft_ms_sum"] / self["ttft_count"] if self["ttft_count"] else None


class TooMuchError(Exception):
    """A range has more than one call may read."""


_MAX_QUERIES = 40  # for one page: each reads up to 1 MB, and a caller waits
_MAX_TOTALS = 40_000  # of a kind, in one call: about 20 MB, and ten seconds of the admin function
MAX_ROWS = 25_000
"""Rows to add up in one call: about ten seconds."""
_MAX_ROW_QUERIES = 400
# What Record.contributions needs of a row.
_COUNTED = (
    *("id", "at", "day", "key", "team", "user", "tags", "model", "resolved", "deployment", "fallbacks", "status"),
    *("error", "cost", "ttft_ms", "total_ms", "prompt_tokens", "completion_tokens", "cached_tokens"),
    "reasoning_tokens",
)
_ROWS_AT_ONCE = 500  # of a partition, with a filter
_FOREVER = date(9999, 12, 30)
_FIRST_DAY = date(2025, 1, 1)  # no request is older
_LAST_ID = "\U0010ffff"  # after every request id


class UsageReader:
    """Reads rows and totals, for the admin function."""

    def __init__(self, client: DynamoDB, table: str, clock: Clock | None = None) -> None:
        self._client = client
        self._table = table
        self._clock = clock or Clock()

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
            days = wanted.first or date.min, wanted.last or _FOREVER
            return self._page("by-key", ("key", [wanted.key]), days, wanted, limit, position, _MAX_QUERIES)[0]
        return self._by_day(wanted, limit, position)

    def totals(
        self, kind: Kind, first: date, last: date, *, bounded: bool = False, strongly: bool = False
    ) -> list[Total]:
        """Return the totals of the days from `first` to `last`, by time and name; by hour for the kind `all`.

        `strongly`: read the latest ones, which takes twice the read units. If `bounded`, raises TooMuchError.
        """
        sums: dict[tuple[str, str], dict[str, int]] = {}
        read = 0
        for partition in total_partitions(kind):
            has_shard = partition != f"totals#{kind}"
            for row in self._total_rows(partition, first, last, strongly=strongly):
                read += 1
                if bounded and read > _MAX_TOTALS:
                    raise TooMuchError
                at, _, name = str(row["at"]).partition("#")
                if not has_shard:
                    name = name.rpartition("#")[0]
                into = sums.setdefault((at, name), {})
                for counter in _TOTAL_COUNTERS & row.keys():
                    if isinstance(value := row[counter], int) and 0 < value <= LARGEST:
                        into[counter] = into.get(counter, 0) + value
        return [Total(at, name, counters) for (at, name), counters in sorted(sums.items())]

    def _total_rows(
        self, partition: str, first: date, last: date, *, strongly: bool = False
    ) -> Iterator[dict[str, Any]]:
        asked: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "id = :id AND #at BETWEEN :first AND :end",
            "ExpressionAttributeNames": {"#at": "at"},
            "ExpressionAttributeValues": to_item(
                {":id": partition, ":first": first.isoformat(), ":end": _day_after(last)}
            ),
            "ConsistentRead": strongly,
        }
        while True:
            found = self._client.query(**asked)
            yield from map(from_item, found["Items"])
            if not found.get("LastEvaluatedKey"):
                return
            asked["ExclusiveStartKey"] = found["LastEvaluatedKey"]

    def records(self, first: date, last: date, keys: Collection[str] | None = None) -> Iterator[Record]:
        """Yield the rows of the days from `first` to `last`, of `keys` or of all, with what totals need.

        In no order. Raises TooMuchError.
        """
        if keys is None:
            days = (first + timedelta(days=number) for number in range((last - first).days + 1))
            partitions = [("by-day", "day", each) for day in days for each in day_partitions(day.isoformat())]
        else:
            partitions = [("by-key", "key", each) for each in keys]
        rows, queries = MAX_ROWS, _MAX_ROW_QUERIES
        for index, attribute, value in partitions:
            asked: dict[str, Any] = {
                "TableName": self._table,
                "IndexName": index,
                "KeyConditionExpression": "#partition = :partition AND #at BETWEEN :first AND :end",
                "ProjectionExpression": ", ".join(f"#{number}" for number, _ in enumerate(_COUNTED)),
                "ExpressionAttributeNames": {
                    "#partition": attribute,
                    "#at": "at",
                    **{f"#{number}": name for number, name in enumerate(_COUNTED)},
                },
                "ExpressionAttributeValues": to_item(
                    {":partition": value, ":first": first.isoformat(), ":end": _day_after(last)}
                ),
            }
            while True:
                found = self._client.query(**asked)
                rows, queries = rows - len(found["Items"]), queries - 1
                if rows < 0 or queries < 0:
                    raise TooMuchError
                yield from _records(found["Items"])
                if not found.get("LastEvaluatedKey"):
                    break
                asked["ExclusiveStartKey"] = found["LastEvaluatedKey"]

    def _by_day(self, wanted: Filter, limit: int, position: "_Position | None") -> Page:
        """Read backwards by day: today and yesterday, whose totals may be late, then the days that have a total."""
        latest = wanted.last or _FOREVER
        day = self._day_with_requests(min(latest, position.day) if position else latest)
        records: list[Record] = []
        queries = _MAX_QUERIES
        while day is not None and not (wanted.first and day < wanted.first):
            if len(records) >= limit or queries <= 0:
                return Page(records, _Position(day.isoformat()).to_text())
            start = position if position and position.day == day and not position.is_day else None
            partitions = "day", day_partitions(day.isoformat())
            page, used = self._page("by-day", partitions, (day, day), wanted, limit - len(records), start, queries)
            records += page.records
            if page.next:
                return Page(records, page.next)
            queries -= used
            day = self._day_with_requests(day - timedelta(days=1))
        return Page(records)

    def _day_with_requests(self, latest: date) -> date | None:
        """Return the newest day up to `latest` on which there was, or may have been, a request."""
        today = datetime.fromtimestamp(self._clock.now(), UTC).date()
        recent = [day for day in (today, today - timedelta(days=1)) if day <= latest]
        counted = (self._day_with_total(partition, latest) for partition in total_partitions("all"))
        return max([*recent, *filter(None, counted)], default=None)

    def _day_with_total(self, partition: str, latest: date) -> date | None:
        found = self._client.query(
            TableName=self._table,
            KeyConditionExpression="id = :id AND #at < :end",
            ExpressionAttributeNames={"#at": "at"},
            ExpressionAttributeValues={":id": {"S": partition}, ":end": {"S": _day_after(latest)}},
            ScanIndexForward=False,
            Limit=1,
        )["Items"]
        try:
            return date.fromisoformat(found[0]["at"]["S"][:10]) if found else None
        except ValueError:  # a total that was edited by hand; the day before is found by its own totals
            return self._day_with_total(partition, latest - timedelta(days=1)) if latest > _FIRST_DAY else None

    def _page(
        self,
        index: str,
        partitions: tuple[str, Sequence[str]],
        days: tuple[date, date],
        wanted: Filter,
        limit: int,
        position: "_Position | None",
        max_queries: int,
    ) -> tuple[Page, int]:
        """Return up to `limit` rows of partitions of an index, newest first, and the number of queries.

        `partitions`: the name of the key attribute, and its values. `days`: the first and the last.
        """
        attribute, values = partitions
        end = _day_after(days[1])
        bounds = days[0].isoformat(), min(position.at, end) if position else end
        size = _ROWS_AT_ONCE if _conditions(wanted)[0] else limit // len(values) + 8
        ranges = [_Range(self._client, self._table, index, (attribute, each), bounds, wanted, size) for each in values]
        unread, queries = ranges, 0
        records: list[Record] = []
        while True:
            for each in unread:
                each.read()
            queries += len(unread)
            # A row is next once no partition can have a newer one: those up to the newest unread time wait.
            frontier = max(each.unread_from for each in ranges)
            for record in heapq.merge(*(each.take(frontier) for each in ranges), key=_sort_key, reverse=True):
                if position and _sort_key(record) >= (position.at, position.request_id):
                    continue
                if len(records) == limit:
                    return Page(records, _Position(*_sort_key(records[-1])).to_text()), queries
                records.append(record)
            if not frontier:
                return Page(records), queries
            if len(records) == limit:
                return Page(records, _Position(*_sort_key(records[-1])).to_text()), queries
            if queries >= max_queries:
                return Page(records, _Position(frontier, _LAST_ID).to_text()), queries
            unread = [each for each in ranges if each.unread_from == frontier]


class _Range:
    """The rows of one partition of an index, read newest first, a part at a time. `rows` have been read.

    `unread_from` is the time of the row that was read last, "" at the end: further rows may have the same time.
    """

    def __init__(
        self,
        client: DynamoDB,
        table: str,
        index: str,
        partition: tuple[str, str],
        bounds: tuple[str, str],
        wanted: Filter,
        size: int,
    ) -> None:
        conditions, names, values = _conditions(wanted)
        self._client = client
        self._asked: dict[str, Any] = {
            "TableName": table,
            "IndexName": index,
            "KeyConditionExpression": "#partition = :partition AND #at BETWEEN :first AND :end",
            "ExpressionAttributeNames": {"#partition": partition[0], "#at": "at", **names},
            "ExpressionAttributeValues": to_item(
                {":partition": partition[1], ":first": bounds[0], ":end": bounds[1], **values}
            ),
            "ScanIndexForward": False,
            "Limit": size,
        }
        if conditions:
            self._asked["FilterExpression"] = " AND ".join(conditions)
        self.rows: list[Record] = []
        self.unread_from = ""

    def read(self) -> None:
        """Read the next part."""
        found = self._client.query(**self._asked)
        self.rows += _records(found["Items"])
        following = found.get("LastEvaluatedKey")
        self.unread_from = following["at"]["S"] if following else ""
        self._asked["ExclusiveStartKey"] = following

    def take(self, frontier: str) -> list[Record]:
        """Remove and return the rows that are newer than `frontier`, newest first."""
        taken = [row for row in self.rows if row.at > frontier]
        self.rows = [row for row in self.rows if row.at <= frontier]
        return sorted(taken, key=_sort_key, reverse=True)


def _sort_key(record: Record) -> tuple[str, str]:
    return record.at, record.request_id


@dataclass(frozen=True, slots=True)
class _Position:
    """The end of a page: the next one has the rows before `at`, or at that time with a lower id; or all up to a day.

    Its text is opaque to callers.
    """

    at: str
    request_id: str = ""

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
    def is_day(self) -> bool:
        """Return whether the next page begins with the last row of a day."""
        return len(self.at) == len("2026-11-24")

    @property
    def day(self) -> date:
        """Its day."""
        return date.fromisoformat(self.at[:10])


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

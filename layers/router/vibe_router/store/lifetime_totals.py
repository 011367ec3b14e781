"""Totals that only grow, as counters of Prometheus need them: since the first time they were read.

Totals of days are added up. So that a read does not have to add up every day, the sum of the days that are complete is
stored as a checkpoint, in the StateTable, once a day:

    metrics#<kind>   through 2026-11-26   what the days up to then add up to, by name

    a counter  =  checkpoint  +  the days after it

A day is complete two days later: the aggregator counts a row within a day. Reads are consistent, so no counter ever
falls, whichever environment answers, and after a release as before. The number of names is bounded: the first ones have
counters of their own, and later ones are added up under one name.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from vibe_router.core.clock import Clock
from vibe_router.core.record import COUNTERS, HISTOGRAM_COUNTERS, Kind
from vibe_router.core.rows import LARGEST
from vibe_router.store.aws_errors import ClientError
from vibe_router.store.circuit_breaker import error_code
from vibe_router.store.dynamodb import DynamoDB, Item, from_item, to_item
from vibe_router.store.usage import Total, UsageReader

__all__ = ["MAX_NAMES", "OTHERS", "LifetimeTotals", "Lifetimes"]

MAX_NAMES = 200
"""Names of a kind with counters of their own."""
OTHERS = "(others)"

_OPEN_DAYS = 2
_DAYS_AT_ONCE = 7  # to add up after a pause of scraping: what one read may cost is bounded
_TRIES = 3
_COUNTERS = frozenset({*COUNTERS, *HISTOGRAM_COUNTERS})


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Counters by name, "" for the kind `all`, since the beginning of the day `since`."""

    since: date
    counters: Mapping[str, Counter[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """The sum of the days from `since` to `through`.

    `item` is what the table has, if anything. `is_stored`: whether that is this checkpoint; it may have been edited by
    hand to something that cannot be read.
    """

    since: date
    through: date
    counters: Mapping[str, Counter[str]]
    item: Item | None
    is_stored: bool = True


class LifetimeTotals:
    """Reads counters since they were first read, and moves their checkpoints."""

    def __init__(self, client: DynamoDB, usage_table: str, state_table: str, clock: Clock) -> None:
        self._client = client
        self._usage = UsageReader(client, usage_table, clock)
        self._table = state_table
        self._clock = clock

    def read(self, kind: Kind) -> Lifetimes:
        """Return the counters of a kind. Raises AwsError and TooMuchError."""
        today = datetime.fromtimestamp(self._clock.now(), UTC).date()
        checkpoint = self._checkpoint(kind, today)
        # A clock that is ahead makes rows of tomorrow.
        open_days = self._usage.totals(
            kind, checkpoint.through + timedelta(days=1), today + timedelta(days=1), bounded=True, strongly=True
        )
        return Lifetimes(checkpoint.since, _added(checkpoint.counters, open_days))

    def _checkpoint(self, kind: Kind, today: date) -> _Checkpoint:
        """Return the checkpoint of a kind, moved to the last complete day."""
        complete = today - timedelta(days=_OPEN_DAYS)
        tries = _TRIES
        while True:
            found = self._read(kind, today)
            if found.is_stored and found.through >= complete:
                return found
            moved = self._moved(kind, found, complete)
            if not self._write(kind, moved):
                tries -= 1  # another environment has moved it, to the same
                if not tries:
                    return found

    def _moved(self, kind: Kind, found: _Checkpoint, complete: date) -> _Checkpoint:
        """Return the checkpoint moved towards `complete`."""
        through = min(complete, found.through + timedelta(days=_DAYS_AT_ONCE))
        if through <= found.through:
            return found
        days = self._usage.totals(kind, found.through + timedelta(days=1), through, bounded=True, strongly=True)
        return replace(found, through=through, counters=_added(found.counters, days))

    def _read(self, kind: Kind, today: date) -> _Checkpoint:
        """Return the stored checkpoint; one that begins today if there is none, or none that can be read."""
        key = to_item({"id": f"metrics#{kind}"})
        request = {self._table: {"Keys": [key], "ConsistentRead": True}}
        items = self._client.batch_get_item(RequestItems=request)["Responses"].get(self._table)
        item = items[0] if items else None
        row = from_item(item) if item else {}
        try:
            since, through = date.fromisoformat(row["since"]), date.fromisoformat(row["through"])
            counters = {name: _counters(each) for name, each in row["counters"].items()}
        except (AttributeError, KeyError, TypeError, ValueError):
            return _Checkpoint(today, today - timedelta(days=1), {}, item, is_stored=False)
        return _Checkpoint(since, through, counters, item)

    def _write(self, kind: Kind, checkpoint: _Checkpoint) -> bool:
        """Store a checkpoint; False if another environment was faster."""
        row: dict[str, Any] = {
            "id": f"metrics#{kind}",
            "since": checkpoint.since.isoformat(),
            "through": checkpoint.through.isoformat(),
            "counters": {name: dict(counters) for name, counters in checkpoint.counters.items()},
        }
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(id)"}
        if checkpoint.item and (through := checkpoint.item.get("through")):
            condition = {
                "ConditionExpression": "through = :through",
                "ExpressionAttributeValues": {":through": through},
            }
        elif checkpoint.item:
            condition = {"ConditionExpression": "attribute_not_exists(through)"}
        try:
            self._client.put_item(TableName=self._table, Item=to_item(row), **condition)
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            return False
        return True


def _counters(stored: Mapping[str, Any]) -> Counter[str]:
    found = {name: stored[name] for name in _COUNTERS & stored.keys()}
    return Counter({name: value for name, value in found.items() if isinstance(value, int) and 0 < value <= LARGEST})


def _added(before: Mapping[str, Counter[str]], totals: list[Total]) -> dict[str, Counter[str]]:
    """Add totals, sorted by time and name, to counters. A name that comes after MAX_NAMES others is one of OTHERS."""
    counters = {name: Counter(each) for name, each in before.items()}
    own = len(counters.keys() - {OTHERS})
    for total in totals:
        name = total.name
        if name not in counters:
            if own >= MAX_NAMES:
                name = OTHERS
            else:
                own += 1
        counters.setdefault(name, Counter()).update(total.counters)
    return counters

"""Totals are the sum of the rows, whatever is lost, repeated or killed on the way."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

from tests.integration.store.bookers import KEYS, Orders, record, reserve
from tests.integration.store.streams import Stream
from vibe_router.core.record import Record
from vibe_router.store.dynamodb import DynamoDB, from_item
from vibe_router.store.usage import Filter, UsageReader

CHECKOUT = Path(__file__).parents[3]
REQUESTS = 48
KILLED_AFTER = 8  # requests that a process knows to be booked; it has others in the air then
ALL_DAYS = date(2027, 1, 1), date(2027, 12, 31)


@contextmanager
def booking(orders: Orders) -> Iterator["subprocess.Popen[str]"]:
    """Start a process that books."""
    paths = os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "layers" / "router")])
    with subprocess.Popen(
        [sys.executable, "-m", "tests.integration.store.bookers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": paths},
    ) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(asdict(orders)) + "\n")
        process.stdin.flush()
        try:
            yield process
        finally:
            process.kill()


def rows(reader: UsageReader) -> list[Record]:
    found: list[Record] = []
    before: str | None = None
    while True:
        page = reader.find(Filter(), limit=50, before=before)
        found += page.records
        before = page.next
        if before is None:
            return found


def summed(records: list[Record], of: str | None) -> dict[str, Counter[str]]:
    """Return the sums of records, by the name of their total."""
    sums: dict[str, Counter[str]] = {}
    for each in records:
        name = "" if of is None else getattr(each, of)
        if name is not None:
            sums.setdefault(name, Counter()).update(each.counters())
    return sums


def totals(reader: UsageReader, kind: str) -> dict[str, Counter[str]]:
    sums: dict[str, Counter[str]] = {}
    for total in reader.totals(kind, *ALL_DAYS):
        sums.setdefault(total.name, Counter()).update(total.counters)
    return sums


def test_totals_and_ledgers_are_the_sum_of_the_rows_after_chaos(
    dynamodb_client: DynamoDB, usage_table: str, state_table: str
) -> None:
    reader = UsageReader(dynamodb_client, usage_table)
    stream = Stream(dynamodb_client, usage_table, state_table)
    numbers = list(range(REQUESTS))
    reserve(dynamodb_client, state_table, numbers)
    known: set[int] = set()
    for seed in (1, 2):  # two die in the middle, over a bad network, each with other requests half done
        with booking(Orders(usage_table, state_table, numbers, 0.2, seed)) as process:
            assert process.stdout is not None
            known |= {int(process.stdout.readline()) for _ in range(KILLED_AFTER)}
        stream.deliver_all()
    standing = rows(reader)
    assert len(standing) == len({each.request_id for each in standing}), "no request twice"
    assert {record(number).request_id for number in known} <= {each.request_id for each in standing}
    # Then two at once book all of it again, and so meet each other's and the dead ones' requests.
    orders = [Orders(usage_table, state_table, numbers, 0.1, seed) for seed in (3, 4)]
    with booking(orders[0]) as one, booking(orders[1]) as two:
        for process in (one, two):
            assert process.stdout is not None
            assert {int(line) for line in process.stdout} == set(numbers)
            assert process.wait() == 0
    stream.deliver_all()
    expected = [replace(record(number), hold=None) for number in reversed(numbers)]
    assert rows(reader) == expected
    for kind in ("key", "team", "model", "deployment"):
        assert totals(reader, kind) == summed(expected, kind)
    assert totals(reader, "all") == summed(expected, None)
    for key in KEYS[:2]:
        ledger = dynamodb_client.get_item(TableName=state_table, Key={"id": {"S": f"key#{key}"}}, ConsistentRead=True)
        spent = sum(each.cost or 0 for each in expected if each.key == key)
        assert from_item(ledger["Item"])["total"] == spent
        assert from_item(ledger["Item"])["held"] == {}

"""Totals are the sum of the rows, each counted once, whatever happens to batches of the stream."""

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.store.bookers import record
from tests.integration.store.conftest import client_of, table_by_id
from tests.integration.store.streams import LABEL, Stream, insertion
from tests.integration.store.tables import table_of_usage
from tests.integration.store.test_usage_chaos import summed, totals
from tests.unit.store.fakes import Time
from vibe_router.core.clock import Clock
from vibe_router.core.record import COUNTERS, HISTOGRAM_COUNTERS, Record
from vibe_router.store.aws_errors import ClientError, ReadTimeoutError
from vibe_router.store.dynamodb import DynamoDB, from_item, to_item
from vibe_router.store.totals import (
    MAX_ITEMS,
    MAX_TAGS,
    OTHER_TAGS,
    TAG_DAYS,
    TotalsAggregator,
    next_sums,
    read_changes,
)
from vibe_router.store.usage import UsageReader, UsageWriter

KINDS = (
    ("all", None),
    ("key", "key"),
    ("team", "team"),
    ("model", "model"),
    ("deployment", "deployment"),
    ("user", "user"),
)
YEAR = date(2027, 1, 1), date(2027, 12, 31)
TIMEOUT = ReadTimeoutError("http://127.0.0.1:9")


class KilledError(BaseException):
    """The environment ends in the middle of a batch."""


@dataclass
class Faulty:
    """A client whose next calls fail: before they are sent, or after DynamoDB has carried them out."""

    client: Any
    faults: list[tuple[bool, BaseException]] = field(default_factory=list)
    before_write: Callable[[], object] | None = None

    def get_item(self, **parameters: Any) -> Any:
        return self._call(self.client.get_item, parameters)

    def transact_write_items(self, **parameters: Any) -> Any:
        if self.before_write:
            hook, self.before_write = self.before_write, None
            hook()
        return self._call(self.client.transact_write_items, parameters)

    def _call(self, operation: Callable[..., Any], parameters: dict[str, Any]) -> Any:
        sent, fault = self.faults.pop(0) if self.faults else (True, None)
        answer = operation(**parameters) if sent else None
        if fault:
            raise fault
        return answer


@pytest.fixture
def stream(dynamodb_client: DynamoDB, usage_table: str, ledger_table: str) -> Stream:
    return Stream(dynamodb_client, usage_table, ledger_table)


def book(stream: Stream, client: Any, table: str, records: Sequence[Record]) -> None:
    writer = UsageWriter(client, table, days=90)
    for each in records:
        writer.write(each)
    stream.notice()


def check(client: Any, table: str, records: Sequence[Record]) -> None:
    reader = UsageReader(client, table)
    for kind, attribute in KINDS:
        assert totals(reader, kind) == summed(list(records), attribute)


def spent(client: Any, table: str, ledger_id: str) -> int:
    item = client.get_item(TableName=table, Key={"id": {"S": ledger_id}}, ConsistentRead=True).get("Item")
    return int(from_item(item)["total"]) if item else 0


deliveries = st.tuples(st.integers(0, 1), st.integers(0, 11), st.integers(1, 12))
faults = st.lists(
    st.tuples(st.booleans(), st.sampled_from([None, TIMEOUT, KilledError()])),
    max_size=3,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.tuples(deliveries, faults), max_size=6))
def test_totals_and_ledgers_equal_the_rows_whatever_happens_to_batches(
    batches: list[tuple[tuple[int, int, int], list[tuple[bool, BaseException | None]]]],
    dynamodb_client: DynamoDB,
) -> None:
    """Batches come twice, in part, overlapping, out of order, after gaps that came first; writers die and time out."""
    usage_table, ledger_table = table_of_usage(dynamodb_client), table_by_id(dynamodb_client, "ledger")
    stream = Stream(dynamodb_client, usage_table, ledger_table)
    records = [replace(record(number), charge_later=("key", "team")) for number in range(24)]
    book(stream, dynamodb_client, usage_table, records)
    reached = [0, 0]  # Lambda delivers no batch of a shard before the one in front of it has been counted
    for (shard, begin, length), these in batches:
        first = min(begin, reached[shard])
        batch = stream.shards[shard][first : first + length]
        client = Faulty(dynamodb_client, [(sent or not fault, fault) for sent, fault in these])  # type: ignore[misc]
        try:
            failed = stream.deliver(batch, shard, stream.aggregator(client, Time().clock))
        except KilledError:
            continue
        counted = [each for each in batch if failed is None or each["dynamodb"]["SequenceNumber"] < failed]
        reached[shard] = max(reached[shard], first + len(counted))
    stream.deliver_all()
    check(dynamodb_client, usage_table, records)
    for key in ("laptop", "phone"):
        cost = sum(each.charge for each in records if each.key == key)
        assert spent(dynamodb_client, ledger_table, f"key#{key}") == cost
    assert spent(dynamodb_client, ledger_table, "team#red") == sum(each.charge for each in records if each.team)


def test_two_aggregators_count_a_batch_once(stream: Stream, dynamodb_client: DynamoDB, usage_table: str) -> None:
    records = [record(number) for number in range(12)]
    book(stream, dynamodb_client, usage_table, records)
    other = stream.aggregator()
    half = stream.shards[0][:3]
    slow = Faulty(dynamodb_client, before_write=lambda: stream.deliver(half, 0, other))
    assert stream.deliver(None, 0, stream.aggregator(slow)) is None
    stream.deliver_all()
    check(dynamodb_client, usage_table, records)


def test_a_batch_that_cannot_be_written_is_sent_again_from_the_first_row_not_counted(
    dynamodb_client: DynamoDB, usage_table: str, ledger_table: str, time: Time
) -> None:
    names = [f"model-{number}" for number in range(MAX_ITEMS)]
    records = [replace(record(1), request_id=name, model=name) for name in names]
    one = Stream(dynamodb_client, usage_table, ledger_table, shards=1)
    book(one, dynamodb_client, usage_table, records)
    conflict = ClientError(
        {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": [{"Code": "TransactionConflict"}]},
        "TransactWriteItems",
    )
    client = Faulty(dynamodb_client, [(True, None), (True, None), *([(False, conflict)] * 8)])  # type: ignore[list-item]
    failed = one.deliver(None, 0, one.aggregator(client, time.clock))
    assert failed is not None
    counted = int(failed) - 100
    assert 0 < counted < MAX_ITEMS, "the first transaction had no room for all models"
    assert sum(total["requests"] for total in UsageReader(dynamodb_client, usage_table).totals("all", *YEAR)) == counted
    one.deliver_all()
    check(dynamodb_client, usage_table, records)


def test_a_row_that_cannot_be_counted_does_not_stop_the_others(
    stream: Stream,
    dynamodb_client: DynamoDB,
    usage_table: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    good = [record(number) for number in range(3)]
    long = replace(record(3), request_id="long", deployment="d" * 1_100, team=None)
    rows = [to_item(each.as_row(90)) for each in (*good, long)]
    broken = to_item({**record(4).as_row(90), "status": "fine"})
    batch = [insertion(number, row) for number, row in enumerate([rows[0], broken, *rows[1:]], start=1)]
    with caplog.at_level(logging.ERROR):
        assert stream.deliver(batch) is None
    assert len([each for each in caplog.records if each.levelno == logging.ERROR]) == 2
    reader = UsageReader(dynamodb_client, usage_table)
    assert totals(reader, "all")[""]["requests"] == 4
    assert set(totals(reader, "deployment")) == {"ark/glm-4.7"}


def test_a_total_edited_by_hand_is_left_out(
    stream: Stream, dynamodb_client: DynamoDB, usage_table: str, caplog: pytest.LogCaptureFixture
) -> None:
    again = [replace(record(1), request_id=f"again-{number}") for number in range(3)]
    book(stream, dynamodb_client, usage_table, again)
    for shard in range(4):
        row = to_item({"id": f"totals#key#{shard}", "at": f"{record(1).day}#phone", "requests": "many"})
        dynamodb_client.put_item(TableName=usage_table, Item=row)
    with caplog.at_level(logging.WARNING):
        stream.deliver_all()
    assert "cannot be added to, and is left out" in caplog.text
    reader = UsageReader(dynamodb_client, usage_table)
    assert totals(reader, "all")[""]["requests"] == totals(reader, "model")["auto-1"]["requests"] == 3
    assert not totals(reader, "key")["phone"]


def test_only_inserted_rows_of_this_release_are_counted() -> None:
    row = to_item(record(1).as_row(90))
    old = to_item({**record(1).as_row(90), "day": record(1).day})
    total = to_item({"id": "totals#all#1", "at": "2027-01-15T08", "requests": 1})
    changes = [
        insertion(1, row),
        {**insertion(2, row), "eventName": "MODIFY"},
        {**insertion(3, row), "eventName": "REMOVE"},
        insertion(4, old),
        insertion(5, total),
    ]
    assert [change.record is not None for change in read_changes(changes)] == [True, False, False, False, False]


def test_a_batch_without_requests_writes_nothing() -> None:
    client: Any = Faulty(None, [(False, KilledError())])
    aggregator = TotalsAggregator(client, "usage", "ledger", Time().clock)
    total = to_item({"id": "totals#all#1", "at": "2027-01-15T08", "requests": 1})
    assert aggregator.count(LABEL, "shard", [insertion(1, total)]) is None


def test_a_transaction_has_its_most_frequent_tags_and_the_sum_of_the_others() -> None:
    """Tags are the caller's own: a run's number in each request must not make the totals as many as the rows."""
    records = [replace(record(1), request_id=f"r{n}", tags=("prod", f"run-{n}", f"run-{n}")) for n in range(200)]
    rows = [to_item(each.as_row(90)) for each in records]
    sums = next_sums(read_changes(insertion(number, row) for number, row in enumerate(rows, start=1)), 0)
    tags = {at.partition("#")[2]: counters["requests"] for (kind, at), counters in sums.totals.items() if kind == "tag"}
    assert (len(tags), tags["prod"], tags[OTHER_TAGS]) == (MAX_TAGS + 1, 200, 200 - (MAX_TAGS - 1))
    assert sums.last.endswith("200"), "they leave room for one another"


def test_totals_of_tags_expire(stream: Stream, dynamodb_client: DynamoDB, usage_table: str) -> None:
    book(stream, dynamodb_client, usage_table, [replace(record(1), tags=("nightly",))])
    stream.deliver_all()
    items = [each for page in dynamodb_client.pages("Scan", TableName=usage_table) for each in page["Items"]]
    expiry = {
        item["id"]["S"].split("#")[1]: from_item(item).get("expires_at") for item in items if "#" in item["id"]["S"]
    }
    assert expiry["tag"] == 1_799_971_200 + TAG_DAYS * 86_400
    assert expiry["key"] is None


def test_the_totals_of_a_busy_day_take_one_write_unit() -> None:
    """An item of up to 1 KB takes one unit (two in a transaction), so the histograms cost nothing."""
    counters = dict.fromkeys((*COUNTERS, *HISTOGRAM_COUNTERS), 10**7) | {"cost": 10**13}
    item = {"id": "totals#deployment#3", "at": "2027-01-15#cliproxyapi/claude-sonnet-4-6", **counters}
    assert sum(len(name) + (len(value) if isinstance(value, str) else 6) for name, value in item.items()) < 1024


@given(st.lists(st.integers(0, 60), max_size=200), st.integers(1, MAX_ITEMS))
@settings(max_examples=30, deadline=None)
def test_every_change_is_in_exactly_one_transaction(numbers: list[int], most: int) -> None:
    records = [replace(record(number), model=f"auto-{number}", tags=(f"run-{number}",)) for number in numbers]
    rows = [to_item(each.as_row(90)) for each in records]
    changes = read_changes(insertion(number, row) for number, row in enumerate(rows, start=1))
    after, requests = 0, 0
    while (sums := next_sums(changes, after, most)).last:
        assert len(sums) <= max(most, 6) or int(sums.last) == after + 1
        assert int(sums.last) > after
        after = int(sums.last)
        requests += sum(total["requests"] for (kind, _), total in sums.totals.items() if kind == "all")
    assert (after, requests) == (len(numbers), len(numbers))


@pytest.mark.dynamodb
@pytest.mark.skipif(os.environ.get("VIBE_ROUTER_DYNAMODB_LOCAL") != "1", reason="needs DynamoDB Local")
def test_the_records_of_dynamodbs_own_stream_are_counted(request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("dynamodb_local")
    given_to: dict[str, Any] = {
        "region_name": "us-east-1",
        "aws_access_key_id": "local",
        "aws_secret_access_key": "local",
    }
    with (
        closing(client_of(url)) as client,
        closing(boto3.client("dynamodbstreams", endpoint_url=url, **given_to)) as api,
    ):
        usage_table, ledger_table = table_of_usage(client), table_by_id(client, "ledger")
        specification = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
        client.api.call("UpdateTable", {"TableName": usage_table, "StreamSpecification": specification})
        records = [replace(record(number), charge_later=("key",)) for number in range(12)]
        writer = UsageWriter(client, usage_table, days=90)
        for each in records:
            writer.write(each)
        [described] = api.list_streams(TableName=usage_table)["Streams"]
        stream = api.describe_stream(StreamArn=described["StreamArn"])["StreamDescription"]
        aggregator = TotalsAggregator(client, usage_table, ledger_table, Clock())
        for _ in range(2):
            for shard in stream["Shards"]:
                where = {"StreamArn": stream["StreamArn"], "ShardId": shard["ShardId"]}
                start = api.get_shard_iterator(**where, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
                found = api.get_records(ShardIterator=start)["Records"]
                assert aggregator.count(stream["StreamLabel"], shard["ShardId"], found) is None
        check(client, usage_table, records)
        assert spent(client, ledger_table, "key#phone") == sum(each.charge for each in records if each.key == "phone")

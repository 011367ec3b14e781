"""Rows and totals of usage: written once, and read as the admin function reads them."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date

import pytest

from tests.integration.store.conftest import client_of, table_by_id
from tests.integration.store.streams import Stream
from tests.integration.store.tables import table_of_usage
from tests.unit.store.fakes import NOW, OUTAGES, Aside, Time, Wire
from vibe_cli.total_migration import move_totals
from vibe_router.core.record import COUNTERS, HISTOGRAM_COUNTERS, Record
from vibe_router.core.rows import CorruptRowError
from vibe_router.core.usage import Usage
from vibe_router.store.aws_errors import ClientError
from vibe_router.store.dynamodb import DynamoDB, to_item
from vibe_router.store.ledger import LedgerBusyError
from vibe_router.store.usage import Filter, NotRecordedError, TooMuchError, UsageReader, UsageRecorder, UsageWriter

DAY = date(2027, 1, 15)  # of NOW, in UTC
RECORD = Record(
    "request-1",
    NOW,
    key="laptop",
    team="red",
    user="ann",
    tags=("nightly",),
    model="auto-chat",
    resolved=True,
    deployment="ark/glm-4.7",
    usage=Usage(100, 20),
    cost=5_000,
    ttft_ms=80.0,
    total_ms=900.0,
)


@pytest.fixture
def book(dynamodb_client: DynamoDB, usage_table: str) -> UsageWriter:
    return UsageWriter(dynamodb_client, usage_table, days=90)


@pytest.fixture
def reader(dynamodb_client: DynamoDB, usage_table: str) -> UsageReader:
    return UsageReader(dynamodb_client, usage_table)


@pytest.fixture
def keeper(book: UsageWriter, time: Time, aside: Aside) -> UsageRecorder:
    return UsageRecorder(book, time.clock, spawn=aside)


@dataclass
class Debt:
    """A settlement whose ledger is in trouble, or not."""

    faults: list[Exception] = field(default_factory=list)
    settled: int = 0

    def settle(self) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.settled += 1


@pytest.fixture
def stream(dynamodb_client: DynamoDB, usage_table: str, ledger_table: str) -> Stream:
    return Stream(dynamodb_client, usage_table, ledger_table)


def sums(reader: UsageReader, kind: str) -> dict[str, dict[str, int]]:
    """Return the sums of a kind's totals, by name."""
    found: dict[str, dict[str, int]] = {}
    for total in reader.totals(kind, date(2027, 1, 1), date(2027, 1, 31)):
        into = found.setdefault(total.name, {})
        for counter in (*COUNTERS, *HISTOGRAM_COUNTERS):
            into[counter] = into.get(counter, 0) + total[counter]
    return found


def test_a_request_is_a_row_and_its_share_of_every_total(
    book: UsageWriter, reader: UsageReader, stream: Stream, wire: Wire
) -> None:
    assert book.write(RECORD)
    assert wire.took() == ["PutItem"], "callers' environments write nothing else"
    assert reader.request("request-1") == RECORD
    stream.deliver_all()
    expected = dict.fromkeys((*COUNTERS, *HISTOGRAM_COUNTERS), 0) | RECORD.counters()
    assert sums(reader, "all") == {"": expected}
    names = {"key": "laptop", "team": "red", "model": "auto-chat", "deployment": "ark/glm-4.7", "user": "ann"}
    names["tag"] = "nightly"
    assert {kind: sums(reader, kind) for kind in names} == {kind: {name: expected} for kind, name in names.items()}
    [hour] = reader.totals("all", DAY, DAY)
    assert (hour.at, hour.ttft_ms) == ("2027-01-15T08", 80.0)
    [day] = reader.totals("model", DAY, DAY)
    assert (day.at, day.name) == ("2027-01-15", "auto-chat")


def test_a_request_is_booked_once(book: UsageWriter, reader: UsageReader, stream: Stream) -> None:
    assert [book.write(RECORD) for _ in range(3)] == [True, False, False]
    stream.deliver_all()
    assert sums(reader, "all")[""]["requests"] == 1


def test_a_row_is_written_once_its_ledgers_are_settled(book: UsageWriter, reader: UsageReader) -> None:
    debt = Debt([ClientError({"Error": {"Code": "ThrottlingException"}}, "UpdateItem"), LedgerBusyError("busy")])
    with pytest.raises(ClientError):
        book.write(RECORD, debt)
    with pytest.raises(NotRecordedError) as busy:
        book.write(RECORD, debt)
    assert not busy.value.hopeless
    assert reader.request("request-1") is None
    assert book.write(RECORD, debt)
    assert (debt.settled, reader.request("request-1")) == (1, RECORD)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(CorruptRowError("spent is not text"), id="corrupt"),
        pytest.param(ClientError({"Error": {"Code": "ValidationException"}}, "UpdateItem"), id="rejected"),
    ],
)
def test_a_row_is_booked_without_a_corrupt_ledger(book: UsageWriter, reader: UsageReader, fault: Exception) -> None:
    assert book.write(RECORD, Debt([fault]))
    assert reader.request("request-1") == RECORD


def test_a_record_that_dynamodb_rejects_is_hopeless(book: UsageWriter, wire: Wire) -> None:
    wire.faults = [ClientError({"Error": {"Code": "ValidationException"}}, "PutItem")]
    for record in (RECORD, replace(RECORD, user="\ud800")):
        with pytest.raises(NotRecordedError) as reported:
            book.write(record)
        assert reported.value.hopeless


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
def test_a_failed_booking_waits_and_is_retried_with_later_requests(
    keeper: UsageRecorder,
    reader: UsageReader,
    stream: Stream,
    wire: Wire,
    time: Time,
    aside: Aside,
    outage: Exception,
) -> None:
    wire.fault = outage
    for number in range(5):
        keeper.book(replace(RECORD, request_id=f"lost-{number}"))
    assert wire.took() == ["PutItem"], "nobody pays for the outage but the first"
    assert keeper.waiting == 5
    time.advance(3)
    keeper.book(replace(RECORD, request_id="aside"))
    assert wire.took() == []
    aside.do()
    assert (wire.took(), keeper.waiting) == (["PutItem"], 6)
    wire.fault = None
    time.advance(3)
    keeper.book(replace(RECORD, request_id="last"))
    aside.do()
    assert keeper.waiting == 0
    stream.deliver_all()
    assert sums(reader, "all")[""]["requests"] == 7


def test_waiting_requests_are_booked_after_an_outage(
    keeper: UsageRecorder, reader: UsageReader, wire: Wire, time: Time, aside: Aside
) -> None:
    wire.faults = [OUTAGES["refused"]]
    keeper.book(RECORD)
    time.advance(3600)
    keeper.book(replace(RECORD, request_id="later"))
    aside.do()
    assert keeper.waiting == 0
    assert len(all_pages(reader, Filter(key="laptop"), 9)) == 2


def test_waiting_requests_are_bounded_and_dropped_ones_are_logged(
    keeper: UsageRecorder, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    wire.fault = OUTAGES["refused"]
    with caplog.at_level(logging.ERROR):
        for number in range(1_002):
            keeper.book(replace(RECORD, request_id=f"r{number}"))
    assert keeper.waiting == 1_000
    reported = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert [message.split()[4] for message in reported] == ["r0", "r1"]


def test_a_hopeless_record_does_not_block_the_others(
    keeper: UsageRecorder, reader: UsageReader, aside: Aside, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        keeper.book(replace(RECORD, request_id="poison", user="\ud800"))
    assert "poison" in caplog.text
    keeper.book(RECORD)
    assert keeper.waiting == 0
    assert len(all_pages(reader, Filter(key="laptop"), 9)) == 1


def test_a_request_without_a_valid_key_has_no_row(keeper: UsageRecorder, wire: Wire) -> None:
    keeper.book(replace(RECORD, key=None))
    assert wire.took() == []


# --- Reading ---------------------------------------------------------------------------------------------------------


def fill(book: UsageWriter, stream: Stream) -> list[Record]:
    """Book and count a dozen requests over three days, the newest last."""
    records = [
        replace(
            RECORD,
            request_id=f"request-{number:02}",
            started=NOW + number * 6 * 3600,
            key=("laptop", "phone")[number % 2],
            team=None if number % 3 else "red",
            status=500 if number % 4 == 3 else 200,
            error="stream_truncated" if number % 6 == 4 else None,
            fallbacks=number % 2,
        )
        for number in range(12)
    ]
    for record in records:
        book.write(record)
    stream.deliver_all()
    return records


@pytest.fixture(scope="module")
def filled(endpoint: str) -> Iterator[tuple[UsageReader, list[Record]]]:
    """A table with a dozen requests and their records, for tests that write nothing."""
    client = client_of(endpoint)
    table = table_of_usage(client)
    ledgers = table_by_id(client, "ledger")
    yield UsageReader(client, table), fill(UsageWriter(client, table, days=90), Stream(client, table, ledgers))
    client.close()


def all_pages(reader: UsageReader, wanted: Filter, limit: int) -> list[str]:
    found: list[str] = []
    before: str | None = None
    for _ in range(60):
        page = reader.find(wanted, limit=limit, before=before)
        assert len(page.records) <= limit
        found += [record.request_id for record in page.records]
        before = page.next
        if before is None:
            return found
    raise AssertionError("pages without end")


@pytest.mark.parametrize("limit", [1, 3, 50])
@pytest.mark.parametrize(
    ("wanted", "belongs"),
    [
        pytest.param(Filter(), lambda _: True, id="all"),
        pytest.param(Filter(key="phone"), lambda each: each.key == "phone", id="a key"),
        pytest.param(Filter(key="nobody"), lambda _: False, id="a key without any"),
        pytest.param(Filter(team="red"), lambda each: each.team == "red", id="a team"),
        pytest.param(Filter(model="other"), lambda _: False, id="a model without any"),
        pytest.param(Filter(deployment="ark/glm-4.7"), lambda _: True, id="a deployment"),
        pytest.param(Filter(status="ok"), lambda each: not each.failed, id="served"),
        pytest.param(Filter(status="error"), lambda each: each.failed, id="failed"),
        pytest.param(Filter(status="failover"), lambda each: each.failover, id="failed over"),
        pytest.param(
            Filter(first=date(2027, 1, 16), last=date(2027, 1, 16)), lambda e: e.day == "2027-01-16", id="day"
        ),
        pytest.param(Filter(last=date(2027, 1, 16)), lambda each: each.day <= "2027-01-16", id="until a day"),
        pytest.param(
            Filter(key="laptop", first=date(2027, 1, 16), status="ok"),
            lambda each: each.key == "laptop" and each.day >= "2027-01-16" and not each.failed,
            id="several at once",
        ),
    ],
)
def test_pages_list_each_row_once_newest_first(
    filled: tuple[UsageReader, list[Record]], wanted: Filter, belongs: Callable[[Record], bool], limit: int
) -> None:
    reader, records = filled
    assert all_pages(reader, wanted, limit) == [each.request_id for each in reversed(records) if belongs(each)]


def test_days_without_requests_are_skipped(book: UsageWriter, reader: UsageReader, stream: Stream) -> None:
    for year in range(20):
        book.write(replace(RECORD, request_id=f"y{year}", started=NOW - year * 365 * 86_400))
    stream.deliver_all()
    assert all_pages(reader, Filter(), 50) == [f"y{year}" for year in range(20)]


def test_an_empty_table_is_an_empty_page(reader: UsageReader) -> None:
    assert reader.find(Filter()).records == []
    assert reader.find(Filter()).next is None
    assert reader.request("none") is None
    assert reader.totals("all", DAY, DAY) == []


@pytest.mark.parametrize("position", ["x", "????", "eA==", "\u00fc"])
def test_an_invalid_page_position_is_rejected(reader: UsageReader, position: str) -> None:
    with pytest.raises(ValueError, match="position"):
        reader.find(Filter(), before=position)


def test_rows_to_add_up_have_all_that_totals_need(
    book: UsageWriter, reader: UsageReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    tomorrow = replace(RECORD, request_id="tomorrow", started=NOW + 86_400)
    phone = replace(RECORD, request_id="phone", key="phone", status=502, error="x", fallbacks=1, cost=None)
    for record in (RECORD, phone, tomorrow):
        book.write(record)
    found = {each.request_id: each.contributions() for each in reader.records(DAY, DAY)}
    assert found == {each.request_id: each.contributions() for each in (RECORD, phone)}
    assert [each.request_id for each in reader.records(DAY, DAY, ["phone", "nobody"])] == ["phone"]
    assert not list(reader.records(DAY, DAY, []))
    monkeypatch.setattr("vibe_router.store.usage.MAX_ROWS", 1)
    with pytest.raises(TooMuchError):
        list(reader.records(DAY, DAY))


def test_totals_cover_the_requested_days(book: UsageWriter, reader: UsageReader, stream: Stream) -> None:
    fill(book, stream)
    assert {total.at for total in reader.totals("key", date(2027, 1, 16), date(2027, 1, 17))} == {
        "2027-01-16",
        "2027-01-17",
    }
    hours = reader.totals("all", date(2027, 1, 16), date(2027, 1, 16))
    assert [hour.at for hour in hours] == [f"2027-01-16T{hour:02}" for hour in (2, 8, 14, 20)]
    assert sum(hour["requests"] for hour in hours) == 4


def test_a_corrupt_row_is_left_out(
    book: UsageWriter, reader: UsageReader, stream: Stream, dynamodb_client: DynamoDB, usage_table: str
) -> None:
    records = fill(book, stream)
    broken = to_item({"id": "request#broken", "at": records[5].at, "day": records[5].day, "status": "fine"})
    dynamodb_client.put_item(TableName=usage_table, Item=broken)
    assert len(all_pages(reader, Filter(), 4)) == 12


def test_recent_requests_are_listed_before_they_are_counted(
    book: UsageWriter, dynamodb_client: DynamoDB, usage_table: str, time: Time
) -> None:
    today = UsageReader(dynamodb_client, usage_table, time.clock)
    book.write(replace(RECORD, request_id="now"))
    book.write(replace(RECORD, request_id="last night", started=NOW - 12 * 3600))
    assert all_pages(today, Filter(), 1) == ["now", "last night"]


def test_rows_at_the_same_time_are_listed_once(book: UsageWriter, reader: UsageReader, stream: Stream) -> None:
    names = [f"request-{number:02}" for number in range(40)]
    for name in names:
        book.write(replace(RECORD, request_id=name))
    stream.deliver_all()
    for limit in (3, 40):
        assert all_pages(reader, Filter(), limit) == sorted(names, reverse=True)


def test_rows_of_earlier_releases_are_read(
    book: UsageWriter, reader: UsageReader, stream: Stream, dynamodb_client: DynamoDB, usage_table: str
) -> None:
    old = replace(RECORD, request_id="old", started=NOW - 60)
    dynamodb_client.put_item(TableName=usage_table, Item=to_item({**old.as_row(90), "day": old.day}))
    for kind, at in (("all", "2027-01-15T07#3"), ("model", "2027-01-15#auto-chat#3")):
        total = to_item({"id": f"totals#{kind}", "at": at, "requests": 1, "cost": 5_000})
        dynamodb_client.put_item(TableName=usage_table, Item=total)
    book.write(RECORD)
    stream.deliver_all()
    assert all_pages(reader, Filter(), 50) == ["request-1", "old"]
    for expected in (True, False):
        assert sums(reader, "model")["auto-chat"]["requests"] == 2, "the old row was counted when it was written"
        assert [total.at for total in reader.totals("all", DAY, DAY)] == ["2027-01-15T07", "2027-01-15T08"]
        assert move_totals(dynamodb_client, usage_table) == (2 if expected else 0)

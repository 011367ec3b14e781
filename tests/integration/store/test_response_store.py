"""The ResponsesTable: records are returned whole, to their owner, until they expire."""

import base64
import random
import string
import tracemalloc
import zlib

import pytest

from tests.unit.store.fakes import Aside, Time
from vibe_router.store.dynamodb import DynamoDB
from vibe_router.store.responses import MAX_RECORD_BYTES, Owner, ResponseStore, ResponsesUnavailableError, StoredRecord

MINE, OTHERS = Owner("a" * 64, "blue"), Owner("b" * 64)
SMALL = b'{"response":{}}'
# Letters at random compress to three quarters: more than one item holds.
LARGE = "".join(random.Random(1).choices(string.ascii_letters, k=1_500_000)).encode()  # noqa: S311 - no secret


@pytest.fixture
def store(dynamodb_client: DynamoDB, responses_table: str, time: Time, aside: Aside) -> ResponseStore:
    return ResponseStore(dynamodb_client, responses_table, time.clock, days=30, spawn=aside)


@pytest.mark.parametrize(
    ("record", "parts"), [pytest.param(SMALL, 1, id="in one item"), pytest.param(LARGE, 3, id="split over items")]
)
def test_a_record_is_read_as_written(
    store: ResponseStore, dynamodb_client: DynamoDB, responses_table: str, time: Time, record: bytes, parts: int
) -> None:
    assert store.write("resp_1", MINE, record)
    assert store.read("resp_1") == StoredRecord(MINE, record)
    pages = dynamodb_client.pages("Scan", TableName=responses_table)
    items = [item for page in pages for item in page["Items"]]
    assert sorted(int(item["part"]["N"]) for item in items) == list(range(parts))
    assert all(len(base64.b64decode(item["data"]["B"])) <= 380_000 for item in items)
    assert {int(item["expires_at"]["N"]) for item in items} == {int(time.clock.now()) + 30 * 86_400}


def test_records_are_compressed(store: ResponseStore, dynamodb_client: DynamoDB, responses_table: str) -> None:
    assert store.write("resp_1", MINE, b"again and " * 100_000)
    (item,) = dynamodb_client.scan(TableName=responses_table)["Items"]
    assert len(item["data"]["B"]) < 10_000


def test_a_missing_record_is_read_as_none(store: ResponseStore) -> None:
    assert store.read("resp_1") is None


def test_an_expired_record_is_absent_before_dynamodb_deletes_it(store: ResponseStore, time: Time) -> None:
    store.write("resp_1", MINE, SMALL)
    time.now += 30 * 86_400 + 1
    assert store.read("resp_1") is None


def test_a_shorter_record_replaces_a_longer_one(store: ResponseStore) -> None:
    store.write("resp_1", MINE, LARGE)
    store.write("resp_1", MINE, SMALL)
    assert store.read("resp_1") == StoredRecord(MINE, SMALL)


def test_another_owners_record_is_not_overwritten(store: ResponseStore) -> None:
    store.write("resp_1", MINE, SMALL)
    assert not store.write("resp_1", OTHERS, LARGE)
    assert store.read("resp_1") == StoredRecord(MINE, SMALL)


def test_a_record_with_a_missing_part_is_absent(
    store: ResponseStore, dynamodb_client: DynamoDB, responses_table: str
) -> None:
    store.write("resp_1", MINE, LARGE)
    dynamodb_client.delete_item(TableName=responses_table, Key={"id": {"S": "resp_1"}, "part": {"N": "1"}})
    assert store.read("resp_1") is None


def test_delete_removes_every_part(store: ResponseStore, dynamodb_client: DynamoDB, responses_table: str) -> None:
    store.write("resp_1", MINE, LARGE)
    store.delete("resp_1")
    assert dynamodb_client.scan(TableName=responses_table)["Count"] == 0


def test_during_an_outage_writes_return_false_and_reads_raise(
    dynamodb_client: DynamoDB, responses_table: str, time: Time, aside: Aside
) -> None:
    store = ResponseStore(dynamodb_client, "not-there", time.clock, days=30, spawn=aside)
    assert not store.write("resp_1", MINE, SMALL)
    with pytest.raises(ResponsesUnavailableError):
        store.read("resp_1")
    with pytest.raises(ResponsesUnavailableError):
        store.delete("resp_1")


BRACKETS = b"[" + b"[]," * 1_000_000 + b"[]]"


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(b"x" * (MAX_RECORD_BYTES + 1), id="too long"),
        pytest.param(BRACKETS, id="too many arrays"),
        pytest.param(b"{}," * 1_000_000, id="too many objects"),
        pytest.param(b"1," * 2_000_000, id="too many numbers"),
    ],
)
def test_a_record_that_would_fill_the_memory_is_neither_stored_nor_read(
    store: ResponseStore, dynamodb_client: DynamoDB, responses_table: str, record: bytes
) -> None:
    assert not store.write("resp_1", MINE, record)
    store.write("resp_1", MINE, SMALL)
    (item,) = dynamodb_client.scan(TableName=responses_table)["Items"]
    dynamodb_client.put_item(TableName=responses_table, Item={**item, "data": {"B": zlib.compress(record)}})
    assert store.read("resp_1") is None


def test_a_bomb_is_decompressed_up_to_the_limit_only(
    store: ResponseStore, dynamodb_client: DynamoDB, responses_table: str
) -> None:
    store.write("resp_1", MINE, SMALL)
    (item,) = dynamodb_client.scan(TableName=responses_table)["Items"]
    bomb = zlib.compress(b" " * 200 * 1024 * 1024)
    dynamodb_client.put_item(TableName=responses_table, Item={**item, "data": {"B": bomb}})
    tracemalloc.start()
    try:
        assert store.read("resp_1") is None
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_RECORD_BYTES
    finally:
        tracemalloc.stop()


def test_a_long_conversation_in_prose_is_stored(store: ResponseStore) -> None:
    prose = b"The quick brown fox, we read, jumps over the lazy dog; {so} they [say]. " * 120_000
    assert len(prose) > 8_000_000
    assert store.write("resp_1", MINE, prose)

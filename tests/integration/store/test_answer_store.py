"""The CacheTable: answers are read as written until they expire, and no failure of it is one of a request."""

import random
import string
import zlib

import pytest

from tests.unit.store.fakes import OUTAGES, Aside, Time, Wire
from vibe_router.store.answers import MOST_BYTES, AnswerStore
from vibe_router.store.circuit_breaker import CircuitBreaker
from vibe_router.store.dynamodb import DynamoDB

ANSWER = b'{"usage":{}}\n{"choices":[]}'


@pytest.fixture
def store(dynamodb_client: DynamoDB, cache_table: str, time: Time, aside: Aside) -> AnswerStore:
    return AnswerStore(dynamodb_client, cache_table, time.clock, spawn=aside)


def test_an_answer_is_read_as_written_until_it_expires(store: AnswerStore, time: Time) -> None:
    assert store.read("a") is None
    assert store.write("a", ANSWER, 60)
    found = store.read("a")
    assert found is not None
    assert (found.data, found.created) == (ANSWER, int(time.now))
    assert store.read("b") is None
    time.advance(60)
    assert store.read("a") is None, "before DynamoDB deletes it"


def test_answers_are_compressed_and_expire(
    store: AnswerStore, dynamodb_client: DynamoDB, cache_table: str, time: Time
) -> None:
    assert store.write("a", b"again and " * 100_000, 3600)
    (item,) = dynamodb_client.scan(TableName=cache_table)["Items"]
    assert set(item) == {"id", "data", "created", "expires_at"}
    assert len(item["data"]["B"]) < 10_000
    assert int(item["expires_at"]["N"]) == int(time.now) + 3600


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b" " * (MOST_BYTES + 1), id="as it is"),
        pytest.param("".join(random.Random(1).choices(string.ascii_letters, k=600_000)).encode(), id="compressed"),  # noqa: S311 - no secret
    ],
)
def test_an_answer_that_is_too_large_is_not_stored(store: AnswerStore, data: bytes) -> None:
    assert not store.write("a", data, 60)
    assert store.read("a") is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"B": b"junk"}, id="no compressed data"),
        pytest.param({"B": zlib.compress(ANSWER)[:-4]}, id="cut"),
        pytest.param({"B": zlib.compress(b" " * (MOST_BYTES + 2))}, id="a bomb"),
        pytest.param({"S": "text"}, id="of another type"),
        pytest.param(None, id="missing"),
    ],
)
def test_a_corrupt_item_is_missing(
    store: AnswerStore, dynamodb_client: DynamoDB, cache_table: str, time: Time, data: dict[str, object] | None
) -> None:
    item = {"id": {"S": "a"}, "created": {"N": "1"}, "expires_at": {"N": str(int(time.now) + 60)}}
    dynamodb_client.put_item(TableName=cache_table, Item={**item, **({"data": data} if data else {})})
    assert store.read("a") is None


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
def test_an_outage_costs_one_caller_a_call_and_nobody_an_error(
    dynamodb_client: DynamoDB, cache_table: str, time: Time, aside: Aside, outage: Exception
) -> None:
    service = CircuitBreaker("DynamoDB", time.clock)
    store = AnswerStore(dynamodb_client, cache_table, time.clock, spawn=aside, service=service)
    store.write("a", ANSWER, 3600)
    wire = Wire(dynamodb_client)
    wire.fault = outage
    assert store.read("a") is None
    assert store.read("a") is None
    store.write("b", ANSWER, 3600)
    assert wire.took() == ["GetItem"]
    wire.fault = None
    time.advance(3)
    assert store.read("a") is None, "a probe runs in the background"
    aside.do()
    assert store.read("a") is not None

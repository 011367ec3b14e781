"""The stream of a table of the development stack: what is recorded, and how a function gets it."""

import asyncio
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from local import streams
from local.aws_protocol import StreamReader
from local.dynamodb.database import Database
from local.dynamodb.operations import DynamoDB
from local.template import read_template

TABLE = {
    "TableName": "usage",
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
}
ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/usage/stream/local"


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(tmp_path / "tables.sqlite")
    database.create(TABLE)
    database.create({**TABLE, "TableName": "other"})
    database.record_changes("usage")
    return database


def put(database: Database, name: str, table: str = "usage", **attributes: dict[str, str]) -> None:
    DynamoDB(database).call("PutItem", {"TableName": table, "Item": {"id": {"S": name}, **attributes}})


def test_changes_of_a_table_are_recorded_until_they_are_read(database: Database) -> None:
    put(database, "a")
    put(database, "a", cost={"N": "5"})
    put(database, "b", table="other")
    DynamoDB(database).call("DeleteItem", {"TableName": "usage", "Key": {"id": {"S": "a"}}})
    changes = database.changes("usage", 10)
    assert [(event, item) for _, event, item in changes] == [
        ("INSERT", {"id": {"S": "a"}}),
        ("MODIFY", {"id": {"S": "a"}, "cost": {"N": "5"}}),
        ("REMOVE", {"id": {"S": "a"}}),
    ]
    assert database.changes("usage", 1) == changes[:1]
    database.forget_changes("usage", changes[1][0])
    assert database.changes("usage", 10) == changes[2:]
    database.forget_changes("usage", changes[2][0])
    put(database, "c")
    assert database.changes("usage", 10)[0][0] > changes[2][0], "no sequence number comes twice"


def test_changes_that_are_rolled_back_are_not_recorded(database: Database) -> None:
    with suppress(RuntimeError), database.transaction():
        put(database, "a")
        raise RuntimeError
    assert database.changes("usage", 10) == []


def test_an_event_has_the_form_that_lambda_documents(database: Database) -> None:
    put(database, "a")
    event = streams.stream_event(ARN, database.tables["usage"].key_of, database.changes("usage", 10))
    (record,) = event["Records"]
    assert (event["shardId"], event["eventSourceARN"], record["eventName"]) == (streams.SHARD, ARN, "INSERT")
    assert record["dynamodb"] == {
        "Keys": {"id": {"S": "a"}},
        "NewImage": {"id": {"S": "a"}},
        "SequenceNumber": f"{1:021}",
        "StreamViewType": "NEW_IMAGE",
    }


def read(
    database: Database, monkeypatch: pytest.MonkeyPatch, handler: Callable[..., Any], until: int, lanes: int = 1
) -> None:
    """Let a handler read the stream until it has been called so often."""
    calls = 0
    enough = asyncio.Event()
    loop = asyncio.new_event_loop()

    def called(event: Any, context: None) -> Any:
        nonlocal calls
        calls += 1
        try:
            return handler(event)
        finally:
            if calls >= until:
                loop.call_soon_threadsafe(enough.set)

    module = ModuleType("reader_of_a_test")
    module.handler = called  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(streams, "_POLL_SECONDS", 0.001)

    async def run() -> None:
        reading = asyncio.create_task(
            streams.read_stream(database, StreamReader("usage", ARN, f"{module.__name__}.handler", [], {}, lanes))
        )
        await enough.wait()
        for _ in range(3):
            await asyncio.sleep(0.01)
        reading.cancel()

    loop.run_until_complete(run())
    loop.close()


def test_a_batch_that_fails_is_sent_again_from_where_it_failed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        put(database, name)
    seen: list[list[str]] = []

    def handler(event: Any) -> Any:
        sequences = [each["dynamodb"]["SequenceNumber"] for each in event["Records"]]
        seen.append([each["dynamodb"]["NewImage"]["id"]["S"] for each in event["Records"]])
        if len(seen) == 1:
            raise RuntimeError("a bug")
        failed = [{"itemIdentifier": sequences[1]}] if len(seen) == 2 else []
        return {"state": {}, "batchItemFailures": failed}

    read(database, monkeypatch, handler, until=3)
    assert seen == [["a", "b", "c"], ["a", "b", "c"], ["b", "c"]]
    assert database.changes("usage", 10) == []


def test_a_change_that_is_handled_for_long_does_not_hold_up_the_others(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        put(database, name)
    others_are_done = threading.Barrier(3)
    seen: list[str] = []

    def handler(event: Any) -> Any:
        (record,) = event["Records"]
        name = record["dynamodb"]["NewImage"]["id"]["S"]
        seen.append(name)
        if name == "a" and seen.count("a") == 1:
            raise RuntimeError("a bug")
        others_are_done.wait(10)
        return {}

    read(database, monkeypatch, handler, until=4, lanes=3)
    assert sorted(seen) == ["a", "a", "b", "c"]
    assert database.changes("usage", 10) == []


def test_the_functions_of_the_template_read_their_tables() -> None:
    template = read_template(Path(__file__).parents[3] / "template.yaml")
    readers = {name: function.streams for name, function in template.functions.items() if function.streams}
    assert readers == {"AggregatorFunction": ("vibe-router-usage",), "NotifierFunction": ("vibe-router-alerts",)}
    assert template.functions["NotifierFunction"].lanes == 10

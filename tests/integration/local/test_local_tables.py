"""The embedded tables and their files: moto within this process, and a clock that moves when it is told to."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from local.moto_app import Moto, wsgi_environ
from local.tables import Tables

Json = dict[str, Any]

THINGS: Json = {
    "TableName": "things",
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [
        {"AttributeName": "kind", "AttributeType": "S"},
        {"AttributeName": "number", "AttributeType": "N"},
    ],
    "KeySchema": [
        {"AttributeName": "kind", "KeyType": "HASH"},
        {"AttributeName": "number", "KeyType": "RANGE"},
    ],
}
OTHERS: Json = {
    "TableName": "others",
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
}


class Timer:
    def cancel(self) -> None:
        """Nothing is pending in a test."""


@dataclass
class Dynamo:
    """Tables kept in a directory, from one start to the next."""

    directory: Path
    moto: Moto = field(default_factory=lambda: Moto("us-east-1"))
    complaints: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    due: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.moto.respond(wsgi_environ("POST", "/moto-api/reset", [], b""))
        self.tables = Tables(self.moto.call, self.directory, self._call_later)
        for parameters in (THINGS, OTHERS):
            if self.tables.create(parameters, None, self.complaints.append):
                self.restored.append(parameters["TableName"])

    def _call_later(self, _delay: float, action: Callable[[], None]) -> Timer:
        self.due.append(action)
        return Timer()

    def call(self, operation: str, **parameters: Any) -> Json:
        """Do what a client asks for, as the server does."""
        target = f"DynamoDB_20120810.{operation}"
        answer = self.moto.call("dynamodb", target, parameters)
        self.tables.record(target, json.dumps(parameters).encode())
        return answer

    def items(self, table: str = "things") -> list[Json]:
        found = self.call("Scan", TableName=table, ConsistentRead=True)["Items"]
        return sorted(found, key=json.dumps)

    def restarted(self) -> "Dynamo":
        self.tables.close()
        return Dynamo(self.directory)


@pytest.fixture
def dynamo(tmp_path: Path) -> Dynamo:
    return Dynamo(tmp_path)


def key(number: int) -> Json:
    return {"kind": {"S": "a"}, "number": {"N": str(number)}}


RICH: Json = {
    "map": {"M": {"nested": {"L": [{"N": "1.50"}, {"NULL": True}, {"BOOL": False}]}}},
    "binary": {"B": "AP8="},
    "set": {"SS": ["x", "y"]},
    "text": {"S": "é\U0001f600"},
}


@pytest.mark.parametrize(
    ("operation", "parameters", "left"),
    [
        pytest.param("PutItem", {"TableName": "things", "Item": key(9)}, [1, 2, 9], id="put"),
        pytest.param("DeleteItem", {"TableName": "things", "Key": key(1)}, [2], id="delete"),
        pytest.param(
            "UpdateItem",
            {
                "TableName": "arn:aws:dynamodb:us-east-1:123456789012:table/things",
                "Key": key(3),
                "UpdateExpression": "SET v = :v",
                "ExpressionAttributeValues": {":v": {"S": "x"}},
            },
            [1, 2, 3],
            id="update, of a table by its ARN",
        ),
        pytest.param(
            "BatchWriteItem",
            {"RequestItems": {"things": [{"PutRequest": {"Item": key(4)}}, {"DeleteRequest": {"Key": key(2)}}]}},
            [1, 4],
            id="batch",
        ),
        pytest.param(
            "TransactWriteItems",
            {
                "TransactItems": [
                    {"Put": {"TableName": "things", "Item": key(5)}},
                    {"Delete": {"TableName": "things", "Key": key(1)}},
                    {
                        "ConditionCheck": {
                            "TableName": "things",
                            "Key": key(2),
                            "ConditionExpression": "attribute_exists(kind)",
                        }
                    },
                ]
            },
            [2, 5],
            id="transaction",
        ),
        pytest.param(
            "ExecuteStatement",
            {"Statement": "INSERT INTO \"things\" VALUE {'kind': 'a', 'number': 7}"},
            [1, 2, 7],
            id="PartiQL",
        ),
    ],
)
def test_every_kind_of_write_survives_a_restart(
    dynamo: Dynamo, operation: str, parameters: Json, left: list[int]
) -> None:
    for number in (1, 2):
        dynamo.call("PutItem", TableName="things", Item=key(number) | RICH)
    dynamo = dynamo.restarted()
    dynamo.call(operation, **parameters)
    before = dynamo.items()
    assert sorted(int(item["number"]["N"]) for item in before) == left
    dynamo = dynamo.restarted()
    assert dynamo.items() == before
    assert "things" in dynamo.restored


def test_values_of_every_type_come_back_as_they_were(dynamo: Dynamo) -> None:
    dynamo.call("PutItem", TableName="things", Item=key(1) | RICH)
    assert dynamo.restarted().items() == [key(1) | RICH]


def test_many_items_come_back(dynamo: Dynamo) -> None:
    for start in range(0, 230, 23):
        puts = [{"PutRequest": {"Item": key(number)}} for number in range(start, start + 23)]
        dynamo.call("BatchWriteItem", RequestItems={"things": puts})
    before = dynamo.items()
    assert len(before) == 230
    assert dynamo.restarted().items() == before


def test_the_last_item_deleted_leaves_an_empty_table(dynamo: Dynamo) -> None:
    dynamo.call("PutItem", TableName="things", Item=key(1))
    dynamo = dynamo.restarted()
    dynamo.call("DeleteItem", TableName="things", Key=key(1))
    assert dynamo.restarted().items() == []


def test_a_write_is_saved_by_the_timer_and_reads_are_not(dynamo: Dynamo) -> None:
    dynamo.items()
    assert dynamo.due == []
    dynamo.call("PutItem", TableName="things", Item=key(1))
    (save,) = dynamo.due
    save()
    dynamo.tables.close()
    (path,) = dynamo.directory.iterdir()
    assert (path.name, json.loads(path.read_bytes())) == ("things.json", {"items": [key(1)]})


def test_a_disk_that_is_full_is_told_and_ends_nothing(
    dynamo: Dynamo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_path: Path, _content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("local.tables.write_atomically", full)
    dynamo.call("PutItem", TableName="things", Item=key(1))
    dynamo.tables.close()
    assert "cannot be saved" in capsys.readouterr().err
    assert dynamo.items() == [key(1)]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param('{"items": [', id="cut off"),
        pytest.param("", id="empty"),
        pytest.param('{"items": [{"other": {"S": "x"}}]}', id="items without a key"),
        pytest.param('{"items": [{"kind": {"S": "a"}, "number": {"S": "text"}}]}', id="a key of another type"),
    ],
)
def test_an_unreadable_file_is_set_aside_and_the_rest_restored(tmp_path: Path, content: str) -> None:
    (tmp_path / "things.json").write_text(content, encoding="utf-8")
    (tmp_path / "others.json").write_text('{"items": [{"id": {"S": "kept"}}]}', encoding="utf-8")
    dynamo = Dynamo(tmp_path)
    assert dynamo.items() == []
    assert dynamo.items("others") == [{"id": {"S": "kept"}}]
    assert dynamo.restored == ["others"]
    (complaint,) = dynamo.complaints
    assert "things.json cannot be read" in complaint
    (kept,) = tmp_path.glob("things.json.unreadable-*")
    assert kept.read_text(encoding="utf-8") == content
    assert kept.name in complaint
    dynamo.call("PutItem", TableName="things", Item=key(1))
    assert dynamo.restarted().items() == [key(1)]

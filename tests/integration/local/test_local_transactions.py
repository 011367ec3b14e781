"""A transaction in the embedded AWS does all or nothing, and costs what it touches."""

from typing import Any
from uuid import uuid4

import pytest

from local.moto_app import Moto

PREFIX = "DynamoDB_20120810."


@pytest.fixture
def table() -> str:
    return f"usage-{uuid4()}"


@pytest.fixture
def moto(table: str) -> Moto:
    moto = Moto("us-east-1")
    attributes = [{"AttributeName": each, "AttributeType": "S"} for each in ("id", "at")]
    keys = [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}]
    call(
        moto,
        "CreateTable",
        TableName=table,
        KeySchema=keys,
        AttributeDefinitions=attributes,
        BillingMode="PAY_PER_REQUEST",
    )
    return moto


def call(moto: Moto, operation: str, **parameters: Any) -> dict[str, Any]:
    return moto.call("dynamodb", PREFIX + operation, parameters)


def put(table: str, name: str, *, condition: bool = True) -> dict[str, Any]:
    item = {"id": {"S": name}, "at": {"S": "1"}, "n": {"N": "1"}}
    return {
        "Put": {
            "TableName": table,
            "Item": item,
            **({"ConditionExpression": "attribute_not_exists(id)"} if condition else {}),
        }
    }


def add(table: str, name: str) -> dict[str, Any]:
    return {
        "Update": {
            "TableName": table,
            "Key": {"id": {"S": name}, "at": {"S": "1"}},
            "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
    }


def standing(moto: Moto, table: str) -> dict[str, str]:
    return {item["id"]["S"]: item["n"]["N"] for item in call(moto, "Scan", TableName=table)["Items"]}


def test_all_is_written_or_nothing(moto: Moto, table: str) -> None:
    call(moto, "TransactWriteItems", TransactItems=[put(table, "row-1"), add(table, "total")])
    assert standing(moto, table) == {"row-1": "1", "total": "1"}
    # What comes before the failure is taken back: of what stood, of what did not, and what was only counted up.
    actions = [put(table, "row-2"), add(table, "total"), add(table, "new-total"), put(table, "row-1")]
    with pytest.raises(RuntimeError, match="TransactionCanceled"):
        call(moto, "TransactWriteItems", TransactItems=actions)
    assert standing(moto, table) == {"row-1": "1", "total": "1"}
    call(moto, "TransactWriteItems", TransactItems=[put(table, "row-2"), add(table, "total")])
    assert standing(moto, table) == {"row-1": "1", "row-2": "1", "total": "2"}


def test_a_full_table_makes_no_transaction_copy_it(moto: Moto, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise AssertionError("a table was copied")

    monkeypatch.setattr("moto.dynamodb.models.table.Table.__deepcopy__", fail, raising=False)
    call(moto, "TransactWriteItems", TransactItems=[put(table, "row-1"), add(table, "total")])
    assert standing(moto, table) == {"row-1": "1", "total": "1"}

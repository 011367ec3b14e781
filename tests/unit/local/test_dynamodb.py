"""The rules of the embedded DynamoDB that the store's tests, which run on it too, do not reach."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.dynamodb.database import Database
from local.dynamodb.operations import DynamoDB, DynamoDBError
from local.dynamodb.values import key_bytes

TABLE = {
    "TableName": "t",
    "AttributeDefinitions": [
        {"AttributeName": "id", "AttributeType": "S"},
        {"AttributeName": "at", "AttributeType": "N"},
        {"AttributeName": "by", "AttributeType": "S"},
    ],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by",
            "KeySchema": [{"AttributeName": "by", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a"]},
        }
    ],
}
KEY = {"id": {"S": "x"}, "at": {"N": "1"}}


@pytest.fixture
def dynamodb() -> DynamoDB:
    database = Database(":memory:")
    database.create(TABLE)
    return DynamoDB(database)


def put(dynamodb: DynamoDB, at: str = "1", **attributes: Any) -> None:
    dynamodb.call("PutItem", {"TableName": "t", "Item": {"id": {"S": "x"}, "at": {"N": at}, **attributes}})


def updated(dynamodb: DynamoDB, expression: str, **parameters: Any) -> Any:
    asked = {"TableName": "t", "Key": KEY, "UpdateExpression": expression, "ReturnValues": "ALL_NEW", **parameters}
    attributes = dynamodb.call("UpdateItem", asked)["Attributes"]
    return {name: value for name, value in attributes.items() if name not in KEY}


@pytest.mark.parametrize(
    ("expression", "values", "after"),
    [
        ("SET a = :v", {":v": {"S": "new"}}, {"S": "new"}),
        ("SET a = a + :v", {":v": {"N": "0.1"}}, {"N": "1.1"}),
        ("SET a = if_not_exists(b, :v) - a", {":v": {"N": "5"}}, {"N": "4"}),
        ("ADD a :v", {":v": {"N": "12345678901234567890123456789"}}, {"N": "12345678901234567890123456790"}),
        ("REMOVE a", {}, None),
        ("SET a = list_append(:v, :v)", {":v": {"L": [{"N": "1"}]}}, {"L": [{"N": "1"}, {"N": "1"}]}),
    ],
)
def test_updates(dynamodb: DynamoDB, expression: str, values: Any, after: Any) -> None:
    put(dynamodb, a={"N": "1"})
    found = updated(dynamodb, expression, **({"ExpressionAttributeValues": values} if values else {}))
    assert found.get("a") == after


@pytest.mark.parametrize(
    "value",
    ["9" * 39, "1" + "0" * 126, "1e126", "1e-131", "nan", "infinity", "", "1" * 5000, "x"],
)
def test_a_number_outside_dynamodbs_range_is_rejected(dynamodb: DynamoDB, value: str) -> None:
    with pytest.raises(DynamoDBError) as error:
        put(dynamodb, a={"N": value})
    assert error.value.code == "ValidationException"


def test_a_sum_with_too_many_digits_is_rejected(dynamodb: DynamoDB) -> None:
    put(dynamodb, a={"N": "9" * 38})
    with pytest.raises(DynamoDBError, match="38 significant digits"):
        updated(dynamodb, "ADD a :v", ExpressionAttributeValues={":v": {"N": "0.1"}})


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({"UpdateExpression": "SET a"}, id="syntax"),
        pytest.param({"UpdateExpression": "SET a = :missing"}, id="an undefined value"),
        pytest.param({"UpdateExpression": "SET #missing = a"}, id="an undefined name"),
        pytest.param({"UpdateExpression": "SET a = b"}, id="a missing attribute"),
        pytest.param({"UpdateExpression": "REMOVE id"}, id="a key"),
        pytest.param({"UpdateExpression": "REMOVE a, a.b"}, id="overlapping paths"),
        pytest.param({"UpdateExpression": "SET b.c = a"}, id="a path into nothing"),
        pytest.param({"UpdateExpression": "REMOVE a", "ExpressionAttributeNames": {"#x": "x"}}, id="an unused name"),
        pytest.param({"Key": {"id": {"S": "x"}}, "UpdateExpression": "REMOVE a"}, id="half a key"),
        pytest.param({"Key": {**KEY, "id": {"S": ""}}, "UpdateExpression": "REMOVE a"}, id="an empty key"),
        pytest.param({"TableName": None}, id="no table"),
    ],
)
def test_an_invalid_update_is_rejected_and_changes_nothing(dynamodb: DynamoDB, parameters: Any) -> None:
    put(dynamodb, a={"N": "1"})
    with pytest.raises(DynamoDBError):
        dynamodb.call("UpdateItem", {"TableName": "t", "Key": KEY, **parameters})
    assert dynamodb.call("GetItem", {"TableName": "t", "Key": KEY})["Item"]["a"] == {"N": "1"}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("attribute_exists(a) AND NOT a > :one", True),
        ("a BETWEEN :zero AND :one", True),
        ("a IN (:zero, :one)", True),
        ("contains(s, :text) OR a = :zero", True),
        ("begins_with(s, :text)", True),
        ("size(s) > :one", True),
        ("a <> :one", False),
        ("a < :text", False),
        ("missing = :one", False),
        ("missing <> :one", True),
        ("attribute_type(a, :type)", True),
    ],
)
def test_conditions(dynamodb: DynamoDB, condition: str, holds: bool) -> None:
    put(dynamodb, a={"N": "1.0"}, s={"S": "text!"})
    values = {":zero": {"N": "0"}, ":one": {"N": "1"}, ":text": {"S": "text"}, ":type": {"S": "N"}}
    used = {name: value for name, value in values.items() if name in condition}
    asked = {"TableName": "t", "Key": KEY, "ConditionExpression": condition}
    asked |= {"ExpressionAttributeValues": used} if used else {}
    if holds:
        dynamodb.call("DeleteItem", asked)
        return
    with pytest.raises(DynamoDBError) as error:
        dynamodb.call("DeleteItem", {**asked, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"})
    assert error.value.code == "ConditionalCheckFailedException"
    assert error.value.fields["Item"]["a"] == {"N": "1.0"}


def test_a_cancelled_transaction_changes_nothing(dynamodb: DynamoDB) -> None:
    put(dynamodb)
    actions = [
        {"Update": {"TableName": "t", "Key": {**KEY, "at": {"N": "2"}}, "UpdateExpression": "SET a = at"}},
        {"ConditionCheck": {"TableName": "t", "Key": KEY, "ConditionExpression": "attribute_not_exists(id)"}},
    ]
    with pytest.raises(DynamoDBError) as error:
        dynamodb.call("TransactWriteItems", {"TransactItems": actions})
    reasons = error.value.fields["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None", "ConditionalCheckFailed"]
    assert dynamodb.call("Scan", {"TableName": "t"})["Count"] == 1


def test_a_transaction_is_applied_once_for_each_token(dynamodb: DynamoDB) -> None:
    one = {":one": {"N": "1"}}
    add = {"TableName": "t", "Key": KEY, "UpdateExpression": "ADD a :one", "ExpressionAttributeValues": one}
    for _ in range(2):
        dynamodb.call("TransactWriteItems", {"TransactItems": [{"Update": add}], "ClientRequestToken": "t"})
    assert dynamodb.call("GetItem", {"TableName": "t", "Key": KEY})["Item"]["a"] == {"N": "1"}


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("index", [None, "by"])
def test_pages_of_a_query_have_every_item_once_and_in_order(
    dynamodb: DynamoDB, forward: bool, index: str | None
) -> None:
    numbers = ["-10", "-9.5", "0", "1e-20", "2", "10", "1000"]
    for number in reversed(numbers):
        put(dynamodb, number, by={"S": "x"}, a={"S": "a"}, z={"S": "z"})
    name = "by" if index else "id"
    asked: dict[str, Any] = {
        "TableName": "t",
        "KeyConditionExpression": f"{name} = :x AND #at > :low",
        "ExpressionAttributeNames": {"#at": "at"},
        "ExpressionAttributeValues": {":x": {"S": "x"}, ":low": {"N": "-10"}},
        "Limit": 2,
        "ScanIndexForward": forward,
        **({"IndexName": index} if index else {}),
    }
    found: list[Any] = []
    while True:
        page = dynamodb.call("Query", asked)
        found += page["Items"]
        if "LastEvaluatedKey" not in page:
            break
        asked["ExclusiveStartKey"] = page["LastEvaluatedKey"]
    assert [item["at"]["N"] for item in found] == (numbers[1:] if forward else numbers[:0:-1])
    assert all(("z" in item) == (index is None) for item in found)


@given(st.lists(st.decimals("-1e20", "1e20", places=6)))
def test_number_keys_sort_by_value(values: list[Decimal]) -> None:
    assert sorted(values) == sorted(values, key=lambda value: key_bytes({"N": str(value)}, "N"))


@given(st.dictionaries(st.text(min_size=1), st.text() | st.integers(-(10**37), 10**37)))
def test_an_item_is_returned_as_it_was_stored(attributes: dict[str, str | int]) -> None:
    database = Database(":memory:")
    database.create(TABLE)
    typed = {name: {"S": value} if isinstance(value, str) else {"N": str(value)} for name, value in attributes.items()}
    item = {**typed, **KEY}
    dynamodb = DynamoDB(database)
    if "by" in item and item["by"] != {"S": item["by"].get("S") or None}:
        del item["by"]
    dynamodb.call("PutItem", json.loads(json.dumps({"TableName": "t", "Item": item})))
    assert dynamodb.call("GetItem", {"TableName": "t", "Key": KEY})["Item"] == item

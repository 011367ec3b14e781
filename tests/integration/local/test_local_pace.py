"""A transaction in the embedded AWS does all or nothing, and costs what it touches; what is mended for its pace alone
does what moto's own does: an ADD, and how an item is told.
"""

from base64 import b64encode
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends

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


VALUES = st.one_of(
    st.integers(-(10**15), 10**15).map(lambda n: {"N": str(n)}),
    st.decimals(-1000, 1000, places=3).map(lambda n: {"N": str(n)}),
    st.just({"S": "text"}),
    st.just({"NS": ["1", "2"]}),
)
NAMES = st.sampled_from(["id", "a", "b", "c", "d"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.none() | st.dictionaries(NAMES, VALUES), added=st.lists(st.tuples(NAMES, VALUES), min_size=1))
@example(before={"a": {"N": "1"}}, added=[("a", {"N": "2"}), ("a", {"N": "3"})])
@example(before=None, added=[("a", {"N": "2"}), ("b", {"N": "0.5"})])
def test_an_addition_is_the_one_that_moto_makes(
    moto: Moto, table: str, before: dict[str, Any] | None, added: list[tuple[str, Any]]
) -> None:
    mended = DynamoDBBackend.update_item
    original: Callable[..., Any] = mended.__wrapped__  # type: ignore[attr-defined]  # what functools.wraps keeps
    assert outcome(mended, table, before, added) == outcome(original, table, before, added)


def outcome(update: Callable[..., Any], table: str, before: dict[str, Any] | None, added: list[tuple[str, Any]]) -> Any:
    """Return how the item looks after the additions to it, and how they failed."""
    backend = dynamodb_backends["123456789012"]["us-east-1"]
    key = {"id": {"S": uuid4().hex}, "at": {"S": "1"}}
    if before is not None:
        backend.put_item(table, {**before, **key})
    try:
        update(
            backend,
            table,
            key,
            update_expression="ADD " + ", ".join(f"#{index} :{index}" for index, _ in enumerate(added)),
            expression_attribute_names={f"#{index}": name for index, (name, _) in enumerate(added)},
            expression_attribute_values={f":{index}": value for index, (_, value) in enumerate(added)},
            condition_expression=None,
        )
    except Exception as error:  # noqa: BLE001 - whatever moto raises
        failure: object = type(error)
    else:
        failure = None
    item = backend.get_item(table, key)
    attributes = item.to_json()["Attributes"] if item else {}
    return failure, {name: value for name, value in attributes.items() if name != "id"}


SAID = st.recursive(
    st.one_of(
        VALUES,
        st.text().map(lambda text: {"S": text}),
        st.booleans().map(lambda said: {"BOOL": said}),
        st.just({"NULL": True}),
        st.binary(min_size=1).map(lambda data: {"B": b64encode(data).decode()}),
        st.lists(st.text(min_size=1), min_size=1, unique=True).map(lambda texts: {"SS": texts}),
    ),
    lambda said: st.one_of(
        st.lists(said, max_size=3).map(lambda values: {"L": values}),
        st.dictionaries(st.text(min_size=1), said, max_size=3).map(lambda values: {"M": values}),
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.dictionaries(NAMES.filter(lambda name: name != "id"), SAID))
def test_an_item_is_told_as_moto_tells_it(moto: Moto, table: str, said: dict[str, Any]) -> None:
    key = {"id": {"S": "it"}, "at": {"S": "1"}}
    call(moto, "PutItem", TableName=table, Item={**said, **key})
    mended: Any = BaseJSONSerializer._serialize_type_structure
    told = call(moto, "GetItem", TableName=table, Key=key)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseJSONSerializer, "_serialize_type_structure", mended.__wrapped__)
        assert call(moto, "GetItem", TableName=table, Key=key) == told

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.store.fakes import Time, Wire
from tests.unit.store.hooks import hooked
from vibe_cli.routes_file import load_file
from vibe_router.routing.changes import rows_of
from vibe_router.routing.spec import resolve
from vibe_router.store.aws_errors import ClientError
from vibe_router.store.dynamodb import DynamoDB, to_item
from vibe_router.store.routes import CatalogueCache, RoutesChangedError, RoutesSnapshot, RoutesStore, RowKey

ROUTES = Path(__file__).parents[3] / "routes.yaml"
ARK = {"base_url": "https://ark.example/v3", "secret": "ARK_API_KEY"}


@pytest.fixture
def store(dynamodb_client: DynamoDB, routes_table: str) -> RoutesStore:
    return RoutesStore(dynamodb_client, routes_table)


def model(**attributes: Any) -> dict[str, Any]:
    return {"chain": [{"provider": "ark", "model": "glm"}], **attributes}


def test_an_empty_table_has_no_rows(store: RoutesStore) -> None:
    assert store.read() == {}


def test_the_shipped_routes_are_the_same_from_file_and_table(store: RoutesStore, time: Time) -> None:
    spec = load_file(ROUTES, {})
    store.write(rows_of(spec), store.read())
    assert store.read() == rows_of(spec)
    catalogue = CatalogueCache(store.read, time.clock).get()
    assert catalogue == resolve(spec)[0]
    assert len(catalogue.models) == 6


def test_only_differences_are_written_in_one_transaction(store: RoutesStore, wire: Wire) -> None:
    before: dict[RowKey, Mapping[str, Any]] = {
        ("provider", "ark"): ARK,
        ("model", "stays"): model(),
        ("model", "changes"): model(description="before"),
        ("model", "goes"): model(),
        ("defaults", "defaults"): {"retries": 2},
    }
    store.write(before, {})
    after = before | {("model", "changes"): model(description="after"), ("model", "comes"): model(weight=2)}
    del after["model", "goes"], after["defaults", "defaults"]
    sent: list[Any] = []
    hooked(store.client).before.append(lambda _, parameters: sent.append(parameters["TransactItems"]))
    wire.took()
    store.write(after, before)
    assert wire.took() == ["TransactWriteItems"]
    assert sorted(next(iter(each)) for each in sent[0]) == ["Delete", "Delete", "Put", "Put", "Update"]
    hooked(store.client).before.clear()
    assert store.read() == after


def test_unchanged_routes_write_nothing(store: RoutesStore, wire: Wire) -> None:
    store.write({("provider", "ark"): ARK}, {("provider", "ark"): ARK})
    assert wire.took() == []


def test_rows_of_unknown_kinds_and_the_ttl_attribute_stay(
    store: RoutesStore, dynamodb_client: DynamoDB, routes_table: str
) -> None:
    items: list[dict[str, Any]] = [
        {"kind": "history", "name": "1", "of": "x"},
        {"kind": "provider", "name": "ark", "expires_at": 9, **ARK},
    ]
    for item in items:
        dynamodb_client.put_item(TableName=routes_table, Item=to_item(item))
    rows = store.read()
    assert rows == {("history", "1"): {"of": "x"}, ("provider", "ark"): ARK}
    store.write({}, rows)
    assert store.read() == {("history", "1"): {"of": "x"}}


def test_large_changes_put_providers_first_and_delete_models_first(store: RoutesStore, wire: Wire) -> None:
    rows = {("model", f"m{number}"): model() for number in range(150)} | {("provider", "ark"): ARK}
    sent: list[tuple[str, str]] = []

    def note(_: str, parameters: Mapping[str, Any]) -> None:
        for each in parameters.get("TransactItems", ()):
            ((kind, write),) = each.items()
            sent.append((kind, (write.get("Item") or write["Key"])["kind"]["S"]))  # the version's first

    hooked(store.client).before.append(note)
    store.write(rows, {})
    assert wire.took() == ["TransactWriteItems"] * 2
    assert sent[:2] == [("Update", "version"), ("Put", "provider")]
    assert store.read() == rows
    sent.clear()
    store.write({}, rows)
    assert sent[-1] == ("Delete", "provider")
    assert store.read() == {}


def test_every_write_raises_the_version(store: RoutesStore) -> None:
    assert store.snapshot() == RoutesSnapshot({}, 0)
    store.write({("provider", "ark"): ARK}, {})
    store.write({("provider", "ark"): ARK, ("model", "m"): model()}, {("provider", "ark"): ARK}, 1)
    assert store.snapshot() == RoutesSnapshot({("provider", "ark"): ARK, ("model", "m"): model()}, 2)


def test_one_of_two_concurrent_writers_wins(
    store: RoutesStore,
) -> None:
    seen = store.snapshot()
    store.write({("provider", "ark"): ARK}, seen.rows, seen.version)
    with pytest.raises(RoutesChangedError):
        store.write({("provider", "other"): ARK}, seen.rows, seen.version)
    assert store.snapshot() == RoutesSnapshot({("provider", "ark"): ARK}, 1)


def test_a_table_of_several_pages_is_read_completely(
    store: RoutesStore, dynamodb_client: DynamoDB, routes_table: str, wire: Wire
) -> None:
    for number in range(4):  # a page holds 1 MB
        row = to_item({"kind": "model", "name": str(number), "description": "x" * 350_000})
        dynamodb_client.put_item(TableName=routes_table, Item=row)
    wire.took()
    assert sorted(store.read()) == [("model", str(number)) for number in range(4)]
    assert wire.took() == ["Scan"] * 2


def test_numbers_are_read_back_as_in_the_file(store: RoutesStore) -> None:
    row = model(timeouts={"idle": 7.5, "connect": 5}, cooldown={"base": 0.25}, retries=0)
    store.write({("model", "m"): row}, {})
    read = store.read()["model", "m"]
    assert read == row
    assert type(read["timeouts"]["connect"]) is int
    assert type(read["timeouts"]["idle"]) is float


def test_a_missing_table_is_an_error(dynamodb_client: DynamoDB) -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        RoutesStore(dynamodb_client, "nowhere").read()


@pytest.mark.parametrize("version", [None, 0], ids=["any version", "the version that was read"])
def test_the_time_of_the_last_write_is_read(store: RoutesStore, version: int | None) -> None:
    store.read()
    assert store.written_at == 0
    store.write({("model", "m"): model()}, {}, version)
    store.read()
    assert store.written_at > 1_700_000_000

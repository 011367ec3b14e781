import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.unit.store.fakes import OUTAGES, Aside, Time
from vibe_router.store.routes import CatalogueCache, RoutesUnavailableError, Row, RowKey

ARK: Row = {"base_url": "https://ark.example/v3", "secret": "ARK_API_KEY"}
AUTO: Row = {"description": "first", "chain": [{"provider": "ark", "model": "glm"}]}


class Table:
    """The rows that a read gives, or the error that it raises."""

    def __init__(self) -> None:
        self.rows: dict[RowKey, Row] = {("provider", "ark"): ARK, ("model", "auto"): AUTO, ("model", "other"): AUTO}
        self.error: Exception | None = None
        self.reads = 0

    def read(self) -> dict[RowKey, Row]:
        self.reads += 1
        if self.error:
            raise self.error
        return dict(self.rows)

    def edit(self, kind: str, name: str, **attributes: Any) -> None:
        self.rows[kind, name] = {**self.rows.get((kind, name), {}), **attributes}


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def aside() -> Aside:
    return Aside()


@pytest.fixture
def cache(table: Table, time: Time, aside: Aside) -> CatalogueCache:
    return CatalogueCache(table.read, time.clock, spawn=aside)


def deployments(cache: CatalogueCache, model: str = "auto") -> list[str]:
    return [deployment.id for deployment in cache.get().models[model].chain]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_the_table_is_read_once_in_ten_seconds(cache: CatalogueCache, table: Table, time: Time) -> None:
    first = cache.get()
    time.advance(9.9)
    assert cache.get() is first
    assert table.reads == 1
    time.advance(0.2)
    assert cache.get() is first
    assert table.reads == 2


def test_an_edited_row_is_live_after_ten_seconds(cache: CatalogueCache, table: Table, time: Time) -> None:
    assert cache.get().models["auto"].description == "first"
    table.edit("model", "auto", description="second")
    time.advance(10)
    assert cache.get().models["auto"].description == "second"


def test_the_ten_seconds_begin_when_the_read_is_sent(table: Table, time: Time) -> None:
    def slowly() -> dict[RowKey, Row]:
        rows = table.read()
        time.advance(4)
        return rows

    cache = CatalogueCache(slowly, time.clock)
    assert cache.get().models["auto"].description == "first"
    table.edit("model", "auto", description="second")
    time.advance(5.9)
    assert cache.get().models["auto"].description == "first"
    time.advance(0.1)
    assert cache.get().models["auto"].description == "second"


def test_a_deleted_row_is_no_longer_served(cache: CatalogueCache, table: Table, time: Time) -> None:
    cache.get()
    del table.rows["model", "auto"]
    time.advance(10)
    assert list(cache.get().models) == ["other"]


CORRUPT: list[tuple[str, str, str, dict[str, Any], str]] = [
    ("a chain that is a number", "model", "auto", {"chain": 5}, "models.auto.chain: must be a list"),
    ("a setting nobody knows", "model", "auto", {"speed": 9}, "models.auto.speed: unknown setting"),
    (
        "an unknown provider",
        "model",
        "auto",
        {"chain": [{"provider": "arc", "model": "glm"}]},
        "models.auto.chain[0].provider: unknown provider 'arc'; did you mean 'ark'?",
    ),
    ("a provider without a URL", "provider", "ark", {"base_url": ""}, "providers.ark.base_url: is missing"),
]


@pytest.mark.parametrize(
    ("kind", "name", "attributes", "reported"), [row[1:] for row in CORRUPT], ids=[row[0] for row in CORRUPT]
)
def test_a_corrupt_row_is_served_in_its_last_good_version(
    cache: CatalogueCache,
    table: Table,
    time: Time,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    name: str,
    attributes: dict[str, Any],
    reported: str,
) -> None:
    before = cache.get()
    good = table.rows[kind, name]
    table.edit(kind, name, **attributes)
    table.edit("model", "other", description="edited beside it")
    time.advance(10)
    assert cache.get().models["auto"] == before.models["auto"]
    assert cache.get().models["other"].description == "edited beside it"
    assert len(warnings(caplog)) == 1
    assert reported in warnings(caplog)[0]
    table.rows["model", "more"] = AUTO
    time.advance(10)
    assert cache.get().models["auto"] == before.models["auto"]
    assert len(warnings(caplog)) == 1  # reported once, although the table was read again
    table.rows[kind, name] = {**good, "retries": 3}
    time.advance(10)
    assert next(cache.get().models["auto"].chain).policy.retries == 3


def test_a_new_environment_serves_all_but_corrupt_rows(
    cache: CatalogueCache, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    table.edit("model", "auto", chain=[{"provider": "ark"}])
    table.edit("model", "other", chain=[{"provider": "gone", "model": "x"}, {"provider": "ark", "model": "glm"}])
    table.edit("defaults", "defaults", retries="many")
    assert list(cache.get().models) == ["other"]
    assert deployments(cache, "other") == ["ark/glm"]
    assert next(cache.get().models["other"].chain).policy.retries == 1
    reported = "\n".join(warnings(caplog))
    assert "models.auto.chain[0].model: is missing" in reported
    assert "models.other.chain[0].provider: unknown provider 'gone'" in reported
    assert "defaults.retries: must be a whole number" in reported


def test_rows_of_unknown_kinds_change_nothing(
    cache: CatalogueCache, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    table.edit("history", "2027-01-01", what="ever")
    table.edit("defaults", "others", retries=9)
    assert deployments(cache) == ["ark/glm"]
    assert next(cache.get().models["auto"].chain).policy.retries == 1
    assert len(warnings(caplog)) == 2


def test_a_table_without_rows_is_a_catalogue_without_models(cache: CatalogueCache, table: Table) -> None:
    table.rows.clear()
    assert cache.get().models == {}
    assert table.reads == 1


@pytest.mark.parametrize("error", OUTAGES.values(), ids=OUTAGES)
def test_the_last_good_catalogue_is_served_during_an_outage_without_waiting(
    cache: CatalogueCache, table: Table, time: Time, aside: Aside, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    good = cache.get()
    table.error = error
    time.advance(10)
    assert cache.get() is good
    for _ in range(48):
        time.advance(0.125)
        assert cache.get() is good
    assert table.reads == 2  # the first, and the one that found out
    assert len(aside.waiting) == 3
    aside.do()
    assert cache.get() is good
    assert len(warnings(caplog)) == 1
    table.error = None
    table.edit("model", "auto", description="after the outage")
    time.advance(2)
    assert cache.get() is good
    aside.do()
    assert cache.get().models["auto"].description == "after the outage"
    assert "answers again" in warnings(caplog)[1]


def test_routes_that_were_never_read_are_unavailable_and_soon_read_again(
    cache: CatalogueCache, table: Table, time: Time, aside: Aside
) -> None:
    table.error = OUTAGES["throttled"]
    for _ in range(16):
        with pytest.raises(RoutesUnavailableError):
            cache.get()
        time.advance(0.125)
    assert table.reads == 1
    table.error = None
    assert deployments(cache) == ["ark/glm"]
    assert aside.waiting == []


def test_many_threads_wait_for_one_read(table: Table, time: Time) -> None:
    go = threading.Barrier(8)
    cache = CatalogueCache(table.read, time.clock)

    def get() -> object:
        go.wait()
        return cache.get()

    with ThreadPoolExecutor(8) as pool:
        catalogues = [future.result() for future in [pool.submit(get) for _ in range(8)]]
    assert all(catalogue is catalogues[0] for catalogue in catalogues)
    assert table.reads == 1


def test_given_base_urls_replace_the_table_s(table: Table, time: Time) -> None:
    cache = CatalogueCache(table.read, time.clock, base_urls={"ark": "http://127.0.0.1:9/v3/"})
    assert next(cache.get().models["auto"].chain).provider.base_url == "http://127.0.0.1:9/v3"


def test_an_invalid_base_url_is_rejected_at_once(table: Table, time: Time) -> None:
    with pytest.raises(ValueError, match="http"):
        CatalogueCache(table.read, time.clock, base_urls={"ark": "127.0.0.1"})

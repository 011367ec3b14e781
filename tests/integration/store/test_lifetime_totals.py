"""Counters that only grow, whichever environment reads them, from one checkpoint to the next."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.store.streams import Stream
from tests.integration.store.tables import table_of_states, table_of_usage
from tests.integration.store.test_usage_store import RECORD
from tests.unit.store.fakes import Time
from tests.unit.store.hooks import hooked
from vibe_router.core.record import Record
from vibe_router.store import lifetime_totals
from vibe_router.store.dynamodb import DynamoDB, to_item
from vibe_router.store.lifetime_totals import OTHERS, LifetimeTotals
from vibe_router.store.usage import UsageWriter

DAY = 86_400


class Router:
    """A router whose requests are counted at once, and any number of environments that are scraped."""

    def __init__(self, client: DynamoDB, ledger_table: str) -> None:
        self.time = Time()
        self.client = client
        self.usage, self.states = table_of_usage(client), table_of_states(client)
        self._ledgers = ledger_table
        self._count = 0
        self._stream = Stream(client, self.usage, ledger_table)

    def serve(self, *records: Record) -> None:
        for record in records:
            self._count += 1
            served = replace(record, request_id=f"request-{self._count}", started=self.time.clock.now())
            UsageWriter(self.client, self.usage, days=90).write(served)
        self._stream.deliver_all()

    def scrape(self, kind: str = "model") -> dict[str, int]:
        """Return the requests by name, as a new environment reads them."""
        reader = LifetimeTotals(self.client, self.usage, self.states, self.time.clock)
        return {name: counters["requests"] for name, counters in reader.read(kind).counters.items()}


@pytest.fixture
def router(dynamodb_client: DynamoDB, ledger_table: str) -> Router:
    return Router(dynamodb_client, ledger_table)


@given(steps=st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0, 3600, DAY, 3 * DAY, 20 * DAY])), max_size=8))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_counter_never_falls_and_misses_nothing(
    steps: list[tuple[int, int]], dynamodb_client: DynamoDB, ledger_table: str
) -> None:
    router = Router(dynamodb_client, ledger_table)
    assert router.scrape() == {}
    served: Counter[str] = Counter()
    for number, seconds in steps:
        model = f"auto-{number}"
        router.serve(replace(RECORD, model=model), RECORD)
        served.update([model, "auto-chat"])
        assert router.scrape() == served
        router.time.advance(seconds)
        assert router.scrape() == router.scrape() == served


def test_counting_begins_with_the_day_of_the_first_scrape(router: Router) -> None:
    router.serve(RECORD)
    router.time.advance(2 * DAY)
    router.serve(RECORD)
    assert router.scrape() == {"auto-chat": 1}
    assert router.scrape("all") == {"": 1}


def test_names_beyond_the_bound_are_added_up(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifetime_totals, "MAX_NAMES", 2)
    assert router.scrape() == {}
    expected: Counter[str] = Counter()
    for number in (5, 4, 3, 3, 1):
        router.serve(replace(RECORD, model=f"auto-{number}"))
        expected[f"auto-{number}" if number > 3 else OTHERS] += 1
        router.time.advance(DAY)
        assert router.scrape() == expected


def test_environments_that_move_the_checkpoint_at_once_count_once(router: Router) -> None:
    router.scrape()
    router.serve(RECORD)
    router.time.advance(5 * DAY)
    hooks = hooked(router.client).before

    def move_first(operation: str, _: object) -> None:
        if operation == "PutItem" and move_first in hooks:
            hooks.remove(move_first)
            assert router.scrape() == {"auto-chat": 1}

    hooks.append(move_first)
    assert router.scrape() == {"auto-chat": 1}
    assert move_first not in hooks
    assert router.scrape() == {"auto-chat": 1}


@pytest.mark.parametrize(
    "edited", [{"through": "soon"}, {}, {"through": "2027-01-01", "since": "2027-01-01", "counters": 5}]
)
def test_a_checkpoint_edited_by_hand_begins_anew(router: Router, edited: dict[str, object]) -> None:
    router.client.put_item(TableName=router.states, Item=to_item({"id": "metrics#model", **edited}))  # type: ignore[dict-item]
    router.serve(RECORD)
    assert router.scrape() == {"auto-chat": 1}
    router.time.advance(4 * DAY)
    assert router.scrape() == {"auto-chat": 1}

"""Alerts in their table: raised once by a whole fleet, listed by time, and never in the way."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.store.tables import table_of_alerts
from tests.unit.store.fakes import OUTAGES, Aside, Time, Wire
from tests.unit.store.hooks import hooked
from vibe_router.alerts.alert import Alert
from vibe_router.store.alerts import DELIVERED, AlertRaiser, AlertStore, Delivery
from vibe_router.store.dynamodb import DynamoDB, to_item

ALERT = Alert("budget-1", "budget", "ci", {"owner": "key", "spent": 5.5, "threshold": 0.5}, 1_900_000_000)


@pytest.fixture
def alerts_table(dynamodb_client: DynamoDB) -> str:
    return table_of_alerts(dynamodb_client)


@pytest.fixture
def store(dynamodb_client: DynamoDB, alerts_table: str, time: Time) -> AlertStore:
    return AlertStore(dynamodb_client, alerts_table, time.clock)


class CountingStore(AlertStore):
    """Counts the alerts that it raised."""

    raised = 0

    def raise_once(self, alert: Alert, only: str | None = None) -> bool:
        is_first = super().raise_once(alert, only)
        self.raised += is_first
        return is_first


def test_a_thousand_requests_that_cross_a_threshold_raise_one_alert(
    dynamodb_client: DynamoDB, alerts_table: str, time: Time
) -> None:
    store = CountingStore(dynamodb_client, alerts_table, time.clock)
    environments = [AlertRaiser(store, time.clock) for _ in range(50)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: environments[number % 50].raise_alerts([ALERT]), range(1000)))
    assert store.raised == 1
    [found] = store.recent(10)
    assert found.alert == Alert("budget-1", "budget", "ci", ALERT.figures)


def test_an_environment_asks_the_table_once(dynamodb_client: DynamoDB, store: AlertStore, time: Time) -> None:
    calls: list[str] = []
    hooked(dynamodb_client).before.append(lambda operation, _: calls.append(operation))
    raiser = AlertRaiser(store, time.clock)
    for _ in range(3):
        raiser.raise_alerts([ALERT])
    assert calls == ["PutItem"]


@pytest.mark.parametrize("outage", OUTAGES)
def test_an_alert_is_raised_by_a_later_request_after_an_outage(
    wire: Wire, store: AlertStore, time: Time, outage: str
) -> None:
    aside = Aside()
    raiser = AlertRaiser(store, time.clock, spawn=aside)
    wire.took()
    wire.fault = OUTAGES[outage]
    raiser.raise_alerts([ALERT])
    raiser.raise_alerts([ALERT])
    assert wire.took() == ["PutItem"]
    wire.fault = None
    time.advance(3)
    raiser.raise_alerts([ALERT])
    aside.do()
    assert [each.alert.id for each in store.recent(10)] == ["budget-1"]


def test_deliveries_are_noted_and_listed(store: AlertStore, time: Time) -> None:
    store.raise_once(ALERT)
    time.advance(60)
    store.raise_once(Alert("test-1", "test", "ops"), only="ops")
    store.record_delivery("test-1", "ops", Delivery(DELIVERED, 2, time.now))
    store.record_delivery("gone", "ops", Delivery(DELIVERED, 1, time.now))
    newest, oldest = store.recent(10)
    assert (newest.only, newest.deliveries) == ("ops", {"ops": Delivery(DELIVERED, 2, time.now)})
    assert store.recent(1, before=newest.at) == [oldest]
    assert store.read("gone") is None
    shown = newest.as_json()
    assert shown["text"] == "This is a test of the receiver ops."
    assert shown["deliveries"][0]["status"] == "delivered"


def test_a_corrupt_item_is_left_out(dynamodb_client: DynamoDB, alerts_table: str, store: AlertStore) -> None:
    store.raise_once(ALERT)
    for id_, more in (("x", {"figures": 3}), ("y", {"delivery#a": [1]}), ("z", {"delivery#a": "b"})):
        item = to_item({"id": id_, "kind": "alert", "at": "2027", **more})
        dynamodb_client.put_item(TableName=alerts_table, Item=item)
    assert [each.alert.id for each in store.recent(10)] == ["budget-1"]

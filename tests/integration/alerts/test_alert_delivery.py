"""Deliveries over real sockets to receivers that fail in every way, with a clock that does not wait."""

import time
from collections.abc import Iterator

import pytest

from tests.integration.alerts.receivers import ReceiverServer, answer, flood, hang, receiving
from vibe_router.alerts.alert import Alert
from vibe_router.core.clock import Clock
from vibe_router.core.models import AlertPolicy, Receiver
from vibe_router.store.alerts import DELIVERED, FAILED, RETRYING, Delivery, StoredAlert
from vibe_router.upstream.alert_delivery import PAUSES, AlertDelivery

NOW = 1_800_000_000.0
SECRET = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="
ONE = StoredAlert(Alert("quota-1", "quota", "claude", {"used": 0.95}), "2027-01-15T08:00:00.000Z")
TWO = StoredAlert(Alert("credential-2", "credential", "ark"), "2027-01-15T08:00:00.000Z")


class Deliveries:
    """The alerts table, as far as deliveries need it."""

    def __init__(self) -> None:
        self.noted: dict[tuple[str, str], list[Delivery]] = {}
        self.alerts: dict[str, StoredAlert] = {}

    def read(self, alert_id: str) -> StoredAlert | None:
        return self.alerts.get(alert_id)

    def record_delivery(self, alert_id: str, receiver: str, delivery: Delivery) -> None:
        self.noted.setdefault((alert_id, receiver), []).append(delivery)

    def last(self, alert_id: str, receiver: str = "ops") -> Delivery:
        return self.noted[alert_id, receiver][-1]


class Values(dict[str, str]):
    """The router's secret."""

    def __init__(self, **values: str) -> None:
        super().__init__(values)
        self.added_later: dict[str, str] = {}

    def invalidate(self) -> None:
        self.update(self.added_later)


class Bench:
    """A delivery with one receiver called ops, and what it is made of."""

    def __init__(self, server: ReceiverServer) -> None:
        self.server = server
        self.slept: list[float] = []
        self.now = NOW
        self.deliveries = Deliveries()
        self.secrets = Values(URL=server.url + "/hook?token=t", SECRET=SECRET)
        self.receivers = {"ops": Receiver("json", "URL", "SECRET")}
        self.call_seconds = 5.0

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def deliver(self, *alerts: StoredAlert, seconds: float = 840, is_local: bool = True) -> None:
        clock = Clock(now=lambda: self.now, monotonic=time.monotonic, sleep=self._sleep)
        delivery = AlertDelivery(
            lambda: AlertPolicy(self.receivers),
            self.deliveries,
            self.secrets,
            clock,
            page="https://router.example/ui/",
            is_local=is_local,
            call_seconds=self.call_seconds,
        )
        delivery.deliver(alerts, seconds)


@pytest.fixture
def bench() -> Iterator[Bench]:
    with receiving() as server:
        yield Bench(server)


def test_a_message_arrives_once_with_a_valid_signature(bench: Bench) -> None:
    bench.deliver(ONE, TWO)
    assert [each.headers["webhook-id"] for each in bench.server.received] == ["quota-1", "credential-2"]
    assert all(each.is_signed_with(SECRET) for each in bench.server.received)
    assert bench.server.received[0].path == "/hook?token=t"
    assert bench.deliveries.noted["quota-1", "ops"] == [Delivery(DELIVERED, 1, NOW)]
    assert bench.slept == []


@pytest.mark.parametrize("status", [302, 400, 404, 429, 500, 503])
def test_a_message_is_sent_again_with_growing_pauses(bench: Bench, status: int) -> None:
    bench.server.answers += [answer(status, location=bench.server.url + "/elsewhere")] * 2
    bench.deliver(ONE)
    assert bench.slept == [2, 10]
    assert {each.path for each in bench.server.received} == {"/hook?token=t"}, "no redirect is followed"
    assert len({each.headers["webhook-id"] for each in bench.server.received}) == 1
    first, _, last = bench.deliveries.noted["quota-1", "ops"]
    assert first == Delivery(RETRYING, 1, NOW, f"it answered {status}")
    assert last == Delivery(DELIVERED, 3, NOW + 12)


def test_a_receiver_that_never_accepts_is_given_up(bench: Bench) -> None:
    bench.server.answers += [answer(500)] * 20
    bench.deliver(ONE)
    assert tuple(bench.slept) == PAUSES
    assert bench.deliveries.last("quota-1") == Delivery(FAILED, 6, NOW + sum(PAUSES), "it answered 500")


def test_a_receiver_may_ask_for_a_longer_pause(bench: Bench) -> None:
    bench.server.answers += [answer(429, retry_after="45"), answer(429, retry_after="86400")]
    bench.deliver(ONE)
    assert bench.slept == [45, 300]


def test_an_invocation_that_ends_gives_up_in_time(bench: Bench) -> None:
    bench.server.answers += [answer(500)] * 20
    bench.deliver(ONE, seconds=30)
    assert bench.slept == [2, 10]
    assert bench.deliveries.last("quota-1").status == FAILED


def test_a_receiver_that_refuses_connections(bench: Bench) -> None:
    bench.secrets["URL"] = "http://127.0.0.1:9/token-in-the-path"
    bench.deliver(ONE, seconds=10)
    assert bench.deliveries.last("quota-1").detail == "could not connect (ConnectionRefusedError)"


def test_a_receiver_that_hangs(bench: Bench) -> None:
    bench.server.answers += [hang(bench.server)] * 2
    bench.call_seconds = 0.05
    bench.deliver(ONE, seconds=5)
    assert bench.deliveries.last("quota-1") == Delivery(FAILED, 2, NOW + 2, "no answer began")


@pytest.mark.parametrize("kind", ["json", "feishu"])
def test_a_body_without_end_is_not_read(bench: Bench, kind: str) -> None:
    bench.server.answers += [flood]
    bench.receivers = {"ops": Receiver(kind, "URL")}
    bench.deliver(ONE, seconds=1)
    assert bench.deliveries.last("quota-1").status == (DELIVERED if kind == "json" else FAILED)


def test_a_dead_receiver_does_not_hold_up_another(bench: Bench) -> None:
    bench.secrets["DEAD"] = "http://127.0.0.1:9/"
    bench.receivers["dead"] = Receiver("json", "DEAD")
    bench.deliver(ONE, TWO)
    assert bench.deliveries.last("credential-2", "ops").attempts == 1
    assert bench.deliveries.last("credential-2", "dead").status == FAILED


def test_receivers_get_the_events_that_they_want(bench: Bench) -> None:
    trial = StoredAlert(Alert("test-1", "test", "other"), ONE.at, only="other")
    bench.receivers = {
        "ops": Receiver("json", "URL", events=("credential",)),
        "other": Receiver("json", "URL", events=("budget",)),
    }
    bench.deliver(ONE, TWO, trial)
    assert set(bench.deliveries.noted) == {("credential-2", "ops"), ("test-1", "other")}


def test_what_is_delivered_already_is_not_sent_again(bench: Bench) -> None:
    done = StoredAlert(ONE.alert, ONE.at, None, {"ops": Delivery(DELIVERED, 1, NOW)})
    begun = StoredAlert(TWO.alert, TWO.at, None, {"ops": Delivery(RETRYING, 3, NOW, "it answered 500")})
    bench.deliveries.alerts = {"quota-1": done, "credential-2": begun}
    bench.deliver(ONE, TWO)
    assert [each.headers["webhook-id"] for each in bench.server.received] == ["credential-2"]
    assert bench.deliveries.last("credential-2").attempts == 4


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"URL": ""}, "URL is not set in the router's secret"),
        ({"URL": "sk-a-provider-key"}, "its URL must be https://HOST/PATH, without credentials before the host"),
        ({"URL": "https://169.254.169.254/token"}, "its URL leads to a link-local address or a metadata service"),
        ({"SECRET": ""}, "SECRET is not set in the router's secret"),
    ],
)
def test_a_wrong_setting_is_reported_at_once(bench: Bench, changes: dict[str, str], reason: str) -> None:
    for name, value in changes.items():
        del bench.secrets[name]
        bench.secrets |= {name: value} if value else {}
    bench.deliver(ONE)
    assert bench.deliveries.noted["quota-1", "ops"] == [Delivery(FAILED, 0, NOW, reason)]
    assert (bench.slept, bench.server.received) == ([], [])


def test_a_value_that_was_added_a_moment_ago_is_found(bench: Bench) -> None:
    bench.secrets.added_later = {"URL": bench.secrets.pop("URL")}
    bench.deliver(ONE)
    assert bench.deliveries.last("quota-1").status == DELIVERED


def test_on_aws_loopback_is_refused(bench: Bench) -> None:
    bench.deliver(ONE, is_local=False)
    assert bench.deliveries.last("quota-1").detail == "its URL leads to the function itself"


def test_without_receivers_nothing_happens(bench: Bench) -> None:
    bench.receivers = {}
    bench.deliver(ONE)
    assert bench.deliveries.noted == {}

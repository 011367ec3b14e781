"""DynamoDB throttles, or can't be reached, for a minute: what callers, the fleet and the log see of it."""

from datetime import datetime

import pytest

from tests.integration.gateway_faults.aws_front import Abort, Fault, Garbage, Hang, Refused, Reset, Slow
from tests.integration.gateway_faults.fleet import L1, L2, L3, Fleet, Gateway
from tests.unit.store.fakes import NOW

THROTTLED = Abort(400, "ProvisionedThroughputExceededException")
OUTAGES: dict[str, tuple[Fault, int]] = {
    "throttled for a minute": (THROTTLED, 60),
    "unreachable for a minute": (Refused(), 60),
    "throttled by the name of another limit": (Abort(400, "ThrottlingException"), 6),
    "failing inside": (Abort(500, "InternalServerError"), 6),
    "resetting connections": (Reset(), 6),
    "played by a proxy's page": (Garbage(), 6),
}


def warm(fleet: Fleet) -> Gateway:
    """Start an environment and let it serve once."""
    gateway = fleet.gateway()
    assert gateway.ask().deployment == L1
    gateway.wire.took()
    return gateway


def heal_aws(fleet: Fleet, *gateways: Gateway) -> None:
    """End the outage, and let each environment find out."""
    fleet.aws.heal()
    fleet.time.advance(2)
    for gateway in gateways:
        gateway.ask("auto-spare")
    fleet.do_aside()
    assert [gateway.health()["state_table"] for gateway in gateways] == ["reachable"] * len(gateways)


@pytest.mark.parametrize(("outage", "seconds"), OUTAGES.values(), ids=OUTAGES)
def test_callers_do_not_notice_that_dynamodb_is(fleet: Fleet, outage: Fault, seconds: int) -> None:
    gateway = warm(fleet)
    alike = isinstance(outage, Refused | Reset | Garbage)
    fleet.aws.fail(outage, "dynamodb")
    fleet.time.advance(10)  # all that is remembered is to be read again
    first = gateway.ask()
    assert first.deployment == L1
    # An unreachable service is found out once, a throttled one once for each table.
    assert gateway.wire.took() == (["Scan"] if alike else ["Scan", "Query"])
    beside = 0
    for second in range(seconds):
        answer = gateway.ask(stream=second % 2 == 0)
        assert (answer.status, answer.deployment, answer.headers["x-vibe-attempts"]) == (200, L1, "1")
        assert answer.whole
        assert gateway.wire.took() == []  # no request waits for a table that is known to be dead
        fleet.do_aside()
        beside += len(gateway.wire.took())
        fleet.time.advance(1)
    assert (seconds - 2) / 2 <= beside <= seconds  # probed every two seconds
    assert fleet.calls(L1) == 2 + seconds
    heal_aws(fleet, gateway)
    tables = ["DynamoDB"] if alike else ["the routes table", "the state table"]
    reported = [line.partition(" (")[0] for line in fleet.warnings]
    assert reported[: len(tables)] == [f"{each} cannot be reached" for each in tables]
    assert sorted(reported[len(tables) :]) == [f"{each} answers again after {seconds + 2} s" for each in tables]
    assert [line["status"] for line in fleet.decisions] == [200] * (3 + seconds)


def test_a_hanging_table_delays_one_request(fleet: Fleet) -> None:
    gateway = warm(fleet)
    fleet.aws.fail(Hang(), "Query")
    fleet.time.advance(2)
    for _ in range(30):
        assert gateway.ask().deployment == L1
    fleet.time.advance(1)
    assert gateway.ask().deployment == L1
    assert gateway.wire.took() == ["Query"]
    assert fleet.aws.calls.count("Query") == 1  # no call is tried again after a timeout
    assert fleet.warnings == ["DynamoDB cannot be reached (ReadTimeoutError): going on from memory"]
    heal_aws(fleet, gateway)


def test_a_slow_table_is_no_outage(fleet: Fleet) -> None:
    gateway = warm(fleet)
    fleet.aws.fail(Slow(0.05), "dynamodb")
    fleet.time.advance(10)
    for _ in range(20):
        assert gateway.ask().deployment == L1
    assert gateway.wire.took() == ["Scan", "Query"]
    assert fleet.warnings == []


@pytest.mark.parametrize("outage", [THROTTLED, Refused()], ids=["throttled", "refused"])
def test_cooldowns_and_probes_continue_in_each_environment(fleet: Fleet, outage: Fault) -> None:
    one, two = warm(fleet), warm(fleet)
    fleet.aws.fail(outage, "dynamodb")
    fleet.standin.fault("cliproxyapi", "503")
    fleet.time.advance(2)
    for calls, gateway in enumerate((one, two), start=3):
        assert [gateway.ask().deployment for _ in range(5)] == [L2] * 5
        assert fleet.calls(L1) == calls  # found out once by each, and left alone
        assert gateway.health()["state_table"].startswith("unreachable: cooldowns are kept in this environment")
        assert gateway.state(L1)["strikes"] == 1
    fleet.time.advance(5)
    for calls, gateway in enumerate((one, two), start=5):
        assert [gateway.ask().deployment for _ in range(5)] == [L2] * 5
        assert fleet.calls(L1) == calls  # one probe, which fails: a longer cooldown for this caller
        assert gateway.state(L1)["strikes"] == 1
    fleet.standin.heal()
    fleet.time.advance(10)
    for gateway in (one, two):
        assert [gateway.ask().deployment for _ in range(2)] == [L1] * 2
        assert gateway.state(L1)["state"] == "healthy"


def test_a_cooldown_from_the_outage_is_shared_after_it(fleet: Fleet) -> None:
    gateway = warm(fleet)
    fleet.aws.fail(THROTTLED, "dynamodb")
    fleet.standin.fault("cliproxyapi", "model_cooldown", times=1, reset_in=600)
    fleet.time.advance(2)
    assert gateway.ask().deployment == L2
    reported = fleet.decisions[-1]["attempts"][0]
    assert (reported["deployment"], reported["verdict"]) == (L1, "quota")
    until = datetime.fromisoformat(reported["cooldown_until"]).timestamp()
    assert until == NOW + 2 + 600
    assert fleet.state(L1) == {}
    fleet.time.advance(60)
    heal_aws(fleet, gateway)
    assert (fleet.state(L1)["until"], fleet.state(L1)["verdict"], fleet.state(L1)["strikes"]) == (until, "quota", 1)
    assert fleet.gateway().ask().deployment == L2
    assert fleet.calls(L1) == 2


def test_the_longer_of_two_cooldowns_from_the_outage_wins(fleet: Fleet) -> None:
    one, two = warm(fleet), warm(fleet)
    fleet.aws.fail(Refused(), "dynamodb")
    fleet.time.advance(2)
    for gateway, rest in ((one, 300), (two, 900)):
        fleet.standin.fault("cliproxyapi", "model_cooldown", times=1, reset_in=rest)
        assert gateway.ask().deployment == L2
    until = fleet.time.now + 900
    heal_aws(fleet, two, one)
    fleet.time.advance(1)
    assert fleet.state(L1)["until"] == until
    for gateway in (one, two, fleet.gateway()):
        assert gateway.ask().deployment == L2
        assert datetime.fromisoformat(gateway.state(L1)["until"]).timestamp() == until
    assert fleet.calls(L1) == 4


def test_a_cooldown_is_retained_while_only_writes_are_throttled(fleet: Fleet) -> None:
    gateway = warm(fleet)
    fleet.aws.fail(THROTTLED, "PutItem")
    fleet.standin.fault("cliproxyapi", "model_cooldown", times=1, reset_in=600)
    fleet.time.advance(2)
    assert [gateway.ask().deployment for _ in range(3)] == [L2] * 3
    for _ in range(30):
        fleet.time.advance(1)
        assert gateway.ask().deployment == L2
        fleet.do_aside()
    assert fleet.calls(L1) == 2
    heal_aws(fleet, gateway)
    assert fleet.state(L1)["until"] == NOW + 2 + 600
    reported = [line.partition(" (")[0] for line in fleet.warnings if "cannot be reached" in line]
    assert reported == ["the state table cannot be reached", "the table of conversations cannot be reached"]


def test_an_edited_route_is_live_after_the_outage(fleet: Fleet) -> None:
    gateway = warm(fleet)
    fleet.put_route("model", "auto-chat", chain=fleet.route("model", "auto-chat")["chain"][1:])
    fleet.aws.fail(THROTTLED, "Scan")
    fleet.time.advance(10)
    assert [gateway.ask().deployment for _ in range(3)] == [L1] * 3
    fleet.aws.heal()
    fleet.time.advance(2)
    gateway.ask()
    fleet.do_aside()
    assert gateway.ask().deployment == L2


def test_an_environment_that_starts_during_the_outage_serves_after_it(fleet: Fleet) -> None:
    fleet.aws.fail(THROTTLED, "dynamodb")
    gateway = fleet.gateway()
    for _ in range(20):
        answer = gateway.ask()
        assert (answer.status, answer.json["error"]["code"]) == (503, "temporarily_unavailable")
    assert gateway.wire.took() == ["Scan"]
    assert gateway.send("GET", "/health/liveness").status == 200
    assert gateway.send("GET", "/health/readiness").status == 503
    assert [line["status"] for line in fleet.decisions] == [503] * 20
    fleet.aws.heal()
    fleet.time.advance(2)
    assert gateway.ask().deployment == L1
    assert fleet.warnings == [
        "the routes table cannot be reached (ProvisionedThroughputExceededException): going on from memory",
        "the routes table answers again after 2 s",
    ]


def test_an_environment_that_starts_without_the_state_table_serves(fleet: Fleet) -> None:
    fleet.aws.fail(THROTTLED, "BatchGetItem", "PutItem")
    fleet.standin.fault("cliproxyapi", "503")
    fleet.standin.fault("new-api", "no_channel")
    gateway = fleet.gateway()
    assert [gateway.ask().deployment for _ in range(5)] == [L3] * 5
    assert (fleet.calls(L1), fleet.calls(L2)) == (1, 1)
    assert gateway.wire.took() == ["Scan", "BatchGetItem"]


def test_an_outage_between_two_distant_requests_delays_one_of_them(fleet: Fleet) -> None:
    gateway = warm(fleet)
    fleet.aws.fail(Refused(), "dynamodb")
    fleet.time.advance(3600)
    asked = []
    for _ in range(5):
        assert gateway.ask().deployment == L1
        asked.append(gateway.wire.took())
    assert asked == [["Scan"], [], [], [], []]
    heal_aws(fleet, gateway)


def test_usage_during_the_outage_is_booked_after_it(fleet: Fleet) -> None:
    gateway = warm(fleet)
    fleet.aws.fail(Refused(), "dynamodb")
    for _ in range(4):
        assert gateway.ask().deployment == L1
        fleet.time.advance(1)
        fleet.do_aside()
    assert len(fleet.booked) == 1
    heal_aws(fleet, gateway)
    assert fleet.booked == {line["request_id"] for line in fleet.decisions}
    assert len(fleet.booked) == 6


def test_usage_during_an_outage_of_the_usage_table_is_booked_after_it(fleet: Fleet) -> None:
    gateway = warm(fleet)
    fleet.aws.fail(THROTTLED, fleet.booking)
    for _ in range(20):
        assert gateway.ask().deployment == L1
    assert len(fleet.booked) == 1
    assert fleet.aws.calls.count(fleet.booking) <= 1 + 2, "nobody pays for the outage but the first"
    heal_aws(fleet, gateway)
    assert fleet.booked == {line["request_id"] for line in fleet.decisions}

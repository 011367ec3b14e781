"""`alerts` against a router over a real socket."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.cli.conftest import Done
from tests.unit.cli.fake_router import FakeRouter, RefusalError

Command = Callable[..., Done]
DELIVERED = {"receiver": "ops", "status": "delivered", "attempts": 1, "at": "2027-01-15T08:00:01.000Z", "detail": None}
FAILED = {**DELIVERED, "status": "failed", "detail": "it answered 500"}
ALERTS: dict[str, Any] = {
    "receivers": [
        {"name": "ops", "type": "slack", "url": "OPS_URL", "url_set": False, "secret": None, "events": ["budget"]},
        {"name": "all", "type": "json", "url": "ALL_URL", "url_set": True, "secret": "S", "secret_set": None},
    ],
    "alerts": [
        {
            "id": "budget-1",
            "at": "2027-01-15T08:00:00.000Z",
            "event": "budget",
            "text": "The key ci\x1b[2J has spent $5.00 of $10.00.",
            "deliveries": [DELIVERED],
        }
    ],
}


def test_alerts_and_receivers_are_listed(command: Command, terminal: Command, router: FakeRouter) -> None:
    router.answers["/alerts"] = ALERTS
    assert command("alerts", "list", "--limit", "5").answer == ALERTS
    assert [path for _, path, _ in router.calls] == ["/alerts"]
    shown = terminal("alerts", "list").out
    assert "ops: slack, budget; not set: OPS_URL" in shown
    assert "all: json, all events" in shown
    assert "The key ci" in shown
    assert "\x1b[2J" not in shown
    router.answers["/alerts"] = {"receivers": [], "alerts": []}
    assert "No receivers" in terminal("alerts", "list").out


@pytest.mark.parametrize(("delivery", "status"), [(DELIVERED, 0), (FAILED, 1)])
def test_a_test_waits_for_its_result(
    command: Command, terminal: Command, router: FakeRouter, delivery: dict[str, Any], status: int
) -> None:
    router.answers["/alerts/test"] = {"id": "test-1", "receiver": "ops"}
    router.answers["/alerts/test-1"] = {"id": "test-1", "deliveries": [delivery]}
    assert command("alerts", "test", "ops").status == status
    assert router.asked("/alerts/test") == [{"receiver": "ops"}]
    assert (delivery["detail"] or "delivered") in terminal("alerts", "test", "ops").out


def test_an_unknown_receiver_is_rejected(command: Command, router: FakeRouter) -> None:
    router.answers["/alerts/test"] = RefusalError(404, "The routes name no receiver nobody.")
    done = command("alerts", "test", "nobody")
    assert done.status == 1
    assert "no receiver nobody" in done.err

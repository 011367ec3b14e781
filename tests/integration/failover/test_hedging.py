"""A deployment that stays silent is joined by the next one; the first to commit answers."""

import time
from typing import Any

import pytest

from tests.integration.failover.harness import L1, L2, TIMEOUTS
from tests.integration.failover.served import FORMATS, Server
from vibe_router.core.price import cost
from vibe_router.core.usage import Usage
from vibe_router.routing.cooldown import Phase

FIRST, SECOND = "cliproxyapi", "new-api"
HEDGED = {"hedge_after": 0.05, "hedge_share": 0.5}


def _verdicts(served: Any) -> list[tuple[str, str]]:
    return [(each["deployment"], each["verdict"]) for each in served.record.attempts]


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("fault", ["silence", "silent_headers", "silent_role"])
def test_the_next_deployment_answers_for_a_silent_one(server: Server, format_: str, fault: str) -> None:
    server.policy = HEDGED
    server.standin.fault(FIRST, fault, times=1)
    began = time.monotonic()
    served = server.ask(format_)
    assert served.whole
    assert time.monotonic() - began < TIMEOUTS.first_token
    assert served.headers["x-vibe-deployment"] == L2
    assert _verdicts(served) == [(L1, "cancelled"), (L2, "ok")]
    assert served.record.fallbacks == 1
    assert not server.environment.table.items, "the loser is not cooled"
    again = server.ask(format_)
    assert again.headers["x-vibe-deployment"] == L1
    assert _verdicts(again) == [(L1, "ok")]


def test_a_deployment_that_answers_in_time_is_not_joined(server: Server) -> None:
    server.policy = {**HEDGED, "hedge_after": 5}
    for _ in range(3):
        assert _verdicts(server.ask()) == [(L1, "ok")]
    assert not server.standin.requests(SECOND)


def test_both_are_charged_and_reserved(server: Server) -> None:
    server.policy = HEDGED
    server.standin.fault(FIRST, "silence", times=1)
    served = server.ask()
    lost, won = served.record.parts
    prices = server.environment.prices
    assert (lost["deployment"], won["deployment"]) == (L1, L2)
    expected = (cost(prices[FIRST], Usage(lost["prompt_tokens"], 0)) or 0) + (
        cost(prices[SECOND], served.record.usage) or 0
    )
    assert served.record.cost == expected
    assert server.environment.fake_ledgers.settled[-1][0] == expected
    assert server.environment.models["auto-chat"].most_calls == 2


def test_the_first_one_may_still_win(server: Server) -> None:
    server.policy = {**HEDGED, "hedge_after": 0.02}
    server.standin.fault(FIRST, "slow", seconds=0.15, times=1)
    server.standin.fault(SECOND, "silence", times=1)
    served = server.ask()
    assert served.whole
    assert served.headers["x-vibe-deployment"] == L1
    assert sorted(_verdicts(served)) == sorted([(L1, "ok"), (L2, "cancelled")])
    assert served.record.fallbacks == 0
    assert not server.environment.table.items
    assert server.ask().whole, "the connections serve the next request"


def test_when_the_first_fails_the_backup_is_waited_for(server: Server) -> None:
    server.policy = {**HEDGED, "retries": 0, "hedge_after": 0.02}
    server.standin.fault(FIRST, "silence", times=1)
    server.standin.fault(SECOND, "slow", seconds=TIMEOUTS.first_byte + 0.1, times=1)
    server.environment.patient = True
    served = server.ask()
    assert served.whole
    assert server.environment.table.items[f"deployment#{L1}"].phase(server.environment.now) is Phase.COOLING


def test_a_backup_that_fails_leaves_the_first_alone(server: Server) -> None:
    server.policy = {**HEDGED, "retries": 0, "hedge_after": 0.02}
    server.standin.fault(FIRST, "slow", seconds=0.15, times=1)
    server.standin.fault(SECOND, "503", times=1)
    served = server.ask()
    assert served.headers["x-vibe-deployment"] == L1
    assert served.whole
    assert sorted(_verdicts(served)) == sorted([(L1, "ok"), (L2, "transient")])


def test_both_failing_goes_on_with_the_third(server: Server) -> None:
    server.policy = {**HEDGED, "retries": 0, "hedge_after": 0.02}
    server.standin.fault(FIRST, "silence", times=1)
    server.standin.fault(SECOND, "503", times=1)
    served = server.ask()
    assert served.whole
    assert served.headers["x-vibe-deployment"].startswith("ark/")


def test_only_the_share_is_hedged(server: Server) -> None:
    server.policy = {"hedge_after": 0.02, "hedge_share": 0.2}
    server.standin.fault(FIRST, "slow", seconds=0.06)
    hedged = 0
    for _ in range(10):
        verdicts = dict(_verdicts(server.ask()))
        hedged += L2 in verdicts
    assert 1 <= hedged <= 3


def test_one_slow_answer_in_twenty_no_longer_shows(server: Server) -> None:
    """With one slow answer in twenty, the slowest first tokens halve for at most six percent more calls."""
    server.policy = {"hedge_after": 0.05}
    times = []
    for number in range(60):
        if number % 20 == 3:
            server.standin.fault(FIRST, "slow", seconds=0.35, times=1)
        times.append(server.ask().record.ttft_ms or 0)
    assert max(times) < 350 / 2
    calls = len(server.standin.requests(FIRST)) + len(server.standin.requests(SECOND))
    assert calls <= 60 * 1.06


def test_a_stream_that_breaks_after_a_hedge_cools_the_winner(server: Server) -> None:
    server.policy = HEDGED
    server.standin.fault(FIRST, "silence", times=1)
    server.standin.fault(SECOND, "cut", times=1)
    served = server.ask()
    assert served.honest
    assert f"deployment#{L2}" in server.environment.table.items
    assert f"deployment#{L1}" not in server.environment.table.items
    assert _verdicts(served) == [(L1, "cancelled"), (L2, "transient")]

"""Promises about money, rates and slots, kept by processes that all spend at once, some of which are killed."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import date
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from tests.integration.store.spenders import LEASE_SECONDS, Call, Orders
from tests.integration.store.streams import Stream
from tests.unit.store.fakes import NOW, Time
from vibe_router.access.ledger import Ledger, Limit
from vibe_router.store.dynamodb import DynamoDB
from vibe_router.store.ledger import LedgerStore
from vibe_router.store.usage import Filter, UsageReader

CHECKOUT = Path(__file__).parents[3]
PROCESSES = 4
DOLLAR = 1_000_000_000
KEY, TEAM = "key#a", "team#blue"

Make = Callable[..., Orders]
ReadLedger = Callable[[str], Ledger]


@pytest.fixture
def orders(ledger_table: str, usage_table: str, endpoint: str) -> Make:
    """Write the orders for the environments of every process."""

    def make(ledgers: Mapping[str, Mapping[str, Any]], environments: int, calls: int, **more: Any) -> Orders:
        return Orders(ledger_table, usage_table, endpoint, ledgers, NOW, environments, calls, **more)

    return make


@pytest.fixture
def size(request: pytest.FixtureRequest) -> tuple[int, int, int]:
    """Environments of a process, calls of each, and how many calls' estimates make a dollar.

    A thousand calls where DynamoDB does several things at a time; moto does one after the other.
    """
    return (10, 25, 80) if request.node.callspec.params["endpoint"] == "dynamodb_local" else (4, 5, 24)


@pytest.fixture
def read_ledger(dynamodb_client: DynamoDB, ledger_table: str, time: Time) -> ReadLedger:
    store = LedgerStore(dynamodb_client, ledger_table, time.clock)
    return lambda ledger_id: store.read([ledger_id])[ledger_id]


@pytest.fixture(scope="module", autouse=True)
def spenders() -> Iterator[None]:
    """End the processes that served several tests."""
    yield
    for spender in _spenders:
        spender.communicate(timeout=30)
    _spenders.clear()


_spenders: list["subprocess.Popen[str]"] = []


def new_spender() -> "subprocess.Popen[str]":
    paths = os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "layers" / "router")])
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.store.spenders"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": paths},
    )


def prepare(spenders: list["subprocess.Popen[str]"], orders: Orders) -> None:
    """Hand out the orders, and wait until all processes are ready."""
    for spender in spenders:
        say(spender, json.dumps(asdict(orders)))
    for spender in spenders:
        assert hear(spender) == "ready"


def say(spender: "subprocess.Popen[str]", line: str) -> None:
    assert spender.stdin
    spender.stdin.write(line + "\n")
    spender.stdin.flush()


def hear(spender: "subprocess.Popen[str]") -> str:
    assert spender.stdout
    return spender.stdout.readline().strip()


def spend(orders: Orders, processes: int = PROCESSES) -> list[Call]:
    """Release all processes at once; return the outcome of every call."""
    _spenders.extend(new_spender() for _ in range(processes - len(_spenders)))
    spenders = _spenders[:processes]
    prepare(spenders, orders)
    for spender in spenders:
        say(spender, "go")
    calls = [Call(**each) for spender in spenders for each in json.loads(hear(spender))]
    assert len(calls) == processes * orders.environments * orders.calls
    return calls


def most_at_once(calls: list[Call]) -> int:
    events = [(call.began, 1) for call in calls] + [(call.ended, -1) for call in calls]
    return max(accumulate(change for _, change in sorted(events)))


@pytest.mark.parametrize("ids", [[KEY], [KEY, TEAM]], ids=["key", "key and team"])
def test_a_thousand_concurrent_calls_overspend_by_estimation_errors_only(
    ids: list[str],
    size: tuple[int, int, int],
    orders: Make,
    read_ledger: ReadLedger,
    dynamodb_client: DynamoDB,
    usage_table: str,
    ledger_table: str,
) -> None:
    # Of two ledgers the last one's dollar is the tighter limit. Some calls cost a quarter more than was estimated.
    limits = {each: {"max_budget": DOLLAR if each == ids[-1] else 2 * DOLLAR} for each in ids}
    environments, each_calls, share = size
    estimate, cheapest, dearest = DOLLAR // share, DOLLAR // (2 * share), DOLLAR * 5 // (4 * share)
    spending = {"estimate": estimate, "cheapest": cheapest, "dearest": dearest}
    calls = spend(orders(limits, environments, each_calls, **spending))
    served = [call for call in calls if call.limit is None]
    rejected = [call for call in calls if call.limit is not None]
    spent = sum(call.cost for call in served)
    assert spent <= DOLLAR + sum(max(call.cost - estimate, 0) for call in served)
    under_way = PROCESSES * environments
    assert spent > DOLLAR - estimate - under_way * (estimate - cheapest), "nobody was refused what there was"
    assert {call.limit for call in rejected} == {Limit.BUDGET}
    assert all(call.used + estimate > DOLLAR for call in rejected)
    for each in ids:
        ledger = read_ledger(each)
        assert (ledger.spent, ledger.total, ledger.committed, ledger.holds) == (spent, spent, spent, {})
    Stream(dynamodb_client, usage_table, ledger_table).deliver_all()
    reader = UsageReader(dynamodb_client, usage_table)
    day = date(2027, 1, 15)  # of NOW, in UTC
    totals = {kind: reader.totals(kind, day, day) for kind in ("all", "key", "team")}
    assert {kind: sum(total["cost"] for total in each) for kind, each in totals.items()} == dict.fromkeys(totals, spent)
    assert {sum(total["requests"] for total in each) for each in totals.values()} == {len(served)}
    rows = reader.find(Filter(key="a"), limit=1_000).records
    assert (len(rows), sum(row.cost or 0 for row in rows)) == (len(served), spent)


def test_a_burst_passes_exactly_up_to_the_rate(orders: Make, read_ledger: ReadLedger) -> None:
    calls = spend(orders({KEY: {"rpm": 40}, TEAM: {"rpm": 1_000}}, 8, 4))
    assert Counter(call.limit for call in calls) == {None: 40, Limit.REQUESTS: len(calls) - 40}
    assert read_ledger(KEY).requests_used == read_ledger(TEAM).requests_used == 40


def test_the_tokens_of_a_minute_are_reserved_once(orders: Make, read_ledger: ReadLedger) -> None:
    calls = spend(orders({KEY: {"tpm": 1_000}}, 8, 3, tokens=30))
    assert Counter(call.limit for call in calls) == {None: 33, Limit.TOKENS: len(calls) - 33}
    assert read_ledger(KEY).tokens_used == 990


def test_parallel_requests_never_exceed_the_limit(orders: Make, read_ledger: ReadLedger) -> None:
    calls = spend(orders({KEY: {"parallel": 3}}, 4, 3, seconds=0.02))
    served = [call for call in calls if call.limit is None]
    assert {call.limit for call in calls} <= {None, Limit.PARALLEL}
    assert len(served) >= 3
    assert most_at_once(served) <= 3
    assert (read_ledger(KEY).holds, read_ledger(KEY).committed) == ({}, 0)


def test_reservations_of_killed_environments_expire_with_their_leases(orders: Make, read_ledger: ReadLedger) -> None:
    limits = {KEY: {"max_budget": DOLLAR, "parallel": 6}, TEAM: {"max_budget": 10 * DOLLAR}}
    order = orders(limits, 2, 1, estimate=DOLLAR // 8, cheapest=DOLLAR // 8, dearest=DOLLAR // 8, hang=True)
    with ExitStack() as processes:
        doomed = [processes.enter_context(new_spender()) for _ in range(3)]
        for spender in doomed:
            processes.callback(spender.kill)
        prepare(doomed, order)
        for spender in doomed:
            say(spender, "go")
        for spender in doomed:
            assert [hear(spender), hear(spender)] == ["holding", "holding"]
        for spender in doomed:
            spender.send_signal(signal.SIGKILL)
            spender.wait(30)
    assert (len(read_ledger(KEY).holds), read_ledger(KEY).committed) == (6, 6 * DOLLAR // 8)
    order = replace(order, hang=False)
    assert {call.limit for call in spend(order, 1)} == {Limit.PARALLEL}, "nobody knows yet that they are dead"
    calls = spend(replace(order, now=NOW + LEASE_SECONDS, environments=3, calls=4), 1)
    served = [call for call in calls if call.limit is None]
    assert len(served) == 8, "the whole budget is there to be spent"
    for each in (KEY, TEAM):
        ledger = read_ledger(each)
        assert (ledger.spent, ledger.committed, ledger.holds) == (DOLLAR, DOLLAR, {})

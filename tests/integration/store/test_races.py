"""A fleet's races for one state, on AWS's own DynamoDB: a thousand environments in several processes."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.integration.store.writers import Orders, Result, failed
from tests.unit.store.fakes import NOW, Time
from vibe_router.routing.cooldown import Phase, State
from vibe_router.store.state import StateStore

pytestmark = [
    pytest.mark.dynamodb,
    pytest.mark.skipif(os.environ.get("VIBE_ROUTER_DYNAMODB_LOCAL") != "1", reason="`make test-dynamodb` runs it"),
]

CHECKOUT = Path(__file__).parents[3]
GLM = "deployment#ark/glm-4.7"
PROCESSES = 4
RACERS = 250  # in each process

Environment = Callable[..., StateStore]


@pytest.fixture(scope="session")
def endpoint(dynamodb_local: str) -> str:
    """Race on DynamoDB Local only: moto's conditional writes are not atomic, so a race there proves nothing."""
    return dynamodb_local


@contextmanager
def waiting(orders: Orders) -> Iterator[Callable[[], list[Result]]]:
    """Start the processes; yield the function that releases all writers at once."""
    command = [sys.executable, "-m", "tests.integration.store.writers"]
    paths = os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "layers" / "router")])
    with ExitStack() as stack:
        processes = []
        for _ in range(PROCESSES):
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=CHECKOUT,
                env=os.environ | {"PYTHONPATH": paths},
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            processes.append(process)
        pipes = [(process.stdin, process.stdout) for process in processes if process.stdin and process.stdout]
        for orders_in, _ in pipes:
            orders_in.write(json.dumps(asdict(orders)) + "\n")
            orders_in.flush()
        for _, results_out in pipes:
            assert results_out.readline() == "ready\n"

        def go() -> list[Result]:
            for orders_in, _ in pipes:
                orders_in.write("go\n")
                orders_in.flush()
            return [Result(**each) for _, results_out in pipes for each in json.loads(results_out.readline())]

        yield go


def race(orders: Orders) -> list[Result]:
    with waiting(orders) as go:
        results = go()
    assert len(results) == PROCESSES * orders.writers
    return results


def standing(environment: Environment, now: float) -> State:
    return environment(Time(now)).read([GLM])[GLM]


def due(environment: Environment) -> State:
    """Cool the deployment and wait until the cooldown is over."""
    store = environment()
    seen = store.read([GLM])[GLM]
    return store.replace(seen, failed(seen, NOW, "503"))


def test_a_thousand_concurrent_failures_are_one_strike(environment: Environment, state_table: str) -> None:
    results = race(Orders(state_table, GLM, RACERS, ["cool"], [NOW]))
    (winner,) = [result for result in results if result.won]
    assert {(result.version, result.strikes, result.evidence) for result in results} == {(1, 1, winner.evidence)}
    stands = standing(environment, NOW)
    assert (stands.version, stands.strikes, stands.until, stands.evidence) == (1, 1, NOW + 5, winner.evidence)


def test_one_of_a_thousand_probers_with_different_clocks_gets_the_lease(
    environment: Environment, state_table: str
) -> None:
    due(environment)
    clocks = [NOW + skew for skew in (-120, -60, -1, 0, 1, 60, 120)]
    results = race(Orders(state_table, GLM, RACERS, ["probe"], clocks, pause=6))
    assert Counter(result.phase for result in results) == {Phase.DUE: len(results)}
    assert sum(result.won for result in results) == 1
    assert {(result.version, result.strikes) for result in results} == {(2, 1)}


def test_one_of_a_thousand_probers_and_late_failures_changes_the_state(
    environment: Environment, state_table: str
) -> None:
    due(environment)
    results = race(Orders(state_table, GLM, RACERS, ["probe", "cool"], [NOW + 6]))
    (winner,) = [result for result in results if result.won]
    stands = standing(environment, NOW + 6)
    if winner.wanted == "probe":
        assert (stands.phase(NOW + 6), stands.strikes) == (Phase.PROBING, 1)
    else:
        assert (stands.phase(NOW + 6), stands.strikes) == (Phase.COOLING, 2)
    assert {result.version for result in results} == {stands.version} == {2}


def test_strikes_of_retrying_writers_are_counted_once_each(environment: Environment, state_table: str) -> None:
    results = race(Orders(state_table, GLM, 16, ["count"], [NOW]))
    assert all(result.won for result in results)
    assert sorted(result.strikes for result in results) == list(range(1, len(results) + 1))
    stands = standing(environment, NOW)
    assert (stands.version, stands.strikes) == (len(results), len(results))

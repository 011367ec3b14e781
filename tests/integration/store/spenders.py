"""A process full of environments that all spend from the same ledgers at the same moment.

`python -m tests.integration.store.spenders` reads orders as a line of JSON, prints `ready`, starts all environments at
the next line, prints the outcome of each of their calls, and waits for more orders. Ordered to `hang`, it reserves,
prints `holding`, and never settles: it is there to be killed.
"""

import json
import os
import random
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from tests.unit.store.fakes import Time
from vibe_router.access.keys import Limits
from vibe_router.access.ledger import ReservationRequest
from vibe_router.core.clock import Clock
from vibe_router.core.record import Record
from vibe_router.store.aws_client import AwsClient, Bounds
from vibe_router.store.dynamodb import DYNAMODB, DynamoDB
from vibe_router.store.ledger import LedgerBusyError, LedgerStore, LimitReachedError
from vibe_router.store.usage import NotRecordedError, UsageWriter

__all__ = ["LEASE_SECONDS", "Call", "Orders"]

LEASE_SECONDS = 900


@dataclass(frozen=True)
class Orders:
    """The orders of the environments of a process.

    `ledgers` are the limits of each ledger by its id. Every call reserves `estimate` nano-dollars and `tokens`, takes
    `seconds`, and costs something between `cheapest` and `dearest`.
    """

    ledger_table: str
    usage_table: str
    endpoint: str
    ledgers: Mapping[str, Mapping[str, Any]]
    now: float
    environments: int
    calls: int
    estimate: int = 0
    cheapest: int = 0
    dearest: int = 0
    tokens: int = 0
    seconds: float = 0
    hang: bool = False


@dataclass(frozen=True)
class Call:
    """The end of a call. `began` and `ended` (monotonic, of the machine) are between reserving and settling."""

    limit: str | None = None  # which refused it
    used: int = 0  # of that, as the refusal says
    cost: int = 0
    began: float = 0
    ended: float = 0


class _Environment:
    def __init__(self, orders: Orders, number: int, client: Any) -> None:
        # Tables see the test's clock; waits are real, as others work meanwhile.
        clock = Clock(now=Time(orders.now).clock.now)
        self._orders = orders
        self._name = f"{os.getpid()}-{number}"
        self._random = random.Random(self._name)  # noqa: S311 - what calls cost is no secret
        self._ledgers = {each: Limits(**limits) for each, limits in orders.ledgers.items()}
        self._store = LedgerStore(client, orders.ledger_table, clock)
        self._book = UsageWriter(client, orders.usage_table, days=1)

    def run(self) -> list[Call]:
        return [self._call(number) for number in range(self._orders.calls)]

    def _call(self, number: int) -> Call:
        orders = self._orders
        wanted = ReservationRequest(orders.estimate, orders.tokens, orders.now + LEASE_SECONDS)
        while True:
            try:
                reservation = self._store.reserve(self._ledgers, wanted)
            except LimitReachedError as error:
                return Call(error.denial.limit, error.denial.used)
            except LedgerBusyError:
                continue  # as a client that is asked to retry
            break
        assert set(reservation.held) == set(self._ledgers)
        began = time.monotonic()
        if orders.hang:
            sys.stdout.write("holding\n")  # in one piece: other threads write too
            sys.stdout.flush()
            threading.Event().wait()
        time.sleep(orders.seconds)
        cost = self._random.randint(orders.cheapest, orders.dearest)
        ended = time.monotonic()
        record = Record(f"{self._name}-{number}", orders.now, key="a", team="blue", cost=cost)
        settlement = self._store.settlement(reservation, cost, orders.tokens)
        while True:
            try:
                assert self._book.write(record, settlement)
            except NotRecordedError:
                continue  # as a bookkeeper does with later requests
            break
        return Call(cost=cost, began=began, ended=ended)


def main() -> None:
    """Spend once for every line of orders."""
    for line in sys.stdin:
        spend(Orders(**json.loads(line)))


def spend(orders: Orders) -> None:
    """Start all environments at the next line, and print the outcome of their calls."""
    # Patient, so that nothing rests on speed: who is not answered in time goes on without a reservation. DynamoDB Local
    # gives up on a lock that others hold for long.
    bounds = Bounds(connect=120, read=120, tries=20)
    client = DynamoDB(AwsClient(DYNAMODB, Clock(), endpoint=orders.endpoint, bounds=bounds))
    environments = [_Environment(orders, number, client) for number in range(orders.environments)]
    print("ready", flush=True)
    sys.stdin.readline()
    go = threading.Barrier(orders.environments)

    def run(environment: _Environment) -> list[Call]:
        go.wait(30)
        return environment.run()

    with ThreadPoolExecutor(orders.environments) as pool:
        calls = [call for of_one in pool.map(run, environments) for call in of_one]
    print(json.dumps([asdict(call) for call in calls]), flush=True)


if __name__ == "__main__":
    main()

"""A process full of environments that all want to change one state at the same moment.

`python -m tests.integration.store.writers` reads orders as JSON from standard input, prints `ready` when every writer
has read the state, starts them at the next line, and prints the result of each.
"""

import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from tests.unit.store.fakes import Time
from vibe_router.core.models import CooldownPolicy
from vibe_router.routing.cooldown import State, cooled, leased
from vibe_router.routing.verdict import Classification, Scope, Verdict
from vibe_router.store.dynamodb import dynamodb_client
from vibe_router.store.state import StateStore

__all__ = ["LEASE_SECONDS", "Orders", "Result", "failed"]

LEASE_SECONDS = 15
_THREADS = 16


@dataclass(frozen=True)
class Orders:
    """The orders of the writers of a process.

    `wants` says what each in turn wants: to `cool` after a failure, to `probe`, or to `count` a strike of its own,
    however often it must begin again. `nows` are their clocks, in turn, which move on by `pause` before the race.
    """

    table: str
    state_id: str
    writers: int
    wants: Sequence[str]
    nows: Sequence[float]
    pause: float = 0


@dataclass(frozen=True)
class Result:
    """The result of one writer, and the state that it believes to be current."""

    wanted: str
    phase: str
    won: bool
    version: int
    strikes: int
    evidence: str


def failed(state: State, now: float, evidence: str) -> State:
    """Return `state` after one more failure."""
    classification = Classification(Verdict.TRANSIENT, Scope.DEPLOYMENT)
    return cooled(state, classification, CooldownPolicy(), now, evidence=evidence)


class _Racer:
    def __init__(self, orders: Orders, number: int, store: StateStore, time: Time) -> None:
        self.time = time
        self._wants = orders.wants[number % len(orders.wants)]
        self._store = store
        self._id = orders.state_id
        self._name = f"{os.getpid()} {number}"
        self.seen = self._read()

    def run(self) -> Result:
        phase = self.seen.phase(self.time.now).value
        while True:
            wanted = self._successor()
            stands = self._store.replace(self.seen, wanted)
            won = stands is wanted
            if won or self._wants != "count":
                return Result(self._wants, phase, won, stands.version, stands.strikes, stands.evidence)
            self.seen = stands

    def _read(self) -> State:
        return self._store.read([self._id])[self._id]

    def _successor(self) -> State:
        if self._wants == "probe":
            return leased(self.seen, self.time.now, LEASE_SECONDS)
        return failed(self.seen, self.time.now, self._name)


def main() -> None:
    """Race once."""
    orders = Orders(**json.loads(sys.stdin.readline()))
    client = dynamodb_client()

    def make(number: int) -> _Racer:
        time = Time(orders.nows[number % len(orders.nows)])
        return _Racer(orders, number, StateStore(client, orders.table, time.clock), time)

    with ThreadPoolExecutor(_THREADS) as pool:
        writers = list(pool.map(make, range(orders.writers)))
        print("ready", flush=True)
        sys.stdin.readline()
        for writer in writers:
            writer.time.advance(orders.pause)
        go = threading.Barrier(_THREADS)
        results = [result for of_one in pool.map(_lane(writers, go), range(_THREADS)) for result in of_one]
    print(json.dumps([asdict(result) for result in results]), flush=True)


def _lane(writers: Sequence[_Racer], go: threading.Barrier) -> Callable[[int], list[Result]]:
    def run(lane: int) -> list[Result]:
        go.wait(30)
        return [writer.run() for writer in writers[lane::_THREADS]]

    return run


if __name__ == "__main__":
    main()

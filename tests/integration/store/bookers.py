"""A process full of environments that book requests, over a network that loses what they ask and what is answered.

`python -m tests.integration.store.bookers` takes its orders as JSON on standard input, and books the requests with
these numbers in an order of its own, several at once. It prints a line for each that it knows to be booked, and ends
when all are: unless it is killed.
"""

import json
import random
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.unit.store.hooks import hooked
from vibe_router.access.keys import Limits
from vibe_router.access.ledger import LedgerUpdate, ReservationRequest, plan_reservation
from vibe_router.core.clock import Clock
from vibe_router.core.record import Record
from vibe_router.core.usage import Usage
from vibe_router.store.aws_errors import EndpointConnectionError, ReadTimeoutError
from vibe_router.store.circuit_breaker import AWS_ERRORS
from vibe_router.store.dynamodb import DynamoDB, dynamodb_client
from vibe_router.store.ledger import LedgerStore
from vibe_router.store.ledger_table import LedgerTable
from vibe_router.store.usage import NotRecordedError, UsageWriter

__all__ = ["KEYS", "Orders", "record", "reserve"]

KEYS = ("laptop", "phone", "master")
_BEGAN = 1_800_000_000.0
_THREADS = 4
_URL = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Orders:
    """The requests to book, and the share of calls whose request, or whose answer, is lost on its way."""

    usage_table: str
    ledger_table: str
    numbers: Sequence[int]
    lost: float
    seed: int


def record(number: int) -> Record:
    """Return the request with this number: of several keys, models and hours, and some of unknown cost."""
    return Record(
        request_id=f"request-{number}",
        started=_BEGAN + number * 97,
        key=KEYS[number % len(KEYS)],
        team="red" if number % 2 else None,
        user="ann" if number % 4 else None,
        model=f"auto-{number % 3}",
        resolved=True,
        deployment=None if number % 7 == 0 else "ark/glm-4.7",
        status=502 if number % 7 == 0 else 200,
        error="all_deployments_failed" if number % 7 == 0 else None,
        usage=Usage(number, number * 2),
        cost=None if number % 5 == 0 else number * 1_001,
        ttft_ms=float(number),
        total_ms=number * 1_000.0,
        hold=f"hold-{number}" if KEYS[number % len(KEYS)] == "laptop" else None,
        charge_later=("key",) if KEYS[number % len(KEYS)] == "phone" else (),
    )


def reserve(client: DynamoDB, ledger_table: str, numbers: Sequence[int]) -> None:
    """Reserve for those of the requests that have a hold, as their environments did before they were killed."""
    table = LedgerTable(client, ledger_table)
    for number in numbers:
        request = record(number)
        if request.hold:
            ledger_id = f"key#{request.key}"
            hold = ReservationRequest(1_000, 0, _BEGAN + 90)
            update = plan_reservation(table.cached(ledger_id), Limits(max_budget=10**12), hold, request.hold, _BEGAN)
            assert isinstance(update, LedgerUpdate)
            table.write({ledger_id: update})
            table.read([ledger_id])


def main() -> None:
    """Book."""
    orders = Orders(**json.loads(sys.stdin.readline()))
    client = dynamodb_client()
    chance = random.Random(orders.seed)  # noqa: S311 - a test that fails is to fail again

    def lose_request(operation: str, _: object) -> None:
        if operation in ("PutItem", "UpdateItem") and chance.random() < orders.lost:
            raise EndpointConnectionError(_URL)

    def lose_answer(operation: str, _: object) -> None:
        if operation in ("PutItem", "UpdateItem") and chance.random() < orders.lost:
            raise ReadTimeoutError(_URL)

    hooked(client).before.append(lose_request)
    hooked(client).after.append(lose_answer)
    numbers = list(orders.numbers)
    chance.shuffle(numbers)
    reported = threading.Lock()

    def book_all(lane: int) -> None:
        clock = Clock()
        ledgers = LedgerStore(client, orders.ledger_table, clock)
        book = UsageWriter(client, orders.usage_table, days=90)
        for number in numbers[lane::_THREADS]:
            request = record(number)
            while True:  # as `vibe usage book` does, from the log
                try:
                    held = [f"key#{request.key}"]
                    late = ledgers.late_settlement(request.hold, held, request.charge) if request.hold else None
                    book.write(request, late)
                    break
                except (NotRecordedError, *AWS_ERRORS):
                    clock.sleep(clock.jitter() * 0.05)
            with reported:
                print(number, flush=True)

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(book_all, range(_THREADS)))


if __name__ == "__main__":
    main()

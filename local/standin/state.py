"""What a stand-in was told to do and what it has seen. Shared between its loop and a test's thread."""

import itertools
import json
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from local.standin.faults import Fault
from local.standin.steps import Step

__all__ = ["Order", "Recorded", "State"]

_KEPT_REQUESTS = 10_000
_KEPT_BYTES = 64 * 1024 * 1024  # of bodies, so that tests of large bodies do not fill the memory

_SECRET_HEADERS = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"})


@dataclass
class Recorded:
    """One request as it reached the provider.

    `headers` are in lower case and without the key's value; `key` is the value, for tests to compare. `body` is the
    parsed JSON, or None when there was none or it was not JSON. `at` is `time.monotonic()` when the request was whole.
    `outcome` tells how the connection went on: `left` is a client that hung up before its answer ended, `cut` an
    answer that the stand-in broke off as it was told.
    """

    provider: str
    model: str | None
    method: str
    path: str
    headers: Mapping[str, str]
    key: str = field(repr=False)
    body: Any
    size: int
    at: float
    fault: str | None = None
    outcome: Literal["answering", "answered", "cut", "left"] = "answering"

    def as_json(self) -> dict[str, object]:
        """Return what the control answers: everything but the key."""
        return {
            "method": self.method,
            "path": self.path,
            "headers": dict(self.headers),
            "body": self.body,
            "seconds_ago": round(time.monotonic() - self.at, 3),
            "fault": self.fault,
            "outcome": self.outcome,
        }


def redacted(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with the values that are secrets replaced."""
    return {name: "***" if name in _SECRET_HEADERS else value for name, value in headers.items()}


@dataclass
class Order:
    """A fault that is set, or a script of exact steps for one request (`steps`).

    `model` is None for every model of the provider. `times` is how many requests it still meets, None for all.
    """

    provider: str
    model: str | None
    fault: Fault | None
    options: Mapping[str, Any]
    times: int | None
    steps: Sequence[Step] | None = None

    @property
    def name(self) -> str:
        """What the order is called in records."""
        return self.fault.name if self.fault else "script"

    def as_json(self) -> dict[str, object]:
        """Return what the control answers."""
        return {
            "provider": self.provider,
            "model": self.model,
            "fault": self.name,
            "options": dict(self.options),
            "times": self.times,
        }


class State:
    """Orders and records.

    Counted orders (`times`) are met first, in the order in which they were given; then the lasting one for the model,
    then the lasting one for the whole provider. A lasting order replaces the one before it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._orders: list[Order] = []
        self._records: deque[Recorded] = deque()
        self._bytes = 0
        self._counts: dict[tuple[str, str | None], int] = {}
        self._spoken: dict[tuple[str, str | None], frozenset[str]] = {}
        self._ids = itertools.count(1)

    def next_id(self) -> int:
        """Return a number that no other request of this stand-in has."""
        return next(self._ids)

    def speak(self, provider: str, formats: Iterable[str] | None, model: str | None = None) -> None:
        """Let a provider (one model of it) speak these formats alone; None takes that back."""
        with self._lock:
            if formats is None:
                self._spoken.pop((provider, model), None)
            else:
                self._spoken[provider, model] = frozenset(formats)

    def speaks(self, provider: str, model: str | None, name: str) -> bool:
        """Return whether a model speaks a format: its own list counts, else the provider's; all without either.

        Without a model: whether any of the provider's does.
        """
        with self._lock:
            if model is not None:
                own = self._spoken.get((provider, model), self._spoken.get((provider, None)))
                return own is None or name in own
            lists = [formats for (named, _), formats in self._spoken.items() if named == provider]
            return (provider, None) not in self._spoken or any(name in formats for formats in lists)

    def give(self, order: Order) -> None:
        """Set a fault or a script."""
        with self._lock:
            if order.times is None:
                self._orders = [
                    other
                    for other in self._orders
                    if other.times is not None or (other.provider, other.model) != (order.provider, order.model)
                ]
            self._orders.append(order)

    def heal(self, provider: str | None = None, model: str | None = None) -> int:
        """Take back the orders of a provider (of one model), or all; return how many."""
        with self._lock:
            kept = [
                order
                for order in self._orders
                if (provider is not None and order.provider != provider) or (model is not None and order.model != model)
            ]
            healed = len(self._orders) - len(kept)
            self._orders = kept
            return healed

    def take(self, provider: str, model: str | None, only: str | None = None) -> Order | None:
        """Return the order that this request meets, and count it.

        With `only`, before the model is known: nothing unless a fault of this name is first, whatever the model.
        """
        with self._lock:
            meeting = [
                order
                for order in self._orders
                if order.provider == provider and (only is not None or order.model in (None, model))
            ]
            meeting.sort(key=lambda order: (order.times is None, order.times is None and order.model is None))
            if not meeting or (only is not None and (meeting[0].name != only or meeting[0].model is not None)):
                return None
            order = meeting[0]
            if order.times is not None:
                order.times -= 1
                if order.times <= 0:
                    self._orders.remove(order)
            return order

    def orders(self) -> list[Order]:
        """Return what is set."""
        with self._lock:
            return list(self._orders)

    def record(self, record: Recorded) -> None:
        """Keep a request; the oldest go when there are too many."""
        with self._lock:
            key = (record.provider, record.model)
            self._counts[key] = self._counts.get(key, 0) + 1
            self._records.append(record)
            self._bytes += record.size
            while len(self._records) > _KEPT_REQUESTS or (self._bytes > _KEPT_BYTES and len(self._records) > 1):
                self._bytes -= self._records.popleft().size

    def records(self, provider: str | None = None) -> list[Recorded]:
        """Return the requests that are kept, oldest first."""
        with self._lock:
            return [record for record in self._records if provider in (None, record.provider)]

    def forget(self) -> None:
        """Drop all records and counts."""
        with self._lock:
            self._records.clear()
            self._counts.clear()
            self._bytes = 0

    def seen(self, last: int) -> list[dict[str, object]]:
        """Return, per provider and model, how many requests came and the last ones."""
        records = self.records()
        with self._lock:
            counts = dict(self._counts)
        return [
            {
                "provider": provider,
                "model": model,
                "count": count,
                "last": [record.as_json() for record in _tail(records, provider, model, last)],
            }
            for (provider, model), count in sorted(counts.items(), key=lambda item: json.dumps(item[0]))
        ]


def _tail(records: Iterable[Recorded], provider: str, model: str | None, last: int) -> list[Recorded]:
    matching = [record for record in records if (record.provider, record.model) == (provider, model)]
    return matching[-last:] if last > 0 else []

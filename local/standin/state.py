"""The active faults and the recorded requests, shared between the server's loop and a test's thread."""

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

__all__ = ["ActiveFault", "Recorded", "State"]

_MAX_RECORDS = 10_000
_MAX_RECORDED_BYTES = 64 * 1024 * 1024  # of bodies, so that tests of large bodies do not fill the memory

_SECRET_HEADERS = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"})


@dataclass
class Recorded:
    """One request as it reached the provider.

    `headers` have lower-case names and no key; `key` is its value, for tests to compare. `body` is the parsed JSON,
    None for a body that is not JSON. `at` is `time.monotonic()` at the end of the request. `outcome` is `left` if the
    client disconnected before the end of the answer, `cut` if a fault ended the connection.
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
        """Return the record for the control API: everything but the key."""
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
    """Return the headers with secret values replaced."""
    return {name: "***" if name in _SECRET_HEADERS else value for name, value in headers.items()}


@dataclass
class ActiveFault:
    """A fault that is set, or a script of exact steps for one request (`steps`).

    `model` is None for every model of the provider. `times` is the number of requests left to fail, None for all.
    """

    provider: str
    model: str | None
    fault: Fault | None
    options: Mapping[str, Any]
    times: int | None
    steps: Sequence[Step] | None = None

    @property
    def name(self) -> str:
        """The name of the fault in records."""
        return self.fault.name if self.fault else "script"

    def as_json(self) -> dict[str, object]:
        """Return the fault for the control API."""
        return {
            "provider": self.provider,
            "model": self.model,
            "fault": self.name,
            "options": dict(self.options),
            "times": self.times,
        }


class State:
    """Active faults and recorded requests.

    Counted faults (`times`) apply first, in the order in which they were set; then the lasting fault of the model, then
    the lasting fault of the provider. A new lasting fault replaces the previous one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[ActiveFault] = []
        self._records: deque[Recorded] = deque()
        self._bytes = 0
        self._counts: dict[tuple[str, str | None], int] = {}
        self._formats: dict[tuple[str, str | None], frozenset[str]] = {}
        self._ids = itertools.count(1)

    def next_id(self) -> int:
        """Return a number that is unique within this stand-in."""
        return next(self._ids)

    def set_formats(self, provider: str, formats: Iterable[str] | None, model: str | None = None) -> None:
        """Restrict a provider (or one model of it) to these formats; None lifts the restriction."""
        with self._lock:
            if formats is None:
                self._formats.pop((provider, model), None)
            else:
                self._formats[provider, model] = frozenset(formats)

    def supports(self, provider: str, model: str | None, name: str) -> bool:
        """Return whether a model supports a format: by its own list, else the provider's, else yes.

        Without a model: whether any model of the provider does.
        """
        with self._lock:
            if model is not None:
                own = self._formats.get((provider, model), self._formats.get((provider, None)))
                return own is None or name in own
            lists = [formats for (named, _), formats in self._formats.items() if named == provider]
            return (provider, None) not in self._formats or any(name in formats for formats in lists)

    def add_fault(self, fault: ActiveFault) -> None:
        """Set a fault or a script."""
        with self._lock:
            if fault.times is None:
                self._faults = [
                    other
                    for other in self._faults
                    if other.times is not None or (other.provider, other.model) != (fault.provider, fault.model)
                ]
            self._faults.append(fault)

    def heal(self, provider: str | None = None, model: str | None = None) -> int:
        """Clear the faults of a provider (or one model of it), or all; return their number."""
        with self._lock:
            remaining = [
                fault
                for fault in self._faults
                if (provider is not None and fault.provider != provider) or (model is not None and fault.model != model)
            ]
            cleared = len(self._faults) - len(remaining)
            self._faults = remaining
            return cleared

    def next_fault(self, provider: str, model: str | None, only: str | None = None) -> ActiveFault | None:
        """Return the fault that applies to a request, and count the request.

        With `only`, before the model is known: None unless the next fault has this name and applies to every model.
        """
        with self._lock:
            applicable = [
                fault
                for fault in self._faults
                if fault.provider == provider and (only is not None or fault.model in (None, model))
            ]
            applicable.sort(key=lambda each: (each.times is None, each.times is None and each.model is None))
            if not applicable or (only is not None and (applicable[0].name != only or applicable[0].model is not None)):
                return None
            fault = applicable[0]
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    self._faults.remove(fault)
            return fault

    def faults(self) -> list[ActiveFault]:
        """Return the active faults."""
        with self._lock:
            return list(self._faults)

    def record(self, record: Recorded) -> None:
        """Record a request; the oldest records are dropped beyond a limit."""
        with self._lock:
            key = (record.provider, record.model)
            self._counts[key] = self._counts.get(key, 0) + 1
            self._records.append(record)
            self._bytes += record.size
            while len(self._records) > _MAX_RECORDS or (self._bytes > _MAX_RECORDED_BYTES and len(self._records) > 1):
                self._bytes -= self._records.popleft().size

    def records(self, provider: str | None = None) -> list[Recorded]:
        """Return the recorded requests, oldest first."""
        with self._lock:
            return [record for record in self._records if provider in (None, record.provider)]

    def clear_records(self) -> None:
        """Drop all records and counts."""
        with self._lock:
            self._records.clear()
            self._counts.clear()
            self._bytes = 0

    def summary(self, last: int) -> list[dict[str, object]]:
        """Return, per provider and model, the number of requests and the last ones."""
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

"""Time: a clock that is passed in, so that tests can control it, and instants as text."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["Clock", "parse_iso", "to_iso"]


@dataclass(frozen=True, slots=True)
class Clock:
    """The sources of time and chance.

    `now` returns epoch seconds, which all environments share; `monotonic` returns seconds for durations; `jitter`
    returns a number in [0, 1).
    """

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random


def to_iso(moment: float) -> str:
    """Return epoch seconds as 2026-11-24T13:05:00.250Z, to the nearest millisecond."""
    whole, milliseconds = divmod(round(moment * 1000), 1000)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


def parse_iso(moment: str) -> float:
    """Return the epoch seconds of an ISO 8601 time with a zone, to the millisecond. Raises ValueError."""
    at = datetime.fromisoformat(moment)
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return round(at.timestamp(), 3)

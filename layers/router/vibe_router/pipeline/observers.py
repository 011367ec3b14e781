"""Observers: what the router reports completed requests to, after the answer has been sent.

Without observers nothing is imported or called.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vibe_router.core.record import Record
from vibe_router.routing.outcome import Attempt

__all__ = ["CompletedRequest", "RequestObserver"]


@dataclass(frozen=True, slots=True)
class CompletedRequest:
    """A request whose answer has ended. `started` is in monotonic seconds, as in `Attempt.started`."""

    record: Record
    attempts: Sequence[Attempt]
    started: float
    traceparent: str | None


class RequestObserver(Protocol):
    """Receives every completed request, once."""

    def observe(self, request: CompletedRequest, /) -> None:
        """Take note of `request`. An exception is logged and changes nothing else."""

"""Observers: what the router reports completed requests to, after the answer has been sent.

Without observers nothing is imported or called.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from vibe_router.access.keys import Caller, Limits
from vibe_router.core.models import VirtualModel
from vibe_router.core.record import Record
from vibe_router.pipeline.trace import AttemptTrace
from vibe_router.routing.outcome import Attempt

__all__ = ["CompletedRequest", "RequestObserver"]


@dataclass(frozen=True, slots=True)
class CompletedRequest:
    """A request whose answer has ended. `started` is in monotonic seconds, as in `Attempt.started`.

    `ledgers` are those that it was charged in, with their limits.
    """

    record: Record
    attempts: Sequence[Attempt]
    started: float
    traceparent: str | None
    trace: AttemptTrace | None = None
    model: VirtualModel | None = None
    caller: Caller | None = None
    ledgers: Mapping[str, Limits] = field(default_factory=dict)


class RequestObserver(Protocol):
    """Receives every completed request, once."""

    def observe(self, request: CompletedRequest, /) -> None:
        """Take note of `request`. An exception is logged and changes nothing else."""

"""How long an attempt may take: its own timeouts, within what the request and the layers behind it leave.

All values are seconds; instants are of one monotonic clock.
"""

from dataclasses import dataclass

from vibe_router.core.models import Timeouts

__all__ = ["BEFORE_COMMIT", "Bounds", "Deadline", "lease_seconds"]

# API Gateway drops a connection that has been without a byte for 300 s; 20 s are left for an error to be told.
BEFORE_COMMIT = 280.0
# What a layer behind keeps when an earlier one is slow: the default time to a first byte.
_ROOM_PER_LAYER = 30.0
# Lambda ends an invocation without warning; what the end of the stream and the settling need.
_SETTLE = 10.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """Instants by which one attempt must have got somewhere."""

    connect: float  # seconds, not an instant
    first_byte: float
    commit: float  # the first token of a stream, the last byte of a whole answer


@dataclass(frozen=True, slots=True)
class Deadline:
    """The ends of one request: nothing may be uncommitted after `commit`, nothing at all may run after `end`."""

    commit: float
    end: float

    @classmethod
    def of(cls, started: float, invocation_left: float, total: float) -> "Deadline":
        """Set out the deadline of a request that started at `started` with `invocation_left` seconds of Lambda time."""
        end = started + max(min(total, invocation_left - _SETTLE), 0.0)
        return cls(commit=min(started + BEFORE_COMMIT, end), end=end)

    def share(self, now: float, layers_behind: int) -> float:
        """Return the seconds an attempt may take before its commit, leaving room for `layers_behind`.

        A layer behind keeps 30 s, or an equal share of what is left when there is less.
        """
        left = max(self.commit - now, 0.0)
        return max(left - _ROOM_PER_LAYER * layers_behind, left / (layers_behind + 1))

    def bounds(self, timeouts: Timeouts, now: float, *, layers_behind: int, stream: bool, probe: bool) -> Bounds:
        """Return the instants that bound an attempt starting at `now`.

        `stream` says whether the provider is asked for a stream (a probe always is).
        """
        limit = now + self.share(now, layers_behind)
        if probe:
            first_byte, commit = timeouts.probe, timeouts.probe + timeouts.first_token
        elif stream:
            first_byte, commit = timeouts.first_byte, timeouts.first_token
        else:
            first_byte = commit = timeouts.response
        return Bounds(
            connect=min(timeouts.connect, max(limit - now, 0.001)),
            first_byte=min(now + first_byte, now + commit, limit),
            commit=min(now + commit, limit),
        )


def lease_seconds(timeouts: Timeouts) -> float:
    """Return how long a probe's lease lasts: longer than the probe can take to its commit, so that it is one probe."""
    return min(timeouts.connect + timeouts.probe + timeouts.first_token, BEFORE_COMMIT) + 5

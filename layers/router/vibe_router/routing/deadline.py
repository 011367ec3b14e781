"""The time limits of an attempt: its own timeouts, within the deadline of the request and the share of later attempts.

All values are in seconds; instants are of one monotonic clock.
"""

from dataclasses import dataclass

from vibe_router.core.models import Timeouts

__all__ = ["BEFORE_COMMIT", "Bounds", "Deadline", "lease_seconds"]

# API Gateway drops a connection after 300 s without a byte; 20 s are left to report an error.
BEFORE_COMMIT = 280.0
# Reserved for each later deployment when an earlier one is slow: the default time to a first byte.
_RESERVED_PER_DEPLOYMENT = 30.0
# Lambda ends an invocation without warning: the time to end the stream and to settle.
_SETTLE = 10.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """The instants by which an attempt must have connected, received its first byte, and committed."""

    connect: float  # seconds, not an instant
    first_byte: float
    commit: float  # the first token of a stream, the last byte of a whole answer


@dataclass(frozen=True, slots=True)
class Deadline:
    """The deadlines of one request: its answer commits by `commit`, and ends by `end`."""

    commit: float
    end: float

    @classmethod
    def of(cls, started: float, invocation_left: float, total: float) -> "Deadline":
        """Return the deadline of a request that started at `started` with `invocation_left` seconds of Lambda time."""
        end = started + max(min(total, invocation_left - _SETTLE), 0.0)
        return cls(commit=min(started + BEFORE_COMMIT, end), end=end)

    def share(self, now: float, remaining: int) -> float:
        """Return the seconds that an attempt may take up to its commit, with `remaining` deployments after it.

        30 s are reserved for each of these, or an equal share of the time left if that is less.
        """
        left = max(self.commit - now, 0.0)
        return max(left - _RESERVED_PER_DEPLOYMENT * remaining, left / (remaining + 1))

    def bounds(self, timeouts: Timeouts, now: float, *, remaining: int, stream: bool, probe: bool) -> Bounds:
        """Return the instants that bound an attempt starting at `now`.

        `stream` says whether the provider is asked for a stream (a probe always is).
        """
        limit = now + self.share(now, remaining)
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
    """Return the seconds of a probe's lease: longer than the probe takes, so that it stays the only one."""
    return min(timeouts.connect + timeouts.probe + timeouts.first_token, BEFORE_COMMIT) + 5

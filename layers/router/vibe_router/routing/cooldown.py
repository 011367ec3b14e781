"""What the fleet remembers of a deployment or credential, and how that changes.

A `State` is one StateTable item. Every change is a pure function from the state that was seen to its successor, which
carries the next `version`; the store writes a successor only while the seen version still stands. So whatever many
environments decide at once, one change wins, and the rest learn the winner:

    env A  sees v0 ── fails ── writes v1 (strike 1) ✓
    env B  sees v0 ── fails ─────── writes v1 ✗ (v1 stands: the same incident, no second strike)
    env C  sees v1, `until` passed ── leases v2 ✓ ── calls ── commits: clears v3, or fails: v3 (strike 2)
    env D  sees v1, `until` passed ───── leases v2 ✗ ── keeps away

A cleared state stays as an item with its version, so that a failure that began before the incident cannot bring the
cooldown back; the table's TTL removes it long after any request could still refer to it.
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from vibe_router.core.models import CooldownPolicy
from vibe_router.routing.verdict import Classification, Verdict

__all__ = ["Phase", "State", "cleared", "cooled", "healthy", "leased", "released"]

# Seconds. A probe of a deployment that fails fast costs next to nothing: one that has recovered serves again soon.
_LONGEST_AFTER_FAST_FAILURE = 20.0
# Every probe of a silent deployment costs a caller time; rate limits are over within minutes.
_LONGEST_AFTER_SILENCE = 300.0

_KEEP_SECONDS = 86_400  # how long an item outlives its last use; a request lives 15 minutes at most


class Phase(StrEnum):
    """Where a state stands at a moment."""

    HEALTHY = "healthy"
    COOLING = "cooling"
    DUE = "due"  # the cooldown is over; the next request to win the lease probes
    PROBING = "probing"  # somebody holds the lease


@dataclass(frozen=True, slots=True)
class State:
    """One StateTable item. Times are epoch seconds; `until` is 0 while nothing is wrong."""

    id: str
    version: int = 0
    until: float = 0
    verdict: Verdict | None = None
    strikes: int = 0
    since: float = 0
    evidence: str = ""
    lease_until: float = 0
    expires_at: int = 0

    def phase(self, now: float) -> Phase:
        """Say where this state stands at `now`."""
        if not self.until:
            return Phase.HEALTHY
        if now < self.until:
            return Phase.COOLING
        return Phase.PROBING if now < self.lease_until else Phase.DUE

    @property
    def free_at(self) -> float:
        """When the next request may be let through: the end of the cooldown, or of the probe's lease."""
        return max(self.until, self.lease_until)


def healthy(state_id: str) -> State:
    """Return the state of an id that was never written: version 0, no cooldown."""
    return State(state_id)


def cooled(
    state: State,
    classification: Classification,
    policy: CooldownPolicy,
    now: float,
    *,
    evidence: str,
    same_incident: bool = False,
) -> State:
    """Return `state` after a failure: one more strike, and a longer rest.

    The rest is the provider's own reset hint if it gave one, else `base` doubled with every strike up to the limit of
    its verdict; neither exceeds `max`. A second failure of the `same_incident` (a retry) replaces the evidence without
    a strike, and never shortens the rest.
    """
    strikes = max(state.strikes, 1) if same_incident else state.strikes + 1
    grown = policy.base * 2.0 ** min(strikes - 1, 30)  # 2**30 s is beyond any max
    rest = min(classification.reset_after or min(grown, _limit(classification)), policy.max)
    until = now + rest
    return State(
        id=state.id,
        version=state.version + 1,
        until=max(until, state.until) if same_incident else until,
        verdict=classification.verdict,
        strikes=strikes,
        since=state.since if state.until else now,
        evidence=evidence,
        expires_at=int(until + _KEEP_SECONDS),
    )


def _limit(classification: Classification) -> float:
    """Return the longest rest without a hint, in seconds."""
    match classification.verdict:
        case Verdict.TRANSIENT if not classification.silent:
            return _LONGEST_AFTER_FAST_FAILURE
        case Verdict.TRANSIENT | Verdict.RATE_LIMITED:
            return _LONGEST_AFTER_SILENCE
    return math.inf


def leased(state: State, now: float, seconds: float) -> State:
    """Return `state` with the probe's lease taken for `seconds`."""
    return replace(
        state,
        version=state.version + 1,
        lease_until=now + seconds,
        expires_at=int(now + seconds + _KEEP_SECONDS),
    )


def released(state: State) -> State:
    """Return `state` with its lease given back: due, as it was."""
    return replace(state, version=state.version + 1, lease_until=0)


def cleared(state: State, now: float) -> State:
    """Return `state` healed: no cooldown, no strikes, no lease."""
    return State(id=state.id, version=state.version + 1, expires_at=int(now + _KEEP_SECONDS))

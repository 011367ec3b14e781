"""The state of a deployment or credential, shared by all environments, and its changes.

A `State` is one StateTable item. Every change is a pure function from the state that was read to its successor, which
has the next `version`; the store writes a successor only if the version that was read is still current. So one of many
concurrent changes wins, and the other environments get its state:

    env A  sees v0 ── fails ── writes v1 (strike 1) ✓
    env B  sees v0 ── fails ─────── writes v1 ✗ (v1 exists: the same incident, no second strike)
    env C  sees v1, `until` passed ── leases v2 ✓ ── calls ── commits: clears v3, or fails: v3 (strike 2)
    env D  sees v1, `until` passed ───── leases v2 ✗ ── skips it

One caller's prompts can make a provider fail. Further transient failures of the caller whose failure gave the first
strike give no strike: they cool the deployment for that conversation, or for that caller after a failure in a second
conversation, and for no other caller. The failure of a second caller counts for all.

A cleared state stays as an item with its version, so that a failure that began before the incident cannot bring the
cooldown back; the table's TTL removes it long after any request could still refer to it.
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from vibe_router.core.models import CooldownPolicy
from vibe_router.routing.verdict import Classification, Verdict

__all__ = ["Phase", "State", "claimed", "cleared", "cooled", "healthy", "leased", "released"]

# Seconds. A probe of a deployment that fails fast costs little, so it is probed often and serves again soon.
_LONGEST_AFTER_FAST_FAILURE = 20.0
# Every probe of a silent deployment costs a caller time; rate limits are over within minutes.
_LONGEST_AFTER_SILENCE = 300.0

# Seconds for which the origin of a failure is remembered: longer than the longest cooldown after a transient failure.
_ORIGIN_SECONDS = 600.0

_KEEP_SECONDS = 86_400  # how long an item outlives its last use; a request lives 15 minutes at most


class Phase(StrEnum):
    """The phase of a state at a moment."""

    HEALTHY = "healthy"
    COOLING = "cooling"
    DUE = "due"  # the cooldown is over; the next request to win the lease probes
    PROBING = "probing"  # a request holds the lease


@dataclass(frozen=True, slots=True)
class State:
    """One StateTable item. Times are epoch seconds; `until` is 0 while nothing is wrong.

    `hinted`: whether `until` is the provider's own reset time. `origin` is the caller and the conversation of the last
    strike, `caller/conversation`, or `caller/` once two of its conversations failed; empty once two callers did.
    `repeats` are the further failures of this origin, the last one at `origin_at`; it is not sent there until
    `origin_until`. `last_resort_at`: the last call in spite of a cooldown.
    """

    id: str
    version: int = 0
    until: float = 0
    verdict: Verdict | None = None
    strikes: int = 0
    since: float = 0
    evidence: str = ""
    lease_until: float = 0
    expires_at: int = 0
    hinted: bool = False
    origin: str = ""
    origin_at: float = 0
    origin_until: float = 0
    repeats: int = 0
    last_resort_at: float = 0

    def phase(self, now: float) -> Phase:
        """Return the phase at `now`."""
        if not self.until:
            return Phase.HEALTHY
        if now < self.until:
            return Phase.COOLING
        return Phase.PROBING if now < self.lease_until else Phase.DUE

    def seen_by(self, origin: str, now: float) -> "State":
        """Return the state that counts for `origin`, whose cooldown may be longer."""
        if now < self.origin_until and _covers(self.origin, origin):
            return replace(self, until=max(self.until, self.origin_until))
        return self

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
    origin: str = "",
) -> State:
    """Return `state` after a failure: one more strike, and a longer cooldown.

    The cooldown lasts until the provider's own reset hint if it gave one, else `base` doubled with every strike up to
    the limit of its verdict; neither exceeds `max`. A second failure of the `same_incident` (a retry) replaces the
    evidence without a strike, and never shortens the cooldown. `origin` is the caller and the conversation,
    `caller/conversation`, whose request failed; empty for a failure that no request can cause.
    """
    if not same_incident and _is_repeat(state, classification, origin, now):
        return _repeated(state, classification, policy, now, evidence, origin)
    strikes = max(state.strikes, 1) if same_incident else state.strikes + 1
    grown = policy.base * 2.0 ** min(strikes - 1, 30)  # 2**30 s is beyond any max
    seconds = min(classification.reset_after or min(grown, _limit(classification)), policy.max)
    until = now + seconds
    first = origin if state.strikes == 0 else state.origin if same_incident else ""
    return State(
        id=state.id,
        version=state.version + 1,
        until=max(until, state.until) if same_incident else until,
        verdict=classification.verdict,
        strikes=strikes,
        since=state.since if state.until else now,
        evidence=evidence,
        expires_at=int(until + _KEEP_SECONDS),
        hinted=bool(classification.reset_after),
        origin=first,
        origin_at=now if first else 0,
        last_resort_at=state.last_resort_at,
    )


def _is_repeat(state: State, classification: Classification, origin: str, now: float) -> bool:
    """Return whether the failure is another one of the caller whose failure gave the last strike."""
    is_same_caller = bool(origin) and state.origin.partition("/")[0] == origin.partition("/")[0]
    is_provoked = classification.verdict is Verdict.TRANSIENT and not classification.reset_after
    return is_same_caller and is_provoked and now - state.origin_at < _ORIGIN_SECONDS


def _repeated(
    state: State, classification: Classification, policy: CooldownPolicy, now: float, evidence: str, origin: str
) -> State:
    repeats = state.repeats + 1
    grown = policy.base * 2.0 ** min(max(state.strikes, 1) - 1 + repeats, 30)
    until = now + min(grown, _limit(classification), policy.max)
    return replace(
        state,
        version=state.version + 1,
        evidence=evidence,
        lease_until=0,
        origin=state.origin if _covers(state.origin, origin) else origin.partition("/")[0] + "/",
        origin_at=now,
        origin_until=until,
        repeats=repeats,
        expires_at=int(until + _KEEP_SECONDS),
    )


def _covers(remembered: str, origin: str) -> bool:
    """Return whether `remembered`, a conversation or a caller, is `origin` or its caller."""
    if remembered.endswith("/"):
        return origin.startswith(remembered)
    return bool(remembered) and remembered == origin


def _limit(classification: Classification) -> float:
    """Return the longest cooldown without a hint, in seconds."""
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
    """Return `state` with its lease released: due for a probe again."""
    return replace(state, version=state.version + 1, lease_until=0)


def claimed(state: State, now: float) -> State:
    """Return `state` with the time of a call as the last resort."""
    expires_at = int(max(state.until, now) + _KEEP_SECONDS)
    return replace(state, version=state.version + 1, last_resort_at=now, expires_at=expires_at)


def cleared(state: State, now: float, origin: str = "") -> State:
    """Return `state` healed: no cooldown, no strikes, no lease.

    The origin of the last strike is remembered, since it may fail again, unless the answer went to it: then its next
    failure is a new incident.
    """
    healed = State(
        id=state.id,
        version=state.version + 1,
        expires_at=int(now + _KEEP_SECONDS),
        last_resort_at=state.last_resort_at,
    )
    if _covers(state.origin, origin):
        return healed
    return replace(
        healed,
        origin=state.origin,
        origin_at=state.origin_at,
        origin_until=state.origin_until,
        repeats=state.repeats,
    )

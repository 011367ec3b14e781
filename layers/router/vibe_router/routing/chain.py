"""Plan a chain: the deployments on which a request is tried, their order, and those to skip."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from vibe_router.core.models import Deployment, VirtualModel
from vibe_router.routing.cooldown import Phase, State, healthy
from vibe_router.routing.verdict import Verdict

__all__ = ["Candidate", "Mode", "Plan", "Skipped", "in_order", "last_resort", "plan"]

_HEALED_BY_OPERATOR = frozenset({Verdict.QUOTA, Verdict.AUTH})


class Mode(StrEnum):
    """Why a candidate may be called."""

    NORMAL = "normal"
    PROBE = "probe"  # its cooldown is over: only the holder of the lease may call it
    LAST_RESORT = "last_resort"  # all are cooling, and this one is the next to come free


@dataclass(frozen=True, slots=True)
class Candidate:
    """A deployment to try, with its two states as planned."""

    deployment: Deployment
    mode: Mode
    state: State
    credential: State

    def due(self, now: float) -> tuple[State, ...]:
        """Return the states whose lease a probe needs before it may call."""
        return tuple(state for state in (self.state, self.credential) if state.phase(now) is Phase.DUE)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A deployment to skip: it is cooling, or another request is probing it."""

    deployment: Deployment
    verdict: Verdict
    free_at: float  # epoch seconds
    hinted: bool = False  # whether the provider named that time


@dataclass(frozen=True, slots=True)
class Plan:
    """The candidates in the order to try them, and the deployments to skip."""

    candidates: tuple[Candidate, ...]
    skipped: tuple[Skipped, ...]


def plan(
    model: VirtualModel,
    states: Mapping[str, State],
    now: float,
    affinity: bytes = b"",
    origin: Callable[[], str] = str,
    order: Sequence[Deployment] | None = None,
) -> Plan:
    """Plan the chain of `model` at `now` (epoch seconds).

    `states` are by id; a missing one is healthy. `affinity` identifies the conversation: within a step it picks the
    deployment, so that a conversation stays at the provider that has cached its prompt. `origin`
    returns the caller and the conversation, as in `State.origin`; it is called only if a state depends on it. `order`
    replaces the order of steps and weights.
    """
    candidates: list[Candidate] = []
    skipped: list[Skipped] = []
    for deployment in in_order(model, affinity) if order is None else order:
        state, credential = (states.get(state_id) or healthy(state_id) for state_id in deployment.state_ids)
        seen = state.seen_by(origin(), now) if state.origin_until > now else state
        phases = {seen.phase(now), credential.phase(now)}
        if Phase.COOLING in phases or Phase.PROBING in phases:
            skipped.append(skip(deployment, seen, credential, now))
        else:
            mode = Mode.PROBE if Phase.DUE in phases else Mode.NORMAL
            candidates.append(Candidate(deployment, mode, state, credential))
    return Plan(tuple(candidates), tuple(skipped))


def skip(deployment: Deployment, state: State, credential: State, now: float) -> Skipped:
    """Return `deployment` as skipped: until the later of its two states is free, for the graver reason."""
    blocking = [each for each in (state, credential) if each.phase(now) in (Phase.COOLING, Phase.PROBING)]
    latest = max(blocking or [state], key=lambda each: each.free_at)
    graver = next((each for each in blocking if each.verdict in _HEALED_BY_OPERATOR), latest)
    hinted = any(each.hinted for each in blocking)
    return Skipped(deployment, graver.verdict or Verdict.TRANSIENT, max(latest.free_at, now), hinted)


def last_resort(skipped: Sequence[Skipped]) -> Deployment | None:
    """Pick what to try once when everything is cooling: the soonest free.

    A deployment whose provider named a reset time, and one that only an operator can heal, would fail again.
    """
    candidates = [each for each in skipped if each.verdict not in _HEALED_BY_OPERATOR and not each.hinted]
    return min(candidates, key=lambda each: each.free_at).deployment if candidates else None


def in_order(model: VirtualModel, affinity: bytes) -> list[Deployment]:
    """Return the chain with every step's deployments in this conversation's order of preference."""
    return [deployment for step in model.steps for deployment in _by_preference(step, affinity)]


def _by_preference(step: tuple[Deployment, ...], affinity: bytes) -> Sequence[Deployment]:
    if len(step) == 1:
        return step
    return sorted(step, key=lambda deployment: _distance(deployment, affinity))


def _distance(deployment: Deployment, affinity: bytes) -> float:
    """Weighted rendezvous hashing: shares are proportional to weights, and a change moves only its own share."""
    digest = hashlib.blake2b(b"%s\0%s" % (deployment.id.encode(), affinity), digest_size=8).digest()
    uniform = (int.from_bytes(digest) + 0.5) / 2**64
    return -math.log(uniform) / deployment.weight

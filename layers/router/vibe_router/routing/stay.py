"""Sticky conversations: a conversation stays on the deployment that served it, even when an earlier step recovers.

So an incident costs a conversation one switch instead of two, and its prompt cache survives. Only a request with an
earlier turn of the model has something to stay with. Pure.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vibe_router.core.models import Deployment
from vibe_router.routing.cooldown import State

__all__ = ["Stay", "conversation_id", "has_earlier_turn", "has_recovered", "with_stay"]

_RECALLED = 3600.0  # seconds after a recovery for which conversations are looked up
_KEPT = 86_400.0  # for which a healed state is kept (routing.cooldown)
_MODEL_ROLES = ("assistant", "model")
_MODEL_ITEMS = ("function_call", "custom_tool_call", "reasoning")


@dataclass(frozen=True, slots=True)
class Stay:
    """The deployment that serves a conversation, and until when it stays there (epoch seconds)."""

    deployment: str
    until: float

    def needs_renewal(self, deployment: str, now: float, seconds: float) -> bool:
        """Return whether to write it again after an answer of `deployment`; a fifth of its time may pass before."""
        return self.deployment != deployment or self.until - now < 0.8 * seconds


def conversation_id(caller: str, model: str, affinity: bytes) -> str:
    """Return the id of a conversation by digests of its caller and its beginning."""
    return hashlib.blake2b(f"{caller}\0{model}\0".encode() + affinity, digest_size=16).hexdigest()


def has_earlier_turn(body: Mapping[str, Any]) -> bool:
    """Return whether a request holds an earlier turn of the model."""
    for name in ("messages", "input", "contents"):
        turns = body.get(name)
        if isinstance(turns, list):
            return any(
                isinstance(turn, dict) and (turn.get("role") in _MODEL_ROLES or turn.get("type") in _MODEL_ITEMS)
                for turn in turns
            )
    return False


def has_recovered(states: Iterable[State], now: float) -> bool:
    """Return whether one of `states` was healed within the last hour: then conversations may be elsewhere."""
    return any(state.version and not state.until and state.expires_at - _KEPT > now - _RECALLED for state in states)


def with_stay(order: Sequence[Deployment], stay: Stay | None, now: float) -> list[Deployment]:
    """Return `order` with the deployment first at which the conversation stays."""
    if stay is None or now >= stay.until:
        return list(order)
    kept = [each for each in order if each.id == stay.deployment]
    return kept + [each for each in order if each.id != stay.deployment]

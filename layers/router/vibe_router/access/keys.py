"""Who calls: virtual keys, the teams they belong to, and what each may do.

Money is in nano-dollars (1e-9 $), times are in epoch seconds. A key that belongs to a team may do what both allow: a
model must be allowed by both, and the limits of both hold.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from vibe_router.core.errors import ApiError, bad_key

__all__ = [
    "MASTER",
    "Caller",
    "Key",
    "Limits",
    "Team",
    "duration_seconds",
    "matches_any",
    "model_denied",
    "require_active",
]

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400, "mo": 30 * 86_400}
_DURATION = re.compile(r"([1-9][0-9]{0,8})(s|m|h|d|w|mo)", re.ASCII)
_LONGEST = 100 * 366 * 86_400  # a century: what is longer was meant otherwise


@dataclass(frozen=True, slots=True)
class Limits:
    """What a key or a team may use; None is no limit.

    `max_budget` is spent anew in every period of `budget_duration` ("30d"), or once where there is none. `rpm` and
    `tpm` are requests and tokens in a minute, `parallel` is requests at the same time.
    """

    max_budget: int | None = None
    budget_duration: str | None = None
    rpm: int | None = None
    tpm: int | None = None
    parallel: int | None = None

    @property
    def budget_seconds(self) -> int | None:
        """The length of a period. Raises ValueError where `budget_duration` is no duration."""
        return None if self.budget_duration is None else duration_seconds(self.budget_duration)

    def __bool__(self) -> bool:
        """Whether anything is limited."""
        return any(limit is not None for limit in (self.max_budget, self.rpm, self.tpm, self.parallel))


@dataclass(frozen=True, slots=True)
class Team:
    """What several keys have in common. `models` are names and patterns; none are all."""

    id: str
    alias: str | None = None
    models: tuple[str, ...] = ()
    blocked: bool = False
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = Limits()
    created_at: float = 0
    updated_at: float = 0
    version: int = 0


@dataclass(frozen=True, slots=True)
class Key:
    """A virtual key; what was shown is known by its hash alone.

    `hash` is the sha256 of the key in hex. `key_id` is the hash that the key had when it was made: it stays when the
    key is regenerated, and spending is filed under it. `name` is what may be shown of it ("sk-...abcd").
    """

    hash: str
    key_id: str
    name: str = ""
    alias: str | None = None
    models: tuple[str, ...] = ()
    expires: float | None = None
    blocked: bool = False
    deleted_at: float | None = None
    replaced_by: str | None = None  # the hash of the key that this one was regenerated to; it goes on until `expires`
    user_id: str | None = None
    team_id: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = Limits()
    created_at: float = 0
    updated_at: float = 0
    version: int = 0

    @property
    def deleted(self) -> bool:
        """Whether this is only what is left of the key."""
        return self.deleted_at is not None


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent a request: the holder of the master key (no `key`), or of a virtual key, with its team."""

    key: Key | None = None
    team: Team | None = None

    @property
    def is_master(self) -> bool:
        """Whether everything is allowed."""
        return self.key is None

    @property
    def key_id(self) -> str:
        """What usage is filed under."""
        return "master" if self.key is None else self.key.key_id

    @property
    def ledgers(self) -> dict[str, Limits]:
        """Ids of the ledgers that this caller's spending is kept in, with the limits of each; none for the master."""
        ledgers: dict[str, Limits] = {}
        if self.key:
            ledgers[f"key#{self.key.key_id}"] = self.key.limits
        if self.team:
            ledgers[f"team#{self.team.id}"] = self.team.limits
        return ledgers

    @property
    def tags(self) -> tuple[str, ...]:
        """The key's tags and the team's, each once."""
        found = (*(self.key.tags if self.key else ()), *(self.team.tags if self.team else ()))
        return tuple(dict.fromkeys(found))

    def may_use(self, model: str) -> bool:
        """Whether key and team both allow the virtual `model`."""
        return all(matches_any(holder.models, model) for holder in (self.key, self.team) if holder)

    def usable(self, models: Iterable[str]) -> list[str]:
        """Return those of `models` that the caller may use, in order."""
        return sorted(model for model in models if self.may_use(model))


MASTER = Caller()


def duration_seconds(text: str) -> int:
    """Return the seconds in "45s", "5m", "1h", "30d", "2w" or "1mo" (30 days). Raises ValueError."""
    if not (match := _DURATION.fullmatch(text)):
        raise ValueError("must be a whole number with a unit: s, m, h, d, w or mo, such as 30d")
    seconds = int(match[1]) * _UNITS[match[2]]
    if seconds > _LONGEST:
        raise ValueError("must be at most a hundred years")
    return seconds


def matches_any(patterns: Sequence[str], model: str) -> bool:
    """Whether one of `patterns` is `model` or matches it, `*` being anything. No patterns allow every model."""
    return not patterns or any(
        pattern == model or ("*" in pattern and _regex(pattern).fullmatch(model) is not None) for pattern in patterns
    )


def require_active(caller: Caller, now: float) -> None:
    """Let `caller` through, or say which of the reasons keeps it out. Raises ApiError (401)."""
    key, team = caller.key, caller.team
    if key is None:
        return
    if key.deleted:
        raise bad_key("key_deleted", "The API key sent was deleted.")
    if key.blocked:
        raise bad_key("key_blocked", "The API key sent is blocked.")
    if key.expires is not None and now >= key.expires:
        raise bad_key("key_expired", "The API key sent has expired.")
    if team and team.blocked:
        raise bad_key("key_blocked", "The team that the API key sent belongs to is blocked.")
    if key.team_id and not team:  # its limits are not known, so they can't be held
        raise bad_key("key_blocked", "The team that the API key sent belongs to does not exist.")


def model_denied(model: str, usable: Sequence[str]) -> ApiError:
    """Return the 403 for a model that the key is not meant for, naming those that it may use."""
    shown = model if len(model) <= 100 else f"{model[:100]}…"
    may = f"It may use: {', '.join(usable)}." if usable else "It may use none of the models there are."
    message = f"The API key sent may not use the model '{shown}'. {may}"
    return ApiError(403, message, type="auth_error", code="key_model_access_denied", param="model")


@lru_cache(maxsize=256)
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")), re.DOTALL)

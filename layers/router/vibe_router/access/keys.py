"""Virtual keys, teams and callers: which models they may use, and their limits.

Money is in nano-dollars (1e-9 $), times are in epoch seconds. A key of a team needs the permission of both: a model
must be allowed by both, and the limits of both apply.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vibe_router.core.errors import ApiError, bad_key
from vibe_router.core.models import LadderStep
from vibe_router.core.patterns import MAX_NAME, by_precedence, matches
from vibe_router.core.tags import bounded_text

__all__ = [
    "MASTER",
    "Caller",
    "Holder",
    "Key",
    "KeyOwner",
    "Ladders",
    "Limits",
    "ModelBudget",
    "Team",
    "duration_seconds",
    "ledger_parts",
    "matches_any",
    "model_denied",
    "model_ledger_id",
    "require_active",
    "user_ledger_id",
]

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400, "mo": 30 * 86_400}
_DURATION = re.compile(r"([1-9][0-9]{0,8})(s|m|h|d|w|mo)", re.ASCII)
_LONGEST = 100 * 366 * 86_400  # a century: anything longer is a mistake


Ladders = Mapping[str, tuple[LadderStep, ...]]
"""The budget ladders of a key or team, by virtual models (names or patterns). An empty one switches it off."""


@dataclass(frozen=True, slots=True)
class ModelBudget:
    """The budget of a key or team for one virtual model, or for all that match a pattern, in each `duration`."""

    model: str
    max_budget: int
    duration: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a key or team; None is no limit.

    `max_budget` applies to each period of `budget_duration` ("30d"), or to all time without one. `rpm` and `tpm` are
    requests and tokens per minute, `parallel` is concurrent requests. `models` are budgets of single models, which
    have ledgers of their own. `soft_budget` limits nothing: spending beyond it is reported.
    """

    max_budget: int | None = None
    budget_duration: str | None = None
    rpm: int | None = None
    tpm: int | None = None
    parallel: int | None = None
    soft_budget: int | None = None
    models: tuple[ModelBudget, ...] = ()

    @property
    def budget_seconds(self) -> int | None:
        """The length of a budget period. Raises ValueError for an invalid `budget_duration`."""
        return None if self.budget_duration is None else duration_seconds(self.budget_duration)

    def __bool__(self) -> bool:
        """Return whether requests have to be reserved to keep a limit of all models together."""
        return any(limit is not None for limit in (self.max_budget, self.rpm, self.tpm, self.parallel))

    @property
    def needs_reservation(self) -> bool:
        """Return whether requests are reserved: there is a limit, or spending is counted by budget period."""
        return bool(self) or self.budget_duration is not None

    def of_model(self, model: str) -> ModelBudget | None:
        """Return the budget that `model` is charged to as well: that of its name, else of the longest pattern."""
        if not self.models:
            return None
        budgets = {budget.model: budget for budget in self.models}
        if found := budgets.get(model):
            return found
        if len(model) > MAX_NAME:
            return None
        return next((budgets[each] for each in by_precedence(budgets) if matches(each, model)), None)


@dataclass(frozen=True, slots=True)
class Team:
    """A group of keys. `models` are names and patterns; none allow every model."""

    id: str
    alias: str | None = None
    models: tuple[str, ...] = ()
    blocked: bool = False
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = Limits()
    cache_seconds: int | None = None  # as of a key
    budget_ladder: Ladders = field(default_factory=dict)
    guards: tuple[str, ...] = ()  # that inspect its requests, beside those of the model
    created_at: float = 0
    updated_at: float = 0
    version: int = 0

    @property
    def ledger_id(self) -> str:
        """The id of its ledger."""
        return f"team#{self.id}"


@dataclass(frozen=True, slots=True)
class Key:
    """A virtual key. Its secret is not stored.

    `hash` is the sha256 of the secret in hex. `key_id` is the first such hash: it stays when the key is regenerated,
    and identifies its spending. `name` is the masked secret ("sk-...abcd").
    """

    hash: str
    key_id: str
    name: str = ""
    alias: str | None = None
    models: tuple[str, ...] = ()
    expires: float | None = None
    blocked: bool = False
    deleted_at: float | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)  # names and patterns, and the virtual model of each
    replaced_by: str | None = None  # the hash of its successor after regeneration; this one is valid until `expires`
    user_id: str | None = None
    user_limited: bool = False  # whether something is stored that limits its user (KeyOwner)
    team_id: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = Limits()
    cache_seconds: int | None = None  # for which its answers are stored; 0 for none, None for what the model says
    archive: bool = False  # whether its requests and answers are archived
    budget_ladder: Ladders = field(default_factory=dict)
    guards: tuple[str, ...] = ()  # that inspect its requests, beside those of the model
    created_at: float = 0
    updated_at: float = 0
    version: int = 0

    @property
    def ledger_id(self) -> str:
        """The id of its ledger."""
        return f"key#{self.key_id}"

    @property
    def deleted(self) -> bool:
        """Return whether this is the tombstone of a deleted key."""
        return self.deleted_at is not None


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """A user who owns keys: those whose `user_id` is `id`. They share its models and limits."""

    id: str
    alias: str | None = None
    email: str | None = None
    models: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = Limits()
    budget_ladder: Ladders = field(default_factory=dict)
    created_at: float = 0
    updated_at: float = 0
    version: int = 0

    @property
    def ledger_id(self) -> str:
        """The id of its ledger."""
        return user_ledger_id(self.id)

    @property
    def is_limited(self) -> bool:
        """Return whether requests of its keys depend on it."""
        return bool(self.models or self.budget_ladder or self.limits != Limits())


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request: a virtual key with its team and user, or the master key (`key` is None).

    `user` is None unless something is stored of it.
    """

    key: Key | None = None
    team: Team | None = None
    user: KeyOwner | None = None

    @property
    def is_master(self) -> bool:
        """Return whether this is the master key, which may do everything."""
        return self.key is None

    @property
    def key_id(self) -> str:
        """The id under which usage is recorded."""
        return "master" if self.key is None else self.key.key_id

    @property
    def holders(self) -> "tuple[Holder, ...]":
        """The key, its team and its user, as far as there are any."""
        return tuple(each for each in (self.key, self.team, self.user) if each)

    @property
    def ledgers(self) -> dict[str, Limits]:
        """The ids of the ledgers that this caller is charged in, with the limits of each; none for the master key.

        Those of the budgets of single models are left out.
        """
        return {holder.ledger_id: holder.limits for holder in self.holders}

    def ledgers_for(self, model: str) -> dict[str, Limits]:
        """Return the ledgers that a request for the virtual `model` is charged in, with the limits of each."""
        ledgers = self.ledgers
        for holder in self.holders:
            if budget := holder.limits.of_model(model):
                limits = Limits(max_budget=budget.max_budget, budget_duration=budget.duration)
                ledgers[model_ledger_id(holder, budget.model)] = limits
        return ledgers

    @property
    def ledger_ids(self) -> list[str]:
        """The ids of all ledgers that any of its requests is charged in."""
        of_models = (
            model_ledger_id(holder, budget.model) for holder in self.holders for budget in holder.limits.models
        )
        return [*self.ledgers, *of_models]

    @property
    def has_budget_rules(self) -> bool:
        """Return whether key, team or user has a budget ladder or a soft budget."""
        return any(holder.budget_ladder or holder.limits.soft_budget is not None for holder in self.holders)

    @property
    def tags(self) -> tuple[str, ...]:
        """The key's tags and the team's, each once."""
        found = (*(self.key.tags if self.key else ()), *(self.team.tags if self.team else ()))
        return tuple(dict.fromkeys(found))

    @property
    def aliases(self) -> Mapping[str, str]:
        """The key's own aliases of virtual models."""
        return self.key.aliases if self.key else {}

    def cache_seconds(self, of_model: int) -> int:
        """Return for how long repeatable answers are stored: as key, team or model says, the nearest one."""
        for holder in (self.key, self.team):
            if holder and holder.cache_seconds is not None:
                return holder.cache_seconds
        return of_model

    @property
    def guards(self) -> tuple[str, ...]:
        """The guards of the key and its team, each once."""
        holders = (self.key, self.team)
        return tuple(dict.fromkeys(name for holder in holders if holder for name in holder.guards))

    def may_use(self, model: str) -> bool:
        """Return whether key, team and user all allow the virtual `model`."""
        return all(matches_any(each.models, model) for each in self.holders)

    def names_model(self, model: str) -> bool:
        """Return whether the key lists `model` itself, and not only a pattern of it."""
        return self.key is not None and model in self.key.models

    def usable(self, models: Iterable[str]) -> list[str]:
        """Return the models that the caller may use, sorted."""
        return sorted(model for model in models if self.may_use(model))


MASTER = Caller()
Holder = Key | Team | KeyOwner
"""What has models, limits and a ledger."""


def user_ledger_id(user_id: str) -> str:
    """Return the id of the ledger of a user; number signs separate the parts of such an id."""
    return f"user#{bounded_text(user_id).replace('%', '%25').replace('#', '%23')}"


def model_ledger_id(holder: Holder, model: str) -> str:
    """Return the id of the ledger of the holder's budget for `model`, a name or pattern of Limits.models."""
    return f"{holder.ledger_id}#{model}"


def ledger_parts(ledger_id: str) -> tuple[str, str, str]:
    """Return whose a ledger is (key, team, user), the holder's id, and the model that it is for, "" without one."""
    owner, _, rest = ledger_id.partition("#")
    holder_id, _, model = rest.partition("#")
    return owner, holder_id, model


def duration_seconds(text: str) -> int:
    """Return the seconds in "45s", "5m", "1h", "30d", "2w" or "1mo" (30 days). Raises ValueError."""
    if not (match := _DURATION.fullmatch(text)):
        raise ValueError("must be a whole number with a unit: s, m, h, d, w or mo, such as 30d")
    seconds = int(match[1]) * _UNITS[match[2]]
    if seconds > _LONGEST:
        raise ValueError("must be at most a hundred years")
    return seconds


def matches_any(patterns: Sequence[str], model: str) -> bool:
    """Return whether one of `patterns` matches the name `model`; `*` is any text. No patterns allow every model.

    Takes time proportional to the lengths, whatever a caller names.
    """
    if not patterns:
        return True
    return len(model) <= MAX_NAME and any(matches(pattern, model) for pattern in patterns)


def require_active(caller: Caller, now: float) -> None:
    """Raise ApiError (401) if `caller` is deleted, blocked or expired, or its team is blocked or missing."""
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
    if key.team_id and not team:  # its limits are unknown, so they cannot be enforced
        raise bad_key("key_blocked", "The team that the API key sent belongs to does not exist.")


def model_denied(model: str, usable: Sequence[str], *, is_alias: bool = False) -> ApiError:
    """Return the 403 for a model that the key may not use, naming those that it may.

    With `is_alias`, `model` is an alias: it is the model behind it that the key may not use, which is not named.
    """
    shown = model if len(model) <= 100 else f"{model[:100]}…"
    may = f"It may use: {', '.join(usable)}." if usable else "It may not use any model of this router."
    which = f"model that '{shown}' is an alias of" if is_alias else f"model '{shown}'"
    message = f"The API key sent may not use the {which}. {may}"
    return ApiError(403, message, type="auth_error", code="key_model_access_denied", param="model")

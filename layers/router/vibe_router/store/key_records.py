"""The rows of the KeysTable, as Key and Team.

    id                    attributes
    key#<sha256 in hex>   those of `Key`: key_id, name, alias, models, expires, blocked, team_id …, and its limits
    team#<id>             those of `Team`
    user#<user_id>        those of `KeyOwner`
    alias#<alias>         hash: the key that has the alias; it keeps aliases unique

Absent attributes are None or empty. A deleted key leaves a tombstone until TTL removes it (`expires_at`), so that its
holder learns why the key stopped working.
"""

from collections.abc import Mapping
from typing import Any

from vibe_router.access.keys import Key, KeyOwner, Ladders, Limits, ModelBudget, Team, duration_seconds
from vibe_router.core.models import LadderStep
from vibe_router.core.rows import (
    CorruptRowError,
    read_flag,
    read_int,
    read_mapping,
    read_text,
    read_text_mapping,
    read_texts,
    read_time,
)
from vibe_router.store.dynamodb import Value

__all__ = [
    "alias_record_id",
    "key_record",
    "key_record_id",
    "parse_key",
    "parse_team",
    "parse_user",
    "team_record",
    "team_record_id",
    "user_record",
    "user_record_id",
]

_LIMITS = {
    "max_budget": "max_budget",  # attribute of the record: field of Limits
    "budget_duration": "budget_duration",
    "rpm_limit": "rpm",
    "tpm_limit": "tpm",
    "max_parallel_requests": "parallel",
    "soft_budget": "soft_budget",
}
_TOMBSTONE_SECONDS = 90 * 86_400


def key_record_id(key_hash: str) -> str:
    """Return the id of the record of the key with this hash."""
    return f"key#{key_hash}"


def team_record_id(team_id: str) -> str:
    """Return the id of the record of a team."""
    return f"team#{team_id}"


def user_record_id(user_id: str) -> str:
    """Return the id of the record of a user."""
    return f"user#{user_id}"


def alias_record_id(alias: str) -> str:
    """Return the id of the record that maps an alias to its key."""
    return f"alias#{alias}"


def key_record(key: Key) -> dict[str, Value]:
    """Return the record of `key`; `parse_key` is its inverse."""
    values: dict[str, Value] = {
        "id": key_record_id(key.hash),
        "key_id": key.key_id,
        "name": key.name,
        "aliases": key.aliases or None,
        "expires": key.expires,
        "deleted_at": key.deleted_at,
        "replaced_by": key.replaced_by,
        "user_id": key.user_id,
        "user_limited": key.user_limited or None,
        "team_id": key.team_id,
        **_holder_record(key),
        "archive": key.archive or None,
    }
    if key.deleted_at is not None:
        values["expires_at"] = int(key.deleted_at) + _TOMBSTONE_SECONDS
    return {name: value for name, value in values.items() if value is not None}


def team_record(team: Team) -> dict[str, Value]:
    """Return the record of `team`; `parse_team` is its inverse."""
    values = {"id": team_record_id(team.id), **_holder_record(team)}
    return {name: value for name, value in values.items() if value is not None}


def _holder_record(holder: Key | Team) -> dict[str, Value]:
    """Return the attributes that the records of keys and teams share."""
    return {
        "alias": holder.alias,
        "models": holder.models,
        "blocked": holder.blocked,
        "tags": holder.tags,
        "metadata": holder.metadata,
        "created_at": holder.created_at,
        "updated_at": holder.updated_at,
        "version": holder.version,
        "guards": holder.guards or None,
        "cache_seconds": holder.cache_seconds,
        "budget_ladder": _ladders_record(holder.budget_ladder),
        **_limits_record(holder.limits),
    }


def user_record(owner: KeyOwner) -> dict[str, Value]:
    """Return the record of a user; `parse_user` is its inverse."""
    values: dict[str, Value] = {
        "id": user_record_id(owner.id),
        "alias": owner.alias,
        "email": owner.email,
        "models": owner.models,
        "metadata": owner.metadata,
        "created_at": owner.created_at,
        "updated_at": owner.updated_at,
        "version": owner.version,
        "budget_ladder": _ladders_record(owner.budget_ladder),
        **_limits_record(owner.limits),
    }
    return {name: value for name, value in values.items() if value is not None}


def parse_user(values: Mapping[str, Any]) -> KeyOwner:
    """Parse the record of a user. Raises CorruptRowError."""
    return KeyOwner(
        id=_own_id(values, "user#"),
        alias=read_text(values, "alias"),
        email=read_text(values, "email"),
        models=read_texts(values, "models"),
        limits=_limits(values),
        budget_ladder=_ladders(values),
        metadata=read_mapping(values, "metadata"),
        created_at=read_time(values, "created_at") or 0,
        updated_at=read_time(values, "updated_at") or 0,
        version=read_int(values, "version") or 0,
    )


def parse_key(values: Mapping[str, Any]) -> Key:
    """Parse the record of a key. Raises CorruptRowError."""
    deleted_at = read_time(values, "deleted_at")
    return Key(
        hash=_own_id(values, "key#"),
        key_id=read_text(values, "key_id") or _own_id(values, "key#"),
        name=read_text(values, "name") or "",
        aliases=read_text_mapping(values, "aliases"),
        expires=read_time(values, "expires"),
        deleted_at=deleted_at,
        replaced_by=read_text(values, "replaced_by"),
        user_id=read_text(values, "user_id"),
        user_limited=read_flag(values, "user_limited"),
        team_id=read_text(values, "team_id"),
        **_holder_fields(values),
        archive=read_flag(values, "archive"),
    )


def parse_team(values: Mapping[str, Any]) -> Team:
    """Parse the record of a team. Raises CorruptRowError."""
    return Team(id=_own_id(values, "team#"), **_holder_fields(values))


def _holder_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that `Key` and `Team` share. Raises CorruptRowError."""
    return {
        "alias": read_text(values, "alias"),
        "models": read_texts(values, "models"),
        "blocked": read_flag(values, "blocked"),
        "tags": read_texts(values, "tags"),
        "metadata": read_mapping(values, "metadata"),
        "limits": _limits(values),
        "cache_seconds": read_int(values, "cache_seconds"),
        "budget_ladder": _ladders(values),
        "guards": read_texts(values, "guards"),
        "created_at": read_time(values, "created_at") or 0,
        "updated_at": read_time(values, "updated_at") or 0,
        "version": read_int(values, "version") or 0,
    }


def _limits_record(limits: Limits) -> dict[str, Value]:
    budgets: Value = {each.model: [each.max_budget, each.duration] for each in limits.models}
    return {
        **{name: getattr(limits, field) for name, field in _LIMITS.items()},
        "model_max_budget": budgets or None,
    }


def _ladders_record(ladders: Ladders) -> Value:
    return {model: [[step.share, step.model] for step in ladder] for model, ladder in ladders.items()} or None


def _ladders(values: Mapping[str, Any]) -> Ladders:
    if "budget_ladder" not in values:
        return {}
    return {model: _ladder(ladder) for model, ladder in read_mapping(values, "budget_ladder").items()}


def _ladder(value: object) -> tuple[LadderStep, ...]:
    if not isinstance(value, list):
        raise CorruptRowError("budget_ladder is malformed")
    return tuple(map(_ladder_step, value))


def _ladder_step(value: object) -> LadderStep:
    match value:
        case [int() | float() as share, str(model)] if 0 < share <= 1:
            return LadderStep(share, model)
    raise CorruptRowError("a step of budget_ladder is malformed")


def _model_budget(model: str, value: object) -> ModelBudget:
    match value:
        case [int(budget), str() | None as duration] if budget >= 0:
            _check_duration("model_max_budget", duration)
            return ModelBudget(model, budget, duration)
    raise CorruptRowError("a budget in model_max_budget is malformed")


def _limits(values: Mapping[str, Any]) -> Limits:
    limits = Limits(
        max_budget=read_int(values, "max_budget"),
        budget_duration=read_text(values, "budget_duration"),
        rpm=read_int(values, "rpm_limit"),
        tpm=read_int(values, "tpm_limit"),
        parallel=read_int(values, "max_parallel_requests"),
        soft_budget=read_int(values, "soft_budget"),
        models=tuple(_model_budget(*each) for each in sorted(read_mapping(values, "model_max_budget").items())),
    )
    _check_duration("budget_duration", limits.budget_duration)
    return limits


def _check_duration(name: str, duration: str | None) -> None:
    try:
        _ = None if duration is None else duration_seconds(duration)
    except ValueError:
        raise CorruptRowError(f"{name} has a period that is not a duration") from None


def _own_id(values: Mapping[str, Any], kind: str) -> str:
    record_id = read_text(values, "id") or ""
    if not record_id.startswith(kind) or record_id == kind:
        raise CorruptRowError(f"id does not begin with {kind}")
    return record_id.removeprefix(kind)

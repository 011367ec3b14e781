"""Keys and teams: the KeysTable.

    id                    attributes
    key#<sha256 in hex>   those of `Key`: key_id, name, alias, models, expires, blocked, team_id …, and its limits
    team#<id>             those of `Team`
    alias#<alias>         hash: the key that has the alias, so that no two have it

Absent attributes are None or empty. Of a deleted key a tombstone stays until TTL takes it (`expires_at`), so that
whoever goes on using the key is told what became of it. A record may be edited by hand: one that can't be read lets
nobody in.
"""

from collections.abc import Mapping
from typing import Any, cast

from vibe_router.access.holders import Key, Limits, Team
from vibe_router.store.dynamodb import Value

__all__ = ["alias_id", "key_from", "key_id_of", "key_record", "team_from", "team_id_of", "team_record"]

_LIMITS = {
    "max_budget": "max_budget",  # attribute of the record: field of Limits
    "budget_duration": "budget_duration",
    "rpm_limit": "rpm",
    "tpm_limit": "tpm",
    "max_parallel_requests": "parallel",
}
_TOMBSTONE_SECONDS = 90 * 86_400


def key_id_of(key_hash: str) -> str:
    """Return the id of the record of the key with this hash."""
    return f"key#{key_hash}"


def team_id_of(team_id: str) -> str:
    """Return the id of the record of a team."""
    return f"team#{team_id}"


def alias_id(alias: str) -> str:
    """Return the id of the record that says whose an alias is."""
    return f"alias#{alias}"


def key_record(key: Key) -> dict[str, Value]:
    """Return what the table has of `key`; `key_from` reads it back."""
    values: dict[str, Value] = {
        "id": key_id_of(key.hash),
        "key_id": key.key_id,
        "name": key.name,
        "alias": key.alias,
        "models": key.models,
        "expires": key.expires,
        "blocked": key.blocked,
        "deleted_at": key.deleted_at,
        "replaced_by": key.replaced_by,
        "user_id": key.user_id,
        "team_id": key.team_id,
        "tags": key.tags,
        "metadata": key.metadata,
        "created_at": key.created_at,
        "updated_at": key.updated_at,
        "version": key.version,
        **_limits_record(key.limits),
    }
    if key.deleted_at is not None:
        values["expires_at"] = int(key.deleted_at) + _TOMBSTONE_SECONDS
    return {name: value for name, value in values.items() if value is not None}


def team_record(team: Team) -> dict[str, Value]:
    """Return what the table has of `team`; `team_from` reads it back."""
    values: dict[str, Value] = {
        "id": team_id_of(team.id),
        "alias": team.alias,
        "models": team.models,
        "blocked": team.blocked,
        "tags": team.tags,
        "metadata": team.metadata,
        "created_at": team.created_at,
        "updated_at": team.updated_at,
        "version": team.version,
        **_limits_record(team.limits),
    }
    return {name: value for name, value in values.items() if value is not None}


def key_from(values: Mapping[str, Any]) -> Key:
    """Read a key's record. Raises ValueError for one that can't be meant; its text holds no value."""
    deleted_at = _number(values, "deleted_at")
    return Key(
        hash=_own_id(values, "key#"),
        key_id=_text(values, "key_id") or _own_id(values, "key#"),
        name=_text(values, "name") or "",
        alias=_text(values, "alias"),
        models=_texts(values, "models"),
        expires=_number(values, "expires"),
        blocked=_flag(values, "blocked"),
        deleted_at=deleted_at,
        replaced_by=_text(values, "replaced_by"),
        user_id=_text(values, "user_id"),
        team_id=_text(values, "team_id"),
        tags=_texts(values, "tags"),
        metadata=_mapping(values, "metadata"),
        limits=_limits(values),
        created_at=_number(values, "created_at") or 0,
        updated_at=_number(values, "updated_at") or 0,
        version=_whole(values, "version") or 0,
    )


def team_from(values: Mapping[str, Any]) -> Team:
    """Read a team's record. Raises ValueError for one that can't be meant; its text holds no value."""
    return Team(
        id=_own_id(values, "team#"),
        alias=_text(values, "alias"),
        models=_texts(values, "models"),
        blocked=_flag(values, "blocked"),
        tags=_texts(values, "tags"),
        metadata=_mapping(values, "metadata"),
        limits=_limits(values),
        created_at=_number(values, "created_at") or 0,
        updated_at=_number(values, "updated_at") or 0,
        version=_whole(values, "version") or 0,
    )


def _limits_record(limits: Limits) -> dict[str, Value]:
    return {name: getattr(limits, field) for name, field in _LIMITS.items()}


def _limits(values: Mapping[str, Any]) -> Limits:
    limits = Limits(
        max_budget=_whole(values, "max_budget"),
        budget_duration=_text(values, "budget_duration"),
        rpm=_whole(values, "rpm_limit"),
        tpm=_whole(values, "tpm_limit"),
        parallel=_whole(values, "max_parallel_requests"),
    )
    _ = limits.budget_seconds  # raises for what is no duration
    return limits


def _own_id(values: Mapping[str, Any], kind: str) -> str:
    record_id = _text(values, "id") or ""
    if not record_id.startswith(kind) or record_id == kind:
        raise ValueError(f"id does not begin with {kind}")
    return record_id.removeprefix(kind)


def _text(values: Mapping[str, Any], name: str) -> str | None:
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is not text")
    return value or None


def _texts(values: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = values.get(name) or []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{name} is not a list of texts")
    return tuple(value)


def _flag(values: Mapping[str, Any], name: str) -> bool:
    value = values.get(name)
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{name} is neither true nor false")
    return bool(value)


def _mapping(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = values.get(name) or {}
    if not isinstance(value, dict):
        raise ValueError(f"{name} is not a mapping")
    return cast("Mapping[str, Any]", value)


def _number(values: Mapping[str, Any], name: str) -> float | None:
    value = values.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e20):
        raise ValueError(f"{name} is not a number that could be meant")
    return value


def _whole(values: Mapping[str, Any], name: str) -> int | None:
    value = _number(values, name)
    if value is not None and not isinstance(value, int):
        raise ValueError(f"{name} is not a whole number")
    return value

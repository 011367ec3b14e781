"""Keys and teams: the KeysTable.

    id                    attributes
    key#<sha256 in hex>   those of `Key`: key_id, name, alias, models, expires, blocked, team_id …, and its limits
    team#<id>             those of `Team`
    alias#<alias>         hash: the key that has the alias, so that no two have it

Absent attributes are None or empty. Of a deleted key a tombstone stays until TTL takes it (`expires_at`), so that
whoever goes on using the key is told what became of it. A record may be edited by hand: one that can't be read lets
nobody in.

An environment reads a key at most once in ten seconds, also one that does not exist, together with its team and the
ledgers of both. While DynamoDB can't be asked, keys that it knows go on, and others are told to come back.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from vibe_router.access.keys import Caller, Key, Limits, Team
from vibe_router.core.clock import Clock
from vibe_router.store.circuit_breaker import AWS_ERRORS, CallMode, CircuitBreaker, Spawn, run_in_background
from vibe_router.store.dynamodb import Item, Value, from_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import KeysAndAttributesTypeDef

__all__ = [
    "KeyDirectory",
    "KeysUnavailableError",
    "alias_id",
    "key_from",
    "key_id_of",
    "key_record",
    "team_from",
    "team_id_of",
    "team_record",
]

_FRESH = 10.0  # seconds; what is changed about a key holds everywhere within this
_KNOWN = 10_000  # keys remembered by an environment: 10 MB or so
_UNKNOWN = 1_000  # the same of what was shown but is no key; apart, so that guessing pushes no key out
_READ_TRIES = 3  # for items that DynamoDB leaves unprocessed, which it does when it throttles

_LIMITS = {
    "max_budget": "max_budget",  # attribute of the record: field of Limits
    "budget_duration": "budget_duration",
    "rpm_limit": "rpm",
    "tpm_limit": "tpm",
    "max_parallel_requests": "parallel",
}
_TOMBSTONE_SECONDS = 90 * 86_400

_log = logging.getLogger(__name__)


class KeysUnavailableError(Exception):
    """A key is not known here, and DynamoDB can't be asked for it now."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What was found by a hash; no caller: it is no key. `asked_at` is when the read was sent: it may know no more."""

    caller: Caller | None
    asked_at: float


class KeyDirectory:
    """Finds who a key belongs to.

    What is read of ledgers on the way is given to `on_ledger_read` (id, item); `spawn` runs work that nobody waits for.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        keys_table: str,
        ledger_table: str,
        clock: Clock,
        *,
        on_ledger_read: Callable[[str, Item | None], None],
        spawn: Spawn = run_in_background,
    ) -> None:
        self._client = client
        self._keys_table = keys_table
        self._ledger_table = ledger_table
        self._clock = clock
        self._on_ledger_read = on_ledger_read
        self._spawn = spawn
        self._breaker = CircuitBreaker("the keys table", clock)
        self._asking = Lock()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._unknown: OrderedDict[str, _Known] = OrderedDict()

    def find(self, key_hash: str) -> Caller | None:
        """Return who holds the key with this hash, None for nobody. Raises KeysUnavailableError."""
        found = self._found(key_hash)
        if not found or not self._is_fresh(found):
            active = self._breaker.is_open
            advice = self._breaker.next_call()
            if advice is CallMode.PROBE and key_hash in self._known:
                self._spawn(lambda: self._refresh(key_hash))
            elif advice is not CallMode.SKIP:
                with self._asking:  # who waited here finds it read, or that it can't be
                    found = self._found(key_hash)
                    if not (found and self._is_fresh(found)) and (active or not self._breaker.is_open):
                        self._refresh(key_hash)
            found = self._found(key_hash)
        if found and (found.caller or self._is_fresh(found)):
            return found.caller
        raise KeysUnavailableError("the keys table can't be read, and this key was not read before")

    def _found(self, key_hash: str) -> _Known | None:
        return self._known.get(key_hash) or self._unknown.get(key_hash)

    def _is_fresh(self, found: _Known) -> bool:
        return 0 <= self._clock.now() - found.asked_at < _FRESH

    def _refresh(self, key_hash: str) -> None:
        before = self._known.get(key_hash)
        asked_at = self._clock.now()
        try:
            caller = self._read(key_hash, before.caller if before else None)
        except AWS_ERRORS as error:
            self._breaker.record_failure(error)
            return
        self._breaker.record_success()
        # A key that became one, or is none any more, must not be found in the other place.
        (self._unknown if caller else self._known).pop(key_hash, None)
        kept, most = (self._known, _KNOWN) if caller else (self._unknown, _UNKNOWN)
        kept[key_hash] = _Known(caller, asked_at)
        kept.move_to_end(key_hash)
        if len(kept) > most:
            kept.popitem(last=False)

    def _read(self, key_hash: str, before: Caller | None) -> Caller | None:
        """Read a key, with what it was last seen to belong with; only a team that is new takes a second read."""
        key_record_id = key_id_of(key_hash)
        ledger_id = key_id_of(before.key_id if before else key_hash)
        team_ids = [team_id_of(before.team.id)] if before and before.team else []
        found = self._get([key_record_id, *team_ids], [ledger_id, *team_ids])
        try:
            key = key_from(found[key_record_id]) if key_record_id in found else None
            if key is None:
                return None
            if not key.team_id:
                return Caller(key)
            wanted = team_id_of(key.team_id)
            if wanted not in team_ids:
                found = self._get([wanted], [wanted])
            return Caller(key, team_from(found[wanted]) if wanted in found else None)
        except ValueError as error:
            _log.warning("a record of the keys table can't be read (%s): it lets nobody in", error)
            return None

    def _get(self, records: Iterable[str], ledgers: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Read records in one batch with ledgers, which go to `on_ledger_read`."""
        ledger_ids = list(ledgers)
        wanted: dict[str, KeysAndAttributesTypeDef] = {
            self._keys_table: {"Keys": [{"id": {"S": each}} for each in records], "ConsistentRead": True},
            # A ledger that is a bit behind is found out by the write that is decided from it.
            self._ledger_table: {"Keys": [{"id": {"S": each}} for each in ledger_ids]},
        }
        found: dict[str, list[Item]] = {table: [] for table in wanted}
        for _ in range(_READ_TRIES):
            answer = self._client.batch_get_item(RequestItems=wanted)
            if "Responses" not in answer:  # botocore takes what is not DynamoDB's for an empty answer
                raise ClientError({"Error": {"Code": "MalformedAnswer"}}, "BatchGetItem")
            for table, items in answer["Responses"].items():
                found[table] += items
            if not (unprocessed := answer.get("UnprocessedKeys")):
                break
            wanted = cast("dict[str, KeysAndAttributesTypeDef]", unprocessed)
        else:
            raise ClientError({"Error": {"Code": "UnprocessedKeys"}}, "BatchGetItem")
        seen = {item["id"]["S"]: item for item in found[self._ledger_table]}
        for each in ledger_ids:
            self._on_ledger_read(each, seen.get(each))
        return {item["id"]["S"]: from_item(item) for item in found[self._keys_table]}


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

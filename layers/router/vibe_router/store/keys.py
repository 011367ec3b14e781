"""Find the caller of a key: the gateway's side of the KeysTable.

An environment reads a key at most once in ten seconds, even one that does not exist, together with its team and the
ledgers of both. While DynamoDB is unreachable, cached keys stay valid and all others get a 503. A record that cannot be
parsed, because it was edited by hand, makes its key invalid.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

from vibe_router.access.keys import Caller, Key, user_ledger_id
from vibe_router.core.clock import Clock
from vibe_router.core.rows import CorruptRowError
from vibe_router.store.aws_errors import ClientError
from vibe_router.store.circuit_breaker import AWS_ERRORS, CallMode, CircuitBreaker, Spawn, run_in_background
from vibe_router.store.dynamodb import DynamoDB, Item, from_item
from vibe_router.store.key_records import (
    key_record_id,
    parse_key,
    parse_team,
    parse_user,
    team_record_id,
    user_record_id,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import KeysAndAttributesTypeDef

__all__ = ["KeyDirectory", "KeysUnavailableError"]

_FRESH = 10.0  # seconds; a change to a key takes effect everywhere within this
MAX_KEYS = 10_000  # cached by an environment: about 10 MB
MAX_INVALID = 1_000  # cached hashes of invalid keys; apart, so that guessing evicts no key
_READ_TRIES = 3  # for items that DynamoDB leaves unprocessed, which it does when it throttles


_log = logging.getLogger(__name__)


class KeysUnavailableError(Exception):
    """A key is not cached, and DynamoDB is unreachable."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """The result of a lookup; `caller` is None for an invalid key. `read_at` is when the read was sent."""

    caller: Caller | None
    read_at: float


def _record_ids(key: Key) -> tuple[str | None, str | None]:
    """Return the ids of the records of a key's team, and of its user if that has limits."""
    return (
        team_record_id(key.team_id) if key.team_id else None,
        user_record_id(key.user_id) if key.user_id and key.user_limited else None,
    )


def _others_of(key: Key) -> dict[str, str]:
    """Return the ids of the records of team and user, with the ids of their ledgers."""
    team, user = _record_ids(key)
    return {**({team: team} if team else {}), **({user: user_ledger_id(key.user_id or "")} if user else {})}


class KeyDirectory:
    """Finds the caller of a key, from a cache.

    Ledgers that are read along with keys are passed to `on_ledger_read` (id, item); `spawn` runs background work.
    """

    def __init__(
        self,
        client: DynamoDB,
        keys_table: str,
        ledger_table: str,
        clock: Clock,
        *,
        on_ledger_read: Callable[[str, Item | None], None],
        spawn: Spawn = run_in_background,
        service: CircuitBreaker | None = None,
    ) -> None:
        self._client = client
        self._keys_table = keys_table
        self._ledger_table = ledger_table
        self._clock = clock
        self._on_ledger_read = on_ledger_read
        self._spawn = spawn
        self._breaker = CircuitBreaker("the keys table", clock, service=service)
        self._reading = Lock()
        self._keys: OrderedDict[str, _Entry] = OrderedDict()
        self._invalid: OrderedDict[str, _Entry] = OrderedDict()

    def find(self, key_hash: str) -> Caller | None:
        """Return the caller of the key with this hash, None for an invalid key. Raises KeysUnavailableError."""
        return self._caller(key_hash, partial(self._read, key_hash))

    def with_team(self, key: Key) -> Caller:
        """Return the caller of a `key` that is stored nowhere, with team and user. Raises KeysUnavailableError."""
        found = self._caller(f"{key.ledger_id}#{key.team_id}", lambda _: self._read_others(key, {}))
        if found is None:  # a record is corrupt: what it limits cannot be enforced
            return Caller(replace(key, blocked=True))
        return Caller(key, found.team, found.user)

    def _caller(self, key_hash: str, read: Callable[[Caller | None], Caller | None]) -> Caller | None:
        """Return what `read` returns, at most ten seconds old; it gets the last copy. Raises KeysUnavailableError."""
        found = self._found(key_hash)
        if not found or not self._is_fresh(found):
            active = self._breaker.is_open
            mode = self._breaker.next_call()
            if mode is CallMode.PROBE and key_hash in self._keys:
                self._spawn(lambda: self._refresh(key_hash, read))
            elif mode is not CallMode.SKIP:
                with self._reading:  # a caller that waited here finds the entry, or an open breaker
                    found = self._found(key_hash)
                    if not (found and self._is_fresh(found)) and (active or not self._breaker.is_open):
                        self._refresh(key_hash, read)
            found = self._found(key_hash)
        if found and (found.caller or self._is_fresh(found)):
            return found.caller
        raise KeysUnavailableError("DynamoDB is unreachable, and this key is not cached")

    def is_cached(self, key_hash: str) -> bool:
        """Return whether the key with this hash was valid when it was last read."""
        return key_hash in self._keys

    def _found(self, key_hash: str) -> _Entry | None:
        return self._keys.get(key_hash) or self._invalid.get(key_hash)

    def _is_fresh(self, found: _Entry) -> bool:
        return 0 <= self._clock.now() - found.read_at < _FRESH

    def _refresh(self, key_hash: str, read: Callable[[Caller | None], Caller | None]) -> None:
        before = self._keys.get(key_hash)
        read_at = self._clock.now()
        try:
            caller = read(before.caller if before else None)
        except AWS_ERRORS as error:
            self._breaker.record_failure(error)
            return
        self._breaker.record_success()
        # A key that became valid or invalid must leave the other cache.
        (self._invalid if caller else self._keys).pop(key_hash, None)
        cache, most = (self._keys, MAX_KEYS) if caller else (self._invalid, MAX_INVALID)
        cache[key_hash] = _Entry(caller, read_at)
        cache.move_to_end(key_hash)
        if len(cache) > most:
            cache.popitem(last=False)

    def _read(self, key_hash: str, before: Caller | None) -> Caller | None:
        """Read a key with the team, user and ledgers of its last copy `before`.

        Only a new team or user takes a second read.
        """
        record_id = key_record_id(key_hash)
        ledger_ids = before.ledger_ids if before else [key_record_id(key_hash)]
        known = _others_of(before.key) if before and before.key else {}
        found = self._get([record_id, *known], ledger_ids)
        try:
            key = parse_key(found[record_id]) if record_id in found else None
        except CorruptRowError as error:
            _log.warning("a record of the keys table is corrupt (%s): its key is rejected", error)
            return None
        return self._read_others(key, dict.fromkeys(known) | found) if key else None

    def _read_others(self, key: Key, found: Mapping[str, dict[str, Any] | None]) -> Caller | None:
        """Return the caller of `key`; what is missing of its team and user in `found` is read, with their ledgers."""
        wanted = _others_of(key)
        if missing := {record: ledger for record, ledger in wanted.items() if record not in found}:
            stored = bool(key.hash)  # the ledger of a key that is stored was read with it
            found = {**found, **self._get(missing, [*([] if stored else [key.ledger_id]), *missing.values()])}
        team, user = (found.get(each) if each else None for each in _record_ids(key))
        try:
            return Caller(key, parse_team(team) if team else None, parse_user(user) if user else None)
        except CorruptRowError as error:
            _log.warning("a record of the keys table is corrupt (%s): its keys are rejected", error)
            return None

    def _get(self, records: Iterable[str], ledgers: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Read records and ledgers in one batch; ledgers go to `on_ledger_read`."""
        ledger_ids = list(ledgers)
        wanted: dict[str, KeysAndAttributesTypeDef] = {
            self._keys_table: {"Keys": [{"id": {"S": each}} for each in records], "ConsistentRead": True},
            # An outdated ledger fails the condition of the write that is planned from it.
            self._ledger_table: {"Keys": [{"id": {"S": each}} for each in ledger_ids]},
        }
        found: dict[str, list[Item]] = {table: [] for table in wanted}
        for _ in range(_READ_TRIES):
            response = self._client.batch_get_item(RequestItems=wanted)
            if "Responses" not in response:  # another server's response
                raise ClientError({"Error": {"Code": "MalformedAnswer"}}, "BatchGetItem")
            for table, items in response["Responses"].items():
                found[table] += items
            if not (unprocessed := response.get("UnprocessedKeys")):
                break
            wanted = cast("dict[str, KeysAndAttributesTypeDef]", unprocessed)
        else:
            raise ClientError({"Error": {"Code": "UnprocessedKeys"}}, "BatchGetItem")
        seen = {item["id"]["S"]: item for item in found[self._ledger_table]}
        for each in ledger_ids:
            self._on_ledger_read(each, seen.get(each))
        return {item["id"]["S"]: from_item(item) for item in found[self._keys_table]}

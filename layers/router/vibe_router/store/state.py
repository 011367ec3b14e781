"""The StateTable: cooldowns and leases, shared by all environments.

An environment reads a state at most once a second. The first time it reads the items of a request in one batch,
consistently; from then on it reads all states from the index `states`, whose key is an attribute that only states have:
one query, eventually consistent, of half a read unit for about ten states. It writes under one condition: the item has
not changed since it was read. A lost write returns the current state in the same call, so an outdated read costs a call
to a provider at most, and never makes two leases.

    env A   read v3 ── replace(v3 → v4) ✓ returns v4
    env B   read v3 ────── replace(v3 → v4') ✗ returns A's v4

While DynamoDB is unreachable, states are read from and written to this environment's memory. Afterwards, a cooldown
that is still running is written back, unless the table has a longer one.

Clocks differ between environments, so an item contains times of its writer's clock, including `written_at`. A reader
derives durations from them, and measures these by its own clock from when it first read the version:

    a lease     lasts at least as long as for its holder, with clocks up to 5 minutes apart: never two leases
    a cooldown  ends no sooner than its duration after the state was last read without it, and no later than its
                duration after it was first read: never negative, never endless
"""

import logging
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import TypedDict, cast

from vibe_router.core.clock import Clock
from vibe_router.core.rows import CorruptRowError, read_int, read_text, read_time
from vibe_router.routing.cooldown import State, healthy
from vibe_router.routing.verdict import Verdict
from vibe_router.store.aws_errors import ClientError
from vibe_router.store.circuit_breaker import AWS_ERRORS, CallMode, CircuitBreaker, Spawn, error_code, run_in_background
from vibe_router.store.dynamodb import DynamoDB, Item, Value, from_item, to_item

__all__ = ["StateStore"]

_FRESH = 1.0  # seconds; a cooldown reaches all environments within this time, and the index's delay
_LAG = 5.0  # seconds for which the index may lag behind a write; in doubt, the item itself is read
_INDEX = "states"
_KIND = "state"  # the attribute `kind` of every state, and of nothing else in the table
_MOST_INDEXED = 100  # states: beyond them, or a page, it is cheaper to read those of the request
_SPARED = 60.0  # seconds for which the index is not read then
_BATCH = 100  # keys per BatchGetItem
_BATCH_TRIES = 3  # DynamoDB leaves keys unprocessed when it throttles
_WRITE_BACK_TRIES = 3  # other environments may write back in the same second
_MAX_STRIKES = 1_000  # more were never written
_EVIDENCE = 1_000  # characters; an item is billed by the KiB
_MOST_SKEW = 300  # seconds; AWS rejects requests that are signed by a clock further off

_log = logging.getLogger(__name__)


class _Condition(TypedDict, total=False):
    ConditionExpression: str
    ExpressionAttributeValues: Item


@dataclass(frozen=True, slots=True)
class _CachedState:
    """A cached state, and the item that the table last contained."""

    state: State
    item: Item | None
    read_at: float
    unsaved: bool = False  # the state was never written, because DynamoDB was unreachable
    known_at: float = 0.0  # when the item was last written here or read consistently

    @property
    def is_indexed(self) -> bool:
        """Return whether the index has the item, if there is one; items of earlier versions are not in it."""
        return self.item is None or self.item.get("kind") == {"S": _KIND}


class StateStore:
    """Reads and replaces states. `spawn` runs work in the background."""

    def __init__(
        self,
        client: DynamoDB,
        table: str,
        clock: Clock,
        *,
        spawn: Spawn = run_in_background,
        service: CircuitBreaker | None = None,
    ) -> None:
        self.client = client
        self._table = table
        self._clock = clock
        self._spawn = spawn
        self._breaker = CircuitBreaker("the state table", clock, service=service)
        self._cache: dict[str, _CachedState] = {}
        self._refreshing = Lock()
        self._spare_index_until = 0.0

    @property
    def degraded(self) -> bool:
        """Return whether states come only from memory, because DynamoDB is unreachable."""
        return self._breaker.is_open

    def read(self, ids: Sequence[str]) -> dict[str, State]:
        """Return the state of each of `ids`; one without an item is healthy, with version 0. Never raises."""
        if self._stale(ids):
            match self._breaker.next_call():
                case CallMode.CALL:
                    active = self._breaker.is_open
                    with self._refreshing:  # a thread that waited here finds the result of the other one
                        if active or not self._breaker.is_open:
                            self._refresh(self._stale(ids))
                case CallMode.PROBE:
                    self._spawn(lambda: self._refresh(self._stale(ids)))
        return {each: cached.state if (cached := self._cache.get(each)) else healthy(each) for each in ids}

    def prefetch(self) -> None:
        """Start to read the states of earlier requests in the background, if they are stale: `read` waits for it."""
        if self._cache and not self._breaker.is_open and self._stale(list(self._cache)):
            self._spawn(self._refresh_all)

    def _refresh_all(self) -> None:
        with self._refreshing:
            if not self._breaker.is_open:
                self._refresh(self._stale(list(self._cache)))

    def replace(self, seen: State, successor: State) -> State:
        """Write `successor` if `seen` is still current, and return the current state. Never raises.

        The winner gets `successor` itself, and every other caller the winner's state. While DynamoDB is unreachable,
        `successor` is current in this environment.
        """
        cached = self._cache.get(seen.id)
        if cached and cached.state != seen:
            # Already lost: the cache is never older than `seen`. Comparing versions is not enough, because a version
            # that was raised in memory during an outage may belong to another writer in the table.
            return cached.state
        found: Item | None = {"version": {"N": str(seen.version)}} if seen.version else None
        if cached:
            found = cached.item  # the table's item, without changes that are only in memory
        if not self._breaker.is_open:
            try:
                return self._put(found, successor)
            except AWS_ERRORS as error:
                self._breaker.record_failure(error)
        self._cache[seen.id] = _CachedState(successor, found, read_at=0.0, unsaved=True)
        return successor

    def _fresh(self, cached: _CachedState) -> bool:
        return not cached.unsaved and 0 <= self._clock.now() - cached.read_at < _FRESH

    def _stale(self, ids: Iterable[str]) -> list[str]:
        return [each for each in dict.fromkeys(ids) if not ((cached := self._cache.get(each)) and self._fresh(cached))]

    def _refresh(self, ids: Sequence[str]) -> None:
        """Read `ids` and all unsaved states into the cache, and write these back. A failure opens the breaker."""
        if not ids:
            return
        unsaved = [cached.state for cached in list(self._cache.values()) if cached.unsaved]
        try:
            if unsaved or not self._is_indexed(ids) or not self._read_index():
                wanted = list(dict.fromkeys([*ids, *(state.id for state in unsaved)]))
                for start in range(0, len(wanted), _BATCH):
                    self._read_batch(wanted[start : start + _BATCH])
            for state in unsaved:
                self._write_back(state)
        except AWS_ERRORS as error:
            self._breaker.record_failure(error)
        else:
            self._breaker.record_success()

    def _is_indexed(self, ids: Sequence[str]) -> bool:
        """Return whether the index has the states of `ids`: they were read before, and their items are in it."""
        if 0 <= self._spare_index_until - self._clock.now() <= _SPARED:
            return False
        return all((cached := self._cache.get(each)) is not None and cached.is_indexed for each in ids)

    def _read_index(self) -> bool:
        """Read every state from the index into the cache; return whether that was possible."""
        try:
            response = self.client.query(
                TableName=self._table,
                IndexName=_INDEX,
                KeyConditionExpression="kind = :kind",
                ExpressionAttributeValues={":kind": {"S": _KIND}},
            )
        except ClientError as error:
            if error_code(error) not in ("ValidationException", "AccessDeniedException", "ResourceNotFoundException"):
                raise
            _log.warning("the index of the state table cannot be read (%s): items are read instead", error_code(error))
            self._spare_index_until = self._clock.now() + _SPARED
            return False
        if "Items" not in response:  # another server's response
            raise ClientError({"Error": {"Code": "MalformedAnswer"}}, "Query")
        found = {item["id"]["S"]: item for item in response["Items"]}
        if "LastEvaluatedKey" in response or len(found) > _MOST_INDEXED:
            self._spare_index_until = self._clock.now() + _SPARED
            if "LastEvaluatedKey" in response:
                return False
        doubtful: list[str] = []
        for each in {*self._cache, *found}:
            cached = self._cache.get(each)
            if cached is None or (cached.is_indexed and not cached.unsaved):
                if cached and self._may_be_late(cached, found.get(each)):
                    doubtful.append(each)
                else:
                    self._remember(each, found.get(each))
        if doubtful:
            self._read_batch(doubtful[:_BATCH])
        return True

    def _may_be_late(self, cached: _CachedState, found: Item | None) -> bool:
        """Return whether the index may lag behind a recent write: it has an older item than was just written."""
        return 0 <= self._clock.now() - cached.known_at < _LAG and _version_of(found) < _version_of(cached.item)

    def _read_batch(self, ids: Sequence[str]) -> None:
        """Read at most a hundred ids in one round trip and cache their items, or their absence."""
        keys: list[Item] = [{"id": {"S": each}} for each in ids]
        found: dict[str, Item] = {}
        for _ in range(_BATCH_TRIES):
            response = self.client.batch_get_item(RequestItems={self._table: {"Keys": keys, "ConsistentRead": True}})
            if "Responses" not in response:  # another server's response
                raise ClientError({"Error": {"Code": "MalformedAnswer"}}, "BatchGetItem")
            found |= {item["id"]["S"]: item for item in response["Responses"].get(self._table, [])}
            unprocessed = response.get("UnprocessedKeys", {}).get(self._table)
            if not unprocessed:
                break
            keys = [dict(key) for key in unprocessed["Keys"]]
        else:
            raise ClientError({"Error": {"Code": "UnprocessedKeys"}}, "BatchGetItem")
        for each in ids:
            cached = self._cache.get(each)
            if cached and cached.unsaved:
                # It stays current until it has been compared with the table's item.
                self._cache[each] = replace(cached, item=found.get(each))
            else:
                self._remember(each, found.get(each), known=True)

    def _write_back(self, unsaved: State) -> None:
        """Write a cooldown from memory to the table, if it is still running and the longer one."""
        cached = self._cache[unsaved.id]
        if cached.state is not unsaved:
            return  # replaced in the meantime; the next read handles it
        current = self._state_of(unsaved.id, cached.item, None)
        for _ in range(_WRITE_BACK_TRIES):
            if unsaved.until <= max(self._clock.now(), current.until):
                break
            strikes = max(unsaved.strikes, current.strikes)
            back = replace(unsaved, version=current.version + 1, strikes=strikes, lease_until=0.0)
            current = self._put(cached.item, back)
            if current is back:
                return
            cached = self._cache[unsaved.id]
        self._cache[unsaved.id] = _CachedState(current, cached.item, self._clock.now())

    def _put(self, found: Item | None, successor: State) -> State:
        """Write `successor` over the item `found`, and return the current state.

        The condition "unchanged since it was read" depends on what was found:

            nothing      attribute_not_exists(id)       the item was not created since
            an item      version = :found               the item was not replaced since: every write raises the version,
                                                        which may be of any type in a corrupt item
            no version   attribute_not_exists(version)  a corrupt item was not repaired since
        """
        item = _item_of(successor, self._clock.now())
        condition: _Condition
        if found is None:
            condition = {"ConditionExpression": "attribute_not_exists(id)"}
        elif "version" in found:
            condition = {
                "ConditionExpression": "version = :found",
                "ExpressionAttributeValues": {":found": found["version"]},
            }
        else:
            condition = {"ConditionExpression": "attribute_not_exists(version)"}
        try:
            self.client.put_item(
                TableName=self._table,
                Item=item,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",  # a lost write needs no second read
                **condition,
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            current = cast("Item | None", error.response.get("Item"))
            # A call is repeated if its response was lost, so the current item may be this very write.
            if not current or current.get("write") != item["write"]:
                return self._remember(successor.id, current, known=True)
        now = self._clock.now()
        self._cache[successor.id] = _CachedState(successor, item, now, known_at=now)
        return successor

    def _remember(self, state_id: str, item: Item | None, *, known: bool = False) -> State:
        before = self._cache.get(state_id)
        if before and before.unsaved:
            before = None
        # The same version keeps the times computed when it was first read.
        state = before.state if before and before.item == item else self._state_of(state_id, item, before)
        now = self._clock.now()
        self._cache[state_id] = _CachedState(state, item, now, known_at=now if known else 0.0)
        return state

    def _state_of(self, state_id: str, item: Item | None, before: _CachedState | None) -> State:
        """Convert `item`, which replaces the cached `before`, to times of this environment's clock."""
        if item is None:
            return healthy(state_id)
        try:
            values = from_item(item)
            if None in values.values():
                raise CorruptRowError("an attribute is null")
            state = State(
                id=state_id,
                version=read_int(values, "version") or 0,
                until=read_time(values, "until") or 0,
                verdict=Verdict(values["verdict"]) if values.get("verdict") else None,
                strikes=read_int(values, "strikes", most=_MAX_STRIKES) or 0,
                since=read_time(values, "since") or 0,
                evidence=read_text(values, "evidence") or "",
                lease_until=read_time(values, "lease_until") or 0,
                expires_at=read_int(values, "expires_at") or 0,
                hinted=bool(values.get("hinted")),
                origin=read_text(values, "origin") or "",
                origin_at=read_time(values, "origin_at") or 0,
                origin_until=read_time(values, "origin_until") or 0,
                repeats=read_int(values, "repeats") or 0,
                last_resort_at=read_time(values, "last_resort_at") or 0,
            )
            written_at = read_time(values, "written_at") or 0
        except (ValueError, TypeError) as error:
            _log.warning("the state of %s is corrupt (%s): treated as healthy", state_id, error)
            return State(state_id, version=_version_of(item))
        if not written_at or (before and before.state.version >= state.version):
            return state  # edited by hand: used as it is
        return _on_this_clock(state, written_at, self._clock.now(), before.read_at if before else 0.0)


def _version_of(item: Item | None) -> int:
    """Return an item's version; 0 for none."""
    version = item.get("version", {}).get("N", "") if item else ""
    return int(version) if version.isdigit() else 0


def _on_this_clock(state: State, written_at: float, now: float, last_seen_without: float) -> State:
    """Convert `state`, written at `written_at` by another clock, to times of the clock that shows `now`."""

    def end_of_rest(until: float) -> float:
        rest = until - written_at
        return min(max(until, last_seen_without + rest), now + rest) if rest > 0 else min(until, now)

    lease_until = state.lease_until
    if lease_until:
        lease_until = min(now + max(lease_until - written_at, 0.0), lease_until + _MOST_SKEW)
    return replace(
        state,
        until=end_of_rest(state.until),
        lease_until=lease_until,
        origin_at=min(state.origin_at, now),
        origin_until=end_of_rest(state.origin_until),
        last_resort_at=min(state.last_resort_at, now),
    )


def _item_of(state: State, now: float) -> Item:
    values: dict[str, Value] = {
        "id": state.id,
        "kind": _KIND,
        "version": state.version,
        "until": state.until,
        "strikes": state.strikes,
        "since": state.since,
        "evidence": state.evidence[:_EVIDENCE].encode(errors="replace").decode(),
        "lease_until": state.lease_until,
        "expires_at": state.expires_at,
        "written_at": now,
        "write": secrets.token_hex(8),  # distinguishes this write from an equal one
    }
    for name in ("hinted", "origin", "origin_at", "origin_until", "repeats", "last_resort_at"):
        if value := getattr(state, name):
            values[name] = value
    if state.verdict:
        values["verdict"] = state.verdict.value
    return to_item(values)

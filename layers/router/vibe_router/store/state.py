"""Cooldowns and leases, as the whole fleet sees them: the StateTable.

A state is read at most once a second by an environment, in one batch with all others that a request needs, and written
under one condition: that nobody has written since it was seen. Whoever loses learns what stands now from the same call.

    env A   read v3 ── replace(v3 → v4) ✓ returns v4
    env B   read v3 ────── replace(v3 → v4') ✗ returns A's v4

While DynamoDB can't be asked, states are read from and written to this environment's memory. When it can be asked
again, a cooldown that was kept there and still runs is written back, unless the table knows of a longer one.

Clocks differ between environments, so the times in an item are told by its writer's clock, and `written_at` with them.
A reader takes from them how long a thing lasts, and measures that by its own clock from when it first saw the version:

    a lease     lasts at least as long as for its holder, with clocks up to 5 minutes apart: never two leases
    a cooldown  ends no sooner than its length after the state was last seen without it, and no later than its length
                after it was first seen: never a negative rest, nor an endless one
"""

import logging
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, TypedDict, cast

from botocore.exceptions import ClientError

from vibe_router.core.clock import Clock
from vibe_router.core.rows import read_int, read_text, read_time
from vibe_router.routing.cooldown import State, healthy
from vibe_router.routing.verdict import Verdict
from vibe_router.store.circuit_breaker import AWS_ERRORS, CallMode, CircuitBreaker, Spawn, error_code, run_in_background
from vibe_router.store.dynamodb import Item, Value, from_item, to_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["StateStore"]

_FRESH = 1.0  # seconds; the fleet knows of a cooldown within this
_BATCH = 100  # keys that one BatchGetItem takes
_BATCH_TRIES = 3  # for keys that DynamoDB leaves unprocessed, which it does when it throttles
_WRITE_BACK_TRIES = 3  # against others that write back theirs in the same second
_EVIDENCE = 1_000  # characters; an item is billed by the KiB
_MOST_SKEW = 300  # seconds; AWS refuses requests that are signed by a clock further off

_log = logging.getLogger(__name__)


class _Condition(TypedDict, total=False):
    ConditionExpression: str
    ExpressionAttributeValues: Item


@dataclass(frozen=True, slots=True)
class _Known:
    """What is remembered of one id: the state to answer with, and the item that the table last had."""

    state: State
    item: Item | None
    read_at: float
    kept: bool = False  # the state was never written: DynamoDB could not be asked


class StateStore:
    """Reads and replaces states. `spawn` runs work that nobody waits for."""

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        clock: Clock,
        *,
        spawn: Spawn = run_in_background,
        service: CircuitBreaker | None = None,
    ) -> None:
        self._client = client
        self._table = table
        self._clock = clock
        self._spawn = spawn
        self._breaker = CircuitBreaker("the state table", clock, service=service)
        self._known: dict[str, _Known] = {}
        self._asking = Lock()

    @property
    def degraded(self) -> bool:
        """Whether states come from this environment's memory alone, because DynamoDB can't be asked."""
        return self._breaker.is_open

    def read(self, ids: Sequence[str]) -> dict[str, State]:
        """Return the state of each of `ids`; one that is not in the table is healthy, with version 0. Never raises."""
        if self._stale(ids):
            match self._breaker.next_call():
                case CallMode.CALL:
                    active = self._breaker.is_open
                    with self._asking:  # who waited here finds what it wanted in memory, or that it can't be had
                        if active or not self._breaker.is_open:
                            self._ask(self._stale(ids))
                case CallMode.PROBE:
                    self._spawn(lambda: self._ask(self._stale(ids)))
        return {each: known.state if (known := self._known.get(each)) else healthy(each) for each in ids}

    def replace(self, seen: State, successor: State) -> State:
        """Write `successor` if `seen` still stands, and return what stands now. Never raises over DynamoDB.

        That is `successor` itself for whoever won, and the winner's state for everybody else. While DynamoDB can't be
        asked, `successor` stands in this environment.
        """
        known = self._known.get(seen.id)
        if known and known.state != seen:
            # Lost already: what is known here is never older than what was seen here. A version alone would not tell,
            # for one that was counted up in memory during an outage may by now be another's in the table.
            return known.state
        found: Item | None = {"version": {"N": str(seen.version)}} if seen.version else None
        if known:
            found = known.item  # what the table had; it knows nothing of what was only kept here
        if not self._breaker.is_open:
            try:
                return self._put(found, successor)
            except AWS_ERRORS as error:
                self._breaker.record_failure(error)
        self._known[seen.id] = _Known(successor, found, read_at=0.0, kept=True)
        return successor

    def _fresh(self, known: _Known) -> bool:
        return not known.kept and 0 <= self._clock.now() - known.read_at < _FRESH

    def _stale(self, ids: Iterable[str]) -> list[str]:
        return [each for each in dict.fromkeys(ids) if not ((known := self._known.get(each)) and self._fresh(known))]

    def _ask(self, ids: Sequence[str]) -> None:
        """Read `ids` into memory, and all that is only kept there; a failure begins an outage."""
        if not ids:
            return
        kept = [known.state for known in list(self._known.values()) if known.kept]
        try:
            wanted = list(dict.fromkeys([*ids, *(state.id for state in kept)]))
            for start in range(0, len(wanted), _BATCH):
                self._learn(wanted[start : start + _BATCH])
            for state in kept:
                self._write_back(state)
        except AWS_ERRORS as error:
            self._breaker.record_failure(error)
        else:
            self._breaker.record_success()

    def _learn(self, ids: Sequence[str]) -> None:
        """Read at most a hundred ids in one round trip and remember what stands, absence too."""
        keys: list[Item] = [{"id": {"S": each}} for each in ids]
        found: dict[str, Item] = {}
        for _ in range(_BATCH_TRIES):
            answer = self._client.batch_get_item(RequestItems={self._table: {"Keys": keys, "ConsistentRead": True}})
            if "Responses" not in answer:  # botocore takes what is not DynamoDB's for an empty answer
                raise ClientError({"Error": {"Code": "MalformedAnswer"}}, "BatchGetItem")
            found |= {item["id"]["S"]: item for item in answer["Responses"].get(self._table, [])}
            unprocessed = answer.get("UnprocessedKeys", {}).get(self._table)
            if not unprocessed:
                break
            keys = [dict(key) for key in unprocessed["Keys"]]
        else:
            raise ClientError({"Error": {"Code": "UnprocessedKeys"}}, "BatchGetItem")
        for each in ids:
            known = self._known.get(each)
            if known and known.kept:
                # It goes on standing until it has been compared with what the table has.
                self._known[each] = replace(known, item=found.get(each))
            else:
                self._remember(each, found.get(each))

    def _write_back(self, kept: State) -> None:
        """Bring a cooldown that was kept in memory to the table, if it still runs and is the longer one."""
        known = self._known[kept.id]
        if known.state is not kept:
            return  # replaced meanwhile; the next read sees to it
        stands = self._state_of(kept.id, known.item, None)
        for _ in range(_WRITE_BACK_TRIES):
            if kept.until <= max(self._clock.now(), stands.until):
                break
            strikes = max(kept.strikes, stands.strikes)
            back = replace(kept, version=stands.version + 1, strikes=strikes, lease_until=0.0)
            stands = self._put(known.item, back)
            if stands is back:
                return
            known = self._known[kept.id]
        self._known[kept.id] = _Known(stands, known.item, self._clock.now())

    def _put(self, found: Item | None, successor: State) -> State:
        """Write `successor` over the item that was `found`, and return what stands then.

        Three clauses say "nobody has written since", by what was found:

            nothing      attribute_not_exists(id)       nobody has made the item since
            an item      version = :found               nobody has replaced it since; every write raises the version.
                                                        Of any type: a corrupt item is held to the same
            no version   attribute_not_exists(version)  a corrupt item that nobody has repaired since
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
            self._client.put_item(
                TableName=self._table,
                Item=item,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",  # the loser needs no second read
                **condition,
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            stands = cast("Item | None", error.response.get("Item"))
            # A call is tried twice when its answer was lost on the way: what stands may be this very write.
            if not stands or stands.get("write") != item["write"]:
                return self._remember(successor.id, stands)
        self._known[successor.id] = _Known(successor, item, self._clock.now())
        return successor

    def _remember(self, state_id: str, item: Item | None) -> State:
        before = self._known.get(state_id)
        if before and before.kept:
            before = None
        # The same version keeps the times that it was first given here.
        state = before.state if before and before.item == item else self._state_of(state_id, item, before)
        self._known[state_id] = _Known(state, item, self._clock.now())
        return state

    def _state_of(self, state_id: str, item: Item | None, before: _Known | None) -> State:
        """Read `item`, which took the place of what was known `before`, in times of this environment's clock."""
        if item is None:
            return healthy(state_id)
        try:
            values = from_item(item)
            state = State(
                id=state_id,
                version=read_int(values, "version") or 0,
                until=read_time(values, "until") or 0,
                verdict=Verdict(values["verdict"]) if values.get("verdict") else None,
                strikes=read_int(values, "strikes") or 0,
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
            _log.warning("the state of %s is corrupt (%s): taken as healthy", state_id, error)
            version = item.get("version", {}).get("N", "")
            return State(state_id, version=int(version) if version.isdigit() else 0)
        if not written_at or (before and before.state.version >= state.version):
            return state  # edited by hand, and meant as it stands
        return _on_this_clock(state, written_at, self._clock.now(), before.read_at if before else 0.0)


def _on_this_clock(state: State, written_at: float, now: float, last_seen_without: float) -> State:
    """Return `state`, written at `written_at` by a clock that may differ, in times of the clock that says `now`."""
    until, lease_until = state.until, state.lease_until
    if (rest := until - written_at) > 0:
        until = min(max(until, last_seen_without + rest), now + rest)
    elif until:
        until = min(until, now)
    if lease_until:
        lease_until = min(now + max(lease_until - written_at, 0.0), lease_until + _MOST_SKEW)
    return replace(
        state,
        until=until,
        lease_until=lease_until,
        origin_at=min(state.origin_at, now),
        origin_until=min(state.origin_until, now + max(state.origin_until - written_at, 0.0)),
        last_resort_at=min(state.last_resort_at, now),
    )


def _item_of(state: State, now: float) -> Item:
    values: dict[str, Value] = {
        "id": state.id,
        "version": state.version,
        "until": state.until,
        "strikes": state.strikes,
        "since": state.since,
        "evidence": state.evidence[:_EVIDENCE].encode(errors="replace").decode(),
        "lease_until": state.lease_until,
        "expires_at": state.expires_at,
        "written_at": now,
        "write": secrets.token_hex(8),  # tells this write from another that says the same
    }
    for name in ("hinted", "origin", "origin_at", "origin_until", "repeats", "last_resort_at"):
        if value := getattr(state, name):
            values[name] = value
    if state.verdict:
        values["verdict"] = state.verdict.value
    return to_item(values)

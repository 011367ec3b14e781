"""Stored answers to repeatable requests: the CacheTable.

    id                        attributes
    <keyed hash of request>   data, created, expires_at

`data` is compressed. Like any item it takes at most 400 KB; a larger answer is not stored. The hash reveals nothing of
the request, and an item that does not belong to this router is never found.
"""

import logging
import zlib
from dataclasses import dataclass

from vibe_router.core.clock import Clock
from vibe_router.store.circuit_breaker import AWS_ERRORS, CallMode, CircuitBreaker, Spawn, run_in_background
from vibe_router.store.compression import decompress
from vibe_router.store.dynamodb import DynamoDB, from_item, to_item

__all__ = ["MOST_BYTES", "AnswerStore", "StoredAnswer"]

MOST_BYTES = 4 * 1024 * 1024
"""The largest answer, uncompressed; text compresses to a tenth or a third of its size."""
_MOST_STORED = 390_000  # of 400 KB, names and the other attributes leave room
_COMPRESSION = 6  # zlib's default: 1 MB of text takes about 20 ms

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer, and when it was stored (epoch seconds)."""

    data: bytes
    created: float


class AnswerStore:
    """Writes and reads answers. Never raises for a failure of DynamoDB: then nothing is stored, and nothing found.

    `spawn` runs work in the background. `service` is the breaker of DynamoDB as a whole.
    """

    def __init__(
        self,
        client: DynamoDB,
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
        self._breaker = CircuitBreaker("the table of cached answers", clock, "nothing is cached", service=service)

    def read(self, id_: str) -> StoredAnswer | None:
        """Return the answer `id_`; None if there is none, if it has expired, or if the table cannot be read now."""
        match self._breaker.next_call():
            case CallMode.CALL:
                return self._read(id_)
            case CallMode.PROBE:  # the caller does not wait for an answer that it may not need
                self._spawn(lambda: self._probe(id_))
        return None

    def write(self, id_: str, data: bytes, seconds: int) -> bool:
        """Store `data` for so many seconds; return False if it is too large. Call it when nobody waits."""
        if len(data) > MOST_BYTES or len(packed := zlib.compress(data, _COMPRESSION)) > _MOST_STORED:
            return False
        self._breaker.run(lambda: self._write(id_, packed, seconds), self._spawn)
        return True

    def _probe(self, id_: str) -> None:
        self._read(id_)

    def _read(self, id_: str) -> StoredAnswer | None:
        try:
            answer = self._client.get_item(TableName=self._table, Key={"id": {"S": id_}})
        except AWS_ERRORS as error:
            self._breaker.record_failure(error)
            return None
        self._breaker.record_success()
        if not (item := answer.get("Item")):
            return None
        try:
            row = from_item(item, binary=True)
            found = StoredAnswer(decompress(row["data"], MOST_BYTES), float(row["created"]))
            is_current = row["expires_at"] > self._clock.now()  # DynamoDB deletes within days
            if len(found.data) > MOST_BYTES:
                raise ValueError("too large")
        except (KeyError, TypeError, ValueError, zlib.error):
            _log.warning("an item of the cache is corrupt: it is treated as missing")
            return None
        return found if is_current else None

    def _write(self, id_: str, packed: bytes, seconds: int) -> None:
        now = int(self._clock.now())
        item = to_item({"id": id_, "created": now, "expires_at": now + seconds})
        try:
            self._client.put_item(TableName=self._table, Item={**item, "data": {"B": packed}})
        except AWS_ERRORS as error:
            self._breaker.record_failure(error)
        else:
            self._breaker.record_success()

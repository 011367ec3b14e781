"""Stored responses: the ResponsesTable.

    id       part   attributes
    resp_…   0      owner, team (of the owner), write, parts, data, expires_at
    resp_…   1 …    owner, write, data, expires_at

`data` is a piece of the compressed record: a DynamoDB item holds 400 KB, so a large record takes several. `write` is
the same in all pieces of one write. With a piece missing or from another write, the response does not exist. Ids may
come from a provider, so a write never overwrites another owner's response.
"""

import logging
import secrets
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vibe_router.core.clock import Clock
from vibe_router.store.aws_errors import ClientError
from vibe_router.store.circuit_breaker import AWS_ERRORS, CallMode, CircuitBreaker, Spawn, error_code, run_in_background
from vibe_router.store.compression import decompress
from vibe_router.store.dynamodb import DynamoDB, Value, from_item, to_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import QueryInputTypeDef

__all__ = ["MAX_RECORD_BYTES", "Owner", "ResponseStore", "ResponsesUnavailableError", "StoredRecord"]

_PART_BYTES = 380_000  # of 400 KB, names and the other attributes leave room
MAX_RECORD_BYTES = 10 * 1024 * 1024
"""The largest record, uncompressed: as much as API Gateway takes in one request."""
# An estimate of what a record takes in memory once it is parsed: brackets compress to nothing and parse to 20 times
# their size. A record that would take more is not stored, and not read.
_MAX_PARSED_BYTES = 64 * 1024 * 1024
_BYTES_PER_VALUE = 64
_DAY_SECONDS = 86_400
_COMPRESSION = 6  # zlib's default: 1 MB of text takes about 20 ms

_log = logging.getLogger(__name__)


class ResponsesUnavailableError(Exception):
    """The table cannot be read right now."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The key that created a response, by its id ("master" for the master key), and the key's team."""

    key_id: str
    team: str | None = None


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record and its owner."""

    owner: Owner
    record: bytes


class ResponseStore:
    """Writes, reads and deletes records. `spawn` runs work in the background. With 0 `days` nothing is stored."""

    def __init__(
        self, client: DynamoDB, table: str, clock: Clock, *, days: int, spawn: Spawn = run_in_background
    ) -> None:
        self._client = client
        self._table = table
        self._clock = clock
        self._days = days
        self._spawn = spawn
        self._breaker = CircuitBreaker("the responses table", clock, "answers are sent without being stored")

    def write(self, id_: str, owner: Owner, record: bytes) -> bool:
        """Store `record` under `id_`; return whether it is stored. Never raises for a failure of DynamoDB."""
        if not self._days:
            return False
        if _is_too_large(record):
            _log.warning("a response is too large to be stored: %d bytes", len(record))
            return False
        mode = self._breaker.next_call()
        if mode is CallMode.CALL:
            return self._write(id_, owner, record)
        if mode is CallMode.PROBE:  # it may be stored after all, but the caller does not wait
            self._spawn(lambda: self._try(id_, owner, record))
        return False

    def read(self, id_: str) -> StoredRecord | None:
        """Return the record `id_`, None if it does not exist or has expired. Raises ResponsesUnavailableError."""
        if not self._days:
            return None
        try:
            items = self._items(id_)
        except AWS_ERRORS as error:
            raise ResponsesUnavailableError(error_code(error)) from None
        parts = {item["part"]: item for item in items}
        first = parts.get(0)
        if first is None or first["expires_at"] <= self._clock.now():  # DynamoDB deletes within days
            return None
        pieces = [parts.get(number) for number in range(first["parts"])]
        data = [each["data"] for each in pieces if each is not None and each["write"] == first["write"]]
        if len(data) != len(pieces):
            return None
        try:
            record = decompress(b"".join(data), MAX_RECORD_BYTES)
        except zlib.error:
            _log.warning("a record of the responses table is corrupt: it is treated as missing")
            return None
        if _is_too_large(record):
            _log.warning("a record of the responses table is too large: it is treated as missing")
            return None
        return StoredRecord(Owner(first["owner"], first.get("team")), record)

    def delete(self, id_: str) -> None:
        """Delete the record `id_`. Raises ResponsesUnavailableError."""
        try:
            for item in self._items(id_, "part"):  # part 0 first: without it the response does not exist
                self._client.delete_item(
                    TableName=self._table, Key={"id": {"S": id_}, "part": {"N": str(item["part"])}}
                )
        except AWS_ERRORS as error:
            raise ResponsesUnavailableError(error_code(error)) from None

    def _try(self, id_: str, owner: Owner, record: bytes) -> None:
        self._write(id_, owner, record)

    def _write(self, id_: str, owner: Owner, record: bytes) -> bool:
        data = zlib.compress(record, _COMPRESSION)
        pieces = [data[start : start + _PART_BYTES] for start in range(0, len(data), _PART_BYTES)]
        common: dict[str, Value] = {
            "id": id_,
            "owner": owner.key_id,
            "write": secrets.token_hex(8),
            "expires_at": int(self._clock.now()) + self._days * _DAY_SECONDS,
        }
        try:
            for number, piece in enumerate(pieces):
                first: dict[str, Value] = {"parts": len(pieces), "team": owner.team} if number == 0 else {}
                item = {name: value for name, value in {**common, **first, "part": number}.items() if value is not None}
                self._client.put_item(
                    TableName=self._table,
                    Item={**to_item(item), "data": {"B": piece}},
                    # Free or this owner's own: a provider that reuses an id must not mix two callers' answers.
                    ConditionExpression="attribute_not_exists(id) OR #owner = :owner",
                    ExpressionAttributeNames={"#owner": "owner"},
                    ExpressionAttributeValues={":owner": {"S": owner.key_id}},
                )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                self._breaker.record_failure(error)
                return False
            self._breaker.record_success()
            _log.warning("a response is not stored: its id belongs to another caller's")
            return False
        except AWS_ERRORS as error:
            self._breaker.record_failure(error)
            return False
        self._breaker.record_success()
        return True

    def _items(self, id_: str, attributes: str | None = None) -> list[dict[str, Any]]:
        """Return the items of a response in order, with only the attribute `attributes` if given."""
        query: QueryInputTypeDef = {
            "TableName": self._table,
            "KeyConditionExpression": "id = :id",
            "ExpressionAttributeValues": {":id": {"S": id_}},
            "ConsistentRead": True,  # a caller may continue at once
        }
        if attributes:
            query["ProjectionExpression"] = attributes
        items: list[dict[str, Any]] = []
        while True:
            response = self._client.query(**query)
            if "Items" not in response:  # another server's response
                raise ClientError({"Error": {"Code": "MalformedAnswer"}}, "Query")
            items += (from_item(item, binary=True) for item in response["Items"])
            if not (last := response.get("LastEvaluatedKey")):
                return items
            query["ExclusiveStartKey"] = last


def _is_too_large(record: bytes) -> bool:
    if len(record) > MAX_RECORD_BYTES:
        return True
    values = record.count(b"[") + record.count(b"{") + record.count(b",")
    return len(record) + values * _BYTES_PER_VALUE > _MAX_PARSED_BYTES

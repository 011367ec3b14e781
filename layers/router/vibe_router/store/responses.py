"""Responses that are kept: the ResponsesTable.

    id       part   attributes
    resp_…   0      owner, team (of who made it), write, parts, data, expires_at
    resp_…   1 …    owner, write, data, expires_at

`data` is a piece of the record, compressed; DynamoDB holds 400 KB in an item, so a large one takes several. `write` is
the same in all that were written together: a piece of another write, or a missing one, makes the response none. Ids may
be a provider's own, so nobody overwrites what another owner keeps under one.
"""

import logging
import secrets
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from vibe_router.core.clock import Clock
from vibe_router.store.circuit_breaker import AWS_ERRORS, CallMode, CircuitBreaker, Spawn, error_code, run_in_background
from vibe_router.store.dynamodb import Value, from_item, to_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import QueryInputTypeDef

__all__ = ["Owner", "ResponseStore", "ResponsesUnavailableError", "Stored"]

_PART_BYTES = 380_000  # of 400 KB, names and the other attributes leave room
_MOST_PARTS = 40  # a request is 10 MB at most; what a conversation of many images adds up to beyond this is not kept
_DAY_SECONDS = 86_400
_COMPRESSION = 6  # zlib's own balance: 1 MB of text takes 20 ms or so

_log = logging.getLogger(__name__)


class ResponsesUnavailableError(Exception):
    """DynamoDB can't be asked for responses now."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who made a response: a key by its id ("master" for the master key), and the key's team."""

    key_id: str
    team: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it was written, and whose it is."""

    owner: Owner
    record: bytes


class ResponseStore:
    """Writes, reads and deletes records. `spawn` runs work that nobody waits for."""

    def __init__(
        self, client: "DynamoDBClient", table: str, clock: Clock, *, days: int, spawn: Spawn = run_in_background
    ) -> None:
        self._client = client
        self._table = table
        self._clock = clock
        self._days = days
        self._spawn = spawn
        self._breaker = CircuitBreaker("the responses table", clock, "answers go out without being kept")

    def write(self, id_: str, owner: Owner, record: bytes) -> bool:
        """Keep `record` under `id_`; return whether it is kept. Never raises for what DynamoDB does."""
        advice = self._breaker.next_call()
        if advice is CallMode.CALL:
            return self._write(id_, owner, record)
        if advice is CallMode.PROBE:  # it may be kept after all, but nobody waits to hear of it
            self._spawn(lambda: self._try(id_, owner, record))
        return False

    def read(self, id_: str) -> Stored | None:
        """Return what is kept under `id_`, None where nothing is (any more). Raises ResponsesUnavailableError."""
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
            return Stored(Owner(first["owner"], first.get("team")), zlib.decompress(b"".join(data)))
        except zlib.error:
            _log.warning("a record of the responses table can't be read: it counts as none")
            return None

    def delete(self, id_: str) -> None:
        """Delete what is kept under `id_`. Raises ResponsesUnavailableError."""
        try:
            for item in self._items(id_, "part"):  # the first one first: without it there is no response
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
        if len(pieces) > _MOST_PARTS:
            _log.warning("a response is too large to be kept: %d bytes compressed", len(data))
            return False
        same: dict[str, Value] = {
            "id": id_,
            "owner": owner.key_id,
            "write": secrets.token_hex(8),
            "expires_at": int(self._clock.now()) + self._days * _DAY_SECONDS,
        }
        try:
            for number, piece in enumerate(pieces):
                first: dict[str, Value] = {"parts": len(pieces), "team": owner.team} if number == 0 else {}
                said = {name: value for name, value in {**same, **first, "part": number}.items() if value is not None}
                self._client.put_item(
                    TableName=self._table,
                    Item={**to_item(said), "data": {"B": piece}},
                    # Free, or this owner's own: a provider that gives an id twice must not mix two callers' answers.
                    ConditionExpression="attribute_not_exists(id) OR #owner = :owner",
                    ExpressionAttributeNames={"#owner": "owner"},
                    ExpressionAttributeValues={":owner": {"S": owner.key_id}},
                )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                self._breaker.record_failure(error)
                return False
            self._breaker.record_success()
            _log.warning("a response is not kept: another caller keeps one under its id")
            return False
        except AWS_ERRORS as error:
            self._breaker.record_failure(error)
            return False
        self._breaker.record_success()
        return True

    def _items(self, id_: str, attributes: str | None = None) -> list[dict[str, Any]]:
        """Return the items of a response in order; of each the one attribute asked for, or all."""
        query: QueryInputTypeDef = {
            "TableName": self._table,
            "KeyConditionExpression": "id = :id",
            "ExpressionAttributeValues": {":id": {"S": id_}},
            "ConsistentRead": True,  # a caller may go on at once
        }
        if attributes:
            query["ProjectionExpression"] = attributes
        items: list[dict[str, Any]] = []
        while True:
            answer = self._client.query(**query)
            if "Items" not in answer:  # botocore takes what is not DynamoDB's for an empty answer
                raise ClientError({"Error": {"Code": "MalformedAnswer"}}, "Query")
            items += (from_item(item) for item in answer["Items"])
            if not (last := answer.get("LastEvaluatedKey")):
                return items
            query["ExclusiveStartKey"] = last

"""Write and list keys and teams: the admin function's side of the KeysTable.

Every write is one conditional transaction: concurrent editors never undo each other's changes, and aliases are unique.

    a record  is put while its version is unchanged; a new one while it does not exist
    an alias  is taken while it is free, moves to the key's successor, and is released with the key
    a team    is referenced while it exists

An editor that lost reads the record again and applies its change again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from vibe_router.access.keys import Key, KeyOwner, Team
from vibe_router.core.clock import Clock
from vibe_router.store.aws_errors import ClientError
from vibe_router.store.circuit_breaker import error_code
from vibe_router.store.dynamodb import DynamoDB, from_item, to_item
from vibe_router.store.key_records import (
    alias_record_id,
    key_record,
    key_record_id,
    parse_key,
    parse_team,
    parse_user,
    team_record,
    team_record_id,
    user_record,
    user_record_id,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

__all__ = ["AliasTakenError", "BusyError", "CorruptRecordError", "KeyAdmin", "NoSuchTeamError", "TakenError"]

_TRIES = 6  # other editors may write the same record
_FIRST_WAIT = 0.02  # seconds; doubles with every try

Record = TypeVar("Record", Key, Team, KeyOwner)
_Role = Literal["record", "alias", "team"]


class TakenError(Exception):
    """A record with this id exists, possibly a tombstone."""


class AliasTakenError(Exception):
    """Another key has the alias."""


class NoSuchTeamError(Exception):
    """The key's team does not exist."""


class BusyError(Exception):
    """The record kept changing concurrently."""


class CorruptRecordError(Exception):
    """A record was edited by hand and cannot be read."""


class _LostError(Exception):
    """Another editor wrote the record first."""


class KeyAdmin:
    """Reads consistently, and writes. Raises AwsError."""

    def __init__(self, client: DynamoDB, table: str, clock: Clock) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    # --- Reading ---------------------------------------------------------------------------------------------------

    def key(self, key_hash: str) -> Key | None:
        """Return the key with this hash, or its tombstone. Raises CorruptRecordError."""
        return self._record(parse_key, key_record_id(key_hash))

    def team(self, team_id: str) -> Team | None:
        """Return a team. Raises CorruptRecordError."""
        return self._record(parse_team, team_record_id(team_id))

    def holder_of(self, alias: str) -> str | None:
        """Return the hash of the key that has `alias`."""
        found = self._get(alias_record_id(alias))
        return str(found["hash"]) if found else None

    def list_keys(self, *, deleted: bool = False) -> list[Key]:
        """Return every key, with tombstones if `deleted`. Corrupt records are omitted."""
        found = (_readable(parse_key, values) for values in self._scan("key#"))
        return [key for key in found if key and (deleted or not key.deleted)]

    def list_teams(self) -> list[Team]:
        """Return every team. Corrupt records are omitted."""
        return [team for values in self._scan("team#") if (team := _readable(parse_team, values))]

    def user(self, user_id: str) -> KeyOwner | None:
        """Return what is stored of a user. Raises CorruptRecordError."""
        return self._record(parse_user, user_record_id(user_id))

    def list_users(self) -> list[KeyOwner]:
        """Return every stored user. Corrupt records are omitted."""
        return [owner for values in self._scan("user#") if (owner := _readable(parse_user, values))]

    # --- Writing ---------------------------------------------------------------------------------------------------

    def add_key(self, key: Key) -> None:
        """Write a new key. Raises TakenError, AliasTakenError, NoSuchTeamError."""
        self._commit([(None, key)])

    def add_team(self, team: Team) -> None:
        """Write a new team. Raises TakenError."""
        self._write([(self._put(team_record(team), None), "record")])

    def change_key(self, key_hash: str, change: Callable[[Key], Key]) -> Key | None:
        """Change a key atomically: `change` returns the new record. Return it, None if the key does not exist.

        `change` is called again after a concurrent write. Raises AliasTakenError, NoSuchTeamError, BusyError.
        """
        return self._retry(lambda: self._change_key(key_hash, change))

    def replace_key(self, key_hash: str, change: Callable[[Key], tuple[Key, Key]]) -> Key | None:
        """Replace a key atomically: `change` returns (retired, successor). Return the successor, None without a key.

        Raises TakenError, AliasTakenError, NoSuchTeamError, BusyError.
        """
        return self._retry(lambda: self._replace_key(key_hash, change))

    def change_team(self, team_id: str, change: Callable[[Team], Team]) -> Team | None:
        """Change a team atomically, as `change_key` does. Raises BusyError."""
        return self._retry(lambda: self._change_team(team_id, change))

    def add_user(self, owner: KeyOwner) -> None:
        """Write a new user. Raises TakenError."""
        self._write([(self._put(user_record(owner), None), "record")])

    def change_user(self, user_id: str, change: Callable[[KeyOwner], KeyOwner]) -> KeyOwner | None:
        """Change a user atomically, as `change_key` does. Raises BusyError."""
        return self._retry(lambda: self._change_user(user_id, change))

    def delete_user(self, user_id: str) -> None:
        """Delete what is stored of a user; keys stay."""
        self._client.delete_item(TableName=self._table, Key=to_item({"id": user_record_id(user_id)}))

    def delete_team(self, team_id: str) -> None:
        """Delete a team. Keys that still belong to it are rejected."""
        self._client.delete_item(TableName=self._table, Key=to_item({"id": team_record_id(team_id)}))

    def _change_key(self, key_hash: str, change: Callable[[Key], Key]) -> Key | None:
        seen = self.key(key_hash)
        if seen is None or seen.deleted:
            return None
        after = change(seen)
        after = replace(after, version=seen.version + 1)
        self._commit([(seen, after)])
        return after

    def _replace_key(self, key_hash: str, change: Callable[[Key], tuple[Key, Key]]) -> Key | None:
        seen = self.key(key_hash)
        if seen is None or seen.deleted:
            return None
        retired, successor = change(seen)
        self._commit([(seen, retired), (None, successor)])
        return successor

    def _change_team(self, team_id: str, change: Callable[[Team], Team]) -> Team | None:
        seen = self.team(team_id)
        if seen is None:
            return None
        after = replace(change(seen), version=seen.version + 1)
        self._write([(self._put(team_record(after), seen.version), "record")])
        return after

    def _change_user(self, user_id: str, change: Callable[[KeyOwner], KeyOwner]) -> KeyOwner | None:
        seen = self.user(user_id)
        if seen is None:
            return None
        after = replace(change(seen), version=seen.version + 1)
        self._write([(self._put(user_record(after), seen.version), "record")])
        return after

    def _retry(self, change: Callable[[], Record | None]) -> Record | None:
        for tried in range(_TRIES):
            try:
                return change()
            except _LostError:
                self._clock.sleep(self._clock.jitter() * _FIRST_WAIT * 2**tried)
        raise BusyError("the record kept changing")

    def _commit(self, changes: Sequence[tuple[Key | None, Key]]) -> None:
        """Write keys and their aliases in one transaction."""
        writes: list[tuple[TransactWriteItemTypeDef, _Role]] = []
        holders: dict[str, tuple[str | None, str | None]] = {}  # alias: its holder before and after
        for before, after in changes:
            writes.append((self._put(key_record(after), before.version if before else None), "record"))
            if before and before.alias and not before.replaced_by:
                holders[before.alias] = (before.hash, holders.get(before.alias, (None, None))[1])
            if after.alias and not after.replaced_by and not after.deleted:
                holders[after.alias] = (holders.get(after.alias, (None, None))[0], after.hash)
            if after.team_id and not (before and before.team_id == after.team_id):
                writes.append((self._team_exists(after.team_id), "team"))
        for alias, (had, has) in holders.items():
            if had != has:
                writes.append((self._move_alias(alias, had, has), "alias"))
        self._write(writes)

    def _write(self, writes: Sequence[tuple["TransactWriteItemTypeDef", _Role]]) -> None:
        try:
            self._client.transact_write_items(TransactItems=[write for write, _ in writes])
        except ClientError as error:
            if error_code(error) in ("TransactionConflictException", "TransactionInProgressException"):
                raise _LostError from None
            if error_code(error) != "TransactionCanceledException":
                raise
            reasons = cast("list[dict[str, Any]]", error.response.get("CancellationReasons") or [])
            codes = [str(reason.get("Code")) for reason in reasons]
            failed = {role for (_, role), code in zip(writes, codes, strict=False) if code == "ConditionalCheckFailed"}
            if "record" in failed:
                new = "attribute_not_exists" in str(writes[codes.index("ConditionalCheckFailed")])
                raise (TakenError if new else _LostError)() from None
            if "alias" in failed:
                raise AliasTakenError from None
            if "team" in failed:
                raise NoSuchTeamError from None
            if "TransactionConflict" in codes:
                raise _LostError from None
            raise

    def _put(self, record: dict[str, Any], seen: int | None) -> "TransactWriteItemTypeDef":
        """Put `record`: a new one if it does not exist, else if its version is still `seen`.

        A record without a version was written by hand and counts as version 0.
        """
        put: dict[str, Any] = {"TableName": self._table, "Item": to_item(record)}
        if seen is None:
            put["ConditionExpression"] = "attribute_not_exists(id)"
        elif seen:
            put["ConditionExpression"] = "version = :seen"
            put["ExpressionAttributeValues"] = to_item({":seen": seen})
        else:
            put["ConditionExpression"] = "attribute_exists(id) AND NOT version > :seen"
            put["ExpressionAttributeValues"] = to_item({":seen": 0})
        return cast("TransactWriteItemTypeDef", {"Put": put})

    def _team_exists(self, team_id: str) -> "TransactWriteItemTypeDef":
        return {
            "ConditionCheck": {
                "TableName": self._table,
                "Key": to_item({"id": team_record_id(team_id)}),
                "ConditionExpression": "attribute_exists(id)",
            }
        }

    def _move_alias(self, alias: str, had: str | None, has: str | None) -> "TransactWriteItemTypeDef":
        """Move, take or release an alias, on the condition that its holder is unchanged."""
        key = to_item({"id": alias_record_id(alias)})
        if had is None:
            condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(id)"}
        else:
            condition = {
                "ConditionExpression": "attribute_not_exists(id) OR #hash = :had",
                "ExpressionAttributeNames": {"#hash": "hash"},
                "ExpressionAttributeValues": to_item({":had": had}),
            }
        if has is None:
            return cast("TransactWriteItemTypeDef", {"Delete": {"TableName": self._table, "Key": key, **condition}})
        item = {**key, **to_item({"hash": has})}
        return cast("TransactWriteItemTypeDef", {"Put": {"TableName": self._table, "Item": item, **condition}})

    def _record(self, read: Callable[[dict[str, Any]], Record], record_id: str) -> Record | None:
        found = self._get(record_id)
        try:
            return read(found) if found else None
        except ValueError:
            raise CorruptRecordError from None

    def _get(self, record_id: str) -> dict[str, Any] | None:
        response = self._client.get_item(TableName=self._table, Key=to_item({"id": record_id}), ConsistentRead=True)
        return from_item(response["Item"]) if "Item" in response else None

    def _scan(self, kind: str) -> Iterator[dict[str, Any]]:
        pages = self._client.pages(
            "Scan",
            TableName=self._table,
            ConsistentRead=True,
            FilterExpression="begins_with(id, :kind)",
            ExpressionAttributeValues=to_item({":kind": kind}),
        )
        for page in pages:
            yield from map(from_item, page["Items"])


def _readable(read: Callable[[dict[str, Any]], Record], values: dict[str, Any]) -> Record | None:
    try:
        return read(values)
    except ValueError:
        return None

"""The HistoryTable: previous versions of the routes.

    id      version   attributes
    routes  1, 2 …    rows (all of them, as JSON), changes (as JSON), at (epoch seconds), by, note

A version is written in the transaction of its change, and so are the routes before the first change, so that a rollback
to them is possible. Each version replaces the one `HISTORY_LENGTH` before it.
"""

import json
import logging
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from vibe_router.core.rows import CorruptRowError, read_int, read_text, read_time
from vibe_router.routing.changes import Rows
from vibe_router.store.aws_errors import ClientError
from vibe_router.store.circuit_breaker import error_code
from vibe_router.store.dynamodb import DynamoDB, from_item, to_item
from vibe_router.store.routes import RoutesSnapshot

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

__all__ = ["HISTORY_LENGTH", "HistoryStore", "Version"]

HISTORY_LENGTH = 200  # versions; each contains all rows, some kilobytes
_ROUTES = "routes"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the routes, with its time (epoch seconds), author and note. `changes` are plain values."""

    version: int
    at: float
    by: str
    note: str
    changes: list[dict[str, Any]]


class HistoryStore:
    """Reads and writes versions. Raises AwsError."""

    def __init__(self, client: DynamoDB, table: str) -> None:
        self._client = client
        self._table = table

    def entry(self, version: Version, rows: Rows) -> "list[TransactWriteItemTypeDef]":
        """Return the writes that add `version` and delete the oldest, for the transaction of its change."""
        return [
            {"Put": {"TableName": self._table, "Item": self._item(version, rows)}},
            {
                "Delete": {
                    "TableName": self._table,
                    "Key": to_item({"id": _ROUTES, "version": version.version - HISTORY_LENGTH}),
                }
            },
        ]

    def record(self, version: Version, rows: Rows) -> None:
        """Store `version` unless it exists."""
        item = self._item(version, rows)
        try:
            self._client.put_item(TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(id)")
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise

    def record_current(self, current: RoutesSnapshot, at: float) -> None:
        """Record the current routes as their version, if their writer did not."""
        self.record(Version(current.version, at, "", "as it was", []), current.rows)

    def versions(self, limit: int) -> list[Version]:
        """Return the newest versions, the newest first."""
        pages = self._client.pages(  # a page is at most 1 MB, and rows count
            "Query",
            TableName=self._table,
            KeyConditionExpression="id = :id",
            ExpressionAttributeValues=to_item({":id": _ROUTES}),
            ProjectionExpression="#version, #at, #by, note, changes",
            ExpressionAttributeNames={"#version": "version", "#at": "at", "#by": "by"},
            ScanIndexForward=False,
            Limit=limit,
        )
        found = (_parse(from_item(item)) for item in islice((item for page in pages for item in page["Items"]), limit))
        return [version for version in found if version]

    def rows(self, version: int) -> Rows | None:
        """Return the rows of a version, None if it is not stored."""
        key = to_item({"id": _ROUTES, "version": version})
        found = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        if not found:
            return None
        try:
            return {(kind, name): row for kind, name, row in json.loads(from_item(found)["rows"])}
        except (KeyError, TypeError, ValueError):
            _log.warning("version %d of the routes' history is corrupt", version)
            return None

    def _item(self, version: Version, rows: Rows) -> Any:
        return to_item(
            {
                "id": _ROUTES,
                "version": version.version,
                "at": version.at,
                "by": version.by,
                "note": version.note,
                "changes": json.dumps(version.changes, ensure_ascii=False),
                "rows": json.dumps([[kind, name, row] for (kind, name), row in sorted(rows.items())]),
            }
        )


def _parse(values: dict[str, Any]) -> Version | None:
    """Return a version without its rows; None for one that was edited by hand and cannot be parsed, which is logged."""
    try:
        changes = json.loads(read_text(values, "changes") or "[]")
        if not isinstance(changes, list):
            raise CorruptRowError("changes is not a list")
        return Version(
            version=read_int(values, "version") or 0,
            at=read_time(values, "at") or 0,
            by=read_text(values, "by") or "",
            note=read_text(values, "note") or "",
            changes=changes,
        )
    except ValueError as error:
        _log.warning("a version of the routes' history is corrupt: %s", error)
        return None

"""What the routes were before each change: the HistoryTable.

    id      version   attributes
    routes  1, 2 …    rows (all of them, as JSON), changes (as JSON), at (epoch seconds), by, note

A version is written in the transaction that makes it true, or beside it by whoever may not write here. What stood
before the first change is kept as well, so that there is something to go back to. Each version takes the place of the
one `KEPT` before it.
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from vibe_router.routing.changes import Rows
from vibe_router.store.circuit_breaker import error_code
from vibe_router.store.dynamodb import from_item, to_item
from vibe_router.store.routes import RoutesSnapshot

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

__all__ = ["KEPT", "HistoryStore", "Version"]

KEPT = 200  # versions; each holds all rows, some kilobytes
_ROUTES = "routes"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the routes: when it came, by whom, and why. `changes` are plain values, as programs are told."""

    version: int
    at: float
    by: str
    note: str
    changes: list[dict[str, Any]]


class HistoryStore:
    """Reads and writes versions. Raises botocore's errors."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def entry(self, version: Version, rows: Rows) -> "list[TransactWriteItemTypeDef]":
        """Return the writes that keep `version` and no more than `KEPT`, for the transaction that makes it true."""
        return [
            {"Put": {"TableName": self._table, "Item": self._item(version, rows)}},
            {"Delete": {"TableName": self._table, "Key": to_item({"id": _ROUTES, "version": version.version - KEPT})}},
        ]

    def record(self, version: Version, rows: Rows) -> None:
        """Keep `version`, unless it is kept already."""
        item = self._item(version, rows)
        try:
            self._client.put_item(TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(id)")
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise

    def keep(self, standing: RoutesSnapshot, at: float) -> None:
        """Keep what stands as the version that it has, if whoever wrote it did not."""
        self.record(Version(standing.version, at, "", "as it stood", []), standing.rows)

    def versions(self, limit: int) -> list[Version]:
        """Return the newest versions, the newest first."""
        pages = self._client.get_paginator("query").paginate(  # a page is at most 1 MB, and rows count
            TableName=self._table,
            KeyConditionExpression="id = :id",
            ExpressionAttributeValues=to_item({":id": _ROUTES}),
            ProjectionExpression="#version, #at, #by, note, changes",
            ExpressionAttributeNames={"#version": "version", "#at": "at", "#by": "by"},
            ScanIndexForward=False,
            PaginationConfig={"MaxItems": limit, "PageSize": limit},
        )
        return [
            Version(
                version=values["version"],
                at=values.get("at", 0),
                by=values.get("by", ""),
                note=values.get("note", ""),
                changes=json.loads(values.get("changes", "[]")),
            )
            for page in pages
            for values in map(from_item, page["Items"])
        ]

    def rows(self, version: int) -> Rows | None:
        """Return the rows of a version, None where it is not kept."""
        key = to_item({"id": _ROUTES, "version": version})
        found = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        if not found:
            return None
        return {(kind, name): row for kind, name, row in json.loads(from_item(found)["rows"])}

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

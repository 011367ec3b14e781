"""The AuditTable: the audit log, to which entries are only ever added.

    day         position                          attributes
    2026-11-28  2026-11-28T09:30:00.250Z#<random> those of AuditEntry, expires_at

The functions may neither change nor delete an entry; TTL deletes it after AUDIT_DAYS.
"""

import json
import logging
from collections.abc import Iterator
from itertools import islice
from typing import Any

from vibe_router.access.audit import AuditEntry
from vibe_router.core.clock import to_iso
from vibe_router.core.rows import read_int, read_text, read_time
from vibe_router.store.dynamodb import DynamoDB, Value, from_item, to_item

__all__ = ["AUDIT_DAYS", "AuditStore"]

AUDIT_DAYS = 400  # more than a year, so that a year can be reviewed
_DAY = 86_400
_log = logging.getLogger(__name__)


class AuditStore:
    """Adds and reads entries. Raises AwsError."""

    def __init__(self, client: DynamoDB, table: str) -> None:
        self._client = client
        self._table = table

    def add(self, entry: AuditEntry) -> None:
        """Add `entry`."""
        item: dict[str, Value] = {
            "day": entry.position[:10],
            "position": entry.position,
            "at": round(entry.at, 3),
            "request_id": entry.request_id,
            "by": entry.by,
            "address": entry.address,
            "action": entry.action,
            "status": entry.status,
            "changes": json.dumps(entry.changes, ensure_ascii=False),
            "expires_at": int(entry.at) + AUDIT_DAYS * _DAY,
            **({"target": entry.target} if entry.target else {}),
        }
        self._client.put_item(
            TableName=self._table, Item=to_item(item), ConditionExpression="attribute_not_exists(#day)",
            ExpressionAttributeNames={"#day": "day"},
        )  # fmt: skip

    def read(self, until: float, days: int, limit: int, before: str | None = None) -> list[AuditEntry]:
        """Return the newest entries of the `days` up to `until` (epoch seconds), the newest first, at most `limit`.

        `before` is the position of the oldest entry read so far, to read on from.
        """
        found: list[AuditEntry] = []
        for back in range(days):
            day = to_iso(until - back * _DAY)[:10]
            if before is not None and day > before[:10]:
                continue
            for entry in self._of_day(day, limit - len(found), before):
                found.append(entry)
                if len(found) == limit:
                    return found
        return found

    def _of_day(self, day: str, limit: int, before: str | None) -> Iterator[AuditEntry]:
        names, values = {"#day": "day"}, {":day": day}
        condition = "#day = :day"
        if before is not None:
            names, values = names | {"#position": "position"}, values | {":before": before}
            condition += " AND #position < :before"
        pages = self._client.pages(
            "Query",
            TableName=self._table,
            KeyConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=to_item(values),
            ScanIndexForward=False,
            Limit=limit,
        )
        for item in islice((item for page in pages for item in page["Items"]), limit):
            if entry := _parse(from_item(item)):
                yield entry


def _parse(values: dict[str, Any]) -> AuditEntry | None:
    """Return an entry; None for one that cannot be parsed, which is logged."""
    try:
        changes = json.loads(read_text(values, "changes") or "{}")
        return AuditEntry(
            position=read_text(values, "position") or "",
            at=read_time(values, "at") or 0,
            request_id=read_text(values, "request_id") or "",
            by=read_text(values, "by") or "",
            address=read_text(values, "address") or "",
            action=read_text(values, "action") or "",
            target=read_text(values, "target"),
            status=read_int(values, "status") or 0,
            changes=changes if isinstance(changes, dict) else {},
        )
    except ValueError as error:
        _log.warning("an entry of the audit log is corrupt: %s", error)
        return None

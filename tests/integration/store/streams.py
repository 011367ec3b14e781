"""The stream of a usage table as the aggregator gets it, with everything that may happen to batches."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vibe_router.core.clock import Clock
from vibe_router.store.dynamodb import DynamoDB
from vibe_router.store.totals import TotalsAggregator

__all__ = ["Stream", "insertion"]

LABEL = "2027-01-15T00:00:00.000"


def insertion(sequence: int, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stream's record of an inserted row, in DynamoDB's form."""
    return {
        "eventID": f"event-{sequence}",
        "eventName": "INSERT",
        "eventSource": "aws:dynamodb",
        "dynamodb": {
            "Keys": {"id": row["id"], "at": row["at"]},
            "NewImage": dict(row),
            "SequenceNumber": f"{sequence:021}",
            "StreamViewType": "NEW_IMAGE",
        },
    }


class Stream:
    """Notices the rows of a table, in shards, and delivers them to aggregators, which may be many."""

    def __init__(self, client: DynamoDB, usage_table: str, ledger_table: str, shards: int = 2) -> None:
        self._client = client
        self._tables = usage_table, ledger_table
        self._seen: set[str] = set()
        self.shards: list[list[dict[str, Any]]] = [[] for _ in range(shards)]

    def aggregator(self, client: Any = None, clock: Clock | None = None) -> TotalsAggregator:
        """Return the aggregator of another environment."""
        return TotalsAggregator(client or self._client, *self._tables, clock or Clock())

    def notice(self) -> None:
        """Append the rows that are new since the last time."""
        pages = self._client.pages("Scan", TableName=self._tables[0], ConsistentRead=True)
        for row in (row for page in pages for row in page["Items"]):
            name = row["id"]["S"]
            if name.startswith("request#") and name not in self._seen:
                self._seen.add(name)
                shard = self.shards[zlib.crc32(name.encode()) % len(self.shards)]
                shard.append(insertion(100 + len(shard), row))

    def deliver(
        self, batch: Sequence[Mapping[str, Any]] | None = None, shard: int = 0, by: TotalsAggregator | None = None
    ) -> str | None:
        """Deliver a batch of a shard; return the sequence number from which it is to be sent again."""
        records: Iterable[Mapping[str, Any]] = self.shards[shard] if batch is None else batch
        return (by or self.aggregator()).count(LABEL, f"shard-{shard}", records)

    def deliver_all(self) -> None:
        """Deliver every row from the beginning of the stream, as a new mapping does."""
        self.notice()
        for number in range(len(self.shards)):
            assert self.deliver(shard=number) is None

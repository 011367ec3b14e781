"""The handler: one batch of the usage table's stream at a time.

https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-windows.html
"""

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from vibe_router.core.clock import Clock
from vibe_router.store.dynamodb import dynamodb_client
from vibe_router.store.totals import TotalsAggregator

__all__ = ["count_batch", "handler"]


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Count the rows of a batch; the response names the first that must be sent again, if any."""
    return count_batch(event, _aggregator())


def count_batch(event: Mapping[str, Any], aggregator: TotalsAggregator) -> dict[str, Any]:
    """Count the rows of the batch in `event` with `aggregator`, and return the response.

    Only events of a tumbling window name their shard, which exactly-once counting needs. The window has no other use,
    so its state is empty. Raises KeyError for an event without a shard.
    """
    records = event["Records"]
    failed = aggregator.count(_label(event), event["shardId"], records) if records else None
    return {"state": {}, "batchItemFailures": [{"itemIdentifier": failed}] if failed else []}


def _label(event: Mapping[str, Any]) -> str:
    """Return the name of the stream, which is new if the table gets a new stream: the time of its creation."""
    return str(event["eventSourceARN"]).rpartition("/")[2]


@cache
def _aggregator() -> TotalsAggregator:
    return TotalsAggregator(dynamodb_client(), os.environ["USAGE_TABLE"], os.environ["LEDGER_TABLE"], Clock())

"""The event source mapping of a table's stream: a function of the template gets what is written to the table.

The function runs in a thread of the embedded AWS, whose endpoint it calls as it calls DynamoDB's. Changes are in the
database until it has handled them, so nothing is lost when the stack ends.
"""

import asyncio
import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from itertools import takewhile
from typing import Any

from .aws_protocol import StreamReader
from .dynamodb.database import Database
from .dynamodb.values import Item

__all__ = ["SHARD", "read_stream", "stream_event"]

SHARD = "shardId-00000000000000000000-local"

_POLL_SECONDS = 0.5
_BATCH = 1000

Handler = Callable[[Mapping[str, Any], None], Mapping[str, Any]]
Change = tuple[int, str, Item]


async def read_stream(database: Database, reader: StreamReader) -> None:
    """Deliver the changes of a table to its reader, twice a second at most. A batch that fails is repeated."""
    await (_read_in_lanes if reader.lanes > 1 else _read_in_order)(database, reader)


async def _read_in_lanes(database: Database, reader: StreamReader) -> None:
    """Deliver each change as a batch of its own, as many at once as the reader has lanes."""
    key_of = database.tables[reader.table].key_of
    running: dict[int, asyncio.Task[Mapping[str, Any] | None]] = {}
    done: set[int] = set()
    while True:
        for sequence in [each for each, task in running.items() if task.done()]:
            if running.pop(sequence).result() is not None:
                done.add(sequence)
        changes = database.changes(reader.table, _BATCH)
        handled = list(takewhile(done.__contains__, (sequence for sequence, _, _ in changes)))
        if handled:
            database.forget_changes(reader.table, handled[-1])
            done.difference_update(handled)
        for change in changes[len(handled) :]:
            if len(running) < reader.lanes and change[0] not in running and change[0] not in done:
                event = stream_event(reader.arn, key_of, [change])
                running[change[0]] = asyncio.create_task(_run_in_thread(reader, event))
        await asyncio.sleep(_POLL_SECONDS)


async def _read_in_order(database: Database, reader: StreamReader) -> None:
    while True:
        await asyncio.sleep(_POLL_SECONDS)
        changes = database.changes(reader.table, _BATCH)
        if not changes:
            continue
        response = await _run_in_thread(reader, stream_event(reader.arn, database.tables[reader.table].key_of, changes))
        if response is not None:
            failed = [int(each["itemIdentifier"]) for each in response.get("batchItemFailures") or ()]
            database.forget_changes(reader.table, min(failed) - 1 if failed else changes[-1][0])


def stream_event(arn: str, key_of: Callable[[Item], Item], changes: Sequence[Change]) -> dict[str, Any]:
    """Return the event of a batch, as Lambda sends it to a function with a tumbling window."""
    return {
        "Records": [
            {
                "eventID": str(sequence),
                "eventName": name,
                "eventVersion": "1.1",
                "eventSource": "aws:dynamodb",
                "awsRegion": arn.split(":")[3],
                "dynamodb": {
                    "Keys": key_of(item),
                    **({} if name == "REMOVE" else {"NewImage": item}),
                    "SequenceNumber": f"{sequence:021}",
                    "StreamViewType": "NEW_IMAGE",
                },
                "eventSourceARN": arn,
            }
            for sequence, name, item in changes
        ],
        "shardId": SHARD,
        "eventSourceARN": arn,
        "window": {"start": "1970-01-01T00:00:00Z", "end": "1970-01-01T00:15:00Z"},
        "state": {},
        "isFinalInvokeForWindow": False,
        "isWindowTerminatedEarly": False,
    }


async def _run_in_thread(reader: StreamReader, event: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Run the handler; None if it fails. The thread is a daemon: the stack does not wait for it when it ends."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Mapping[str, Any] | None] = loop.create_future()

    def finish(response: Mapping[str, Any] | None) -> None:
        if not done.done():
            done.set_result(response)

    def run() -> None:
        response = None
        try:
            response = _handler(reader)(event, None)
        except Exception:  # noqa: BLE001 - Lambda reports any failure, and sends the batch again
            traceback.print_exc()
        if not loop.is_closed():
            loop.call_soon_threadsafe(finish, response)

    threading.Thread(target=run, daemon=True, name=reader.handler).start()
    return await done


def _handler(reader: StreamReader) -> Handler:
    """Return the handler, imported on first use."""
    module, _, name = reader.handler.rpartition(".")
    if module not in sys.modules:
        os.environ.update(reader.environment)
        sys.path[:0] = [path for path in reader.paths if path not in sys.path]
    handler: Handler = getattr(import_module(module), name)
    return handler

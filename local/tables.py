"""Persistence of the embedded DynamoDB's tables: restored at the start, saved after writes and at the end.

The saved text of every item is cached, and only written items are read again: reading a whole table takes moto 0.15 ms
per item, and blocks all requests.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .snapshot import Debounce, Item, Timer, read_items, set_aside, write_atomically

__all__ = ["SAVE_SECONDS", "Tables"]

SAVE_SECONDS = 0.5
"""Delay between a write and its saving, in seconds: what a crash may lose."""

_BATCH_WRITE, _BATCH_GET = 25, 100  # items that one call takes
_PREFIX = "DynamoDB_20120810."
_NOT_WRITING = ("Get", "BatchGet", "TransactGet", "Query", "Scan", "Describe", "List")

Call = Callable[[str, str, dict[str, Any]], dict[str, Any]]
"""An operation of a service: service, target, parameters; raises RuntimeError when it fails."""


class _Table:
    """The saved text of one table, by key."""

    def __init__(self, name: str, keys: tuple[str, ...]) -> None:
        self.name = name
        self.lines: dict[str, str] = {}
        self.touched: dict[str, Item] = {}
        self.changed = False
        self.keys = keys

    def touch(self, item: Item) -> None:
        """Mark the item, given whole or by its key, to be read again."""
        self.touched[self._id(item)] = {key: item[key] for key in self.keys}
        self.changed = True

    def put(self, item: Item) -> None:
        """Store the current content of an item."""
        self.lines[self._id(item)] = json.dumps(item, ensure_ascii=False, sort_keys=True)

    def as_json(self) -> bytes:
        """Return the file's content: one line per item, for reading and comparing."""
        lines = ",\n".join(self.lines[key] for key in sorted(self.lines))
        return f'{{"items": [\n{lines}\n]}}\n'.encode()

    def _id(self, item: Item) -> str:
        return json.dumps([item[key] for key in self.keys], ensure_ascii=False)


class Tables:
    """The tables saved in `directory`. `call` calls the embedded AWS; `call_later` is the event loop's."""

    def __init__(self, call: Call, directory: Path, call_later: Callable[[float, Callable[[], None]], Timer]) -> None:
        self._call = call
        self._directory = directory
        self._tables: dict[str, _Table] = {}
        self._debounce = Debounce(self._save, SAVE_SECONDS, call_later)
        self._writer = ThreadPoolExecutor(1)  # requests do not wait for the disk

    def create(self, parameters: dict[str, Any], ttl_attribute: str | None, warn: Callable[[str], None]) -> bool:
        """Create a table and restore its items; returns whether there was a file.

        An unreadable file is renamed, and `warn` gets a sentence about it.
        """
        name = parameters["TableName"]
        table = self._tables[name] = _Table(name, tuple(key["AttributeName"] for key in parameters["KeySchema"]))
        self._dynamodb("CreateTable", parameters)
        if ttl_attribute:
            specification = {"Enabled": True, "AttributeName": ttl_attribute}
            self._dynamodb("UpdateTimeToLive", {"TableName": name, "TimeToLiveSpecification": specification})
        path = self._path(name)
        try:
            items = read_items(path)
            if items is None:
                return False
            for item in items:
                table.put(item)
            for start in range(0, len(items), _BATCH_WRITE):
                puts = [{"PutRequest": {"Item": item}} for item in items[start : start + _BATCH_WRITE]]
                self._dynamodb("BatchWriteItem", {"RequestItems": {name: puts}})
        except (ValueError, KeyError, RuntimeError) as error:
            # Without this, the next save would store half a table.
            for key in self._keys_in(name):
                self._dynamodb("DeleteItem", {"TableName": name, "Key": key})
            table.lines.clear()
            warn(f"{path} cannot be read ({_first_line(error)}). It is now {set_aside(path)}; the table is empty.")
            return False
        return True

    def record(self, target: str, body: bytes) -> None:
        """Record a completed operation: `X-Amz-Target` and the request's body."""
        operation = target.removeprefix(_PREFIX)
        if operation == target or operation.startswith(_NOT_WRITING):
            return
        parameters = json.loads(body)
        if operation == "ExecuteStatement" or "Statements" in parameters or "TransactStatements" in parameters:
            for name, table in self._tables.items():  # PartiQL does not report the written items
                table.lines.clear()
                table.changed = True
                for key in self._keys_in(name):
                    table.touch(key)
        for name, item in _written(operation, parameters):
            if name in self._tables:
                self._tables[name].touch(item)
        self._debounce.schedule()

    def close(self) -> None:
        """Save the changes, and wait until they are on disk."""
        self._debounce.flush()
        self._writer.shutdown()

    def _save(self) -> None:
        for name, table in self._tables.items():
            if table.changed:
                table.changed = False
                self._read_again(table)
                self._writer.submit(_write, self._path(name), table.as_json())

    def _read_again(self, table: _Table) -> None:
        touched = list(table.touched.items())
        table.touched.clear()
        for start in range(0, len(touched), _BATCH_GET):
            batch = dict(touched[start : start + _BATCH_GET])
            for gone in batch:
                table.lines.pop(gone, None)
            wanted = {table.name: {"Keys": list(batch.values()), "ConsistentRead": True}}
            while wanted:
                page = self._dynamodb("BatchGetItem", {"RequestItems": wanted})
                for item in page["Responses"].get(table.name, []):
                    table.put(item)
                wanted = page.get("UnprocessedKeys") or {}

    def _keys_in(self, name: str) -> list[Item]:
        found: list[Item] = []
        parameters: dict[str, Any] = {"TableName": name, "ConsistentRead": True}
        while True:
            page = self._dynamodb("Scan", parameters)
            found += page["Items"]
            if "LastEvaluatedKey" not in page:
                return [{key: item[key] for key in self._tables[name].keys} for item in found]
            parameters["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _dynamodb(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        return self._call("dynamodb", _PREFIX + operation, parameters)

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.json"


def _written(operation: str, parameters: Mapping[str, Any]) -> Iterator[tuple[str, Item]]:
    """Yield the table, and the item or its key, of every write of an operation."""
    if operation == "BatchWriteItem":
        for table, requests in parameters["RequestItems"].items():
            for request in requests:
                for written in request.values():
                    yield _name(table), written.get("Item") or written["Key"]
    elif operation == "TransactWriteItems":
        for action in parameters["TransactItems"]:
            for kind, written in action.items():
                if kind != "ConditionCheck":
                    yield _name(written["TableName"]), written.get("Item") or written["Key"]
    elif operation in ("PutItem", "UpdateItem", "DeleteItem"):
        yield _name(parameters["TableName"]), parameters.get("Item") or parameters["Key"]


def _name(table: str) -> str:
    """Return a table's name, given as name or ARN."""
    return table.rpartition("/")[2]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        print(f"Local state cannot be saved: {error}", file=sys.stderr, flush=True)

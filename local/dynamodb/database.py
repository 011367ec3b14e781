"""Tables and items in one SQLite file: memory does not grow with the items, and a write costs what it touches."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from .values import Item, ValidationError, key_bytes

__all__ = ["Database", "Index", "Position", "Table"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    tbl TEXT, partition BLOB, sort BLOB, item TEXT, PRIMARY KEY (tbl, partition, sort)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (
    idx TEXT, ipartition BLOB, isort BLOB, partition BLOB, sort BLOB,
    PRIMARY KEY (idx, ipartition, isort, partition, sort)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS changes (sequence INTEGER PRIMARY KEY AUTOINCREMENT, tbl TEXT, event TEXT, item TEXT);
"""


class Position(NamedTuple):
    """The position of an item in a table, or of its entry in an index."""

    partition: bytes
    sort: bytes


@dataclass(frozen=True)
class Index:
    """A key schema: of a table (`name` is None) or of one of its indexes."""

    name: str | None
    partition: str
    sort: str | None
    projected: frozenset[str] | None = None
    """The projected attributes besides the keys; None for all."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of the key attributes."""
        return (self.partition, self.sort) if self.sort else (self.partition,)


@dataclass(frozen=True)
class Table:
    """A table: the parameters of CreateTable, its key schema and its indexes by name."""

    name: str
    parameters: Mapping[str, Any]
    primary: Index
    types: Mapping[str, str]
    indexes: Mapping[str, Index] = field(default_factory=dict)

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> "Table":
        """Return the table of CreateTable's parameters."""
        types = {each["AttributeName"]: each["AttributeType"] for each in parameters["AttributeDefinitions"]}
        indexes = {}
        for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
            for each in parameters.get(kind) or ():
                projection = each.get("Projection") or {}
                all_projected = projection.get("ProjectionType", "ALL") == "ALL"
                projected = None if all_projected else frozenset(projection.get("NonKeyAttributes") or ())
                indexes[each["IndexName"]] = _index(each["IndexName"], each["KeySchema"], projected)
        return cls(parameters["TableName"], parameters, _index(None, parameters["KeySchema"], None), types, indexes)

    def position(self, item: Mapping[str, Any]) -> Position:
        """Return the position of an item, or of its key. Raises `ValidationError`."""
        found = self.index_position(self.primary, item)
        if found is None:
            raise ValidationError("The provided key element does not match the schema")
        return found

    def index_position(self, index: Index, item: Mapping[str, Any]) -> Position | None:
        """Return the position of an item in an index; None without its key attributes."""
        if any(name not in item for name in index.keys):
            return None
        sort = key_bytes(item[index.sort], self.types[index.sort]) if index.sort else b""
        return Position(key_bytes(item[index.partition], self.types[index.partition]), sort)

    def key_of(self, item: Mapping[str, Any]) -> Item:
        """Return an item's key."""
        return {name: item[name] for name in self.primary.keys}


def _index(name: str | None, schema: list[Mapping[str, str]], projected: frozenset[str] | None) -> Index:
    by_type = {each["KeyType"]: each["AttributeName"] for each in schema}
    return Index(name, by_type["HASH"], by_type.get("RANGE"), projected)


class Database:
    """The tables in a file; `tables` by name. One thread, one operation at a time."""

    def __init__(self, path: Path | str) -> None:
        """Open the file. Raises sqlite3.DatabaseError for one that is not a database."""
        self.tables: dict[str, Table] = {}
        self._recorded: set[str] = set()
        self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=200)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")  # a crash of the machine may lose the last writes
        self._connection.execute("PRAGMA cache_size=-4000")  # KB
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def create(self, parameters: Mapping[str, Any]) -> bool:
        """Add a table, with the items that the file has of it; returns whether it has any."""
        table = Table.of(parameters)
        self.tables[table.name] = table
        found = self._connection.execute("SELECT 1 FROM items WHERE tbl = ? LIMIT 1", (table.name,)).fetchone()
        return found is not None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Apply all writes within, or none if an exception is raised."""
        self._connection.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def get_text(self, table: Table, position: Position) -> str | None:
        """Return an item as JSON text."""
        statement = "SELECT item FROM items WHERE tbl = ? AND partition = ? AND sort = ?"
        found = self._connection.execute(statement, (table.name, *position)).fetchone()
        return found[0] if found else None

    def get(self, table: Table, position: Position) -> Item | None:
        """Return an item."""
        text = self.get_text(table, position)
        return None if text is None else json.loads(text)

    def put(self, table: Table, position: Position, before: Item | None, item: Item) -> None:
        """Store an item in place of `before`."""
        text = json.dumps(item, ensure_ascii=False, separators=(",", ":"))
        # Unpaired surrogates are not UTF-8: escaped, JSON preserves them.
        text = text if text.isascii() or _is_utf8(text) else json.dumps(item, separators=(",", ":"))
        self._connection.execute("INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?)", (table.name, *position, text))
        if table.name in self._recorded:
            self._record(table, "MODIFY" if before else "INSERT", text)
        self._reindex(table, position, before, item)

    def delete(self, table: Table, position: Position, before: Item) -> None:
        """Delete the item `before`."""
        statement = "DELETE FROM items WHERE tbl = ? AND partition = ? AND sort = ?"
        self._connection.execute(statement, (table.name, *position))
        if table.name in self._recorded:
            self._record(table, "REMOVE", json.dumps(table.key_of(before), separators=(",", ":")))
        self._reindex(table, position, before, None)

    # --- the stream -----------------------------------------------------------------------------------------------

    def record_changes(self, table: str) -> None:
        """Record the changes of a table from now on, for a reader that forgets them once it has read them."""
        self._recorded.add(table)

    def changes(self, table: str, limit: int) -> list[tuple[int, str, Item]]:
        """Return the oldest recorded changes: sequence number, event name, and the new item or the deleted key."""
        statement = "SELECT sequence, event, item FROM changes WHERE tbl = ? ORDER BY sequence LIMIT ?"
        return [
            (sequence, event, json.loads(text))
            for sequence, event, text in self._connection.execute(statement, (table, limit))
        ]

    def forget_changes(self, table: str, through: int) -> None:
        """Forget the changes up to a sequence number, which is never used again."""
        self._connection.execute("DELETE FROM changes WHERE tbl = ? AND sequence <= ?", (table, through))

    def _record(self, table: Table, event: str, text: str) -> None:
        self._connection.execute("INSERT INTO changes (tbl, event, item) VALUES (?, ?, ?)", (table.name, event, text))

    def _reindex(self, table: Table, position: Position, before: Item | None, item: Item | None) -> None:
        for index in table.indexes.values():
            old = table.index_position(index, before) if before else None
            new = table.index_position(index, item) if item else None
            if old == new:
                continue
            name = f"{table.name}/{index.name}"
            if old:
                self._connection.execute(
                    "DELETE FROM entries WHERE idx = ? AND ipartition = ? AND isort = ? AND partition = ? AND sort = ?",
                    (name, *old, *position),
                )
            if new:
                self._connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", (name, *new, *position))

    def delete_expired(self, table: Table, attribute: str, now: float) -> None:
        """Delete the items whose time to live has passed."""
        statement = "SELECT item FROM items WHERE tbl = ? AND CAST(json_extract(item, ?) AS REAL) < ?"
        path = f'$."{attribute}".N'
        expired = [json.loads(text) for (text,) in self._connection.execute(statement, (table.name, path, now))]
        with self.transaction():
            for item in expired:
                self.delete(table, table.position(item), item)

    def range(
        self,
        table: Table,
        index: Index,
        partition: bytes,
        bounds: list[tuple[str, bytes]],
        start: tuple[Position, Position] | None,
        *,
        forward: bool,
    ) -> Iterator[str]:
        """Yield the items of a partition in order, as JSON texts.

        `bounds`: SQL operators and values of the sort key. `start`: the position in the index, and in the table, after
        which to begin.
        """
        direction, after = ("ASC", ">") if forward else ("DESC", "<")
        if index.name is None:
            conditions, values = ["tbl = ?", "partition = ?"], [table.name, partition]
            conditions += [f"sort {operator} ?" for operator, _ in bounds]
            values += [value for _, value in bounds]
            if start:
                conditions.append(f"sort {after} ?")
                values.append(start[1].sort)
            statement = f"SELECT item FROM items WHERE {' AND '.join(conditions)} ORDER BY sort {direction}"  # noqa: S608
        else:
            conditions, values = ["idx = ?", "ipartition = ?"], [f"{table.name}/{index.name}", partition]
            conditions += [f"isort {operator} ?" for operator, _ in bounds]
            values += [value for _, value in bounds]
            if start:
                conditions.append(f"(isort, e.partition, e.sort) {after} (?, ?, ?)")
                values += [start[0].sort, *start[1]]
            order = ", ".join(f"{name} {direction}" for name in ("isort", "e.partition", "e.sort"))
            statement = (
                f"SELECT i.item FROM entries e CROSS JOIN items i ON i.tbl = ? AND i.partition = e.partition "  # noqa: S608
                f"AND i.sort = e.sort WHERE {' AND '.join(conditions)} ORDER BY {order}"
            )
            values.insert(0, table.name)
        return (row[0] for row in self._connection.execute(statement, values))

    def scan(self, table: Table, start: Position | None) -> Iterator[str]:
        """Yield all items after `start`, as JSON texts."""
        statement = "SELECT item FROM items WHERE tbl = ? AND (partition, sort) > (?, ?) ORDER BY partition, sort"
        first = start or Position(b"", b"")
        return (row[0] for row in self._connection.execute(statement, (table.name, *first)))


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

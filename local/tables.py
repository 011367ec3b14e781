"""The database file of the embedded DynamoDB, and the import of the JSON files that earlier versions wrote."""

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .aws_protocol import StartReport
from .dynamodb.database import Database
from .dynamodb.values import ValidationError, check_item

__all__ = ["open_database", "set_aside"]


def open_database(data_dir: Path, tables: Sequence[Mapping[str, Any]], report: StartReport) -> Database:
    """Open the database with these tables (parameters of CreateTable); `report` gets what was restored.

    An unreadable file is renamed, and the tables are empty then. Raises OSError.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = data_dir / "tables.sqlite"
    path.touch(mode=0o600)
    try:
        database = Database(path)
    except sqlite3.DatabaseError as error:
        report.set_aside.append(f"{path} cannot be read ({error}). It is now {set_aside(path)}; the tables are empty.")
        path.touch(mode=0o600)
        database = Database(path)
    for parameters in tables:
        name = parameters["TableName"]
        restored = database.create(parameters)
        old_file = data_dir / "tables" / f"{name}.json"
        if not restored and old_file.exists():
            restored = _import(database, name, old_file, report)
        if restored:
            report.restored.append(name)
    return database


def _import(database: Database, name: str, path: Path, report: StartReport) -> bool:
    table = database.tables[name]
    try:
        with database.transaction():
            for item in json.loads(path.read_bytes())["items"]:
                database.put(table, table.position(check_item(item)), None, item)
    except (ValueError, KeyError, TypeError, ValidationError, sqlite3.IntegrityError) as error:
        report.set_aside.append(f"{path} cannot be read ({error}). It is now {set_aside(path)}; the table is empty.")
        return False
    path.rename(path.with_name(f"{path.name}.imported"))
    return True


def set_aside(path: Path, now: float | None = None) -> Path:
    """Rename an unreadable file, for inspection; returns its new path."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    renamed = path.with_name(f"{path.name}.unreadable-{stamp}")
    path.rename(renamed)
    return renamed

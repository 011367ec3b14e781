"""`routes`: check routes.yaml, show what would change in the table, and write it."""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vibe_cli.errors import CommandError
from vibe_cli.target import aws_errors, read_environ, target

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from vibe_router.routing.changes import Change, Rows
    from vibe_router.store.routes import RoutesSnapshot

__all__ = ["add_to"]

_SIGNS = {"added": ("+", "32"), "changed": ("~", "33"), "removed": ("-", "31")}


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser's."""
    command = commands.add_parser(
        "routes",
        help="check routes.yaml, show what would change in the table, and write it",
        description="Check routes.yaml, show what would change in the routes table, and write it. "
        "A change is live within 10 seconds.",
    )
    command.add_argument("--file", type=Path, help="the routes file (ROUTES_FILE, or routes.yaml)")
    command.add_argument("--table", help="the table's name (ROUTES_TABLE, or the local stack's)")
    command.add_argument("--dry-run", action="store_true", help="only show what would change")
    command.add_argument("--yes", action="store_true", help="write without asking")
    where = command.add_mutually_exclusive_group()
    where.add_argument("--local", action="store_const", const=True, help="the stack that `make start` runs here")
    where.add_argument("--aws", action="store_const", const=False, dest="local", help="the deployed one")
    command.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from vibe_cli.routes_file import RoutesFileError, load_file
    from vibe_router.routing.changes import as_written
    from vibe_router.routing.changes import changes as changes_of
    from vibe_router.store.routes import RoutesChangedError, RoutesStore, rows_of

    environ = read_environ()
    try:
        rows = rows_of(load_file(args.file or Path(environ.get("ROUTES_FILE", "routes.yaml")), environ))
    except RoutesFileError as error:
        raise CommandError(f"{error}\nNothing was written.", status=1) from error
    chosen = target(environ, args.table, args.local)
    terminal = sys.stdout.isatty()
    with aws_errors(chosen):
        client = chosen.client()
        store = RoutesStore(client, chosen.table)
        seen = store.standing()
        standing = as_written(seen.rows)
        changes = list(changes_of(standing, rows))
        if terminal:
            sys.stdout.write(_for_people(changes, chosen.table, chosen.where, color="NO_COLOR" not in os.environ))
            sys.stdout.flush()
        writes = bool(changes) and not args.dry_run
        if writes and not args.yes and terminal and sys.stdin.isatty() and not _agrees():
            raise CommandError("Nothing was written.", status=1)
        if writes:
            try:
                if store.standing() != seen:  # a row that was edited by hand raises no version
                    raise RoutesChangedError
                store.write(rows, standing, seen.version)
            except RoutesChangedError:
                message = "Somebody else has changed the routes meanwhile. Nothing was written; run this again."
                raise CommandError(message, status=1) from None
            _record(client, environ.get("HISTORY_TABLE") or _history_of(chosen.table), seen, rows, changes)
    if not terminal:
        sys.stdout.write(_for_programs(changes, chosen.table, writes))
    elif writes:
        sys.stdout.write("Written; live within 10 seconds.\n")
    elif changes:
        sys.stdout.write("Nothing was written (--dry-run).\n")
    return 0


def _history_of(table: str) -> str:
    """Return the name of the history's table, which template.yaml gives it beside that of the routes."""
    return f"{table.removesuffix('-routes')}-history"


def _record(
    client: "DynamoDBClient", table: str, seen: "RoutesSnapshot", rows: "Rows", changes: "list[Change]"
) -> None:
    """Keep this version in the history, where there is one that these credentials may write to."""
    from botocore.exceptions import ClientError

    from vibe_router.store.history import HistoryStore, Version

    history, now = HistoryStore(client, table), time.time()
    told = [change.as_json() for change in changes]
    with suppress(ClientError):
        history.keep(seen, now)
        version = Version(seen.version + 1, now, "make routes", "", told)
        client.transact_write_items(TransactItems=history.entry(version, rows))


def _for_programs(changes: list["Change"], table: str, written: bool) -> str:
    told = [change.as_json() for change in changes]
    return json.dumps({"table": table, "changes": told, "written": written}, ensure_ascii=False, indent=2) + "\n"


def _for_people(changes: list["Change"], table: str, where: str, *, color: bool) -> str:
    if not changes:
        return f"{table} ({where}) says what the file says.\n"
    lines = [f"{table} ({where}):"]
    for change in changes:
        sign, ink = _SIGNS[change.change]
        title = f"{sign} {change.row}"
        lines.append(f"  \x1b[{ink}m{title}\x1b[0m" if color else f"  {title}")
        for name, (old, new) in change.fields.items():
            told = {"added": _told(new), "removed": _told(old)}.get(change.change, f"{_told(old)} → {_told(new)}")
            lines.append(f"      {name}: {told}")
    counts = (f"{sum(each.change == kind for each in changes)} {kind}" for kind in _SIGNS)
    return "\n".join([*lines, ", ".join(counts), ""])


def _told(value: object) -> str:
    """Show a value in a line: a deployment as `provider/model`, with what else is said of it."""
    match value:
        case None:
            return "–"
        case {"provider": provider, "model": model, **others}:
            return f"{provider}/{model}" + (f" {json.dumps(others, ensure_ascii=False)}" if others else "")
        case [*members] if members and isinstance(members[0], Mapping):
            return " | ".join(map(_told, members))
        case str():
            return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _agrees() -> bool:
    try:
        return input("Write this? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False

"""`routes`: check routes.yaml, show what would change in the table, and write it."""

import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vibe_cli.audit_log import audit_table_of, os_user, record_change
from vibe_cli.errors import CommandError
from vibe_cli.options import Yes
from vibe_cli.settings import read_environment
from vibe_cli.target import choose_routes_table

if TYPE_CHECKING:
    from vibe_router.routing.changes import Change, Rows
    from vibe_router.store.dynamodb import DynamoDB
    from vibe_router.store.routes import RoutesSnapshot

__all__ = ["RoutesFile", "write_routes"]

RoutesFile = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="The routes file (default: ROUTES_FILE, or routes.yaml).")
]

_SIGNS = {"added": ("+", "32"), "changed": ("~", "33"), "removed": ("-", "31")}


def write_routes(
    file: RoutesFile = None,
    table: Annotated[
        str | None,
        typer.Option("--table", metavar="NAME", help="The table (default: ROUTES_TABLE, or the local stack's)."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the changes.")] = False,
    yes: Yes = False,
    local: Annotated[bool, typer.Option("--local", help="Write to the stack that `make start` runs.")] = False,
    aws: Annotated[bool, typer.Option("--aws", help="Write to a deployed stack.")] = False,
) -> int:
    """Check routes.yaml, show what would change in the routes table, and write it.

    Changes take effect within 10 seconds.
    """
    from vibe_cli import output
    from vibe_cli.routes_file import RoutesFileError, load_file
    from vibe_router.routing.changes import as_written, rows_of
    from vibe_router.routing.changes import changes as changes_of
    from vibe_router.store.routes import RoutesChangedError, RoutesStore

    if local and aws:
        raise CommandError("--local and --aws exclude each other.")
    environ = read_environment()
    try:
        rows = rows_of(load_file(file or Path(environ.get("ROUTES_FILE", "routes.yaml")), environ))
    except RoutesFileError as error:
        raise CommandError(f"{error}\nNothing was written.", status=1) from error
    target = choose_routes_table(environ, table, local=local, aws=aws)
    terminal = sys.stdout.isatty()
    with target.errors():
        client = target.client()
        store = RoutesStore(client, target.table)
        seen = store.snapshot()
        current = as_written(seen.rows)
        changes = list(changes_of(current, rows))
        if terminal:
            print(_render(changes, target.table, target.where, color="NO_COLOR" not in os.environ), flush=True)
        writes = bool(changes) and not dry_run
        if writes and not yes and terminal and not output.confirm("Write these changes?"):
            raise CommandError("Nothing was written.", status=1)
        if writes:
            try:
                if store.snapshot() != seen:  # a row edited by hand does not change the version
                    raise RoutesChangedError
                store.write(rows, current, seen.version)
            except RoutesChangedError:
                message = "The routes were changed concurrently. Nothing was written; run this again."
                raise CommandError(message, status=1) from None
            _record(client, environ.get("HISTORY_TABLE") or _history_table(target.table), seen, rows, changes)
            audit = environ.get("AUDIT_TABLE") or audit_table_of(target.table)
            summary = {"version": seen.version + 1, "changed": [_SIGNS[each.change][0] + each.row for each in changes]}
            record_change(client, audit, "routes", f"vibe routes ({os_user()})", summary)
    if not terminal:
        output.print_json(
            {"table": target.table, "changes": [change.as_json() for change in changes], "written": writes}
        )
    elif writes:
        print("Written; in effect within 10 seconds.")
    elif changes:
        print("Nothing was written (--dry-run).")
    return 0


def _history_table(routes_table: str) -> str:
    """Return the name that template.yaml gives the history table."""
    return f"{routes_table.removesuffix('-routes')}-history"


def _record(client: "DynamoDB", table: str, seen: "RoutesSnapshot", rows: "Rows", changes: "list[Change]") -> None:
    """Add this version to the history, if there is one and these credentials can write to it."""
    from vibe_router.store.aws_errors import ClientError
    from vibe_router.store.history import HistoryStore, Version

    history, now = HistoryStore(client, table), time.time()
    summary = [change.as_json() for change in changes]
    with suppress(ClientError):  # the routes are written; a missing entry must not fail the command
        history.record_current(seen, now)
        version = Version(seen.version + 1, now, "make routes", "", summary)
        client.transact_write_items(TransactItems=history.entry(version, rows))


def _render(changes: list["Change"], table: str, where: str, *, color: bool) -> str:
    if not changes:
        return f"{table} ({where}) already matches the file."
    lines = [f"{table} ({where}):"]
    for change in changes:
        sign, ink = _SIGNS[change.change]
        title = f"{sign} {change.row}"
        lines.append(f"  \x1b[{ink}m{title}\x1b[0m" if color else f"  {title}")
        for name, (old, new) in change.fields.items():
            value = {"added": _value_text(new), "removed": _value_text(old)}.get(
                change.change, f"{_value_text(old)} → {_value_text(new)}"
            )
            lines.append(f"      {name}: {value}")
    counts = (f"{sum(each.change == kind for each in changes)} {kind}" for kind in _SIGNS)
    return "\n".join([*lines, ", ".join(counts)])


def _value_text(value: object) -> str:
    """Return a value as one line; a deployment as `provider/model` and its other fields."""
    match value:
        case None:
            return "–"
        case {"provider": provider, "model": model, **others}:
            return f"{provider}/{model}" + (f" {json.dumps(others, ensure_ascii=False)}" if others else "")
        case [*members] if members and isinstance(members[0], Mapping):
            return " | ".join(map(_value_text, members))
        case str():
            return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in value)
    return json.dumps(value, ensure_ascii=False, default=str)

"""`routes`: check routes.yaml, show what would change in the table, and write it."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from vibe_router.cli.errors import CommandError
from vibe_router.cli.target import aws_errors, read_environ, target

if TYPE_CHECKING:
    from vibe_router.routing.spec import Kind
    from vibe_router.store.routes import Row, Rows

__all__ = ["add_to"]

_SIGNS = {"added": ("+", "32"), "changed": ("~", "33"), "removed": ("-", "31")}


@dataclass(frozen=True, slots=True)
class _Change:
    """What happens to one row: `fields` maps what differs to what it was and what it becomes, None where absent."""

    row: str  # as in the file: models.auto-chat
    change: Literal["added", "changed", "removed"]
    fields: Mapping[str, tuple[object, object]]


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
    from vibe_router.routes_file import RoutesFileError, load_file
    from vibe_router.store.routes import RoutesStore, rows_of

    environ = read_environ()
    try:
        rows = rows_of(load_file(args.file or Path(environ.get("ROUTES_FILE", "routes.yaml")), environ))
    except RoutesFileError as error:
        raise CommandError(f"{error}\nNothing was written.", status=1) from error
    chosen = target(environ, args.table, args.local)
    terminal = sys.stdout.isatty()
    with aws_errors(chosen):
        store = RoutesStore(chosen.client(), chosen.table)
        standing = {key: _as_written(cast("Kind", key[0]), key[1], row) for key, row in store.read().items()}
        changes = list(_changes(standing, rows))
        if terminal:
            sys.stdout.write(_for_people(changes, chosen.table, chosen.where, color="NO_COLOR" not in os.environ))
            sys.stdout.flush()
        writes = bool(changes) and not args.dry_run
        if writes and not args.yes and terminal and sys.stdin.isatty() and not _agrees():
            raise CommandError("Nothing was written.", status=1)
        if writes:
            store.write(rows, standing)
    if not terminal:
        sys.stdout.write(_for_programs(changes, chosen.table, writes))
    elif writes:
        sys.stdout.write("Written; live within 10 seconds.\n")
    elif changes:
        sys.stdout.write("Nothing was written (--dry-run).\n")
    return 0


def _as_written(kind: "Kind", name: str, row: "Row") -> "Row":
    """Return a row as it would be written: what means the same does not differ. One that is wrong stays as it is."""
    from vibe_router.routing.spec import as_row, parse_row
    from vibe_router.store.routes import KINDS

    spec = parse_row(kind, name, row)[0] if kind in KINDS else None
    return as_row(spec) if spec else row


def _changes(standing: "Rows", rows: "Rows") -> Iterator[_Change]:
    from vibe_router.store.routes import KINDS

    for key in sorted({*standing, *rows}, key=lambda key: (KINDS.index(key[0]) if key[0] in KINDS else 9, key[1])):
        kind, name = key
        before, after = standing.get(key), rows.get(key)
        if before == after or kind not in KINDS:
            continue
        old, new = dict(_fields(before or {})), dict(_fields(after or {}))
        differing = [field for field in {**old, **new} if old.get(field) != new.get(field)]
        yield _Change(
            row=name if kind == "defaults" else f"{kind}s.{name}",
            change="added" if before is None else "removed" if after is None else "changed",
            fields={field: (old.get(field), new.get(field)) for field in differing},
        )


def _fields(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _fields(value, f"{prefix}{name}.")
        elif name == "chain" and isinstance(value, list):
            yield from ((f"{prefix}chain[{position}]", step) for position, step in enumerate(value))
        else:
            yield prefix + name, value


def _for_programs(changes: list[_Change], table: str, written: bool) -> str:
    told = [
        {
            "row": change.row,
            "change": change.change,
            "fields": {name: {"from": old, "to": new} for name, (old, new) in change.fields.items()},
        }
        for change in changes
    ]
    return json.dumps({"table": table, "changes": told, "written": written}, ensure_ascii=False, indent=2) + "\n"


def _for_people(changes: list[_Change], table: str, where: str, *, color: bool) -> str:
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

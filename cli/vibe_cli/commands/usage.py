"""`usage show`: usage over time, as a table, JSON or CSV.

`usage book`: book requests from the gateway's log that could not be stored when they were made.

`usage migrate`: move the totals of earlier releases to where totals are now.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TextIO, get_args

import typer

from vibe_cli.connect import Connection, Stack, connect
from vibe_cli.errors import CommandError
from vibe_cli.options import Json, command_group, with_options
from vibe_cli.settings import find_local_stack, read_environment
from vibe_cli.target import Target

if TYPE_CHECKING:
    from rich.console import Console

    from vibe_router.core.record import Record

__all__ = ["app"]

_DAYS = 90
_MASTER = "master"  # the id of the master key in usage rows
_COLUMNS = ("time", "name", "requests", "errors", "tokens in", "tokens out", "cached", "cost", "first token", "total")

By = Literal["all", "model", "deployment", "key", "team", "user", "tag"]
Step = Literal["auto", "hour", "day", "week"]
_MOST_NAMES = 1000

app = command_group(
    "Show usage over time; book usage from the log after an outage, and move the totals of earlier releases."
)


@dataclass(slots=True)
class _Outcome:
    """Counts of what happened to the lines, and the reason for each request that was not booked."""

    booked: int = 0
    booked_before: int = 0
    without_key: int = 0
    unreadable_lines: list[int] = field(default_factory=list)
    not_booked: dict[str, str] = field(default_factory=dict)


@app.command("show")
@with_options(connection=Connection)
def show(
    connection: Connection,
    by: Annotated[By, typer.Option("--by", metavar="|".join(get_args(By)), help="What to group by.")] = "all",
    start: Annotated[
        str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="The first day, in UTC (default: six days ago).")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="The last day (default: today).")
    ] = None,
    step: Annotated[
        Step, typer.Option("--step", metavar="|".join(get_args(Step)), help="The time of a line.")
    ] = "auto",
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Only this model, key, team, …")] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="KEY", help="Only what a key used, by alias or id.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", help="Names; those with fewer requests are added up.")
    ] = _MOST_NAMES,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, a line for each time and name.")] = False,
) -> int:
    """Show requests, tokens, cost and times over time."""
    from vibe_cli import output
    from vibe_cli.commands.keys import find_key

    if as_csv and connection.as_json:
        raise CommandError("--csv and --json exclude each other.")
    query: dict[str, object] = {"by": by, "start_date": start, "end_date": end, "step": step, "limit": limit}
    with connect(connection) as api:
        query["name"] = find_key(api, name) if name and by == "key" and name != _MASTER else name
        query["key"] = find_key(api, key) if key and key != _MASTER else key
        if as_csv:
            sys.stdout.write(api.text("/usage/series", csv="true", **query))
            return 0
        answer = api.get("/usage/series", **query)
    return output.respond(connection.as_json, answer, lambda console: _render_series(console, answer))


@app.command("book")
def book(
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="The gateway's log (- is standard input).")] = "-",
    days: Annotated[
        int | None,
        typer.Option("--days", metavar="N", help=f"Days to store the rows (default: USAGE_DAYS, or {_DAYS})."),
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Book into the stack that `make start` runs.")] = False,
    stack: Stack = None,
    as_json: Json = False,
) -> int:
    """Book the requests in a log, each once.

    Reads its ROUTING DECISION lines, books their rows, and settles what their keys and teams had reserved; the totals
    follow within a minute. Requests that are booked already stay unchanged, so a log can be booked again.
    """
    from vibe_cli import output

    if local and stack:
        raise CommandError("--local and --stack exclude each other.")
    environ = read_environment()
    usage, ledger = _tables(environ, stack, local=local)
    outcome = _Outcome()
    records = list(_records(file, outcome))
    with usage.errors(), output.progress_bar("Booking", len(records)) as advance:
        _book(records, usage, ledger, days or int(environ.get("USAGE_DAYS") or _DAYS), outcome, advance)
    answer = {
        "table": usage.table,
        "booked": outcome.booked,
        "booked_before": outcome.booked_before,
        "without_key": outcome.without_key,
        "of_nobody_known": outcome.without_key,  # the name in earlier releases
        "unreadable_lines": outcome.unreadable_lines,
        "not_booked": outcome.not_booked,
    }
    output.respond(as_json, answer, lambda console: _render(console, outcome, usage))
    return 1 if outcome.unreadable_lines or outcome.not_booked else 0


@app.command("migrate")
def migrate(
    local: Annotated[bool, typer.Option("--local", help="Migrate the stack that `make start` runs.")] = False,
    stack: Stack = None,
    as_json: Json = False,
) -> int:
    """Move the totals of earlier releases to their new place.

    Totals are read from both places, so this is never urgent; it makes reading them faster. Run it when no earlier
    release serves requests any more. It can be interrupted and repeated.
    """
    from vibe_cli import output
    from vibe_cli.total_migration import move_totals

    if local and stack:
        raise CommandError("--local and --stack exclude each other.")
    usage, _ = _tables(read_environment(), stack, local=local)
    with usage.errors():
        moved = move_totals(usage.client(), usage.table)
    answer = {"table": usage.table, "moved": moved}
    text = f"{usage.table} ({usage.where}): {output.plural(moved, 'total')} moved."
    output.respond(as_json, answer, lambda console: console.print(text))
    return 0


def _render_series(console: "Console", answer: dict[str, Any]) -> None:
    from vibe_cli import output

    series = answer["series"] if answer["by"] != "all" else [{"name": "all", "points": answer["points"]}]
    rows = [
        (order, point["at"], _series_row(each, point)) for order, each in enumerate(series) for point in each["points"]
    ]
    head = [f"{each}, p50 / p95" if each in ("first token", "total") else each for each in _COLUMNS]
    cells = [row for _, _, row in sorted(rows, key=lambda each: (each[1], each[0]))]
    console.print(output.table(head, cells, numbers=head[2:]) if cells else "There were no requests in this range.")


def _series_row(series: dict[str, Any], point: dict[str, Any]) -> list[str]:
    from vibe_cli import output

    label = series.get("key_alias") or series.get("team_alias") or series["name"] or f"({series['names']} others)"
    share = point["cache_share"]
    unpriced = point["unpriced"]
    return [
        point["at"],
        output.clean(label),
        *(f"{point[name]:,}" for name in ("requests", "errors", "prompt_tokens", "completion_tokens")),
        "–" if share is None else f"{share:.0%}",
        "–" if unpriced == point["requests"] else output.dollars(point["cost"]) + (" + ?" if unpriced else ""),
        *(
            " / ".join(output.milliseconds(point[f"{each}_{p}_ms"]) for p in ("p50", "p95"))
            for each in ("ttft", "total")
        ),
    ]


def _tables(environ: Mapping[str, str], stack: str | None, *, local: bool) -> tuple[Target, str]:
    """Return the usage table, and the name of its stack's ledger table."""
    stack = stack or environ.get("STACK")
    if stack and not local:
        return Target(f"{stack}-usage", None, "AWS"), f"{stack}-ledger"
    running = find_local_stack(environ)
    if running and {"endpoint", "usage_table", "ledger_table"} <= running.keys():
        where = f"the local stack at {running['endpoint']}"
        return Target(running["usage_table"], running["endpoint"], where), running["ledger_table"]
    if local:
        raise CommandError("The local stack is not running. Start it with: make start")
    raise CommandError("No stack: start the local one (make start), or name a deployed one with --stack NAME.")


def _records(file: str, outcome: _Outcome) -> "Iterator[Record]":
    """Yield the requests with a valid key in a log, whose lines may have prefixes from log tools."""
    from vibe_router.core.record import DECISION, Record

    with _opened(file) as lines:
        for number, line in enumerate(lines, start=1):
            begin = line.find("{")
            if begin < 0 or DECISION not in line:
                continue
            try:
                fields = json.loads(line[begin:])
                if not isinstance(fields, dict) or fields.get("message") != DECISION:
                    continue
                record = Record.from_line(fields)
                if record and "charge_later" not in fields:  # a line of an earlier release, which has no charge yet
                    record = replace(record, charge_later=tuple(each for each in _owners(record) if each != "user"))
            except (ValueError, RecursionError):
                outcome.unreadable_lines.append(number)
                continue
            if record:
                yield record
            else:
                outcome.without_key += 1


@contextmanager
def _opened(file: str) -> Iterator[TextIO]:
    if file == "-":
        yield sys.stdin
        return
    try:
        with Path(file).open(encoding="utf-8", errors="replace") as lines:
            yield lines
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}", status=1) from error


def _book(
    records: "list[Record]", usage: Target, ledger: str, days: int, outcome: _Outcome, advance: "Callable[[int], None]"
) -> None:
    from vibe_router.core.clock import Clock
    from vibe_router.core.rows import CorruptRowError
    from vibe_router.store.ledger import LedgerStore
    from vibe_router.store.usage import NotRecordedError, UsageWriter

    client = usage.client()
    book = UsageWriter(client, usage.table, days=days)
    ledgers = LedgerStore(client, ledger, Clock())
    for record in records:
        owners = _owners(record)
        held = [f"{owner}#{name}" for owner, name in owners.items() if owner not in record.charge_later]
        of_models = (each.split("#", 1) for each in record.model_holds)
        held += [f"{owner}#{owners[owner]}#{model}" for owner, model in of_models if owner in owners]
        try:
            # Whether or not there is a row: the environment may have ended between settlement and row.
            settlement = ledgers.late_settlement(record.hold, held, record.charge) if record.hold and held else None
            if book.write(record, settlement):
                outcome.booked += 1
            else:
                outcome.booked_before += 1
        except (NotRecordedError, CorruptRowError) as error:
            outcome.not_booked[record.request_id] = str(error)
        advance(1)


def _owners(record: "Record") -> dict[str, str]:
    """Return key, team and user that may be charged for a request, by what they are."""
    from vibe_router.access.keys import user_ledger_id
    from vibe_router.core.record import MASTER_ID

    key = None if record.key == MASTER_ID else record.key
    user = user_ledger_id(record.user).partition("#")[2] if record.user else None
    return {owner: name for owner, name in (("key", key), ("team", record.team), ("user", user)) if name}


def _render(console: "Console", outcome: _Outcome, usage: Target) -> None:
    from vibe_cli import output

    console.print(
        f"{usage.table} ({usage.where}): {output.plural(outcome.booked, 'request')} booked, {outcome.booked_before:,} "
        f"were booked before, {outcome.without_key:,} had no valid key."
    )
    if outcome.unreadable_lines:
        console.print(f"Unreadable lines: {', '.join(map(str, outcome.unreadable_lines[:20]))}")
    for request_id, reason in list(outcome.not_booked.items())[:20]:
        console.print(f"{output.clean(request_id)} was not booked: {output.clean(reason)}")

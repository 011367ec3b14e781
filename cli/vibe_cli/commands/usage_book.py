"""`usage book`: book requests from the gateway's log that could not be booked when they were made."""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from vibe_cli.errors import CommandError
from vibe_cli.target import Target, aws_errors, read_environ, running_local_stack

if TYPE_CHECKING:
    from vibe_cli.show import Advance
    from vibe_router.core.record import Record

__all__ = ["add_to"]

_DAYS = 90


@dataclass(slots=True)
class _Outcome:
    """What became of the lines: how many, and the requests that could not be booked with the reason."""

    booked: int = 0
    booked_before: int = 0
    of_nobody_known: int = 0
    unreadable_lines: list[int] = field(default_factory=list)
    not_booked: dict[str, str] = field(default_factory=dict)


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser's."""
    command = commands.add_parser("usage", help="book usage from the log, after DynamoDB could not be reached")
    actions = command.add_subparsers(metavar="ACTION", required=True)
    book = actions.add_parser(
        "book",
        help="book the requests in a log, each once",
        description="Book the requests whose ROUTING DECISION lines are in a log: their rows, the totals, and what "
        "their keys and teams have spent. What is booked already stays as it is, so a log may be booked again.",
    )
    book.add_argument("file", nargs="?", default="-", metavar="FILE", help="the gateway's log; - is standard input")
    book.add_argument("--days", type=int, metavar="N", help=f"days to keep the rows for (USAGE_DAYS, or {_DAYS})")
    book.add_argument("--json", action="store_true", help="JSON also on a terminal")
    where = book.add_mutually_exclusive_group()
    where.add_argument("--local", action="store_true", help="into the stack that `make start` runs here")
    where.add_argument("--stack", metavar="NAME", help="into a deployed stack (STACK)")
    book.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from vibe_cli import show

    environ = read_environ()
    usage, ledger = _tables(args, environ)
    outcome = _Outcome()
    records = list(_records(args.file, outcome))
    with aws_errors(usage), show.progress("Booking", len(records)) as advance:
        _book(records, usage, ledger, args.days or int(environ.get("USAGE_DAYS") or _DAYS), outcome, advance)
    if show.for_people(args.json):
        _show(outcome, usage)
    else:
        show.print_json(
            {
                "table": usage.table,
                "booked": outcome.booked,
                "booked_before": outcome.booked_before,
                "of_nobody_known": outcome.of_nobody_known,
                "unreadable_lines": outcome.unreadable_lines,
                "not_booked": outcome.not_booked,
            }
        )
    return 1 if outcome.unreadable_lines or outcome.not_booked else 0


def _tables(args: argparse.Namespace, environ: Mapping[str, str]) -> tuple[Target, str]:
    """Return the usage table and the name of the ledger table beside it."""
    stack = args.stack or environ.get("STACK")
    if not args.local and stack:
        return Target(f"{stack}-usage", None, "AWS"), f"{stack}-ledger"
    running = running_local_stack(environ)
    if running and {"endpoint", "usage_table", "ledger_table"} <= running.keys():
        where = f"the local stack at {running['endpoint']}"
        return Target(running["usage_table"], running["endpoint"], where), running["ledger_table"]
    if args.local:
        raise CommandError("The local stack is not running. Start it with: make start")
    raise CommandError("Which stack? Start the local one (make start), or name a deployed one: --stack NAME.")


def _records(file: str, outcome: _Outcome) -> "Iterator[Record]":
    """Yield the requests of known callers in a log, whose lines may begin with whatever a log tool puts there."""
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
            except (ValueError, RecursionError):
                outcome.unreadable_lines.append(number)
                continue
            if record:
                yield record
            else:
                outcome.of_nobody_known += 1


@contextmanager
def _opened(file: str) -> Iterator[TextIO]:
    if file == "-":
        yield sys.stdin
        return
    try:
        with Path(file).open(encoding="utf-8", errors="replace") as lines:
            yield lines
    except OSError as error:
        raise CommandError(f"{file} can't be read: {error.strerror}", status=1) from error


def _book(
    records: "list[Record]", usage: Target, ledger: str, days: int, outcome: _Outcome, advance: "Advance"
) -> None:
    from vibe_router.access.keys import Limits
    from vibe_router.core.clock import Clock
    from vibe_router.core.record import MASTER_ID
    from vibe_router.store.ledger import LedgerStore, Reservation
    from vibe_router.store.usage import NotRecordedError, UsageWriter

    client, clock = usage.client(), Clock()
    book = UsageWriter(client, usage.table, clock, days=days)
    ledgers = LedgerStore(client, ledger, clock)
    for record in records:
        holders = {} if record.key == MASTER_ID else {f"key#{record.key}": Limits()}
        if record.team:
            holders[f"team#{record.team}"] = Limits()
        # What the request had reserved is given back by itself, when its reservation ends.
        settlement = ledgers.settlement(Reservation("", holders), record.cost or 0, None)
        try:
            if book.write(record, settlement):
                outcome.booked += 1
            else:
                outcome.booked_before += 1
        except NotRecordedError as error:
            outcome.not_booked[record.request_id] = str(error)
        advance()


def _show(outcome: _Outcome, usage: Target) -> None:
    from vibe_cli import show

    write = sys.stdout.write
    write(f"{usage.table} ({usage.where}): {show.count(outcome.booked, 'request')} booked")
    write(f", {outcome.booked_before:,} were booked before, {outcome.of_nobody_known:,} are of nobody known.\n")
    if outcome.unreadable_lines:
        write(f"Lines that can't be read: {', '.join(map(str, outcome.unreadable_lines[:20]))}\n")
    for request_id, reason in list(outcome.not_booked.items())[:20]:
        write(f"{show.clean(request_id)} is not booked: {show.clean(reason)}\n")

"""`logs`: follow the routing decisions of a stack, one line per request."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vibe_cli.connect import Connection, connect
from vibe_cli.errors import CommandError
from vibe_cli.options import with_options
from vibe_cli.settings import read_environment

if TYPE_CHECKING:
    from vibe_cli.api import Api
    from vibe_cli.decisions import Decision

__all__ = ["follow_requests", "read_lines", "show_logs"]

_PAGE = 200
_POLL_SECONDS = 1.0
_LONGEST_REQUEST = 900.0  # seconds; a row gets the time its request began, and appears when it ends


@with_options(connection=Connection)
def show_logs(
    connection: Connection,
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE...]", help="Saved logs to read instead.")] = None,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read a log from standard input.")] = False,
    since: Annotated[float, typer.Option("--since", metavar="MINUTES", help="How far back to begin.")] = 10,
    once: Annotated[bool, typer.Option("--once", help="Do not wait for new requests.")] = False,
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="Only this virtual model.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only requests that ended in an error.")] = False,
    fallbacks: Annotated[bool, typer.Option("--fallbacks", help="Only requests with a fallback.")] = False,
) -> int:
    """Follow the routing decisions of a stack, one line per request.

    A stack on AWS is read from its log group, any other router from its usage records.
    """
    from vibe_cli.decisions import DecisionFilter, format_decision
    from vibe_cli.output import Ink, for_terminal

    matches = DecisionFilter(model, failed, fallbacks)
    ink = Ink(sys.stdout) if for_terminal(connection.as_json) else None
    with _decisions(connection, files or (), since=since, stdin=stdin, once=once) as decisions:
        for decision in decisions:
            if matches(decision):
                print(format_decision(decision, ink) if ink else json.dumps(decision, ensure_ascii=False), flush=True)
    return 0


@contextmanager
def _decisions(
    connection: Connection, files: Iterable[Path], *, since: float, stdin: bool, once: bool
) -> Iterator[Iterator["Decision"]]:
    """Yield the decisions of the chosen source."""
    from vibe_cli.output import note

    stack = connection.stack or (None if connection.url or connection.local else read_environment().get("STACK"))
    began = time.time() - since * 60
    if stdin:
        sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr] # standard input is text over bytes
        yield _parse(sys.stdin)
    elif files:
        yield _parse(read_lines(files))
    elif stack:
        from vibe_cli.aws_errors import aws_errors
        from vibe_cli.cloudwatch import follow_log, logs_client

        group = f"/aws/lambda/{stack}-gateway"
        note(_heading(group, since, once=once))
        missing = f"There is no log group {group}. Check the stack's name and the region."
        with aws_errors("CloudWatch Logs", not_found=missing):
            yield _parse(follow_log(logs_client(), group, int(began * 1000), once=once))
    else:
        with connect(connection) as api:
            note(_heading(api.url, since, once=once))
            yield follow_requests(api, began, once=once)


def _heading(source: str, since: float, *, once: bool) -> str:
    return f"{source}, from {since:g} minutes ago" + ("" if once else "; stop with Ctrl-C")


def _parse(lines: Iterable[str]) -> Iterator["Decision"]:
    from vibe_cli.decisions import parse_decision

    return filter(None, map(parse_decision, lines))


def read_lines(files: Iterable[Path]) -> Iterator[str]:
    """Yield the lines of files. Raises CommandError."""
    for file in files:
        try:
            with file.open(encoding="utf-8", errors="replace") as lines:
                yield from lines
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}") from error


def follow_requests(
    api: "Api",
    since: float,
    *,
    once: bool = False,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.time,
) -> Iterator["Decision"]:
    """Yield a decision for each request that began since `since` (epoch seconds), and new ones, unless `once`."""
    from vibe_router.core.clock import to_iso
    from vibe_router.core.record import DECISION

    seen: set[str] = set()
    while True:
        rows = []
        oldest, before = to_iso(max(since, now() - _LONGEST_REQUEST) if seen else since), None
        while True:
            answer = api.get("/usage/requests", limit=_PAGE, before=before)
            page = [row for row in answer.get("requests") or () if str(row.get("at")) >= oldest]
            rows += [row for row in page if row.get("request_id") not in seen]
            before = answer.get("next")
            if not before or len(page) < len(answer.get("requests") or ()):
                break
        for row in reversed(rows):
            seen.add(str(row.get("request_id")))
            yield {"message": DECISION, "timestamp": row.get("at"), "selected_model": row.get("model"), **row}
        if once:
            return
        sleep(_POLL_SECONDS)

"""`requests`: list requests, newest first, and show how one was routed."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from vibe_cli.commands.keys import find_key
from vibe_cli.commands.teams import team_aliases
from vibe_cli.connect import Connection, connect
from vibe_cli.errors import CommandError
from vibe_cli.options import command_group, with_options

if TYPE_CHECKING:
    from rich.console import Console

    from vibe_cli.api import Api

__all__ = ["app"]

_PAGE = 200
_MASTER = "master"  # the id of the master key in usage rows
_SHOWN_ID = 8  # characters of an id in a table, more if needed to distinguish requests
_SEARCHED = 1000  # newest requests that are searched for the prefix of an id
_ID_LENGTH = 32  # a shorter id is a prefix
_NARROW = 120  # columns of a terminal, below which some columns are left out
_COLUMNS = (
    "time",
    "caller",
    "model",
    "served by",
    "status",
    "attempts",
    "tokens",
    "cost",
    "first token",
    "total",
    "request",
)
_NUMBERS = ("attempts", "tokens", "cost", "first token", "total")
_WIDE_ONLY = frozenset(("attempts", "tokens", "first token"))

app = command_group("List requests, and show how they were routed.")


@app.command("list")
@with_options(connection=Connection)
def list_requests(
    connection: Connection,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="Maximum number of requests.")] = 50,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="KEY", help="Only of a key, by alias or id, or of the master."),
    ] = None,
    team: Annotated[str | None, typer.Option("--team", metavar="TEAM", help="Only of a team, by id or alias.")] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="Only for a virtual model.")] = None,
    deployment: Annotated[
        str | None, typer.Option("--deployment", metavar="NAME", help="Only those a deployment served.")
    ] = None,
    status: Annotated[
        Literal["ok", "error", "failover"] | None,
        typer.Option("--status", metavar="ok|error|failover", help="Only with this outcome."),
    ] = None,
    day: Annotated[
        str | None, typer.Option("--day", metavar="YYYY-MM-DD", help="Only of a day, which starts at midnight UTC.")
    ] = None,
) -> int:
    """List requests, newest first."""
    from vibe_cli import output

    if limit < 1:
        raise CommandError("--limit must be at least 1.", status=1)
    found: list[dict[str, Any]] = []
    before: object = None
    with connect(connection) as api, output.progress_bar("requests", limit if limit > _PAGE else 1) as advance:
        query = {
            "key": find_key(api, key) if key and key != _MASTER else key,
            "team": _team_id(api, team) if team else None,
            "model": model,
            "deployment": deployment,
            "status": status,
            "day": day,
        }
        while len(found) < limit:
            size = min(limit - len(found), _PAGE)
            answer = api.get("/usage/requests", limit=size, before=before, **query)
            page = (answer.get("requests") or ())[:size]
            found += page
            advance(len(page))
            before = answer.get("next")
            if not before:
                break
    return output.respond(connection.as_json, found, lambda console: _render(console, found))


def _team_id(api: "Api", team: str) -> str:
    """Return the id of a team, which may be deleted: it then has no alias, but still has requests."""
    ids = [each for each, alias in team_aliases(api).items() if alias == team]
    return ids[0] if len(ids) == 1 else team


def _render(console: "Console", found: list[dict[str, Any]]) -> None:
    from vibe_cli import output

    head = [name for name in _COLUMNS if console.width >= _NARROW or name not in _WIDE_ONLY]
    ids = _shortened([_id(row) for row in found])
    rows = [[cells[name] for name in head] for cells in map(_row, found, ids)]
    if console.width < _NARROW:
        rows = [[str(row[0]).partition("-")[2] or row[0], *row[1:]] for row in rows]  # the time without its year
    console.print(output.table(head, rows, numbers=_NUMBERS) if rows else "There are no such requests.")


def _id(row: dict[str, Any]) -> str:
    return str(row.get("request_id") or str(row.get("id", "")).removeprefix("request#"))


def _shortened(ids: list[str]) -> list[str]:
    """Return prefixes of ids that are long enough to differ."""
    length = _SHOWN_ID
    while len({each[:length] for each in ids}) < len(set(ids)):
        length += 1
    return [each[:length] for each in ids]


def _row(row: dict[str, Any], shown_id: str) -> dict[str, Any]:
    from vibe_cli import output

    status = output.clean(row.get("status") or "–")
    bad = row.get("error") or not status.startswith(("2", "ok"))
    style = "red" if bad else "yellow" if row.get("failover") else "green"
    return {
        "time": output.time_text(row.get("at"), seconds=True),
        "caller": output.clean(row.get("key_alias") or str(row.get("key") or "–")[:12]),
        "model": output.clean(row.get("model") or "–"),
        "served by": "cache" if row.get("cache_hit") else output.clean(row.get("deployment") or "–"),
        "status": output.styled(status, style),
        "attempts": str(len(row.get("attempts") or ())),
        "tokens": _tokens(row),
        "cost": output.dollars(row.get("cost")),
        "first token": output.milliseconds(row.get("ttft_ms")),
        "total": output.milliseconds(row.get("total_ms")),
        "request": output.clean(shown_id),
    }


def _tokens(row: dict[str, Any]) -> str:
    counts = (row.get("prompt_tokens"), row.get("completion_tokens"))
    return "–" if counts == (None, None) else " + ".join("?" if each is None else f"{each:,}" for each in counts)


@app.command("show")
@with_options(connection=Connection)
def show(
    request: Annotated[
        str, typer.Argument(metavar="REQUEST", help="Its id (the header x-vibe-request-id), or a prefix of it.")
    ],
    connection: Connection,
) -> int:
    """Show every attempt of a request and why it was routed that way."""
    from vibe_cli import output
    from vibe_cli.api import quote_path

    with connect(connection) as api:
        row = api.get(f"/usage/requests/{quote_path(_find(api, request))}")
    return output.respond(connection.as_json, row, lambda console: _render_details(console, row, request))


def _find(api: "Api", named: str) -> str:
    """Return the id of the request with an id or a prefix. Raises CommandError if several match."""
    if not _SHOWN_ID <= len(named) < _ID_LENGTH:
        return named
    found: set[str] = set()
    before: object = None
    for _ in range(_SEARCHED // _PAGE):
        answer = api.get("/usage/requests", limit=_PAGE, before=before)
        found |= {each for row in answer.get("requests") or () if (each := _id(row)).startswith(named)}
        before = answer.get("next")
        if found or not before:
            break
    if len(found) > 1:
        raise CommandError(f"{named!r} is the prefix of several ids: {', '.join(sorted(found))}", status=1)
    return found.pop() if found else named


def _render_details(console: "Console", row: dict[str, Any], request: str) -> None:
    from vibe_cli import output

    facts = {
        "request": row.get("request_id") or request,
        "time": output.time_text(row.get("at"), seconds=True),
        "key": row.get("key_alias") or row.get("key"),
        "team": row.get("team"),
        "model": row.get("model"),
        "format": row.get("format"),
        "served by": "cache" if row.get("cache_hit") else row.get("deployment"),
        "status": row.get("status"),
        "error": row.get("error"),
        "tokens": _tokens(row),
        "cached tokens": row.get("cached_tokens"),
        "reasoning tokens": row.get("reasoning_tokens"),
        "cost": output.dollars(row.get("cost")),
        "first token": output.milliseconds(row.get("ttft_ms")),
        "total": output.milliseconds(row.get("total_ms")),
        "tags": ", ".join(map(str, row.get("tags") or ())),
        "archived": "yes" if row.get("archived") else None,
        "skipped, on cooldown": ", ".join(map(str, row.get("cooling") or ())),
    }
    console.print(output.details(facts))
    if attempts := row.get("attempts"):
        head = ("#", "deployment", "verdict", "status", "took", "cooldown until")
        rows = [_attempt(number, attempt) for number, attempt in enumerate(attempts, 1)]
        console.print(output.table(head, rows, numbers=("#", "took")))


def _attempt(number: int, attempt: dict[str, Any]) -> list[Any]:
    from vibe_cli import output

    verdict = output.clean(attempt.get("verdict") or "ok")
    return [
        str(number),
        output.clean(attempt.get("deployment") or "–"),
        output.styled(verdict, "green" if verdict == "ok" else "red"),
        output.clean(attempt.get("status") or "–"),
        output.milliseconds(attempt.get("ms")),
        output.time_text(attempt.get("cooldown_until"), seconds=True),
    ]

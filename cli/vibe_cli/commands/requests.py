"""`requests`: what was asked of the router, newest first, and why one request went where it went."""

import argparse
from typing import TYPE_CHECKING, Any

from vibe_cli.commands.keys import key_named
from vibe_cli.commands.teams import team_aliases
from vibe_cli.connect import add_connection, connected
from vibe_cli.errors import CommandError

if TYPE_CHECKING:
    from vibe_cli.api import Api

__all__ = ["add_to"]

_MOST_AT_ONCE = 200
_MASTER = "master"  # what the master key's requests are filed under
_SHOWN_ID = 8  # characters of an id in a table, at least: enough to tell requests apart
_LOOKED_THROUGH = 1000  # of the newest requests, for one that is named by the beginning of its id
_WHOLE_ID = 32  # characters: no shorter one is anything but a beginning
_NARROW = 120  # columns of a terminal, below which some facts are left to `show`
_COLUMNS = (
    "at",
    "whose",
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
_IN_SHOW = frozenset(("attempts", "tokens", "first token"))
_FILTERS = ("key", "team", "model", "deployment", "status", "day")


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser's."""
    command = commands.add_parser("requests", help="list requests, and tell why one went where it went")
    actions = command.add_subparsers(metavar="ACTION", required=True)

    listing = actions.add_parser("list", help="list requests, newest first")
    listing.add_argument("--limit", type=int, default=50, metavar="N", help="how many at most (50)")
    listing.add_argument("--key", help="only those of a key, by its alias or id; master is the master key")
    listing.add_argument("--team", help="only those of a team, by its id or alias")
    listing.add_argument("--model", help="only those for a virtual model")
    listing.add_argument("--deployment", help="only those that a deployment served")
    listing.add_argument("--status", choices=("ok", "error", "failover"), help="only those that ended so")
    listing.add_argument("--day", metavar="YYYY-MM-DD", help="only those of a day, which begins at midnight UTC")
    listing.set_defaults(run=_list)

    show = actions.add_parser("show", help="tell of one request, attempt by attempt")
    show.add_argument("request", help="its id, as x-vibe-request-id says, or the beginning of that")
    show.set_defaults(run=_show)

    for action in actions.choices.values():
        add_connection(action)


def _list(args: argparse.Namespace) -> int:
    from vibe_cli import show

    if args.limit < 1:
        raise CommandError("--limit must be at least 1", status=1)
    found: list[dict[str, Any]] = []
    before: object = None
    with connected(args) as api, show.progress("requests", args.limit if args.limit > _MOST_AT_ONCE else 1) as advance:
        query = _filters(args, api)
        while len(found) < args.limit:
            size = min(args.limit - len(found), _MOST_AT_ONCE)
            answer = api.get("/usage/requests", limit=size, before=before, **query)
            for row in (answer.get("requests") or ())[:size]:
                found.append(row)
                advance()
            before = answer.get("next")
            if not before:
                break
    if not show.for_people(args.json):
        show.print_json(found)
        return 0
    out = show.console()
    head = [name for name in _COLUMNS if out.width >= _NARROW or name not in _IN_SHOW]
    ids = _short([_id(row) for row in found])
    rows = [[told[name] for name in head] for told in map(_row, found, ids)]
    out.print(show.table(head, rows, numbers=_NUMBERS) if rows else "There are no such requests.")
    return 0


def _id(row: dict[str, Any]) -> str:
    return str(row.get("request_id") or str(row.get("id", "")).removeprefix("request#"))


def _short(ids: list[str]) -> list[str]:
    """Return the beginnings of ids, as long as it takes to tell them apart."""
    length = _SHOWN_ID
    while len({each[:length] for each in ids}) < len(set(ids)):
        length += 1
    return [each[:length] for each in ids]


def _named(api: "Api", named: str) -> str:
    """Return the id of the request that is named by its id, or by the beginning of that. Raises CommandError."""
    if not _SHOWN_ID <= len(named) < _WHOLE_ID:
        return named
    found: set[str] = set()
    before: object = None
    for _ in range(_LOOKED_THROUGH // _MOST_AT_ONCE):
        answer = api.get("/usage/requests", limit=_MOST_AT_ONCE, before=before)
        found |= {each for row in answer.get("requests") or () if (each := _id(row)).startswith(named)}
        before = answer.get("next")
        if found or not before:
            break
    if len(found) > 1:
        raise CommandError(f"{named!r} is the beginning of several ids: {', '.join(sorted(found))}", status=1)
    return found.pop() if found else named


def _filters(args: argparse.Namespace, api: "Api") -> dict[str, Any]:
    query = {name: getattr(args, name) for name in _FILTERS}
    if args.key and args.key != _MASTER:
        query["key"] = key_named(api, args.key)
    if args.team:  # one that is deleted has no alias any more, but rows
        ids = [team for team, alias in team_aliases(api).items() if alias == args.team]
        query["team"] = ids[0] if len(ids) == 1 else args.team
    return query


def _row(row: dict[str, Any], shown_id: str) -> dict[str, Any]:
    from vibe_cli import show

    status = show.clean(row.get("status") or "–")
    bad = row.get("error") or not status.startswith(("2", "ok"))
    style = "red" if bad else "yellow" if row.get("failover") else "green"
    return {
        "at": show.moment(row.get("at"), seconds=True),
        "whose": show.clean(row.get("key_alias") or str(row.get("key") or "–")[:12]),
        "model": show.clean(row.get("model") or "–"),
        "served by": show.clean(row.get("deployment") or "–"),
        "status": show.styled(status, style),
        "attempts": str(len(row.get("attempts") or ())),
        "tokens": _tokens(row),
        "cost": show.dollars(row.get("cost")),
        "first token": show.milliseconds(row.get("ttft_ms")),
        "total": show.milliseconds(row.get("total_ms")),
        "request": show.clean(shown_id),
    }


def _tokens(row: dict[str, Any]) -> str:
    counts = (row.get("prompt_tokens"), row.get("completion_tokens"))
    return "–" if counts == (None, None) else " + ".join("?" if each is None else f"{each:,}" for each in counts)


def _show(args: argparse.Namespace) -> int:
    from vibe_cli import show
    from vibe_cli.api import part_of_path

    with connected(args) as api:
        row = api.get(f"/usage/requests/{part_of_path(_named(api, args.request))}")
    if not show.for_people(args.json):
        show.print_json(row)
        return 0
    out = show.console()
    told = {
        "request": row.get("request_id") or args.request,
        "at": show.moment(row.get("at"), seconds=True),
        "key": row.get("key_alias") or row.get("key"),
        "team": row.get("team"),
        "model": row.get("model"),
        "format": row.get("format"),
        "served by": row.get("deployment"),
        "status": row.get("status"),
        "error": row.get("error"),
        "tokens": _tokens(row),
        "cached tokens": row.get("cached_tokens"),
        "reasoning tokens": row.get("reasoning_tokens"),
        "cost": show.dollars(row.get("cost")),
        "first token": show.milliseconds(row.get("ttft_ms")),
        "total": show.milliseconds(row.get("total_ms")),
        "tags": ", ".join(map(str, row.get("tags") or ())),
        "left alone, as cooling": ", ".join(map(str, row.get("cooling") or ())),
    }
    out.print(show.pairs(told))
    attempts = row.get("attempts") or []
    if attempts:
        head = ("", "deployment", "verdict", "status", "took", "cooled until")
        rows = [_attempt(number, attempt) for number, attempt in enumerate(attempts, 1)]
        out.print(show.table(head, rows, numbers=("", "took")))
    return 0


def _attempt(number: int, attempt: dict[str, Any]) -> list[Any]:
    from vibe_cli import show

    verdict = show.clean(attempt.get("verdict") or "ok")
    return [
        str(number),
        show.clean(attempt.get("deployment") or "–"),
        show.styled(verdict, "green" if verdict == "ok" else "red"),
        show.clean(attempt.get("status") or "–"),
        show.milliseconds(attempt.get("ms")),
        show.moment(attempt.get("cooldown_until"), seconds=True),
    ]

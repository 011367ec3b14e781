"""`spend`: what was spent, by whom and on what."""

import argparse
from typing import Any

from vibe_cli.connect import add_connection, connected
from vibe_cli.errors import CommandError

__all__ = ["add_to"]

_BY = ("models", "deployments", "keys", "teams", "days")


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser's."""
    command = commands.add_parser("spend", help="show what was spent, by model, deployment, key, team or day")
    command.add_argument("--days", type=int, default=7, metavar="N", help="so many days, today among them (7)")
    command.add_argument("--by", choices=_BY, help="only by this (all of them)")
    add_connection(command)
    command.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from vibe_cli import show

    if args.days < 1:
        raise CommandError("--days must be at least 1", status=1)
    with connected(args) as api:
        answer = api.get("/usage/overview", days=args.days)
    if not show.for_people(args.json):
        show.print_json(answer if not args.by else answer.get(args.by) or [])
        return 0
    out = show.console()
    totals = answer.get("totals") or {}
    unpriced = totals.get("unpriced") or 0
    in_all = "24 hours" if args.days == 1 else show.count(args.days, "day")
    out.print(
        f"{show.dollars(totals.get('cost'))} for {show.count(totals.get('requests') or 0, 'request')} in {in_all}"
        + (f", and {unpriced:,} whose price is unknown" if unpriced else "")
    )
    for part in [args.by] if args.by else _BY:
        counted = [each for each in answer.get(part) or () if each.get("requests")]
        if part != "days":
            counted.sort(key=lambda each: (-(each.get("cost") or 0), -each["requests"]))
        if counted:
            # Only everybody's totals are kept by the hour.
            today = " today (UTC)" if args.days == 1 and part != "days" else ""
            head = (
                part.removesuffix("s") + today,
                "cost",
                "requests",
                "failed",
                "over to another",
                "tokens in",
                "tokens out",
            )
            out.print(show.table(head, [_row(each) for each in counted], numbers=head[1:]))
    return 0


def _row(counted: dict[str, Any]) -> list[str]:
    from vibe_cli import show

    names = (counted.get(name) for name in ("name", "key_alias", "team_alias", "at", "key_name", "key_id", "team_id"))
    unpriced = counted.get("unpriced") or 0
    cost = "–" if unpriced and unpriced == counted["requests"] else show.dollars(counted.get("cost"))
    return [
        show.clean(next(filter(None, names), "–"))[:40],
        cost + (" + ?" if unpriced and cost != "–" else ""),
        *(
            f"{counted.get(name) or 0:,}"
            for name in ("requests", "errors", "failovers", "prompt_tokens", "completion_tokens")
        ),
    ]

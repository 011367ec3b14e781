"""`cooldowns`: list the deployments that rest, and let them be tried again."""

import argparse
from typing import Any

from vibe_cli.connect import add_connection, connected

__all__ = ["add_to"]


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser's."""
    command = commands.add_parser("cooldowns", help="list the deployments that rest, and let them be tried again")
    actions = command.add_subparsers(metavar="ACTION", required=True)

    listing = actions.add_parser("list", help="list what cools, until when and why")
    listing.add_argument("--all", action="store_true", help="healthy deployments too")
    listing.set_defaults(run=_list)

    clear = actions.add_parser("clear", help="forget cooldowns: the next request may try these deployments")
    which = clear.add_mutually_exclusive_group(required=True)
    which.add_argument("deployment", nargs="?", help="one, as provider/model")
    which.add_argument("--provider", help="every deployment of a provider, and its credential")
    which.add_argument("--all", action="store_true", help="every one")
    clear.set_defaults(run=_clear)

    for action in actions.choices.values():
        add_connection(action)


def _list(args: argparse.Namespace) -> int:
    from vibe_cli import show

    with connected(args) as api:
        answer = api.get("/cooldowns")
    if not show.for_people(args.json):
        show.print_json(answer)
        return 0
    listed: list[dict[str, Any]] = answer.get("deployments") or []
    shown = [each for each in listed if args.all or each.get("state") != "healthy"]
    rows: list[list[Any]] = [
        [
            show.clean(each.get("deployment")),
            show.state(each.get("state")),
            show.clean(each.get("scope") or ""),
            show.until(each.get("until"), answer.get("now")),
            show.clean(each.get("verdict") or ""),
            show.clean(each.get("strikes") or ""),
            show.clean(each.get("evidence") or ""),
        ]
        for each in shown
    ]
    head = ("deployment", "state", "scope", "until", "verdict", "strikes", "because")
    nothing = f"Nothing cools; {show.count(len(listed), 'deployment')} well."
    show.console().print(show.table(head, rows, numbers=("strikes",)) if rows else nothing)
    return 0


def _clear(args: argparse.Namespace) -> int:
    from vibe_cli import show

    body: dict[str, object] = {"all": True}
    if not args.all:
        body = {"provider": args.provider} if args.provider else {"deployment": args.deployment}
    with connected(args) as api:
        answer = api.post("/cooldowns/clear", body)
    cleared = ", ".join(show.clean(each) for each in answer.get("cleared") or ())
    told = f"Cleared: {cleared}" if cleared else "There was nothing to clear."
    return show.tell(args.json, answer, lambda out: out.print(told))

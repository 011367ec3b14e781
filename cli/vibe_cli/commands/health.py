"""`health`: how every deployment is, as the router itself sees it."""

import argparse
from typing import Any

from vibe_cli.connect import add_connection, connected

__all__ = ["add_to"]


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser's."""
    command = commands.add_parser("health", help="show how every deployment is")
    add_connection(command)
    command.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from vibe_cli import show

    with connected(args) as api:
        answer = api.get("/health")
    if not show.for_people(args.json):
        show.print_json(answer)
        return 0
    listed: list[dict[str, Any]] = answer.get("deployments") or []
    rows: list[list[Any]] = [
        [
            show.clean(each.get("deployment")),
            show.state(each.get("state")),
            show.until(each.get("until"), None),
            show.clean(each.get("verdict") or ""),
        ]
        for each in listed
    ]
    out = show.console()
    out.print(show.table(("deployment", "state", "until", "verdict"), rows) if rows else "There are no routes yet.")
    out.print(f"The table of cooldowns is {show.clean(answer.get('state_table'))}.")
    return 0

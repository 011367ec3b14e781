"""The command line. One module per command, each with `add_to(commands)`, which sets the function that runs it.

A command imports what it needs when it runs, so that `--help` is instant. Its exit status is one of

    0  done, or nothing to do
    1  refused: what was given is wrong, or the person said no
    2  could not: usage, credentials, a table or service that can't be reached
"""

import argparse
import sys
from collections.abc import Sequence

from vibe_cli.commands import (
    cooldowns,
    health,
    import_litellm,
    keys,
    prices,
    requests,
    routes,
    spend,
    teams,
    usage_book,
)
from vibe_cli.errors import CommandError, while_read

__all__ = ["main", "parser", "run"]


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(prog="python -m vibe_cli", description="Look after a Vibe Router.")
    commands = made.add_subparsers(metavar="COMMAND", required=True)
    for command in (keys, teams, requests, spend, cooldowns, health, routes, prices, usage_book, import_litellm):
        command.add_to(commands)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` names and return its exit status."""
    args = parser().parse_args(argv)
    try:
        status: int = args.run(args)
    except CommandError as error:
        sys.stderr.write(f"{error}\n")
        return error.status
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return 130
    return status


def run() -> int:
    """Run the command of this process, as `vibe` and `python -m vibe_cli` do, and return its exit status."""
    return while_read(main)

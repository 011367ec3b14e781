"""Follow the routing decisions of a stack: one line a request, as they come.

    make logs STACK=vibe-router                  a deployed one, by its log group; region and profile as AWS has them
    make logs STACK=vibe-router ARGS="--since 60 --once --failed"
    make start | make logs ARGS=--stdin          the local one
    python -m vibe_cli.commands.logs saved.log             what a file holds

Coloured lines on a terminal, the decisions' own JSON in a pipe.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from vibe_cli.cloudwatch import follow, log_errors, logs_client
from vibe_cli.decisions import Decision, Wanted, for_people, parse
from vibe_cli.errors import CommandError, while_read
from vibe_cli.ink import Ink, progress
from vibe_cli.operated import deployed

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    summary, _, more = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="logs", description=summary, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, help="saved logs, instead of a deployed stack's")
    parser.add_argument("--stack", default=os.environ.get("STACK"), help="the deployed stack's name (STACK)")
    parser.add_argument("--stdin", action="store_true", help="what comes in through a pipe")
    parser.add_argument("--since", type=float, default=10, metavar="MINUTES", help="begin so long ago (10)")
    parser.add_argument("--once", action="store_true", help="end with what there is; don't wait for more")
    parser.add_argument("--model", help="only this virtual model")
    parser.add_argument("--failed", action="store_true", help="only what ended in an error")
    parser.add_argument("--fallbacks", action="store_true", help="only what passed a deployment over")
    parser.add_argument("--json", action="store_true", help="JSON on a terminal too")
    args = parser.parse_args(argv)
    wanted = Wanted(args.model, args.failed, args.fallbacks)
    ink = None if args.json or not sys.stdout.isatty() else Ink(sys.stdout)
    try:
        for line in _lines(args):
            if (decision := parse(line)) and wanted(decision):
                _show(decision, ink)
    except CommandError as error:
        progress(str(error))
        return error.status
    except KeyboardInterrupt:
        return 130
    return 0


def _lines(args: argparse.Namespace) -> Iterator[str]:
    if args.stdin:
        sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr] # standard input is text over bytes
        yield from sys.stdin
    elif args.files:
        yield from _of_files(args.files)
    elif args.stack:
        group = deployed(args.stack).log_group
        assert group is not None  # noqa: S101 - a deployed stack has one
        progress(f"{group}, from {args.since:g} minutes ago; Ctrl-C ends")
        with log_errors(group):
            yield from follow(logs_client(), group, int((time.time() - args.since * 60) * 1000), once=args.once)
    else:
        raise CommandError(
            "Which log? A deployed stack's:  make logs STACK=vibe-router\n"
            "The local stack's:             make start | make logs ARGS=--stdin"
        )


def _of_files(files: Iterable[Path]) -> Iterator[str]:
    for file in files:
        try:
            with file.open(encoding="utf-8", errors="replace") as opened:
                yield from opened
        except OSError as error:
            raise CommandError(f"{file} can't be read: {error.strerror}") from error


def _show(decision: Decision, ink: Ink | None) -> None:
    print(for_people(decision, ink) if ink else json.dumps(decision, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    sys.exit(while_read(main))

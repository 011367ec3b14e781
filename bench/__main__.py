"""`python -m bench` (`make bench`): measure the router and print its cost.

On a terminal it prints tables, into a pipe JSON; progress goes to standard error. Its status is 0 however slow anything
was, and 1 when something did not work.
"""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from .figures import Report
from .harness import MODEL, Harness
from .machine import facts
from .options import SECTIONS, Options, peers_of
from .sections import measured
from .show import as_json, as_text
from .targets import BrokenError

__all__ = ["main", "run"]

_QUICK = Options(calls=300, starts=3)


def main(arguments: Sequence[str]) -> int:
    """Run with the command line's arguments; returns the exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        peers = peers_of(given.peer, given.peer_command, given.peer_header, MODEL)
    except ValueError as error:
        parser.error(str(error))
    options = _QUICK if given.quick else Options()
    options = replace(
        options,
        calls=given.calls or options.calls,
        sections=tuple(name for name in SECTIONS if not given.only or name in given.only),
        peers=peers,
        provider_port=given.provider_port,
        against=given.against,
    )
    try:
        report = run(options)
    except KeyboardInterrupt:
        return 130
    text = json.dumps(as_json(report), indent=2)
    if given.json:
        given.json.write_text(text + "\n")
    print(as_text(report) if sys.stdout.isatty() else text)
    return 1 if report.failures else 0


def run(options: Options) -> Report:
    """Measure. A target that fails is listed in the report's `failures`, and the rest is measured without it."""
    report = Report(facts(), asdict(options))

    def failed(failure: str) -> None:
        if failure not in report.failures:  # every section may report the same missing part
            report.failures.append(failure)
            print(f"bench: {failure}", file=sys.stderr)

    section = ""

    def progress(done: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[Kbench: {section}: {done}", end="", file=sys.stderr, flush=True)

    with Harness(options, progress, failed) as harness:
        for section in options.sections:
            if not sys.stderr.isatty():
                print(f"bench: {section}", file=sys.stderr, flush=True)
            try:
                report.sections[section] = measured(section, harness)
            except BrokenError as error:
                failed(f"{section}: {error}")
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return report


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure what the router costs, beside a direct call to the same fast provider.",
    )
    parser.add_argument("--quick", action="store_true", help="a first look: fewer calls, streams and starts")
    parser.add_argument("--calls", type=_positive, metavar="N", help=f"calls to each target ({Options().calls})")
    parser.add_argument(
        "--only", action="append", choices=SECTIONS, metavar="SECTION", help=f"may be repeated: {', '.join(SECTIONS)}"
    )
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=URL[,KEY[,MODEL]]",
        help="measure another OpenAI-compatible gateway too, whose provider is the one here: see --provider-port",
    )
    parser.add_argument(
        "--peer-command",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="start that peer; {provider} stands for the provider's base URL, here and in headers",
    )
    parser.add_argument(
        "--peer-header",
        action="append",
        default=[],
        metavar="NAME=HEADER: VALUE",
        help="send that peer a header with each call",
    )
    parser.add_argument(
        "--against",
        metavar="REVISION",
        help="measure an earlier revision of this repository too, in turn with this code",
    )
    parser.add_argument(
        "--provider-port",
        type=int,
        default=0,
        metavar="PORT",
        help="where the fast provider listens, on 127.0.0.1 under /v1 (a free port)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file, too")
    return parser


def _interrupt(number: int, _frame: object) -> None:
    """End as on Ctrl-C: stop the started processes first, and ignore further signals meanwhile."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


if __name__ == "__main__":
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, _interrupt)
    sys.exit(main(sys.argv[1:]))

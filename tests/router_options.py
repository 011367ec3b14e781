"""Which router the route tests call: one that the environment names, or one that is started for them.

VIBE_ROUTER_URL        its base URL, local or remote, with a stage or without
VIBE_ROUTER_KEY        its key
VIBE_ROUTER_STANDINS   where its stand-ins can be told to misbehave, if it has some (`make start` prints it)
"""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.deployment import NoKeyError, Router
from scripts.smoke import add_where, where
from tests.e2e.stack import KEY, running

__all__ = ["router", "run", "standins"]

URL, STANDINS = "VIBE_ROUTER_URL", "VIBE_ROUTER_STANDINS"


@pytest.fixture(scope="session")
def _called(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Router, str | None]]:
    if url := os.environ.get(URL):
        key = where(argparse.Namespace(url=url, key=None, key_env=None))[1]
        with Router(url, key) as router:
            yield router, os.environ.get(STANDINS)
    else:
        with running(tmp_path_factory.mktemp("routes")) as stack, Router(stack.url, KEY) as router:
            yield router, stack.standin.control_url


@pytest.fixture
def router(_called: tuple[Router, str | None]) -> Router:
    return _called[0]


@pytest.fixture
def standins(_called: tuple[Router, str | None]) -> str:
    if _called[1] is None:
        pytest.skip(f"a provider can only be broken where it is a stand-in: {STANDINS} is not set")
    return _called[1]


def run(summary: str, *files: str) -> int:
    """Run test files as a program, against the router that the arguments name; return the exit status."""
    parser = argparse.ArgumentParser(description=summary)
    add_where(parser)
    parser.add_argument("--control", help=f"where its stand-ins are told to misbehave ({STANDINS})")
    parser.add_argument("-k", metavar="NAME", help="only tests whose name has this")
    args = parser.parse_args()
    try:
        url, key = where(args)
    except NoKeyError as error:
        print(error, file=sys.stderr)
        return 2
    # In the environment, which is nobody else's to read, unlike pytest's arguments.
    os.environ |= {URL: url, "VIBE_ROUTER_KEY": key} | ({STANDINS: args.control} if args.control else {})
    here = Path(__file__).parent
    chosen = ["-k", args.k] if args.k else []
    return int(
        pytest.main(["-v", "-p", "no:cacheprovider", "--no-header", *chosen, *(str(here / file) for file in files)])
    )

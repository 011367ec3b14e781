"""The route tests as programs: `python tests/test_route.py --url … --key-env NAME`."""

import argparse
import os
import sys
from pathlib import Path

import pytest

from vibe_cli.chat_client import choose_router
from vibe_cli.errors import CommandError

__all__ = ["run"]

URL, KEY, STANDINS = "VIBE_ROUTER_URL", "VIBE_ROUTER_KEY", "VIBE_ROUTER_STANDINS"


def run(summary: str, *files: str) -> int:
    """Run test files as a program, against the router that the arguments name; return the exit status."""
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("--url", help="its base URL (default: VIBE_ROUTER_URL, URL, or the local stack's)")
    parser.add_argument("--key-env", metavar="NAME", help="the variable with the key")
    parser.add_argument("--control", help=f"the control API of its stand-ins ({STANDINS})")
    parser.add_argument("-k", metavar="NAME", help="only tests whose name has this")
    args = parser.parse_args()
    try:
        url, key = choose_router(args.url, key_env=args.key_env)
    except CommandError as error:
        print(error, file=sys.stderr)
        return 2
    # In the environment, which is nobody else's to read, unlike pytest's arguments.
    os.environ |= {URL: url, KEY: key} | ({STANDINS: args.control} if args.control else {})
    here = Path(__file__).parent
    chosen = ["-k", args.k] if args.k else []
    return int(
        pytest.main(["-vv", "-p", "no:cacheprovider", "--no-header", *chosen, *(str(here / file) for file in files)])
    )

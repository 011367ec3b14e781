"""`start`: run the whole router on this machine."""

import os
import sys

import typer

from vibe_cli.checkout import CHECKOUT

__all__ = ["PASS_ARGUMENTS", "start"]

PASS_ARGUMENTS = {"allow_extra_args": True, "ignore_unknown_options": True}


def start(context: typer.Context) -> int:
    """Run the whole router on this machine, at http://127.0.0.1:4000/v1."""
    os.chdir(CHECKOUT)
    os.execv(sys.executable, [sys.executable, "-m", "local", *context.args])  # noqa: S606 - this process becomes it

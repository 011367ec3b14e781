"""`python -m local`, which is `make start`: the whole router on this machine."""

import asyncio
import os
import sys
from functools import partial
from pathlib import Path

from .aws import EmbeddedAwsError
from .console import Console
from .data_dir import DataDirError
from .invocation import FunctionFailedError
from .routes import RoutesError
from .settings import SettingsError, read_settings
from .signals import run_until_signal
from .stack import PortInUseError, Stack, StackEndedError
from .standins import StandInsError
from .template import TemplateError

_CHECKOUT = Path(__file__).parent.parent

_USER_ERRORS = (
    DataDirError,
    EmbeddedAwsError,
    FunctionFailedError,
    PortInUseError,
    RoutesError,
    SettingsError,
    StackEndedError,
    StandInsError,
    TemplateError,
)
"""Errors that the user can fix: the message explains how, so no traceback is printed."""


async def _run(stack: Stack) -> None:
    await stack.start()
    await stack.ended()


def main() -> int:
    """Run the stack; returns the process's exit status."""
    console = Console()
    try:
        settings = read_settings(_CHECKOUT)
        stack = Stack(_CHECKOUT, settings, console)
        # A second signal ends this process at once; its children notice and end too.
        asyncio.run(run_until_signal(_run(stack), stack.stop, second=partial(os._exit, 130)))
    except _USER_ERRORS as error:
        console.fail(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

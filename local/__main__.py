"""`python -m local`, which is `make start`: the whole router on this machine."""

import asyncio
import os
import sys
from functools import partial
from pathlib import Path

from .aws import EmbeddedAwsError
from .console import Console
from .invocation import FunctionFailedError
from .lock import DataDirInUseError
from .routes import RoutesError
from .settings import SettingsError, read_settings
from .signals import run_until_signal
from .stack import PortInUseError, Stack, StackEndedError
from .standins import StandInsError
from .template import TemplateError

_CHECKOUT = Path(__file__).parent.parent

_EXPECTED = (
    DataDirInUseError,
    EmbeddedAwsError,
    FunctionFailedError,
    PortInUseError,
    RoutesError,
    SettingsError,
    StackEndedError,
    StandInsError,
    TemplateError,
)
"""What a person can mend; the message says how, and a traceback would hide it."""


async def _start_and_watch(stack: Stack) -> None:
    await stack.start()
    await stack.ended()


def main() -> int:
    """Run the stack; returns the process's exit status."""
    console = Console()
    try:
        settings = read_settings(_CHECKOUT)
        stack = Stack(_CHECKOUT, settings, console)
        # A second signal ends this process on the spot; its children see that and end too.
        asyncio.run(run_until_signal(_start_and_watch(stack), stack.stop, second=partial(os._exit, 130)))
    except _EXPECTED as error:
        console.fail(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

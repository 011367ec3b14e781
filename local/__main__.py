"""`python -m local`, which is `make start`: the whole router on this machine."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from .aws import EmbeddedAwsError
from .console import Console
from .invocation import FunctionFailedError
from .lock import DataDirInUseError
from .routes import RoutesError
from .settings import SettingsError, read_settings
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


async def _run(stack: Stack) -> None:
    """Run until a signal comes. A second one ends this process on the spot; its children see that and end too."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def on_signal() -> None:
        if stopping.is_set():
            os._exit(130)
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, on_signal)
    running = asyncio.create_task(_start_and_watch(stack))
    signalled = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait((running, signalled), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
    finally:
        running.cancel()
        signalled.cancel()
        await asyncio.gather(running, signalled, return_exceptions=True)
        await stack.stop()


async def _start_and_watch(stack: Stack) -> None:
    await stack.start()
    await stack.ended()


def main() -> int:
    """Run the stack; returns the process's exit status."""
    console = Console()
    try:
        settings = read_settings(_CHECKOUT)
        asyncio.run(_run(Stack(_CHECKOUT, settings, console)))
    except _EXPECTED as error:
        console.fail(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Run until a signal arrives, and stop in order."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

__all__ = ["run_until_signal"]


async def run_until_signal(
    work: Coroutine[Any, Any, None], stop: Callable[[], Awaitable[None]], *, second: Callable[[], None] | None = None
) -> None:
    """Run `work` until it ends or SIGINT, SIGTERM or SIGHUP arrives, then `stop`. Raises the exception of `work`.

    `second` is called at every further signal; without it they are ignored.
    """
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def on_signal() -> None:
        if stopping.is_set() and second is not None:
            second()
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, on_signal)
    running = asyncio.create_task(work)
    signalled = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait((running, signalled), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
    finally:
        running.cancel()
        signalled.cancel()
        await asyncio.gather(running, signalled, return_exceptions=True)
        await stop()

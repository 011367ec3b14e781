"""The end of a child process that ends when its standard input does."""

import asyncio
import os
import signal
from contextlib import suppress

__all__ = ["end"]


async def end(process: asyncio.subprocess.Process | None, seconds: float) -> None:
    """Close its standard input, and end its process group by force if it is still there after `seconds`."""
    if process is None or process.stdin is None:
        return
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), seconds)
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

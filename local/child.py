"""Stopping a child process that ends when its standard input closes."""

import asyncio
import os
import signal
from contextlib import suppress

__all__ = ["stop_process"]


async def stop_process(process: asyncio.subprocess.Process | None, seconds: float) -> None:
    """Close the process's standard input, and kill its process group if it still runs after `seconds`."""
    if process is None or process.stdin is None:
        return
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), seconds)
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

"""Processor time of other processes."""

import time
from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urlsplit

import psutil

__all__ = ["cpu_seconds", "serving"]


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the processor time in seconds that processes have used, those that have ended left out."""
    return sum(map(_of, pids))


def _of(pid: int) -> float:
    # clock_getcpuclockid(3) of Linux, to the nanosecond; the clock ticks of psutil are 10 ms long.
    with suppress(OSError):
        return time.clock_gettime((~pid << 3) | 2)
    with suppress(psutil.NoSuchProcess):
        used = psutil.Process(pid).cpu_times()
        return used.user + used.system
    return 0.0


def serving(url: str) -> tuple[int, ...]:
    """Return the ids of the processes of this machine that listen at a URL's port, with their children."""
    port = urlsplit(url).port
    found: dict[int, None] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            listens = any(
                each.laddr.port == port and each.status == psutil.CONN_LISTEN for each in process.net_connections("tcp")
            )
            if port and listens:
                family = (process, *process.children(recursive=True))
                found |= {each.pid: None for each in family}
    return tuple(found)

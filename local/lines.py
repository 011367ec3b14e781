"""Standard output, for the lines of many processes."""

import os
import sys
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread

__all__ = ["LineWriter"]


class LineWriter:
    """Writes whole lines from a thread of its own: a terminal that is scrolled back must not hold up requests."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = sys.stdout.fileno() if descriptor is None else descriptor
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def write(self, lines: bytes) -> None:
        """Write lines, ends included, after those that came before; nothing once whoever read them has gone."""
        if self._thread.is_alive():
            self._queue.put(lines)

    def close(self, timeout: float = 0.5) -> None:
        """Wait until what was given has been written, but not for a reader that does not read."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        with suppress(OSError):  # a closed pipe: there is nobody to write for
            while (lines := self._queue.get()) is not None:
                view = memoryview(lines)
                while view:
                    view = view[os.write(self._descriptor, view) :]

"""Write the lines of many processes to standard output."""

import os
import sys
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread

__all__ = ["LineWriter"]


class LineWriter:
    """Writes whole lines in its own thread, so that a paused terminal does not block requests."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = sys.stdout.fileno() if descriptor is None else descriptor
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def write(self, lines: bytes) -> None:
        """Queue lines, including line ends; they are dropped after the reader has closed the pipe."""
        if self._thread.is_alive():
            self._queue.put(lines)

    def close(self, timeout: float = 0.5) -> None:
        """Wait until all queued lines are written, for `timeout` seconds at most."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        with suppress(OSError):  # a closed pipe has no reader
            while (lines := self._queue.get()) is not None:
                view = memoryview(lines)
                while view:
                    view = view[os.write(self._descriptor, view) :]

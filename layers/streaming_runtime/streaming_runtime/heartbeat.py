"""Keeps a client's connection from falling asleep while a body is silent.

One daemon thread for the life of the process. The sender's side costs a lock that nobody else wants and a look at the
clock per chunk; the thread looks up once per `after` and not once per chunk.
"""

import threading
import time
from collections.abc import Callable

from .errors import RuntimeApiError, RuntimeApiLostError
from .response import Heartbeat

__all__ = ["Pulse"]

Send = Callable[[bytes], None]


class Pulse:
    """Beats for one stream at a time. `clock` counts seconds and never goes back.

    Without `threaded` nothing beats on its own: whoever holds the clock calls `beat`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, threaded: bool = True) -> None:
        self._clock = clock
        self._threaded = threaded
        self._thread: threading.Thread | None = None
        # Held while anything is sent: no payload can get into a chunk.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._send: Send | None = None
        self._heartbeat: Heartbeat | None = None
        self._last_sent = 0.0
        self._wakes_at: float | None = None

    def start(self, send: Send, heartbeat: Heartbeat) -> Send:
        """Begin to beat through `send`; returns what the body's chunks must be sent with until `stop`."""
        lock, clock = self._lock, self._clock
        with lock:
            self._send, self._heartbeat, self._last_sent = send, heartbeat, clock()
            # A thread that wakes in time anyway is left asleep: waking it would take the interpreter from the sender.
            if self._wakes_at is None or self._wakes_at > self._last_sent + heartbeat.after:
                self._changed.notify()
        if self._threaded and self._thread is None:
            # Not before the first stream: a thread would not survive a snapshot.
            self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
            self._thread.start()

        def guarded(chunk: bytes) -> None:
            with lock:
                send(chunk)
                self._last_sent = clock()

        return guarded

    def stop(self) -> None:
        """Beat no more: when it returns, no payload is on its way and none will be."""
        with self._lock:
            self._send = self._heartbeat = None

    def beat(self) -> float | None:
        """Send the payload if it is due; returns the seconds until the next look, `None` when nothing beats."""
        with self._lock:
            return self._beat()

    def _beat(self) -> float | None:
        if self._heartbeat is None or self._send is None:
            return None
        due_in = self._last_sent + self._heartbeat.after - self._clock()
        if due_in > 0:
            return due_in
        try:
            self._send(self._heartbeat.payload)
        except (RuntimeApiLostError, RuntimeApiError):
            # The body's next chunk will meet the same broken connection, where it can be handled.
            self._send = self._heartbeat = None
            return None
        self._last_sent = self._clock()
        return self._heartbeat.after

    def _run(self) -> None:
        with self._changed:
            while True:
                pause = self._beat()
                self._wakes_at = None if pause is None else self._clock() + pause
                self._changed.wait(pause)

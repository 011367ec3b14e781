"""Sends heartbeats so that a client's connection is not closed as idle while a body is silent.

There is one daemon thread for the life of the process. Sending a chunk costs an uncontended lock and one reading of the
clock; the thread wakes once per `after` and not once per chunk.
"""

import threading
import time
from collections.abc import Callable

from .errors import RuntimeApiError, RuntimeApiLostError
from .response import Heartbeat

__all__ = ["HeartbeatSender"]

Send = Callable[[bytes], None]


class HeartbeatSender:
    """Sends heartbeats for one stream at a time. `clock` is monotonic, in seconds.

    Without `threaded` there is no thread, and the owner of the clock calls `send_if_due`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, threaded: bool = True) -> None:
        self._clock = clock
        self._threaded = threaded
        self._thread: threading.Thread | None = None
        # Held while sending, so that a heartbeat never lands inside a chunk.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._send: Send | None = None
        self._heartbeat: Heartbeat | None = None
        self._last_sent = 0.0
        self._wakes_at: float | None = None

    def start(self, send: Send, heartbeat: Heartbeat) -> Send:
        """Start heartbeats through `send`. Until `stop`, chunks must be sent with the returned function."""
        lock, clock = self._lock, self._clock
        with lock:
            self._send, self._heartbeat, self._last_sent = send, heartbeat, clock()
            # A thread that wakes in time anyway is not woken: that would take the interpreter from the sender.
            if self._wakes_at is None or self._wakes_at > self._last_sent + heartbeat.after:
                self._changed.notify()
        if self._threaded and self._thread is None:
            # Started with the first stream, because a thread does not survive a snapshot.
            self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
            self._thread.start()

        def guarded(chunk: bytes) -> None:
            with lock:
                send(chunk)
                self._last_sent = clock()

        return guarded

    def stop(self) -> None:
        """Stop heartbeats. After it returns, none is being sent or will be."""
        with self._lock:
            self._send = self._heartbeat = None

    def send_if_due(self) -> float | None:
        """Send the heartbeat if it is due. Returns the seconds until the next check, None without a stream."""
        with self._lock:
            return self._send_if_due()

    def _send_if_due(self) -> float | None:
        if self._heartbeat is None or self._send is None:
            return None
        due_in = self._last_sent + self._heartbeat.after - self._clock()
        if due_in > 0:
            return due_in
        try:
            self._send(self._heartbeat.payload)
        except (RuntimeApiLostError, RuntimeApiError):
            # The body's next chunk fails on the same connection, where the error is handled.
            self._send = self._heartbeat = None
            return None
        self._last_sent = self._clock()
        return self._heartbeat.after

    def _run(self) -> None:
        with self._changed:
            while True:
                pause = self._send_if_due()
                self._wakes_at = None if pause is None else self._clock() + pause
                self._changed.wait(pause)

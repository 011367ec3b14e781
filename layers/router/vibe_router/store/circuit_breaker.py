"""What to do about a service that can't be asked: pay for finding out once, not with every request.

The first call that fails begins the outage, and its caller has waited for the client's bounds. From then on callers are
answered from memory at once, while every two seconds one try is made beside them. A try that comes after a longer pause
is made with its caller waiting again: whatever was remembered is old by then, and the outage may be long over.

    call ✗ ─ opens ── probe ✗ ── probe ✗ ── probe ✓ ─ closes ── call ✓
            │ caller waited ≤ 4 s           │ nobody waited
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from threading import Lock, Thread

from botocore.exceptions import BotoCoreError, ClientError

from vibe_router.core.clock import Clock

__all__ = ["AWS_ERRORS", "CallMode", "CircuitBreaker", "Spawn", "error_code", "run_in_background"]

Spawn = Callable[[Callable[[], None]], None]

AWS_ERRORS = (BotoCoreError, ClientError)

_RETRY_AFTER = 2.0
_ASK_AGAIN_AFTER = 30.0

_log = logging.getLogger(__name__)


class CallMode(Enum):
    """How to go about a call."""

    CALL = auto()  # and wait for the answer
    PROBE = auto()  # without the caller waiting for it
    SKIP = auto()  # not now


class CircuitBreaker:
    """Whether `what` can be asked; `meanwhile` is what happens as long as it can't be. Both are words for the log."""

    def __init__(self, what: str, clock: Clock, meanwhile: str = "going on from memory") -> None:
        self._what = what
        self._meanwhile = meanwhile
        self._clock = clock
        self._lock = Lock()
        self._began: float | None = None
        self._tried = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the last answer was a failure."""
        return self._began is not None

    def next_call(self) -> CallMode:
        """Say how to go about the next call. Whoever is told to ask has the turn: others are told to leave it."""
        with self._lock:
            if self._began is None:
                return CallMode.CALL
            # A clock that was set back must not keep an outage alive: that counts as a long pause.
            pause = self._clock.now() - self._tried
            if 0 <= pause < _RETRY_AFTER:
                return CallMode.SKIP
            self._tried = self._clock.now()
            return CallMode.PROBE if 0 <= pause < _ASK_AGAIN_AFTER else CallMode.CALL

    def record_failure(self, error: Exception) -> None:
        """Note a failure; the first one begins the outage and is logged."""
        with self._lock:
            self._tried = self._clock.now()
            if self._began is not None:
                return
            self._began = self._tried
        _log.warning("%s cannot be asked (%s): %s", self._what, error_code(error), self._meanwhile)

    def record_success(self) -> None:
        """Note an answer; it ends an outage, and that is logged."""
        with self._lock:
            if self._began is None:
                return
            lasted, self._began = max(self._clock.now() - self._began, 0.0), None
        _log.warning("%s answers again after %.0f s", self._what, lasted)


def error_code(error: Exception) -> str:
    """Name an error for the log, without the text that came with it."""
    if isinstance(error, ClientError):
        return error.response.get("Error", {}).get("Code", "ClientError")
    return type(error).__name__


def run_in_background(work: Callable[[], None]) -> None:
    """Do `work` in a thread of its own; a process that ends does not wait for it."""
    with suppress(RuntimeError):  # no thread to be had: the next try will do
        Thread(target=work, daemon=True).start()

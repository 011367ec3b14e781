"""Stop calling a service that fails, so that one request waits for its timeout and not every request.

The first failed call opens the breaker; its caller has waited for the client's timeouts. While it is open, callers are
served from memory at once, and every two seconds one probe runs in the background. After a pause of 30 s or more a
caller waits for the probe instead: what is in memory is old by then, and the outage may be long over.

    call ✗ ─ opens ── probe ✗ ── probe ✗ ── probe ✓ ─ closes ── call ✓
             │ its caller waited ≤ 2 s     │ no caller waited

A table's breaker shares the breaker of its service: once a call to one table finds DynamoDB unreachable, the other
tables do not wait for their own timeouts. An error of one table, such as throttling, does not affect the others.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from threading import Lock, Thread

from vibe_router.core.clock import Clock
from vibe_router.store.aws_errors import AwsError, ClientError, NoResponseError, error_code

__all__ = ["AWS_ERRORS", "CallMode", "CircuitBreaker", "Spawn", "error_code", "is_rejection", "run_in_background"]

Spawn = Callable[[Callable[[], None]], None]

AWS_ERRORS = (AwsError,)

_PROBE_AFTER = 2.0  # seconds
_WAIT_AFTER = 30.0  # seconds
_REJECTIONS = frozenset({"ValidationException", "ValidationError", "SerializationException"})

_log = logging.getLogger(__name__)


class CallMode(Enum):
    """The way to make the next call."""

    CALL = auto()  # and wait for the response
    PROBE = auto()  # in the background
    SKIP = auto()  # not now


class CircuitBreaker:
    """Decides whether `name` is called. `fallback` describes what happens instead; both texts appear in the log.

    `service` is the breaker of the service to which `name` belongs.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        fallback: str = "going on from memory",
        *,
        service: "CircuitBreaker | None" = None,
    ) -> None:
        self._name = name
        self._fallback = fallback
        self._clock = clock
        self._service = service
        self._lock = Lock()
        self._opened_at: float | None = None
        self._tried_at = 0.0
        self._on_close: list[Callable[[], None]] = []

    @property
    def is_open(self) -> bool:
        """Return whether the last call failed."""
        return self._opened_at is not None or bool(self._service and self._service.is_open)

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call `callback` whenever the breaker closes."""
        self._on_close.append(callback)

    def next_call(self) -> CallMode:
        """Return how to make the next call. CALL and PROBE take the turn: concurrent callers get SKIP."""
        if self._service and self._service.is_open:
            return self._service.next_call()
        with self._lock:
            if self._opened_at is None:
                return CallMode.CALL
            # A clock that was set back must not prolong the outage: that counts as a long pause.
            pause = self._clock.now() - self._tried_at
            if 0 <= pause < _PROBE_AFTER:
                return CallMode.SKIP
            self._tried_at = self._clock.now()
            return CallMode.PROBE if 0 <= pause < _WAIT_AFTER else CallMode.CALL

    def run(self, call: Callable[[], None], spawn: Spawn) -> None:
        """Make `call` now, by `spawn` in the background, or not at all. It records its own outcome."""
        match self.next_call():
            case CallMode.CALL:
                call()
            case CallMode.PROBE:
                spawn(call)

    def record_failure(self, error: Exception) -> None:
        """Record a failed call; the first one opens the breaker and is logged. A rejected request is no failure."""
        if is_rejection(error):
            self.record_success()
            return
        if self._service and isinstance(error, NoResponseError):
            self._service.record_failure(error)
            return
        with self._lock:
            self._tried_at = self._clock.now()
            if self._opened_at is not None:
                return
            self._opened_at = self._tried_at
        _log.warning("%s cannot be reached (%s): %s", self._name, error_code(error), self._fallback)

    def record_success(self) -> None:
        """Record a response; it closes the breaker, which is logged."""
        if self._service:
            self._service.record_success()
        with self._lock:
            if self._opened_at is None:
                return
            lasted, self._opened_at = max(self._clock.now() - self._opened_at, 0.0), None
        _log.warning("%s answers again after %.0f s", self._name, lasted)
        for callback in self._on_close:
            callback()


def is_rejection(error: Exception) -> bool:
    """Return whether AWS rejected the request as invalid, which is no outage."""
    if not isinstance(error, ClientError):
        return False
    codes = {error_code(error), *(each.get("Code", "") for each in error.response.get("CancellationReasons") or ())}
    return bool(codes & _REJECTIONS)


def run_in_background(work: Callable[[], None]) -> None:
    """Run `work` in a daemon thread, which does not delay the exit of the process."""
    with suppress(RuntimeError):  # no thread can be started: the next probe suffices
        Thread(target=work, daemon=True).start()

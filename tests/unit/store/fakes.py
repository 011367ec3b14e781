"""Fakes for tests of the store: the clock, background work, and the faults of AWS."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.unit.store.hooks import hooked
from vibe_router.core.clock import Clock
from vibe_router.store.aws_errors import ClientError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError

NOW = 1_800_000_000.0

OUTAGES = {
    "refused": EndpointConnectionError("http://127.0.0.1:9"),
    "connect timeout": ConnectTimeoutError("http://127.0.0.1:9"),
    "read timeout": ReadTimeoutError("http://127.0.0.1:9"),
    "throttled": ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "BatchGetItem"),
    "over capacity": ClientError({"Error": {"Code": "ProvisionedThroughputExceededException"}}, "BatchGetItem"),
    "no such table": ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "BatchGetItem"),
    "not allowed": ClientError({"Error": {"Code": "AccessDeniedException"}}, "BatchGetItem"),
}


class Time:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now
        self.clock = Clock(now=lambda: self.now, monotonic=lambda: self.now, sleep=self.advance)

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Aside:
    """Work that nobody waits for, kept until a test does it."""

    waiting: list[Callable[[], None]] = field(default_factory=list)

    def __call__(self, work: Callable[[], None]) -> None:
        self.waiting.append(work)

    def do(self) -> None:
        """Do what is waiting; it must be something."""
        assert self.waiting
        while self.waiting:
            self.waiting.pop(0)()


class Wire:
    """Counts a client's calls; fails the next ones with `faults`, and then every one while `fault` is set."""

    def __init__(self, client: Any) -> None:
        self.calls: list[str] = []
        self.faults: list[Exception] = []
        self.fault: Exception | None = None
        hooked(client).before.insert(0, self._called)

    def counts(self, operation: str, parameters: Any) -> bool:
        """Return whether a call is one of those that are counted."""
        return True

    def _called(self, operation: str, parameters: Any) -> None:
        if self.counts(operation, parameters):
            self.calls.append(operation)
        if fault := self.faults.pop(0) if self.faults else self.fault:
            raise fault

    def took(self) -> list[str]:
        """Return the calls since this was last asked."""
        calls, self.calls = self.calls, []
        return calls

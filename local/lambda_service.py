"""Local Lambda for one function: it distributes events among environments, and starts and ends them."""

import asyncio
import os
import uuid
from collections import deque
from collections.abc import Callable

from .environment import Environment, Launch, Phase
from .invocation import FunctionFailedError, Invocation, Payload

__all__ = ["LambdaService"]

IDLE_SECONDS = 300.0
"""Seconds that an idle environment stays warm; minutes on AWS too."""

SETTLE_SECONDS = 0.05
"""Seconds that an event waits for an environment that is settling, before another one is started: settling takes
milliseconds, a start half a second of processor time."""

_GRACE_SECONDS = 1.0
"""Seconds that environments may settle when the stack ends: they write usage."""


class LambdaService:
    """A function's environments: started on demand up to `concurrency`, reused while warm, replaced when they end.

    The most recently used environment is reused first, so that the others become idle and end. Beyond the limit events
    wait in order. `write_log` receives whole lines of the function's output.
    """

    def __init__(
        self,
        launch: Launch,
        concurrency: int,
        write_log: Callable[[bytes], None],
        *,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._launch = launch
        self._concurrency = concurrency
        self._write_log = write_log
        self._idle_seconds = idle_seconds
        # More concurrent starts only delay the first one, and starve the embedded AWS.
        self._starts_at_once = max(1, (os.cpu_count() or 1) - 1)
        self._environments: set[Environment] = set()
        self._idle: dict[Environment, asyncio.TimerHandle] = {}  # the most recently used last
        self.waiting: deque[Invocation] = deque()
        self._ready_waiters: list[asyncio.Future[None]] = []
        self._starts: set[asyncio.Task[None]] = set()
        self._recheck: asyncio.TimerHandle | None = None
        self._stopping = False

    @property
    def environments(self) -> frozenset[Environment]:
        """The running environments."""
        return frozenset(self._environments)

    def invoke(self, event: bytes, trace_id: str = "") -> Payload:
        """Invoke the function, at once or in turn; returns the payload, which is filled as data arrives."""
        invocation = Invocation(str(uuid.uuid4()), event, trace_id)
        if self._stopping:
            invocation.payload.fail(FunctionFailedError("Sandbox.Stopping", "the stack is ending"))
        elif self._idle:
            environment, reaping = self._idle.popitem()
            reaping.cancel()
            environment.send_event(invocation)
        else:
            self.waiting.append(invocation)
            self._scale()
        return invocation.payload

    async def warm(self) -> None:
        """Start an environment unless one runs, and wait until it is ready. Raises `FunctionFailedError`."""
        if self._idle:
            return
        ready = asyncio.get_running_loop().create_future()
        self._ready_waiters.append(ready)
        if not self._environments:
            self._start_one()
        await ready

    async def stop(self) -> None:
        """End every environment; settling ones get a grace period."""
        self._stopping = True
        if self._recheck is not None:
            self._recheck.cancel()
        stopping = FunctionFailedError("Sandbox.Stopping", "the stack is ending")
        while self.waiting:
            self.waiting.popleft().payload.fail(stopping)
        for reaping in self._idle.values():
            reaping.cancel()
        settling = [item for item in self._environments if item.phase is Phase.SETTLING]
        for environment in self._environments - set(settling):
            environment.kill()
        if settling:
            await asyncio.wait([environment.ended for environment in settling], timeout=_GRACE_SECONDS)
        remaining = self._environments.copy()
        for environment in remaining:
            environment.kill()
        if remaining:
            await asyncio.wait([environment.ended for environment in remaining])
        await asyncio.gather(*self._starts, return_exceptions=True)

    # --- Owner of the environments --------------------------------------------------------------------------------

    def environment_ready(self, environment: Environment) -> None:
        """Send it the oldest waiting event, or mark it as idle."""
        if self._stopping:
            environment.kill()
        elif self.waiting:
            environment.send_event(self.waiting.popleft())
            self._scale()
        else:
            reaping = asyncio.get_running_loop().call_later(self._idle_seconds, self._reap, environment)
            self._idle[environment] = reaping
        self._notify_ready(None)

    def environment_unready(self, environment: Environment) -> None:
        """Remove it from the idle environments."""
        reaping = self._idle.pop(environment, None)
        if reaping is not None:
            reaping.cancel()

    def environment_ended(self, environment: Environment, failure: FunctionFailedError) -> None:
        """Start another environment if events wait; a failed start fails the oldest waiting event."""
        self._environments.discard(environment)
        self.environment_unready(environment)
        if not environment.was_ready and not self._stopping:
            self._notify_ready(failure)
            if self.waiting:
                # One event per failed start, so that a function that cannot start is not started forever.
                self.waiting.popleft().payload.fail(failure)
        if not self._stopping:
            self._scale()

    def _reap(self, environment: Environment) -> None:
        if self._idle.pop(environment, None) is not None:
            environment.kill()

    def _notify_ready(self, failure: FunctionFailedError | None) -> None:
        waiters, self._ready_waiters = self._ready_waiters, []
        for waiter in waiters:
            if waiter.done():
                continue
            if failure is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(failure)

    def _scale(self, *, trust_settling: bool = True) -> None:
        """Start environments for waiting events, unless enough environments will be free soon."""
        phases = [environment.phase for environment in self._environments]
        starting = phases.count(Phase.STARTING)
        settling = phases.count(Phase.SETTLING) if trust_settling else 0
        wanted = len(self.waiting) - starting - settling
        room = min(self._concurrency - len(phases), self._starts_at_once - starting)
        for _ in range(min(wanted, room)):
            self._start_one()
        if trust_settling and settling and len(self.waiting) > starting and self._recheck is None:
            self._recheck = asyncio.get_running_loop().call_later(SETTLE_SECONDS, self._scale_again)

    def _scale_again(self) -> None:
        self._recheck = None
        self._scale(trust_settling=False)

    def _start_one(self) -> None:
        environment = Environment(self._launch, self, self._write_log)
        self._environments.add(environment)
        task = asyncio.get_running_loop().create_task(environment.start())
        self._starts.add(task)
        task.add_done_callback(self._starts.discard)

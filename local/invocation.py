"""An invocation, and what it gives back as it comes: the meeting point of API Gateway and Lambda."""

import asyncio
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Answer", "FunctionFailedError", "Invocation"]

_HIGH_WATER = 1024 * 1024  # bytes held for a slow reader before the function is made to wait


class FunctionFailedError(Exception):
    """The invocation did not end as it should. `kind` is Lambda's error type; nobody's secret is in the message."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}" if message else kind)
        self.kind = kind
        self.message = message


class Answer:
    """The payload of one invocation. One reader; who fills it must end or fail it, once."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._ended = False
        self._dropped = False
        self._failure: FunctionFailedError | None = None
        self._reader: asyncio.Future[None] | None = None
        self._flow: Callable[[bool], None] | None = None
        self._paused = False

    @property
    def ended(self) -> bool:
        """Whether all of it has come, well or ill."""
        return self._ended

    def paced_by(self, flow: Callable[[bool], None]) -> None:
        """Have `flow(False)` called when the reader falls behind and `flow(True)` when it has caught up."""
        self._flow = flow

    def feed(self, data: bytes) -> None:
        """Add a part."""
        if self._dropped:
            return
        self._chunks.append(data)
        self._held += len(data)
        if self._held > _HIGH_WATER and self._flow is not None and not self._paused:
            self._paused = True
            self._flow(False)
        self._wake()

    def end(self) -> None:
        """Say that this was all."""
        self._ended = True
        self._wake()

    def fail(self, failure: FunctionFailedError) -> None:
        """Say that no more will come, and why. Later words on the same invocation are ignored."""
        if not self._ended:
            self._failure = failure
            self.end()

    async def read(self) -> bytes:
        """Wait for what comes next; empty at the end. Raises `FunctionFailedError` after the last part that came."""
        while not self._chunks:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                return b""
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        data = self._chunks.popleft() if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._held = 0
        self._resume()
        return data

    def drop(self) -> None:
        """Say that nobody reads on. The function is not told: it runs to its end, and what it sends goes nowhere."""
        self._dropped = True
        self._chunks.clear()
        self._resume()

    def _resume(self) -> None:
        if self._paused and self._flow is not None:
            self._paused = False
            self._flow(True)

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


@dataclass(frozen=True)
class Invocation:
    """One event on its way through a function."""

    request_id: str
    event: bytes
    trace_id: str
    answer: Answer = field(default_factory=Answer)
    invocation_id: str = field(default_factory=lambda: str(uuid.uuid4()))

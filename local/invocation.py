"""An invocation and its response payload: the interface between the local API Gateway and Lambda."""

import asyncio
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["FunctionFailedError", "Invocation", "Payload"]

_HIGH_WATER = 1024 * 1024  # bytes buffered for a slow reader before the function has to wait


class FunctionFailedError(Exception):
    """The invocation failed. `kind` is Lambda's error type; the message contains no secret."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}" if message else kind)
        self.kind = kind
        self.message = message


class Payload:
    """The response payload of one invocation, for one reader. The writer must end or fail it once."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._ended = False
        self._dropped = False
        self._failure: FunctionFailedError | None = None
        self._reader: asyncio.Future[None] | None = None
        self._flow: Callable[[bool], None] | None = None
        self._paused = False

    @property
    def ended(self) -> bool:
        """Return whether it is complete or has failed."""
        return self._ended

    def on_flow(self, flow: Callable[[bool], None]) -> None:
        """Call `flow(False)` when the reader falls behind, and `flow(True)` when it has caught up."""
        self._flow = flow

    def feed(self, data: bytes) -> None:
        """Append data."""
        if self._dropped:
            return
        self._chunks.append(data)
        self._buffered += len(data)
        if self._buffered > _HIGH_WATER and self._flow is not None and not self._paused:
            self._paused = True
            self._flow(False)
        self._wake()

    def end(self) -> None:
        """Mark the payload as complete."""
        self._ended = True
        self._wake()

    def fail(self, failure: FunctionFailedError) -> None:
        """Mark the payload as failed, unless it has ended."""
        if not self._ended:
            self._failure = failure
            self.end()

    async def read(self) -> bytes:
        """Wait for the next data; empty at the end. Raises `FunctionFailedError` after the last data."""
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
        self._buffered = 0
        self._resume()
        return data

    def drop(self) -> None:
        """Discard the rest. The function is not interrupted, as on AWS."""
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
    """One event and its response payload."""

    request_id: str
    event: bytes
    trace_id: str
    payload: Payload = field(default_factory=Payload)
    invocation_id: str = field(default_factory=lambda: str(uuid.uuid4()))

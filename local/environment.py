"""One Lambda execution environment: a process, and a Runtime API that only it knows.

Each has a port of its own, so that the API knows who calls and the runtime runs unchanged.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Protocol, cast

from .invocation import FunctionFailedError, Invocation
from .runtime_api import RuntimeApiConnection

__all__ = ["Environment", "Launch", "Owner", "Phase"]

_TETHER = str(Path(__file__).with_name("tether.py"))
_LAST_BYTES = 1.0  # seconds that pipe and sockets of an ended process may take to close; a child of its may hold them
_START_SECONDS = 30.0  # AWS ends a start after 10 s; a laptop may be slower than that, yet a start that hangs must end


@dataclass(frozen=True)
class Launch:
    """How a function's environments are started. `timeout`: seconds from an event to the next request for one."""

    function_arn: str
    command: Sequence[str]
    variables: Mapping[str, str]
    timeout: float
    directory: Path


class Phase(Enum):
    """What an environment is doing."""

    STARTING = auto()
    IDLE = auto()
    BUSY = auto()
    SETTLING = auto()
    """The answer has gone; the function works on before it asks for the next event."""
    ENDED = auto()


class Owner(Protocol):
    """Who is told of an environment's changes."""

    def environment_ready(self, environment: "Environment") -> None:
        """Take note that it asks for an event."""

    def environment_unready(self, environment: "Environment") -> None:
        """Take note that it no longer does."""

    def environment_ended(self, environment: "Environment", failure: FunctionFailedError) -> None:
        """Take note that its process has ended; `failure` says how."""


class Environment(asyncio.SubprocessProtocol):
    """A process under the real runtime, which asks this object for events and gives it the answers.

    `write_log` takes whole lines of the process's output, line ends included.
    """

    def __init__(self, launch: Launch, owner: Owner, write_log: Callable[[bytes], None]) -> None:
        self.phase = Phase.STARTING
        self.invocation: Invocation | None = None
        self.ended = asyncio.get_running_loop().create_future()
        self._launch = launch
        self._owner = owner
        self._write_log = write_log
        self._line = b""
        self._server: asyncio.Server | None = None
        self._process: asyncio.SubprocessTransport | None = None
        self._next: RuntimeApiConnection | None = None
        self._connections: set[RuntimeApiConnection] = set()
        self._was_ready = False
        self._init_error: FunctionFailedError | None = None
        self._failure: FunctionFailedError | None = None
        self._overdue: asyncio.TimerHandle | None = None
        self._output_open = False

    @property
    def was_ready(self) -> bool:
        """Whether it has ever asked for an event."""
        return self._was_ready

    @property
    def pid(self) -> int | None:
        """The process's id once it has been started."""
        return self._process.get_pid() if self._process is not None else None

    async def start(self) -> None:
        """Start the process; returns before it is ready."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: RuntimeApiConnection(self), "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self._overdue = loop.call_later(_START_SECONDS, self._time_out, f"Init timed out after {_START_SECONDS:.0f} s")
        if self._has_ended():
            self._server.close()
            return
        try:
            await loop.subprocess_exec(
                lambda: self,
                sys.executable,
                "-IS",
                _TETHER,
                *self._launch.command,
                env={**self._launch.variables, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}"},
                cwd=self._launch.directory,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                process_group=0,  # Ctrl-C goes to the stack alone, which ends its environments in order
            )
        except OSError as error:
            self._end(FunctionFailedError("Runtime.InvalidEntrypoint", str(error)))
            return
        if self._has_ended():
            self.kill()
            self._close_process()

    def give(self, invocation: Invocation) -> None:
        """Hand the idle environment an event."""
        assert self._next is not None  # noqa: S101 - what IDLE means
        loop = asyncio.get_running_loop()
        connection, self._next = self._next, None
        self.phase = Phase.BUSY
        self.invocation = invocation
        timeout = self._launch.timeout
        self._overdue = loop.call_later(
            timeout, self._time_out, f"{invocation.request_id} Task timed out after {timeout:.2f} seconds"
        )
        connection.reply(
            200,
            [
                ("Content-Type", "application/json"),
                ("Lambda-Runtime-Aws-Request-Id", invocation.request_id),
                ("Lambda-Runtime-Deadline-Ms", str(int((time.time() + timeout) * 1000))),
                ("Lambda-Runtime-Invoked-Function-Arn", self._launch.function_arn),
                ("Lambda-Runtime-Trace-Id", invocation.trace_id),
                ("Lambda-Runtime-Invocation-Id", invocation.invocation_id),
            ],
            invocation.event,
        )

    def kill(self) -> None:
        """End the process at once. `ended` is done when it has gone."""
        if self._process is None:
            self._end(FunctionFailedError("Runtime.ExitError", "ended before it had started"))
        elif self._process.get_returncode() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.get_pid(), signal.SIGKILL)

    # --- What the runtime asks and says --------------------------------------------------------------------------

    def ask_next(self, connection: RuntimeApiConnection) -> None:
        """Take the runtime's request for an event, which ends what it had to do for the last one."""
        if self.invocation is not None:
            failure = FunctionFailedError("Runtime.NoResponse", "the answer was cut, or there was none")
            self.invocation.answer.fail(failure)
        self.invocation = None
        self._was_ready = True
        self._stop_clock()
        self._next = connection
        self.phase = Phase.IDLE
        self._owner.environment_ready(self)

    def answered(self) -> None:
        """Take note that the whole answer has come."""
        if self.phase is Phase.BUSY:
            self.phase = Phase.SETTLING

    def fail_init(self, failure: FunctionFailedError) -> None:
        """Take the reason for which the function could not start; the process ends next."""
        self._init_error = failure

    def connection_opened(self, connection: RuntimeApiConnection) -> None:
        """Take note of a connection of the runtime's."""
        self._connections.add(connection)

    def connection_closed(self, connection: RuntimeApiConnection) -> None:
        """Take note that it has gone."""
        self._connections.discard(connection)
        if self._next is connection:
            # A runtime that no longer waits for an event is ending, or asks again on a new connection.
            self._next = None
            self.phase = Phase.SETTLING
            self._owner.environment_unready(self)
        self._end_when_quiet()

    # --- What asyncio says of the process ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the process that asyncio has started."""
        self._process = cast("asyncio.SubprocessTransport", transport)
        self._output_open = True

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - both outputs come through one pipe
        """Pass the process's output on, line by line."""
        data = self._line + data
        end = data.rfind(b"\n") + 1
        self._line = data[end:]
        if end:
            self._write_log(data[:end])

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - as asyncio calls it
        """Take note that the process has closed its output or, as descriptor 0, its input."""
        if self._line and fd != 0:
            self._write_log(self._line + b"\n")
            self._line = b""
        self._output_open = fd == 0 and self._output_open
        self._end_when_quiet()

    def process_exited(self) -> None:
        """Take note of the process's end. What it sent last may still be in pipe and sockets."""
        status = self._process.get_returncode() if self._process is not None else None
        if self._failure is None:
            self._failure = self._init_error or FunctionFailedError(
                "Runtime.ExitError", f"Runtime exited with {_exit_words(status)}"
            )
        self._end_when_quiet()
        if self.phase is not Phase.ENDED:
            asyncio.get_running_loop().call_later(_LAST_BYTES, self._end, self._failure)

    def _end_when_quiet(self) -> None:
        exited = self._process is not None and self._process.get_returncode() is not None
        if self._failure is not None and exited and not self._connections and not self._output_open:
            self._end(self._failure)

    def _time_out(self, message: str) -> None:
        self._failure = FunctionFailedError("Sandbox.Timedout", message)
        self._write_log(f"{message}\n".encode())
        self.kill()

    def _stop_clock(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _end(self, failure: FunctionFailedError) -> None:
        if self.phase is Phase.ENDED:
            return
        self.phase = Phase.ENDED
        self._stop_clock()
        if self.invocation is not None:
            self.invocation.answer.fail(failure)
        for connection in tuple(self._connections):
            connection.transport.abort()
        if self._server is not None:
            self._server.close()
        self._close_process()
        self.ended.set_result(None)
        self._owner.environment_ended(self, failure)

    def _has_ended(self) -> bool:
        return self.phase is Phase.ENDED

    def _close_process(self) -> None:
        if self._process is not None:
            self._process.close()


def _exit_words(status: int | None) -> str:
    if status is not None and status < 0:
        with suppress(ValueError):
            return f"signal {signal.Signals(-status).name}"
    return f"status {status}"

"""One Lambda execution environment: a process and its own Runtime API.

Each environment has its own port, which identifies it, so the runtime runs unchanged.
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
_LAST_BYTES = 1.0  # seconds until pipes and sockets of an ended process close; a child may still hold them
_START_SECONDS = 30.0  # AWS ends a start after 10 s; a laptop may be slower


@dataclass(frozen=True)
class Launch:
    """The start of a function's environments. `timeout`: seconds from an event to the request for the next one."""

    function_arn: str
    command: Sequence[str]
    variables: Mapping[str, str]
    timeout: float
    directory: Path


class Phase(Enum):
    """The state of an environment."""

    STARTING = auto()
    IDLE = auto()
    BUSY = auto()
    SETTLING = auto()
    """The response is complete; the function has not yet asked for the next event."""
    ENDED = auto()


class Owner(Protocol):
    """The observer of an environment."""

    def environment_ready(self, environment: "Environment") -> None:
        """Handle that it asks for an event."""

    def environment_unready(self, environment: "Environment") -> None:
        """Handle that it no longer asks for an event."""

    def environment_ended(self, environment: "Environment", failure: FunctionFailedError) -> None:
        """Handle the end of its process; `failure` has the reason."""


class Environment(asyncio.SubprocessProtocol):
    """A process under the real runtime, which gets events from this object and sends responses to it.

    `write_log` receives whole lines of the process's output, including line ends.
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
        self._timeout_timer: asyncio.TimerHandle | None = None
        self._output_open = False

    @property
    def was_ready(self) -> bool:
        """Return whether it has ever asked for an event."""
        return self._was_ready

    @property
    def pid(self) -> int | None:
        """The process's id once it has been started."""
        return self._process.get_pid() if self._process is not None else None

    async def start(self) -> None:
        """Start the process, without waiting until it is ready."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: RuntimeApiConnection(self), "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self._timeout_timer = loop.call_later(
            _START_SECONDS, self._time_out, f"Init timed out after {_START_SECONDS:.0f} s"
        )
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
                process_group=0,  # Ctrl-C reaches only the stack, which ends its environments in order
            )
        except OSError as error:
            self._end(FunctionFailedError("Runtime.InvalidEntrypoint", str(error)))
            return
        if self._has_ended():
            self.kill()
            self._close_process()

    def send_event(self, invocation: Invocation) -> None:
        """Send an event to the idle environment."""
        assert self._next is not None  # noqa: S101 - set while IDLE
        loop = asyncio.get_running_loop()
        connection, self._next = self._next, None
        self.phase = Phase.BUSY
        self.invocation = invocation
        timeout = self._launch.timeout
        self._timeout_timer = loop.call_later(
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
        """Kill the process. `ended` completes when it has ended."""
        if self._process is None:
            self._end(FunctionFailedError("Runtime.ExitError", "ended before it had started"))
        elif self._process.get_returncode() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.get_pid(), signal.SIGKILL)

    # --- calls of the runtime ------------------------------------------------------------------------------------

    def ask_next(self, connection: RuntimeApiConnection) -> None:
        """Handle the runtime's request for an event, which also ends the previous invocation."""
        if self.invocation is not None:
            failure = FunctionFailedError("Runtime.NoResponse", "the response was cut or missing")
            self.invocation.payload.fail(failure)
        self.invocation = None
        self._was_ready = True
        self._stop_clock()
        self._next = connection
        self.phase = Phase.IDLE
        self._owner.environment_ready(self)

    def response_ended(self) -> None:
        """Handle the end of the response."""
        if self.phase is Phase.BUSY:
            self.phase = Phase.SETTLING

    def fail_init(self, failure: FunctionFailedError) -> None:
        """Handle an init error; the process ends next."""
        self._init_error = failure

    def connection_opened(self, connection: RuntimeApiConnection) -> None:
        """Handle a new connection of the runtime."""
        self._connections.add(connection)

    def connection_closed(self, connection: RuntimeApiConnection) -> None:
        """Handle a closed connection of the runtime."""
        self._connections.discard(connection)
        if self._next is connection:
            # The runtime is ending, or will ask again on a new connection.
            self._next = None
            self.phase = Phase.SETTLING
            self._owner.environment_unready(self)
        self._end_when_quiet()

    # --- asyncio.SubprocessProtocol ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Handle the started process."""
        self._process = cast("asyncio.SubprocessTransport", transport)
        self._output_open = True

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - both outputs share one pipe
        """Forward the process's output line by line."""
        data = self._line + data
        end = data.rfind(b"\n") + 1
        self._line = data[end:]
        if end:
            self._write_log(data[:end])

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - as asyncio calls it
        """Handle that the process closed its output or, as descriptor 0, its input."""
        if self._line and fd != 0:
            self._write_log(self._line + b"\n")
            self._line = b""
        self._output_open = fd == 0 and self._output_open
        self._end_when_quiet()

    def process_exited(self) -> None:
        """Handle the process's end. Its last output may still be in pipes and sockets."""
        status = self._process.get_returncode() if self._process is not None else None
        if self._failure is None:
            self._failure = self._init_error or FunctionFailedError(
                "Runtime.ExitError", f"Runtime exited with {_exit_description(status)}"
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
        if self._timeout_timer is not None:
            self._timeout_timer.cancel()
            self._timeout_timer = None

    def _end(self, failure: FunctionFailedError) -> None:
        if self.phase is Phase.ENDED:
            return
        self.phase = Phase.ENDED
        self._stop_clock()
        if self.invocation is not None:
            self.invocation.payload.fail(failure)
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


def _exit_description(status: int | None) -> str:
    if status is not None and status < 0:
        with suppress(ValueError):
            return f"signal {signal.Signals(-status).name}"
    return f"status {status}"

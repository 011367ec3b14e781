"""The embedded AWS, seen from `make start`: a child process that serves moto on a socket which listens already."""

import asyncio
import json
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from .aws_orders import Orders
from .child import end
from .template import REGION, Template

__all__ = ["EmbeddedAws", "EmbeddedAwsError"]

_STOP_SECONDS = 1.5  # for saving the tables; more than a second of it would be a sick disk


class EmbeddedAwsError(Exception):
    """The embedded AWS did not start; its own words are on standard error."""


class EmbeddedAws:
    """DynamoDB with the template's tables and Secrets Manager with its secret, at `endpoint`.

    The endpoint is known, and takes connections, before the process behind it has started: whoever calls early waits.
    `host` is the address to listen on: not loopback where a container is to reach it.
    """

    def __init__(self, template: Template, data_dir: Path, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._socket = socket.create_server((host, port), backlog=512)
        self.endpoint = f"http://{host}:{self._socket.getsockname()[1]}"
        self.restored: frozenset[str] = frozenset()
        """Names of the tables for which something had been saved."""
        self.set_aside: tuple[str, ...] = ()
        """A sentence for each file that could not be read."""
        self._template = template
        self._data_dir = data_dir
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the process, which is some time in importing before it needs to know anything."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "local.aws_server",
            cwd=Path(__file__).parent.parent,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=[self._socket.fileno()],
            process_group=0,  # Ctrl-C goes to the stack alone; this is the last to end
        )

    async def ready(self, secret: Mapping[str, str]) -> None:
        """Say what the secret holds, and wait until requests are answered. Raises `EmbeddedAwsError`."""
        process = self._process
        assert process is not None  # noqa: S101 - a matter of calling start() first
        assert process.stdin is not None  # noqa: S101 - asked for in start()
        assert process.stdout is not None  # noqa: S101 - likewise
        orders = Orders(
            descriptor=self._socket.fileno(),
            region=REGION,
            data_dir=str(self._data_dir),
            tables=[(dict(table.create), table.ttl_attribute) for table in self._template.tables],
            secrets={name: dict(secret) for name in self._template.secrets},
        )
        # Not in the arguments or the environment, which others on the machine can read: there are secrets in it.
        process.stdin.write(json.dumps(asdict(orders)).encode() + b"\n")
        with suppress(ConnectionError):
            await process.stdin.drain()
        line = await process.stdout.readline()
        self._socket.close()
        if not line:
            raise EmbeddedAwsError("The embedded AWS ended while starting; the lines above say why.")
        report = json.loads(line)
        self.restored = frozenset(report["restored"])
        self.set_aside = tuple(report["set_aside"])

    async def wait(self) -> int:
        """Wait until the process ends; returns its status."""
        assert self._process is not None  # noqa: S101 - a matter of calling start() first
        return await self._process.wait()

    @property
    def pid(self) -> int | None:
        """The process's id once it has been started."""
        return self._process.pid if self._process is not None else None

    async def stop(self) -> None:
        """Have the tables saved and the process end."""
        self._socket.close()
        await end(self._process, _STOP_SECONDS)

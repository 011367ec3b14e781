"""The embedded AWS: a child process that serves DynamoDB and Secrets Manager on an inherited, listening socket."""

import asyncio
import json
import secrets
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from vibe_router.core.secret_names import select_for_admin

from .aws_protocol import ServerConfig, StreamReader
from .child import stop_process
from .launch import CREDENTIALS
from .template import ACCOUNT_ID, REGION, Template

__all__ = ["EmbeddedAws", "EmbeddedAwsError"]

_STOP_SECONDS = 1.5  # for closing the database
_ADMIN_SECRET = "AdminSecret"  # noqa: S105 - the logical id in template.yaml


class EmbeddedAwsError(Exception):
    """The embedded AWS did not start; its output is on standard error."""


class EmbeddedAws:
    """DynamoDB with the template's tables and Secrets Manager with its secret, at `endpoint`.

    The endpoint accepts connections before the process has started: early callers wait. Its path is a random token, so
    web pages and other users cannot call it. `host` is the address to listen on; containers cannot reach loopback.
    `page` is the address of the admin page.
    """

    def __init__(
        self, template: Template, data_dir: Path, *, host: str = "127.0.0.1", port: int = 0, page: str = ""
    ) -> None:
        self._socket = socket.create_server((host, port), backlog=512)
        self._token = secrets.token_urlsafe(24)
        self.endpoint = f"http://{host}:{self._socket.getsockname()[1]}/{self._token}"
        self.restored: frozenset[str] = frozenset()
        """Names of the tables restored from files."""
        self.set_aside: tuple[str, ...] = ()
        """A sentence for each unreadable file."""
        self._template = template
        self._data_dir = data_dir
        self._page = page
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the process, which waits for its configuration."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "local.aws_server",
            cwd=Path(__file__).parent.parent,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=[self._socket.fileno()],
            process_group=0,  # Ctrl-C reaches only the stack, which ends this process last
        )

    async def ready(self, secret: Mapping[str, str]) -> None:
        """Send the configuration with the secret, and wait until requests are served. Raises `EmbeddedAwsError`."""
        process = self._process
        assert process is not None  # noqa: S101 - start() comes first
        assert process.stdin is not None  # noqa: S101 - a pipe since start()
        assert process.stdout is not None  # noqa: S101 - likewise
        config = ServerConfig(
            descriptor=self._socket.fileno(),
            token=self._token,
            region=REGION,
            data_dir=str(self._data_dir),
            tables=[(dict(table.create), table.ttl_attribute) for table in self._template.tables],
            secrets={name: _values_for(name, secret) for name in self._template.secrets},
            readers=[asdict(reader) for reader in self._readers()],
        )
        # Not in arguments or environment, which other users can read: it contains secrets.
        process.stdin.write(json.dumps(asdict(config)).encode() + b"\n")
        with suppress(ConnectionError):
            await process.stdin.drain()
        line = await process.stdout.readline()
        self._socket.close()
        if not line:
            raise EmbeddedAwsError("The embedded AWS ended while starting. Its output above shows the reason.")
        report = json.loads(line)
        self.restored = frozenset(report["restored"])
        self.set_aside = tuple(report["set_aside"])

    def _readers(self) -> Iterator[StreamReader]:
        port = self._socket.getsockname()[1]
        for function in self._template.functions.values():
            for table in function.streams:
                yield StreamReader(
                    table=table,
                    arn=f"arn:aws:dynamodb:{REGION}:{ACCOUNT_ID}:table/{table}/stream/local",
                    handler=function.handler,
                    lanes=function.lanes,
                    paths=[str(path) for path in (function.code, *function.layers)],
                    environment={
                        **function.environment,
                        "UI_URL": self._page,
                        **CREDENTIALS,
                        "AWS_DEFAULT_REGION": REGION,
                        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}/{self._token}",
                    },
                )

    async def wait(self) -> int:
        """Wait until the process ends; returns its exit status."""
        assert self._process is not None  # noqa: S101 - start() comes first
        return await self._process.wait()

    @property
    def pid(self) -> int | None:
        """The process id, None before start."""
        return self._process.pid if self._process is not None else None

    async def stop(self) -> None:
        """Close the database and end the process."""
        self._socket.close()
        await stop_process(self._process, _STOP_SECONDS)


def _values_for(name: str, secret: Mapping[str, str]) -> dict[str, str]:
    chosen = select_for_admin(secret) if name == _ADMIN_SECRET else secret
    return {entry: str(value) for entry, value in chosen.items()}

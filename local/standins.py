"""The stand-in providers of `make start`: a child process, `python -m local.standin`."""

import asyncio
import json
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from .child import stop_process

__all__ = ["SECRET", "StandIns", "StandInsError"]

SECRET = "sk-played-by-a-stand-in"  # noqa: S105 - the key sent to stand-ins
_STOP_SECONDS = 0.5


class StandInsError(Exception):
    """The stand-ins did not start; their output is on standard error."""


class StandIns:
    """Simulates the named providers. `base_urls` and `control` are set after `start`.

    `model_formats` has, by provider and model, the formats of the models that have their own. `host` is the address to
    listen on; containers cannot reach loopback.
    """

    def __init__(
        self,
        providers: Collection[str],
        model_formats: Mapping[tuple[str, str], Sequence[str]] | None = None,
        *,
        host: str = "127.0.0.1",
    ) -> None:
        self._providers = sorted(providers)
        self._model_formats = {
            (provider, model): formats
            for (provider, model), formats in (model_formats or {}).items()
            if provider in providers
        }
        self._host = host
        self._process: asyncio.subprocess.Process | None = None
        self.base_urls: Mapping[str, str] = {}
        self.control = ""

    async def start(self) -> None:
        """Start the process, if there are providers to simulate, and wait until it listens. Raises `StandInsError`."""
        if not self._providers:
            return
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "local.standin",
            "--providers",
            ",".join(self._providers),
            "--host",
            self._host,
            *(
                f"--formats={provider}/{model}={','.join(formats)}"
                for (provider, model), formats in self._model_formats.items()
            ),
            cwd=Path(__file__).parent.parent,
            stdin=asyncio.subprocess.PIPE,  # the process ends when it closes
            stdout=asyncio.subprocess.PIPE,
            process_group=0,
        )
        assert self._process.stdout is not None  # noqa: S101 - a pipe, see above
        line = await self._process.stdout.readline()
        if not line:
            raise StandInsError("The stand-in providers ended while starting. See the lines above.")
        address = json.loads(line)
        self.base_urls = address["providers"]
        self.control = address["control"]

    async def wait(self) -> int:
        """Wait until the process ends; returns its exit status. Waits forever if there is none."""
        if self._process is None:
            await asyncio.get_running_loop().create_future()
            raise AssertionError
        return await self._process.wait()

    @property
    def pid(self) -> int | None:
        """The process id, None before start."""
        return self._process.pid if self._process is not None else None

    async def stop(self) -> None:
        """End the process."""
        await stop_process(self._process, _STOP_SECONDS)

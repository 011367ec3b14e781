"""The stand-in providers as `make start` runs them: a child process, `python -m local.standin`."""

import asyncio
import json
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from .child import end

__all__ = ["SECRET", "StandIns", "StandInsError"]

SECRET = "stand-in"  # noqa: S105 - opens nothing: what a stand-in is sent for a key
_STOP_SECONDS = 0.5


class StandInsError(Exception):
    """The stand-ins did not start; their own words are on standard error."""


class StandIns:
    """Plays the providers of those names. `base_urls` and `control` are known when `start` has returned.

    `spoken` has, by provider and model, the formats of those models that have formats of their own. `host` is the
    address to listen on: not loopback where a container is to reach it.
    """

    def __init__(
        self,
        providers: Collection[str],
        spoken: Mapping[tuple[str, str], Sequence[str]] | None = None,
        *,
        host: str = "127.0.0.1",
    ) -> None:
        self._providers = sorted(providers)
        self._spoken = {
            (provider, model): formats for (provider, model), formats in (spoken or {}).items() if provider in providers
        }
        self._host = host
        self._process: asyncio.subprocess.Process | None = None
        self.base_urls: Mapping[str, str] = {}
        self.control = ""

    async def start(self) -> None:
        """Start the process, if there is anything to play, and wait until it answers. Raises `StandInsError`."""
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
                f"--speaks={provider}/{model}={','.join(formats)}"
                for (provider, model), formats in self._spoken.items()
            ),
            cwd=Path(__file__).parent.parent,
            stdin=asyncio.subprocess.PIPE,  # ends when it closes
            stdout=asyncio.subprocess.PIPE,
            process_group=0,
        )
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        line = await self._process.stdout.readline()
        if not line:
            raise StandInsError("The stand-in providers ended while starting; see the lines above.")
        told = json.loads(line)
        self.base_urls = told["providers"]
        self.control = told["control"]

    async def wait(self) -> int:
        """Wait until the process ends; returns its status. Never returns when there is none."""
        if self._process is None:
            await asyncio.get_running_loop().create_future()
            raise AssertionError
        return await self._process.wait()

    @property
    def pid(self) -> int | None:
        """The process's id once it has been started."""
        return self._process.pid if self._process is not None else None

    async def stop(self) -> None:
        """End the process."""
        await end(self._process, _STOP_SECONDS)

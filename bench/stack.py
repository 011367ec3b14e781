"""The whole local stack, `python -m local`, on a free port and with its own data folder."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from .checkout import Checkout
from .figures import Memory
from .targets import BrokenError, UrlTarget

__all__ = ["Stack"]

_START_PATIENCE = 120.0
_STOP_PATIENCE = 20.0


_KINDS = {"stack: function": "function", "stack: embedded AWS": "aws"}


class Stack:
    """The stack as a context manager, ready within the block. `ready_after`: seconds from start to readiness."""

    def __init__(self, checkout: Checkout, folder: Path, routes: Path, secrets: Mapping[str, str]) -> None:
        """`folder` is for its state and log; `secrets` are the master key and the providers' keys, by name."""
        self._checkout = checkout
        self._log = folder / f"{checkout.name('stack')}.log"
        data = folder / f"{checkout.name('data')}"
        self._environment = {**checkout.environment, **secrets, "ROUTES_FILE": str(routes), "DATA_DIR": str(data)}
        self._key = secrets["MASTER_KEY"]

    def __enter__(self) -> Self:
        port = _free_port()
        with self._log.open("ab") as log:
            began = time.perf_counter()
            self._process = subprocess.Popen(
                (sys.executable, "-m", "local"),
                cwd=self._checkout.root,
                env={**self._environment, "PORT": str(port)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is forwarded
            )
        try:
            self._await_readiness(f"http://127.0.0.1:{port}/health/readiness")
        except BaseException:
            self.__exit__()
            raise
        self.ready_after = time.perf_counter() - began
        self.base_url = f"http://127.0.0.1:{port}/v1"
        self.target = UrlTarget(self._checkout.name("stack"), self.base_url, self._key, processes=self._processes)
        return self

    def __exit__(self, *_: object) -> None:
        """End it as Ctrl-C does."""
        if target := getattr(self, "target", None):
            target.close()
        try:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGINT)
            self._process.wait(_STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            pass
        finally:  # even if the wait is interrupted again; its children end with it
            self._process.kill()
            self._process.wait()

    def memory(self) -> list[tuple[str, Memory]]:
        """Return the memory of each of its processes, by role."""
        whole = psutil.Process(self._process.pid)
        return [(_role(process), Memory.of(process)) for process in (whole, *whole.children(recursive=True))]

    def _processes(self) -> dict[str, list[int]]:
        whole = psutil.Process(self._process.pid)
        found: dict[str, list[int]] = {}
        for process in (whole, *whole.children(recursive=True)):
            with suppress(psutil.Error):
                found.setdefault(_KINDS.get(_role(process), "gateway"), []).append(process.pid)
        return found

    def _await_readiness(self, url: str) -> None:
        patient_until = time.monotonic() + _START_PATIENCE
        while time.monotonic() < patient_until:
            if self._process.poll() is not None:
                raise BrokenError(f"the local stack ended with status {self._process.returncode}\n{self._last_words()}")
            try:
                with urlopen(url, timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (URLError, OSError):
                pass
            time.sleep(0.02)
        raise BrokenError(f"the local stack was not ready after {_START_PATIENCE:.0f} s\n{self._last_words()}")

    def _last_words(self) -> str:
        return self._log.read_bytes()[-1500:].decode("utf-8", "replace").rstrip()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _role(process: psutil.Process) -> str:
    command = " ".join(process.cmdline())
    if "streaming_runtime" in command:
        return "stack: function"
    if "aws_server" in command:
        return "stack: embedded AWS"
    return "stack: API Gateway and Lambda" if command.endswith("-m local") else f"stack: {process.name()}"

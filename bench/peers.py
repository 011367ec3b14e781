"""Other gateways: named by their URL, and started by the benchmark where a command is given."""

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from .options import Peer
from .processor import serving
from .targets import BrokenError, UrlTarget

__all__ = ["PeerProgram"]

_START_PATIENCE = 120.0
_STOP_PATIENCE = 10.0


class PeerProgram:
    """A peer as a context manager: within the block, its command runs and its URL answers. `target` is to be called.

    `{provider}` in its command and headers stands for the base URL of the fast provider.
    """

    def __init__(self, peer: Peer, provider: str, folder: Path) -> None:
        self._peer = peer
        self._command = [word.replace("{provider}", provider) for word in shlex.split(peer.command)]
        self._log = folder / f"peer-{peer.name}.log"
        headers = {name: value.replace("{provider}", provider) for name, value in peer.headers}
        self.target = UrlTarget(
            peer.name, peer.base_url, peer.key, peer.model, headers=headers, processes=lambda: {"peer": self.pids}
        )
        self.pids: tuple[int, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if self._command:
            with self._log.open("wb") as log:
                try:
                    self._process = subprocess.Popen(
                        self._command,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                except OSError as error:
                    raise BrokenError(f"{self._peer.name}: {self._command[0]}: {error.strerror}") from error
            try:
                self._await_answer()
            except BaseException:
                self.__exit__(None, None, None)
                raise
        self.pids = serving(self._peer.base_url)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End what was started, with its children."""
        self.target.close()
        if self._process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
                self._process.wait(_STOP_PATIENCE)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        self._process.wait()

    def _await_answer(self) -> None:
        assert self._process is not None
        patient_until = time.monotonic() + _START_PATIENCE
        while time.monotonic() < patient_until:
            if self._process.poll() is not None:
                break
            try:
                urlopen(self._peer.base_url, timeout=5).close()
                return
            except HTTPError:  # any answer will do
                return
            except (URLError, OSError):
                time.sleep(0.1)
        last = self._log.read_bytes()[-1500:].decode("utf-8", "replace").rstrip()
        raise BrokenError(f"{self._peer.name} does not answer at {self._peer.base_url}\n{last}")

import io
import json
import os
import pty
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.fake_router import KEY, FakeRouter, running
from vibe_cli.app import main


@dataclass
class Done:
    status: int
    out: str
    err: str

    @property
    def answer(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(scope="module")
def served() -> Iterator[FakeRouter]:
    with running() as router:
        yield router


@pytest.fixture
def router(served: FakeRouter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRouter:
    """An empty router at VIBE_ROUTER_URL, with its key in MASTER_KEY."""
    for held in (served.keys, served.teams, served.calls, served.answers):
        held.clear()
    for name in ("DATA_DIR", "LITELLM_MASTER_KEY", "STACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("vibe_cli.settings.CHECKOUT", tmp_path)
    monkeypatch.setenv("VIBE_ROUTER_URL", f"{served.url}/v1")
    monkeypatch.setenv("MASTER_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    return served


@pytest.fixture
def command(router: FakeRouter, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run `vibe` in this process, with its output captured as in a pipe."""

    def call(*arguments: str) -> Done:
        try:
            status = main(arguments)
        except SystemExit as end:
            status = int(end.code or 0)
        return Done(status, *capsys.readouterr())

    return call


@pytest.fixture
def terminal(router: FakeRouter, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Run `vibe` in this process on a pseudo-terminal, with `typed` as its input."""
    monkeypatch.setenv("TERM", "xterm")

    def call(*arguments: str, typed: str = "", columns: int = 200) -> Done:
        leader, follower = pty.openpty()
        errors = io.StringIO()
        os.write(leader, typed.encode())
        with ThreadPoolExecutor(1) as pool:
            shown = pool.submit(_read_to_end, leader)
            with (
                os.fdopen(os.dup(follower)) as read,
                os.fdopen(follower, "w") as written,
                monkeypatch.context() as patch,
            ):
                patch.setenv("COLUMNS", str(columns))
                patch.setattr(sys, "stdin", read)
                patch.setattr(sys, "stdout", written)
                patch.setattr(sys, "stderr", errors)
                try:
                    status = main(arguments)
                except SystemExit as end:
                    status = int(end.code or 0)
        os.close(leader)
        return Done(status, shown.result().decode(), errors.getvalue())

    return call


def _read_to_end(descriptor: int) -> bytes:
    shown = b""
    while True:
        try:
            read = os.read(descriptor, 65536)
        except OSError:  # the other end is closed
            return shown
        if not read:
            return shown
        shown += read

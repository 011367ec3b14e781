import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
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
def terminal(router: FakeRouter, tmp_path: Path) -> Callable[..., Done]:
    """Run `vibe` on a pseudo-terminal, with `typed` as its input."""

    def call(*arguments: str, typed: str = "", columns: int = 200) -> Done:
        leader, follower = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "vibe_cli", *arguments],
            cwd=tmp_path,
            env={
                **os.environ,
                "COLUMNS": str(columns),
                "TERM": "xterm",
            },
            stdin=follower,
            stdout=follower,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(follower)
        os.write(leader, typed.encode())
        shown = b""
        while True:
            try:
                read = os.read(leader, 65536)
            except OSError:  # the other end is closed
                break
            if not read:
                break
            shown += read
        _, err = process.communicate()
        os.close(leader)
        return Done(process.returncode, shown.decode(), err)

    return call

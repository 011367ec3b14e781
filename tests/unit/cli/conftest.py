import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.fake_router import KEY, FakeRouter, running
from tests.unit.cli.pseudo_terminal import run_on_terminal
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
def terminal(router: FakeRouter) -> Callable[..., Done]:
    """Run `vibe` in this process on a pseudo-terminal, with `typed` as its input."""

    def call(*arguments: str, typed: str = "", columns: int = 200) -> Done:
        return Done(*run_on_terminal(arguments, typed, columns))

    return call

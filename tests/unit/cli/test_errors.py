import os
import sys

import pytest

from vibe_cli.errors import exit_on_closed_pipe


@pytest.mark.parametrize("text", ["short", "x" * 100_000])
def test_closed_pipe_exits_with_0(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as out:  # noqa: PTH123 - a descriptor has no path
        monkeypatch.setattr(sys, "stdout", out)
        assert exit_on_closed_pipe(lambda: print(text) or 2) == 0


def test_exit_status_is_returned() -> None:
    assert exit_on_closed_pipe(lambda: 2) == 2

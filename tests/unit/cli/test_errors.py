import os
import sys

import pytest

from vibe_cli.errors import while_read


@pytest.mark.parametrize("text", ["short", "x" * 100_000])
def test_whoever_has_read_enough_ends_a_command_quietly(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as out:  # noqa: PTH123 - a descriptor has no path
        monkeypatch.setattr(sys, "stdout", out)
        assert while_read(lambda: print(text) or 2) == 0


def test_what_was_read_whole_ends_with_its_own_status() -> None:
    assert while_read(lambda: 2) == 2

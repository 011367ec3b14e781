"""`vibe` in this process, on a pseudo-terminal."""

import io
import os
import pty
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from vibe_cli.app import main

__all__ = ["run_on_terminal"]


def run_on_terminal(arguments: Sequence[str], typed: str = "", columns: int = 200) -> tuple[int, str, str]:
    """Run a command with `typed` as its input; return its status, what the terminal showed, and standard error."""
    leader, follower = pty.openpty()
    errors = io.StringIO()
    os.write(leader, typed.encode())
    with ThreadPoolExecutor(1) as pool:
        shown = pool.submit(_read_to_end, leader)
        with (
            os.fdopen(os.dup(follower)) as read,
            os.fdopen(follower, "w") as written,
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setenv("TERM", "xterm")
            patch.setenv("COLUMNS", str(columns))
            patch.setattr(sys, "stdin", read)
            patch.setattr(sys, "stdout", written)
            patch.setattr(sys, "stderr", errors)
            try:
                status = main(arguments)
            except SystemExit as end:
                status = int(end.code or 0)
    os.close(leader)
    return status, shown.result().decode(), errors.getvalue()


def _read_to_end(descriptor: int) -> bytes:
    shown = b""
    while True:
        try:
            read = os.read(descriptor, 65536)
        except OSError:  # how Linux reports that the other end is closed
            return shown
        if not read:
            return shown
        shown += read

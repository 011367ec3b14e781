"""How a command fails, and how it ends when nobody reads it any more."""

import os
import sys
from collections.abc import Callable

__all__ = ["CommandError", "while_read"]


class CommandError(Exception):
    """A command can't go on; the text says why, and what to do about it."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status


def while_read(work: Callable[[], int]) -> int:
    """Return the exit status of `work`; 0 when whoever reads its output has read enough, as `head` does."""
    try:
        status = work()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains again when it ends
        return 0
    return status

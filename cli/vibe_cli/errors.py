"""How a command fails, and how it ends when nobody reads it any more."""

import os
import select
import sys
from collections.abc import Callable

__all__ = ["CommandError", "is_read", "let_go", "while_read"]


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
        let_go()
        return 0
    return status


def is_read() -> bool:
    """Whether anybody reads standard output, as far as the system knows before something is written."""
    try:
        poll = select.poll()  # Windows has none
        poll.register(sys.stdout.fileno(), 0)
    except (AttributeError, OSError, ValueError):
        return True
    return not any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))


def let_go() -> None:
    """Give standard output up: what is still to be written goes nowhere, and makes no error when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

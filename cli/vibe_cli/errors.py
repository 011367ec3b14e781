"""The error of a failed command, and its end when the reader closes its output."""

import os
import select
import sys
from collections.abc import Callable

__all__ = ["CommandError", "discard_output", "exit_on_closed_pipe", "is_output_open"]


class CommandError(Exception):
    """The command cannot continue; the message says why and what to do.

    `status` is the exit status: 1 if the request was rejected, 2 if it could not be carried out.
    """

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status


def exit_on_closed_pipe(work: Callable[[], int]) -> int:
    """Return the exit status of `work`, or 0 if the reader of its output closed the pipe, as `head` does."""
    try:
        status = work()
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
        return 0
    except SystemExit as end:
        if not isinstance(end.__context__, BrokenPipeError):  # Typer exits with 1 on a closed pipe
            raise
        discard_output()
        return 0
    return status


def is_output_open() -> bool:
    """Return whether standard output still has a reader, as far as the system knows before a write."""
    try:
        poll = select.poll()  # absent on Windows
        poll.register(sys.stdout.fileno(), 0)
    except (AttributeError, OSError, ValueError):
        return True
    return not any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))


def discard_output() -> None:
    """Discard the rest of standard output, so that Python ends without an error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

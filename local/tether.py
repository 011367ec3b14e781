"""Runs a program that must not outlive the process which started it: `python tether.py PROGRAM [ARGUMENT...]`.

Its standard input is a pipe whose other end that process holds. On Linux the kernel is asked to end the program when
its parent ends, and this process becomes the program. Elsewhere it stays beside it and ends it when the pipe closes.
"""

import os
import signal
import sys
from collections.abc import Sequence

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: Sequence[str], platform: str = sys.platform) -> int:
    """Run the program; returns its exit status where it ran beside this process."""
    if platform == "linux" and _die_with_parent():
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        os.execvp(arguments[0], list(arguments))  # noqa: S606 - no shell is what is wanted
    return _stay_beside(arguments)


def _die_with_parent() -> bool:
    """Ask the kernel for SIGKILL at the parent's end. That outlives exec, and misses a parent gone before."""
    import ctypes

    parent = os.getppid()
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        return False
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return True


def _stay_beside(arguments: Sequence[str]) -> int:
    import subprocess
    import threading

    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL)  # noqa: S603 - what the stack itself asks for

    def end_with_pipe() -> None:
        while os.read(0, 65536):
            pass
        process.kill()

    threading.Thread(target=end_with_pipe, daemon=True).start()
    return process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

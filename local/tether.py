"""Run a program that must not outlive its parent: `python tether.py PROGRAM [ARGUMENT...]`.

Standard input is a pipe from the parent. On Linux the kernel kills the program when the parent ends, and this process
becomes the program. Elsewhere this process stays, and kills the program when the pipe closes.
"""

import os
import signal
import sys
from collections.abc import Sequence

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: Sequence[str], platform: str = sys.platform) -> int:
    """Run the program; returns its exit status if it ran as a child."""
    if platform == "linux" and _die_with_parent():
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        os.execvp(arguments[0], list(arguments))  # noqa: S606 - without a shell on purpose
    return _run_as_child(arguments)


def _die_with_parent() -> bool:
    """Request SIGKILL at the parent's end. It survives exec, but misses a parent that has already ended."""
    import ctypes

    parent = os.getppid()
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        return False
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return True


def _run_as_child(arguments: Sequence[str]) -> int:
    import subprocess
    import threading

    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL)  # noqa: S603 - the stack's own command

    def end_with_pipe() -> None:
        while os.read(0, 65536):
            pass
        process.kill()

    threading.Thread(target=end_with_pipe, daemon=True).start()
    return process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The benchmark's servers, each in a process that ends with this one."""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from .checkout import OWN, Checkout
from .targets import BrokenError

__all__ = ["Program"]


class Program:
    """`python -m MODULE ARGUMENTS` of a checkout, to be used in a `with`. `first_line` is its first line of output.

    `orders` is a line for its standard input, which stays open: the program ends when it closes.
    """

    def __init__(self, module: str, arguments: Sequence[str] = (), orders: str = "", checkout: Checkout = OWN) -> None:
        self._checkout = checkout
        self._module = module
        self._command = (sys.executable, "-m", module, *arguments)
        self._orders = orders

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            cwd=self._checkout.root,
            env=self._checkout.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._orders:
            with suppress(BrokenPipeError):  # it has ended: the next read reports that
                self._process.stdin.write(self._orders + "\n")
                self._process.stdin.flush()
        self.first_line = self._process.stdout.readline().strip()
        if not self.first_line:
            self._end()
            raise BrokenError(f"{self._module} ended with status {self._process.returncode} before it was ready")
        return self

    @property
    def pid(self) -> int:
        """Its process's id."""
        return self._process.pid

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def _end(self) -> None:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):  # the program ended without reading its orders
            process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

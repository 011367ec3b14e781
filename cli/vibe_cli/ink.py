"""What the operator's commands print: tables and colour for people on a terminal, JSON for programs in a pipe."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

__all__ = ["UNKNOWN", "Ink", "clean", "milliseconds", "progress", "table"]

UNKNOWN = "unknown"


class Ink:
    """Colours text by what it means, where that can be seen: on a terminal, and unless NO_COLOR is set."""

    _CODES: Mapping[str, str] = {"good": "32", "bad": "31", "warn": "33", "dim": "2", "strong": "1"}

    def __init__(self, stream: TextIO, environ: Mapping[str, str] = os.environ) -> None:
        self._on = stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"

    def __call__(self, meaning: str, text: str) -> str:
        """Return `text`, coloured as `good`, `bad`, `warn`, `dim` or `strong`."""
        return f"\x1b[{self._CODES[meaning]}m{text}\x1b[0m" if self._on else text


def table(head: Sequence[str], rows: Sequence[Sequence[str]], inks: Sequence[str | None], ink: Ink) -> str:
    """Return a table whose columns are as wide as they need to be; `inks` colours row by row."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [ink("strong", _row(head, widths))]
    lines += [
        ink(colour, _row(row, widths)) if colour else _row(row, widths) for row, colour in zip(rows, inks, strict=True)
    ]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def milliseconds(value: float | None) -> str:
    """Return a duration in milliseconds for people: 87 ms, 1.2 s, or – when there is none."""
    if value is None:
        return "–"
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.1f} s"


def clean(text: str, length: int = 200) -> str:
    """Return what somebody else wrote as it may go to a terminal: one line, nothing that a terminal would obey."""
    flat = " ".join(text.split())
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in flat)
    return shown if len(shown) <= length else f"{shown[: length - 1]}…"


def progress(message: str) -> None:
    """Tell a person how far it is, on standard error."""
    print(message, file=sys.stderr, flush=True)

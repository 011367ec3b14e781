"""What commands print: tables for people on a terminal, JSON for programs in a pipe.

rich does the tables; it is imported when something is shown, so that `--help` is instant.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

__all__ = ["Advance", "clean", "console", "dollars", "for_people", "print_json", "progress", "styled", "table"]


def for_people(as_json: bool) -> bool:
    """Whether standard output is read by a person: a terminal, and nobody asked for JSON."""
    return not as_json and sys.stdout.isatty()


def print_json(value: object) -> None:
    """Write a value for programs."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def console(stream: TextIO | None = None) -> "Console":
    """Return a terminal to print on. It never takes brackets in a text for markup."""
    from rich.console import Console

    return Console(file=stream or sys.stdout, markup=False, highlight=False, emoji=False)


def table(head: Sequence[str], rows: Iterable[Sequence["str | Text"]], numbers: Sequence[str] = ()) -> "Table":
    """Return a table; the columns whose heads are among `numbers` stand to the right."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in head:
        made.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def styled(text: str, style: str) -> "Text":
    """Return a text in a colour, as rich names them: green, red, yellow, dim, bold."""
    from rich.text import Text

    return Text(text, style=style)


def clean(value: object, length: int = 200) -> str:
    """Return what somebody else wrote as it may go to a terminal: one line, nothing that a terminal would obey."""
    flat = " ".join(str(value).split())
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in flat)
    return shown if len(shown) <= length else f"{shown[: length - 1]}…"


def dollars(amount: float | None) -> str:
    """Return an amount of money for people; what is unknown is –, and not nothing."""
    if amount is None:
        return "–"
    return f"${amount:,.2f}" if amount >= 1 or amount == 0 else f"${amount:.6f}".rstrip("0")


class Advance:
    """Tells how far long work is; one call for each thing that is done."""

    def __call__(self) -> None:
        """Say that one more is done."""


@contextmanager
def progress(what: str, total: int) -> Iterator[Advance]:
    """Show a bar on standard error while `total` things are done, if that is a terminal and there are several."""
    if total < 2 or not sys.stderr.isatty():
        yield Advance()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns: list[Any] = [TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=console(sys.stderr), transient=True) as bar:
        task = bar.add_task(what, total=total)

        class Shown(Advance):
            def __call__(self) -> None:
                bar.advance(task)

        yield Shown()

"""What commands print: tables for people on a terminal, JSON for programs in a pipe.

rich does the tables; it is imported when something is shown, so that `--help` is instant.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

__all__ = [
    "Advance",
    "agrees",
    "budget",
    "clean",
    "console",
    "count",
    "dollars",
    "for_people",
    "limits",
    "milliseconds",
    "models",
    "moment",
    "pairs",
    "print_json",
    "progress",
    "state",
    "styled",
    "table",
    "tell",
    "until",
]

_WHOLE = frozenset(("at", "key", "id", "request"))  # columns that a narrow terminal does not break up: they are copied


def for_people(as_json: bool) -> bool:
    """Whether standard output is read by a person: a terminal, and nobody asked for JSON."""
    return not as_json and sys.stdout.isatty()


def print_json(value: object) -> None:
    """Write a value for programs."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def tell(as_json: bool, answer: object, people: Callable[["Console"], None]) -> int:
    """Tell what the router answered, as `people` prints it or to programs as it is; returns the exit status, 0."""
    if for_people(as_json):
        people(console())
    else:
        print_json(answer)
    return 0


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
        justify: Literal["right", "left"] = "right" if name in numbers else "left"
        made.add_column(name, justify=justify, overflow="fold", no_wrap=name in _WHOLE or name in numbers)
    for row in rows:
        made.add_row(*row)
    return made


def styled(text: str, style: str) -> "Text":
    """Return a text in a colour, as rich names them: green, red, yellow, dim, bold."""
    from rich.text import Text

    return Text(text, style=style)


def state(name: object) -> "Text":
    """Return the state of a deployment in its colour."""
    colours = {"cooling": "red", "probing": "yellow", "due": "yellow", "healthy": "green"}
    return styled(clean(name), colours.get(str(name), "dim"))


def clean(value: object, length: int = 200) -> str:
    """Return what somebody else wrote as it may go to a terminal: one line, nothing that a terminal would obey."""
    flat = " ".join(str(value).split())
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in flat)
    return shown if len(shown) <= length else f"{shown[: length - 1]}…"


def dollars(amount: float | None) -> str:
    """Return an amount of money for people; what is unknown is –, and not nothing."""
    if amount is None:
        return "–"
    if amount >= 1 or amount == 0:
        return f"${amount:,.2f}"
    cents, finer = f"{amount:.6f}"[:4], f"{amount:.6f}"[4:].rstrip("0")
    return f"${cents}{finer}" if amount >= 0.000001 else "<$0.000001"


class Advance:
    """Tells how far long work is."""

    def __call__(self, more: int = 1) -> None:
        """Say that so many more are done."""


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
            def __call__(self, more: int = 1) -> None:
                bar.advance(task, more)

        yield Shown()


def pairs(facts: Mapping[str, object]) -> "Table":
    """Return facts of one thing, a line each; those that are not there are left out."""
    from rich.table import Table

    made = Table.grid(padding=(0, 2))
    made.add_column(style="dim")
    made.add_column(overflow="fold")
    for name, value in facts.items():
        if value not in (None, "", "–"):
            made.add_row(name, clean(value, 2000))
    return made


def models(names: Sequence[str] | None) -> str:
    """Return the models that may be used, for people; none are all of them."""
    return clean(", ".join(map(str, names))) if names else "all"


def budget(holder: Mapping[str, Any]) -> str:
    """Return a key's or a team's budget for people: $10.00 / 30d."""
    if holder.get("max_budget") is None:
        return "–"
    period = holder.get("budget_duration")
    return dollars(holder["max_budget"]) + (f" / {clean(period)}" if period else "")


def limits(holder: Mapping[str, Any]) -> str:
    """Return a key's or a team's rate limits for people: 60 rpm, 10,000 tpm, 4 at once."""
    units = (("rpm_limit", "rpm"), ("tpm_limit", "tpm"), ("max_parallel_requests", "at once"))
    return ", ".join(f"{holder[name]:,} {unit}" for name, unit in units if holder.get(name) is not None) or "–"


def moment(iso: object, *, seconds: bool = False) -> str:
    """Return a time that the API gives, for people: 2026-11-24 13:05 UTC."""
    at = _time(iso)
    if at is None:
        return "–" if not iso else clean(iso)
    return at.strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M UTC")


def until(iso: object, now: object) -> str:
    """Return how long it is from `now` (the API's own, else this machine's) until a time: in 2 min 5 s."""
    at, since = _time(iso), _time(now) or datetime.now(UTC)
    if at is None:
        return "–"
    left = round((at - since).total_seconds())
    if left <= 0:
        return "over"
    hours, minutes, over = left // 3600, left // 60 % 60, left % 60
    return f"in {hours} h {minutes} min" if hours else f"in {minutes} min {over} s" if minutes else f"in {over} s"


def _time(iso: object) -> datetime | None:
    if isinstance(iso, int | float) and not isinstance(iso, bool):
        return datetime.fromtimestamp(iso, UTC)
    try:
        at = datetime.fromisoformat(str(iso))
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def milliseconds(value: float | None) -> str:
    """Return a duration in milliseconds for people: 87 ms, 1.2 s, or – when there is none."""
    if value is None:
        return "–"
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.1f} s"


def count(number: int, noun: str) -> str:
    """Return how many there are: 1 key, 3 keys."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def agrees(question: str) -> bool:
    """Ask a person, who must say yes; where nobody can be asked, the answer is yes."""
    if not sys.stdin.isatty():
        return True
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False

"""Output of commands: tables and colour for people on a terminal, JSON for programs in a pipe.

rich draws the tables; it is imported when something is drawn, so that `--help` is instant.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

__all__ = [
    "Ink",
    "budget_text",
    "clean",
    "confirm",
    "details",
    "dollars",
    "for_terminal",
    "limits_text",
    "milliseconds",
    "models_text",
    "new_console",
    "note",
    "plural",
    "print_json",
    "progress_bar",
    "respond",
    "state_text",
    "styled",
    "table",
    "time_text",
    "time_until",
]

_COPIED = frozenset(("time", "deployment", "key", "id", "request"))  # columns whose values people copy
_COPIED_WIDTH = 36  # up to which they are not cut
_EMPTY = ("", "–")
_STATE_COLOURS = {"cooling": "red", "probing": "yellow", "due": "yellow", "healthy": "green"}


def for_terminal(as_json: bool) -> bool:
    """Return whether to print for people: standard output is a terminal, and JSON was not requested."""
    return not as_json and sys.stdout.isatty()


def print_json(value: object) -> None:
    """Print a value for programs; a time as ISO 8601."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=lambda time: time.isoformat()) + "\n")


def respond(as_json: bool, answer: object, render: Callable[["Console"], None]) -> int:
    """Print `answer` as JSON for programs, or what `render` draws for people; return the exit status 0."""
    if for_terminal(as_json):
        render(new_console())
    else:
        print_json(answer)
    return 0


def note(message: str) -> None:
    """Print a message about progress on standard error."""
    print(message, file=sys.stderr, flush=True)


def new_console(stream: TextIO | None = None) -> "Console":
    """Return a terminal to draw on. Brackets in a text are never markup."""
    from rich.console import Console

    return Console(file=stream or sys.stdout, markup=False, highlight=False, emoji=False)


class Ink:
    """Colours text by meaning, on a terminal and unless NO_COLOR is set."""

    _CODES: Mapping[str, str] = {"good": "32", "bad": "31", "warn": "33", "dim": "2", "strong": "1"}

    def __init__(self, stream: TextIO, environ: Mapping[str, str] = os.environ) -> None:
        self._on = stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"

    def __call__(self, meaning: str, text: str) -> str:
        """Return `text` coloured as `good`, `bad`, `warn`, `dim` or `strong`."""
        return f"\x1b[{self._CODES[meaning]}m{text}\x1b[0m" if self._on else text


def table(head: Sequence[str], rows: Iterable[Sequence[object]], numbers: Sequence[str] = ()) -> "Table":
    """Return a table as wide as the terminal at most; `numbers` names the columns that are aligned to the right.

    A cell that does not fit ends in an ellipsis. Columns without any value are left out.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    cells = [[cell if isinstance(cell, Text) else Text(str(cell)) for cell in row] for row in rows]
    columns = [at for at in range(len(head)) if not cells or any(row[at].plain not in _EMPTY for row in cells)]
    for at in columns:
        title = Text(head[at], no_wrap=True, overflow="ellipsis")
        is_number = head[at] in numbers
        longest = max((row[at].cell_len for row in cells), default=0)
        whole = is_number or (head[at] in _COPIED and longest <= _COPIED_WIDTH)  # rich shrinks other columns first
        drawn.add_column(title, justify="right" if is_number else "left", no_wrap=whole)
    for row in cells:
        for cell in row:
            cell.no_wrap, cell.overflow = True, "ellipsis"
        drawn.add_row(*(row[at] for at in columns))
    return drawn


def details(facts: Mapping[str, object]) -> "Table":
    """Return the facts about one thing, one a line; those without a value are left out."""
    from rich.table import Table

    drawn = Table.grid(padding=(0, 2))
    drawn.add_column(style="dim")
    drawn.add_column(overflow="fold")
    for name, value in facts.items():
        if value is not None and value not in _EMPTY:
            drawn.add_row(name, clean(value, 2000))
    return drawn


def styled(text: str, style: str) -> "Text":
    """Return a text in a style that rich knows: green, red, yellow, dim, bold."""
    from rich.text import Text

    return Text(text, style=style)


def state_text(name: object) -> "Text":
    """Return the state of a deployment in its colour."""
    return styled(clean(name), _STATE_COLOURS.get(str(name), "dim"))


def clean(value: object, length: int = 200) -> str:
    """Return foreign text as one line of at most `length` characters, without control characters."""
    flat = " ".join(str(value).split())
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in flat)
    return shown if len(shown) <= length else f"{shown[: length - 1]}…"


def dollars(amount: float | None) -> str:
    """Return an amount of money: $1,234.50, $0.00042; – if unknown."""
    if amount is None:
        return "–"
    if amount >= 1 or amount == 0:
        return f"${amount:,.2f}"
    cents, finer = f"{amount:.6f}"[:4], f"{amount:.6f}"[4:].rstrip("0")
    return f"${cents}{finer}" if amount >= 0.000001 else "<$0.000001"


def milliseconds(value: float | None) -> str:
    """Return a duration given in milliseconds: 87 ms, 1.2 s; – if unknown."""
    if value is None:
        return "–"
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.1f} s"


def plural(number: int, noun: str) -> str:
    """Return a count with its noun: 1 key, 3 keys."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def models_text(names: Sequence[str] | None) -> str:
    """Return the models that a key or team may use; an empty list allows all."""
    return clean(", ".join(map(str, names))) if names else "all"


def budget_text(holder: Mapping[str, Any]) -> str:
    """Return the budget of a key or team: $10.00 / 30d."""
    if holder.get("max_budget") is None:
        return "–"
    period = holder.get("budget_duration")
    return dollars(holder["max_budget"]) + (f" / {clean(period)}" if period else "")


def model_budgets_text(holder: Mapping[str, Any]) -> str:
    """Return the budgets of single models: auto-codex $0.20 of $5.00 / 1d."""
    spent = holder.get("model_spend") or {}
    return ", ".join(
        f"{clean(model)} {dollars(spent.get(model) or 0)} of {dollars(budget.get('budget_limit'))}"
        + (f" / {clean(budget['time_period'])}" if budget.get("time_period") else "")
        for model, budget in (holder.get("model_max_budget") or {}).items()
    )


def ladder_text(ladder: Sequence[Mapping[str, Any]]) -> str:
    """Return a budget ladder: auto-chat-mini from 80%."""
    return ", ".join(f"{clean(step.get('model'))} from {step.get('from', 0):.0%}" for step in ladder) or "none"


def ladders_text(holder: Mapping[str, Any]) -> str:
    """Return the budget ladders of a key or team: auto-chat: auto-chat-mini from 80%."""
    ladders = (holder.get("budget_ladder") or {}).items()
    return "; ".join(f"{clean(model)}: {ladder_text(ladder)}" for model, ladder in ladders)


def limits_text(holder: Mapping[str, Any]) -> str:
    """Return the rate limits of a key or team: 60 rpm, 10,000 tpm, 4 parallel."""
    units = (("rpm_limit", "rpm"), ("tpm_limit", "tpm"), ("max_parallel_requests", "parallel"))
    return ", ".join(f"{holder[name]:,} {unit}" for name, unit in units if holder.get(name) is not None) or "–"


def time_text(time: object, *, seconds: bool = False) -> str:
    """Return a time that the API gives (ISO 8601, or epoch seconds) in UTC: 2026-11-24 13:05 UTC."""
    at = _parse_time(time)
    if at is None:
        return "–" if not time else clean(time)
    return at.strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M UTC")


def time_until(time: object, now: object) -> str:
    """Return the duration from `now` (None: this machine's clock) to a time: in 2 min 5 s; – without a time."""
    at, since = _parse_time(time), _parse_time(now) or datetime.now(UTC)
    if at is None:
        return "–"
    left = round((at - since).total_seconds())
    if left <= 0:
        return "over"
    hours, minutes, seconds = left // 3600, left // 60 % 60, left % 60
    return f"in {hours} h {minutes} min" if hours else f"in {minutes} min {seconds} s" if minutes else f"in {seconds} s"


def quota_text(quota: object, now: object) -> str:
    """Return what is used of a deployment's limits: 95% of 5h (resets in 12 min 0 s); – if it is unknown."""
    windows = quota.get("windows") if isinstance(quota, dict) else None
    tightest = max(windows or (), key=lambda each: each.get("used") or 0, default=None)
    if tightest is None:
        return "–"
    resets = f" (resets {time_until(tightest['resets_at'], now)})" if tightest.get("resets_at") else ""
    return f"{tightest.get('used') or 0:.0%} of {clean(tightest.get('name'))}{resets}"


def _parse_time(time: object) -> datetime | None:
    if isinstance(time, int | float) and not isinstance(time, bool):
        return datetime.fromtimestamp(time, UTC)
    try:
        at = datetime.fromisoformat(str(time))
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


@contextmanager
def progress_bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yield a function that reports finished steps on a bar, if standard error is a terminal and `total` is over 1."""
    if total < 2 or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns: list[Any] = [TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=new_console(sys.stderr), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda steps: bar.advance(task, steps)


def confirm(question: str) -> bool:
    """Ask for confirmation. Without a terminal to ask on, the answer is yes."""
    if not sys.stdin.isatty():
        return True
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False

"""What can be said of a key or a team: as an option of a command, and as a column or name in a file of many.

The names in files are the API's, which are LiteLLM's: `key_alias`, `max_budget`, `rpm_limit` and so on.
"""

import argparse
import csv
import io
import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vibe_cli.errors import CommandError

__all__ = ["KEY", "TEAM", "add_actions", "add_fields", "read_many", "said"]

_NONE = "none"


@dataclass(frozen=True, slots=True)
class _Field:
    """One setting: its name in the API, its option, how a text becomes its value, and what takes it away."""

    name: str
    option: str
    read: Callable[[str], object]
    metavar: str
    help: str
    nothing: object = None


def _text(text: str) -> object:
    if not text.strip():
        raise ValueError("must not be empty")
    return text.strip()


def _names(text: str) -> object:
    names = [name for part in text.replace(";", ",").split(",") if (name := part.strip())]
    if not names:  # an empty variable of a shell must not open every model
        raise ValueError("must not be empty")
    return names


def _dollars(text: str) -> object:
    try:
        amount = float(text.removeprefix("$"))
    except ValueError:
        amount = math.nan
    if not (math.isfinite(amount) and amount >= 0):
        raise ValueError("must be an amount of dollars, such as 25 or 0.50")
    return amount


def _count(text: str) -> object:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("must be a whole number")
    return int(text)


def _object(text: str) -> object:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ValueError('must be a JSON object, such as {"project": "x"}')
    return value


def _truth(text: str) -> object:
    truths = {"true": True, "false": False}
    if text.lower() not in truths:
        raise ValueError("must be true or false")
    return truths[text.lower()]


_LIMITS = (
    _Field(
        "models", "--models", _names, "NAMES", "models that may be used, with commas between; * stands for anything"
    ),
    _Field(
        "max_budget", "--budget", _dollars, "DOLLARS", "dollars that may be spent, in each --budget-duration if given"
    ),
    _Field("budget_duration", "--budget-duration", _text, "TIME", "when the budget begins anew: 1h, 1d, 30d, 1mo"),
    _Field("rpm_limit", "--rpm", _count, "N", "requests a minute"),
    _Field("tpm_limit", "--tpm", _count, "N", "tokens a minute"),
    _Field("max_parallel_requests", "--parallel", _count, "N", "requests at the same time"),
    _Field("tags", "--tags", _names, "NAMES", "tags that its usage is filed under, with commas between"),
    _Field("metadata", "--metadata", _object, "JSON", "whatever else should be known of it, as a JSON object"),
)

KEY = (
    _Field("key_alias", "--alias", _text, "NAME", "a name for people; no two keys have the same"),
    _Field("duration", "--duration", _text, "TIME", "how long it is good for: 12h, 30d, 1mo", "-1"),
    *_LIMITS,
    _Field("user_id", "--user", _text, "ID", "whose it is"),
    _Field("team_id", "--team", _text, "TEAM", "the team it belongs to, by id or alias"),
)
"""What can be said of a key."""

TEAM = (_Field("team_alias", "--alias", _text, "NAME", "a name for people"), *_LIMITS)
"""What can be said of a team."""

_IN_FILES_ONLY = (_Field("blocked", "", _truth, "", ""),)


def add_fields(parser: argparse.ArgumentParser, fields: tuple[_Field, ...], *, removable: bool) -> None:
    """Add an option for each field. What is `removable` is taken away by the word none."""
    group = parser.add_argument_group("settings" + (f" (the word {_NONE} takes one away)" if removable else ""))
    for field in fields:
        group.add_argument(
            field.option,
            dest=f"field_{field.name}",
            metavar=field.metavar,
            default=argparse.SUPPRESS,
            type=_option(field, removable),
            help=field.help,
        )


def add_actions(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]",
    holder: str,
    which: str,
    fields: tuple[_Field, ...],
    run: Mapping[str, Callable[[argparse.Namespace], int]],
) -> None:
    """Add what is done to a `holder` (key, team) in the same words: show and update; `run` has what does them."""
    show = actions.add_parser("show", help=f"show all that is known of a {holder}")
    update = actions.add_parser(
        "update", help=f"change a {holder}; what is not named stays as it is, and the word {_NONE} takes a setting away"
    )
    for word, action in (("show", show), ("update", update)):
        action.add_argument(holder, help=which)
        action.set_defaults(run=run[word])
    add_fields(update, fields, removable=True)


def _option(field: _Field, removable: bool) -> Callable[[str], object]:
    def read(text: str) -> object:
        if removable and text == _NONE:
            return field.nothing
        try:
            return field.read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def said(args: argparse.Namespace) -> dict[str, object]:
    """Return the fields that the options gave, by their names in the API."""
    return {name.removeprefix("field_"): value for name, value in vars(args).items() if name.startswith("field_")}


def read_many(file: str, fields: tuple[_Field, ...]) -> list[dict[str, object]]:
    """Read many from a .csv file with a line of names, or from one with a JSON object a line; - is standard input.

    Raises CommandError with the line of the first mistake; nothing has been done by then.
    """
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CommandError(f"{file} can't be read: {error.strerror}", status=1) from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{file} is not UTF-8 text", status=1) from error
    known = {field.name: field for field in (*fields, *_IN_FILES_ONLY)}
    rows = _csv(file, text, known) if file.lower().endswith(".csv") else _json_lines(file, text)
    if not rows:
        raise CommandError(f"{file} has nothing in it", status=1)
    for line, row in rows:
        for name in row:
            if name not in known:
                raise _mistake(file, line, f"{name!r} is not one of {', '.join(known)}")
    return [row for _, row in rows]


def _json_lines(file: str, text: str) -> list[tuple[int, dict[str, object]]]:
    rows = []
    for line, written in enumerate(text.splitlines(), 1):
        if not written.strip():
            continue
        try:
            row = json.loads(written)
        except ValueError as error:
            raise _mistake(file, line, "is not JSON") from error
        if not isinstance(row, dict):
            raise _mistake(file, line, "is not a JSON object")
        rows.append((line, row))
    return rows


def _csv(file: str, text: str, known: Mapping[str, _Field]) -> list[tuple[int, dict[str, object]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[int, dict[str, object]]] = []
    try:
        for written in reader:
            row: dict[str, object] = {}
            for name, value in written.items():
                if name is None or value is None:
                    raise _mistake(file, reader.line_num, "has not as many values as the first line has names")
                if not value.strip():
                    continue
                try:
                    row[name] = known[name].read(value.strip()) if name in known else value
                except ValueError as error:
                    raise _mistake(file, reader.line_num, f"{name} {error}") from None
            if row:
                rows.append((reader.line_num, row))
    except csv.Error as error:
        raise _mistake(file, reader.line_num, f"is not CSV: {error}") from error
    return rows


def _mistake(file: str, line: int, reason: str) -> CommandError:
    return CommandError(f"{file}:{line}: {reason}\nNothing was done.", status=1)

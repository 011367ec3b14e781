"""Fields of keys and teams, as options of commands and as columns of files.

Files use the API's names, which are LiteLLM's: `key_alias`, `max_budget`, `rpm_limit` and so on.
"""

import csv
import io
import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, make_dataclass
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Annotated

import typer

from vibe_cli.errors import CommandError

__all__ = ["KeySettings", "Settings", "TeamSettings", "read_keys"]

_NONE = "none"
_LADDER_FORM = "must be MODEL=CHEAPER@SHARE, separated by commas, such as auto-chat=auto-chat-mini@80%"


@dataclass(frozen=True, slots=True)
class _Field:
    """A field: its name in the API, its option, how its text is read, and the value that removes it."""

    name: str
    option: str
    read: Callable[[str], object]
    metavar: str
    help: str
    removed: object = None


def _text(text: str) -> object:
    if not text.strip():
        raise ValueError("must not be empty")
    return text.strip()


def _names(text: str) -> object:
    names = [name for part in text.replace(";", ",").split(",") if (name := part.strip())]
    if not names:  # an unset shell variable must not allow every model
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


def _aliases(text: str) -> object:
    aliases: dict[str, str] = {}
    for part in text.replace(";", ",").split(","):
        name, _, model = (each.strip() for each in part.partition("="))
        if part.strip():
            if not (name and model):
                raise ValueError("must be NAME=MODEL, separated by commas, such as claude-*=auto-claude")
            aliases[name] = model
    if not aliases:
        raise ValueError("must not be empty")
    return aliases


def _model_budgets(text: str) -> object:
    budgets: dict[str, dict[str, object]] = {}
    for part in filter(None, map(str.strip, text.replace(";", ",").split(","))):
        model, equals, budget = (each.strip() for each in part.partition("="))
        amount, _, period = (each.strip() for each in budget.partition("/"))
        if not (model and equals):
            raise ValueError("must be MODEL=DOLLARS/TIME, separated by commas, such as auto-codex=5/1d")
        budgets[model] = {"budget_limit": _dollars(amount), **({"time_period": period} if period else {})}
    if not budgets:
        raise ValueError("must not be empty")
    return budgets


def _ladders(text: str) -> object:
    ladders: dict[str, list[dict[str, object]]] = {}
    for part in filter(None, map(str.strip, text.replace(";", ",").split(","))):
        model, equals, step = (each.strip() for each in part.partition("="))
        target, _, share = (each.strip() for each in step.rpartition("@"))
        if not (model and equals):
            raise ValueError(_LADDER_FORM)
        ladder = ladders.setdefault(model, [])
        if step != _NONE:  # an empty ladder switches that of the routes off
            ladder.append({"from": _share(share), "model": target})
    if not ladders:
        raise ValueError("must not be empty")
    return ladders


def _share(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise ValueError(_LADDER_FORM)
    return share


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
    _Field("models", "--models", _names, "NAMES", "Allowed models, separated by commas; * matches anything."),
    _Field("max_budget", "--budget", _dollars, "DOLLARS", "Maximum spend in dollars, per --budget-duration if given."),
    _Field("budget_duration", "--budget-duration", _text, "TIME", "How often the budget resets: 1h, 1d, 30d, 1mo."),
    _Field("soft_budget", "--soft-budget", _dollars, "DOLLARS", "Spend from which responses and records warn."),
    _Field(
        "model_max_budget",
        "--model-budgets",
        _model_budgets,
        "MODEL=DOLLARS/TIME",
        "Budgets for single models, such as auto-codex=5/1d; comma-separated.",
    ),
    _Field(
        "budget_ladder",
        "--ladder",
        _ladders,
        "MODEL=CHEAPER@SHARE",
        "What serves instead of a model from a share of the budget on; comma-separated.",
    ),
    _Field("rpm_limit", "--rpm", _count, "N", "Requests per minute."),
    _Field("tpm_limit", "--tpm", _count, "N", "Tokens per minute."),
    _Field("max_parallel_requests", "--parallel", _count, "N", "Requests in parallel."),
    _Field("cache_seconds", "--cache-seconds", _count, "N", "Store repeatable answers so long; 0 for never."),
    _Field("guards", "--guards", _names, "NAMES", "Guards that inspect its requests, separated by commas."),
    _Field("tags", "--tags", _names, "NAMES", "Tags on its usage, separated by commas."),
    _Field("metadata", "--metadata", _object, "JSON", "Your own data, as a JSON object."),
)

KEY = (
    _Field("key_alias", "--alias", _text, "NAME", "A unique name."),
    _Field("duration", "--duration", _text, "TIME", "Time until it expires: 12h, 30d, 1mo.", "-1"),
    *_LIMITS,
    _Field("user_id", "--user", _text, "ID", "Its owner."),
    _Field("team_id", "--team", _text, "TEAM", "Its team, by id or alias."),
    _Field("archive", "--archive", _truth, "BOOL", "true: archive its requests and answers; false: do not.", False),
    _Field(
        "aliases", "--aliases", _aliases, "NAME=MODEL", "Names (or patterns) of its own for models; comma-separated."
    ),
)
"""Fields of a key."""

TEAM = (_Field("team_alias", "--alias", _text, "NAME", "A name."), *_LIMITS)
"""Fields of a team."""

_IN_FILES_ONLY = (_Field("blocked", "", _truth, "", ""),)


@dataclass(frozen=True)
class Settings:
    """Options that set fields of a key or team: each attribute is an option's text, None if it was not given."""

    def body(self, *, removable: bool) -> dict[str, object]:
        """Return the given fields with their values, by their names in the API.

        If they are `removable`, the word none removes one. Raises typer.BadParameter.
        """
        body: dict[str, object] = {}
        for field in (*KEY, *TEAM):
            text = getattr(self, field.name, None)
            if text is None:
                continue
            if removable and text == _NONE:
                body[field.name] = field.removed
                continue
            try:
                body[field.name] = field.read(text)
            except ValueError as error:
                raise typer.BadParameter(str(error), param_hint=field.option) from None
        return body


def _settings(name: str, fields: tuple[_Field, ...]) -> type[Settings]:
    options = [
        (
            field.name,
            Annotated[str | None, typer.Option(field.option, metavar=field.metavar, help=field.help)],
            dataclass_field(default=None),
        )
        for field in fields
    ]
    return make_dataclass(name, options, bases=(Settings,), frozen=True)


KeySettings = _settings("KeySettings", KEY)
TeamSettings = _settings("TeamSettings", TEAM)


def read_keys(file: str) -> list[dict[str, object]]:
    """Read the fields of keys from a .csv with a header line, or from one JSON object per line (- is standard input).

    Raises CommandError, before anything is done, with the line of the first mistake.
    """
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}", status=1) from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{file} is not UTF-8 text", status=1) from error
    columns = {field.name: field for field in (*KEY, *_IN_FILES_ONLY)}
    rows = _csv(file, text, columns) if file.lower().endswith(".csv") else _json_lines(file, text)
    if not rows:
        raise CommandError(f"{file} is empty", status=1)
    for line, row in rows:
        for name in row:
            if name not in columns:
                raise _mistake(file, line, f"{name!r} is not one of {', '.join(columns)}")
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


def _csv(file: str, text: str, columns: Mapping[str, _Field]) -> list[tuple[int, dict[str, object]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[int, dict[str, object]]] = []
    try:
        for written in reader:
            row: dict[str, object] = {}
            for name, value in written.items():
                if name is None or value is None:
                    raise _mistake(file, reader.line_num, "does not have as many values as the header has names")
                if not value.strip():
                    continue
                try:
                    row[name] = columns[name].read(value.strip()) if name in columns else value
                except ValueError as error:
                    raise _mistake(file, reader.line_num, f"{name} {error}") from None
            if row:
                rows.append((reader.line_num, row))
    except csv.Error as error:
        raise _mistake(file, reader.line_num, f"is not CSV: {error}") from error
    return rows


def _mistake(file: str, line: int, reason: str) -> CommandError:
    return CommandError(f"{file}:{line}: {reason}\nNothing was created.", status=1)

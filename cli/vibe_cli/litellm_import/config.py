"""A parsed LiteLLM config: its values, their lines, and notes about them."""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from vibe_cli.yaml_document import Document
from vibe_router.formats.registry import provider
from vibe_router.routing.spec import Kind, Place, Problem, parse_row

__all__ = ["FROM_ENVIRONMENT", "Config", "ConfigValue", "Note", "is_supported", "shown", "value_of"]

FROM_ENVIRONMENT = "os.environ/"
"""LiteLLM's prefix of a value that is read from an environment variable."""

_NOTHING_LIKE_IT = "routes.yaml has nothing like it"
_SMALLEST = Decimal("1e-12")  # no price and no weight is smaller, and a text of it would be long
_LARGEST = Decimal("1e15")


@dataclass(frozen=True, slots=True)
class Note:
    """A note about a line: it was omitted, changed its meaning, or needs an action.

    `line` counts from 1 (0: the whole file); `path` is the setting, as `model_list[0].litellm_params.rpm`.
    """

    line: int
    path: str
    meaning: Literal["left out", "changed", "to do"]
    reason: str


@dataclass(frozen=True, slots=True)
class ConfigValue:
    """A value and its place in the config."""

    value: object
    place: Place


@dataclass(slots=True)
class Config:
    """The config's values in `data`, and the notes so far."""

    data: dict[Any, Any]
    document: Document
    notes: list[Note] = field(default_factory=list)
    read_variables: set[str] = field(default_factory=set)  # of `environment_variables`

    def changed(self, place: Place, reason: str) -> None:
        """Note that the value at `place` was converted with another meaning."""
        self._note(place, "changed", reason)

    def left_out(self, place: Place, reason: str) -> None:
        """Note that the value at `place` was omitted."""
        self._note(place, "left out", reason)

    def to_do(self, place: Place, reason: str) -> None:
        """Note that the value at `place` needs an action."""
        self._note(place, "to do", reason)

    def _note(self, place: Place, meaning: Literal["left out", "changed", "to do"], reason: str) -> None:
        self.notes.append(Note(self.line(place), Problem(place, "").path, meaning, reason))

    def line(self, place: Place) -> int:
        """Return the line of a place."""
        return self.document.line_of(place)

    def mapping(self, around: Mapping[Any, Any], name: str, place: Place = ()) -> dict[Any, Any]:
        """Return the mapping `name` at `place`; an empty one if it is missing or not a mapping."""
        value = around.get(name)
        if value is not None and not isinstance(value, dict):
            self.left_out((*place, name), "must be a mapping")
        return value if isinstance(value, dict) else {}

    def items(self, name: str) -> Iterator[tuple[Place, dict[Any, Any]]]:
        """Yield the mappings of the list `name`, each with its place."""
        value = self.data.get(name)
        if value is not None and not isinstance(value, list):
            self.left_out((name,), "must be a list")
        for index, item in enumerate(value if isinstance(value, list) else ()):
            if isinstance(item, dict):
                yield (name, index), item
            else:
                self.left_out((name, index), "must be a mapping")

    def variable(self, name: str) -> str | None:
        """Return the environment variables that the config sets."""
        variables = self.data.get("environment_variables")
        value = variables.get(name) if isinstance(variables, dict) else None
        if value is None:
            return None
        self.read_variables.add(name)
        return str(value)

    def number(self, given: ConfigValue | None, *, least: float = 0, most: float = math.inf) -> Decimal | None:
        """Return a number within bounds: reduced to `most`, omitted below `least`."""
        if given is None:
            return None
        value, place = given.value, given.place
        if isinstance(value, str) and value.startswith(FROM_ENVIRONMENT):
            value = self.variable(value.removeprefix(FROM_ENVIRONMENT))
            if value is None:
                self.left_out(place, "its value is in the environment; write it into routes.yaml yourself")
                return None
        try:
            usable = isinstance(value, int | float | str) and not isinstance(value, bool)
            number = Decimal(str(value)) if usable else Decimal("nan")
        except (InvalidOperation, ValueError):  # ValueError for an integer of too many digits
            number = Decimal("nan")
        if not number.is_finite() or abs(number) > _LARGEST or 0 < abs(number) < _SMALLEST:
            self.left_out(place, "must be a number of a usable size")
        elif number < Decimal(str(least)):
            self.left_out(place, f"must be at least {least:g}")
        elif number > Decimal(str(most)):
            self.changed(place, f"was reduced to the maximum of {most:g}")
            return Decimal(str(most))
        else:
            return number
        return None

    def takes(self, kind: Kind, name: str, row: Mapping[str, object], place: Place) -> bool:
        """Return whether routes.yaml accepts a row; its problems are noted at `place`."""
        _, problems = parse_row(kind, name, row)
        for problem in problems:
            self.left_out(place, problem.reason)
        return not problems

    def rest(
        self,
        holder: Mapping[Any, Any],
        place: Place,
        done: Collection[str],
        reasons: Mapping[str, str],
        other: str = "",
    ) -> None:
        """Note everything in `holder` that is not `done`, except defaults."""
        for name, value in holder.items():
            off = value is None or value is False or value in ("", [], {})
            if name not in done and (not off or name == "ssl_verify"):
                self.left_out((*place, name), reasons.get(name) or other or _NOTHING_LIKE_IT)


def value_of(holder: Mapping[Any, Any], name: str, place: Place) -> ConfigValue | None:
    """Return the value `name` of `holder`, which is at `place`; None if it is missing."""
    return ConfigValue(holder[name], (*place, name)) if holder.get(name) is not None else None


def is_supported(formats: Collection[str]) -> bool:
    """Return whether the router can speak all of these formats with a provider."""
    for name in formats:
        try:
            provider(name)
        except KeyError:
            return False
    return True


def shown(value: object) -> str:
    """Return a name of the config, shortened for a sentence."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"

"""Read typed values out of a stored row.

Rows can be edited by hand, so every attribute is checked whenever it is read. A value of the wrong type or out of range
raises CorruptRowError, whose text names the attribute and never its value. An absent attribute is None or empty.
"""

from collections.abc import Mapping
from typing import Any, cast

__all__ = [
    "LARGEST",
    "LATEST",
    "CorruptRowError",
    "read_flag",
    "read_int",
    "read_mapping",
    "read_number",
    "read_text",
    "read_text_mapping",
    "read_texts",
    "read_time",
]

LARGEST = 10**20  # no count and no amount of nano-dollars comes near it
LATEST = 1e11  # epoch seconds, in the year 5138; Python's dates end in 9999

Row = Mapping[str, Any]


class CorruptRowError(ValueError):
    """A stored row has an attribute of the wrong type or out of range."""


def read_text(row: Row, name: str) -> str | None:
    """Return the text called `name`; None if it is absent or empty."""
    value = row.get(name)
    if value is not None and not isinstance(value, str):
        raise CorruptRowError(f"{name} is not text")
    return value or None


def read_texts(row: Row, name: str) -> tuple[str, ...]:
    """Return the list of texts called `name`."""
    value = row.get(name) or []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise CorruptRowError(f"{name} is not a list of texts")
    return tuple(value)


def read_flag(row: Row, name: str) -> bool:
    """Return the boolean called `name`."""
    value = row.get(name)
    if value is not None and not isinstance(value, bool):
        raise CorruptRowError(f"{name} is neither true nor false")
    return bool(value)


def read_mapping(row: Row, name: str) -> Mapping[str, Any]:
    """Return the mapping called `name`."""
    value = row.get(name) or {}
    if not isinstance(value, dict):
        raise CorruptRowError(f"{name} is not a mapping")
    return cast("Mapping[str, Any]", value)


def read_text_mapping(row: Row, name: str) -> Mapping[str, str]:
    """Return the mapping of texts called `name`."""
    value = read_mapping(row, name)
    if not all(isinstance(each, str) for pair in value.items() for each in pair):
        raise CorruptRowError(f"{name} is not a mapping of texts")
    return value


def read_number(row: Row, name: str, *, least: float = 0, most: float = LARGEST) -> float | None:
    """Return the number called `name`, which is between `least` and `most`."""
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise CorruptRowError(f"{name} is not a number in range")
    return value


def read_int(row: Row, name: str, *, least: int = 0, most: int = LARGEST) -> int | None:
    """Return the whole number called `name`, which is between `least` and `most`."""
    value = read_number(row, name, least=least, most=most)
    if value is not None and not isinstance(value, int):
        raise CorruptRowError(f"{name} is not a whole number")
    return value


def read_time(row: Row, name: str) -> float | None:
    """Return the time called `name`, in epoch seconds."""
    return read_number(row, name, most=LATEST)

"""Patterns for the names of models: `*` is any text. Matching takes time proportional to the lengths."""

from collections.abc import Iterable

__all__ = ["MAX_NAME", "by_precedence", "is_pattern", "matches"]

MAX_NAME = 300  # characters of a model's name; no model has a longer one


def is_pattern(name: str) -> bool:
    """Return whether `name` is a pattern of several names."""
    return "*" in name


def matches(pattern: str, name: str) -> bool:
    """Return whether `pattern` matches the whole of `name`."""
    first, *others = pattern.split("*")
    if not others:
        return name == pattern
    *middle, last = others
    if len(name) < len(first) + len(last) or not (name.startswith(first) and name.endswith(last)):
        return False
    at, end = len(first), len(name) - len(last)
    for part in middle:  # the leftmost place leaves most of the name for the parts after it
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def by_precedence(patterns: Iterable[str]) -> list[str]:
    """Return those of `patterns` that contain a `*`, the longest first, and equally long ones by the alphabet."""
    return sorted((each for each in patterns if is_pattern(each)), key=lambda each: (-len(each), each))

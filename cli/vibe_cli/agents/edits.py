"""Edit configuration files as text: only what is set changes, comments and order stay.

Every function takes the text of a file ("" for a missing one) and returns its new text. A text that cannot be edited
safely raises UneditableError, so that a file with mistakes is never overwritten.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

__all__ = ["UneditableError", "set_json", "set_toml", "set_variables"]

_TABLE = re.compile(r"\s*\[")
_VARIABLE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=")


class UneditableError(Exception):
    """A file has a form that this module cannot edit without losing something. The text says what is wrong."""


def set_json(text: str, values: Mapping[str, Any]) -> str:
    """Merge `values` into a JSON object: nested objects are merged, everything else is replaced."""
    try:
        content = json.loads(text, object_pairs_hook=_unique) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise UneditableError(f"is not plain JSON ({error}); comments are not supported here") from None
    if not isinstance(content, dict):
        raise UneditableError("is not a JSON object")
    merged = _merged(content, values)
    if merged == content:
        return text
    found = re.search(r"\n([ \t]+)\"", text)
    return json.dumps(merged, indent=found[1] if found else 2, ensure_ascii=False) + "\n"


def set_toml(text: str, values: Mapping[str, Any], table: str, entries: Mapping[str, Any]) -> str:
    """Set top-level `values`, and replace `table` (a dotted name) and its subtables with `entries`.

    Values are texts, numbers and booleans. The result is parsed: it must differ in nothing else.
    """
    try:
        before = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UneditableError(f"is not valid TOML ({error})") from None
    lines = text.splitlines()
    first = next((at for at, line in enumerate(lines) if _TABLE.match(line)), len(lines))
    head, tables = lines[:first], lines[first:]
    added = [f"{name} = {json.dumps(value)}" for name, value in values.items() if before.get(name) != value]
    head = [
        line for line in head if not any(_assigns(line, name) for name in values if before.get(name) != values[name])
    ]
    while head and not head[-1].strip():
        head.pop()
    block = [f"[{table}]", *(f"{name} = {json.dumps(value)}" for name, value in entries.items())]
    head += [*added, ""] if tables or added else []
    after = "\n".join([*head, *_replaced(tables, table, block)]).strip("\n") + "\n"
    if tomllib.loads(text) == (expected := _with_table({**before, **values}, table.split("."), entries)):
        return text
    try:
        result = tomllib.loads(after)
    except tomllib.TOMLDecodeError:
        result = {}
    if result != expected:
        raise UneditableError("is written in a way that this command cannot edit safely")
    return after


def set_variables(text: str, values: Mapping[str, str]) -> str:
    """Set variables in a .env file: a line for each, in the place of the one that set it before."""
    lines, left = [], dict(values)
    for line in text.splitlines():
        found = _VARIABLE.match(line)
        name = found[1] if found else ""
        if name not in values:
            lines.append(line)
        elif name in left:
            lines.append(f"{name}={left.pop(name)}")
    return "\n".join([*lines, *(f"{name}={value}" for name, value in left.items())]) + "\n"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a name occurs twice")
    return content


def _merged(content: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(content)
    for name, value in values.items():
        held = merged.get(name)
        merged[name] = _merged(held, value) if isinstance(held, dict) and isinstance(value, Mapping) else value
    return merged


def _assigns(line: str, name: str) -> bool:
    return re.match(rf'\s*(?:{re.escape(name)}|"{re.escape(name)}")\s*=', line) is not None


def _replaced(lines: list[str], table: str, block: list[str]) -> list[str]:
    """Return the lines of all tables with `block` in place of `table`, or at the end."""
    header = re.compile(rf"\s*\[\s*{re.escape(table)}\s*(\.[^\]]*)?\]\s*(#.*)?$")
    kept: list[str] = []
    inside, place = False, None
    for line in lines:
        if _TABLE.match(line):
            inside = header.match(line) is not None
            if inside and place is None:
                place = len(kept)
        if not inside:
            kept.append(line)
    if place is None:
        return [*kept, *([""] if kept else []), *block]
    return [*kept[:place], *block, "", *kept[place:]]


def _with_table(content: Mapping[str, Any], path: list[str], entries: Mapping[str, Any]) -> dict[str, Any]:
    first, *rest = path
    held = content.get(first)
    inner = held if isinstance(held, dict) else {}
    return {**content, first: _with_table(inner, rest, entries) if rest else dict(entries)}

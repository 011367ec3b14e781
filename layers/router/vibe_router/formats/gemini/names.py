"""Names in Gemini's JSON, which may be in camel case or, as in its protocol buffers, in snake case."""

from collections.abc import Mapping
from typing import Any

__all__ = ["camel"]


def camel(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return `fields` with their own names in camel case; a name in camel case wins over the same in snake case."""
    if not any("_" in name for name in fields):
        return dict(fields)
    named = {_camel(name): value for name, value in fields.items() if "_" in name}
    return named | {name: value for name, value in fields.items() if "_" not in name}


def _camel(name: str) -> str:
    first, *others = name.strip("_").split("_")
    return first + "".join(each[:1].upper() + each[1:] for each in others)

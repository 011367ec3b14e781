"""Responses' namespaces of tools, for formats that have none: each tool under a name of its own, and back.

`{"type": "namespace", "name": "many", "tools": [{"type": "function", "name": "spawn"}]}` is the function `many__spawn`
to everybody else, and a call of that is told to the caller as one of `spawn` in the namespace `many`.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from zlib import crc32

__all__ = ["flat_name", "names_in_spaces", "spaces"]

_LONGEST = 64  # characters of a function's name, by OpenAI's and Anthropic's rules


def flat_name(space: str, name: str) -> str:
    """Return the name of a namespace's tool outside it; one that would be too long ends in a checksum."""
    flat = f"{space}__{name}"
    return flat if len(flat) <= _LONGEST else f"{flat[: _LONGEST - 9]}_{crc32(flat.encode('utf-8', 'replace')):08x}"


def spaces(tool: object) -> Mapping[str, Any] | None:
    """Return `tool` when it is a namespace of functions and of tools that take free text, else None."""
    match tool:
        case {"type": "namespace", "name": str(), "tools": [*inside]} if all(
            isinstance(each, dict) and each.get("type") in ("function", "custom") and isinstance(each.get("name"), str)
            for each in inside
        ):
            return tool  # type: ignore[return-value] # the pattern matches mappings alone
    return None


def names_in_spaces(body: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return namespace and name of each tool that stands in a namespace of a request, by its name outside it."""
    return {flat_name(space, name): (space, name) for space, name in _pairs(body)}


def _pairs(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    tools = body.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        if (space := spaces(tool)) is not None:
            yield from ((space["name"], each["name"]) for each in space["tools"])

"""Assign the pieces of streamed tool calls to their calls, whatever a provider does with indices, ids and names.

Providers and relays give all calls one index, or none; leave out ids, or give every piece another; repeat a name in
every piece, or split it; and begin with a placeholder `{}` before the real arguments.
"""

from collections.abc import Collection
from typing import NamedTuple

__all__ = ["PLACEHOLDER", "CallState", "begins_another_call", "joined_name"]

PLACEHOLDER = "{}"


class CallState(NamedTuple):
    """A call so far. `complete`: its arguments are a whole JSON object."""

    id: object
    name: str
    arguments: str
    complete: bool


def begins_another_call(before: CallState, name: object, id_: object, *, more: bool, tools: Collection[str]) -> bool:
    """Return whether a piece at the place of the call `before` begins another one.

    `more`: the piece has arguments. `tools` are the names of the tools offered, empty if they are unknown.
    """
    if not isinstance(name, str) or not name:
        return False
    has_id = isinstance(id_, str) and bool(id_)
    if has_id and id_ == before.id:
        return False
    if before.complete:
        if has_id:
            return True
        is_placeholder = before.arguments.strip() == PLACEHOLDER
        return name != before.name or (more and not is_placeholder)
    if before.arguments.strip() or name == before.name:
        return False
    # Without arguments, a second name may also be the rest of the first one.
    return before.name in tools and name in tools and not _is_beginning(before.name + name, tools)


def joined_name(before: str, piece: str) -> str:
    """Return the name `before` continued by `piece`, which may also repeat it."""
    if before.endswith(piece) and before != "":
        return before
    return piece if piece.startswith(before) else before + piece


def _is_beginning(name: str, tools: Collection[str]) -> bool:
    return any(tool.startswith(name) for tool in tools)

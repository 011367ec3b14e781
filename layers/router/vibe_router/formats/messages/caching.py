"""Cache breakpoints for callers whose format has none, where Claude Code sets them.

Anthropic caches a prompt up to each breakpoint, at most four: here the tools, the system prompt and the last two user
turns, so that the next turn of the conversation reads what this one wrote.
"""

from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["set_cache_breakpoints"]

_BREAKPOINT = {"type": "ephemeral"}
_USER_TURNS = 2
_NOT_CACHEABLE = frozenset({"thinking", "redacted_thinking"})


def set_cache_breakpoints(body: dict[str, Any]) -> None:
    """Add breakpoints to the `body` of a Messages request, unless it has any."""
    if any("cache_control" in block for block in _blocks(body)):
        return
    _mark_last(body.get("tools", ()))
    _mark_last(body.get("system", ()))
    user_turns = [turn["content"] for turn in body["messages"] if turn["role"] == "user"]
    for content in user_turns[-_USER_TURNS:]:
        _mark_last(content)


def _blocks(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from body.get("tools", ())
    yield from body.get("system", ())
    for turn in body["messages"]:
        yield from turn["content"]
        for block in turn["content"]:
            yield from block.get("content", ()) if block["type"] == "tool_result" else ()


def _mark_last(blocks: Sequence[dict[str, Any]]) -> None:
    if blocks and blocks[-1].get("type") not in _NOT_CACHEABLE:
        blocks[-1]["cache_control"] = _BREAKPOINT

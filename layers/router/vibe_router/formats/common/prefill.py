"""A conversation whose last turn is the beginning of the answer, which the model continues."""

from collections.abc import Mapping, Sequence
from typing import Any

from vibe_router.core.errors import bad_request

__all__ = ["continued_turns"]


def continued_turns(messages: Sequence[Mapping[str, Any]], turn: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return `messages` with the model's `turn` at their end, in one message with a beginning that the caller gave.

    Raises ApiError (400) if the caller gave one that is no text.
    """
    if not messages or messages[-1].get("role") != turn["role"]:
        return [*messages, turn]
    before = messages[-1].get("content")
    if not isinstance(before, str) or messages[-1].get("tool_calls"):
        raise bad_request("The last message cannot be continued.", "messages", "unsupported_format")
    return [*messages[:-1], {**messages[-1], "content": before + turn["content"]}]

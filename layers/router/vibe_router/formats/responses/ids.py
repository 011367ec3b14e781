"""Ids of responses and of their items: how the router's own are made, and found out again."""

import re
import secrets
from collections.abc import Mapping

__all__ = ["ITEM_PREFIXES", "item_id", "new_id", "response_of"]

# Types of items that say all there is to say without their id → how ids of theirs begin, as OpenAI's do.
ITEM_PREFIXES: Mapping[str, str] = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
}
_RESPONSE = "resp_"
_ITEM_ID = re.compile(r"[a-z]+_([0-9a-f]{48})[0-9a-f]{4}")


def new_id() -> str:
    """Return the id of a new response."""
    return f"{_RESPONSE}{secrets.token_hex(24)}"


def item_id(prefix: str, response: str, number: int) -> str:
    """Return the id of an item of a response of the router's own; `response_of` finds the response by it."""
    return f"{prefix}_{response.removeprefix(_RESPONSE)}{number % 0x10000:04x}"


def response_of(item: str) -> str | None:
    """Return the id of the response that the item with the id `item` is of, if it is one of the router's own."""
    match = _ITEM_ID.fullmatch(item)
    return f"{_RESPONSE}{match[1]}" if match else None

"""Ids of responses and of their items. The router's own item ids name the response that they belong to."""

import re
import secrets
from collections.abc import Mapping

__all__ = ["ITEM_PREFIXES", "item_id", "new_response_id", "response_id_of"]

# Item types that are complete without their id → the prefix of their ids, as in OpenAI's API.
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


def new_response_id() -> str:
    """Return a new id for a response."""
    return f"{_RESPONSE}{secrets.token_hex(24)}"


def item_id(prefix: str, response_id: str, number: int) -> str:
    """Return the id of an item of one of the router's own responses. `response_id_of` reverses it."""
    return f"{prefix}_{response_id.removeprefix(_RESPONSE)}{number % 0x10000:04x}"


def response_id_of(item_id: str) -> str | None:
    """Return the id of the response that an item belongs to, None unless the id is one of the router's own."""
    match = _ITEM_ID.fullmatch(item_id)
    return f"{_RESPONSE}{match[1]}" if match else None

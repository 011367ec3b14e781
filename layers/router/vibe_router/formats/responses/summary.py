"""Compaction items of the router's own: the summary of a conversation, readable on providers of every format.

The summary travels in `encrypted_content`, marked as the router's own and encoded in base64. It is not secret: the
caller could ask for the same summary in plain text.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

__all__ = ["COMPACTION_TYPES", "open_summary", "seal_summary"]

COMPACTION_TYPES = frozenset({"compaction", "compaction_summary"})
_MARK = "vibe-summary1."
_INTRODUCTION = "Summary of the conversation so far:\n\n"


def seal_summary(text: str) -> str:
    """Return `text` as the content of a compaction item."""
    return _MARK + base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode()


def open_summary(item: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return one of the router's own compaction items as a message; None for any other item."""
    content = item.get("encrypted_content")
    if str(item.get("type")) not in COMPACTION_TYPES or not isinstance(content, str) or not content.startswith(_MARK):
        return None
    try:
        text = base64.urlsafe_b64decode(content.removeprefix(_MARK)).decode("utf-8", "surrogatepass")
    except (binascii.Error, ValueError):
        return None
    part = {"type": "input_text", "text": _INTRODUCTION + text}
    return {"type": "message", "role": "user", "content": [part]}

"""When a conversation in Messages may ask for thinking."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["PROOFS", "calls_tools_without_thinking", "remove_thinking"]

PROOFS = {"thinking": "signature", "redacted_thinking": "data"}


def calls_tools_without_thinking(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the last assistant turn has tool calls and no thinking: Anthropic then rejects a budget."""
    last = next((each.get("content") for each in reversed(messages) if each["role"] == "assistant"), None)
    kinds = [str(each.get("type")) for each in last if isinstance(each, dict)] if isinstance(last, list) else []
    return "tool_use" in kinds and kinds[0] not in PROOFS


def remove_thinking(body: dict[str, Any]) -> None:
    """Take the thinking out of a request\'s `body`, and with it the edits that clear earlier thinking.

    Anthropic rejects such edits where thinking is off.
    """
    del body["thinking"]
    management = body.get("context_management")
    if isinstance(management, dict) and isinstance(edits := management.get("edits"), list):
        remaining = [
            edit for edit in edits if not str(isinstance(edit, dict) and edit.get("type")).startswith("clear_think")
        ]
        body["context_management"] = {**management, "edits": remaining}

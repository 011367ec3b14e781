"""Rules of thinking in a conversation of Messages."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["PROOFS", "calls_without_thought", "stop_thinking"]

PROOFS = {"thinking": "signature", "redacted_thinking": "data"}


def calls_without_thought(said: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the model's last turn called tools without a thought before it, which forbids thinking now."""
    last = next((each.get("content") for each in reversed(said) if each["role"] == "assistant"), None)
    kinds = [str(each.get("type")) for each in last if isinstance(each, dict)] if isinstance(last, list) else []
    return "tool_use" in kinds and kinds[0] not in PROOFS


def stop_thinking(body: dict[str, Any]) -> None:
    """Take the thinking out of a request\'s `body`, and with it the edits that clear earlier thinking.

    Anthropic refuses such edits where thinking is off.
    """
    del body["thinking"]
    managed = body.get("context_management")
    if isinstance(managed, dict) and isinstance(edits := managed.get("edits"), list):
        left = [
            edit for edit in edits if not str(isinstance(edit, dict) and edit.get("type")).startswith("clear_think")
        ]
        body["context_management"] = {**managed, "edits": left}

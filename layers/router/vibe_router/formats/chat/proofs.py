"""Proofs of reasoning that chat providers want back: Gemini's thought signatures, OpenRouter's reasoning details.

On its way through another format it is the proof of a reasoning block: JSON of `reasoning_details` and `extra_content`
of the message, and of `calls`, the `extra_content` of tool calls by their ids.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vibe_router.formats.neutral.model import Reasoning, ReasoningProof

__all__ = ["ProofCollector", "details_text", "has_thought_signature", "message_fields", "unsigned_call"]

_TEXTS = ("text", "summary", "data")  # members of a detail that stream in pieces
# Google's documented value for function calls that another model made.
_NO_SIGNATURE = "skip_thought_signature_validator"


def has_thought_signature(extra: object) -> bool:
    """Return whether a call's `extra_content` has a thought signature."""
    google = extra.get("google") if isinstance(extra, dict) else None
    return isinstance(google, dict) and bool(google.get("thought_signature"))


def details_text(delta: Mapping[str, Any]) -> str:
    """Return the readable text in a delta's `reasoning_details`."""
    texts = (part.get("text") or part.get("summary") for part in _dicts(delta.get("reasoning_details")))
    return "".join(text for text in texts if isinstance(text, str))


def _dicts(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


class ProofCollector:
    """Collects the proofs in the deltas of one choice."""

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._fields: dict[str, Any] = {}

    @property
    def pending(self) -> bool:
        """Return whether a proof has been collected and not taken."""
        return bool(self._fields)

    def add(self, delta: Mapping[str, Any]) -> None:
        """Add the message's proofs in `delta`."""
        details = self._fields.setdefault("reasoning_details", []) if "reasoning_details" in delta else []
        for part in _dicts(delta.get("reasoning_details")):
            if details and all(details[-1].get(key) == part.get(key) for key in ("type", "index")):
                _continue(details[-1], part)
            else:
                details.append(dict(part))
        if has_thought_signature(extra := delta.get("extra_content")):
            self._fields["extra_content"] = extra

    def add_call(self, id_: str, call: Mapping[str, Any]) -> None:
        """Add the proof of the tool call `id_`, if `call` has one."""
        if has_thought_signature(extra := call.get("extra_content")):
            self._fields.setdefault("calls", {})[id_] = extra

    def take(self) -> Iterator[ReasoningProof]:
        """Yield what has been collected as the proof of the reasoning so far."""
        fields = {name: value for name, value in self._fields.items() if value}
        self._fields = {}
        if fields:
            yield ReasoningProof(chat=json.dumps(fields, separators=(",", ":")), choice=self._choice)


def _continue(detail: dict[str, Any], part: Mapping[str, Any]) -> None:
    for key, value in part.items():
        if key in _TEXTS and isinstance(value, str) and isinstance(detail.get(key), str):
            detail[key] += value
        elif value is not None:
            detail[key] = value


def message_fields(parts: Sequence[Reasoning]) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Return the fields of a message that give `parts` back to their issuer, and those of its calls by their ids."""
    fields: dict[str, Any] = {}
    calls: dict[str, Any] = {}
    for part in parts:
        try:
            proof = json.loads(part.chat or "{}")
        except (ValueError, RecursionError):  # a caller may send anything
            continue
        if not isinstance(proof, dict):
            continue
        if details := _dicts(proof.get("reasoning_details")):
            fields.setdefault("reasoning_details", []).extend(details)
        if has_thought_signature(proof.get("extra_content")):
            fields["extra_content"] = proof["extra_content"]
        if isinstance(proof.get("calls"), dict):
            calls |= {id_: extra for id_, extra in proof["calls"].items() if has_thought_signature(extra)}
    return fields, calls


def unsigned_call() -> dict[str, Any]:
    """Return the `extra_content` of a call that Gemini did not make itself."""
    return {"google": {"thought_signature": _NO_SIGNATURE}}

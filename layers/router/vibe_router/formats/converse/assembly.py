"""Assemble a stream of Converse into the answer that it would have been whole."""

from collections.abc import Mapping
from typing import Any

from vibe_router.formats.common.json_body import load

__all__ = ["ConverseAssembler"]


class ConverseAssembler:
    """Puts the events of a stream together into the answer that it would have been whole."""

    def __init__(self) -> None:
        self._blocks: dict[int, dict[str, Any]] = {}
        self._rest: dict[str, Any] = {}

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Take one event in."""
        match chunk:
            case {"contentBlockStart": {"start": {"toolUse": dict(named)}, "contentBlockIndex": int(index)}}:
                self._blocks[index] = {"toolUse": {**named, "input": ""}}
            case {"contentBlockDelta": {"delta": dict(delta), "contentBlockIndex": int(index)}}:
                self._add(index, delta)
            case {"messageStop": dict(ending)}:
                self._rest |= ending
            case {"metadata": {"usage": usage}}:
                self._rest["usage"] = usage

    def _add(self, index: int, delta: Mapping[str, Any]) -> None:
        match delta:
            case {"text": str(text)}:
                block = self._blocks.setdefault(index, {"text": ""})
                block["text"] = block.get("text", "") + text
            case {"toolUse": {"input": str(more)}} if "toolUse" in self._blocks.get(index, {}):
                self._blocks[index]["toolUse"]["input"] += more
            case {"reasoningContent": {"redactedContent": str(data)}}:
                self._blocks[index] = {"reasoningContent": {"redactedContent": data}}
            case {"reasoningContent": dict(thought)}:
                block = self._blocks.setdefault(index, {"reasoningContent": {"reasoningText": {"text": ""}}})
                held = block.get("reasoningContent", {}).get("reasoningText", {})
                for name in ("text", "signature"):
                    if isinstance(words := thought.get(name), str):
                        held[name] = held.get(name, "") + words

    def completion(self) -> dict[str, Any]:
        """Return the whole answer."""
        for block in self._blocks.values():
            if (call := block.get("toolUse")) and isinstance(call["input"], str):
                call["input"] = _object(call["input"])
        return {"output": {"message": {"role": "assistant", "content": list(self._blocks.values())}}, **self._rest}


def _object(text: str) -> object:
    try:
        return load((text or "{}").encode())
    except ValueError:  # cut short by the bound on tokens: what came of it stands as it is
        return text

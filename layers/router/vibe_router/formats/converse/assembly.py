"""Assemble a stream of Converse into the whole answer."""

from collections.abc import Mapping
from typing import Any

from vibe_router.formats.common.json_body import load

__all__ = ["ConverseAssembler"]


class ConverseAssembler:
    """Collects the events of a stream into the whole answer."""

    def __init__(self) -> None:
        self._blocks: dict[int, dict[str, Any]] = {}
        self._rest: dict[str, Any] = {}

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Add one event."""
        match chunk:
            case {"contentBlockStart": {"start": {"toolUse": dict(call)}, "contentBlockIndex": int(index)}}:
                self._blocks[index] = {"toolUse": {**call, "input": ""}}
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
            case {"reasoningContent": dict(delta_thinking)}:
                block = self._blocks.setdefault(index, {"reasoningContent": {"reasoningText": {"text": ""}}})
                thinking = block.get("reasoningContent", {}).get("reasoningText", {})
                for name in ("text", "signature"):
                    if isinstance(part := delta_thinking.get(name), str):
                        thinking[name] = thinking.get(name, "") + part

    def answer(self) -> dict[str, Any]:
        """Return the whole answer."""
        for block in self._blocks.values():
            if (call := block.get("toolUse")) and isinstance(call["input"], str):
                call["input"] = _parse_input(call["input"])
        return {"output": {"message": {"role": "assistant", "content": list(self._blocks.values())}}, **self._rest}


def _parse_input(text: str) -> object:
    try:
        return load((text or "{}").encode())
    except ValueError:  # truncated: return the text as it is
        return text

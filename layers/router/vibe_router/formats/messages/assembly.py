"""Puts a stream of Messages together into the message that it would have been."""

from collections.abc import Mapping
from typing import Any

from vibe_router.formats.common.json_body import load

__all__ = ["MessagesAssembler", "read_input"]

# Under this name Anthropic's guide to tools has what the model wrote where it is no JSON.
_NO_JSON = "INVALID_JSON"


class MessagesAssembler:
    """Collects chunks; `completion()` is their sum: deltas grow the block of their index, totals replace totals."""

    def __init__(self) -> None:
        self._message: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._grown: dict[int, dict[str, list[str]]] = {}

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Take one chunk in."""
        match chunk:
            case {"type": "content_block_delta", "index": int(index), "delta": dict(delta)}:
                self._grow(index, delta)
            case {"type": "content_block_start", "index": int(index), "content_block": dict(block)}:
                self._blocks[index] = dict(block)
                self._grown[index] = {}
            case {"type": "message_start", "message": dict(message)}:
                self._message.update(message)
                self._count(message.get("usage"))
            case {"type": "message_delta"}:
                ending = chunk.get("delta")
                if isinstance(ending, dict):
                    self._message.update(ending)
                self._count(chunk.get("usage"))

    def completion(self) -> dict[str, Any]:
        """Return the message."""
        content = [self._whole(index) for index in sorted(self._blocks)]
        head = {"type": "message", "role": "assistant", **self._message}
        return {"stop_reason": None, "stop_sequence": None, **head, "content": content, "usage": self._usage}

    def _count(self, counts: object) -> None:
        if isinstance(counts, dict):
            self._usage |= {name: value for name, value in counts.items() if value or name not in self._usage}

    def _grow(self, index: int, delta: Mapping[str, Any]) -> None:
        block, grown = self._blocks.setdefault(index, {"type": "text"}), self._grown.setdefault(index, {})
        match delta:
            case {"type": "text_delta", "text": str(more)}:
                grown.setdefault("text", []).append(more)
            case {"type": "thinking_delta", "thinking": str(more)}:
                grown.setdefault("thinking", []).append(more)
            case {"type": "input_json_delta", "partial_json": str(more)}:
                grown.setdefault("input", []).append(more)
            case {"type": "signature_delta", "signature": str(signature)}:
                block["signature"] = signature
            case {"type": "citations_delta", "citation": citation}:
                cited = block.get("citations")
                block["citations"] = [*(cited if isinstance(cited, list) else ()), citation]

    def _whole(self, index: int) -> dict[str, Any]:
        block, grown = self._blocks[index], self._grown[index]
        for name in ("text", "thinking"):
            if name in grown or block.get("type") == name:
                held = block.get(name)
                block[name] = (held if isinstance(held, str) else "") + "".join(grown.get(name, ()))
        if written := "".join(grown.get("input", ())):
            block["input"] = read_input(written)
        return block


def read_input(written: str) -> dict[str, Any]:
    """Return the input of a tool from the JSON text that the model wrote, which may be none."""
    if not written.strip():
        return {}
    try:
        value = load(written.encode(errors="surrogatepass"))
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {_NO_JSON: written}

"""Assemble a stream of Messages into the whole message."""

from collections.abc import Mapping
from typing import Any

from vibe_router.formats.common.json_body import load

__all__ = ["MessagesAssembler", "read_input"]

# The name that Anthropic's guide to tools gives to arguments that are not valid JSON.
_INVALID_JSON = "INVALID_JSON"


class MessagesAssembler:
    """Collects chunks. Deltas extend the block at their index; later totals replace earlier ones."""

    def __init__(self) -> None:
        self._message: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._deltas: dict[int, dict[str, list[str]]] = {}

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Add one chunk."""
        match chunk:
            case {"type": "content_block_delta", "index": int(index), "delta": dict(delta)}:
                self._extend(index, delta)
            case {"type": "content_block_start", "index": int(index), "content_block": dict(block)}:
                self._blocks[index] = dict(block)
                self._deltas[index] = {}
            case {"type": "message_start", "message": dict(message)}:
                self._message.update(message)
                self._count(message.get("usage"))
            case {"type": "message_delta"}:
                ending = chunk.get("delta")
                if isinstance(ending, dict):
                    self._message.update(ending)
                self._count(chunk.get("usage"))

    def answer(self) -> dict[str, Any]:
        """Return the message."""
        content = [self._block(index) for index in sorted(self._blocks)]
        head = {"type": "message", "role": "assistant", **self._message}
        return {"stop_reason": None, "stop_sequence": None, **head, "content": content, "usage": self._usage}

    def _count(self, counts: object) -> None:
        if isinstance(counts, dict):
            self._usage |= {name: value for name, value in counts.items() if value or name not in self._usage}

    def _extend(self, index: int, delta: Mapping[str, Any]) -> None:
        block, deltas = self._blocks.setdefault(index, {"type": "text"}), self._deltas.setdefault(index, {})
        match delta:
            case {"type": "text_delta", "text": str(more)}:
                deltas.setdefault("text", []).append(more)
            case {"type": "thinking_delta", "thinking": str(more)}:
                deltas.setdefault("thinking", []).append(more)
            case {"type": "input_json_delta", "partial_json": str(more)}:
                deltas.setdefault("input", []).append(more)
            case {"type": "signature_delta", "signature": str(signature)}:
                block["signature"] = signature
            case {"type": "citations_delta", "citation": citation}:
                citations = block.get("citations")
                block["citations"] = [*(citations if isinstance(citations, list) else ()), citation]

    def _block(self, index: int) -> dict[str, Any]:
        block, deltas = self._blocks[index], self._deltas[index]
        for name in ("text", "thinking"):
            if name in deltas or block.get("type") == name:
                initial = block.get(name)
                block[name] = (initial if isinstance(initial, str) else "") + "".join(deltas.get(name, ()))
        if arguments := "".join(deltas.get("input", ())):
            block["input"] = read_input(arguments)
        return block


def read_input(arguments: str) -> dict[str, Any]:
    """Parse a tool's input as the model wrote it; whatever is not a JSON object goes under `INVALID_JSON`."""
    if not arguments.strip():
        return {}
    try:
        value = load(arguments.encode(errors="surrogatepass"))
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {_INVALID_JSON: arguments}

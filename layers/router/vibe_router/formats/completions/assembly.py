"""Puts a stream of legacy completions together."""

from collections.abc import Mapping
from typing import Any

from vibe_router.formats.chat.assembly import ChatAssembler

__all__ = ["CompletionsAssembler"]


class CompletionsAssembler:
    """Collects chunks as `ChatAssembler` does, with the text in place of a message."""

    def __init__(self) -> None:
        self._assembler = ChatAssembler()

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Add one chunk."""
        choices = chunk.get("choices")
        as_chat = [
            {**{key: value for key, value in choice.items() if key != "text"}, "delta": {"content": choice.get("text")}}
            for choice in (choices if isinstance(choices, list) else ())
            if isinstance(choice, dict)
        ]
        self._assembler.add({**chunk, "choices": as_chat})

    def answer(self) -> dict[str, Any]:
        """Return the whole answer."""
        whole = self._assembler.answer()
        choices = [
            {
                "text": choice["message"]["content"] or "",
                "logprobs": None,
                **{key: value for key, value in choice.items() if key != "message"},
            }
            for choice in whole["choices"]
        ]
        return {**whole, "object": "text_completion", "choices": choices}

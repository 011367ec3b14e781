"""Content of a chat message as a string or as a list of parts: Mistral's models reason in parts."""

from collections.abc import Iterator
from typing import Any, Literal

__all__ = ["as_parts", "read_parts"]

Kind = Literal["text", "reasoning", "refusal"]
_KINDS: dict[object, Kind] = {
    "text": "text",
    "output_text": "text",
    "thinking": "reasoning",
    "reasoning": "reasoning",
    "reasoning_text": "reasoning",
    "refusal": "refusal",
}


def read_parts(content: object) -> Iterator[tuple[Kind, str]]:
    """Yield the kind and the text of each part of `content`. Parts without text are skipped."""
    if isinstance(content, str):
        yield "text", content
        return
    for part in content if isinstance(content, list) else (content,):
        if isinstance(part, str):
            yield "text", part
        elif isinstance(part, dict):
            kind = _KINDS.get(part.get("type", "text") if isinstance(part.get("type", "text"), str) else None)
            if kind and (text := _text_of(part)):
                yield kind, text


def _text_of(part: dict[Any, Any]) -> str:
    """Return the text of a part, which is in the member of its type's name: a string, or a list of text parts."""
    for name in ("text", part.get("type"), "content"):
        inner = part.get(name) if isinstance(name, str) else None
        if isinstance(inner, str):
            return inner
        if isinstance(inner, list):
            return "".join(each if isinstance(each, str) else _string(each, "text") for each in inner)
    return ""


def _string(value: object, name: str) -> str:
    text = value.get(name) if isinstance(value, dict) else None
    return text if isinstance(text, str) else ""


def as_parts(content: object) -> list[Any]:
    """Return `content` as a list of parts."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return list(content) if isinstance(content, list) else [content] if isinstance(content, dict) else []

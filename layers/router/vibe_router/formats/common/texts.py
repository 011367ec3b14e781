"""The texts in a request's JSON body: what users, tools and models wrote, in every caller's format.

Only the fields that hold a conversation or an input are looked at, and in them only text: no ids, names, URLs, binary
data or proofs of reasoning. Linear in the size of the body.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["BINARY", "FIELDS", "TEXTS", "WHOLE", "map_texts", "messages_of"]

FIELDS: Mapping[str, tuple[str, ...]] = {
    "chat": ("messages",),
    "completions": ("prompt",),
    "messages": ("system", "messages"),
    "responses": ("instructions", "input"),
    "gemini": ("systemInstruction", "contents"),
    "embeddings": ("input",),
    "moderations": ("input",),
    "images": ("prompt",),
    "speech": ("input",),
    "rerank": ("query", "documents"),
}
"""The fields of each format that hold texts."""
TEXTS = frozenset(
    {
        "arguments",
        "content",
        "documents",
        "input",
        "instructions",
        "output",
        "prompt",
        "query",
        "refusal",
        "system",
        "systemInstruction",
        "text",
        "contents",
    }
)
"""Names of fields whose strings, and lists of strings, are texts."""
WHOLE = frozenset({"args", "response"})
"""Names of fields whose JSON objects hold nothing but texts: Gemini's arguments and results."""
BINARY = frozenset({"data", "file_data", "image_url", "source", "inlineData", "inline_data", "fileData", "input_audio"})
"""Names of fields that hold binary data, or say where it is."""


def map_texts(format_name: str, body: dict[str, Any], change: Callable[[str], str]) -> None:
    """Replace every text of `body`, a request in the format `format_name`, by what `change` returns for it."""
    for name in FIELDS.get(format_name, ()):
        if name in body:
            body[name] = _mapped(body[name], name, change, whole=False)


def messages_of(format_name: str, body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (role, text) for every text of `body`, in order; a text outside of a message has the role of its field."""
    for name in FIELDS.get(format_name, ()):
        value = body.get(name)
        for each in value if isinstance(value, list) else [value]:
            role = str(each.get("role") or each.get("type") or name) if isinstance(each, dict) else name
            for text in _texts(each, name):
                yield role, text


def _texts(value: Any, name: str) -> list[str]:
    found: list[str] = []

    def collect(text: str) -> str:
        found.append(text)
        return text

    _mapped(value, name, collect, whole=False)
    return found


def _mapped(value: Any, name: str, change: Callable[[str], str], *, whole: bool) -> Any:
    match value:
        case str():
            return change(value) if whole or name in TEXTS else value
        case list():
            return [_mapped(each, name, change, whole=whole) for each in value]
        case dict():
            # The input of Anthropic's tool calls is an object, where elsewhere it is text.
            whole = whole or name in WHOLE or (name == "input" and "type" not in value and "role" not in value)
            return {
                key: each if key in BINARY else _mapped(each, key, change, whole=whole) for key, each in value.items()
            }
    return value

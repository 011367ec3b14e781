"""Redact documents of the archive: what guards find in a request and in its answer, even if they only report it.

Imported with the first archived request that has guards.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vibe_router.core.errors import ApiError
from vibe_router.core.models import Guard
from vibe_router.guards.inspection import redact_texts

__all__ = ["redact_answer", "redact_request"]

_UNREADABLE = {"omitted": "guards cannot read it"}
# Members of answers that are no texts: names, ids, and bytes as text.
_NO_TEXTS = frozenset(
    {"id", "call_id", "item_id", "response_id", "responseId", "previous_response_id", "object", "model", "modelVersion"}
    | {"type", "role", "status", "finish_reason", "finishReason", "stop_reason", "service_tier", "system_fingerprint"}
    | {"encrypted_content", "signature", "thoughtSignature", "data", "b64_json", "embedding"}
)


def redact_request(format_name: str, part: Mapping[str, Any], guards: Sequence[Guard]) -> dict[str, Any]:
    """Return the request of a document without anything that `guards` find in its texts."""
    if "body" not in part:
        return dict(part)
    try:
        return {**part, "body": redact_texts(format_name, part["body"], guards)}
    except ApiError:  # nested too deeply
        return _UNREADABLE


def redact_answer(part: Mapping[str, Any], guards: Sequence[Guard]) -> dict[str, Any]:
    """Return the answer of a document without anything that `guards` find in its texts."""
    if "body" not in part:
        return dict(part)
    try:
        texts = list(_texts(part["body"]))
        blocks = [{"type": "text", "text": text} for text in texts]
        redacted = redact_texts("chat", {"messages": [{"role": "assistant", "content": blocks}]}, guards)
        replacements = iter([block["text"] for block in redacted["messages"][0]["content"]])
        return {**part, "body": _replaced(part["body"], replacements)}
    except (ApiError, RecursionError):
        return _UNREADABLE


def _texts(value: Any, name: str = "") -> Iterator[str]:
    """Yield the texts in `value`, in the order in which `_replaced` replaces them."""
    if isinstance(value, str) and name not in _NO_TEXTS:
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _texts(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, name)


def _replaced(value: Any, texts: Iterator[str], name: str = "") -> Any:
    if isinstance(value, str) and name not in _NO_TEXTS:
        return next(texts)
    if isinstance(value, dict):
        return {key: _replaced(each, texts, key) for key, each in value.items()}
    return [_replaced(each, texts, name) for each in value] if isinstance(value, list) else value

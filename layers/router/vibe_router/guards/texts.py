"""The texts of a request that guards read and change: prompts, tool results and tool arguments, in every format.

They are the texts that hooks see (`formats.common.texts`), and besides: thinking of earlier turns, documents and search
results given as text, code of hosted tools, and the values in tool arguments, one by one. Not covered are pictures,
audio, files, ids, names, and the definitions of tools.

Linear in the size of the body; what nobody changes is not copied.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from vibe_router.core.errors import bad_request
from vibe_router.formats.common.texts import BINARY, FIELDS, TEXTS, WHOLE

__all__ = ["PLACES", "Change", "Place", "rewrite_items", "rewrite_strings", "rewrite_texts", "texts_of"]

Place = Literal["prompts", "tool_results", "tool_arguments"]
PLACES: tuple[Place, ...] = ("prompts", "tool_results", "tool_arguments")

Change = Callable[[str, Place, str], str]
"""Takes a text, its place, and the name of the field if it is a value in tool arguments; returns the text to send."""

_FIELDS: Mapping[str, tuple[str, ...]] = {
    **FIELDS,
    "chat": ("messages", "prediction"),
    "completions": ("prompt", "suffix"),
    "responses": ("instructions", "input", "prompt"),
    "speech": ("input", "instructions"),
    "image_edits": ("prompt",),
    "transcriptions": ("prompt",),
}
_TEXTS = TEXTS | {"thinking", "reasoning_content", "reasoning", "code", "logs", "outputs", "diff", "suffix", "title"}
_TEXTS |= {"context", "logs", "stdout", "stderr"}
_WHOLE = WHOLE | {"variables"}
_WHOLE_OF_CALLS = frozenset(("action", "operation", "input"))
# Members of answers that are no texts: names, ids, and bytes as text.
_NO_TEXTS = frozenset(
    {"id", "call_id", "item_id", "response_id", "responseId", "previous_response_id", "object", "model", "modelVersion"}
    | {"type", "role", "status", "finish_reason", "finishReason", "stop_reason", "service_tier", "system_fingerprint"}
    | {"encrypted_content", "signature", "thoughtSignature", "data", "b64_json", "embedding"}
)
_LEAST_NUMBER = 10**7  # that may be a phone or card number
_ARGUMENTS = frozenset(("arguments", "args", "toolUse"))


def rewrite_texts(format_name: str, body: Mapping[str, Any], change: Change) -> Mapping[str, Any]:
    """Return `body`, a request in the format `format_name`, with every text as `change` returns it.

    It is the same object if nothing changes. Raises ApiError (400) if it is nested too deeply.
    """
    changed: dict[str, Any] = {}
    try:
        for name in _FIELDS.get(format_name, ()):
            value = body.get(name)
            if value is not None and (after := _Rewriting(change).value(value, name, "prompts")) is not value:
                changed[name] = after
    except RecursionError:
        raise bad_request("The body is nested too deeply.") from None
    return {**body, **changed} if changed else body


def rewrite_strings(value: Any, change: Change) -> Any:
    """Return an answer's JSON with its strings as `change` returns them, but for names and ids; as `rewrite_texts`."""
    try:
        return _Rewriting(change, _NO_TEXTS).value(value, "", "prompts", whole=True)
    except RecursionError:
        raise bad_request("The body is nested too deeply.") from None


def rewrite_items(items: Sequence[Mapping[str, Any]], change: Change) -> Sequence[Mapping[str, Any]]:
    """Return items of a conversation in Responses with every text as `change` returns it; as `rewrite_texts`."""
    after: Sequence[Mapping[str, Any]] = rewrite_texts("responses", {"input": list(items)}, change)["input"]
    return items if all(new is old for new, old in zip(after, items, strict=True)) else after


class _Rewriting:
    def __init__(self, change: Change, no_texts: frozenset[str] = frozenset()) -> None:
        self._change = change
        self._no_texts = no_texts

    def value(self, value: Any, name: str, place: Place, *, whole: bool = False, field: str = "") -> Any:
        """Return `value` of the member `name`; in a `whole` value every string is a text, also that in `field`."""
        match value:
            case str() if name in self._no_texts:
                return value
            case str():
                if name == "arguments" and place == "tool_arguments":
                    return self._arguments(value)
                return self._change(value, place, field) if value and (whole or name in _TEXTS) else value
            case int() if whole and abs(value) >= _LEAST_NUMBER:
                text = str(value)
                after = self._change(text, place, field)
                return value if after == text else after  # a placeholder is a text
            case list():
                return self._list(value, name, place, whole=whole, field=field)
            case dict():
                return self._members(value, name, place, whole=whole)
        return value

    def _list(self, values: list[Any], name: str, place: Place, *, whole: bool, field: str) -> list[Any]:
        after = [self.value(each, name, place, whole=whole, field=field) for each in values]
        return after if any(new is not old for new, old in zip(after, values, strict=True)) else values

    def _members(self, value: dict[str, Any], name: str, place: Place, *, whole: bool) -> dict[str, Any]:
        kind = value.get("type")
        kind = kind if isinstance(kind, str) else ""
        is_call = not whole and kind.endswith(("_call", "tool_use"))
        if not whole:
            place = _place_of(value, kind, name, place)
        changed: dict[str, Any] = {}
        for key, each in value.items():
            if isinstance(each, dict | list | str) or (whole and type(each) is int):
                after = self._member(key, each, place, whole=whole, is_call=is_call)
                if after is not each:
                    changed[key] = after
        return {**value, **changed} if changed else value

    def _member(self, key: str, value: Any, place: Place, *, whole: bool, is_call: bool) -> Any:
        if whole:
            return self.value(value, key, place, whole=True, field=key)
        if key == "source" and isinstance(value, dict):
            return self._source(value, place)
        if key in BINARY:
            return value
        if key in _ARGUMENTS or (is_call and key in _WHOLE_OF_CALLS):
            whole = not isinstance(value, str) or key != "arguments"
            return self.value(value, key, "tool_arguments", whole=whole)
        if key in ("response", "output"):
            place = "tool_results"
        return self.value(value, key, place, whole=key in _WHOLE)

    def _source(self, source: dict[str, Any], place: Place) -> dict[str, Any]:
        """Return the source of a document: its text or its parts, if it consists of any."""
        name = {"text": "data", "content": "content"}.get(str(source.get("type")))
        if name is None or name not in source:
            return source
        after = self.value(source[name], "text", place)
        return source if after is source[name] else {**source, name: after}

    def _arguments(self, text: str) -> str:
        """Return the JSON of tool arguments with its values changed; text that is no JSON is changed as it is."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return self._change(text, "tool_arguments", "")
        if not isinstance(value, dict | list | str):
            return text
        after = self.value(value, "", "tool_arguments", whole=True)
        return text if after is value else json.dumps(after, ensure_ascii=False)


def _place_of(value: Mapping[str, Any], kind: str, name: str, place: Place) -> Place:
    """Return the place of the texts in an object: a message, an item, a part."""
    if kind.endswith(("tool_result", "_output")) or value.get("role") in ("tool", "function"):
        return "tool_results"
    if name in ("functionResponse", "function_response", "codeExecutionResult"):
        return "tool_results"
    if kind.endswith(("_call", "tool_use")) or name in ("function_call", "functionCall", "executableCode", "custom"):
        return "tool_arguments"
    return "tool_arguments" if name == "function" and isinstance(value.get("arguments"), str) else place


def texts_of(format_name: str, body: Mapping[str, Any], places: Sequence[Place] = PLACES) -> list[str]:
    """Return the texts in `places`, in order."""
    found: list[str] = []

    def note(text: str, place: Place, _field: str) -> str:
        if place in places:
            found.append(text)
        return text

    rewrite_texts(format_name, body, note)
    return found

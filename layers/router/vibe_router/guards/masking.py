"""Replace what guards find by placeholders, and put it back into the answer.

    request   Write to jane@example.com     ->  Write to [EMAIL_1]        to the provider
    answer    I wrote to jane@example.com   <-  I wrote to [EMAIL_1]      from the provider

Within a request a value has one placeholder. They are numbered in the order of the conversation, so that the next turn,
which begins alike, has the same ones and a provider's prompt cache keeps working.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from vibe_router.core.errors import bad_request

__all__ = ["Masker", "Restorer", "TextRestorer", "placeholders_in"]

_LABELS = {"secrets": "SECRET", "emails": "EMAIL", "phones": "PHONE", "cards": "CARD"}
_NO_LABEL = re.compile(r"[^A-Z0-9]+")
_PLACEHOLDER = re.compile(r"\[[A-Z][A-Z0-9_]{0,40}_[0-9]{1,7}\]")
_MAX_VALUES = 20_000  # that one request may have masked: each takes memory until its answer has been sent
# The strings of an answer in which JSON is written: a value is escaped there.
_JSON_FIELDS = frozenset(("arguments", "partial_json"))
_TEXT_FIELDS = frozenset(("content", "text"))  # of answers that were asked for in JSON
_PLAIN = frozenset(("args", "input"))  # objects whose strings are plain: arguments that are not written as JSON


def placeholders_in(text: str) -> set[str]:
    """Return everything in `text` that looks like a placeholder."""
    return set(_PLACEHOLDER.findall(text))


class Masker:
    """Gives at most `limit` values their placeholders. `is_taken` says whether a text is in the request already."""

    def __init__(self, is_taken: Callable[[str], bool], limit: int = _MAX_VALUES) -> None:
        self._is_taken = is_taken
        self._limit = limit
        self._placeholders: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}
        self.values: dict[str, str] = {}
        """The value of each placeholder."""

    def placeholder(self, kind: str, value: str) -> str:
        """Return the placeholder of `value`, which was found as `kind`. Raises ApiError (400) for too many values."""
        label = _LABELS.get(kind) or _NO_LABEL.sub("_", kind.upper()).strip("_") or "VALUE"
        known = self._placeholders.get((label, value))
        if known is not None:
            return known
        if len(self.values) == self._limit:
            raise bad_request(f"The request has more than {self._limit:,} values that guards mask.")
        while True:
            self._counts[label] = number = self._counts.get(label, 0) + 1
            placeholder = f"[{label}_{number}]"
            if placeholder not in self.values and not self._is_taken(placeholder):
                break
        self._placeholders[label, value] = placeholder
        self.values[placeholder] = value
        return placeholder


class Restorer:
    """Puts values back in place of their placeholders. With `in_json`, the texts of the answer are JSON."""

    def __init__(self, values: Mapping[str, str], *, in_json: bool = False) -> None:
        self._plain = dict(values)
        self._escaped = {name: json.dumps(value, ensure_ascii=False)[1:-1] for name, value in values.items()}
        self._in_json = in_json
        self._beginnings = {name[:end] for name in values for end in range(1, len(name))}

    def text(self, text: str, *, in_json: bool) -> str:
        """Return `text` with all values; `in_json` if it is a part of JSON itself."""
        if "[" not in text:
            return text
        values = self._escaped if in_json else self._plain
        restored = _PLACEHOLDER.sub(lambda found: values.get(found[0], found[0]), text)
        return text if restored == text else restored

    def is_json(self, field: str) -> bool:
        """Return whether the texts in the answer's `field` are parts of JSON."""
        return field in _JSON_FIELDS or (self._in_json and field in _TEXT_FIELDS)

    def value(self, value: Any, field: str = "", *, is_plain: bool = False) -> Any:
        """Return JSON with the values in all its strings; the same object if there is no placeholder in it."""
        match value:
            case str():
                return self.text(value, in_json=not is_plain and self.is_json(field)) if "[" in value else value
            case list():
                items = [self.value(each, field, is_plain=is_plain) for each in value]
                return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
            case dict():
                is_plain = is_plain or field in _PLAIN
                members = {key: self.value(each, key, is_plain=is_plain) for key, each in value.items()}
                return members if any(members[key] is not value[key] for key in value) else value
        return value

    def cut(self, text: str) -> int:
        """Return where a placeholder begins that may go on after the end of `text`; its length if none does."""
        start = text.rfind("[")
        return start if start >= 0 and text[start:] in self._beginnings else len(text)


class TextRestorer:
    """Restores one text that arrives in pieces; it holds back no more than the beginning of a placeholder."""

    def __init__(self, restorer: Restorer, *, in_json: bool) -> None:
        self._restorer = restorer
        self._in_json = in_json
        self.held = ""

    def feed(self, piece: str) -> str:
        """Return what may be sent of the text so far."""
        text = self.held + piece
        cut = self._restorer.cut(text)
        self.held = text[cut:]
        return self._restorer.text(text[:cut], in_json=self._in_json)

    def end(self) -> str:
        """Return what was held back: no placeholder after all."""
        held, self.held = self.held, ""
        return held

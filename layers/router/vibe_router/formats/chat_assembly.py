"""Puts a chat stream together into the completion that it would have been."""

from collections.abc import Mapping
from typing import Any

__all__ = ["Assembly"]

_LAST_WINS = frozenset({"id", "index", "type", "role", "object", "finish_reason"})  # repeated whole, never in pieces


class Assembly:
    """Collects chunks; `completion()` is their sum: strings grow, lists merge by `index`, the rest is overwritten."""

    def __init__(self) -> None:
        self._base: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Take one chunk in."""
        choices = chunk.get("choices")
        self._base.update({key: value for key, value in chunk.items() if value is not None or key not in self._base})
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                index = choice.get("index", 0)
                self._add_choice(index if isinstance(index, int) else 0, choice)

    def completion(self) -> dict[str, Any]:
        """Return the completion."""
        choices = []
        for index, parts in sorted(self._choices.items()):
            rest = {key: value for key, value in parts.items() if key != "delta"}
            message = {"role": "assistant", "content": None, **parts.get("delta", {})}
            if isinstance(calls := message.get("tool_calls"), list):
                message["tool_calls"] = [_without_index(call) for call in calls if isinstance(call, dict)]
            choices.append({"finish_reason": None, **rest, "index": index, "message": message})
        return {**self._base, "object": "chat.completion", "choices": choices}

    def _add_choice(self, index: int, choice: Mapping[str, Any]) -> None:
        into = self._choices.setdefault(index, {"index": index})
        for key, value in choice.items():
            if key == "delta":
                if isinstance(value, dict):
                    _merge(into.setdefault("delta", {}), value)
            elif value is None:
                into.setdefault(key, None)
            else:
                into[key] = _merged(into.get(key), value) if isinstance(value, dict) else value


def _without_index(call: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in call.items() if key != "index"}


def _merge(into: dict[str, Any], new: Mapping[str, Any]) -> None:
    for key, value in new.items():
        if value is None:
            into.setdefault(key, None)
        else:
            into[key] = value if key in _LAST_WINS else _merged(into.get(key), value)


def _merged(old: object, new: object) -> object:
    """Return `old` continued by `new`."""
    if isinstance(old, str) and isinstance(new, str):
        return old + new
    if isinstance(new, dict):
        result = dict(old) if isinstance(old, dict) else {}
        _merge(result, new)
        return result
    if isinstance(new, list):
        result_list = list(old) if isinstance(old, list) else []
        for item in new:
            _merge_item(result_list, item)
        return result_list
    return new


def _merge_item(items: list[Any], item: object) -> None:
    """Continue the item with the same `index`, or append: logprobs and annotations have none and only grow."""
    if isinstance(item, dict) and isinstance(item.get("index"), int):
        for at, old in enumerate(items):
            if isinstance(old, dict) and old.get("index") == item["index"]:
                items[at] = _merged(old, item)
                return
        items.append(_merged(None, item))
    else:
        items.append(item)

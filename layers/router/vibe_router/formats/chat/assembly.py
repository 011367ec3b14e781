"""Joins a chat stream into a whole completion."""

from collections.abc import Mapping
from typing import Any

from vibe_router.formats.common.json_body import load

__all__ = ["ChatAssembler", "names_another"]

_LAST_WINS = frozenset({"id", "index", "type", "role", "object", "finish_reason"})  # repeated in full, never in pieces


class ChatAssembler:
    """Collects chunks: strings are concatenated, lists merged by `index`, everything else is overwritten.

    Tool calls are told apart as in `blocks`: some providers give all of them one index, or none.
    """

    def __init__(self) -> None:
        self._base: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Add one chunk."""
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
        elif key == "tool_calls" and isinstance(value, list):
            into[key] = _with_calls(into.get(key), value)
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


def _with_calls(old: object, new: list[Any]) -> list[Any]:
    calls = list(old) if isinstance(old, list) else []
    for call in new:
        if not isinstance(call, dict):
            continue
        at = _place(calls, call)
        if at is None or _is_another(calls[at], call):
            calls.append(_merged(None, call))
        else:
            same = {"id": calls[at]["id"]} if calls[at].get("id") else {}  # some providers give every piece another
            calls[at] = _merged(calls[at], {**call, **same})
    return calls


def _place(calls: list[Any], call: Mapping[str, Any]) -> int | None:
    """Return the position in `calls` that `call` continues: its index; without one its id, else the last."""
    name = "index" if isinstance(call.get("index"), int) else "id" if call.get("id") else None
    if name is None:
        return len(calls) - 1 if calls else None
    return next((at for at in reversed(range(len(calls))) if calls[at].get(name) == call[name]), None)


def names_another(name: object, id_: object, before: object) -> bool:
    """Whether a piece has a name, and an id other than `before` at the same index; a complete call ends with that.

    Some relays give every call the same index, others every piece of one call its own id.
    """
    return bool(name and isinstance(id_, str) and id_ and id_ != before)


def _is_another(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether `new` begins another call at the index of `old`: it has a name and another id, and `old` is complete."""
    id_, function, begun = new.get("id"), new.get("function"), old.get("function")
    if not (isinstance(function, dict) and isinstance(begun, dict)):
        return False
    if not names_another(function.get("name"), id_, old.get("id")):
        return False
    try:
        return isinstance(load(begun.get("arguments", "").encode()), dict)
    except (ValueError, AttributeError):  # incomplete, or not a string
        return False


def _merge_item(items: list[Any], item: object) -> None:
    """Continue the item with the same `index`, or append: logprobs and annotations have no index."""
    if isinstance(item, dict) and isinstance(item.get("index"), int):
        for at, old in enumerate(items):
            if isinstance(old, dict) and old.get("index") == item["index"]:
                items[at] = _merged(old, item)
                return
        items.append(_merged(None, item))
    else:
        items.append(item)

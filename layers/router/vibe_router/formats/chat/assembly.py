"""Joins a chat stream into a whole completion."""

import itertools
from collections.abc import Mapping
from typing import Any

from vibe_router.formats.chat.content import as_parts, read_parts
from vibe_router.formats.chat.tool_calls import PLACEHOLDER, CallState, begins_another_call, joined_name
from vibe_router.formats.common.json_body import load

__all__ = ["ChatAssembler"]

_LAST_WINS = frozenset({"id", "index", "type", "role", "object", "finish_reason"})  # repeated in full, never in pieces


class ChatAssembler:
    """Collects chunks: strings are concatenated, lists merged by `index`, everything else is overwritten.

    Tool calls are distinguished as in `blocks`: some providers give all of them one index, or none.
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

    def answer(self) -> dict[str, Any]:
        """Return the whole answer."""
        choices = []
        for index, parts in sorted(self._choices.items()):
            rest = {key: value for key, value in parts.items() if key != "delta"}
            message = {"role": "assistant", "content": None, **parts.get("delta", {})}
            if isinstance(calls := message.get("tool_calls"), list):
                message["tool_calls"] = [_completed(call) for call in calls if isinstance(call, dict)]
            if isinstance(message["content"], list):
                _join_parts(message)
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


def _completed(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return a whole call: without its index, and with arguments."""
    whole = {key: value for key, value in call.items() if key != "index"}
    if isinstance(function := whole.get("function"), dict) and not function.get("arguments"):
        whole["function"] = {**function, "arguments": PLACEHOLDER}
    return whole


def _join_parts(message: dict[str, Any]) -> None:
    """Make the content of a message a string, with its reasoning apart, if it has parts of text and reasoning only."""
    parts = message["content"]
    read = [list(read_parts(part)) for part in parts]
    if not all(read):
        return
    joined = {"text": "", "reasoning": "", "refusal": ""}
    for kind, text in itertools.chain.from_iterable(read):
        joined[kind] += text
    message["content"] = joined["text"] or None
    if joined["reasoning"]:
        message["reasoning_content"] = (message.get("reasoning_content") or "") + joined["reasoning"]
    if joined["refusal"]:
        message["refusal"] = (message.get("refusal") or "") + joined["refusal"]


def _merge(into: dict[str, Any], new: Mapping[str, Any]) -> None:
    for key, value in new.items():
        if value is None:
            into.setdefault(key, None)
        elif key == "tool_calls" and isinstance(value, list):
            into[key] = _with_calls(into.get(key), value)
        elif key == "function" and isinstance(value, dict):
            into[key] = _with_function(into.get(key), value)
        elif key == "content" and (isinstance(value, list) or isinstance(into.get(key), list)):
            into[key] = [*as_parts(into.get(key)), *as_parts(value)]
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


def _is_another(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Return whether `new` begins another call at the index of `old`."""
    function, begun = new.get("function"), old.get("function")
    if not (isinstance(function, dict) and isinstance(begun, dict) and function.get("name")):
        return False
    arguments, name = begun.get("arguments"), begun.get("name")
    arguments = arguments if isinstance(arguments, str) else ""
    before = CallState(old.get("id"), name if isinstance(name, str) else "", arguments, _is_object(arguments))
    more = isinstance(function.get("arguments"), str) and bool(function["arguments"].strip())
    return begins_another_call(before, function["name"], new.get("id"), more=more, tools=())


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(load(arguments.encode()), dict)
    except ValueError:  # incomplete
        return False


def _with_function(old: object, new: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call's function continued by `new`, which may repeat the name and replace placeholder arguments."""
    before = old if isinstance(old, dict) else {}
    merged = {**before}
    _merge(merged, new)
    name, more = new.get("name"), new.get("arguments")
    if isinstance(name, str) and isinstance(begun := before.get("name"), str):
        merged["name"] = joined_name(begun, name)
    begun = before.get("arguments")
    if isinstance(begun, str) and begun.strip() == PLACEHOLDER and isinstance(more, str) and more.strip():
        merged["arguments"] = more
    return merged


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

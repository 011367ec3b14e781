"""Order turns as Anthropic requires: users and assistants alternate, and tool results directly follow their calls."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["OPENING", "alternate_turns"]

OPENING = "(The assistant speaks first.)"

Block = dict[str, Any]


def alternate_turns(messages: Iterable[tuple[str, Sequence[Block]]]) -> list[dict[str, Any]]:
    """Return turns with the content of `messages`, each a role (user or assistant) and its blocks.

    Consecutive messages of one role become one turn. Tool results move to the start of the turn after their calls,
    wherever the caller put them. A conversation that the assistant begins gets a user's turn before it. Trailing
    whitespace of a last assistant turn is removed, since Anthropic rejects it.
    """
    conversation = [(role, list(blocks)) for role, blocks in messages]
    results = _results_by_call(conversation)
    moved: set[int] = set()
    turns: list[dict[str, Any]] = []
    open_calls: list[str] = []
    for role, blocks in conversation:
        if role == "user" and open_calls:
            moved |= _answer_calls(turns, open_calls, results)
            open_calls = []
        blocks = [block for block in blocks if id(block) not in moved]  # noqa: PLW2901 - without what has moved
        for block in blocks:
            if block["type"] == "tool_use":
                open_calls.append(block["id"])
            elif block["type"] == "tool_result":  # it answers no later call
                results[block["tool_use_id"]].popleft()
        _add(turns, role, blocks)
    for turn in turns:
        turn["content"].sort(key=lambda block: block["type"] != "tool_result")  # stable: all others keep their order
    if turns and turns[0]["role"] == "assistant":
        turns.insert(0, {"role": "user", "content": [{"type": "text", "text": OPENING}]})
    _strip_end(turns)
    return turns


def _results_by_call(conversation: Iterable[tuple[str, Sequence[Block]]]) -> dict[str, deque[Block]]:
    """Return the results of each call's id in order: some providers use the same ids in every turn."""
    results: dict[str, deque[Block]] = {}
    for _, blocks in conversation:
        for block in blocks:
            if block["type"] == "tool_result":
                results.setdefault(block["tool_use_id"], deque()).append(block)
    return results


def _answer_calls(turns: list[dict[str, Any]], calls: Iterable[str], results: dict[str, deque[Block]]) -> set[int]:
    """Add a user's turn with the results of `calls`; return the identities of the blocks that it has."""
    found = [results[call].popleft() for call in calls if results.get(call)]
    _add(turns, "user", found)
    return {id(block) for block in found}


def _add(turns: list[dict[str, Any]], role: str, blocks: list[Block]) -> None:
    if blocks and turns and turns[-1]["role"] == role:
        turns[-1]["content"] += blocks
    elif blocks:
        turns.append({"role": role, "content": blocks})


def _strip_end(turns: list[dict[str, Any]]) -> None:
    if turns and turns[-1]["role"] == "assistant" and turns[-1]["content"][-1]["type"] == "text":
        last = turns[-1]["content"][-1]
        last["text"] = last["text"].rstrip()

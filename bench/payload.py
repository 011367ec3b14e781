"""The requests of the benchmark and the answers of its provider.

`max_tokens` is the number of words of the answer, and so the number of chunks of a stream; `user` selects pacing. Both
are ordinary fields, which every gateway hands on.
"""

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["CALL_WORDS", "PACED", "PACE_SECONDS", "WORD", "chunks", "completion", "request"]

WORD = b"quartz"
"""The prefix of every word of an answer, which occurs nowhere else: it marks content on the wire."""

CALL_WORDS = 100
"""Words of an answer that is not streamed."""

PACED = "paced"
PACE_SECONDS = 0.001
"""Pause between two chunks of a paced stream: a thousand tokens a second, more than any model gives."""

_ID = "chatcmpl-0123456789abcdefghijklmnopqrs"
_CREATED = 1_767_225_600
_PROMPT_TOKENS = 300
# About 1,500 bytes of prose: a short conversation.
_SENTENCE = "Answer in plain words, say what you are sure of and what you are not, and keep to what was asked. "


def request(model: str, words: int, *, stream: bool, paced: bool = False) -> dict[str, Any]:
    """Return the body of a chat completion's request."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [
            {"role": "system", "content": _SENTENCE * 6},
            {"role": "user", "content": _SENTENCE * 4},
            {"role": "assistant", "content": _SENTENCE * 2},
            {"role": "user", "content": _SENTENCE * 3},
        ],
        "temperature": 0.2,
        "max_tokens": words,
        "user": PACED if paced else "bench",
    }
    return {**body, "stream": True, "stream_options": {"include_usage": True}} if stream else body


def completion(model: str, words: int) -> bytes:
    """Return a whole answer."""
    message = {"role": "assistant", "content": "".join(_word(n) for n in range(words)), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return _dump({**_base(model, "chat.completion"), "choices": [choice], "usage": _usage(words)})


def chunks(model: str, words: int) -> list[bytes]:
    """Return a stream's events: a role, a chunk for each word, the finish reason, the usage, the end."""
    base = _base(model, "chat.completion.chunk")

    def event(delta: Mapping[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return b"data: " + _dump({**base, "choices": [choice]}) + b"\n\n"

    return [
        event({"role": "assistant", "content": "", "refusal": None}),
        *(event({"content": _word(n)}) for n in range(words)),
        event({}, "stop"),
        b"data: " + _dump({**base, "choices": [], "usage": _usage(words)}) + b"\n\n",
        b"data: [DONE]\n\n",
    ]


def _word(number: int) -> str:
    return f"{WORD.decode()} {number} "


def _base(model: str, kind: str) -> dict[str, Any]:
    return {"id": _ID, "object": kind, "created": _CREATED, "model": model, "system_fingerprint": "fp_44709d6fcb"}


def _usage(words: int) -> dict[str, int]:
    return {"prompt_tokens": _PROMPT_TOKENS, "completion_tokens": words, "total_tokens": _PROMPT_TOKENS + words}


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()

"""Chat completions: the caller's request, and a provider's answer to it, streamed or whole.

Shapes: OpenAI's API reference, "Chat Completions" and "Streaming".
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vibe_router.formats import sse
from vibe_router.formats.errors import ApiError, bad_request, error_body
from vibe_router.formats.json_body import dump, load, parse_object
from vibe_router.formats.usage import Usage, read_chat

__all__ = [
    "DONE",
    "PATH",
    "ChatRequest",
    "Piece",
    "StreamReader",
    "error_event",
    "parse",
    "read_whole",
    "unfold",
    "usage_of",
]

PATH = "/chat/completions"
DONE = b"data: [DONE]\n\n"

# What every provider takes for granted; anything that is not here goes on as sent.
_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "model": ((str,), "a string"),
    "messages": ((list,), "an array"),
    "stream": ((bool,), "a boolean"),
    "stream_options": ((dict,), "an object"),
    "temperature": ((int, float), "a number"),
    "top_p": ((int, float), "a number"),
    "max_tokens": ((int,), "an integer"),
    "max_completion_tokens": ((int,), "an integer"),
    "n": ((int,), "an integer"),
    "stop": ((str, list), "a string or an array"),
    "tools": ((list,), "an array"),
    "tool_choice": ((str, dict), "a string or an object"),
    "response_format": ((dict,), "an object"),
}


# What a first delta may say before there is anything to show.
_NO_CONTENT = frozenset({"role", "name", "id"})


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A caller's request, checked. `body` is what was sent; the router owns `model`, `stream` and `include_usage`."""

    model: str
    stream: bool
    include_usage: bool
    body: Mapping[str, Any]

    def affinity(self) -> bytes:
        """Return what stays while a conversation grows: a digest of its messages up to the first user's.

        Raises ApiError (400), as `for_provider` would.
        """
        opening: list[object] = []
        for message in self.body["messages"]:
            opening.append(message)
            if message["role"] == "user":
                break
        return hashlib.blake2b(dump(opening), digest_size=16).digest()

    def for_provider(self, model: str, *, stream: bool) -> bytes:
        """Return the body for a provider's `model`. Usage is always asked for. Raises ApiError (400)."""
        body = {**self.body, "model": model, "stream": stream}
        if stream:
            body["stream_options"] = {**(self.body.get("stream_options") or {}), "include_usage": True}
        else:
            body.pop("stream_options", None)  # OpenAI refuses it without a stream
        return dump(body)


def parse(raw: bytes) -> ChatRequest:
    """Return the request in `raw`. Raises ApiError (400) with the parameter that is wrong."""
    body = parse_object(raw)
    for name, (types, wanted) in _TYPES.items():
        value = body.get(name)
        if value is not None and (not isinstance(value, types) or (isinstance(value, bool) and bool not in types)):
            raise bad_request(f"'{name}' must be {wanted}.", name)
    if not body.get("model"):
        raise bad_request("'model' is missing.", "model")
    if "messages" not in body:
        raise bad_request("'messages' is missing.", "messages")
    if not body["messages"]:
        raise bad_request("'messages' must hold at least one message.", "messages")
    for index, message in enumerate(body["messages"]):
        if not isinstance(message, dict):
            raise bad_request(f"'messages[{index}]' must be an object.", f"messages[{index}]")
        if not isinstance(message.get("role"), str):
            raise bad_request(f"'messages[{index}].role' must be a string.", f"messages[{index}].role")
    include_usage = (body.get("stream_options") or {}).get("include_usage") or False
    if not isinstance(include_usage, bool):
        raise bad_request("'stream_options.include_usage' must be a boolean.", "stream_options.include_usage")
    return ChatRequest(body["model"], bool(body.get("stream")), include_usage, body)


@dataclass(frozen=True, slots=True)
class Piece:
    """What one event of a provider's stream means.

    `raw` is what the caller gets of it, empty when nothing; `chunk` is its JSON where it has any. `commits` says that
    real content is here; `error` holds the JSON of an in-stream error; `done` marks the end of the stream.
    """

    raw: bytes
    commits: bool = False
    done: bool = False
    malformed: bool = False
    error: bytes | None = None
    chunk: dict[str, Any] | None = None


@dataclass(slots=True)
class StreamReader:
    """Reads a provider's stream event by event, and remembers how far it got."""

    wants_usage: bool
    usage: Usage = field(default_factory=Usage)
    malformed: int = 0
    done: bool = False
    _open: set[object] = field(default_factory=set)
    _finished: set[object] = field(default_factory=set)

    @property
    def complete(self) -> bool:
        """Whether an end here is a whole answer: every choice that began gave its finish reason.

        `[DONE]` alone does not make it one: New API sends it after a stream that its own upstream cut.
        """
        return (self.done or bool(self._finished)) and not self._open - self._finished

    def read(self, event: sse.Event) -> Piece:
        """Return what `event` means."""
        data = event.data
        if data is None:
            return Piece(event.raw)
        if data.strip() == b"[DONE]":
            self.done = True
            return Piece(DONE if self.complete else b"", done=True)
        try:
            chunk = load(data)
        except ValueError:
            chunk = None
        if not isinstance(chunk, dict):
            self.malformed += 1
            return Piece(b"", malformed=True)
        if chunk.get("error"):
            return Piece(b"", error=data, chunk=chunk)
        if event.name == b"error":
            return Piece(b"", error=dump({"error": chunk}), chunk=chunk)
        choices = chunk.get("choices")
        if chunk.get("usage"):
            self.usage = usage_of(chunk)
            if not choices and not self.wants_usage:
                return Piece(b"", chunk=chunk)
        return Piece(event.raw, commits=self._follow(choices), chunk=chunk)

    def _follow(self, choices: object) -> bool:
        """Note which choices are open and finished; say whether any of them holds real content."""
        commits = False
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            index = choice.get("index", 0)
            self._open.add(index if isinstance(index, int) else 0)
            if choice.get("finish_reason"):
                self._finished.add(index if isinstance(index, int) else 0)
                commits = True
            delta = choice.get("delta")
            if isinstance(delta, dict) and any(value for key, value in delta.items() if key not in _NO_CONTENT):
                commits = True
        return commits


def usage_of(answer: Mapping[str, Any]) -> Usage:
    """Return the tokens that `answer` (a completion or a chunk) counts."""
    return read_chat(answer.get("usage"))


def read_whole(raw: bytes) -> dict[str, Any] | None:
    """Return the completion in `raw`, or None where it is none: not JSON, an error, or a choice without a message."""
    try:
        answer = load(raw)
    except ValueError:
        return None
    if not isinstance(answer, dict) or answer.get("error"):
        return None
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        return None
    if not all(isinstance(choice, dict) and isinstance(choice.get("message"), dict) for choice in choices):
        return None
    return answer


def unfold(answer: Mapping[str, Any], *, wants_usage: bool) -> list[bytes]:
    """Return a whole completion (as `read_whole` returns it) as the events of a stream.

    For a provider that did not stream when asked to.
    """
    base = {key: value for key, value in answer.items() if key not in ("choices", "usage")}
    base["object"] = "chat.completion.chunk"
    choices = [_as_chunk_choice(choice) for choice in answer["choices"]]
    events = [sse.encode(dump({**base, "choices": choices}))]
    if wants_usage and answer.get("usage"):
        events.append(sse.encode(dump({**base, "choices": [], "usage": answer["usage"]})))
    return [*events, DONE]


def _as_chunk_choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    delta = dict(choice["message"])
    calls = delta.get("tool_calls")
    if isinstance(calls, list):  # in a list the place counts: some providers number every call 0
        delta["tool_calls"] = [{**call, "index": i} for i, call in enumerate(calls) if isinstance(call, dict)]
    return {**{key: value for key, value in choice.items() if key != "message"}, "delta": delta}


def error_event(error: ApiError) -> bytes:
    """Return the in-band end of a stream that failed after its commit. No `[DONE]` follows it."""
    return sse.encode(error_body(error))

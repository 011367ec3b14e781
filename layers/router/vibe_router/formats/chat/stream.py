"""A provider's chat completion, streamed or whole.

Shapes: OpenAI's API reference, "Chat Completions" and "Streaming".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vibe_router.core.errors import ApiError, error_body
from vibe_router.core.usage import Usage, read_chat
from vibe_router.formats.common import sse
from vibe_router.formats.common.finish_reasons import is_absent, is_failure
from vibe_router.formats.common.json_body import dump, load
from vibe_router.formats.interfaces import Piece

__all__ = ["DONE", "ChatStreamReader", "error_event", "read_choices", "read_whole", "to_events", "usage_of"]

DONE = b"data: [DONE]\n\n"

# Members of a delta that are not content.
_NO_CONTENT = frozenset({"role", "name", "id"})


@dataclass(slots=True)
class ChatStreamReader:
    """Reads a provider's stream event by event and tracks its progress."""

    wants_usage: bool
    usage: Usage = field(default_factory=Usage)
    malformed: int = 0
    done: bool = False
    _open: set[object] = field(default_factory=set)
    _finished: set[object] = field(default_factory=set)
    _error: object = None

    @property
    def seals(self) -> Sequence[str]:
        """Nothing: chat has no proofs of reasoning."""
        return ()

    @property
    def complete(self) -> bool:
        """Return whether the answer is complete if the stream ends now: every choice has its finish reason.

        `[DONE]` alone does not make it so: New API sends it after a stream that its own upstream cut.
        """
        return self._error is None and (self.done or bool(self._finished)) and not self._open - self._finished

    def read(self, event: sse.Event) -> Piece:
        """Interpret `event`."""
        data = event.data
        if data is None:
            return Piece(event.raw if event.raw.startswith(b":") else b"")  # a comment, or nothing for a client
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
        if chunk.get("usage") or chunk.get("x_groq"):
            self._count(chunk)
            if not choices and not self.wants_usage:
                return Piece(b"", chunk=chunk)
        commits = self._follow(choices, chunk)
        if self._error is not None:
            return Piece(b"", error=dump({"error": self._error}), chunk=chunk)
        return Piece(event.raw, commits=commits, chunk=chunk)

    def end(self) -> bytes:
        """Return the `[DONE]`, if the provider left it out."""
        return b"" if self.done else DONE

    def fail(self, error: ApiError) -> bytes:
        """Return the in-band error that ends a stream which failed after its commit."""
        return error_event(error)

    def _count(self, chunk: Mapping[str, Any]) -> None:
        usage = usage_of(chunk)
        if usage.known:
            self.usage = usage

    def _follow(self, choices: object, chunk: Mapping[str, Any]) -> bool:
        """Track which choices are open, finished and failed; return whether any of them holds real content."""
        commits = False
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            index = choice.get("index", 0)
            self._open.add(index if isinstance(index, int) else 0)
            if choice.get("error"):
                self._error = choice["error"]
            if reason := choice.get("finish_reason"):
                self._error = failure_of(choice) or self._error
                if not is_absent(reason):
                    self._finished.add(index if isinstance(index, int) else 0)
                    commits = True
                if "usage" in choice:
                    self._count(chunk)
            commits |= self._has_content(choice)
        return commits

    def _has_content(self, choice: Mapping[str, Any]) -> bool:
        """Return whether `choice` holds real content."""
        delta = choice.get("delta")
        return isinstance(delta, dict) and any(value for key, value in delta.items() if key not in _NO_CONTENT)


def usage_of(answer: Mapping[str, Any]) -> Usage:
    """Return the usage in `answer`, a completion or a chunk. Moonshot reports it in the choice, Groq in `x_groq`."""
    if answer.get("usage"):
        return read_chat(answer["usage"])
    choices = answer.get("choices")
    for place in (*(choices if isinstance(choices, list) else ()), answer.get("x_groq")):
        if isinstance(place, Mapping) and place.get("usage"):
            return read_chat(place["usage"])
    return Usage()


def failure_of(choice: Mapping[str, Any]) -> object:
    """Return the error of a choice that failed, from its `error` or its finish reason; None for any other choice."""
    if error := choice.get("error"):
        return error
    reason = choice.get("finish_reason")
    if not is_failure(reason):
        return None
    message = f"The provider ended the answer with the finish reason {reason}."
    return {"message": message, "type": "server_error", "code": "server_error"}


def read_whole(raw: bytes) -> dict[str, Any] | None:
    """Parse the completion in `raw`; None if it is not JSON, is an error, or has a choice without a message."""
    return read_choices(raw, "message", dict)


def read_choices(raw: bytes, name: str, kind: type) -> dict[str, Any] | None:
    """Parse the answer in `raw`, whose choices must all have a `name` of type `kind`; else return None."""
    try:
        answer = load(raw)
    except ValueError:
        return None
    if not isinstance(answer, dict) or answer.get("error"):
        return None
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        return None
    if not all(isinstance(choice, dict) and isinstance(choice.get(name), kind) for choice in choices):
        return None
    if any(failure_of(choice) for choice in choices):
        return None
    return answer


def to_events(answer: Mapping[str, Any], *, wants_usage: bool) -> list[bytes]:
    """Return a whole completion (from `read_whole`) as the events of a stream.

    Used for providers that do not stream when asked to.
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
    if isinstance(calls, list):  # the position counts: some providers number every call 0
        delta["tool_calls"] = [{**call, "index": i} for i, call in enumerate(calls) if isinstance(call, dict)]
    return {**{key: value for key, value in choice.items() if key != "message"}, "delta": delta}


def error_event(error: ApiError) -> bytes:
    """Return the in-band error that ends a stream which failed after its commit. No `[DONE]` follows."""
    return sse.encode(error_body(error))

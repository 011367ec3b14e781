"""A provider's answer in Anthropic's format, streamed or whole."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from vibe_router.core.errors import ApiError
from vibe_router.core.usage import Usage, count
from vibe_router.formats.common import sse
from vibe_router.formats.common.finish_reasons import finish_reason, is_failure
from vibe_router.formats.common.json_body import dump, is_truncated, load
from vibe_router.formats.interfaces import Piece
from vibe_router.formats.messages.errors import error_event

__all__ = ["MessagesStreamReader", "event", "read_usage", "read_whole", "to_events", "usage_of"]

_BLOCKED = frozenset({"content_filter", "refusal"})
# By type of delta or block: the member that holds its content. Blocks of all other types count as content.
_CONTENT = {
    "text": "text",
    "thinking": "thinking",
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
}


@dataclass(slots=True)
class MessagesStreamReader:
    """Reads a provider's stream event by event and tracks its progress."""

    malformed: int = 0
    done: bool = False
    complete: bool = False  # whether the answer is complete: the message has a stop reason
    seals: list[str] = field(default_factory=list)
    _counts: dict[str, Any] = field(default_factory=dict)
    _committed: bool = False
    _input: list[str] = field(default_factory=list)  # of the last tool call

    @property
    def usage(self) -> Usage:
        """The usage that the provider has reported so far."""
        return read_usage(self._counts)

    def read(self, event: sse.Event) -> Piece:
        """Return what `event` means."""
        data = event.data
        if data is None:
            return Piece(event.raw)
        try:
            chunk = load(data)
        except ValueError:
            chunk = None
        if not isinstance(chunk, dict):
            if data.strip() == b"[DONE]":  # some relays end every stream as chat streams end
                return Piece(b"")
            self.malformed += 1
            return Piece(b"", malformed=True)
        kind = chunk.get("type")
        if kind == "error" or chunk.get("error"):
            return Piece(b"", error=data, chunk=chunk)
        if event.name == b"error":
            return Piece(b"", error=dump({"error": chunk}), chunk=chunk)
        raw = event.raw
        if not event.name and isinstance(kind, str):  # Anthropic's clients read nothing but the name
            raw = sse.encode(data, kind.encode(errors="replace"))
        match kind:
            case "content_block_delta":
                delta = chunk.get("delta")
                if isinstance(delta, dict) and isinstance(part := delta.get("partial_json"), str):
                    self._input.append(part)
                elif isinstance(delta, dict) and "signature" in delta:
                    self._add_seal(delta["signature"])
                return self._content(raw, delta, chunk)
            case "content_block_start":
                block = chunk.get("content_block")
                self._input.clear()
                if isinstance(block, dict):
                    self._add_seal(block.get("signature"))
                    self._add_seal(block.get("data") if block.get("type") == "redacted_thinking" else None)
                return self._content(raw, block, chunk)
            case "message_start":
                message = chunk.get("message")
                self._count(message.get("usage") if isinstance(message, dict) else None)
            case "message_delta":
                self._count(chunk.get("usage"))
                delta = chunk.get("delta")
                if isinstance(delta, dict) and (reason := delta.get("stop_reason")):
                    return self._stop(raw, reason, chunk)
            case "message_stop":
                self.done = True
                return Piece(raw if self.complete else b"", done=True, chunk=chunk)
        return Piece(raw, chunk=chunk)

    def end(self) -> bytes:
        """Return the `message_stop` that the provider did not send."""
        return b"" if self.done else event({"type": "message_stop"})

    def fail(self, error: ApiError) -> bytes:
        """Return the in-band end of a stream that failed after its commit."""
        return error_event(error)

    def _content(self, raw: bytes, part: object, chunk: dict[str, Any]) -> Piece:
        commits = _has_content(part)
        self._committed |= commits
        return Piece(raw, commits=commits, chunk=chunk)

    def _stop(self, raw: bytes, reason: object, chunk: dict[str, Any]) -> Piece:
        if is_failure(reason):
            return Piece(b"", error=dump(_failure(f"The model stopped with the reason {reason}.")), chunk=chunk)
        if finish_reason(reason) == "tool_calls" and is_truncated("".join(self._input)):
            return Piece(b"", error=dump(_failure("The input of a tool call is truncated.")), chunk=chunk)
        self.complete = self._committed or _is_answer_without_content(reason, self.usage)
        return Piece(raw, commits=self.complete, chunk=chunk)

    def _add_seal(self, proof: object) -> None:
        if isinstance(proof, str) and proof:
            self.seals.append(proof)

    def _count(self, counts: object) -> None:
        if isinstance(counts, dict):  # a later total replaces earlier ones, unless it is 0
            self._counts |= {name: value for name, value in counts.items() if value or name not in self._counts}


def _has_content(part: object) -> bool:
    if not isinstance(part, dict):
        return False
    kind = part.get("type")
    return bool(part.get(_CONTENT[kind])) if isinstance(kind, str) and kind in _CONTENT else True


def _is_answer_without_content(reason: object, usage: Usage) -> bool:
    """Return whether a message without content is an answer, which it is if it reports the tokens of its prompt.

    Relays send an empty message without usage for an error or a web page that they could not read.
    """
    return bool(usage.prompt_tokens or usage.completion_tokens) or finish_reason(reason) in _BLOCKED


def _failure(message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": "api_error", "message": message}}


def read_usage(counts: object) -> Usage:
    """Read the `usage` of a message. Anthropic's `input_tokens` exclude tokens read from or written to the cache."""
    fresh = count(counts, "input_tokens")
    read, written = count(counts, "cache_read_input_tokens"), count(counts, "cache_creation_input_tokens")
    details = counts.get("output_tokens_details") if isinstance(counts, Mapping) else None
    return Usage(
        prompt_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        completion_tokens=count(counts, "output_tokens"),
        cached_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=count(details, "thinking_tokens"),
    )


def usage_of(answer: Mapping[str, Any]) -> Usage:
    """Return the usage of a whole message."""
    return read_usage(answer.get("usage"))


def read_whole(raw: bytes) -> dict[str, Any] | None:
    """Parse a whole message; return None for invalid JSON, an error, a failed message, or one without any content."""
    try:
        answer = load(raw)
    except ValueError:
        return None
    if not isinstance(answer, dict) or answer.get("error") or answer.get("type") == "error":
        return None
    content = answer.get("content")
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        return None
    reason = answer.get("stop_reason")
    if is_failure(reason):
        return None
    if any(_has_content(block) for block in content):
        return answer
    return answer if reason and _is_answer_without_content(reason, usage_of(answer)) else None


def to_events(answer: Mapping[str, Any]) -> list[bytes]:
    """Return a whole message (as `read_whole` returns it) as the events of a stream."""
    return [event(chunk) for chunk in _to_events(answer)]


def _to_events(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    ends = {key: answer[key] for key in ("stop_reason", "stop_sequence", "stop_details") if key in answer}
    ends.setdefault("stop_reason", "end_turn")
    start: dict[str, Any] = {"content": [], **dict.fromkeys(ends), "type": "message", "role": "assistant"}
    usage = answer["usage"] if isinstance(answer.get("usage"), dict) else {}
    yield {"type": "message_start", "message": {**answer, **start, "usage": {**usage, "output_tokens": 0}}}
    for index, block in enumerate(answer["content"]):
        empty, deltas = _block_events(block)
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    counts = {name: value for name, value in usage.items() if "tokens" in name}
    yield {"type": "message_delta", "delta": ends, "usage": counts}
    yield {"type": "message_stop"}


def _block_events(block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    match block:
        case {"type": "text", "text": str(text)}:
            return {**block, "text": ""}, [{"type": "text_delta", "text": text}]
        case {"type": "thinking", "thinking": str(text)}:
            deltas: list[dict[str, Any]] = [{"type": "thinking_delta", "thinking": text}]
            if signature := block.get("signature"):
                deltas.append({"type": "signature_delta", "signature": signature})
            return {**block, "thinking": "", "signature": ""}, deltas
        case {"type": "tool_use" | "server_tool_use", "input": arguments}:
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": dump(arguments).decode()}]
    return dict(block), []


def event(chunk: Mapping[str, Any]) -> bytes:
    """Return `chunk` as the event that its `type` names."""
    return sse.encode(dump(chunk), sse.event_name(chunk["type"]))

"""Bedrock's answer, streamed or whole.

An event of ConverseStream arrives as one JSON object named after it (`{"contentBlockDelta": {…}}`), an exception inside
the stream as `{"error": {"type", "message"}}`: `upstream.bedrock` unpacks them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vibe_router.core.errors import ApiError
from vibe_router.core.usage import Usage, count
from vibe_router.formats.common import sse
from vibe_router.formats.common.finish_reasons import finish_reason, is_failure
from vibe_router.formats.common.json_body import dump, is_truncated, load
from vibe_router.formats.interfaces import Piece

__all__ = ["ConverseStreamReader", "read_usage", "read_whole", "to_events"]

_BLOCKED = frozenset({"content_filter", "refusal"})
_EXTRA_FIELDS = "additionalModelResponseFields"


@dataclass(slots=True)
class ConverseStreamReader:
    """Reads a stream event by event and tracks its progress. The usage follows the stop reason."""

    usage: Usage = field(default_factory=Usage)
    malformed: int = 0
    done: bool = False
    complete: bool = False
    seals: list[str] = field(default_factory=list)
    _committed: bool = False
    _input: list[str] = field(default_factory=list)  # of the last tool call

    def read(self, event: sse.Event) -> Piece:
        """Return what `event` means."""
        if event.data is None:
            return Piece(b"")
        try:
            chunk = load(event.data)
        except ValueError:
            chunk = None
        if not isinstance(chunk, dict):
            self.malformed += 1
            return Piece(b"", malformed=True)
        if block := chunk.get("contentBlockDelta"):  # nearly all of them; matching patterns takes five times as long
            delta = block.get("delta") if isinstance(block, dict) else None
            if isinstance(delta, dict) and isinstance(call := delta.get("toolUse"), dict):
                self._input.append(str(call.get("input", "")))
            return self._content(chunk, commits=isinstance(delta, dict) and _has_content(delta))
        if chunk.get("error"):
            return Piece(b"", error=event.data, chunk=chunk)
        match chunk:
            case {"messageStop": {"stopReason": str(reason)}} if is_failure(reason):
                return Piece(b"", error=dump(_failure(f"The model stopped with the reason {reason}.")), chunk=chunk)
            case {"messageStop": {"stopReason": "tool_use"}} if is_truncated("".join(self._input)):
                return Piece(b"", error=dump(_failure("The input of a tool call is truncated.")), chunk=chunk)
            case {"contentBlockStart": {"start": {"toolUse": _}}}:
                self._input.clear()
                return self._content(chunk, commits=True)
            case {"messageStop": ending}:
                self.complete = True
                blocked = isinstance(ending, dict) and finish_reason(ending.get("stopReason")) in _BLOCKED
                return self._content(chunk, commits=self._committed or blocked)
            case {"metadata": dict(metadata)}:
                self.usage = read_usage(metadata.get("usage"))
                self.done = self.complete
                commits = self.complete and bool(self.usage.prompt_tokens)  # an answer without content
                return Piece(b"", commits=commits, done=self.done, chunk=chunk)
        return Piece(b"", chunk=chunk)

    def _content(self, chunk: dict[str, Any], *, commits: bool) -> Piece:
        self._committed |= commits
        return Piece(b"", commits=commits, chunk=chunk)

    def end(self) -> bytes:
        """Return nothing: no caller speaks this format."""
        return b""

    def fail(self, error: ApiError) -> bytes:  # noqa: ARG002 - as above
        """Return nothing: no caller speaks this format."""
        return b""


def _failure(message: str) -> dict[str, Any]:
    return {"error": {"type": "modelErrorException", "message": message}}


def _has_content(delta: Mapping[str, Any]) -> bool:
    if delta.get("text") or delta.get("toolUse"):
        return True
    reasoning = delta.get("reasoningContent")
    return isinstance(reasoning, dict) and any(reasoning.values())


def read_usage(counts: object) -> Usage:
    """Read `usage`. `inputTokens` excludes tokens read from or written to the cache."""
    fresh = count(counts, "inputTokens")
    read, written = count(counts, "cacheReadInputTokens"), count(counts, "cacheWriteInputTokens")
    return Usage(
        prompt_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        completion_tokens=count(counts, "outputTokens"),
        cached_tokens=read,
        cache_write_tokens=written,
    )


def read_whole(raw: bytes) -> dict[str, Any] | None:
    """Parse a whole answer; return None for anything else."""
    try:
        answer = load(raw)
    except ValueError:
        return None
    match answer:
        case {"stopReason": str(reason)} if is_failure(reason):
            return None
        case {"output": {"message": {"content": list(content)}}} if all(isinstance(block, dict) for block in content):
            counted = read_usage(answer.get("usage")).prompt_tokens
            return answer if content or counted or finish_reason(answer.get("stopReason")) in _BLOCKED else None
    return None


def to_events(answer: Mapping[str, Any]) -> list[bytes]:
    """Return a whole answer (as `read_whole` returns it) as the events of a stream."""
    chunks: list[dict[str, Any]] = [{"messageStart": {"role": "assistant"}}]
    for index, block in enumerate(answer["output"]["message"]["content"]):
        at = {"contentBlockIndex": index}
        for delta in _deltas(block):
            if "start" in delta:
                chunks.append({"contentBlockStart": {**at, **delta}})
            else:
                chunks.append({"contentBlockDelta": {**at, "delta": delta}})
        chunks.append({"contentBlockStop": at})
    extra = {_EXTRA_FIELDS: answer[_EXTRA_FIELDS]} if _EXTRA_FIELDS in answer else {}
    chunks.append({"messageStop": {"stopReason": answer.get("stopReason") or "end_turn", **extra}})
    chunks.append({"metadata": {"usage": answer.get("usage") or {}}})
    return [sse.encode(dump(chunk)) for chunk in chunks]


def _deltas(block: Mapping[str, Any]) -> list[dict[str, Any]]:
    match block:
        case {"text": str(text)}:
            return [{"text": text}]
        case {"citationsContent": {"content": list(cited)}}:
            return [delta for each in cited if isinstance(each, dict) for delta in _deltas(each) if "text" in delta]
        case {"toolUse": {"input": arguments, **call}}:
            return [{"start": {"toolUse": call}}, {"toolUse": {"input": dump(arguments).decode()}}]
        case {"reasoningContent": {"reasoningText": dict(reasoning)}}:
            parts = ("text", "signature")
            return [{"reasoningContent": {name: reasoning[name]}} for name in parts if reasoning.get(name)]
        case {"reasoningContent": {"redactedContent": str(data)}}:
            return [{"reasoningContent": {"redactedContent": data}}]
    return []

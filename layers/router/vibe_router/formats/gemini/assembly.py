"""Convert between a stream in Gemini's format, as its caller got it, and the whole answer."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from vibe_router.formats.common import sse
from vibe_router.formats.common.json_body import load
from vibe_router.formats.gemini.neutral_answer import join_parts
from vibe_router.formats.gemini.request import GeminiRequest

__all__ = ["assemble_stream", "to_events"]


def assemble_stream(request: GeminiRequest, raw: bytes, *, partial: bool = False) -> dict[str, Any]:
    """Return the whole answer that was streamed to `request` as `raw`. Raises ValueError for anything else.

    With `partial`, the events up to the first error or unreadable one are enough.
    """
    chunks: Iterable[Any] = _events(raw) if request.events else load(raw)
    answer: dict[str, Any] = {}
    candidates: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        if not isinstance(chunk, dict) or chunk.get("error"):
            if partial:
                break
            raise ValueError("not an answer")
        answer |= {name: value for name, value in chunk.items() if name != "candidates"}
        for candidate in chunk.get("candidates") or ():
            _add(candidates.setdefault(candidate.get("index") or 0, {}), candidate)
    return {"candidates": [each for _, each in sorted(candidates.items())], **answer}


def _events(raw: bytes) -> Iterator[Any]:
    """Yield the JSON of each event, None for an unreadable one."""
    decoder = sse.EventDecoder()
    for event in (*decoder.feed(raw), *decoder.flush()):
        if event.data is not None:
            try:
                yield load(event.data)
            except ValueError:
                yield None


def _add(into: dict[str, Any], candidate: Mapping[str, Any]) -> None:
    content = candidate.get("content") or {}
    parts = into.get("content", {}).get("parts", [])
    join_parts(parts, [part for part in content.get("parts") or () if part != {"text": ""}])
    into |= {**candidate, "content": {**content, "parts": parts}}


def to_events(request: GeminiRequest, answer: bytes) -> list[bytes]:
    """Return a whole `answer` as the stream that `request` asks for: every chunk of one is an answer of its own."""
    return [sse.encode(answer)] if request.events else [b"[" + answer + b"]"]

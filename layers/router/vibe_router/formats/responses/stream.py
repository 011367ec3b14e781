"""A provider's answer in Responses, streamed or whole: read, put together, and told as the other.

Shapes: OpenAI's API reference, "Responses" and its "Streaming events".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from vibe_router.core.errors import ApiError
from vibe_router.core.usage import Usage, count
from vibe_router.formats.common import sse
from vibe_router.formats.common.json_body import dump, load
from vibe_router.formats.interfaces import Piece

__all__ = [
    "FAILURE_EVENTS",
    "FINAL_EVENTS",
    "OPENING_EVENTS",
    "ResponsesAssembler",
    "ResponsesStreamReader",
    "ending",
    "failed_event",
    "read_whole",
    "unfold",
    "usage_of",
]

FINAL_EVENTS = frozenset({"response.completed", "response.incomplete"})
OPENING_EVENTS = frozenset({"response.created", "response.in_progress", "response.queued"})
FAILURE_EVENTS = frozenset({"error", "response.failed", "response.cancelled"})


@dataclass(slots=True)
class ResponsesStreamReader:
    """Reads a provider's stream event by event, and remembers how far it got.

    `response` is the answer as it was last told: without content at first, whole at the end.
    """

    usage: Usage = field(default_factory=Usage)
    malformed: int = 0
    done: bool = False
    complete: bool = False
    response: Mapping[str, Any] = field(default_factory=dict)
    seals: list[str] = field(default_factory=list)
    _items: list[Mapping[str, Any]] = field(default_factory=list)
    _sequence: int = -1

    def read(self, event: sse.Event) -> Piece:
        """Return what `event` means."""
        data = event.data
        if data is None:
            return Piece(event.raw)
        if data.strip() == b"[DONE]":  # some relays end every stream as chat does
            self.done = True
            return Piece(b"", done=True)
        try:
            chunk = load(data)
        except ValueError:
            chunk = None
        if not isinstance(chunk, dict):
            self.malformed += 1
            return Piece(b"", malformed=True)
        kind = chunk.get("type")
        if not isinstance(kind, str):
            kind = event.name.decode(errors="replace")
        number = chunk.get("sequence_number")
        self._sequence = number if isinstance(number, int) else self._sequence + 1
        if kind in FAILURE_EVENTS or (chunk.get("error") and not isinstance(chunk.get("response"), dict)):
            return Piece(b"", error=data, chunk=chunk)
        if kind in OPENING_EVENTS or kind in FINAL_EVENTS:
            self._note(chunk.get("response"))
        if kind in FINAL_EVENTS:
            self.done = self.complete = True
            if not self.response.get("output"):  # some relays leave it out of the last event
                self.response = {**self.response, "output": self._items}
            return Piece(event.raw, commits=True, done=True, chunk=chunk)
        if kind == "response.output_item.done" and isinstance(item := chunk.get("item"), dict):
            self._items.append(item)
            word = item.get("encrypted_content")
            if isinstance(word, str) and word:
                self.seals.append(word)
        return Piece(event.raw, commits=_commits(kind, chunk), chunk=chunk)

    def end(self) -> bytes:
        """Return nothing: a whole stream has its last event."""
        return b""

    def fail(self, error: ApiError) -> bytes:
        """Return the in-band end of a stream that failed after its commit."""
        return failed_event(error, self.response, self._sequence + 1)

    def _note(self, response: object) -> None:
        if isinstance(response, dict):
            self.response = response
            if response.get("usage"):
                self.usage = usage_of(response)


def _commits(kind: str, chunk: Mapping[str, Any]) -> bool:
    """Whether this is real content: something said, thought or called, and not only announced."""
    if kind.endswith(".delta"):
        return bool(chunk.get("delta"))
    item = chunk.get("item")
    if kind == "response.output_item.added":
        return isinstance(item, dict) and item.get("type") not in ("message", "reasoning")
    return kind.endswith(".done")


def failed_event(error: ApiError, response: Mapping[str, Any], sequence: int) -> bytes:
    """Return the event that ends a stream in failure: `response.failed` once the response was begun, else `error`."""
    if not response.get("id"):
        told = {"type": "error", "code": error.code or error.type, "message": error.message, "param": error.param}
        return sse.encode(dump({**told, "sequence_number": sequence}), b"error")
    failure = {"code": "server_error", "message": f"{error.message} ({error.code or error.type})"}
    failed = {**response, "status": "failed", "error": failure}
    return sse.encode(
        dump({"type": "response.failed", "response": failed, "sequence_number": sequence}), b"response.failed"
    )


# --- Whole answers ----------------------------------------------------------------------------------------------------


def usage_of(answer: Mapping[str, Any]) -> Usage:
    """Return the tokens that a response counts."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return Usage()
    read, said = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    return Usage(
        prompt_tokens=count(usage, "input_tokens"),
        completion_tokens=count(usage, "output_tokens"),
        cached_tokens=count(read, "cached_tokens"),
        cache_write_tokens=count(read, "cache_write_tokens"),
        reasoning_tokens=count(said, "reasoning_tokens"),
        audio_prompt_tokens=count(read, "audio_tokens"),
        audio_completion_tokens=count(said, "audio_tokens"),
    )


def read_whole(raw: bytes) -> dict[str, Any] | None:
    """Return the response in `raw`, or None where it is none: not JSON, an error, failed, or without an output."""
    try:
        answer = load(raw)
    except ValueError:
        return None
    if not isinstance(answer, dict) or answer.get("error") or answer.get("status") in ("failed", "cancelled"):
        return None
    output = answer.get("output")
    return answer if isinstance(output, list) and all(isinstance(item, dict) for item in output) else None


class ResponsesAssembler:
    """Collects the events of a stream; `completion()` is the response that its last one holds.

    Some relays leave the output out of the last event: then it is what the items' own events told.
    """

    def __init__(self) -> None:
        self._response: dict[str, Any] = {}
        self._items: dict[int, Any] = {}

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Take one event in."""
        response, index = chunk.get("response"), chunk.get("output_index")
        if isinstance(response, dict):
            self._response = response
        elif chunk.get("type") == "response.output_item.done" and isinstance(index, int):
            self._items[index] = chunk.get("item")

    def completion(self) -> dict[str, Any]:
        """Return the response."""
        if self._response.get("output"):
            return self._response
        return {**self._response, "output": [item for _, item in sorted(self._items.items())]}


def unfold(answer: Mapping[str, Any], *, wants_usage: bool = True) -> list[bytes]:  # noqa: ARG001 - always told here
    """Return a whole response (as `read_whole` returns it) as the events of a stream.

    For a provider that did not stream when asked to.
    """
    begun = {**answer, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    said: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
    ]
    for index, item in enumerate(answer["output"]):
        said.extend((kind, {"output_index": index, **more}) for kind, more in _unfold_item(item))
    return [*(_numbered(kind, number, **more) for number, (kind, more) in enumerate(said)), ending(answer, len(said))]


def ending(answer: Mapping[str, Any], sequence: int) -> bytes:
    """Return the event that ends the stream of a whole response."""
    kind = "response.incomplete" if answer.get("status") == "incomplete" else "response.completed"
    return _numbered(kind, sequence, response=answer)


def _numbered(kind: str, sequence: int, **more: Any) -> bytes:
    return sse.encode(dump({"type": kind, **more, "sequence_number": sequence}), kind.encode())


def _unfold_item(item: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the events of one item of the output, in order."""
    place = {"item_id": item.get("id")}
    kind, empty = item.get("type"), {"status": "in_progress"}
    match kind:
        case "message" | "reasoning":
            bare: dict[str, Any] = {"content": []} if kind == "message" else {"summary": [], "content": []}
            yield "response.output_item.added", {"item": {**item, **empty, **bare}}
            for key, of in (("summary", "summary_index"), ("content", "content_index")):
                parts = item.get(key)
                for index, part in enumerate(parts if isinstance(parts, list) else ()):
                    if isinstance(part, dict):
                        yield from _unfold_part(part, {**place, of: index})
        case "function_call" | "custom_tool_call":
            word = "arguments" if kind == "function_call" else "input"
            event = "response.function_call_arguments" if kind == "function_call" else "response.custom_tool_call_input"
            yield "response.output_item.added", {"item": {**item, **empty, word: ""}}
            if item.get(word):
                yield f"{event}.delta", {**place, "delta": item[word]}
            yield f"{event}.done", {**place, word: item.get(word, "")}
        case _:
            yield "response.output_item.added", {"item": item}
    yield "response.output_item.done", {"item": item}


# A part's type → the stem of its text's events, and the key of its text.
_PARTS: Mapping[str, tuple[str, str]] = {
    "output_text": ("response.output_text", "text"),
    "refusal": ("response.refusal", "refusal"),
    "reasoning_text": ("response.reasoning_text", "text"),
    "summary_text": ("response.reasoning_summary_text", "text"),
}


def _unfold_part(part: Mapping[str, Any], place: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    frame = "response.reasoning_summary_part" if "summary_index" in place else "response.content_part"
    kind = part.get("type")
    if not isinstance(kind, str) or kind not in _PARTS:
        return
    stem, key = _PARTS[kind]
    words = part.get(key) or ""
    is_text = stem == "response.output_text"
    logprobs = {"logprobs": part.get("logprobs") or []} if is_text else {}
    empty: dict[str, Any] = {"annotations": [], "logprobs": []} if is_text else {}
    notes = part.get("annotations") if is_text else None
    yield f"{frame}.added", {**place, "part": {**part, **empty, key: ""}}
    if words:
        yield f"{stem}.delta", {**place, "delta": words, **logprobs}
    for number, note in enumerate(notes if isinstance(notes, list) else ()):
        yield f"{stem}.annotation.added", {**place, "annotation_index": number, "annotation": note}
    yield f"{stem}.done", {**place, key: words, **logprobs}
    yield f"{frame}.done", {**place, "part": part}

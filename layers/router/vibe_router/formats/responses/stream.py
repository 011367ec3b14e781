"""Read a provider's answer in Responses, and convert between its stream and its whole form.

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
    "failed_event",
    "final_event",
    "read_whole",
    "unfold",
    "usage_of",
]

FINAL_EVENTS = frozenset({"response.completed", "response.incomplete"})
OPENING_EVENTS = frozenset({"response.created", "response.in_progress", "response.queued"})
FAILURE_EVENTS = frozenset({"error", "response.failed", "response.cancelled"})


@dataclass(slots=True)
class ResponsesStreamReader:
    """Reads a provider's stream event by event and tracks its progress.

    `response` is the response of the latest event that has one: without output at first, complete at the end.
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
        """Return the meaning of `event`."""
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
            self._update(chunk.get("response"))
        if kind in FINAL_EVENTS:
            self.done = self.complete = True
            if not self.response.get("output"):  # some relays omit it in the last event
                self.response = {**self.response, "output": self._items}
            return Piece(event.raw, commits=True, done=True, chunk=chunk)
        if kind == "response.output_item.done" and isinstance(item := chunk.get("item"), dict):
            self._items.append(item)
            proof = item.get("encrypted_content")
            if isinstance(proof, str) and proof:
                self.seals.append(proof)
        return Piece(event.raw, commits=_has_content(kind, chunk), chunk=chunk)

    def end(self) -> bytes:
        """Return nothing: a complete stream includes its final event."""
        return b""

    def fail(self, error: ApiError) -> bytes:
        """Return the in-band end of a stream that failed after its commit."""
        return failed_event(error, self.response, self._sequence + 1)

    def _update(self, response: object) -> None:
        if isinstance(response, dict):
            self.response = response
            if response.get("usage"):
                self.usage = usage_of(response)


def _has_content(kind: str, chunk: Mapping[str, Any]) -> bool:
    """Return whether an event carries content (text, reasoning or a call), not only an announcement of it."""
    if kind.endswith(".delta"):
        return bool(chunk.get("delta"))
    item = chunk.get("item")
    if kind == "response.output_item.added":
        return isinstance(item, dict) and item.get("type") not in ("message", "reasoning")
    return kind.endswith(".done")


def failed_event(error: ApiError, response: Mapping[str, Any], sequence: int) -> bytes:
    """Return the event that ends a failed stream: `response.failed` once the response has started, else `error`."""
    if not response.get("id"):
        fields = {"code": error.code or error.type, "message": error.message, "param": error.param}
        return _encode_event("error", sequence, **fields)
    failure = {"code": "server_error", "message": f"{error.message} ({error.code or error.type})"}
    failed = {**response, "status": "failed", "error": failure}
    return _encode_event("response.failed", sequence, response=failed)


# --- Whole answers ----------------------------------------------------------------------------------------------------


def usage_of(answer: Mapping[str, Any]) -> Usage:
    """Return the usage that a response reports."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return Usage()
    input_details, output_details = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    return Usage(
        prompt_tokens=count(usage, "input_tokens"),
        completion_tokens=count(usage, "output_tokens"),
        cached_tokens=count(input_details, "cached_tokens"),
        cache_write_tokens=count(input_details, "cache_write_tokens"),
        reasoning_tokens=count(output_details, "reasoning_tokens"),
        audio_prompt_tokens=count(input_details, "audio_tokens"),
        audio_completion_tokens=count(output_details, "audio_tokens"),
    )


def read_whole(raw: bytes) -> dict[str, Any] | None:
    """Return the response in `raw`; None if it is not JSON, an error, failed, or has no output."""
    try:
        answer = load(raw)
    except ValueError:
        return None
    if not isinstance(answer, dict) or answer.get("error") or answer.get("status") in ("failed", "cancelled"):
        return None
    output = answer.get("output")
    return answer if isinstance(output, list) and all(isinstance(item, dict) for item in output) else None


class ResponsesAssembler:
    """Assembles the events of a stream into the whole response.

    That is the response of the last event. Some relays omit its output; then the output is collected from item events.
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


def unfold(answer: Mapping[str, Any], *, wants_usage: bool = True) -> list[bytes]:  # noqa: ARG001 - always reported here
    """Return a whole response (as `read_whole` returns it) as the events of a stream.

    Used when a provider answers a streamed request with a whole response.
    """
    started = {**answer, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    events: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": started}),
        ("response.in_progress", {"response": started}),
    ]
    for index, item in enumerate(answer["output"]):
        events.extend((kind, {"output_index": index, **more}) for kind, more in _unfold_item(item))
    numbered = (_encode_event(kind, number, **more) for number, (kind, more) in enumerate(events))
    return [*numbered, final_event(answer, len(events))]


def final_event(answer: Mapping[str, Any], sequence: int) -> bytes:
    """Return the event that ends the stream of `answer`."""
    kind = "response.incomplete" if answer.get("status") == "incomplete" else "response.completed"
    return _encode_event(kind, sequence, response=answer)


def _encode_event(kind: str, sequence: int, **more: Any) -> bytes:
    return sse.encode(dump({"type": kind, **more, "sequence_number": sequence}), kind.encode())


def _unfold_item(item: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the events of one output item: (type, fields)."""
    place = {"item_id": item.get("id")}
    kind, empty = item.get("type"), {"status": "in_progress"}
    match kind:
        case "message" | "reasoning":
            bare: dict[str, Any] = {"content": []} if kind == "message" else {"summary": [], "content": []}
            yield "response.output_item.added", {"item": {**item, **empty, **bare}}
            for key, index_name in (("summary", "summary_index"), ("content", "content_index")):
                parts = item.get(key)
                for index, part in enumerate(parts if isinstance(parts, list) else ()):
                    if isinstance(part, dict):
                        yield from _unfold_part(part, {**place, index_name: index})
        case "function_call" | "custom_tool_call":
            field_name = "arguments" if kind == "function_call" else "input"
            event = "response.function_call_arguments" if kind == "function_call" else "response.custom_tool_call_input"
            yield "response.output_item.added", {"item": {**item, **empty, field_name: ""}}
            if item.get(field_name):
                yield f"{event}.delta", {**place, "delta": item[field_name]}
            yield f"{event}.done", {**place, field_name: item.get(field_name, "")}
        case _:
            yield "response.output_item.added", {"item": item}
    yield "response.output_item.done", {"item": item}


# Part type → (prefix of its text events, key of its text).
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
    prefix, key = _PARTS[kind]
    text = part.get(key) or ""
    is_text = prefix == "response.output_text"
    logprobs = {"logprobs": part.get("logprobs") or []} if is_text else {}
    empty: dict[str, Any] = {"annotations": [], "logprobs": []} if is_text else {}
    annotations = part.get("annotations") if is_text else None
    yield f"{frame}.added", {**place, "part": {**part, **empty, key: ""}}
    if text:
        yield f"{prefix}.delta", {**place, "delta": text, **logprobs}
    for number, annotation in enumerate(annotations if isinstance(annotations, list) else ()):
        yield f"{prefix}.annotation.added", {**place, "annotation_index": number, "annotation": annotation}
    yield f"{prefix}.done", {**place, key: text, **logprobs}
    yield f"{frame}.done", {**place, "part": part}

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
    "OutputCollector",
    "ResponsesAssembler",
    "ResponsesStreamReader",
    "failed_event",
    "final_event",
    "read_whole",
    "to_events",
    "usage_of",
]

FINAL_EVENTS = frozenset({"response.completed", "response.incomplete"})
OPENING_EVENTS = frozenset({"response.created", "response.in_progress", "response.queued"})
FAILURE_EVENTS = frozenset({"error", "response.failed", "response.cancelled"})


# Type of a delta event → item type, list of parts in the item, part type, key of the part's text.
_PART_DELTAS: Mapping[str, tuple[str, str, str, str]] = {
    "response.output_text.delta": ("message", "content", "output_text", "text"),
    "response.refusal.delta": ("message", "content", "refusal", "refusal"),
    "response.reasoning_text.delta": ("reasoning", "content", "reasoning_text", "text"),
    "response.reasoning_summary_text.delta": ("reasoning", "summary", "summary_text", "text"),
}
# Type of a delta event → item type, key of its text.
_CALL_DELTAS: Mapping[str, tuple[str, str]] = {
    "response.function_call_arguments.delta": ("function_call", "arguments"),
    "response.custom_tool_call_input.delta": ("custom_tool_call", "input"),
}


class OutputCollector:
    """Collects the output of a stream from its events, including items that have not ended."""

    def __init__(self) -> None:
        self._items: dict[int, Mapping[str, Any]] = {}  # as of their latest event, by output index
        self._ended: set[int] = set()
        self._deltas: dict[tuple[int, int, str], list[str]] = {}  # by output index, part index and event type
        self._place: tuple[object, ...] = ()  # of the latest delta
        self._latest: list[str] = []  # the deltas at that place

    def add(self, kind: str, chunk: Mapping[str, Any]) -> None:
        """Take one event in."""
        if kind.endswith(".delta"):
            place = (chunk.get("output_index"), chunk.get("content_index"), chunk.get("summary_index"), kind)
            if place != self._place:
                self._place, self._latest = place, self._deltas_at(kind, chunk)
            if isinstance(delta := chunk.get("delta"), str):
                self._latest.append(delta)
        elif kind.startswith("response.output_item.") and isinstance(item := chunk.get("item"), dict):
            index = _index(chunk, "output_index")
            self._items[index] = item
            if kind == "response.output_item.done":
                self._ended.add(index)

    def _deltas_at(self, kind: str, chunk: Mapping[str, Any]) -> list[str]:
        index = _index(chunk, "output_index")
        self._items.setdefault(index, {"id": chunk.get("item_id")})
        part = _index(chunk, "summary_index" if "summary" in kind else "content_index")
        return self._deltas.setdefault((index, part, kind), [])

    def items(self) -> list[dict[str, Any]]:
        """Return the output so far. Items that have not ended have the status incomplete."""
        open_items = {i: {**item} for i, item in sorted(self._items.items())}
        for (index, _, kind), deltas in sorted(self._deltas.items()):
            if index not in self._ended:
                _append(open_items[index], kind, "".join(deltas))
        for index in open_items.keys() - self._ended:
            item = open_items[index]
            if item.get("type") == "message":
                item.setdefault("role", "assistant")
                item.setdefault("content", [])
            if item.get("type") != "reasoning":
                item["status"] = "incomplete"
        return [item for item in open_items.values() if item.get("type")]


def _index(chunk: Mapping[str, Any], name: str) -> int:
    index = chunk.get(name)
    return index if isinstance(index, int) else 0


def _append(item: dict[str, Any], kind: str, text: str) -> None:
    """Add the text of one part, or the arguments of a call, to an item that has not ended."""
    if kind in _CALL_DELTAS:
        item_type, key = _CALL_DELTAS[kind]
        item |= {"type": item_type, key: text}
    elif kind in _PART_DELTAS:
        item_type, parts, part_type, key = _PART_DELTAS[kind]
        extra: dict[str, Any] = {"annotations": [], "logprobs": []} if part_type == "output_text" else {}
        part = {"type": part_type, key: text, **extra}
        item |= {"type": item_type, parts: [*(item.get(parts) or ()), part]}
        if item_type == "reasoning":
            item.setdefault("summary", [])


@dataclass(slots=True)
class ResponsesStreamReader:
    """Reads a provider's stream event by event and tracks its progress.

    `response` is the response of the latest event that has one: without output at first, complete at the end.
    Sequence numbers that do not increase, and an output that the final event omits, are corrected in what is sent on.
    """

    usage: Usage = field(default_factory=Usage)
    malformed: int = 0
    done: bool = False
    complete: bool = False
    response: Mapping[str, Any] = field(default_factory=dict)
    seals: list[str] = field(default_factory=list)
    _output: OutputCollector = field(default_factory=OutputCollector)
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
        response = chunk.get("response")
        if kind in FAILURE_EVENTS or (chunk.get("error") and not isinstance(response, dict)):
            return Piece(b"", error=data, chunk=chunk)
        if isinstance(response, dict) and (kind in OPENING_EVENTS or kind in FINAL_EVENTS):
            if _has_failed(response):
                return Piece(b"", error=data, chunk=chunk)
            self.response = response
            if response.get("usage"):
                self.usage = usage_of(response)
        raw = self._numbered(event, chunk)
        if kind in FINAL_EVENTS:
            return self._end(raw, kind, chunk)
        self._output.add(kind, chunk)
        if kind == "response.output_item.done" and isinstance(item := chunk.get("item"), dict):
            proof = item.get("encrypted_content")
            if isinstance(proof, str) and proof:
                self.seals.append(proof)
        return Piece(raw, commits=_has_content(kind, chunk), chunk=chunk)

    def end(self) -> bytes:
        """Return nothing: a complete stream includes its final event."""
        return b""

    def fail(self, error: ApiError) -> bytes:
        """Return the in-band end of a stream that failed after its commit, with the output so far."""
        return failed_event(error, {**self.response, "output": self._output.items()}, self._sequence + 1)

    def _numbered(self, event: sse.Event, chunk: dict[str, Any]) -> bytes:
        """Return the bytes of `event` with a sequence number above the last one."""
        number = chunk.get("sequence_number")
        if isinstance(number, int) and number > self._sequence:
            self._sequence = number
            return event.raw
        self._sequence += 1
        chunk["sequence_number"] = self._sequence
        return sse.encode(dump(chunk), event.name)

    def _end(self, raw: bytes, kind: str, chunk: dict[str, Any]) -> Piece:
        """Return the final event. One that completes without usage or without any output was cut behind a relay."""
        self.done = True
        if not self.response.get("output"):
            self.response = {**self.response, "output": self._output.items()}
            if self.response["output"]:
                chunk = {**chunk, "response": self.response}
                raw = sse.encode(dump(chunk), sse.event_name(kind))
        if _is_cut(self.response):
            return Piece(b"", done=True)
        self.complete = True
        return Piece(raw, commits=True, done=True, chunk=chunk)


def _has_failed(response: Mapping[str, Any]) -> bool:
    return bool(response.get("error")) or response.get("status") in ("failed", "cancelled")


def _is_cut(response: Mapping[str, Any]) -> bool:
    """Return whether a finished response has no usage or no output, and nothing says why it is incomplete."""
    return response.get("status") != "incomplete" and not (response.get("usage") and response.get("output"))


def _has_content(kind: str, chunk: Mapping[str, Any]) -> bool:
    """Return whether an event carries content (text, reasoning or a call), not only an announcement of it."""
    if kind.endswith(".delta"):
        return bool(chunk.get("delta"))
    item = chunk.get("item")
    if kind == "response.output_item.added":
        return isinstance(item, dict) and item.get("type") not in ("message", "reasoning")
    return kind.endswith(".done")


# The codes that Codex and OpenAI's clients retry, by the type of the router's error.
_ERROR_CODES = {"overloaded_error": "server_is_overloaded", "rate_limit_error": "rate_limit_exceeded"}


def failed_event(error: ApiError, response: Mapping[str, Any], sequence: int) -> bytes:
    """Return the event that ends a failed stream: `response.failed` once the response has started, else `error`."""
    if not response.get("id"):
        fields = {"code": error.code or error.type, "message": error.message, "param": error.param}
        return _encode_event("error", sequence, **fields)
    failure = {
        "code": _ERROR_CODES.get(error.type, "server_error"),
        "message": f"{error.message} ({error.code or error.type})",
    }
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
    """Return the response in `raw`; None if it is not JSON, an error, failed, unfinished or cut."""
    try:
        answer = load(raw)
    except ValueError:
        return None
    if not isinstance(answer, dict) or _has_failed(answer) or answer.get("status") in ("queued", "in_progress"):
        return None
    output = answer.get("output")
    if not isinstance(output, list) or not all(isinstance(item, dict) for item in output):
        return None
    return None if _is_cut(answer) else answer


class ResponsesAssembler:
    """Assembles the events of a stream into the whole response.

    That is the response of the last event. Some relays omit its output; then the output is collected from the events.
    """

    def __init__(self) -> None:
        self._response: dict[str, Any] = {}
        self._output = OutputCollector()

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Take one event in."""
        response, kind = chunk.get("response"), chunk.get("type")
        if isinstance(response, dict):
            self._response = response
        elif isinstance(kind, str):
            self._output.add(kind, chunk)

    def answer(self) -> dict[str, Any]:
        """Return the response."""
        if self._response.get("output"):
            return self._response
        return {**self._response, "output": self._output.items()}


def to_events(answer: Mapping[str, Any], *, wants_usage: bool = True) -> list[bytes]:  # noqa: ARG001 - always reported here
    """Return a whole response (as `read_whole` returns it) as the events of a stream.

    Used when a provider answers a streamed request with a whole response.
    """
    unset = {"completed_at": None, "incomplete_details": None, "usage": None}
    started = {**answer, **unset, "status": "in_progress", "output": []}
    events: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": started}),
        ("response.in_progress", {"response": started}),
    ]
    for index, item in enumerate(answer["output"]):
        events.extend((kind, {"output_index": index, **more}) for kind, more in _item_events(item))
    numbered = (_encode_event(kind, number, **more) for number, (kind, more) in enumerate(events))
    return [*numbered, final_event(answer, len(events))]


def final_event(answer: Mapping[str, Any], sequence: int) -> bytes:
    """Return the event that ends the stream of `answer`."""
    kind = "response.incomplete" if answer.get("status") == "incomplete" else "response.completed"
    return _encode_event(kind, sequence, response=answer)


def _encode_event(kind: str, sequence: int, **more: Any) -> bytes:
    return sse.encode(dump({"type": kind, **more, "sequence_number": sequence}), kind.encode())


def _item_events(item: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
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
                        yield from _part_events(part, {**place, index_name: index})
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


def _part_events(part: Mapping[str, Any], place: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
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

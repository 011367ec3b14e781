"""Reads a provider's Responses answer into neutral events."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vibe_router.formats.neutral.model import (
    AnnotationAdded,
    Event,
    Finish,
    Reason,
    ReasoningDelta,
    ReasoningProof,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from vibe_router.formats.responses.stream import usage_of

__all__ = ["ResponsesDecoder"]

_INCOMPLETE: Mapping[object, Reason] = {"max_output_tokens": "length", "content_filter": "content_filter"}


class ResponsesDecoder:
    """Decodes the events of a Responses answer into neutral events.

    Neutral blocks never interleave: events of an item wait until the items before it have ended.
    """

    def __init__(self) -> None:
        self._started = False
        self._order: list[int] = []  # open items, by their index in the output
        self._waiting: dict[int, list[Event]] = {}
        self._streamed: set[int] = set()  # items with at least one delta
        self._ended: set[int] = set()
        self._called = False

    def decode(self, chunk: Mapping[str, Any]) -> Iterable[Event]:
        """Return the events in `chunk`."""
        kind = chunk.get("type")
        if kind == "response.output_text.delta" and self._started:  # the common case
            return self._pass_on(chunk, [_text_delta(chunk)])
        events: list[Event] = []
        response = chunk.get("response")
        if not self._started:
            self._started = True
            events.append(_started(response if isinstance(response, dict) else {}))
        match kind:
            case "response.completed" | "response.incomplete":
                events += self._finish(response if isinstance(response, dict) else {})
            case "response.output_item.added":
                events += self._begin(chunk)
            case "response.output_item.done":
                events += self._end_item(_place(chunk), chunk.get("item"))
            case _:
                if deltas := _deltas(kind, chunk):
                    events += self._pass_on(chunk, deltas)
        return events

    def end(self) -> Iterable[Event]:
        """Return nothing: the final event completes the answer."""
        return ()

    def _begin(self, chunk: Mapping[str, Any]) -> list[Event]:
        place, item = _place(chunk), chunk.get("item")
        if place in self._ended or place in self._order:
            return []
        self._order.append(place)
        return self._in_order(place, self._start(item)) if isinstance(item, dict) else []

    def _start(self, item: Mapping[str, Any]) -> list[Event]:
        if item.get("type") not in ("function_call", "custom_tool_call"):
            return []
        self._called = True
        call, name = item.get("call_id") or item.get("id"), item.get("name")
        call = call if isinstance(call, str) else f"call_{secrets.token_hex(12)}"
        custom = item.get("type") == "custom_tool_call"
        return [ToolCallStart(call, name if isinstance(name, str) else "", custom)]

    def _pass_on(self, chunk: Mapping[str, Any], events: list[Event]) -> list[Event]:
        place = _place(chunk)
        if place not in self._order:
            if place in self._ended:
                return []
            self._order.append(place)
        self._streamed.add(place)
        return self._in_order(place, events)

    def _in_order(self, place: int, events: list[Event]) -> list[Event]:
        """Return `events` if their item is the first open one; else hold them back."""
        if self._order[0] == place:
            return events
        self._waiting.setdefault(place, []).extend(events)
        return []

    def _end_item(self, place: int, item: object) -> list[Event]:
        if not isinstance(item, dict) or place in self._ended:
            return []
        events: list[Event] = []
        if place not in self._order:
            self._order.append(place)
            events += self._in_order(place, self._start(item))
        rest = [] if place in self._streamed else _item_events(item)
        encrypted, id_ = item.get("encrypted_content"), item.get("id")
        if item.get("type") == "reasoning" and isinstance(encrypted, str) and encrypted:
            rest.append(ReasoningProof(encrypted=encrypted, id=id_ if isinstance(id_, str) else None))
        events += self._in_order(place, rest)
        self._ended.add(place)
        while self._order and self._order[0] in self._ended:
            self._order.pop(0)
            if self._order:
                events += self._waiting.pop(self._order[0], ())
        return events

    def _finish(self, response: Mapping[str, Any]) -> list[Event]:
        output = response.get("output")
        events: list[Event] = []
        for place, item in enumerate(output if isinstance(output, list) else ()):
            events += self._end_item(place, item)
        for place in tuple(self._order):  # items that the final event omits
            events += self._waiting.pop(place, ())
        details = response.get("incomplete_details")
        why = details.get("reason") if isinstance(details, dict) else None
        reason = _INCOMPLETE.get(why, "length") if isinstance(why, str) else "length"
        if response.get("status") != "incomplete":
            reason = "tool_calls" if self._called else "stop"
        return [*events, Finish(reason), UsageReport(usage_of(response))]


def _place(chunk: Mapping[str, Any]) -> int:
    place = chunk.get("output_index")
    return place if isinstance(place, int) else 0


def _started(response: Mapping[str, Any]) -> Started:
    id_, model, created = response.get("id"), response.get("model"), response.get("created_at")
    return Started(
        id_ if isinstance(id_, str) else None,
        model if isinstance(model, str) else None,
        int(created) if isinstance(created, int | float) else None,
    )


def _text_delta(chunk: Mapping[str, Any]) -> TextDelta:
    delta = chunk.get("delta")
    return TextDelta(delta if isinstance(delta, str) else "", logprobs=_logprobs(chunk))


def _logprobs(part: Mapping[str, Any]) -> Sequence[Mapping[str, Any]] | None:
    logprobs = part.get("logprobs")
    return [each for each in logprobs if isinstance(each, dict)] if isinstance(logprobs, list) and logprobs else None


def _deltas(kind: object, chunk: Mapping[str, Any]) -> list[Event]:
    delta = chunk.get("delta")
    if not isinstance(delta, str):
        annotation = chunk.get("annotation")
        wanted = kind == "response.output_text.annotation.added" and isinstance(annotation, dict)
        return [AnnotationAdded(annotation)] if wanted and isinstance(annotation, dict) else []
    match kind:
        case "response.output_text.delta":
            return [_text_delta(chunk)]
        case "response.refusal.delta":
            return [RefusalDelta(delta)]
        case "response.reasoning_summary_text.delta":
            part = chunk.get("summary_index")
            return [ReasoningDelta(delta, summary=True, part=part if isinstance(part, int) else 0)]
        case "response.reasoning_text.delta":
            return [ReasoningDelta(delta)]
        case "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta":
            return [ToolCallDelta(delta)]
    return []


def _item_events(item: Mapping[str, Any]) -> list[Event]:
    """Return the events of an item that arrived whole, without deltas."""
    events: list[Event] = []
    match item:
        case {"type": "message", "content": list(content)}:
            for part in content:
                match part:
                    case {"type": "output_text", "text": str(value)} if value:
                        events.append(TextDelta(value, logprobs=_logprobs(part)))
                        annotations = part.get("annotations") or ()
                        events += (AnnotationAdded(each) for each in annotations if isinstance(each, dict))
                    case {"type": "refusal", "refusal": str(value)} if value:
                        events.append(RefusalDelta(value))
        case {"type": "function_call", "arguments": str(value)} | {"type": "custom_tool_call", "input": str(value)}:
            if value:
                events.append(ToolCallDelta(value))
        case {"type": "reasoning"}:
            for key, summary in (("summary", True), ("content", False)):
                parts = item.get(key)
                for i, each in enumerate(parts if isinstance(parts, list) else ()):
                    if isinstance(each, dict) and isinstance(delta := each.get("text"), str) and delta:
                        events.append(ReasoningDelta(delta, summary=summary, part=i if summary else 0))
    return events

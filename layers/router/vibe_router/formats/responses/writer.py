"""Writes neutral events as a Responses stream, or as the whole response.

The order is OpenAI's: an item is added, then its parts, then their deltas, and each is done before the next is added.
`sequence_number` counts from 0 without gaps. Ids are the router's own.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any, cast

from vibe_router.core.errors import ApiError
from vibe_router.core.usage import Usage
from vibe_router.formats.common import sse
from vibe_router.formats.common.json_body import dump
from vibe_router.formats.common.seal import wrap
from vibe_router.formats.interfaces import ClientRequest
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
from vibe_router.formats.responses.ids import item_id, new_response_id
from vibe_router.formats.responses.namespaces import namespaced_names
from vibe_router.formats.responses.stream import failed_event

__all__ = ["ResponsesWriter", "usage_fields", "whole"]

_INCOMPLETE: Mapping[Reason, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}
# Type of a call → key of its arguments, prefix of its events.
_CALLS: Mapping[str, tuple[str, str]] = {
    "function_call": ("arguments", "function_call_arguments"),
    "custom_tool_call": ("input", "custom_tool_call_input"),
}


class ResponsesWriter:
    """Writes one answer to `request`. `created` (epoch seconds) is used if the provider gives no time.

    `response` is the answer so far, complete after `end`.
    """

    def __init__(self, request: ClientRequest, created: int) -> None:
        response: dict[str, Any] = {
            "id": new_response_id(),
            "object": "response",
            "created_at": created,
            "completed_at": None,
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "model": request.model,
            "output": [],
            "usage": None,
        }
        self.response = dict(request.echo(response))
        self._namespaced = namespaced_names(request.body)
        self._sequence = 0
        self._items = 0  # items added so far
        self._item: dict[str, Any] | None = None  # the open item
        self._part: dict[str, Any] | None = None  # its open part
        self._pieces: list[str] = []  # the text of that part, or the arguments of that call
        self._place = 0  # index of that part
        self._characters = 0  # of text before that part
        self._frame = (b"", b"")  # the bytes around the text and the number of a text delta
        self._finish: Reason = "stop"
        self._usage = Usage()

    def write(self, event: Event) -> bytes:
        """Return the bytes for `event`."""
        if type(event) is TextDelta and self._frame[0] and event.logprobs is None and not event.choice:
            self._pieces.append(event.text)
            number = self._sequence
            self._sequence += 1
            return self._frame[0] + dump(event.text) + self._frame[1] + b"%d}\n\n" % number
        match event:
            case Started():
                return self._begin(event)
            case TextDelta(choice=0):
                opened = self._open_part("message", "output_text")
                self._pieces.append(event.text)
                logprobs = [dict(each) for each in event.logprobs or ()]
                if self._part is not None and logprobs:
                    self._part.setdefault("logprobs", []).extend(logprobs)
                return opened + self._delta("response.output_text.delta", event.text, logprobs=logprobs)
            case RefusalDelta(choice=0):
                opened = self._open_part("message", "refusal")
                self._pieces.append(event.text)
                return opened + self._delta("response.refusal.delta", event.text)
            case ReasoningDelta(choice=0):
                kind = "summary_text" if event.summary else "reasoning_text"
                opened = self._open_part("reasoning", kind, event.part if event.summary else None)
                self._pieces.append(event.text)
                stem = "response.reasoning_summary_text" if event.summary else "response.reasoning_text"
                return opened + self._delta(f"{stem}.delta", event.text)
            case AnnotationAdded(choice=0):
                return self._annotate(event)
            case ReasoningProof(choice=0):
                return self._prove(event)
            case ToolCallStart(choice=0):
                return self._call(event)
            case ToolCallDelta(choice=0):
                self._pieces.append(event.arguments)
                custom = self._item is not None and self._item["type"] == "custom_tool_call"
                stem = "response.custom_tool_call_input" if custom else "response.function_call_arguments"
                return self._delta(f"{stem}.delta", event.arguments)
            case Finish(choice=0):
                self._finish = event.reason
            case UsageReport():
                self._usage = event.usage
            case _:  # another choice, which Responses cannot ask for
                pass
        return b""

    def end(self) -> bytes:
        """Return the end of the last item, and the event with the whole response."""
        reason = _INCOMPLETE.get(self._finish)
        closed = self._close_item("incomplete" if reason else "completed")
        self.response["status"] = "incomplete" if reason else "completed"
        self.response["incomplete_details"] = {"reason": reason} if reason else None
        self.response["completed_at"] = None if reason else int(time.time())
        self.response["usage"] = usage_fields(self._usage)
        kind = "response.incomplete" if reason else "response.completed"
        return closed + self._event(kind, response=self.response)

    def fail(self, error: ApiError) -> bytes:
        """Return `response.failed` with the output so far. Nothing follows it."""
        item = self._item
        if item is not None and item["type"] in _CALLS:  # no event may present a truncated call as a complete one
            item |= {_CALLS[item["type"]][0]: "".join(self._pieces), "status": "incomplete"}
            self.response["output"].append(item)
            return failed_event(error, self.response, self._sequence)
        closed = self._close_item("incomplete")
        return closed + failed_event(error, self.response, self._sequence)

    def _begin(self, event: Started) -> bytes:
        self.response["model"] = event.model or self.response["model"]
        if event.created:
            self.response["created_at"] = event.created
        return self._event("response.created", response=self.response) + self._event(
            "response.in_progress", response=self.response
        )

    def _event(self, kind: str, **fields: Any) -> bytes:
        number = self._sequence
        self._sequence += 1
        return sse.encode(dump({"type": kind, **fields, "sequence_number": number}), kind.encode())

    def _where(self) -> dict[str, Any]:
        item = self._item or {}
        where: dict[str, Any] = {"item_id": item.get("id"), "output_index": len(self.response["output"])}
        if self._part is not None:
            key = "summary_index" if self._part["type"] == "summary_text" else "content_index"
            where[key] = self._place
        return where

    def _delta(self, kind: str, delta: str, **more: Any) -> bytes:
        return self._event(kind, **self._where(), delta=delta, **more)

    def _item_id(self, prefix: str) -> str:
        self._items += 1
        return item_id(prefix, self.response["id"], self._items)

    def _open_item(self, item: dict[str, Any]) -> bytes:
        closed = self._close_item("completed")
        self._item = item
        return closed + self._event("response.output_item.added", output_index=len(self.response["output"]), item=item)

    def _open_part(self, item_kind: str, part_kind: str, place: int | None = None) -> bytes:
        """Open a part and its item unless they are open. `place` is the index of a summary's part."""
        out = b""
        if self._item is None or self._item["type"] != item_kind or (item_kind == "reasoning" and self._has_proof()):
            prefix = "msg" if item_kind == "message" else "rs"
            item: dict[str, Any] = {"id": self._item_id(prefix), "type": item_kind}
            if item_kind == "message":
                item |= {"status": "in_progress", "role": "assistant", "content": []}
            else:
                item |= {"summary": []}
            out += self._open_item(item)
        if self._part is not None and self._part["type"] == part_kind and place in (None, self._place):
            return out
        out += self._close_part()
        list_key = "summary" if part_kind == "summary_text" else "content"
        self._place = len(cast("dict[str, Any]", self._item).get(list_key, ()))
        key = "refusal" if part_kind == "refusal" else "text"
        self._part = {"type": part_kind, key: ""}
        if part_kind == "output_text":
            self._part |= {"annotations": [], "logprobs": []}
        frame = "reasoning_summary_part" if part_kind == "summary_text" else "content_part"
        out += self._event(f"response.{frame}.added", **self._where(), part=self._part)
        if part_kind == "output_text":
            kind = b"response.output_text.delta"
            head = dump({"type": kind.decode(), **self._where(), "logprobs": []})
            self._frame = (b"event: " + kind + b"\ndata: " + head[:-1] + b',"delta":', b',"sequence_number":')
        return out

    def _has_proof(self) -> bool:
        return self._item is not None and "encrypted_content" in self._item

    def _close_part(self) -> bytes:
        part, self._frame = self._part, (b"", b"")
        if part is None or self._item is None:
            return b""
        text = "".join(self._pieces)
        self._pieces = []
        kind = part["type"]
        key = "refusal" if kind == "refusal" else "text"
        part[key] = text
        self._characters += len(text) if kind == "output_text" else 0
        stem, frame = {
            "output_text": ("output_text", "content_part"),
            "refusal": ("refusal", "content_part"),
            "reasoning_text": ("reasoning_text", "content_part"),
            "summary_text": ("reasoning_summary_text", "reasoning_summary_part"),
        }[kind]
        more = {"logprobs": part["logprobs"]} if kind == "output_text" else {}
        out = self._event(f"response.{stem}.done", **self._where(), **{key: text}, **more)
        out += self._event(f"response.{frame}.done", **self._where(), part=part)
        self._item.setdefault("summary" if kind == "summary_text" else "content", []).append(part)
        self._part = None
        return out

    def _close_item(self, status: str) -> bytes:
        item = self._item
        if item is None:
            return b""
        out = self._close_part()
        if item["type"] in _CALLS:
            key, stem = _CALLS[item["type"]]
            if not any(self._pieces) and key == "arguments":
                self._pieces = ["{}"]
                out += self._delta(f"response.{stem}.delta", "{}")
            item[key] = text = "".join(self._pieces)
            self._pieces = []
            name = {"name": item["name"]} if key == "arguments" else {}
            out += self._event(f"response.{stem}.done", **self._where(), **{key: text}, **name)
        if "status" in item:
            item["status"] = status
        out += self._event("response.output_item.done", output_index=len(self.response["output"]), item=item)
        self.response["output"].append(item)
        self._item = None
        return out

    def _annotate(self, event: AnnotationAdded) -> bytes:
        opened = self._open_part("message", "output_text")
        part = cast("dict[str, Any]", self._part)
        index = len(part["annotations"])
        annotation = dict(event.annotation)
        for name in ("start_index", "end_index"):
            if isinstance(annotation.get(name), int):
                annotation[name] = max(annotation[name] - self._characters, 0)
        part["annotations"].append(annotation)
        return opened + self._event(
            "response.output_text.annotation.added", **self._where(), annotation_index=index, annotation=annotation
        )

    def _prove(self, event: ReasoningProof) -> bytes:
        """Put the proof into its reasoning item, and close the item."""
        out = b""
        if self._item is None or self._item["type"] != "reasoning" or self._has_proof():
            out += self._open_item({"id": self._item_id("rs"), "type": "reasoning", "summary": []})
        out += self._close_part()
        item = cast("dict[str, Any]", self._item)
        text = "".join(part["text"] for part in item.get("content", ()))
        if seal := event.seal(text or "\n\n".join(part["text"] for part in item["summary"])):
            item["encrypted_content"] = wrap(seal)
        return out + self._close_item("completed")

    def _call(self, event: ToolCallStart) -> bytes:
        kind, prefix, field = (
            ("custom_tool_call", "ctc", "input") if event.custom else ("function_call", "fc", "arguments")
        )
        item: dict[str, Any] = {"id": self._item_id(prefix), "type": kind, "status": "in_progress"}
        if event.custom:
            del item["status"]
        item |= {"call_id": event.id, "name": event.name, field: ""}
        if event.name in self._namespaced:
            item["namespace"], item["name"] = self._namespaced[event.name]
        return self._open_item(item)


def whole(request: ClientRequest, events: Iterable[Event], created: int) -> bytes:
    """Return the whole response to `events`."""
    writer = ResponsesWriter(request, created)
    for event in events:
        writer.write(event)
    writer.end()
    return dump(writer.response)


def usage_fields(usage: Usage) -> dict[str, Any]:
    """Return `usage` as Responses reports it."""
    return {
        "input_tokens": usage.prompt_tokens or 0,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens or 0,
            "cache_write_tokens": usage.cache_write_tokens or 0,
        },
        "output_tokens": usage.completion_tokens or 0,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": usage.total_tokens,
    }

"""The fields of a response that echo its request, and others that every response must have.

Shapes: OpenAI's API reference and the Open Responses specification (openresponses.org), which requires every field.
Providers leave some out, and never received others, such as `previous_response_id`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vibe_router.core.errors import ApiError
from vibe_router.formats.common import sse
from vibe_router.formats.common.json_body import dump, load
from vibe_router.formats.interfaces import Piece, StreamReader
from vibe_router.formats.reader_proxy import ReaderProxy

__all__ = ["EchoingStreamReader", "complete_response", "override_event_fields", "override_fields"]

Response = Mapping[str, Any]

# Request fields that a response echoes, with their defaults.
_ECHOED: Mapping[str, Any] = {
    "background": False,
    "frequency_penalty": 0.0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
_FUNCTION: Mapping[str, Any] = {"description": None, "parameters": None, "strict": None}
_JSON_SCHEMA: Mapping[str, Any] = {"description": None, "strict": False}
# By the type of an item or a part: its fields that providers leave out, with their defaults.
_ITEM_FIELDS: Mapping[str, Mapping[str, Any]] = {
    "message": {"status": "completed", "role": "assistant", "content": []},
    "function_call": {"status": "completed"},
    "reasoning": {"summary": []},
    "output_text": {"annotations": []},
}
_USAGE_DETAILS: Mapping[str, Any] = {
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}


def complete_response(response: Response, request: Mapping[str, Any]) -> Response:
    """Return `response` with every required field, echoing `request` where its provider did not.

    Returns the same object if nothing is missing.
    """
    missing: dict[str, Any] = {}
    for name, default in _ECHOED.items():
        value = response.get(name)
        if value is None and (name not in response or default is not None):
            value = missing[name] = _echo(request.get(name), default)
        if name == "tools" and isinstance(value, list) and (tools := _complete_tools(value)) is not value:
            missing[name] = tools
    output = response.get("output")
    if isinstance(output, list) and (completed := [complete_item(item) for item in output]) != output:
        missing["output"] = completed
    for name in ("error", "incomplete_details", "usage"):
        if name not in response:
            missing[name] = None
    usage = response.get("usage")
    if isinstance(usage, dict) and usage and not usage.keys() >= _USAGE_DETAILS.keys() | {"total_tokens"}:
        total = sum(count for name in ("input_tokens", "output_tokens") if isinstance(count := usage.get(name), int))
        missing["usage"] = {**_USAGE_DETAILS, "total_tokens": total, **usage}
    if response.get("completed_at") is None and response.get("status") == "completed":
        missing["completed_at"] = int(time.time())
    elif "completed_at" not in response:
        missing["completed_at"] = None
    return {**response, **missing} if missing else response


def complete_item(item: Any, status: str = "completed") -> Any:
    """Return an output item or a content part with every required field; the same object if nothing is missing."""
    if not isinstance(item, dict):
        return item
    defaults = _ITEM_FIELDS.get(str(item.get("type")), {})
    completed = item
    if not item.keys() >= defaults.keys():
        completed = {**defaults, **item}
        if "status" in defaults and "status" not in item:
            completed["status"] = status
    parts = completed.get("content")
    if isinstance(parts, list) and (filled := [complete_item(part) for part in parts]) != parts:
        completed = {**completed, "content": filled}
    return completed


def _echo(value: object, default: object) -> object:
    if value is None:
        return default
    if isinstance(value, dict) and isinstance(default, dict):
        echoed = {**default, **value}
        format_ = echoed.get("format")
        if isinstance(format_, dict) and format_.get("type") == "json_schema":
            echoed["format"] = {**_JSON_SCHEMA, **format_}
        return echoed
    return value


def _complete_tools(tools: list[Any]) -> list[Any]:
    """Return `tools` with every field of a function; the same list if none is missing."""
    completed = [
        {**_FUNCTION, **tool}
        if isinstance(tool, dict) and tool.get("type") == "function" and not tool.keys() >= _FUNCTION.keys()
        else tool
        for tool in tools
    ]
    return completed if any(new is not old for new, old in zip(completed, tools, strict=True)) else tools


def override_fields(body: bytes, fields: Mapping[str, Any]) -> bytes:
    """Return a whole answer with `fields` in place of its own."""
    return dump({**load(body), **fields})


def override_event_fields(raw: bytes, fields: Mapping[str, Any]) -> bytes:
    """Return events with `fields` set in every response that they contain. Other events are unchanged."""
    return _map_responses(raw, lambda response: {**response, **fields})


def _map_responses(raw: bytes, change: Callable[[Response], Response]) -> bytes:
    decoder = sse.EventDecoder()
    return b"".join(_map_response(event, change) for event in (*decoder.feed(raw), *decoder.flush()))


def _map_response(event: sse.Event, change: Callable[[Response], Response]) -> bytes:
    if not event.data or b'"response"' not in event.data:
        return event.raw
    try:
        chunk = load(event.data)
    except ValueError:
        return event.raw
    match chunk:
        case {"response": dict(response)}:
            return sse.encode(dump({**chunk, "response": change(response)}), event.name)
    return event.raw


class EchoingStreamReader(ReaderProxy):
    """A `StreamReader` that applies `echo` to every response that `reader` emits."""

    def __init__(self, reader: StreamReader, echo: Callable[[Response], Response]) -> None:
        super().__init__(reader)
        self._echo = echo
        self._response: Response | None = None

    @property
    def response(self) -> Response | None:
        """The response as of its latest event, as it was sent."""
        return self._response

    @property
    def seals(self) -> Sequence[str]:
        """The proofs of reasoning that the provider has issued in this answer."""
        return self._reader.seals

    def read(self, event: sse.Event) -> Piece:
        """Return the meaning of `event`."""
        piece = self._reader.read(event)
        chunk = piece.chunk
        if chunk is None or not piece.raw:
            return piece
        if isinstance(response := chunk.get("response"), dict):
            name, value, completed = "response", response, self._echo(response)
            self._response = completed
        elif (name := "item") in chunk or (name := "part") in chunk:
            value = chunk[name]
            ended = str(chunk.get("type")).endswith(".done")
            completed = complete_item(value, "completed" if ended else "in_progress")
        else:
            return piece
        if completed is value:
            return piece
        chunk = {**chunk, name: completed}
        return piece._replace(raw=sse.encode(dump(chunk), sse.event_name(chunk.get("type"))), chunk=chunk)

    def end(self) -> bytes:
        """Return the end of the caller's stream."""
        return _map_responses(self._reader.end(), self._echo)

    def fail(self, error: ApiError) -> bytes:
        """Return the in-band end of a failed stream."""
        return _map_responses(self._reader.fail(error), self._echo)

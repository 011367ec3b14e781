"""The Responses API: output items, streamed as typed events with sequence numbers.

Sources of the shapes: OpenAI's API reference for Responses and its Python package.

Nothing is stored, so every `previous_response_id` is unknown. A provider accepts encrypted reasoning only if it made it
with the same key.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from local.standin.formats import EVENT_STREAM, JSON, AnswerContext, BadRequest, Event
from local.standin.model import (
    ModelReply,
    ModelRequest,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    generate_reply,
    is_own_signature,
    is_reasoning_model,
    objects,
    signature_of,
)
from local.standin.text import pieces

__all__ = ["RESPONSES", "ResponsesAnswer", "ResponsesFormat"]

_KINDS = {"input_image": "image", "input_file": "file", "input_audio": "audio clip"}
_CALL_ITEMS = {"function_call": ("arguments", False), "custom_tool_call": ("input", True)}
_OUTPUT_ITEMS = ("function_call_output", "custom_tool_call_output")
_CHAT_PARAMETERS = (
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "response_format",
    "stop",
    "n",
    "functions",
    "reasoning_effort",
)
"""Parameters of chat completions that OpenAI rejects here by name."""


class ResponsesAnswer:
    """One response, rendered whole or as a stream."""

    content_type = JSON

    def __init__(
        self, context: AnswerContext, body: Mapping[str, Any], request: ModelRequest, reply: ModelReply
    ) -> None:
        self._finish = "incomplete" if reply.finish == "length" else "completed"
        self._items = list(_items(context, body, reply))
        reasoning = body.get("reasoning") if isinstance(body.get("reasoning"), Mapping) else {}
        self._response: dict[str, Any] = {
            "id": f"resp_{context.unique}",
            "object": "response",
            "created_at": context.created,
            "status": "in_progress",
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": body.get("instructions"),
            "max_output_tokens": request.limit,
            "max_tool_calls": None,
            "model": request.model,
            "output": [],
            "parallel_tool_calls": request.parallel,
            "previous_response_id": None,
            "prompt_cache_key": body.get("prompt_cache_key"),
            "reasoning": {"effort": None, "summary": None, **(reasoning or {})},
            "safety_identifier": body.get("safety_identifier"),
            "service_tier": "default",
            "store": body.get("store") is not False,
            "temperature": body.get("temperature", 1.0),
            "text": {"format": {"type": "text"}, "verbosity": "medium", **(body.get("text") or {})},
            "tool_choice": body.get("tool_choice") or "auto",
            "tools": body.get("tools") or [],
            "top_logprobs": 0,
            "top_p": body.get("top_p", 1.0),
            "truncation": "disabled",
            "usage": None,
            "user": body.get("user"),
            "metadata": body.get("metadata") or {},
        }
        self._usage = {
            "input_tokens": request.prompt_tokens,
            "input_tokens_details": {"cached_tokens": request.seen_tokens, "cache_write_tokens": 0},
            "output_tokens": reply.tokens,
            "output_tokens_details": {"reasoning_tokens": reply.reasoning_tokens},
            "total_tokens": request.prompt_tokens + reply.tokens,
        }

    def whole(self) -> bytes:
        """Return the `response` object."""
        return _dumps(self._ended()).encode("utf-8", "replace")

    def events(self) -> list[Event]:
        """Return the events from `response.created` to `response.completed` (or `response.incomplete`)."""
        return [
            _event(kind, number, name, fields) for number, (kind, name, fields) in enumerate(self._events_unnumbered())
        ]

    def _ended(self) -> dict[str, Any]:
        short = {"reason": "max_output_tokens"} if self._finish == "incomplete" else None
        return {
            **self._response,
            "status": self._finish,
            "incomplete_details": short,
            "output": self._items,
            "usage": self._usage,
        }

    def _events_unnumbered(self) -> "Iterator[tuple[_Kind, str, dict[str, Any]]]":
        yield "opening", "response.created", {"response": self._response}
        yield "opening", "response.in_progress", {"response": self._response}
        for position, item in enumerate(self._items):
            yield from _of_item(position, item)
        yield "finish", f"response.{self._finish}", {"response": self._ended()}


_Kind = Literal["opening", "frame", "content", "finish", "usage", "done"]


def _items(context: AnswerContext, body: Mapping[str, Any], reply: ModelReply) -> Iterator[dict[str, Any]]:
    include = body.get("include")
    reasoning = body.get("reasoning")
    if reply.reasoning:
        summed = isinstance(reasoning, Mapping) and reasoning.get("summary")
        item: dict[str, Any] = {
            "id": f"rs_{context.unique}",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": reply.reasoning}] if summed else [],
        }
        if isinstance(include, list) and "reasoning.encrypted_content" in include:
            item["encrypted_content"] = signature_of(context, reply.reasoning)
        yield item
    if reply.text is not None:
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": reply.text}
        yield {
            "id": f"msg_{context.unique}",
            "type": "message",
            "status": "incomplete" if reply.finish == "length" else "completed",
            "content": [part],
            "role": "assistant",
        }
    for call in reply.calls:
        kind, field, prefix = (
            ("custom_tool_call", "input", "ctc") if call.free else ("function_call", "arguments", "fc")
        )
        item = {
            "id": f"{prefix}_{call.id}",
            "type": kind,
            "status": "completed",
            field: call.arguments,
            "call_id": f"call_{call.id}",
            "name": call.name,
        }
        yield item | ({"namespace": call.namespace} if call.namespace else {})


def _of_item(position: int, item: dict[str, Any]) -> Iterator[tuple[_Kind, str, dict[str, Any]]]:
    """Return the events of one item, from `output_item.added` to `output_item.done`."""
    at = {"output_index": position}
    within = {"item_id": item["id"], **at}
    match item["type"]:
        case "reasoning":
            begun = {**item, "summary": []}
            yield "frame", "response.output_item.added", {**at, "item": begun}
            for index, part in enumerate(item["summary"]):
                here = {**within, "summary_index": index}
                name = "response.reasoning_summary"
                yield "frame", f"{name}_part.added", {**here, "part": {**part, "text": ""}}
                for piece in pieces(part["text"]):
                    yield "content", f"{name}_text.delta", {**here, "delta": piece}
                yield "frame", f"{name}_text.done", {**here, "text": part["text"]}
                yield "frame", f"{name}_part.done", {**here, "part": part}
        case "message":
            yield (
                "frame",
                "response.output_item.added",
                {**at, "item": {**item, "status": "in_progress", "content": []}},
            )
            for index, part in enumerate(item["content"]):
                here = {**within, "content_index": index}
                yield "frame", "response.content_part.added", {**here, "part": {**part, "text": ""}}
                for piece in pieces(part["text"]):
                    yield "content", "response.output_text.delta", {**here, "delta": piece, "logprobs": []}
                yield "frame", "response.output_text.done", {**here, "text": part["text"], "logprobs": []}
                yield "frame", "response.content_part.done", {**here, "part": part}
        case kind:
            field, free = _CALL_ITEMS[kind]
            name = "response.custom_tool_call_input" if free else "response.function_call_arguments"
            yield "content", "response.output_item.added", {**at, "item": {**item, "status": "in_progress", field: ""}}
            for piece in pieces(item[field]):
                yield "content", f"{name}.delta", {**within, "delta": piece}
            named = {} if free else {"name": item["name"]}
            yield "frame", f"{name}.done", {**within, **named, field: item[field]}
    yield "frame", "response.output_item.done", {**at, "item": item}


_BARE: Mapping[str, Any] = {
    "id": "resp_0",
    "object": "response",
    "created_at": 0,
    "model": "",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}
"""The fields that every response has."""

_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _event(kind: _Kind, number: int, name: str, fields: Mapping[str, Any]) -> Event:
    data = _dumps({"type": name, "sequence_number": number, **fields})
    return Event(kind, f"event: {name}\ndata: {data}\n\n".encode("utf-8", "replace"))


class ResponsesFormat:
    """The responses format."""

    name = "responses"
    paths: Sequence[str] = ("responses",)
    required_headers: Sequence[str] = ()
    streams = True
    stream_type = EVENT_STREAM

    def answer(self, body: Mapping[str, Any], context: AnswerContext) -> ResponsesAnswer:
        """Return the response to a request body. Raises `BadRequest`."""
        request = _parse_request(body, context)
        return ResponsesAnswer(context, body, request, generate_reply(request, context))

    def error_body(self, status: int, content: object) -> object:  # noqa: ARG002 - the format's signature
        """Return the error unchanged: it has OpenAI's shape."""
        return content

    def error_event(self, error: object, sequence: int, *, failed: bool = False) -> bytes:
        """Return `event: error`, or `response.failed` if `failed` is set."""
        given: Mapping[str, Any] = error if isinstance(error, Mapping) else {"message": str(error)}
        code = given.get("code") or given.get("type") or "server_error"
        message = str(given.get("message", ""))
        if failed:
            response = {**_BARE, "status": "failed", "error": {**given, "code": str(code), "message": message}}
            return _event("done", sequence, "response.failed", {"response": response}).data
        fields = {"code": str(code), "message": message, "param": given.get("param")}
        return _event("done", sequence, "error", {**given, **fields, "type": "error"}).data

    def empty_answer(self, context: AnswerContext, model: str) -> tuple[bytes, Sequence[Event]]:
        """Return a completed response without any item."""
        answer = ResponsesAnswer(context, {}, ModelRequest(model, [Turn("user")]), ModelReply())
        return answer.whole(), answer.events()

    def with_usage(self, events: Sequence[Event], usage: Literal["none", "everywhere"]) -> list[Event]:
        """Return the same events, without usage in the last one if `usage` is `none`."""
        if usage == "everywhere":
            return list(events)
        last = events[-1]
        name, _, data = last.data.partition(b"\n")
        fields = json.loads(data.removeprefix(b"data: "))
        fields["response"]["usage"] = None
        return [
            *events[:-1],
            Event(last.kind, name + b"\ndata: " + _dumps(fields).encode("utf-8", "replace") + b"\n\n"),
        ]


RESPONSES = ResponsesFormat()


# --- reading the request ----------------------------------------------------------------------------------------------


def _parse_request(body: Mapping[str, Any], context: AnswerContext) -> ModelRequest:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("Missing required parameter: 'model'.", "model", "missing_required_parameter")
    for name in _CHAT_PARAMETERS:
        if name in body:
            raise BadRequest(f"Unsupported parameter: '{name}'.", name, "unsupported_parameter")
    if body.get("previous_response_id") is not None:
        message = f"Previous response with id '{body['previous_response_id']}' not found."
        raise BadRequest(message, "previous_response_id", "previous_response_not_found")
    limit = body.get("max_output_tokens")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise BadRequest("'max_output_tokens' must be a positive integer", "max_output_tokens")
    for name in ("reasoning", "text", "metadata"):
        if not isinstance(body.get(name, {}), Mapping | None):
            raise BadRequest(f"'{name}' must be an object", name)
    if not isinstance(body.get("tools", []), list | None):
        raise BadRequest("'tools' must be an array", "tools")
    turns = _turns(body, context)
    form, schema = _form(body)
    effort = (body.get("reasoning") or {}).get("effort")
    return ModelRequest(
        model=model,
        turns=turns,
        tools=list(_tools(body.get("tools"))),
        choice=_choice(body.get("tool_choice")),
        parallel=body.get("parallel_tool_calls") is not False,
        form=form,
        schema=schema,
        form_param="text.format",
        limit=limit,
        reasons=is_reasoning_model(model) or effort in ("low", "medium", "high", "xhigh", "max"),
    )


def _turns(body: Mapping[str, Any], context: AnswerContext) -> list[Turn]:
    given = body.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise BadRequest("'input' must be a text or an array with at least one item", "input")
    turns: list[Turn] = []
    if isinstance(body.get("instructions"), str):
        turns.append(Turn("system", body["instructions"]))
    calls: set[str] = set()
    in_round = False  # whether the previous item was a call too: adjacent calls are one round
    for position, item in enumerate(given):
        param = f"input[{position}]"
        if not isinstance(item, Mapping):
            raise BadRequest("an item must be an object", param)
        kind = item.get("type") or "message"
        if kind in _CALL_ITEMS:
            field, free = _CALL_ITEMS[kind]
            call = ToolCall(_plain_id(item.get("call_id")), str(item.get("name")), str(item.get(field)), free)
            calls.add(call.id)
            before = list(turns.pop().calls) if in_round else []
            turns.append(Turn("assistant", calls=[*before, call]))
        elif kind in _OUTPUT_ITEMS:
            text, attachments = _content(item.get("output"))
            result = ToolResult(_plain_id(item.get("call_id")), text)
            if result.id not in calls:
                message = f"No tool call found for function call output with call_id {item.get('call_id')}."
                raise BadRequest(message, "input")
            turns.append(Turn("tool", attachments=attachments, results=[result]))
        elif kind == "reasoning":
            signature = item.get("encrypted_content")
            if signature is not None and not is_own_signature(context, signature):
                message = f"The encrypted content for item {item.get('id')} could not be verified."
                raise BadRequest(message, None, "invalid_encrypted_content")
            continue
        elif kind == "message":
            if not isinstance(item.get("role"), str):
                raise BadRequest("a message must have a role", param)
            role = "system" if item["role"] == "developer" else item["role"]
            turns.append(Turn(role, *_content(item.get("content"))))
        elif kind == "item_reference":
            raise BadRequest(f"Item with id '{item.get('id')}' not found.", "input")
        in_round = kind in _CALL_ITEMS
    return turns


def _content(content: object) -> tuple[str, list[str]]:
    """Return the text of an item's content and the kinds of its other parts."""
    if isinstance(content, str):
        return content, []
    texts, others = [], []
    for part in objects(content):
        value = part.get("text", part.get("refusal"))
        if isinstance(value, str):
            texts.append(value)
        else:
            others.append(_KINDS.get(str(part.get("type")), ""))
    return "\n".join(texts), others


def _plain_id(value: object) -> str:
    return str(value).removeprefix("call_")


def _tools(given: object, namespace: str | None = None) -> Iterator[Tool]:
    for tool in objects(given):
        match tool.get("type"):
            case "function" if isinstance(tool.get("name"), str):
                yield Tool(tool["name"], tool.get("parameters") or {}, namespace=namespace)
            case "custom" if isinstance(tool.get("name"), str):
                yield Tool(tool["name"], {}, free=True, namespace=namespace)
            case "namespace":
                yield from _tools(tool.get("tools"), str(tool.get("name")))


def _choice(given: object) -> ToolChoice | tuple[str]:
    if isinstance(given, Mapping):
        if given.get("type") == "allowed_tools":
            return "required" if given.get("mode") == "required" else "auto"
        return (str(given.get("name")),)
    return "none" if given == "none" else "required" if given == "required" else "auto"


def _form(body: Mapping[str, Any]) -> tuple[Literal["text", "object", "schema"], object]:
    """Return the requested output form of `text.format`, and its schema."""
    wanted = (body.get("text") or {}).get("format")
    kind = wanted.get("type") if isinstance(wanted, Mapping) else None
    if kind == "json_object":
        return "object", None
    if kind != "json_schema" or not isinstance(wanted, Mapping):
        return "text", None
    if not isinstance(wanted.get("name"), str):
        raise BadRequest("Missing required parameter: 'text.format.name'.", "text.format.name")
    if not isinstance(wanted.get("schema"), Mapping):
        raise BadRequest("'text.format.schema' must be an object", "text.format")
    return "schema", wanted["schema"]

"""Responses as a provider answers them: items instead of choices, streamed as typed events with sequence numbers.

Source of the shapes: OpenAI's API reference for responses, and what its Python package parses.

Nothing is stored: a `previous_response_id` is always unknown. Encrypted reasoning is only taken back by the provider
and key that made it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from local.standin.formats import EVENT_STREAM, JSON, BadRequest, Event, Speaker
from local.standin.saying import (
    Asked,
    Call,
    Choice,
    Result,
    Said,
    Tool,
    Turn,
    made_here,
    objects,
    say,
    sealed,
    thinks,
)
from local.standin.words import pieces

__all__ = ["RESPONSES", "ResponsesAnswer", "ResponsesFormat"]

_KINDS = {"input_image": "image", "input_file": "file", "input_audio": "audio clip"}
_CALLED = {"function_call": ("arguments", False), "custom_tool_call": ("input", True)}
_RETURNED = ("function_call_output", "custom_tool_call_output")
_OF_CHAT = (
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "response_format",
    "stop",
    "n",
    "functions",
    "reasoning_effort",
)
"""Parameters of chat completions that OpenAI refuses by name here."""


class ResponsesAnswer:
    """One response, which can be said whole or streamed."""

    content_type = JSON

    def __init__(self, speaker: Speaker, body: Mapping[str, Any], asked: Asked, said: Said) -> None:
        self._said = said
        self._finish = "incomplete" if said.finish == "length" else "completed"
        self._items = list(_items(speaker, body, said))
        reasoning = body.get("reasoning") if isinstance(body.get("reasoning"), Mapping) else {}
        self._response: dict[str, Any] = {
            "id": f"resp_{speaker.unique}",
            "object": "response",
            "created_at": speaker.created,
            "status": "in_progress",
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": body.get("instructions"),
            "max_output_tokens": asked.limit,
            "max_tool_calls": None,
            "model": asked.model,
            "output": [],
            "parallel_tool_calls": asked.parallel,
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
            "input_tokens": asked.prompt_tokens,
            "input_tokens_details": {"cached_tokens": asked.seen_tokens, "cache_write_tokens": 0},
            "output_tokens": said.tokens,
            "output_tokens_details": {"reasoning_tokens": said.reasoning_tokens},
            "total_tokens": asked.prompt_tokens + said.tokens,
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


def _items(speaker: Speaker, body: Mapping[str, Any], said: Said) -> Iterator[dict[str, Any]]:
    include = body.get("include")
    reasoning = body.get("reasoning")
    if said.reasoning:
        summed = isinstance(reasoning, Mapping) and reasoning.get("summary")
        item: dict[str, Any] = {
            "id": f"rs_{speaker.unique}",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": said.reasoning}] if summed else [],
        }
        if isinstance(include, list) and "reasoning.encrypted_content" in include:
            item["encrypted_content"] = sealed(speaker, said.reasoning)
        yield item
    if said.text is not None:
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": said.text}
        yield {
            "id": f"msg_{speaker.unique}",
            "type": "message",
            "status": "incomplete" if said.finish == "length" else "completed",
            "content": [part],
            "role": "assistant",
        }
    for call in said.calls:
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
    """Return the events of one item, from its being added to its being done."""
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
            field, free = _CALLED[kind]
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
"""What a response has in any case."""

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

    def answer(self, body: Mapping[str, Any], speaker: Speaker) -> ResponsesAnswer:
        """Return the response to a request body. Raises `BadRequest`."""
        asked = _asked(body, speaker)
        return ResponsesAnswer(speaker, body, asked, say(asked, speaker))

    def refusal(self, status: int, content: object) -> object:  # noqa: ARG002 - the format's signature
        """Return the error as it is: OpenAI's shape is the same here."""
        return content

    def error_event(self, error: object, sequence: int, *, failed: bool = False) -> bytes:
        """Return `event: error`, or `response.failed` when that is asked for."""
        told: Mapping[str, Any] = error if isinstance(error, Mapping) else {"message": str(error)}
        code = told.get("code") or told.get("type") or "server_error"
        message = str(told.get("message", ""))
        if failed:
            response = {**_BARE, "status": "failed", "error": {**told, "code": str(code), "message": message}}
            return _event("done", sequence, "response.failed", {"response": response}).data
        fields = {"code": str(code), "message": message, "param": told.get("param")}
        return _event("done", sequence, "error", {**told, **fields, "type": "error"}).data

    def hollow(self, speaker: Speaker, model: str) -> tuple[bytes, Sequence[Event]]:
        """Return a response that was completed without an item."""
        answer = ResponsesAnswer(speaker, {}, Asked(model, [Turn("user")]), Said())
        return answer.whole(), answer.events()

    def reshaped(self, events: Sequence[Event], usage: Literal["none", "everywhere"]) -> list[Event]:
        """Return the same events with no usage in the last; there is only one place where it can be."""
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


def _asked(body: Mapping[str, Any], speaker: Speaker) -> Asked:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("Missing required parameter: 'model'.", "model", "missing_required_parameter")
    for name in _OF_CHAT:
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
    turns = _turns(body, speaker)
    form, schema = _form(body)
    effort = (body.get("reasoning") or {}).get("effort")
    return Asked(
        model=model,
        turns=turns,
        tools=list(_tools(body.get("tools"))),
        choice=_choice(body.get("tool_choice")),
        parallel=body.get("parallel_tool_calls") is not False,
        form=form,
        schema=schema,
        form_param="text.format",
        limit=limit,
        reasons=thinks(model) or effort in ("low", "medium", "high", "xhigh", "max"),
    )


def _turns(body: Mapping[str, Any], speaker: Speaker) -> list[Turn]:
    given = body.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise BadRequest("'input' must be a text or an array with at least one item", "input")
    turns: list[Turn] = []
    if isinstance(body.get("instructions"), str):
        turns.append(Turn("system", body["instructions"]))
    calls: set[str] = set()
    in_round = False  # whether the item before was a call too: calls side by side are one round
    for position, item in enumerate(given):
        param = f"input[{position}]"
        if not isinstance(item, Mapping):
            raise BadRequest("an item must be an object", param)
        kind = item.get("type") or "message"
        if kind in _CALLED:
            field, free = _CALLED[kind]
            call = Call(_plain_id(item.get("call_id")), str(item.get("name")), str(item.get(field)), free)
            calls.add(call.id)
            before = list(turns.pop().calls) if in_round else []
            turns.append(Turn("assistant", calls=[*before, call]))
        elif kind in _RETURNED:
            text, attachments = _content(item.get("output"))
            result = Result(_plain_id(item.get("call_id")), text)
            if result.id not in calls:
                message = f"No tool call found for function call output with call_id {item.get('call_id')}."
                raise BadRequest(message, "input")
            turns.append(Turn("tool", attachments=attachments, results=[result]))
        elif kind == "reasoning":
            seal = item.get("encrypted_content")
            if seal is not None and not made_here(speaker, seal):
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
        in_round = kind in _CALLED
    return turns


def _content(content: object) -> tuple[str, list[str]]:
    """Return the text of an item's content, and the kinds of its other parts."""
    if isinstance(content, str):
        return content, []
    texts, others = [], []
    for part in objects(content):
        said = part.get("text", part.get("refusal"))
        if isinstance(said, str):
            texts.append(said)
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


def _choice(given: object) -> Choice | tuple[str]:
    if isinstance(given, Mapping):
        if given.get("type") == "allowed_tools":
            return "required" if given.get("mode") == "required" else "auto"
        return (str(given.get("name")),)
    return "none" if given == "none" else "required" if given == "required" else "auto"


def _form(body: Mapping[str, Any]) -> tuple[Literal["text", "object", "schema"], object]:
    """Return what `text.format` asks for, and the schema."""
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

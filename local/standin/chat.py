"""The chat completions API, whole and streamed.

Sources of the shapes: OpenAI's API reference for chat completions and its Python package.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
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
    is_reasoning_model,
    objects,
)
from local.standin.text import pieces

__all__ = ["CHAT", "ChatAnswer", "ChatFormat"]

_FINISH = {"stop": "stop", "length": "length", "tools": "tool_calls"}
_KINDS = {"image_url": "image", "input_audio": "audio clip", "file": "file", "video_url": "video"}


class ChatAnswer:
    """One completion, rendered whole or as a stream."""

    content_type = JSON

    def __init__(
        self, context: AnswerContext, request: ModelRequest, choices: Sequence[ModelReply], *, include_usage: bool
    ) -> None:
        self._head: dict[str, Any] = {
            "id": f"chatcmpl-{context.unique}",
            "created": context.created,
            "model": request.model,
        }
        self._choices = choices
        self._include_usage = include_usage
        completion_tokens = sum(choice.tokens for choice in choices)
        self._usage = {
            "prompt_tokens": request.prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": request.prompt_tokens + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": request.seen_tokens, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": sum(choice.reasoning_tokens for choice in choices),
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    def whole(self) -> bytes:
        """Return the `chat.completion` object."""
        choices = []
        for index, choice in enumerate(self._choices):
            message: dict[str, Any] = {"role": "assistant", "content": choice.text, "refusal": None}
            if choice.reasoning:
                message["reasoning_content"] = choice.reasoning
            if choice.calls:
                message["tool_calls"] = [_call_object(call) for call in choice.calls]
            finish = _FINISH[choice.finish]
            choices.append({"index": index, "message": message, "logprobs": None, "finish_reason": finish})
        body = {**self._head, "object": "chat.completion", "choices": choices, "usage": self._usage}
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")

    def events(self) -> list[Event]:
        """Return the `chat.completion.chunk` events, the usage chunk if requested, and `[DONE]`."""
        return list(self._events())

    def _events(self) -> Iterator[Event]:
        prefix, suffix = self._frame()
        for index, choice in enumerate(self._choices):
            opening = {"role": "assistant", "content": None if choice.calls else "", "refusal": None}
            yield _event("opening", prefix, index, json.dumps(opening), "null", suffix)
        # Choices are interleaved, as OpenAI streams them.
        deltas = zip_longest(*(list(_deltas(choice)) for choice in self._choices))
        for row in deltas:
            for index, delta in enumerate(row):
                if delta is not None:
                    yield _event("content", prefix, index, delta, "null", suffix)
        for index, choice in enumerate(self._choices):
            yield _event("finish", prefix, index, "{}", f'"{_FINISH[choice.finish]}"', suffix)
        if self._include_usage:
            chunk = {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": self._usage}
            yield Event("usage", _data(json.dumps(chunk, ensure_ascii=False)))
        yield Event("done", b"data: [DONE]\n\n")

    def _frame(self) -> tuple[str, str]:
        """Return the JSON before and after a chunk's choice: encoded once, for thousands of chunks."""
        frame = {**self._head, "object": "chat.completion.chunk", "choices": []}
        if self._include_usage:
            frame["usage"] = None
        text = json.dumps(frame, ensure_ascii=False)
        cut = text.rindex('"choices": []') + len('"choices": [')
        return text[:cut], text[cut:]


def _data(text: str) -> bytes:
    return f"data: {text}\n\n".encode("utf-8", "replace")


def _event(
    kind: Literal["opening", "content", "finish"], prefix: str, index: int, delta: str, finish: str, suffix: str
) -> Event:
    choice = f'{{"index": {index}, "delta": {delta}, "logprobs": null, "finish_reason": {finish}}}'
    return Event(kind, _data(f"{prefix}{choice}{suffix}"))


def _deltas(choice: ModelReply) -> Iterator[str]:
    """Return the deltas with content, as JSON."""
    dumps = json.JSONEncoder(ensure_ascii=False).encode
    for piece in pieces(choice.reasoning):
        yield f'{{"reasoning_content": {dumps(piece)}}}'
    for piece in pieces(choice.text or ""):
        yield f'{{"content": {dumps(piece)}}}'
    for position, call in enumerate(choice.calls):
        first = {"index": position, **_call_object(call)}
        first["function"] = {"name": call.name, "arguments": ""}
        yield json.dumps({"tool_calls": [first]})
        for piece in pieces(call.arguments):
            yield json.dumps({"tool_calls": [{"index": position, "function": {"arguments": piece}}]})


def _call_object(call: ToolCall) -> dict[str, Any]:
    inner = {"name": call.name, "arguments": call.arguments}
    return {"id": f"call_{call.id}", "type": "function", "function": inner}


class ChatFormat:
    """The chat completions format."""

    name = "chat"
    paths: Sequence[str] = ("chat/completions",)
    required_headers: Sequence[str] = ()
    streams = True
    stream_type = EVENT_STREAM

    def answer(self, body: Mapping[str, Any], context: AnswerContext) -> ChatAnswer:
        """Return the completion of a request body. Raises `BadRequest`."""
        request = _parse_request(body)
        many = _positive(body, "n") or 1
        if many > 128:
            raise BadRequest("'n' must be at most 128", "n")
        options = body.get("stream_options")
        include_usage = isinstance(options, Mapping) and options.get("include_usage") is True
        reply = [generate_reply(request, context, index) for index in range(many)]
        return ChatAnswer(context, request, reply, include_usage=include_usage)

    def error_body(self, status: int, content: object) -> object:  # noqa: ARG002 - the format's signature
        """Return the error unchanged."""
        return content

    def error_event(self, error: object, sequence: int, *, failed: bool = False) -> bytes:  # noqa: ARG002 - the format's
        """Return `data: {"error": …}`, which is how a chat stream reports a failure."""
        return _data(json.dumps({"error": error}, ensure_ascii=False))

    def empty_answer(self, context: AnswerContext, model: str) -> tuple[bytes, Sequence[Event]]:
        """Return a completion without choices."""
        bare = {"id": "chatcmpl-0", "created": context.created, "model": model}
        chunk = _data(json.dumps({**bare, "object": "chat.completion.chunk", "choices": []}))
        events = [Event("opening", chunk), Event("done", b"data: [DONE]\n\n")]
        return json.dumps({**bare, "object": "chat.completion"}).encode(), events

    def with_usage(self, events: Sequence[Event], usage: Literal["none", "everywhere"]) -> list[Event]:
        """Return the same chunks without any usage, or with a running usage on every chunk."""
        rewritten: list[Event] = []
        count = 0
        for event in events:
            if event.kind == "done":
                rewritten.append(event)
            elif usage == "everywhere":
                count += event.kind == "content"
                so_far = {"prompt_tokens": 9, "completion_tokens": count, "total_tokens": 9 + count}
                chunk = {**_chunk_of(event), **({} if event.kind == "usage" else {"usage": so_far})}
                rewritten.append(Event(event.kind, _data(json.dumps(chunk, ensure_ascii=False))))
            elif event.kind != "usage":
                chunk = {key: value for key, value in _chunk_of(event).items() if key != "usage"}
                rewritten.append(Event(event.kind, _data(json.dumps(chunk, ensure_ascii=False))))
        return rewritten


def _chunk_of(event: Event) -> dict[str, Any]:
    chunk = json.loads(event.data.removeprefix(b"data: "))
    assert isinstance(chunk, dict)  # noqa: S101 - made by this module a moment ago
    return chunk


CHAT = ChatFormat()


# --- reading the request ----------------------------------------------------------------------------------------------


def _parse_request(body: Mapping[str, Any]) -> ModelRequest:
    messages = _messages(body)
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("you must provide a model parameter", "model")
    tools = [
        Tool(function["name"], function.get("parameters") or {})
        for tool in objects(body.get("tools"))
        if isinstance(function := tool.get("function"), Mapping) and isinstance(function.get("name"), str)
    ]
    form, schema = _form(body)
    stops = body.get("stop")
    return ModelRequest(
        model=model,
        turns=[_turn(message) for message in messages],
        tools=tools,
        choice=_choice(body.get("tool_choice", "auto")),
        parallel=body.get("parallel_tool_calls") is not False,
        form=form,
        schema=schema,
        limit=_positive(body, "max_completion_tokens") or _positive(body, "max_tokens"),
        stops=[
            stop
            for stop in ([stops] if isinstance(stops, str) else stops if isinstance(stops, list) else [])
            if isinstance(stop, str)
        ],
        reasons=is_reasoning_model(model) or body.get("reasoning_effort") in ("low", "medium", "high", "xhigh"),
    )


def _messages(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("'messages' must be an array with at least one message", "messages")
    for position, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise BadRequest("a message must be an object with a role", f"messages[{position}]")
    return messages


def _positive(body: Mapping[str, Any], name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadRequest(f"'{name}' must be a positive integer", name)
    return value


def _turn(message: Mapping[str, Any]) -> Turn:
    content = message.get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else objects(content)
    text = "\n".join(part["text"] for part in parts if isinstance(part.get("text"), str))
    attachments = [_KINDS.get(str(part.get("type")), "") for part in parts if not isinstance(part.get("text"), str)]
    if message["role"] == "tool":
        return Turn("tool", "", attachments, results=[ToolResult(_plain_id(message.get("tool_call_id")), text)])
    calls = [
        ToolCall(_plain_id(call.get("id")), str(function.get("name")), str(function.get("arguments")))
        for call in objects(message.get("tool_calls"))
        if isinstance(function := call.get("function"), Mapping)
    ]
    role = "system" if message["role"] == "developer" else message["role"]
    return Turn(role, text, attachments, calls)


def _plain_id(value: object) -> str:
    return str(value).removeprefix("call_")


def _choice(given: object) -> ToolChoice | tuple[str]:
    if isinstance(given, Mapping):
        function = given.get("function")
        return (str(function.get("name") if isinstance(function, Mapping) else None),)
    return "none" if given == "none" else "required" if given == "required" else "auto"


def _form(body: Mapping[str, Any]) -> tuple[Literal["text", "object", "schema"], object]:
    """Return the requested output form of `response_format`, and its schema."""
    wanted = body.get("response_format")
    if not isinstance(wanted, Mapping):
        return "text", None
    if wanted.get("type") == "json_object":
        return "object", None
    if wanted.get("type") != "json_schema":
        return "text", None
    described = wanted.get("json_schema")
    schema = described.get("schema") if isinstance(described, Mapping) else None
    if not isinstance(schema, Mapping):
        raise BadRequest("'response_format.json_schema.schema' must be an object", "response_format")
    return "schema", schema

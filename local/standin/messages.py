"""The Messages API: content blocks, streamed in Anthropic's order, and token counting.

Sources of the shapes: Anthropic's API reference for Messages and its Python package.

As strict as Anthropic's API where a translated request could go wrong: unknown fields, tool results without their
calls, signatures of another key.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from local.standin.formats import EVENT_STREAM, JSON, AnswerContext, BadRequest, Event, PassthroughFormat, PlainAnswer
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
    objects,
    signature_of,
)
from local.standin.text import pieces

__all__ = ["COUNT_TOKENS", "MESSAGES", "CountTokensFormat", "MessagesAnswer", "MessagesFormat"]

_FIELDS = frozenset(
    [
        *("model", "messages", "max_tokens", "system", "stream", "tools", "tool_choice", "thinking", "stop_sequences"),
        *("temperature", "top_k", "top_p", "cache_control", "metadata", "service_tier", "output_config"),
        *("output_format", "context_management", "container", "diagnostics", "inference_geo", "mcp_servers", "speed"),
    ]
)
_STOP = {"stop": "end_turn", "length": "max_tokens", "tools": "tool_use"}
_KINDS = {"image": "image", "document": "file", "container_upload": "file"}
_THINKING = ("thinking", "redacted_thinking")
_LEAST_BUDGET = 1024  # tokens of thinking
_ERROR_TYPES = {
    "server_error": "api_error",
    "server_is_overloaded": "overloaded_error",
}


class MessagesAnswer:
    """One message, rendered whole or as a stream."""

    content_type = JSON

    def __init__(
        self, context: AnswerContext, request: ModelRequest, reply: ModelReply, *, cached: bool, show_thinking: bool
    ) -> None:
        stop = "stop_sequence" if reply.stop is not None else _STOP[reply.finish]
        self._ended = {"stop_reason": stop, "stop_sequence": reply.stop}
        self._content = list(_blocks(context, reply, shown=show_thinking))
        self._head: dict[str, Any] = {
            "id": f"msg_{context.unique}",
            "type": "message",
            "role": "assistant",
            "model": request.model,
        }
        read = request.seen_tokens
        written = request.prompt_tokens - request.turns[-1].tokens - read if cached else 0
        self._input = {
            "input_tokens": request.prompt_tokens - read - written,
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": read,
            "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
            "service_tier": "standard",
        }
        self._output = {
            "output_tokens": reply.tokens,
            "output_tokens_details": {"thinking_tokens": reply.reasoning_tokens},
        }

    def whole(self) -> bytes:
        """Return the `message` object."""
        usage = {**self._input, **self._output}
        return _dumps({**self._head, "content": self._content, **self._ended, "usage": usage}).encode(
            "utf-8", "replace"
        )

    def events(self) -> list[Event]:
        """Return the events from `message_start` to `message_stop`."""
        return list(self._events())

    def _events(self) -> Iterator[Event]:
        begun: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None}
        usage = {**self._input, "output_tokens": 1}
        yield _event("opening", "message_start", {"message": {**self._head, **begun, "usage": usage}})
        for index, block in enumerate(self._content):
            yield from _of_block(index, block)
        counted = {name: value for name, value in self._input.items() if name.endswith("_tokens")}
        yield _event("finish", "message_delta", {"delta": self._ended, "usage": {**counted, **self._output}})
        yield _event("done", "message_stop", {})


def _blocks(context: AnswerContext, reply: ModelReply, *, shown: bool) -> Iterator[dict[str, Any]]:
    if reply.reasoning:
        thinking = reply.reasoning if shown else ""
        yield {"type": "thinking", "thinking": thinking, "signature": signature_of(context, reply.reasoning)}
    if reply.text:
        yield {"type": "text", "text": reply.text}
    for call in reply.calls:
        yield {"type": "tool_use", "id": f"toolu_{call.id}", "name": call.name, "input": json.loads(call.arguments)}


def _of_block(index: int, block: dict[str, Any]) -> Iterator[Event]:
    """Return the events of one content block; a ping follows the start of the first."""
    deltas: list[dict[str, str]]
    kind: Literal["frame", "content"] = "frame"
    match block["type"]:
        case "thinking":
            begun = {**block, "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        case "tool_use":
            kind = "content"
            begun = {**block, "input": {}}
            parts = ["", *pieces(_dumps(block["input"]))] if block["input"] else [""]
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in parts]
        case _:
            begun = {**block, "text": ""}
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
    yield _event(kind, "content_block_start", {"index": index, "content_block": begun})
    if index == 0:
        yield _event("frame", "ping", {})
    for delta in deltas:
        yield _event("content", "content_block_delta", {"index": index, "delta": delta})
    yield _event("frame", "content_block_stop", {"index": index})


_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _event(
    kind: Literal["opening", "frame", "content", "finish", "usage", "done"], name: str, fields: Mapping[str, Any]
) -> Event:
    data = _dumps({"type": name, **fields})
    return Event(kind, f"event: {name}\ndata: {data}\n\n".encode("utf-8", "replace"))


def _enveloped(content: object) -> object:
    """Return an error body in Anthropic's envelope; the provider's error object stays inside."""
    error = content.get("error") if isinstance(content, Mapping) else None
    return {"type": "error", "error": error} if isinstance(error, Mapping) else content


class MessagesFormat:
    """The messages format."""

    name = "messages"
    paths: Sequence[str] = ("messages",)
    required_headers: Sequence[str] = ("anthropic-version",)
    streams = True
    stream_type = EVENT_STREAM

    def answer(self, body: Mapping[str, Any], context: AnswerContext) -> MessagesAnswer:
        """Return the message that answers a request body. Raises `BadRequest`."""
        request = _parse_request(body, context)
        thinking = body.get("thinking")
        shown = not (isinstance(thinking, Mapping) and thinking.get("display") == "omitted")
        cached = '"cache_control"' in _dumps([body.get(name) for name in ("system", "messages", "tools")])
        return MessagesAnswer(context, request, generate_reply(request, context), cached=cached, show_thinking=shown)

    def error_body(self, status: int, content: object) -> object:  # noqa: ARG002 - the format's signature
        """Return the error in Anthropic's envelope."""
        return _enveloped(content)

    def error_event(self, error: object, sequence: int, *, failed: bool = False) -> bytes:  # noqa: ARG002 - the format's
        """Return `event: error`, with Anthropic's error type where one exists."""
        given: dict[str, Any] = dict(error) if isinstance(error, Mapping) else {"message": str(error)}
        kind = str(given.get("code") or given.get("type") or "server_error")
        given["type"] = _ERROR_TYPES.get(kind, given.get("type") or "api_error")
        return _event("done", "error", {"error": given}).data

    def empty_answer(self, context: AnswerContext, model: str) -> tuple[bytes, Sequence[Event]]:
        """Return a message without content and stop reason."""
        bare = {"id": f"msg_{context.unique}", "type": "message", "role": "assistant", "model": model, "content": []}
        started = {**bare, "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}
        events = [_event("opening", "message_start", {"message": started}), _event("done", "message_stop", {})]
        return _dumps(bare).encode(), events

    def with_usage(self, events: Sequence[Event], usage: Literal["none", "everywhere"]) -> list[Event]:
        """Return the same events, without any usage if `usage` is `none`."""
        if usage == "everywhere":
            return list(events)
        rewritten = []
        for event in events:
            name, _, data = event.data.partition(b"\n")
            fields = json.loads(data.removeprefix(b"data: "))
            fields.pop("usage", None)
            fields.get("message", {}).pop("usage", None)
            rewritten.append(
                Event(event.kind, name + b"\ndata: " + _dumps(fields).encode("utf-8", "replace") + b"\n\n")
            )
        return rewritten


class CountTokensFormat(PassthroughFormat):
    """The token counting endpoint."""

    name = "messages"
    paths: Sequence[str] = ("messages/count_tokens",)
    required_headers: Sequence[str] = ("anthropic-version",)

    def answer(self, body: Mapping[str, Any], context: AnswerContext) -> PlainAnswer:
        """Return the number of input tokens. Raises `BadRequest`."""
        request = _parse_request({**body, "max_tokens": 1 << 30}, context)
        return PlainAnswer.json({"input_tokens": request.prompt_tokens})

    def error_body(self, status: int, content: object) -> object:  # noqa: ARG002 - the format's signature
        """Return the error in Anthropic's envelope."""
        return _enveloped(content)


MESSAGES = MessagesFormat()
COUNT_TOKENS = CountTokensFormat()


# --- reading the request ----------------------------------------------------------------------------------------------


def _parse_request(body: Mapping[str, Any], context: AnswerContext) -> ModelRequest:
    for name in body:
        if name not in _FIELDS:
            raise BadRequest(f"{name}: Extra inputs are not permitted")
    for name in ("model", "messages", "max_tokens"):
        if body.get(name) is None:
            raise BadRequest(f"{name}: Field required")
    model, limit = body["model"], body["max_tokens"]
    if not isinstance(model, str) or not model:
        raise BadRequest("model: Input should be a valid string")
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise BadRequest("max_tokens: Input should be greater than or equal to 1")
    choice = body.get("tool_choice")
    choice = choice if isinstance(choice, Mapping) else {}
    messages = _messages(body)
    _check_tools_answered(messages)
    thinking = _thinking(body, choice, messages, limit)
    turns = [*_system(body.get("system")), *(_turn(message, context, at) for at, message in enumerate(messages))]
    form, schema = _form(body)
    stops = body.get("stop_sequences")
    return ModelRequest(
        model=model,
        turns=turns,
        tools=[
            Tool(tool["name"], tool.get("input_schema") or {})
            for tool in objects(body.get("tools"))
            if isinstance(tool.get("name"), str) and tool.get("type", "custom") == "custom"
        ],
        choice=_choice(choice),
        parallel=choice.get("disable_parallel_tool_use") is not True,
        form=form,
        schema=schema,
        form_param="output_config",
        limit=limit,
        stops=[stop for stop in stops if isinstance(stop, str)] if isinstance(stops, list) else [],
        reasons=thinking,
    )


def _messages(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    messages = body["messages"]
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages: at least one message is required")
    for at, message in enumerate(messages):
        role = message.get("role") if isinstance(message, Mapping) else None
        if role not in ("user", "assistant", "system"):
            raise BadRequest(f"messages.{at}.role: Input should be 'user' or 'assistant'")
        if not isinstance(message.get("content"), str | list):
            raise BadRequest(f"messages.{at}.content: Input should be a valid list")
        blocks = objects(message["content"])
        if any(block.get("type") == "text" and not block.get("text") for block in blocks):
            raise BadRequest(f"messages.{at}: text content blocks must be non-empty")
        if not message["content"] and at < len(messages) - 1:
            raise BadRequest(f"messages.{at}: all messages must have non-empty content")
    if messages[0]["role"] == "assistant":
        raise BadRequest('messages: first message must use the "user" role')
    return messages


def _check_tools_answered(messages: Sequence[Mapping[str, Any]]) -> None:
    """Raise `BadRequest` unless every call has its result in the next message, and every result its call."""
    open_calls: list[str] = []
    for at, message in enumerate(messages):
        if message["role"] == "system":
            continue
        blocks = objects(message["content"])
        results = [str(block.get("tool_use_id")) for block in blocks if block.get("type") == "tool_result"]
        for result in results:
            if result not in open_calls:
                raise BadRequest(
                    f"messages.{at}.content: unexpected `tool_use_id` found in `tool_result` blocks: {result}. Each "
                    "`tool_result` block must have a corresponding `tool_use` block in the previous message."
                )
        missing = [call for call in open_calls if call not in results]
        if missing:
            raise BadRequest(
                f"messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(missing)}."
            )
        open_calls = [str(block.get("id")) for block in blocks if block.get("type") == "tool_use"]
    if open_calls:
        raise BadRequest("messages: the final assistant message cannot end in a `tool_use` block")


def _thinking(
    body: Mapping[str, Any], choice: Mapping[str, Any], messages: Sequence[Mapping[str, Any]], limit: int
) -> bool:
    """Return whether thinking is on. Raises `BadRequest` if the rest of the request does not allow it."""
    thinking = body.get("thinking")
    kind = thinking.get("type") if isinstance(thinking, Mapping) else None
    if kind not in ("enabled", "adaptive") or not isinstance(thinking, Mapping):
        return False
    if choice.get("type") in ("any", "tool"):
        raise BadRequest("Thinking may not be enabled when tool_choice forces tool use.")
    if kind == "enabled":
        budget = thinking.get("budget_tokens")
        if not isinstance(budget, int) or budget < _LEAST_BUDGET:
            raise BadRequest(
                f"thinking.enabled.budget_tokens: Input should be greater than or equal to {_LEAST_BUDGET}"
            )
        if budget >= limit:
            raise BadRequest("`max_tokens` must be greater than `thinking.budget_tokens`.")
        last = max((at for at, message in enumerate(messages) if message["role"] == "assistant"), default=None)
        blocks = objects(messages[last]["content"]) if last is not None else []
        uses = any(block.get("type") == "tool_use" for block in blocks)
        if uses and blocks[0].get("type") not in _THINKING:
            raise BadRequest(
                f"messages.{last}.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
                f"`{blocks[0].get('type')}`. When `thinking` is enabled, a final `assistant` message must start with a "
                "thinking block."
            )
    return True


def _system(given: object) -> list[Turn]:
    if given is None:
        return []
    if isinstance(given, str):
        return [Turn("system", given)]
    if not isinstance(given, list):
        raise BadRequest("system: Input should be a valid list")
    return [Turn("system", _text(given))]


def _turn(message: Mapping[str, Any], context: AnswerContext, at: int) -> Turn:
    content = message["content"]
    if isinstance(content, str):
        return Turn(message["role"], content)
    attachments: list[str] = []
    calls: list[ToolCall] = []
    results: list[ToolResult] = []
    for position, block in enumerate(objects(content)):
        kind = block.get("type")
        if kind == "tool_use":
            given = block.get("input")
            if not isinstance(given, Mapping):
                raise BadRequest(f"messages.{at}.content.{position}.tool_use.input: Input should be a valid dictionary")
            calls.append(ToolCall(_plain_id(block.get("id")), str(block.get("name")), _dumps(given)))
        elif kind == "tool_result":
            inner = block.get("content")
            results.append(
                ToolResult(_plain_id(block.get("tool_use_id")), inner if isinstance(inner, str) else _text(inner))
            )
            attachments += [_KINDS[str(part["type"])] for part in objects(inner) if part.get("type") in _KINDS]
        elif kind == "thinking" and not is_own_signature(context, block.get("signature")):
            raise BadRequest(f"messages.{at}.content.{position}: Invalid `signature` in `thinking` block")
        elif kind not in ("text", *_THINKING):
            attachments.append(_KINDS.get(str(kind), ""))
    return Turn(message["role"], _text(content), attachments, calls, results)


def _plain_id(value: object) -> str:
    return str(value).removeprefix("toolu_")


def _text(blocks: object) -> str:
    return "\n".join(
        block["text"] for block in objects(blocks) if block.get("type") == "text" and isinstance(block.get("text"), str)
    )


def _choice(given: Mapping[str, Any]) -> ToolChoice | tuple[str]:
    match given.get("type"):
        case "tool":
            return (str(given.get("name")),)
        case "any":
            return "required"
        case "none":
            return "none"
        case _:
            return "auto"


def _form(body: Mapping[str, Any]) -> tuple[Literal["text", "object", "schema"], object]:
    """Return the requested output form of `output_config.format` (formerly `output_format`), and its schema."""
    config = body.get("output_config")
    wanted = config.get("format") if isinstance(config, Mapping) else body.get("output_format")
    if not isinstance(wanted, Mapping):
        return "text", None
    if wanted.get("type") != "json_schema" or not isinstance(wanted.get("schema"), Mapping):
        raise BadRequest("output_config.format.schema: Field required")
    return "schema", wanted["schema"]

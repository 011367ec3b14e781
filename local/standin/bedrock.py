"""Amazon Bedrock's Converse and ConverseStream: Bedrock's own JSON and a stream of binary messages.

Sources of the shapes: botocore's model of `bedrock-runtime`, and AWS's page on the event stream encoding. The path has
the model and whether to stream. As strict as Bedrock where a translated request could go wrong.
"""

import json
import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from local.standin.formats import JSON, AnswerContext, BadRequest, Event
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

__all__ = ["CONVERSE", "ConverseAnswer", "ConverseFormat", "converse_path", "message"]

_PATH = re.compile(r"model/(.+)/converse(-stream)?")
_STOP = {"stop": "end_turn", "length": "max_tokens", "tools": "tool_use"}
_KINDS = {"image": "image", "document": "file", "video": "video", "audio": "audio clip"}
_FIELDS = frozenset(
    [
        *("model", "stream", "messages", "system", "inferenceConfig", "toolConfig", "additionalModelRequestFields"),
        *("additionalModelResponseFieldPaths", "guardrailConfig", "performanceConfig", "promptVariables"),
        *("requestMetadata", "serviceTier", "outputConfig"),
    ]
)
_ERRORS = {
    400: "ValidationException",
    401: "AccessDeniedException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}
_STREAM_ERRORS = (
    (re.compile(r"rate|limit|quota", re.IGNORECASE), "throttlingException"),
    (re.compile(r"overload", re.IGNORECASE), "serviceUnavailableException"),
    (re.compile(r"invalid|context", re.IGNORECASE), "validationException"),
)
_STRING = 7  # the event stream encoding's number for a string header value


def converse_path(path: str) -> Mapping[str, Any] | None:
    """Return the model and the stream flag of a Converse path as request fields; None for any other path."""
    found = _PATH.fullmatch(path)
    return {"model": found[1], "stream": found[2] is not None} if found else None


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return one message of an event stream: lengths, their checksum, headers, payload, checksum of all."""
    encoded = b"".join(
        struct.pack("!B", len(name)) + name + struct.pack("!BH", _STRING, len(value)) + value
        for name, value in ((name.encode(), value.encode()) for name, value in headers.items())
    )
    prelude = struct.pack("!II", 16 + len(encoded) + len(payload), len(encoded))
    started = prelude + struct.pack("!I", zlib.crc32(prelude)) + encoded + payload
    return started + struct.pack("!I", zlib.crc32(started))


class ConverseAnswer:
    """One message, rendered whole or as a stream."""

    content_type = JSON

    def __init__(
        self, context: AnswerContext, request: ModelRequest, reply: ModelReply, *, report_stop: bool = False
    ) -> None:
        self._ending: dict[str, Any] = {
            "stopReason": "stop_sequence" if reply.stop is not None else _STOP[reply.finish]
        }
        if reply.stop is not None and report_stop:
            self._ending["additionalModelResponseFields"] = {"stop_sequence": reply.stop}
        self._content = list(_blocks(context, reply))
        read = request.seen_tokens
        self._usage = {
            "inputTokens": request.prompt_tokens - read,
            "outputTokens": reply.tokens,
            "totalTokens": request.prompt_tokens + reply.tokens,
            "cacheReadInputTokens": read,
            "cacheWriteInputTokens": 0,
        }

    def whole(self) -> bytes:
        """Return the body of Converse's answer."""
        content = {"message": {"role": "assistant", "content": self._content}}
        body = {"output": content, **self._ending, "usage": self._usage, "metrics": {"latencyMs": 1}}
        return _dumps(body).encode("utf-8", "replace")

    def events(self) -> list[Event]:
        """Return the messages from `messageStart` to `metadata`."""
        return list(self._events())

    def _events(self) -> Iterator[Event]:
        yield _event("opening", "messageStart", {"role": "assistant"})
        for index, block in enumerate(self._content):
            at = {"contentBlockIndex": index}
            ((kind, value),) = block.items()
            deltas: list[dict[str, Any]]
            match kind:
                case "toolUse":
                    begun = {"toolUse": {"toolUseId": value["toolUseId"], "name": value["name"]}}
                    yield _event("content", "contentBlockStart", {**at, "start": begun})
                    deltas = [{"toolUse": {"input": piece}} for piece in pieces(_dumps(value["input"]))]
                case "reasoningContent":
                    reasoning = value["reasoningText"]
                    deltas = [{"reasoningContent": {"text": piece}} for piece in pieces(reasoning["text"])]
                    deltas.append({"reasoningContent": {"signature": reasoning["signature"]}})
                case _:
                    deltas = [{"text": piece} for piece in pieces(value)]
            for delta in deltas:
                yield _event("content", "contentBlockDelta", {**at, "delta": delta})
            yield _event("frame", "contentBlockStop", at)
        yield _event("finish", "messageStop", self._ending)
        yield _event("usage", "metadata", {"usage": self._usage, "metrics": {"latencyMs": 1}})


def _blocks(context: AnswerContext, reply: ModelReply) -> Iterator[dict[str, Any]]:
    if reply.reasoning:
        reasoning = {"text": reply.reasoning, "signature": signature_of(context, reply.reasoning)}
        yield {"reasoningContent": {"reasoningText": reasoning}}
    if reply.text:
        yield {"text": reply.text}
    for call in reply.calls:
        yield {"toolUse": {"toolUseId": f"tooluse_{call.id}", "name": call.name, "input": json.loads(call.arguments)}}


_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _event(kind: Literal["opening", "frame", "content", "finish", "usage"], name: str, fields: object) -> Event:
    headers = {":event-type": name, ":content-type": JSON, ":message-type": "event"}
    return Event(kind, message(headers, _dumps(fields).encode("utf-8", "replace")))


class ConverseFormat:
    """Bedrock's own format."""

    name = "converse"
    paths: Sequence[str] = ()
    required_headers: Sequence[str] = ()
    streams = True
    stream_type = "application/vnd.amazon.eventstream"

    def answer(self, body: Mapping[str, Any], context: AnswerContext) -> ConverseAnswer:
        """Return the message that answers a request body. Raises `BadRequest`."""
        request = _parse_request(body, context)
        paths = body.get("additionalModelResponseFieldPaths") or []
        return ConverseAnswer(context, request, generate_reply(request, context), report_stop="/stop_sequence" in paths)

    def error_body(self, status: int, content: object) -> object:
        """Return AWS's error body, with the exception name of the status."""
        kind = _ERRORS.get(status, "InternalServerException" if status >= 500 else "ValidationException")
        return {"__type": kind, "message": _message_of(content)}

    def error_event(self, error: object, sequence: int, *, failed: bool = False) -> bytes:  # noqa: ARG002 - the format's
        """Return an exception inside the stream."""
        content = _message_of({"error": error})
        words = _dumps(error)
        kind = next((name for pattern, name in _STREAM_ERRORS if pattern.search(words)), "modelStreamErrorException")
        headers = {":exception-type": kind, ":content-type": JSON, ":message-type": "exception"}
        return message(headers, _dumps({"message": content}).encode("utf-8", "replace"))

    def empty_answer(self, context: AnswerContext, model: str) -> tuple[bytes, Sequence[Event]]:
        """Return an answer without content."""
        answer = ConverseAnswer(context, ModelRequest(model, [Turn("user")]), ModelReply())
        opening = [event for event in answer.events() if event.kind == "opening"]
        return _dumps({"output": {"message": {"role": "assistant", "content": []}}}).encode(), opening

    def with_usage(self, events: Sequence[Event], usage: Literal["none", "everywhere"]) -> list[Event]:
        """Return the same messages, without the usage message if `usage` is `none`."""
        return [event for event in events if usage == "everywhere" or event.kind != "usage"]


CONVERSE = ConverseFormat()


def _message_of(content: object) -> str:
    error = content.get("error", content) if isinstance(content, Mapping) else content
    return str(error.get("message", "")) if isinstance(error, Mapping) else str(error)


# --- reading the request ----------------------------------------------------------------------------------------------


def _parse_request(body: Mapping[str, Any], context: AnswerContext) -> ModelRequest:
    for name in body:
        if name not in _FIELDS:
            raise BadRequest(f"Unknown parameter in input: {name}")
    inference, config = _object(body, "inferenceConfig"), _object(body, "toolConfig")
    limit, stops = inference.get("maxTokens"), inference.get("stopSequences")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise BadRequest("inferenceConfig.maxTokens must be a positive integer")
    turns = _turns(body, config, context)
    specified = [tool["toolSpec"] for tool in objects(config.get("tools")) if isinstance(tool.get("toolSpec"), Mapping)]
    schema = _schema(body)
    more = _object(body, "additionalModelRequestFields")
    thinking, claude_choice = more.get("thinking"), more.get("tool_choice")
    if isinstance(claude_choice, Mapping) and config.get("toolChoice"):
        raise BadRequest("tool_choice is set in both additionalModelRequestFields and toolConfig")
    return ModelRequest(
        model=str(body.get("model")),
        turns=[*(Turn("system", part["text"]) for part in objects(body.get("system")) if _is_text(part)), *turns],
        tools=[
            Tool(str(spec.get("name")), schema_of.get("json", {}))
            for spec in specified
            if isinstance(schema_of := spec.get("inputSchema"), Mapping)
        ],
        choice=_choice(config.get("toolChoice")) if claude_choice is None else _choice_of_claude(claude_choice),
        parallel=not (isinstance(claude_choice, Mapping) and claude_choice.get("disable_parallel_tool_use")),
        form="text" if schema is None else "schema",
        schema=schema,
        form_param="outputConfig",
        limit=limit,
        stops=[stop for stop in stops if isinstance(stop, str)] if isinstance(stops, list) else [],
        reasons=isinstance(thinking, Mapping) and thinking.get("type") in ("enabled", "adaptive"),
    )


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name) or {}
    if not isinstance(value, Mapping):
        raise BadRequest(f"{name} must be an object")
    return value


def _is_text(part: Mapping[str, Any]) -> bool:
    return isinstance(part.get("text"), str)


def _turns(body: Mapping[str, Any], config: Mapping[str, Any], context: AnswerContext) -> list[Turn]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("A conversation must have at least one message.")
    turns: list[Turn] = []
    open_calls: list[str] = []
    for at, given in enumerate(messages):
        role = given.get("role") if isinstance(given, Mapping) else None
        if role not in ("user", "assistant"):
            raise BadRequest(f"messages.{at}.role must be user or assistant")
        if turns and turns[-1].role == role:
            raise BadRequest("A conversation must alternate between user and assistant roles.")
        turn = _turn(role, given.get("content"), at, context)
        if (turn.calls or turn.results) and not config.get("tools"):
            raise BadRequest("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
        if sorted(open_calls) != sorted(result.id for result in turn.results):
            raise BadRequest(f"messages.{at}: toolResult blocks must match the toolUse blocks of the previous turn.")
        open_calls = [call.id for call in turn.calls]
        turns.append(turn)
    if turns[0].role != "user":
        raise BadRequest("A conversation must start with a user message.")
    names = [
        str(block["document"].get("name"))
        for given in messages
        for block in objects(given.get("content"))
        if isinstance(block.get("document"), Mapping)
    ]
    if len(names) != len(set(names)):
        raise BadRequest("Messages can't contain duplicate document names.")
    return turns


def _turn(role: str, content: object, at: int, context: AnswerContext) -> Turn:
    blocks = objects(content)
    if not blocks:
        raise BadRequest(f"The content field in the Message object at messages.{at} is empty.")
    texts: list[str] = []
    attachments: list[str] = []
    calls: list[ToolCall] = []
    results: list[ToolResult] = []
    if any("document" in block for block in blocks) and not any("text" in block for block in blocks):
        raise BadRequest(f"messages.{at}: a text block is required when a document block is included.")
    for block in blocks:
        match block:
            case {"text": str(text)}:
                if not text.strip():
                    raise BadRequest(f"The text field in the ContentBlock object at messages.{at} is blank.")
                texts.append(text)
            case {"toolUse": {"toolUseId": called, "name": name, "input": given}} if isinstance(given, Mapping):
                calls.append(ToolCall(_plain_id(called), str(name), _dumps(given)))
            case {"toolResult": {"toolUseId": called, "content": inner}}:
                parts = objects(inner)
                texts_of_result = [part["text"] if _is_text(part) else _dumps(part.get("json")) for part in parts]
                results.append(ToolResult(_plain_id(called), "\n".join(texts_of_result)))
            case {"reasoningContent": {"reasoningText": {"signature": signature}}}:
                if not is_own_signature(context, signature):
                    raise BadRequest(f"messages.{at}: Invalid `signature` in `thinking` block")
            case _:
                attachments += [_KINDS[kind] for kind in block if kind in _KINDS]
    return Turn(role, "\n".join(texts), attachments, calls, results)


def _plain_id(value: object) -> str:
    return str(value).removeprefix("tooluse_")


def _choice(given: object) -> ToolChoice | tuple[str]:
    match given:
        case {"tool": {"name": name}}:
            return (str(name),)
        case {"any": _}:
            return "required"
        case _:
            return "auto"


def _choice_of_claude(given: object) -> ToolChoice | tuple[str]:
    """Return a tool choice in Anthropic's shape, which only Claude models accept in addition to Bedrock's own field."""
    match given:
        case {"type": "tool", "name": name}:
            return (str(name),)
        case {"type": "any"}:
            return "required"
        case {"type": "none"}:
            return "none"
        case {"type": "auto"}:
            return "auto"
    raise BadRequest("tool_choice.type: Field required")


def _schema(body: Mapping[str, Any]) -> object:
    """Return the schema of the answer, which is sent as a JSON string; None without one."""
    match _object(body, "outputConfig"):
        case {"textFormat": {"structure": {"jsonSchema": {"schema": str(text)}}}}:
            try:
                return json.loads(text)
            except (ValueError, RecursionError):
                raise BadRequest("outputConfig: the schema is not valid JSON") from None
        case _:
            return None

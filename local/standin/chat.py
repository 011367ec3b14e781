"""Chat completions as a provider answers them, streamed and not, from no model at all.

Source of the shapes: OpenAI's API reference for chat completions, and what its Python package parses.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

from local.standin.formats import BadRequest, Event, Speaker
from local.standin.schema import instance
from local.standin.words import answer_text, excerpt, pieces, tokens_in

__all__ = ["CHAT", "ChatAnswer", "ChatFormat"]

_WANTS_TOOL = re.compile(r"\b(tools?|function|call)\b", re.IGNORECASE)
_WANTS_ALL_TOOLS = re.compile(r"\b(both|all|every|each)\b.*\b(tools?|functions?)\b", re.IGNORECASE | re.DOTALL)
_THINKS = re.compile(r"reason|think|\((?:minimal|low|medium|high|xhigh)\)", re.IGNORECASE)

_MESSAGE_OVERHEAD = 4  # tokens that a message costs beside its text, as OpenAI's counting guide has it
_PART_TOKENS = 85  # what OpenAI bills for one image at low detail


@dataclass(frozen=True)
class _ToolCall:
    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class _Choice:
    index: int
    reasoning: str
    content: str | None
    tool_calls: tuple[_ToolCall, ...]
    finish_reason: Literal["stop", "length", "tool_calls"]

    @property
    def tokens(self) -> int:
        """Completion tokens, those of the reasoning included."""
        spoken = [self.reasoning, self.content or "", *(call.name + call.arguments for call in self.tool_calls)]
        return sum(len(pieces(text)) for text in spoken)


class ChatAnswer:
    """One completion, which can be said whole or streamed."""

    def __init__(
        self,
        *,
        speaker: Speaker,
        model: str,
        choices: Sequence[_Choice],
        prompt_tokens: int,
        include_usage: bool,
    ) -> None:
        self._head: dict[str, Any] = {
            "id": f"chatcmpl-{speaker.unique}",
            "created": speaker.created,
            "model": model,
        }
        self._choices = choices
        self._include_usage = include_usage
        completion_tokens = sum(choice.tokens for choice in choices)
        self._usage = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": sum(len(pieces(choice.reasoning)) for choice in choices),
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    def whole(self) -> bytes:
        """Return the `chat.completion` object."""
        choices = []
        for choice in self._choices:
            message: dict[str, Any] = {"role": "assistant", "content": choice.content, "refusal": None}
            if choice.reasoning:
                message["reasoning_content"] = choice.reasoning
            if choice.tool_calls:
                message["tool_calls"] = [_call_object(call) for call in choice.tool_calls]
            choices.append(
                {
                    "index": choice.index,
                    "message": message,
                    "logprobs": None,
                    "finish_reason": choice.finish_reason,
                }
            )
        body = {**self._head, "object": "chat.completion", "choices": choices, "usage": self._usage}
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")

    def events(self) -> list[Event]:
        """Return the `chat.completion.chunk` events, the usage chunk if it was asked for, and `[DONE]`."""
        return list(self._events())

    def _events(self) -> Iterator[Event]:
        prefix, suffix = self._frame()
        for choice in self._choices:
            opening = {"role": "assistant", "content": None if choice.tool_calls else "", "refusal": None}
            yield _event("opening", prefix, choice.index, json.dumps(opening), "null", suffix)
        # Choices are interleaved, as OpenAI streams them.
        deltas = zip_longest(*(list(_deltas(choice)) for choice in self._choices))
        for row in deltas:
            for choice, delta in zip(self._choices, row, strict=True):
                if delta is not None:
                    yield _event("content", prefix, choice.index, delta, "null", suffix)
        for choice in self._choices:
            yield _event("finish", prefix, choice.index, "{}", f'"{choice.finish_reason}"', suffix)
        if self._include_usage:
            chunk = {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": self._usage}
            yield Event("usage", _data(json.dumps(chunk, ensure_ascii=False)))
        yield Event("done", b"data: [DONE]\n\n")

    def _frame(self) -> tuple[str, str]:
        """Return what stands before and after a chunk's choice: encoded once, since a long stream has thousands."""
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


def _deltas(choice: _Choice) -> Iterator[str]:
    """Return the deltas that carry content, as JSON."""
    dumps = json.JSONEncoder(ensure_ascii=False).encode
    for piece in pieces(choice.reasoning):
        yield f'{{"reasoning_content": {dumps(piece)}}}'
    for piece in pieces(choice.content or ""):
        yield f'{{"content": {dumps(piece)}}}'
    for position, call in enumerate(choice.tool_calls):
        first = {"index": position, **_call_object(call)}
        first["function"] = {"name": call.name, "arguments": ""}
        yield json.dumps({"tool_calls": [first]})
        for piece in pieces(call.arguments):
            yield json.dumps({"tool_calls": [{"index": position, "function": {"arguments": piece}}]})


def _call_object(call: _ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


class ChatFormat:
    """The chat completions format."""

    path = "chat/completions"

    def answer(self, body: Mapping[str, Any], speaker: Speaker) -> ChatAnswer:
        """Return the completion of a request body. Raises `BadRequest`."""
        messages = _messages(body)
        model = body.get("model")
        if not isinstance(model, str) or not model:
            raise BadRequest("you must provide a model parameter", "model")
        many = _positive(body, "n") or 1
        if many > 128:
            raise BadRequest("'n' must be at most 128", "n")
        limit = _positive(body, "max_completion_tokens") or _positive(body, "max_tokens")
        options = body.get("stream_options")
        return ChatAnswer(
            speaker=speaker,
            model=model,
            choices=[_choose(body, messages, model, speaker, index, limit) for index in range(many)],
            prompt_tokens=sum(_message_tokens(message) for message in messages) + 3,
            include_usage=isinstance(options, Mapping) and options.get("include_usage") is True,
        )

    def error_event(self, error: object) -> bytes:
        """Return `data: {"error": …}`, which is how a chat stream tells of a failure."""
        return _data(json.dumps({"error": error}, ensure_ascii=False))

    def reshaped(self, events: Sequence[Event], usage: Literal["none", "everywhere"]) -> list[Event]:
        """Return the same chunks without any usage, or with a running usage on every chunk."""
        kept: list[Event] = []
        count = 0
        for event in events:
            if event.kind == "done":
                kept.append(event)
            elif usage == "everywhere":
                count += event.kind == "content"
                so_far = {"prompt_tokens": 9, "completion_tokens": count, "total_tokens": 9 + count}
                chunk = {**_chunk_of(event), **({} if event.kind == "usage" else {"usage": so_far})}
                kept.append(Event(event.kind, _data(json.dumps(chunk, ensure_ascii=False))))
            elif event.kind != "usage":
                chunk = {key: value for key, value in _chunk_of(event).items() if key != "usage"}
                kept.append(Event(event.kind, _data(json.dumps(chunk, ensure_ascii=False))))
        return kept


def _chunk_of(event: Event) -> dict[str, Any]:
    chunk = json.loads(event.data.removeprefix(b"data: "))
    assert isinstance(chunk, dict)  # noqa: S101 - made by this module a moment ago
    return chunk


CHAT = ChatFormat()


# --- reading the request ----------------------------------------------------------------------------------------------


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


def _parts(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [part for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []


def _text_of(message: Mapping[str, Any]) -> str:
    return "\n".join(part["text"] for part in _parts(message) if isinstance(part.get("text"), str))


def _message_tokens(message: Mapping[str, Any]) -> int:
    others = sum(1 for part in _parts(message) if not isinstance(part.get("text"), str))
    return _MESSAGE_OVERHEAD + tokens_in(_text_of(message)) + others * _PART_TOKENS


def _prompt(messages: Sequence[Mapping[str, Any]]) -> str:
    return next((_text_of(message) for message in reversed(messages) if message["role"] == "user"), "")


def _notes(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what an answer should mention beside the prompt: attachments, and what tools returned."""
    notes = []
    kinds: dict[str, int] = {}
    for message in messages:
        for part in _parts(message):
            kind = str(part.get("type", ""))
            name = {"image_url": "image", "input_audio": "audio clip", "file": "file", "video_url": "video"}.get(kind)
            if name:
                kinds[name] = kinds.get(name, 0) + 1
    if kinds:
        counted = " and ".join(f"{count} {name}{'s' * (count > 1)}" for name, count in kinds.items())
        notes.append(f"I see {counted} with it.")
    names = {
        call.get("id"): function.get("name")
        for message in messages
        for call in _objects(message.get("tool_calls"))
        if isinstance(function := call.get("function"), Mapping)
    }
    trailing: list[str] = []
    for message in reversed(messages):
        if message["role"] != "tool":
            break
        name = names.get(message.get("tool_call_id")) or "The tool"
        trailing.append(f"{name} returned {excerpt(_text_of(message), 200)}.")
    return notes + trailing[::-1]


def _objects(value: object) -> Iterable[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


# --- choosing what to say ---------------------------------------------------------------------------------------------


def _choose(
    body: Mapping[str, Any],
    messages: Sequence[Mapping[str, Any]],
    model: str,
    speaker: Speaker,
    index: int,
    limit: int | None,
) -> _Choice:
    reasoning = ""
    if _THINKS.search(model):
        reasoning = f"The user wrote “{excerpt(_prompt(messages), 40)}”. I am a stand-in, so I shall say so."
    called = _tools_to_call(body, messages)
    if called:
        calls = tuple(
            _ToolCall(
                id=f"call_{speaker.unique}{index}{position}",
                name=name,
                arguments=json.dumps(_instance(parameters, messages, "tools")),
            )
            for position, (name, parameters) in enumerate(called)
        )
        return _Choice(index, reasoning, None, calls, "tool_calls")
    text = _structured(body, messages, speaker)
    if text is None:
        text = answer_text(speaker.provider, model, _prompt(messages), _notes(messages), index)
    finish: Literal["stop", "length"] = "stop"
    thought = pieces(reasoning)
    spoken = pieces(text)
    if limit is not None and len(thought) + len(spoken) > limit:
        finish = "length"
        reasoning = "".join(thought[:limit])
        text = "".join(spoken[: max(0, limit - len(thought))])
    stops = body.get("stop")
    for stop in [stops] if isinstance(stops, str) else stops if isinstance(stops, list) else []:
        if isinstance(stop, str) and stop and stop in text:
            text = text[: text.index(stop)]
            finish = "stop"
    return _Choice(index, reasoning, text, (), finish)


def _tools_to_call(
    body: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]
) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the tools that a model would call now: only for a user's message, and only when told or asked to."""
    tools = [
        (function["name"], function.get("parameters") or {})
        for tool in _objects(body.get("tools"))
        if isinstance(function := tool.get("function"), Mapping) and isinstance(function.get("name"), str)
    ]
    choice = body.get("tool_choice", "auto")
    if not tools or choice == "none" or messages[-1]["role"] != "user":
        return []
    if isinstance(choice, Mapping):
        function = choice.get("function")
        wanted = function.get("name") if isinstance(function, Mapping) else None
        named = [tool for tool in tools if tool[0] == wanted]
        if not named:
            raise BadRequest(f"tool_choice names a function that is not among the tools: {wanted}", "tool_choice")
        return named
    prompt = _prompt(messages)
    asked = choice == "required" or _WANTS_TOOL.search(prompt) or any(name in prompt for name, _ in tools)
    if not asked:
        return []
    several = _WANTS_ALL_TOOLS.search(prompt) and body.get("parallel_tool_calls") is not False
    mentioned = [tool for tool in tools if tool[0] in prompt]
    return tools if several else (mentioned or tools)[:1]


def _structured(body: Mapping[str, Any], messages: Sequence[Mapping[str, Any]], speaker: Speaker) -> str | None:
    """Return the JSON that `response_format` asks for, or None."""
    wanted = body.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, Mapping) else None
    words = excerpt(_prompt(messages), 40) or "stand-in"
    if kind == "json_object":
        return json.dumps({"answer": words, "provider": speaker.provider}, ensure_ascii=False)
    if kind == "json_schema" and isinstance(wanted, Mapping):
        described = wanted.get("json_schema")
        schema = described.get("schema") if isinstance(described, Mapping) else None
        if not isinstance(schema, Mapping):
            raise BadRequest("'response_format.json_schema.schema' must be an object", "response_format")
        return json.dumps(_instance(schema, messages, "response_format"), ensure_ascii=False)
    return None


def _instance(schema: object, messages: Sequence[Mapping[str, Any]], param: str) -> Any:
    try:
        return instance(schema, excerpt(_prompt(messages), 40) or "stand-in")
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError):
        raise BadRequest("the JSON schema is not valid", param) from None

"""The official Python packages behind one interface, so that a scenario is written once for every format of callers.

A caller asks with a conversation in no format's words and gets an `Answer`. A streamed answer is what the package
itself puts together, after each of its events was held to the package's own types, strictly.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

import anthropic
import openai
from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

__all__ = ["CALLERS", "Answer", "Ask", "Call", "Caller", "Image", "Reading", "Tool", "image", "made", "same"]

_RESPONSE_EVENTS: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
_MESSAGE_EVENTS: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)
_MESSAGE_KINDS = frozenset(
    [
        "message_start",
        "message_delta",
        "message_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
    ]
)
_LIMIT = 4000  # tokens; messages cannot do without one


@dataclass(frozen=True)
class Tool:
    """A tool whose one argument is a city."""

    name: str
    schema: Mapping[str, Any] = field(
        default_factory=lambda: {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        }
    )


@dataclass(frozen=True)
class Call:
    """A call that the model asks for. Two are equal when they say the same; ids are the provider's own."""

    name: str
    arguments: Mapping[str, Any]
    id: str = field(compare=False)


@dataclass(frozen=True)
class Answer:
    """An answer. `turn` is what this caller sends back; `everything` has no ids and times, as those differ."""

    text: str
    calls: Sequence[Call]
    finish: Literal["stop", "length", "tools"]
    model: str
    reasoning: str
    prompt_tokens: int
    completion_tokens: int
    turn: Any = field(compare=False, repr=False)
    everything: Any = field(repr=False)


@dataclass(frozen=True)
class Image:
    """An image by its data URL."""

    url: str


Part: TypeAlias = str | Image


def image() -> Image:
    """Return an image of one pixel."""
    data = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    return Image(f"data:image/png;base64,{data}")


def made(calls: Iterable[Call]) -> dict[str, str]:
    """Return what the tools give back to calls, by the calls' ids."""
    return {call.id: f"{call.name}-in-{call.arguments['city']}" for call in calls}


@dataclass(frozen=True)
class Ask:
    """A request in no format's words.

    `talk` has the user's turns (a text, or parts), the answers that came (`Answer`), and what tools gave (`made`).
    """

    talk: Sequence[str | Sequence[Part] | Answer | Mapping[str, str]]
    system: str | None = None
    tools: Sequence[Tool] = ()
    force: str | None = None
    schema: Mapping[str, Any] | None = None
    stop: str | None = None
    limit: int | None = None
    think: bool = False


class Caller(Protocol):
    """One format of callers."""

    failures: tuple[type[Exception], ...]
    """The exception that the package raises for an error."""

    def ask(self, model: str, ask: Ask) -> Answer:
        """Ask for a whole answer."""

    def stream(self, model: str, ask: Ask) -> Answer:
        """Ask for a stream, and read it to its end."""

    def pieces(self, model: str, ask: Ask) -> AbstractContextManager[Iterable[str]]:
        """Ask for a stream, and give its text piece by piece; leaving the context hangs up."""

    def close(self) -> None:
        """Let go of connections."""


_VARYING = frozenset(
    [
        *("id", "created", "created_at", "completed_at", "call_id", "item_id", "encrypted_content", "signature"),
        "thought_signature",
        *("index", "parsed", "parsed_arguments", "parsed_output"),  # what the packages add while they accumulate
    ]
)


def same(value: Any) -> Any:
    """Return a value without what differs between two answers that say the same, and without what is not there."""
    if isinstance(value, Mapping):
        return {name: same(inner) for name, inner in value.items() if name not in _VARYING and inner is not None}
    return [same(inner) for inner in value] if isinstance(value, list) else value


class _Openai:
    failures = (openai.APIError,)

    def __init__(self, root: str, key: str) -> None:
        self._client = openai.OpenAI(base_url=f"{root}/v1", api_key=key, max_retries=0, timeout=60)

    def close(self) -> None:
        self._client.close()


class ChatCaller(_Openai):
    """Chat completions, by the `openai` package."""

    def ask(self, model: str, ask: Ask) -> Answer:
        return self._answer(self._client.chat.completions.create(model=model, **self._fields(ask)))

    def stream(self, model: str, ask: Ask) -> Answer:
        options: Any = {"include_usage": True}
        with self._client.chat.completions.stream(
            model=model, stream_options=options, **self._fields(ask, strict=True)
        ) as stream:
            for event in stream:
                if event.type == "chunk":
                    ChatCompletionChunk.model_validate(event.chunk.to_dict())
            return self._answer(stream.current_completion_snapshot)  # the final one refuses to have been cut short

    def pieces(self, model: str, ask: Ask) -> AbstractContextManager[Iterable[str]]:
        stream = self._client.chat.completions.create(model=model, stream=True, **self._fields(ask))
        texts = (choice.delta.content or "" for chunk in stream for choice in chunk.choices)
        return Reading(stream, texts)

    def _fields(self, ask: Ask, *, strict: bool = False) -> dict[str, Any]:
        messages: list[Any] = [{"role": "system", "content": ask.system}] if ask.system else []
        for turn in ask.talk:
            match turn:
                case str():
                    messages.append({"role": "user", "content": turn})
                case Answer():
                    messages.append(turn.turn)
                case Mapping():
                    messages += [{"role": "tool", "tool_call_id": id_, "content": given} for id_, given in turn.items()]
                case _:
                    parts = [
                        {"type": "image_url", "image_url": {"url": part.url}}
                        if isinstance(part, Image)
                        else {"type": "text", "text": part}
                        for part in turn
                    ]
                    messages.append({"role": "user", "content": parts})
        fields: dict[str, Any] = {"messages": messages}
        if ask.tools:
            fields["tools"] = [
                {"type": "function", "function": {"name": tool.name, "parameters": tool.schema, "strict": True}}
                for tool in ask.tools
            ]
        if ask.force:
            fields["tool_choice"] = {"type": "function", "function": {"name": ask.force}}
        if ask.schema:
            described = {"name": "it", "schema": ask.schema, "strict": True}
            fields["response_format"] = {"type": "json_schema", "json_schema": described}
        if ask.stop:
            fields["stop"] = [ask.stop]
        if ask.limit:
            fields["max_completion_tokens"] = ask.limit
        if ask.think:
            fields["reasoning_effort"] = "high"
        return fields

    def _answer(self, completion: ChatCompletion) -> Answer:
        dumped = completion.to_dict(mode="json", warnings=True)
        ChatCompletion.model_validate(dumped)
        choice = completion.choices[0]
        message: Any = dumped["choices"][0]["message"]  # type: ignore[index] # the package types it as any object
        calls = choice.message.tool_calls or []
        assert completion.usage is not None
        return Answer(
            text=choice.message.content or "",
            calls=[
                Call(call.function.name, json.loads(call.function.arguments), call.id)
                for call in calls
                if call.type == "function"
            ],
            finish={"stop": "stop", "length": "length", "tool_calls": "tools"}[choice.finish_reason],  # type: ignore[arg-type] # the table's values are the literals
            model=completion.model,
            reasoning=message.get("reasoning_content", ""),
            prompt_tokens=completion.usage.prompt_tokens,
            completion_tokens=completion.usage.completion_tokens,
            turn={name: value for name, value in message.items() if name != "parsed"},
            everything=same(dumped),
        )


class ResponsesCaller(_Openai):
    """Responses, by the `openai` package."""

    def ask(self, model: str, ask: Ask) -> Answer:
        return self._answer(self._client.responses.create(model=model, **self._fields(ask)))

    def stream(self, model: str, ask: Ask) -> Answer:
        with self._client.responses.create(model=model, stream=True, **self._fields(ask)) as stream:
            events = list(stream)
        for event in events:
            _RESPONSE_EVENTS.validate_python(event.to_dict())
        assert [event.sequence_number for event in events] == list(range(len(events)))
        if not ask.talk[1:]:  # what accumulates for the package's users takes the first turns too, at twice the cost
            with self._client.responses.stream(model=model, **self._fields(ask)) as helper:
                assert [event.type for event in helper][-1] == events[-1].type
        return self._answer(self._final(events))

    def _final(self, events: Sequence[ResponseStreamEvent]) -> Response:
        """Return the response that the last event has, once its pieces were found to be its whole."""
        last = events[-1]
        if last.type not in ("response.completed", "response.incomplete"):
            raise openai.APIError(f"the stream ended in {last.type}", request=_NO_REQUEST, body=last.to_dict())
        texts: dict[tuple[int, str], str] = {}
        for event in events:
            match event.to_dict():
                case {"type": str(kind), "output_index": int(at), "delta": str(piece)}:
                    name = kind.removesuffix(".delta")
                    texts[at, name] = texts.get((at, name), "") + piece
                case {"type": str(kind), "output_index": int(at), **fields} if (
                    kind.endswith(".done") and (at, kind.removesuffix(".done")) in texts
                ):
                    everything = fields.get("text", fields.get("arguments", fields.get("refusal")))
                    assert texts[at, kind.removesuffix(".done")] == everything
        done = [event.item for event in events if event.type == "response.output_item.done"]
        assert [item.to_dict() for item in done] == [item.to_dict() for item in last.response.output]
        return last.response

    def pieces(self, model: str, ask: Ask) -> AbstractContextManager[Iterable[str]]:
        stream = self._client.responses.create(model=model, stream=True, **self._fields(ask))
        return Reading(stream, _text_of_response(stream))

    def _fields(self, ask: Ask) -> dict[str, Any]:
        items: list[Any] = []
        for turn in ask.talk:
            match turn:
                case str():
                    items.append({"role": "user", "content": turn})
                case Answer():
                    items += turn.turn
                case Mapping():
                    items += [
                        {"type": "function_call_output", "call_id": id_, "output": given} for id_, given in turn.items()
                    ]
                case _:
                    parts = [
                        {"type": "input_image", "image_url": part.url, "detail": "auto"}
                        if isinstance(part, Image)
                        else {"type": "input_text", "text": part}
                        for part in turn
                    ]
                    items.append({"role": "user", "content": parts})
        fields: dict[str, Any] = {"input": items, "store": False}
        if ask.system:
            fields["instructions"] = ask.system
        if ask.tools:
            fields["tools"] = [
                {"type": "function", "name": tool.name, "parameters": tool.schema, "strict": True} for tool in ask.tools
            ]
        if ask.force:
            fields["tool_choice"] = {"type": "function", "name": ask.force}
        if ask.schema:
            form = {"type": "json_schema", "name": "it", "schema": ask.schema, "strict": True}
            fields["text"] = {"format": form}
        if ask.limit:
            fields["max_output_tokens"] = ask.limit
        if ask.think:
            fields["reasoning"] = {"effort": "high", "summary": "auto"}
            fields["include"] = ["reasoning.encrypted_content"]
        return fields

    def _answer(self, response: Response) -> Answer:
        dumped: dict[str, Any] = response.to_dict(mode="json", warnings=True)
        Response.model_validate(dumped)
        calls = [item for item in response.output if item.type == "function_call"]
        thoughts = [item for item in response.output if item.type == "reasoning"]
        assert response.usage is not None
        short = response.status == "incomplete"
        return Answer(
            text=response.output_text,
            calls=[Call(call.name, json.loads(call.arguments), call.call_id) for call in calls],
            finish="length" if short else "tools" if calls else "stop",
            model=response.model,
            reasoning="".join(
                "".join([*(part.text for part in item.summary), *(part.text for part in item.content or [])])
                for item in thoughts
            ),
            prompt_tokens=response.usage.input_tokens,
            completion_tokens=response.usage.output_tokens,
            turn=dumped["output"],
            everything=same(dumped),
        )


_NO_REQUEST: Any = None  # of an error that stands in a stream; the package's own type wants one


def _text_of_response(stream: Iterable[ResponseStreamEvent]) -> Iterable[str]:
    for event in stream:
        if event.type == "response.output_text.delta":
            yield event.delta
        elif event.type in ("error", "response.failed"):  # the package leaves these to its caller
            raise openai.APIError(f"the stream has {event.type}", request=_NO_REQUEST, body=event.to_dict())


class MessagesCaller:
    """Messages, by the `anthropic` package."""

    failures = (anthropic.APIError,)

    def __init__(self, root: str, key: str) -> None:
        self._client = anthropic.Anthropic(base_url=root, api_key=key, max_retries=0, timeout=60)

    def close(self) -> None:
        self._client.close()

    def ask(self, model: str, ask: Ask) -> Answer:
        return self._answer(self._client.messages.create(model=model, **self._fields(ask)))

    def stream(self, model: str, ask: Ask) -> Answer:
        with self._client.messages.stream(model=model, **self._fields(ask)) as stream:
            for event in stream:
                if event.type in _MESSAGE_KINDS:
                    _MESSAGE_EVENTS.validate_python(event.to_dict())
            return self._answer(stream.get_final_message())

    def pieces(self, model: str, ask: Ask) -> AbstractContextManager[Iterable[str]]:
        stream = self._client.messages.create(model=model, stream=True, **self._fields(ask))
        texts = (
            event.delta.text
            for event in stream
            if event.type == "content_block_delta" and event.delta.type == "text_delta"
        )
        return Reading(stream, texts)

    def _fields(self, ask: Ask) -> dict[str, Any]:
        messages: list[Any] = []
        for turn in ask.talk:
            match turn:
                case str():
                    messages.append({"role": "user", "content": turn})
                case Answer():
                    messages.append({"role": "assistant", "content": turn.turn})
                case Mapping():
                    results = [
                        {"type": "tool_result", "tool_use_id": id_, "content": given} for id_, given in turn.items()
                    ]
                    messages.append({"role": "user", "content": results})
                case _:
                    messages.append({"role": "user", "content": [_block(part) for part in turn]})
        fields: dict[str, Any] = {"messages": messages, "max_tokens": ask.limit or _LIMIT}
        if ask.system:
            fields["system"] = ask.system
        if ask.tools:
            fields["tools"] = [{"name": tool.name, "input_schema": tool.schema} for tool in ask.tools]
        if ask.force:
            fields["tool_choice"] = {"type": "tool", "name": ask.force}
        if ask.schema:
            fields["output_config"] = {"format": {"type": "json_schema", "schema": ask.schema}}
        if ask.stop:
            fields["stop_sequences"] = [ask.stop]
        if ask.think:
            fields["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        return fields

    def _answer(self, message: Message) -> Answer:
        dumped: dict[str, Any] = message.to_dict(mode="json", warnings=True)
        Message.model_validate(dumped)
        uses = [block for block in message.content if block.type == "tool_use"]
        usage = message.usage
        cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
        finish = message.stop_reason
        assert finish is not None
        if finish == "stop_sequence":
            assert message.stop_sequence
        return Answer(
            text="".join(block.text for block in message.content if block.type == "text"),
            calls=[Call(use.name, _mapping(use.input), use.id) for use in uses],
            finish={"max_tokens": "length", "tool_use": "tools"}.get(finish, "stop"),  # type: ignore[arg-type] # the table's values are the literals
            model=message.model,
            reasoning="".join(block.thinking for block in message.content if block.type == "thinking"),
            prompt_tokens=usage.input_tokens + cached,
            completion_tokens=usage.output_tokens,
            turn=[_sent_back(block) for block in dumped["content"]],
            everything=same(dumped),
        )


def _block(part: Part) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    media_type, _, data = part.url.removeprefix("data:").partition(";base64,")
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def _sent_back(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return a block of an answer as it is sent back: without what only answers have."""
    return {
        name: value for name, value in block.items() if value is not None and name not in ("parsed_output", "caller")
    }


def _mapping(value: object) -> Mapping[str, Any]:
    assert isinstance(value, Mapping)
    return value


class Reading:
    """A stream being read; leaving it hangs up."""

    def __init__(self, stream: Any, texts: Iterable[str]) -> None:
        self._stream = stream
        self._texts = texts

    def __enter__(self) -> Iterable[str]:
        return self._texts

    def __exit__(self, *_: object) -> None:
        self._stream.close()


def _gemini(root: str, key: str) -> Caller:
    from tests.e2e.formats.gemini_caller import GeminiCaller  # its package takes a second to import

    return GeminiCaller(root, key)


CALLERS: Mapping[str, Any] = {
    "chat": ChatCaller,
    "responses": ResponsesCaller,
    "messages": MessagesCaller,
    "gemini": _gemini,
}
"""The callers by format, created from the router's root and a key."""

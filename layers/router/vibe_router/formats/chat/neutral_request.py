"""Translates chat requests from and to the neutral form.

Left out when a request of another format is written as chat, since the answer does not depend on it: cache breakpoints,
the style of reasoning summaries, cache keys, `store` (the router stores), the error flag of tool results (their text
says it), and reasoning of other models (except in a turn with tool calls, where some models require it).

Rewritten: developer messages as system messages, which every provider accepts; free-text tools as functions of one
string, `input`; a choice among allowed tools by declaring only these; tool results directly after their calls, as text
only, with their images and files in a user's message after them; text-only content as one string; a thinking budget as
an effort; tool names above 64 characters shortened. Assistant messages without content or calls are left out.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from vibe_router.core.errors import bad_request
from vibe_router.formats.chat.proofs import message_fields, unsigned_call
from vibe_router.formats.common.data_url import data_url, read_data_url
from vibe_router.formats.common.fields import Shape, entries, integer, mapping, number, text, truth
from vibe_router.formats.common.json_body import dump, without_none
from vibe_router.formats.neutral import thinking_off
from vibe_router.formats.neutral.model import (
    AllowedTools,
    Audio,
    File,
    Image,
    JsonFormat,
    Message,
    NamedTool,
    NeutralRequest,
    Part,
    Raw,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    custom_tool_arguments,
    custom_tool_as_function,
    merge_turns,
    object_schema,
    reasoning_effort,
    unsupported,
)
from vibe_router.formats.neutral.reading import allowed_names, contents, sorted_fields
from vibe_router.formats.neutral.tool_names import short_tool_name

__all__ = ["body", "read"]

_FORMAT = "chat"

# Hints, and fields about the answer or its storage: other formats may leave them out.
HARMLESS = frozenset(
    {"prediction", "prompt_cache_retention", "prompt_cache_options", "stream_options", "functions", "function_call"}
)
PASSTHROUGH: Mapping[str, Shape] = {
    "parallel_tool_calls": truth,
    "temperature": number,
    "top_p": number,
    "frequency_penalty": number,
    "presence_penalty": number,
    "n": integer,
    "seed": integer,
    "logit_bias": mapping,
    "logprobs": truth,
    "top_logprobs": integer,
    "verbosity": text,
    "metadata": mapping,
    "user": text,
    "safety_identifier": text,
    "prompt_cache_key": text,
    "service_tier": text,
    "store": truth,
}
READ_APART = frozenset(
    {"model", "stream", "messages", "tools", "tool_choice", "max_tokens", "max_completion_tokens", "stop",
     "response_format", "reasoning_effort"}
)  # fmt: skip
# How chat callers turn thinking off, beside `reasoning_effort`: DeepSeek, GLM, Kimi and Doubao; Qwen; OpenRouter.
_NO_THINKING: tuple[tuple[str, object], ...] = (
    ("thinking", {"type": "disabled"}),
    ("enable_thinking", False),
    ("reasoning", {"enabled": False}),
    ("reasoning", {"effort": "none"}),
    ("reasoning", {"max_tokens": 0}),
)
# OpenAI's reasoning models reject max_tokens; other providers may not know its successor.
_COMPLETION_TOKENS = re.compile(r"(?:^|/)(?:o\d|gpt-[5-9])")
# Gemini 3 and later reject earlier calls without a thought signature.
_SIGNED_CALLS = re.compile(r"gemini-(?:[3-9]|\d\d)")
_LONGEST_USER = 64  # characters that OpenAI accepts in `user`


# --- Reading a request ------------------------------------------------------------------------------------------------


def read(body: Mapping[str, Any]) -> NeutralRequest:
    """Return a chat request (checked by `request.parse`) in the neutral form. Raises ApiError (400)."""
    plain, more, unread = sorted_fields(body, PASSTHROUGH, READ_APART, _is_harmless)
    if unread.get("modalities") == ["text"]:
        del unread["modalities"]
    response_format = body.get("response_format")
    if response_format == {"type": "text"}:
        more["response_format"] = response_format
    names = {"effort": "reasoning_effort"}
    no_thinking = [name for name, value in _NO_THINKING if unread.get(name) == value]
    more |= {name: unread.pop(name) for name in no_thinking}
    if body.get("max_completion_tokens") is not None:
        names["max_tokens"] = "max_completion_tokens"
    bound = integer(body, names.get("max_tokens", "max_tokens"))
    return NeutralRequest(
        _FORMAT,
        [_read_message(message, f"messages[{i}]") for i, message in enumerate(body["messages"])],
        tools=[_read_tool(tool, f"tools[{i}]") for i, tool in enumerate(entries(body, "tools"))],
        tool_choice=_read_choice(body.get("tool_choice")),
        max_tokens=bound,
        stop=_read_stop(body.get("stop")),
        response_format=_read_format(response_format),
        effort=text(body, "reasoning_effort"),
        budget=0 if no_thinking else None,
        rest=unread,
        more=more,
        names=names,
        **plain,
    )


def _is_harmless(name: str, value: object) -> bool:
    """Return whether other formats may leave out a field. Legacy `functions` must not be lost."""
    return name in HARMLESS and not (name in ("functions", "function_call") and value)


def _read_stop(value: object) -> Sequence[str]:
    stops = [value] if isinstance(value, str) else value or []
    if not isinstance(stops, list) or not all(isinstance(each, str) for each in stops):
        raise bad_request("'stop' must be a string or an array of strings.", "stop")
    return stops


def _read_format(value: Any) -> JsonFormat | None:
    match value:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return JsonFormat()
        case {"type": "json_schema", "json_schema": {"name": str(name), **rest}}:
            schema = mapping(rest, "schema", "response_format.json_schema.") or {}
            strict = truth(rest, "strict", "response_format.json_schema.")
            return JsonFormat(name, schema, strict, text(rest, "description", "response_format.json_schema."))
    raise bad_request("'response_format' must be of type text, json_object or json_schema.", "response_format")


def _read_tool(value: Any, at: str) -> Tool | Raw:
    match value:
        case {"type": "function", "function": {"name": str(name), **fields}}:
            place = f"{at}.function."
            return Tool(
                name,
                text(fields, "description", place),
                mapping(fields, "parameters", place),
                truth(fields, "strict", place),
                cache=mapping(value, "cache_control", f"{at}."),
                at=at,
            )
        case {"type": "custom", "custom": {"name": str(name), **fields}}:
            place = f"{at}.custom."
            grammar = _flat(mapping(fields, "format", place))
            return Tool(name, text(fields, "description", place), custom=True, grammar=grammar, at=at)
        case {"type": str(kind)} if kind not in ("function", "custom"):
            return Raw(_FORMAT, value, f"a tool of type {kind[:50]}", at=at)
    raise bad_request(f"'{at}' must be a function with a name.", at)


def _flat(grammar: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return a custom tool's format without chat's extra level of nesting."""
    match grammar:
        case {"type": "grammar", "grammar": dict(inner)}:
            return {"type": "grammar", **inner}
    return grammar


def _read_choice(value: Any) -> ToolChoice | None:
    match value:
        case None | "auto" | "none" | "required":
            return value
        case {"type": "function", "function": {"name": str(name)}}:
            return NamedTool(name)
        case {"type": "custom", "custom": {"name": str(name)}}:
            return NamedTool(name, custom=True)
        case {"type": "allowed_tools", "allowed_tools": {"mode": "auto" | "required" as mode, "tools": list(tools)}}:
            if names := allowed_names(tools):
                return AllowedTools(mode, names)
    raise bad_request("'tool_choice' must be auto, none, required or name a tool.", "tool_choice")


def _read_message(message: Mapping[str, Any], at: str) -> Message:
    role = message["role"]
    name = text(message, "name", f"{at}.")
    match role:
        case "system" | "developer" | "user":
            return Message(role, contents(message.get("content"), f"{at}.content", _read_part), name, at=at)
        case "assistant":
            return _read_assistant(message, name, at)
        case "tool":
            call = text(message, "tool_call_id", f"{at}.")
            if call is None:
                raise bad_request(f"'{at}.tool_call_id' is missing.", f"{at}.tool_call_id")
            parts = contents(message.get("content"), f"{at}.content", _read_part)
            cache = mapping(message, "cache_control", f"{at}.")
            return Message("user", [ToolResult(call, parts, cache=cache, at=at)], name, at=at)
        case "function":
            return Message("user", [Raw(_FORMAT, message, "the result of a legacy function call", at=at)], at=at)
    raise bad_request(f"'{at}.role' must be system, developer, user, assistant or tool.", f"{at}.role")


def _read_assistant(message: Mapping[str, Any], name: str | None, at: str) -> Message:
    parts: list[Part] = []
    thought = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(thought, str) and thought:
        parts.append(Reasoning(thought, at=f"{at}.reasoning_content"))
    if message.get("content"):
        parts += contents(message["content"], f"{at}.content", _read_part)
    if refusal := text(message, "refusal", f"{at}."):
        parts.append(Refusal(refusal, at=f"{at}.refusal"))
    for i, call in enumerate(entries(message, "tool_calls", f"{at}.")):
        parts.append(_read_call(call, f"{at}.tool_calls[{i}]"))
    for key, what in (("function_call", "a legacy function call"), ("audio", "an earlier answer's audio")):
        if message.get(key):
            parts.append(Raw(_FORMAT, {key: message[key]}, what, at=f"{at}.{key}"))
    return Message("assistant", parts, name, at=at)


def _read_call(call: Any, at: str) -> ToolCall:
    match call:
        case {"id": str(id_), "function": {"name": str(name), "arguments": str(arguments)}}:
            return ToolCall(id_, name, arguments, at=at)
        case {"id": str(id_), "type": "custom", "custom": {"name": str(name), "input": str(arguments)}}:
            return ToolCall(id_, name, arguments, custom=True, at=at)
    raise bad_request(f"'{at}' must have an id and a function with a name and arguments.", at)


def _read_part(part: Any, at: str) -> Part:
    cache = mapping(part, "cache_control", f"{at}.") if isinstance(part, dict) else None
    match part:
        case {"type": "text", "text": str(words)}:
            return Text(words, cache, at=at)
        case {"type": "image_url", "image_url": {"url": str(url), **fields}}:
            detail = text(fields, "detail", f"{at}.image_url.")
            media_type, data = read_data_url(url)
            if data is not None:
                return Image(None, data, media_type, detail, cache, at=at)
            return Image(url, detail=detail, cache=cache, at=at)
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(kind)}}:
            return Audio(data, kind, at=at)
        case {"type": "file", "file": {"file_data": str(written), **fields}}:
            media_type, data = read_data_url(written)
            name = text(fields, "filename", f"{at}.file.")
            return File(name, data if data is not None else written, media_type, cache=cache, at=at)
        case {"type": "file", "file": {"file_id": str()}}:
            return Raw(_FORMAT, part, "a file by its id", at=at)
        case {"type": "refusal", "refusal": str(words)}:
            return Refusal(words, at=at)
        case {"type": str(kind)} if kind not in ("text", "image_url", "input_audio", "file", "refusal"):
            return Raw(_FORMAT, part, f"a part of type {kind[:50]}", at=at)
    raise bad_request(f"'{at}' is not a content part.", at)


# --- Writing a request ------------------------------------------------------------------------------------------------


def body(request: NeutralRequest, model: str, *, stream: bool) -> bytes:
    """Return the body for a chat provider's `model`. Raises ApiError (400) for what chat cannot carry."""
    for name in request.rest:
        raise unsupported(_FORMAT, name)
    if request.top_k is not None:
        raise unsupported(_FORMAT, request.caller_name("top_k"))
    out: dict[str, Any] = {
        "model": model,
        "messages": list(_messages(request, signs=bool(_SIGNED_CALLS.search(request.base_model or model)))),
        "stream": stream,
    }
    if not out["messages"]:
        raise unsupported(_FORMAT, request.caller_name("messages"), "an answer to nothing")
    if stream:
        out["stream_options"] = {"include_usage": True}
    out |= {name: value for name in PASSTHROUGH if (value := getattr(request, name)) is not None}
    _remove_unneeded(out)
    if tools := [_tool(tool) for tool in _declared_tools(request)]:
        out["tools"] = tools
    else:
        out.pop("parallel_tool_calls", None)  # OpenAI rejects it without tools
    if request.tool_choice is not None and tools:
        out["tool_choice"] = _choice(request.tool_choice)
    if request.max_tokens is not None:
        takes_new_name = _COMPLETION_TOKENS.search(request.base_model or model)
        out["max_completion_tokens" if takes_new_name else "max_tokens"] = request.max_tokens
    if request.stop:
        out["stop"] = list(request.stop)
    if request.response_format:
        out["response_format"] = _response_format(request.response_format)
    effort = reasoning_effort(request)
    if effort == "none":
        out |= thinking_off.chat_fields(request.base_model or model)
    elif effort:
        out["reasoning_effort"] = effort
    return dump(out)


def _remove_unneeded(out: dict[str, Any]) -> None:
    """Remove fields of other formats' callers that chat providers do not need."""
    for name in ("store", "prompt_cache_key", "metadata", "safety_identifier"):
        out.pop(name, None)
    if len(out.get("user") or "") > _LONGEST_USER:
        del out["user"]
    for name, usual in (("service_tier", "auto"), ("verbosity", "medium"), ("n", 1), ("parallel_tool_calls", True)):
        if out.get(name) == usual:
            del out[name]


def _declared_tools(request: NeutralRequest) -> Iterable[Tool | Raw]:
    choice = request.tool_choice
    if isinstance(choice, AllowedTools):
        return [each for each in request.tools if isinstance(each, Tool) and each.name in choice.names]
    return request.tools


def _tool(tool: Tool | Raw) -> dict[str, Any]:
    if isinstance(tool, Raw):
        raise unsupported(_FORMAT, tool.at, tool.what)
    if tool.custom:
        tool = custom_tool_as_function(tool)
    function: dict[str, Any] = {
        "name": short_tool_name(tool.name),
        "description": tool.description,
        "parameters": object_schema(tool.parameters),
        "strict": tool.strict,
    }
    return {"type": "function", "function": without_none(function)}


def _choice(choice: ToolChoice) -> object:
    match choice:
        case NamedTool(name):
            return {"type": "function", "function": {"name": short_tool_name(name)}}
        case AllowedTools(mode):
            return mode
        case Raw(what=what, at=at):
            raise unsupported(_FORMAT, at, what)
        case word:
            return word


def _response_format(wanted: JsonFormat) -> dict[str, Any]:
    if wanted.schema is None:
        return {"type": "json_object"}
    fields: dict[str, Any] = {
        "name": wanted.name or "answer",
        "schema": wanted.schema,
        "strict": wanted.strict,
        "description": wanted.description,
    }
    return {"type": "json_schema", "json_schema": without_none(fields)}


def _messages(request: NeutralRequest, *, signs: bool) -> Iterator[dict[str, Any]]:
    """Write the messages, each tool result directly after the message with its call.

    `signs`: the model requires a thought signature of its calls.
    """
    written = list(_in_order(request, signs=signs))
    latest_call: dict[str, int] = {}  # by call id: the position of the message with the call
    results: dict[int, list[dict[str, Any]]] = {}  # by that position: the results of its calls
    rest: list[tuple[int, dict[str, Any]]] = []
    for at, message in enumerate(written):
        if message["role"] == "tool" and (caller := latest_call.get(message["tool_call_id"])) is not None:
            results.setdefault(caller, []).append(message)
            continue
        latest_call.update({call["id"]: at for call in message.get("tool_calls", ())})
        rest.append((at, message))
    for at, message in rest:
        yield message
        yield from results.get(at, ())


def _in_order(request: NeutralRequest, *, signs: bool) -> Iterator[dict[str, Any]]:
    if request.system:
        yield {"role": "system", "content": _content(request.system)}
    for message in merge_turns(request.messages):
        name = {"name": message.name} if message.name else {}
        match message.role:
            case "system" | "developer":
                yield {"role": "system", "content": _content(message.parts), **name}
            case "user":
                yield from _user(message, name)
            case "assistant":
                written = _assistant(message, signs=signs)
                if written["content"] or "tool_calls" in written:  # providers reject an empty message
                    yield {"role": "assistant", **written, **name}


def _user(message: Message, name: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Write a user's message. Tool results come first, as messages of their own, which can hold nothing but text."""
    rest: list[Part] = []
    for part in message.parts:
        if isinstance(part, ToolResult):
            parts = [each for each in part.parts if _is_text(each)]
            shown = [each for each in part.parts if not _is_text(each)]
            if shown:
                rest += [Text(f"What the tool call {part.call_id} shows:"), *shown]
                parts = parts or [Text("The result is shown below.")]
            yield {"role": "tool", "tool_call_id": part.call_id, "content": _content(parts), **name}
        else:
            rest.append(part)
    if rest or not message.parts:
        yield {"role": "user", "content": _content(rest), **name}


def _is_text(part: Part) -> bool:
    return isinstance(part, Text | Refusal) or (isinstance(part, File) and part.text is not None)


def _assistant(message: Message, *, signs: bool) -> dict[str, Any]:
    out: dict[str, Any] = {"content": None}
    parts: list[Part] = []
    calls: list[dict[str, Any]] = []
    thoughts: list[Reasoning] = []
    for part in message.parts:
        match part:
            case Reasoning():
                thoughts.append(part)
            case ToolCall():
                calls.append(_call(part))
            case _:
                parts.append(part)
    if parts:
        out["content"] = _content(parts) or None
    if calls:
        out["tool_calls"] = calls
    proofs, proofs_of_calls = message_fields(thoughts)
    out |= proofs
    for call in calls:
        if extra := proofs_of_calls.get(call["id"]):
            call["extra_content"] = extra
    if signs and calls and not any("extra_content" in call for call in calls):
        calls[0]["extra_content"] = unsigned_call()  # of parallel calls, Gemini signs the first one
    thought = "\n\n".join(filter(None, (each.text or "\n\n".join(each.summary) for each in thoughts)))
    if thought and calls and "reasoning_details" not in proofs:
        out["reasoning_content"] = thought
    return out


def _call(call: ToolCall) -> dict[str, Any]:
    arguments = custom_tool_arguments(call.arguments) if call.custom else call.arguments
    function = {"name": short_tool_name(call.name), "arguments": arguments if arguments.strip() else "{}"}
    return {"id": call.id, "type": "function", "function": function}


def _content(parts: Sequence[Part]) -> str | list[dict[str, Any]]:
    """Write content: text alone as a string, which every provider accepts in every message."""
    if all(map(_is_text, parts)):
        return "\n\n".join(filter(None, (part.text for part in parts if isinstance(part, Text | Refusal | File))))
    return list(map(_part, parts))


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Text(words) | Refusal(words) | File(text=str(words)):
            return {"type": "text", "text": words}
        case Image():
            if part.url is None and part.data is None:
                raise unsupported(_FORMAT, part.at, "an image without its data")
            shown: dict[str, Any] = {"url": part.url or data_url(part.media_type or "image/png", part.data or "")}
            return {"type": "image_url", "image_url": shown | ({"detail": part.detail} if part.detail else {})}
        case File(data=str(data)):
            held = data_url(part.media_type, data) if part.media_type else data
            filename = part.filename or "document.pdf"  # OpenAI requires a name
            return {"type": "file", "file": {"filename": filename, "file_data": held}}
        case File():
            raise unsupported(_FORMAT, part.at, "a file by its URL")
        case Audio():
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
        case Raw():
            raise unsupported(_FORMAT, part.at, part.what)
    raise unsupported(_FORMAT, part.at, "this part in this place")

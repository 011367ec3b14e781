"""Reads a request in Responses into the neutral form, and writes a neutral request for a provider of Responses.

Left out for Responses, because it does not change what is asked: cache breakpoints, the error flag of a tool result
(its text says so), reasoning without a proof that this provider issued, names of message authors.

Left out of Responses for other formats: a web search, image or tool search that the model may but need not make, which
earlier reasoning the model reads, how a tool is loaded and who else may call it, and items that record what a provider
did on its own (a search, a generated image). Such records never make a deployment unfit. Only items that ask for
something that other formats lack do: a reference to an unknown item, an approval, a summary that only its provider can
read.

Rewritten: leading system messages become instructions and later ones developer messages, a thinking budget becomes an
effort, a plain text document becomes text. A translated request asks the provider not to store it, and to return its
encrypted reasoning when it reasons, so that the next turn can continue.
"""

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vibe_router.core.errors import bad_request
from vibe_router.formats.common.data_url import data_url, read_data_url
from vibe_router.formats.common.fields import Shape, entries, integer, mapping, number, text, truth
from vibe_router.formats.common.json_body import dump, without_none
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
    reasoning_effort,
    unseal,
    unsupported,
)
from vibe_router.formats.neutral.reading import allowed_names, contents, sorted_fields
from vibe_router.formats.neutral.thinking_off import lowest_effort
from vibe_router.formats.neutral.tool_names import with_short_tool_names
from vibe_router.formats.responses.namespaces import as_namespace, flat_name, tools_of
from vibe_router.formats.responses.summary import COMPACTION_TYPES

__all__ = ["body", "read"]

_FORMAT = "responses"

PASSTHROUGH: Mapping[str, Shape] = {
    "temperature": number,
    "top_p": number,
    "top_logprobs": integer,
    "parallel_tool_calls": truth,
    "metadata": mapping,
    "user": text,
    "safety_identifier": text,
    "prompt_cache_key": text,
    "service_tier": text,
    "store": truth,
}
# Of Open Responses; OpenAI's own API does not have them.
_PENALTIES: Mapping[str, Shape] = {"frequency_penalty": number, "presence_penalty": number}
READ_APART = frozenset(
    {"model", "stream", "input", "instructions", "tools", "tool_choice", "max_output_tokens", "reasoning", "text"}
)
# Fields that other formats can go without: hints, what the answer includes, storage, and a limit on hosted tool calls
# (hosted tools themselves are rejected).
HARMLESS = frozenset(
    {"include", "stream_options", "prompt_cache_retention", "prompt_cache_options", "client_metadata", "background",
     "max_tool_calls"}
)  # fmt: skip
_REASONING_FIELDS = ("effort", "summary")
_TEXT_FIELDS = ("format", "verbosity")
_LOGPROBS = "message.output_text.logprobs"
_ENCRYPTED = "reasoning.encrypted_content"


# --- Reading a request ------------------------------------------------------------------------------------------------


def read(body: Mapping[str, Any]) -> NeutralRequest:
    """Read a request (as `request.parse` checks it) into the neutral form. Raises ApiError (400)."""
    plain, _, unread = sorted_fields(body, {**PASSTHROUGH, **_PENALTIES}, READ_APART, lambda name, _: name in HARMLESS)
    if unread.get("truncation") == "disabled":
        del unread["truncation"]
    reasoning, output = mapping(body, "reasoning") or {}, mapping(body, "text") or {}
    unread |= {f"reasoning.{key}": value for key, value in reasoning.items() if not _is_read_or_optional(key, value)}
    unread |= {f"text.{key}": value for key, value in output.items() if key not in _TEXT_FIELDS and value is not None}
    instructions = text(body, "instructions")
    return NeutralRequest(
        _FORMAT,
        list(_read_input(body.get("input"))),
        system=[Text(instructions, at="instructions")] if instructions else [],
        tools=_read_all_tools(body),
        tool_choice=_read_choice(body.get("tool_choice")),
        max_tokens=integer(body, "max_output_tokens"),
        response_format=_read_format(output.get("format")),
        effort=text(reasoning, "effort", "reasoning."),
        reasoning_summary=text(reasoning, "summary", "reasoning."),
        verbosity=text(output, "verbosity", "text."),
        logprobs=True if _LOGPROBS in entries(body, "include") else None,
        rest=unread,
        names={
            "messages": "input",
            "max_tokens": "max_output_tokens",
            "effort": "reasoning.effort",
            "response_format": "text.format",
            "verbosity": "text.verbosity",
            "logprobs": "include",
        },
        **plain,
    )


def _is_read_or_optional(name: str, value: object) -> bool:
    """Return whether a field of `reasoning` is read or can be left out: defaults, and which reasoning is read again."""
    is_default = value is None or (name == "mode" and value == "standard")
    return name in _REASONING_FIELDS or name in ("context", "generate_summary") or is_default


def _read_format(value: Any) -> JsonFormat | None:
    match value:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return JsonFormat()
        case {"type": "json_schema", "name": str(name), "schema": dict(schema), **rest}:
            return JsonFormat(name, schema, truth(rest, "strict", "text.format."), text(rest, "description"))
    raise bad_request("'text.format' must be of type text, json_object or json_schema.", "text.format")


def _read_tools(value: Any, at: str) -> Iterator[Tool | Raw]:
    """Read a tool, or the tools of a namespace under their flat names."""
    namespace = as_namespace(value)
    if namespace is None:
        yield _read_tool(value, at)
        return
    for i, inside in enumerate(namespace["tools"]):
        tool = _read_tool(inside, f"{at}.tools[{i}]")
        yield replace(tool, name=flat_name(namespace["name"], tool.name)) if isinstance(tool, Tool) else tool


def _read_all_tools(body: Mapping[str, Any]) -> list[Tool | Raw]:
    """Read the tools of a request. A tool that an item adds under the name of an earlier one is left out."""
    read: list[Tool | Raw] = []
    names: set[str] = set()
    for at, value in tools_of(body):
        for tool in _read_tools(value, at):
            if isinstance(tool, Tool):
                if tool.name in names and at.startswith("input"):
                    continue
                names.add(tool.name)
            read.append(tool)
    return read


def _read_tool(value: Any, at: str) -> Tool | Raw:
    match value:
        case {"type": "function", "name": str(name), **rest}:
            return Tool(
                name,
                text(rest, "description", f"{at}."),
                mapping(rest, "parameters", f"{at}."),
                truth(rest, "strict", f"{at}."),
                at=at,
            )
        case {"type": "custom", "name": str(name), **rest}:
            grammar = mapping(rest, "format", f"{at}.")
            return Tool(name, text(rest, "description", f"{at}."), custom=True, grammar=grammar, at=at)
        case {"type": str(kind)} if kind not in ("function", "custom"):
            optional = kind.startswith("web_search") or kind in ("image_generation", "tool_search")
            return Raw(_FORMAT, value, f"a tool of type {kind[:50]}", optional=optional, at=at)
    raise bad_request(f"'{at}' must have a type, and a function a name.", at)


def _read_choice(value: Any) -> ToolChoice | None:
    match value:
        case None | "auto" | "none" | "required":
            return value
        case {"type": "function", "name": str(name)}:
            return NamedTool(name)
        case {"type": "custom", "name": str(name)}:
            return NamedTool(name, custom=True)
        case {"type": "allowed_tools", "mode": "auto" | "required" as mode, "tools": list(tools)}:
            if all(isinstance(each, dict) and each.get("type") == "function" for each in tools):
                if names := allowed_names(tools):
                    return AllowedTools(mode, names)
            else:
                return Raw(_FORMAT, value, "a choice among tools that are not all functions", at="tool_choice")
        case {"type": str(kind)} if kind not in ("function", "custom", "allowed_tools"):
            return Raw(_FORMAT, value, f"a tool of type {kind[:50]}", at="tool_choice")
    raise bad_request("'tool_choice' must be auto, none, required or name a tool.", "tool_choice")


def _read_input(value: Any) -> Iterator[Message]:
    if isinstance(value, str):
        yield Message("user", [Text(value, at="input")], at="input")
        return
    items = [item for item in value or () if isinstance(item, dict)]
    answered = _call_ids(items, "_call") & _call_ids(items, "_output")
    previous: Message | None = None
    for i, item in enumerate(value or ()):
        message = _read_item(item, f"input[{i}]", answered)
        if message is None:
            continue
        message.continues = previous is not None and previous.role == message.role == "assistant"
        yield message
        previous = message


def _call_ids(items: Iterable[Mapping[str, Any]], suffix: str) -> set[str]:
    """Return the call ids of the items whose type ends in `suffix`."""
    ending = (item for item in items if str(item.get("type")).endswith(suffix))
    return {id_ for item in ending if isinstance(id_ := _call_id(item), str)}


def _call_id(item: Mapping[str, Any]) -> object:
    return item.get("call_id") or item.get("id")  # outputs of a local shell have the call's id as their own


def _read_item(item: Any, at: str, answered: Container[str]) -> Message | None:
    """Read an item; None for a record without meaning for other providers. `answered` are ids of calls with output."""
    match item:
        case {"role": "user" | "system" | "developer" | "assistant" as role, **rest} if rest.get("type") in (
            None,
            "message",
        ):
            parts = contents(item.get("content"), f"{at}.content", _read_part)
            return Message(role, parts, at=at)
        case {"type": "function_call", "call_id": str(call), "name": str(name), "arguments": str(arguments)}:
            return Message("assistant", [ToolCall(call, _flat_name_of(item, name), arguments, at=at)], at=at)
        case {"type": "custom_tool_call", "call_id": str(call), "name": str(name), "input": str(value)}:
            return Message("assistant", [ToolCall(call, _flat_name_of(item, name), value, custom=True, at=at)], at=at)
        case {"type": "function_call_output" | "custom_tool_call_output" as kind, "call_id": str(call)}:
            parts = contents(item.get("output"), f"{at}.output", _read_part)
            custom = kind == "custom_tool_call_output"
            result = ToolResult(call, parts, custom=custom, at=at)
            return Message("user", [result], at=at)
        case {"type": "reasoning"}:
            return Message("assistant", [_read_reasoning(item, at)], at=at)
        case {"type": "item_reference"}:
            what = "a reference to an item of no stored response"
            return Message("assistant", [Raw(_FORMAT, item, what, at=at)], at=at)
        case {"type": str(kind)} if kind in _REQUESTING_ITEMS:
            return Message("assistant", [Raw(_FORMAT, item, f"an item of type {kind[:50]}", at=at)], at=at)
        case {"type": str(kind)} if kind not in _READ_ITEMS:
            return _read_record(item, kind, at, answered)
    raise bad_request(f"'{at}' is not a valid input item.", at)


def _read_record(item: Mapping[str, Any], kind: str, at: str, answered: Container[str]) -> Message | None:
    """Read an item of another type, also of one that is not known yet, which records what happened.

    A call and its output become those of a function, content becomes a message, and all else is left out.
    """
    if kind in _TOOL_SEARCH:
        return None
    call = _call_id(item)
    if isinstance(call, str) and call in answered:
        if kind.endswith("_call"):
            fields = {key: value for key, value in item.items() if key not in ("type", "id", "call_id", "status")}
            name = _NOT_IN_NAMES.sub("_", kind.removesuffix("_call"))[:64]
            arguments = dump(fields.get("action", fields)).decode()
            return Message("assistant", [ToolCall(call, name or "tool", arguments, at=at)], at=at)
        if kind.endswith("_output"):
            output = item.get("output")
            parts = _readable_parts(output, f"{at}.output")
            return Message("user", [ToolResult(call, parts or [Text(dump(output).decode(), at=at)], at=at)], at=at)
    content = _readable_parts(item.get("content"), f"{at}.content")
    if not content:
        return None
    author = item.get("author")
    if isinstance(author, str) and author:
        content = [Text(f"Message from {author}:", at=at), *content]
    role = item.get("role")
    return Message("assistant" if role == "assistant" else "user", content, at=at)


def _readable_parts(content: object, at: str) -> list[Part]:
    """Return the text and the pictures in `content`. Encrypted and unknown parts are left out."""
    if isinstance(content, str):
        return [Text(content, at=at)] if content else []
    held = content if isinstance(content, list) else [content]
    parts: list[Part] = []
    for part in held:
        match part:
            case {"type": str(), "text": str(value)} if value:
                parts.append(Text(value, at=at))
            case {"type": "input_image" | "computer_screenshot", "image_url": str(url)}:
                parts.append(_read_part({"type": "input_image", "image_url": url}, at))
    return parts


def _flat_name_of(call: Mapping[str, Any], name: str) -> str:
    """Return the flat name of the tool that an item calls."""
    namespace = call.get("namespace")
    return flat_name(namespace, name) if isinstance(namespace, str) else name


_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_TOOL_SEARCH = frozenset({"additional_tools", "tool_search_call", "tool_search_output"})  # read as tools
_REQUESTING_ITEMS = COMPACTION_TYPES | {"compaction_trigger", "context_compaction", "mcp_approval_response"}
_READ_ITEMS = frozenset(
    {"message", "function_call", "custom_tool_call", "function_call_output", "custom_tool_call_output"}
)


def _read_reasoning(item: Mapping[str, Any], at: str) -> Reasoning:
    summary = [_part_text(part, f"{at}.summary[{i}]") for i, part in enumerate(entries(item, "summary", f"{at}."))]
    content = [_part_text(part, f"{at}.content[{i}]") for i, part in enumerate(entries(item, "content", f"{at}."))]
    id_, sealed = text(item, "id", f"{at}."), text(item, "encrypted_content", f"{at}.")
    plain: dict[str, Any] = {"text": "\n\n".join(content), "summary": summary, "at": at}
    if sealed and (proven := unseal(sealed, **plain)):
        return proven
    return Reasoning(**plain, id=id_, encrypted=sealed)


def _part_text(part: Any, at: str) -> str:
    if isinstance(part, dict) and isinstance(part.get("text"), str):
        return str(part["text"])
    raise bad_request(f"'{at}.text' must be a string.", f"{at}.text")


_PART_KINDS = frozenset(
    {"input_text", "output_text", "text", "refusal", "input_image", "input_file", "input_audio", "summary_text"}
)


def _read_part(part: Any, at: str) -> Part:
    match part:
        case {"type": "input_text" | "output_text" | "text", "text": str(value)}:
            return Text(value, at=at)
        case {"type": "refusal", "refusal": str(value)}:
            return Refusal(value, at=at)
        case {"type": "input_image" | "input_file", "file_id": str()}:
            return Raw(_FORMAT, part, "a file by its id", at=at)
        case {"type": "input_image", "image_url": str(url)}:
            detail = text(part, "detail", f"{at}.")
            media_type, data = read_data_url(url)
            return Image(None if data is not None else url, data, media_type, detail, at=at)
        case {"type": "input_file", "file_data": str(file_data)}:
            media_type, data = read_data_url(file_data)
            name = text(part, "filename", f"{at}.")
            return File(name, data if data is not None else file_data, media_type, at=at)
        case {"type": "input_file", "file_url": str(url)}:
            return File(text(part, "filename", f"{at}."), url=url, at=at)
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(kind)}}:
            return Audio(data, kind, at=at)
        case {"type": str(kind)} if kind not in _PART_KINDS:
            return Raw(_FORMAT, part, f"a part of type {kind[:50]}", at=at)
    raise bad_request(f"'{at}' is not a valid content part.", at)


# --- Writing a request ------------------------------------------------------------------------------------------------


def body(request: NeutralRequest, model: str, *, stream: bool) -> bytes:
    """Return the body for a provider's `model`. Raises ApiError (400) for a request that Responses cannot carry."""
    _reject_unsupported(request)
    request = with_short_tool_names(request)
    system, messages = _hoist_system(request)
    out: dict[str, Any] = {"model": model, "stream": stream}
    if system:
        out["instructions"] = "\n\n".join(filter(None, (_plain_text(part) for part in system)))
    out["input"] = [item for message in messages for item in _items(message)]
    out |= {name: value for name in PASSTHROUGH if (value := getattr(request, name)) is not None}
    if request.tools:
        out["tools"] = [_tool(tool) for tool in request.tools]
        if request.tool_choice is not None:
            out["tool_choice"] = _choice(request.tool_choice)
    else:
        out.pop("parallel_tool_calls", None)
    if request.max_tokens is not None:
        out["max_output_tokens"] = request.max_tokens
    if output_text := _text(request):
        out["text"] = output_text
    if reasoning := _reasoning(request, model):
        out["reasoning"] = reasoning
    out["store"] = False
    if len(out.get("user") or "") > 64:  # OpenAI's limit
        del out["user"]
    include = [_LOGPROBS] if request.logprobs else []
    if reasoning and reasoning.get("effort") != "none":
        include.append(_ENCRYPTED)
    if include:
        out["include"] = include
    return dump(out)


def _reject_unsupported(request: NeutralRequest) -> None:
    for name in request.rest:
        raise unsupported(_FORMAT, name)
    for name in ("top_k", "stop", "seed", "logit_bias", "frequency_penalty", "presence_penalty"):
        if getattr(request, name) or (name == "seed" and request.seed is not None):
            raise unsupported(_FORMAT, request.caller_name(name))
    if (request.n or 1) > 1:
        raise unsupported(_FORMAT, request.caller_name("n"), "several answers")


def _hoist_system(request: NeutralRequest) -> tuple[list[Part], Sequence[Message]]:
    """Return the leading system parts, and the other messages."""
    system, messages = list(request.system), list(request.messages)
    while messages and messages[0].role in ("system", "developer"):
        system += messages.pop(0).parts
    return system, messages


def _plain_text(part: Part) -> str:
    if isinstance(part, Text):
        return part.text
    raise unsupported(_FORMAT, getattr(part, "at", "system"), "instructions that are not text")


def _text(request: NeutralRequest) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    wanted = request.response_format
    if wanted is not None and wanted.schema is None:
        fields["format"] = {"type": "json_object"}
    elif wanted is not None:
        shape: dict[str, Any] = {"name": wanted.name or "answer", "schema": wanted.schema, "strict": wanted.strict}
        fields["format"] = without_none({"type": "json_schema", **shape, "description": wanted.description})
    if request.verbosity:
        fields["verbosity"] = request.verbosity
    return fields


def _reasoning(request: NeutralRequest, model: str) -> dict[str, Any]:
    if reasoning_effort(request) == "none":
        return without_none({"effort": lowest_effort(request.base_model or model)})
    return without_none({"effort": reasoning_effort(request), "summary": request.reasoning_summary})


def _tool(tool: Tool | Raw) -> dict[str, Any]:
    if isinstance(tool, Raw):
        raise unsupported(_FORMAT, tool.at, tool.what)
    if tool.custom:
        custom = {"type": "custom", "name": tool.name, "description": tool.description, "format": tool.grammar}
        return without_none(custom)
    written: dict[str, Any] = {"type": "function", "name": tool.name, "description": tool.description}
    # Always sent: Responses defaults to strict, unlike every other format.
    written["strict"] = bool(tool.strict)
    written["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    return without_none(written)


def _choice(choice: ToolChoice) -> object:
    match choice:
        case NamedTool(name, custom):
            return {"type": "custom" if custom else "function", "name": name}
        case AllowedTools(mode, names):
            tools = [{"type": "function", "name": name} for name in names]
            return {"type": "allowed_tools", "mode": mode, "tools": tools}
        case Raw():
            raise unsupported(_FORMAT, choice.at, choice.what)
        case keyword:
            return keyword


def _items(message: Message) -> Iterator[dict[str, Any]]:
    """Write a message as items: its text apart from its calls, reasoning and tool results."""
    role = "developer" if message.role == "system" else message.role
    content: list[Part] = []

    def flush() -> Iterator[dict[str, Any]]:
        if content:
            parts = [_part(part, output=role == "assistant") for part in content]
            yield {"type": "message", "role": role, "content": parts}
            content.clear()

    for part in message.parts:
        written = _item(part)
        if written is None:
            content.append(part)
        else:
            yield from flush()
            yield from written
    yield from flush()


def _item(part: Part) -> Sequence[dict[str, Any]] | None:
    """Return `part` as items of its own (empty if it is left out), or None if it belongs into a message."""
    match part:
        case ToolCall():
            call = {"call_id": part.id, "name": part.name}
            if part.custom:
                return [{"type": "custom_tool_call", **call, "input": part.arguments}]
            return [{"type": "function_call", **call, "arguments": part.arguments or "{}"}]
        case ToolResult():
            kind = "custom_tool_call_output" if part.custom else "function_call_output"
            single = part.parts[0] if len(part.parts) == 1 else None
            output: object = [_part(each, output=False) for each in part.parts]
            if isinstance(single, Text) or not part.parts:
                output = single.text if isinstance(single, Text) else ""
            return [{"type": kind, "call_id": part.call_id, "output": output}]
        case Reasoning():
            if not part.encrypted:
                return []
            summary = [{"type": "summary_text", "text": each} for each in part.summary]
            item = {"type": "reasoning", "id": part.id, "summary": summary, "encrypted_content": part.encrypted}
            return [without_none(item)]
    return None


def _part(part: Part, *, output: bool) -> dict[str, Any]:
    match part:
        case Text():
            kind = "output_text" if output else "input_text"
            return {"type": kind, "text": part.text}
        case Refusal():
            return {"type": "refusal", "refusal": part.text}
        case Image():
            if part.url is None and part.data is None:
                raise unsupported(_FORMAT, part.at, "an image without data")
            url = part.url or data_url(part.media_type or "image/png", part.data or "")
            return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}
        case File(text=str(plain)):
            return {"type": "input_text", "text": plain}
        case File():
            file_data = data_url(part.media_type, part.data) if part.data and part.media_type else part.data
            fields = {"filename": part.filename, "file_data": file_data, "file_url": part.url}
            if file_data and not part.filename:
                fields["filename"] = "document"  # OpenAI requires a name
            return {"type": "input_file", **without_none(fields)}
        case Audio():
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
        case Raw():
            raise unsupported(_FORMAT, part.at, part.what)
        case _:
            raise unsupported(_FORMAT, part.at, "a part of this type here")

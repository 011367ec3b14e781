"""Translate a request between Anthropic's Messages and the neutral form.

Left out on the way into Messages, without changing the request: an image's level of detail, `store` (the router stores
answers itself), cache keys, tags, the style of a summary, verbosity, service tiers that Anthropic does not have, names
of authors, and reasoning without a signature of a Messages provider. Converted:

- a conversation that begins with the assistant gets a user message before it, which says so
- a system or developer message after the start of the conversation becomes a user message in its place
- a free-text tool becomes a function of one string, `input`; of allowed tools only these are sent
- a refusal becomes text; turns are ordered as Anthropic requires (`turns`); characters that are not allowed in the id
  of a call become underscores
- the media type of an image is that of its bytes
- a request without a bound gets `max_tokens` 32,000, since Messages requires one
- an effort becomes a thinking budget or, for newer models, adaptive thinking. It is omitted where Messages does not
  think: with a forced tool, a temperature, a turn of tool calls whose thinking came from elsewhere, and on old models
- arguments of a call that are not a JSON object are wrapped in one, under `INVALID_JSON`

Chat and Responses callers get cache breakpoints (`caching`). On the way out of Messages, Claude Code's billing header,
how a tool is loaded, which other tools may call it, and examples of its input are left out.
"""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vibe_router.core.errors import bad_request
from vibe_router.formats.common.fields import Shape, entries, integer, mapping, number, text, truth
from vibe_router.formats.common.image_type import image_type
from vibe_router.formats.common.json_body import dump, without_none
from vibe_router.formats.messages.assembly import read_input
from vibe_router.formats.messages.caching import set_cache_breakpoints
from vibe_router.formats.messages.thinking import calls_tools_without_thinking
from vibe_router.formats.messages.turns import alternate_turns
from vibe_router.formats.neutral.model import (
    AllowedTools,
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
    custom_tool_as_function,
    reasoning_effort,
    thinking_budget,
    unseal,
    unsupported,
)
from vibe_router.formats.neutral.reading import contents, sorted_fields

__all__ = ["NO_THINKING", "body", "fields", "read"]

_FORMAT = "messages"

PASSTHROUGH: Mapping[str, Shape] = {"max_tokens": integer, "temperature": number, "top_p": number, "top_k": integer}
READ_APART = frozenset(
    {"model", "stream", "messages", "system", "tools", "tool_choice", "stop_sequences", "thinking", "output_config",
     "metadata", "service_tier"}
)  # fmt: skip
# Fields that can be left out for a provider of another format: cache breakpoints, edits that only shorten the context,
# and options that do not change the answer.
HARMLESS = frozenset({"cache_control", "context_management", "diagnostics", "speed"})
_NAMES = {
    "stop": "stop_sequences",
    "effort": "output_config.effort",
    "budget": "thinking.budget_tokens",
    "response_format": "output_config.format",
    "user": "metadata.user_id",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
}
_TIERS = {"auto": "auto", "standard_only": "default"}

# The bound that Claude Code sends to every model: Anthropic's since Claude 4 and other vendors' models support it.
_DEFAULT_MAX_TOKENS = 32_000
_MIN_BUDGET = 1024  # tokens of thinking
_MIN_TOP_P = 0.95  # while thinking
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium"}  # all above become high, which every such model has
# Claude models that take a thinking budget, as other vendors' models do; newer ones take only adaptive thinking.
_TAKES_BUDGET = re.compile(r"(3[-.]7|(opus|sonnet|haiku)-4(?![-.][6-9])|4[-.][0-5]-(opus|sonnet|haiku))")
NO_THINKING = re.compile(r"claude-(instant|v?[12](?!\d)|3(?![-.]7))")  # Claude's models before 3.7
_ALWAYS_THINKS = re.compile(r"claude-mythos")  # rejects `disabled`
_MAX_DEPTH = 3  # a tool result may contain a document, and that its own blocks
_BILLING_HEADER = "x-anthropic-billing-header:"
_NOT_IN_AN_ID = re.compile(r"[^a-zA-Z0-9_-]")


# --- Reading a request ------------------------------------------------------------------------------------------------


def read(body: Mapping[str, Any]) -> NeutralRequest:
    """Read a Messages request that `request.parse` has checked. Raises ApiError (400)."""
    plain, more, rest = sorted_fields(
        body, PASSTHROUGH, READ_APART, lambda name, value: name in HARMLESS or value in ([], {})
    )
    choice, parallel = _read_choice(body.get("tool_choice") or {})
    config = without_none(body.get("output_config") or {})
    thinking = body.get("thinking")
    if thinking is not None:
        more["thinking"] = thinking
    metadata = without_none(body.get("metadata") or {})
    tier = text(body, "service_tier")
    effort, budget = text(config, "effort", "output_config."), _read_budget(thinking)
    # Models that do not reason reject both, so a summary is asked for only along with an effort or a budget.
    shows_thinking = (
        thinking and thinking.get("type") not in (None, "disabled") and thinking.get("display") != "omitted"
    )
    request = NeutralRequest(
        _FORMAT,
        [_read_message(message, f"messages[{i}]") for i, message in enumerate(body["messages"])],
        system=_read_system(body.get("system")),
        tools=[_read_tool(tool, f"tools[{i}]") for i, tool in enumerate(entries(body, "tools"))],
        tool_choice=choice,
        parallel_tool_calls=parallel,
        stop=_read_stops(body.get("stop_sequences")),
        response_format=_read_format(config.pop("format", None)),
        effort=effort,
        budget=budget,
        reasoning_summary="auto" if shows_thinking and (effort or budget) else None,
        user=text(metadata, "user_id", "metadata."),
        service_tier=_TIERS.get(tier) if tier else None,
        rest=rest,
        more=more,
        names=_NAMES,
        **plain,
    )
    config.pop("effort", None)
    metadata.pop("user_id", None)
    rest |= {f"output_config.{name}": value for name, value in config.items()}
    rest |= {f"metadata.{name}": value for name, value in metadata.items()}
    if tier and tier not in _TIERS:
        rest["service_tier"] = tier
    return request


def _read_system(content: object) -> list[Part]:
    """Read the system prompt without Claude Code's billing header, which differs in every request.

    Anthropic removes it before it caches the prompt; for other providers it would end every cached prefix.
    """
    parts = []
    for part in _read_content(content, "system"):
        if isinstance(part, Text) and part.text.lstrip().lower().startswith(_BILLING_HEADER):
            rest = part.text.lstrip().partition("\n")[2]
            if not rest.strip():
                continue
            part.text = rest
        parts.append(part)
    return parts


def _read_stops(value: object) -> Sequence[str]:
    if isinstance(value, list) and not all(isinstance(each, str) for each in value):
        raise bad_request("'stop_sequences' must be an array of strings.", "stop_sequences")
    return value if isinstance(value, list) else []


def _read_format(value: Any) -> JsonFormat | None:
    match value:
        case None:
            return None
        case {"type": "json_schema", "schema": dict(schema)}:
            return JsonFormat(schema=schema)
    raise bad_request("'output_config.format' must be of type json_schema and hold a schema.", "output_config.format")


def _read_budget(thinking: Mapping[str, Any] | None) -> int | None:
    match (thinking or {}).get("type"):
        case "enabled":
            return integer(thinking or {}, "budget_tokens", "thinking.")
        case "disabled":
            return 0
    return None


def _read_choice(value: Mapping[str, Any]) -> tuple[ToolChoice | None, bool | None]:
    parallel = False if truth(value, "disable_parallel_tool_use", "tool_choice.") else None
    match value:
        case {"type": "auto"}:
            return "auto", parallel
        case {"type": "any"}:
            return "required", parallel
        case {"type": "none"}:
            return "none", parallel
        case {"type": "tool", "name": str(name)}:
            return NamedTool(name), parallel
        case {}:
            if not value:
                return None, None
    raise bad_request("'tool_choice' must be of type auto, any, none, or tool with a name.", "tool_choice")


def _read_tool(value: Any, at: str) -> Tool | Raw:
    match value:
        case {"name": str(name)} if value.get("type") in (None, "custom"):
            return Tool(
                name,
                text(value, "description", f"{at}."),
                mapping(value, "input_schema", f"{at}."),
                truth(value, "strict", f"{at}."),
                cache=mapping(value, "cache_control", f"{at}."),
                at=at,
            )
        case {"type": str(kind)} if kind != "custom":
            return Raw(_FORMAT, value, f"a tool of type {kind[:50]}", at=at)
    raise bad_request(f"'{at}' must be a tool with a name.", at)


def _read_message(message: Mapping[str, Any], at: str) -> Message:
    return Message(message["role"], _read_content(message.get("content"), f"{at}.content"), at=at)


def _read_content(content: object, at: str, depth: int = 0) -> list[Part]:
    if depth > _MAX_DEPTH:
        raise bad_request(f"'{at}' is nested too deeply.", at)
    return contents(content, at, lambda block, place: _read_block(block, place, depth))


def _read_block(block: Any, at: str, depth: int) -> Part:
    if not isinstance(block, dict) or not isinstance(block.get("type"), str):
        raise bad_request(f"'{at}' must be a block with a type.", at)
    cache = mapping(block, "cache_control", f"{at}.")
    if block["type"] in ("document", "search_result") and truth(
        mapping(block, "citations", f"{at}.") or {}, "enabled", f"{at}.citations."
    ):
        return Raw(_FORMAT, block, "citations", at=f"{at}.citations")
    match block:
        case {"type": "text", "text": str(words)}:
            return Text(words, cache, at=at)
        case {"type": "image", "transformations": {"oversized_image": "error"}}:
            return Raw(_FORMAT, block, "an image that must not be scaled", at=f"{at}.transformations")
        case {"type": "image", "source": {"type": "base64", "data": str(data), **rest}}:
            kind = text(rest, "media_type", f"{at}.source.")
            return Image(data=data, media_type=kind, cache=cache, at=at)
        case {"type": "image", "source": {"type": "url", "url": str(url)}}:
            return Image(url, cache=cache, at=at)
        case {"type": "document", "source": dict(source)}:
            return _read_document(block, source, cache, at, depth)
        case {"type": "search_result", "content": list(content)}:
            words = "\n".join(
                each.text for each in _read_content(content, f"{at}.content", depth + 1) if isinstance(each, Text)
            )
            lines = filter(None, (text(block, "source", f"{at}."), words))
            return File(text(block, "title", f"{at}."), text="\n\n".join(lines), cache=cache, at=at)
        case {"type": "tool_reference", "tool_name": str(name)}:  # the tool itself is declared in `tools`
            return Text(f"Tool loaded: {name}", cache, at=at)
        case {"type": "tool_use", "id": str(id_), "name": str(name), "input": dict(arguments)}:
            if _is_plain_call(block):
                return ToolCall(id_, name, dump(arguments).decode(), cache=cache, at=at)
        case {"type": "tool_result", "tool_use_id": str(id_)}:
            parts = _read_content(block.get("content"), f"{at}.content", depth + 1)
            return ToolResult(id_, parts, truth(block, "is_error", f"{at}.") or False, cache=cache, at=at)
        case {"type": "thinking", "thinking": str(words)}:
            signature = text(block, "signature", f"{at}.")
            reasoning = unseal(signature, text=words, at=at) if signature else None
            return reasoning or Reasoning(words, signature=signature, at=at)
        case {"type": "redacted_thinking", "data": str(data)}:
            return unseal(data, at=at) or Reasoning(redacted=data, at=at)
    kind = block["type"]
    if kind in ("text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking"):
        origin = block.get("source")
        if kind == "image" and isinstance(origin, dict) and "file_id" in origin:
            return Raw(_FORMAT, block, "an image by its file id", at=at)
        if kind == "tool_use" and isinstance(block.get("id"), str) and isinstance(block.get("input"), dict):
            return Raw(_FORMAT, block, "a tool called by another tool", at=at)
        raise bad_request(f"'{at}' is not a valid block of type {kind}.", at)
    return Raw(_FORMAT, block, f"a block of type {kind[:50]}", at=at)


def _is_plain_call(block: Mapping[str, Any]) -> bool:
    """Return whether the model itself called a tool with a schema, which every format can express."""
    caller = block.get("caller") or {"type": "direct"}
    return isinstance(caller, dict) and caller.get("type") == "direct" and not block.get("toolset_name")


def _read_document(block: Mapping[str, Any], source: Mapping[str, Any], cache: Any, at: str, depth: int) -> Part:
    title = text(block, "title", f"{at}.")
    if block.get("context"):
        return Raw(_FORMAT, block, "a document's context", at=at)
    match source:
        case {"type": "base64", "data": str(data), **rest}:
            kind = text(rest, "media_type", f"{at}.source.")
            return File(title, data, kind, cache=cache, at=at)
        case {"type": "text", "data": str(words)}:
            return File(title, text=words, media_type="text/plain", cache=cache, at=at)
        case {"type": "url", "url": str(url)}:
            return File(title, url=url, cache=cache, at=at)
        case {"type": "content", "content": content}:
            parts = _read_content(content, f"{at}.source.content", depth + 1)
            words = "\n".join(part.text for part in parts if isinstance(part, Text))
            if all(isinstance(part, Text) for part in parts):
                return File(title, text=words, cache=cache, at=at)
            return Raw(_FORMAT, block, "a document with images", at=at)
        case {"type": str(kind)}:
            return Raw(_FORMAT, block, f"a document from a source of type {kind[:50]}", at=at)
    raise bad_request(f"'{at}.source' is not a valid source of a document.", f"{at}.source")


# --- Writing a request ------------------------------------------------------------------------------------------------

# Fields that Messages does not have, and the values that need no field.
_UNSUPPORTED: Mapping[str, object] = {
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "n": 1,
    "seed": None,
    "logit_bias": {},
    "logprobs": False,
    "top_logprobs": 0,
}


def body(request: NeutralRequest, model: str, *, stream: bool) -> bytes:
    """Write a request for a provider's `model`. Raises ApiError (400) for what Messages cannot express."""
    return dump(fields(request, model, stream=stream))


def fields(request: NeutralRequest, model: str, *, stream: bool) -> dict[str, Any]:
    """Return the fields of that body. Raises ApiError (400)."""
    _reject_unsupported(request)
    system, messages = _conversation(request)
    if not messages:
        raise unsupported(_FORMAT, request.caller_name("messages"), "a conversation without messages")
    tools = _tools(request, messages)
    choice = _tool_choice(request, tools)
    out: dict[str, Any] = {"model": model, "messages": messages, "stream": stream, "max_tokens": request.max_tokens}
    if request.max_tokens is None:
        out["max_tokens"] = _DEFAULT_MAX_TOKENS
    if system:
        out["system"] = system
    if tools:
        out["tools"] = tools
    if choice:
        out["tool_choice"] = choice
    if request.stop:
        out["stop_sequences"] = _stops(request)
    for name in ("temperature", "top_p", "top_k"):
        if (value := getattr(request, name)) is not None:
            out[name] = value
    if (user := request.user or request.safety_identifier) is not None:
        out["metadata"] = {"user_id": user}
    if tier := next((ours for ours, theirs in _TIERS.items() if theirs == request.service_tier), None):
        out["service_tier"] = tier
    config: dict[str, Any] = {}
    thinking, effort = _thinking(request, request.base_model or model, out)
    if thinking:
        out["thinking"] = thinking
    if effort:
        config["effort"] = effort
    if request.response_format:
        config["format"] = _output_format(request)
    if config:
        out["output_config"] = config
    if request.format:
        set_cache_breakpoints(out)
    return out


def _reject_unsupported(request: NeutralRequest) -> None:
    for name in request.rest:
        raise unsupported(_FORMAT, name)
    for name, default in _UNSUPPORTED.items():
        if getattr(request, name) not in (None, default):
            raise unsupported(_FORMAT, request.caller_name(name))
    if request.temperature is not None and request.temperature > 1:
        raise unsupported(_FORMAT, request.caller_name("temperature"), "a temperature above 1")


def _stops(request: NeutralRequest) -> list[str]:
    if not all(stop.strip() for stop in request.stop):
        raise unsupported(_FORMAT, request.caller_name("stop"), "a stop sequence of only whitespace")
    return list(request.stop)


def _output_format(request: NeutralRequest) -> dict[str, Any]:
    schema = request.response_format.schema if request.response_format else None
    if schema is None:
        raise unsupported(_FORMAT, request.caller_name("response_format"), "JSON without a schema")
    return {"type": "json_schema", "schema": schema}


def _thinking(request: NeutralRequest, model: str, out: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str | None]:
    """Return `thinking` and the effort for a request of another format."""
    budget = thinking_budget(request)
    if budget is None or NO_THINKING.search(model):
        return None, None
    takes_budget = "claude" not in model or _TAKES_BUDGET.search(model.partition("claude")[2])
    if not budget:
        return (None if _ALWAYS_THINKS.search(model) else {"type": "disabled"}), None
    forbidden = (
        out.get("tool_choice", {}).get("type") in ("any", "tool")
        or out.get("temperature") not in (None, 1)
        or out.get("top_p", 1) < _MIN_TOP_P
        or "top_k" in out
    )
    if not takes_budget:
        effort = reasoning_effort(request)
        return (None if forbidden else {"type": "adaptive"}), _EFFORTS.get(effort or "", "high")
    budget = min(budget, out["max_tokens"] - 1)
    if forbidden or budget < _MIN_BUDGET or calls_tools_without_thinking(out["messages"]):
        return None, None
    return {"type": "enabled", "budget_tokens": budget}, None


def _tools(request: NeutralRequest, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    tools: Sequence[Tool | Raw] = request.tools
    if isinstance(request.tool_choice, AllowedTools):
        tools = [each for each in tools if isinstance(each, Tool) and each.name in request.tool_choice.names]
    if not tools:  # Anthropic rejects a history of calls without their tools
        called = {block["name"]: None for each in messages for block in each["content"] if block["type"] == "tool_use"}
        return [{"name": name, "input_schema": {"type": "object"}} for name in called]
    return [_tool(each) for each in tools]


def _tool(tool: Tool | Raw) -> dict[str, Any]:
    if isinstance(tool, Raw):
        raise unsupported(_FORMAT, tool.at, tool.what)
    if tool.custom:
        tool = custom_tool_as_function(tool)
    out: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        out["description"] = tool.description
    schema = dict(tool.parameters or {})
    out["input_schema"] = {"type": "object", **schema} if schema.get("type") is None else schema
    if tool.strict:
        out["strict"] = True
    if tool.cache:
        out["cache_control"] = tool.cache
    return out


def _tool_choice(request: NeutralRequest, tools: Sequence[object]) -> dict[str, Any]:
    choice = request.tool_choice
    if tools and not request.tools:
        return {"type": "none"}
    if not tools:
        return {}
    match choice:
        case None if request.parallel_tool_calls is False:
            written = {"type": "auto"}
        case None:
            return {}
        case "auto" | "none":
            written = {"type": choice}
        case "required":
            written = {"type": "any"}
        case NamedTool(name):
            written = {"type": "tool", "name": name}
        case AllowedTools(mode):
            written = {"type": "any" if mode == "required" else "auto"}
        case Raw(what=what, at=at):
            raise unsupported(_FORMAT, at, what)
    if request.parallel_tool_calls is False and choice != "none":
        return {**written, "disable_parallel_tool_use": True}
    return written


# --- Messages ---------------------------------------------------------------------------------------------------------


def _conversation(request: NeutralRequest) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return `system` and `messages`."""
    system = _system(request.system)
    conversation: list[tuple[str, list[dict[str, Any]]]] = []
    for message in request.messages:
        if message.role in ("system", "developer") and not conversation:
            system += _system(message.parts)
        elif blocks := list(_blocks(message.parts)):
            conversation.append(("assistant" if message.role == "assistant" else "user", blocks))
    turns = alternate_turns(conversation)
    if not turns and system:  # Messages requires a message
        system, turns = [], [{"role": "user", "content": system}]
    return system, turns


def _system(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Return the blocks of `system`, where Anthropic accepts only text."""
    for part in parts:
        if not isinstance(part, Text):
            raise unsupported(_FORMAT, part.at, "a system message that is not text")
    return list(_blocks(parts))


def _blocks(parts: Sequence[Part]) -> Iterator[dict[str, Any]]:
    for part in parts:
        block = _block(part)
        if block is None:
            continue
        if block["type"] == "text" and not block["text"].strip():
            continue  # Anthropic rejects text of only whitespace
        if cache := getattr(part, "cache", None):
            block["cache_control"] = cache
        yield block


def _block(part: Part) -> dict[str, Any] | None:
    match part:
        case Text(words) | Refusal(words):
            return {"type": "text", "text": words}
        case ToolCall():
            return _tool_use(part)
        case ToolResult():
            return _tool_result(part)
        case Reasoning():
            return _thinking_block(part)
        case Image(url=str(url)):
            return {"type": "image", "source": {"type": "url", "url": url}}
        case Image(data=str(data)):
            media_type = image_type(data, part.media_type) or "image/png"
            return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}
        case File():
            return _document(part)
        case Raw(format="messages", value=value):
            return dict(value)
        case Raw(what=what):
            raise unsupported(_FORMAT, part.at, what)
    raise unsupported(_FORMAT, part.at, "audio" if type(part).__name__ == "Audio" else "this part")


def _tool_use(call: ToolCall) -> dict[str, Any]:
    arguments = {"input": call.arguments} if call.custom else read_input(call.arguments)
    return {"type": "tool_use", "id": _call_id(call.id), "name": call.name, "input": arguments}


def _call_id(id_: str) -> str:
    return _NOT_IN_AN_ID.sub("_", id_)


def _tool_result(result: ToolResult) -> dict[str, Any]:
    out: dict[str, Any] = {"type": "tool_result", "tool_use_id": _call_id(result.call_id)}
    if content := list(_blocks(result.parts)):
        out["content"] = content
    if result.error:
        out["is_error"] = True
    return out


def _thinking_block(reasoning: Reasoning) -> dict[str, Any] | None:
    if reasoning.redacted is not None:
        return {"type": "redacted_thinking", "data": reasoning.redacted}
    if reasoning.signature:
        return {"type": "thinking", "thinking": reasoning.text, "signature": reasoning.signature}
    return None


def _document(file: File) -> dict[str, Any]:
    title = {"title": file.filename} if file.filename is not None else {}
    if file.text is not None:
        source = {"type": "text", "media_type": "text/plain", "data": file.text}
    elif file.url is not None:
        source = {"type": "url", "url": file.url}
    elif file.data is not None and file.media_type in (None, "application/pdf"):
        source = {"type": "base64", "media_type": file.media_type or "application/pdf", "data": file.data}
    elif file.data is not None and (decoded := _decoded_text(file)) is not None:
        source = {"type": "text", "media_type": "text/plain", "data": decoded}
    else:
        raise unsupported(
            _FORMAT, file.at, f"a file of type {file.media_type}" if file.media_type else "a file by its id"
        )
    return {"type": "document", "source": source, **title}


def _decoded_text(file: File) -> str | None:
    """Return the content of a text file; None for other files."""
    if not (file.media_type or "").startswith("text/"):
        return None
    try:
        return base64.b64decode(file.data or "").decode()
    except ValueError:
        return None

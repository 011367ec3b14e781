"""Translate between Converse and the neutral form, by way of Anthropic's Messages, which has the same blocks and turns.

Whatever `messages.neutral_request` omits or converts is omitted or converted here too. In addition:

- only Claude models get thinking, cache points, `top_k`, and the tool choices that Converse lacks (no parallel calls,
  none). For other models thinking and cache points are left out, and the rest is rejected
- no `maxTokens` is sent unless the caller sets a bound or the model is asked to think
- rejected: images and documents by URL
- a document gets a unique name made from its title; a turn that has only documents gets that name as text, since
  Converse requires text beside documents
- images and documents in tool results follow the results, for models other than Claude and Nova
- ids of calls that are longer than Converse allows are replaced by their digest, names of tools shortened
- where the history has calls and the request no tools, the called tools are declared; the model may call them again
- user names and service tiers are left out
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vibe_router.core.errors import ApiError
from vibe_router.formats.common.finish_reasons import finish_reason
from vibe_router.formats.common.json_body import dump, without_none
from vibe_router.formats.converse.stream import read_usage
from vibe_router.formats.messages import neutral_answer, neutral_request
from vibe_router.formats.messages.caching import set_cache_breakpoints
from vibe_router.formats.neutral.model import (
    Event,
    File,
    Finish,
    Image,
    Message,
    NeutralRequest,
    Part,
    Raw,
    ReasoningDelta,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolResult,
    UsageReport,
    unsupported,
)
from vibe_router.formats.neutral.tool_names import with_short_tool_names

__all__ = ["ConverseDecoder", "body"]

_FORMAT = "converse"
_IMAGES = frozenset({"png", "jpeg", "gif", "webp"})
_OFFICE = "application/vnd.openxmlformats-officedocument."
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "application/msword": "doc",
    "application/vnd.ms-excel": "xls",
    f"{_OFFICE}wordprocessingml.document": "docx",
    f"{_OFFICE}spreadsheetml.sheet": "xlsx",
}
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9\-()\[\]]+")
_MAX_NAME = 64  # characters of a call's id
_STOP_SEQUENCE_PATH = "/stop_sequence"  # in Claude's native answer: the sequence that was met


def body(request: NeutralRequest, model: str) -> bytes:
    """Write a request for a provider's `model`. Raises ApiError (400) for what Converse cannot express."""
    model = request.base_model or model  # the path names the deployment's own
    if request.top_k is not None and not _is_claude(model):
        raise unsupported(_FORMAT, request.caller_name("top_k"))
    for tool in request.tools:
        if isinstance(tool, Raw):
            raise unsupported(_FORMAT, tool.at, tool.what)
    request = with_short_tool_names(request)
    plain = replace(
        request,
        format="",  # so that no block is restored as sent
        messages=[_prepare(message) for message in request.messages],
        effort=_effort(request),
    )
    try:
        messages_body = neutral_request.fields(plain, model, stream=False)
    except ApiError as error:
        error.message = error.message.replace("speaks messages", f"speaks {_FORMAT}")
        raise
    if request.format != "messages" and _is_claude(model) and not neutral_request.NO_THINKING.search(model):
        set_cache_breakpoints(messages_body)
    return dump(_converse(messages_body, request, model))


def _is_claude(model: str) -> bool:
    return "claude" in model


def _effort(request: NeutralRequest) -> str | None:
    """Return the effort; adaptive thinking without one means Anthropic's default, high."""
    thinking = request.more.get("thinking")
    adaptive = isinstance(thinking, dict) and thinking.get("type") == "adaptive"
    return "high" if adaptive and request.effort is None else request.effort


def _prepare(message: Message) -> Message:
    """Return `message` with the documents that only Converse supports as raw blocks. Raises ApiError (400)."""
    if all(isinstance(part, Text) for part in message.parts):
        return message
    return replace(message, parts=[_prepare_part(part) for part in message.parts])


def _prepare_part(part: Part) -> Part:
    match part:
        case Image(data=None):
            raise unsupported(_FORMAT, part.at, "an image by its URL")
        case Image(media_type=str(kind)) if _image_format(kind) not in _IMAGES:
            raise unsupported(_FORMAT, part.at, f"an image of type {kind[:50]}")
        case File(data=None, text=None):
            raise unsupported(_FORMAT, part.at, "a file by its URL or id")
        case File(data=str(data), media_type=str(kind)) if kind in _DOCUMENTS:
            block = {"type": "document", "source": {"type": "base64", "media_type": kind, "data": data}}
            cache = {"cache_control": part.cache} if part.cache else {}
            return Raw("messages", {**block, "title": part.filename, **cache}, "a document", at=part.at)
        case ToolResult():
            return replace(part, parts=[_prepare_part(each) for each in part.parts])
        case Raw(value={"citations": {"enabled": True}}):
            raise unsupported(_FORMAT, part.at, part.what)
        case Raw(value={"type": "document", "context": str(), "source": {"type": "base64" | "text", "data": str()}}):
            return part
        case Raw():
            raise unsupported(_FORMAT, part.at, part.what)
    return part


def _image_format(media_type: str) -> str:
    return media_type.removeprefix("image/").replace("jpg", "jpeg")


def _converse(body: Mapping[str, Any], request: NeutralRequest, model: str) -> dict[str, Any]:
    """Convert a Messages body to Converse."""
    claude = _is_claude(model)
    write = _Blocks(caches=claude, images_in_results=claude or "nova" in model)
    messages = [{"role": turn["role"], "content": _turn(turn["content"], write)} for turn in body["messages"]]
    out: dict[str, Any] = {"messages": messages}
    if system := body.get("system"):
        out["system"] = list(write.all(system))
    thinking = body.get("thinking") if claude else None
    thinks = thinking is not None and thinking["type"] != "disabled"
    inference = {
        "maxTokens": body["max_tokens"] if request.max_tokens is not None or thinks else None,
        "temperature": body.get("temperature"),
        "topP": body.get("top_p"),
        "stopSequences": body.get("stop_sequences"),
    }
    if inference := without_none(inference):
        out["inferenceConfig"] = inference
    choice, tools = body.get("tool_choice", {}), body.get("tools")
    native_choice = choice if choice.get("type") == "none" or choice.get("disable_parallel_tool_use") else None
    if native_choice and not claude:
        tools = _without_choice(tools, choice, request)
    if tools:
        out["toolConfig"] = {"tools": _tools(tools, caches=claude)}
        if not native_choice and (chosen := _choice(choice)):
            out["toolConfig"]["toolChoice"] = chosen
    config = body.get("output_config", {})
    effort = config.get("effort") if claude else None
    if output := without_none({"textFormat": _text_format(config, request), "effort": effort}):
        out["outputConfig"] = output
    native = {"thinking": thinking, "top_k": body.get("top_k"), "tool_choice": native_choice if claude else None}
    if native := without_none(native):
        out["additionalModelRequestFields"] = native
    if claude and "stopSequences" in inference:
        out["additionalModelResponseFieldPaths"] = [_STOP_SEQUENCE_PATH]
    return out


def _text_format(config: Mapping[str, Any], request: NeutralRequest) -> dict[str, Any] | None:
    if "format" not in config:
        return None
    wanted = request.response_format
    schema = {
        "schema": dump(config["format"]["schema"]).decode(),
        "name": (wanted.name if wanted else None) or None,
        "description": (wanted.description if wanted else None) or None,
    }
    return {"type": "json_schema", "structure": {"jsonSchema": without_none(schema)}}


def _without_choice(tools: Any, choice: Mapping[str, Any], request: NeutralRequest) -> Any:
    """Return `tools` for a model without this tool choice. Raises ApiError (400) where that changes the request."""
    if choice.get("disable_parallel_tool_use"):
        raise unsupported(_FORMAT, request.caller_name("parallel_tool_calls"))
    if not request.tools:  # the called tools, declared for the history
        return tools
    if any(isinstance(part, ToolCall | ToolResult) for message in request.messages for part in message.parts):
        raise unsupported(_FORMAT, request.caller_name("tool_choice"), "calling no tool after calls of tools")
    return None


def _tools(tools: Iterable[Mapping[str, Any]], *, caches: bool) -> list[dict[str, Any]]:
    specs: list[dict[str, Any]] = []
    for tool in tools:
        spec = {
            "name": tool["name"],
            "description": tool.get("description") or None,
            "inputSchema": {"json": tool["input_schema"]},
            "strict": tool.get("strict") or None,
        }
        specs.append({"toolSpec": without_none(spec)})
        if caches and tool.get("cache_control"):
            specs.append(_cache_point(tool["cache_control"]))
    return specs


def _choice(choice: Mapping[str, Any]) -> dict[str, Any] | None:
    match choice:
        case {"type": "any"}:
            return {"any": {}}
        case {"type": "tool", "name": name}:
            return {"tool": {"name": name}}
    return None


def _turn(blocks: Sequence[Mapping[str, Any]], write: "_Blocks") -> list[dict[str, Any]]:
    results = sum(block["type"] == "tool_result" for block in blocks)  # first in the turn
    content = [*write.all(blocks[:results]), *write.deferred(), *write.all(blocks[results:])]
    titles = [block["document"]["name"] for block in content if "document" in block]
    if titles and not any("text" in block for block in content):
        content.append({"text": titles[0]})
    return content


def _cache_point(cache_control: Mapping[str, Any]) -> dict[str, Any]:
    ttl = {"ttl": cache_control["ttl"]} if cache_control.get("ttl") in ("5m", "1h") else {}
    return {"cachePoint": {"type": "default", **ttl}}


def _call_id(id_: str) -> str:
    return id_ if len(id_) <= _MAX_NAME else hashlib.sha256(id_.encode(errors="surrogatepass")).hexdigest()


class _Blocks:
    """Writes the blocks of one request.

    If the model `caches`, a cache point follows each block with a breakpoint. Without `images_in_results`, images and
    documents of tool results are left for `deferred`.
    """

    def __init__(self, *, caches: bool, images_in_results: bool) -> None:
        self._caches = caches
        self._images_in_results = images_in_results
        self._deferred: list[dict[str, Any]] = []
        self._documents = 0

    def all(self, blocks: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield `blocks`. Raises ApiError (400)."""
        for block in blocks:
            yield self._one(block)
            if self._caches and block.get("cache_control"):
                yield _cache_point(block["cache_control"])

    def deferred(self) -> list[dict[str, Any]]:
        """Return the images and documents of the results written since the last call."""
        deferred, self._deferred = self._deferred, []
        return deferred

    def _result(self, id_: str, block: Mapping[str, Any]) -> dict[str, Any]:
        content = [self._one(each) for each in block.get("content", ())]
        inline = [each for each in content if self._images_in_results or "text" in each]
        if len(inline) < len(content):
            self._deferred.append({"text": f"Output of tool call {id_}:"})
            self._deferred += (each for each in content if each not in inline)
            inline = inline or [{"text": "The result is shown below."}]
        status = {"status": "error"} if block.get("is_error") else {}
        return {"toolResult": {"toolUseId": id_, "content": inline or [{"text": "(nothing)"}], **status}}

    def _one(self, block: Mapping[str, Any]) -> dict[str, Any]:
        match block:
            case {"type": "text", "text": text}:
                return {"text": text}
            case {"type": "image", "source": {"type": "base64", "media_type": str(kind), "data": data}}:
                return {"image": {"format": _image_format(kind), "source": {"bytes": data}}}
            case {"type": "document", "source": {"type": "base64", "media_type": kind, "data": data}} if (
                kind in _DOCUMENTS
            ):
                return self._document(_DOCUMENTS[kind], data, block)
            case {"type": "document", "source": {"type": "text", "data": str(text)}}:
                return self._document("txt", base64.b64encode(text.encode(errors="replace")).decode(), block)
            case {"type": "tool_use", "id": id_, "name": name, "input": arguments}:
                return {"toolUse": {"toolUseId": _call_id(id_), "name": name, "input": arguments}}
            case {"type": "tool_result", "tool_use_id": id_}:
                return self._result(_call_id(id_), block)
            case {"type": "thinking", "thinking": text, "signature": signature}:
                return {"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}
            case {"type": "redacted_thinking", "data": data}:
                return {"reasoningContent": {"redactedContent": data}}
        raise unsupported(_FORMAT, "messages", f"a block of type {str(block.get('type'))[:50]}")

    def _document(self, format_: str, data: str, block: Mapping[str, Any]) -> dict[str, Any]:
        self._documents += 1
        title = _NOT_IN_A_NAME.sub("-", str(block.get("title") or "")).strip("-")[:150] or "document"
        name = f"{title}-{self._documents}"  # Converse rejects two of the same name
        context = {"context": block["context"]} if block.get("context") else {}
        return {"document": {"format": format_, "name": name, "source": {"bytes": data}, **context}}


# --- Reading an answer ------------------------------------------------------------------------------------------------


def _stop_sequence(ending: Mapping[str, Any]) -> str | None:
    match ending:
        case {"stopReason": "stop_sequence", "additionalModelResponseFields": {"stop_sequence": str(sequence)}}:
            return sequence
    return None


class ConverseDecoder:
    """Decodes events of ConverseStream into neutral events."""

    def __init__(self, request: NeutralRequest) -> None:
        self._inner = neutral_answer.MessagesDecoder(request)
        self._block = ""  # the type of the open block: only tool calls have a start event

    def decode(self, chunk: Mapping[str, Any]) -> Iterable[Event]:
        """Return the events in `chunk`."""
        if block := chunk.get("contentBlockDelta"):  # as in `ConverseStreamReader`
            delta = block.get("delta") if isinstance(block, dict) else None
            return self._delta(delta) if isinstance(delta, dict) else ()
        match chunk:
            case {"messageStart": _}:
                return (Started(None, None),)
            case {"contentBlockStart": {"start": {"toolUse": dict(call)}}}:
                self._block = "tool_use"
                block = {"type": "tool_use", "id": call.get("toolUseId"), "name": call.get("name")}
                return self._inner.decode({"type": "content_block_start", "content_block": block})
            case {"contentBlockStop": _}:
                self._block = ""
                return self._inner.decode({"type": "content_block_stop"})
            case {"messageStop": dict(ending)}:
                reason = finish_reason(ending.get("stopReason"))
                return (*self._inner.end(), Finish(reason, stop_sequence=_stop_sequence(ending)))
            case {"metadata": {"usage": dict(counts)}}:
                return (UsageReport(read_usage(counts)),)
        return ()

    def end(self) -> Iterable[Event]:
        """Return the end of a block that is still open."""
        return self._inner.end()

    def _delta(self, delta: Mapping[str, Any]) -> Iterable[Event]:
        text = delta.get("text")
        if isinstance(text, str):
            start = self._start("text")
            return (*start, TextDelta(text)) if text else start
        match delta:
            case {"toolUse": {"input": str(more)}}:
                inner = {"type": "input_json_delta", "partial_json": more}
                return self._inner.decode({"type": "content_block_delta", "delta": inner})
            case {"reasoningContent": {"text": str(text)}}:
                return (*self._start("thinking"), *((ReasoningDelta(text),) if text else ()))
            case {"reasoningContent": {"signature": str(signature)}}:
                inner = {"type": "signature_delta", "signature": signature}
                return (*self._start("thinking"), *self._inner.decode({"type": "content_block_delta", "delta": inner}))
            case {"reasoningContent": {"redactedContent": str(data)}}:
                self._block = "redacted_thinking"
                block = {"type": "redacted_thinking", "data": data}
                return self._inner.decode({"type": "content_block_start", "content_block": block})
        return ()

    def _start(self, kind: str) -> Iterable[Event]:
        """Return the end of the previous block, unless it is of this `kind`."""
        if self._block == kind:
            return ()
        self._block = kind
        return self._inner.decode({"type": "content_block_start", "content_block": {"type": kind}})

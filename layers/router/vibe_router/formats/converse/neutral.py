"""Converse in and out of the neutral form, by way of Anthropic's Messages, whose blocks and turns it shares.

What `messages_request` leaves out or says in other words, this does too. Beyond that:

- only Claude's models are asked to think, to choose by `top_k` or how to call tools in ways that Converse has no word
  for (one at a time, none), and told where to cache. Elsewhere that is refused, but for thinking and caching, which
  change nothing that is asked
- no bound on the answer is sent without the caller's, unless it is asked to think
- refused: pictures and documents by URL, names of tools above 64 characters
- a document has a name of its own in a request, made of its title, and stands beside a text: its name where the turn
  has no other
- what a tool's result shows, be it pictures or documents, stands after the results in turns to other models than
  Claude's and Nova's
- ids of calls that are longer than Converse takes are replaced by a digest of them
- where a conversation has calls and a request no tools, the tools that were called are named, though whether the model
  calls them again is its own to say
- a user's name and service tiers are left out
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vibe_router.core.errors import ApiError
from vibe_router.formats.common.json_body import dump, without_none
from vibe_router.formats.converse.stream import read_usage
from vibe_router.formats.messages import neutral_answer as messages_answer
from vibe_router.formats.messages import neutral_request as messages_request
from vibe_router.formats.neutral.model import (
    Event,
    File,
    Finish,
    Image,
    Message,
    NeutralRequest,
    Part,
    Raw,
    Reason,
    ReasoningDelta,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolResult,
    UsageReport,
    unsupported,
)

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
_NO_NAME = re.compile(r"[^a-zA-Z0-9\-()\[\]]+")
_LONGEST = 64  # characters of a tool's name and of a call's id
_STOPPED_BY = "/stop_sequence"  # where Claude's own answer says which one it met


def body(request: NeutralRequest, model: str) -> bytes:
    """Return the body that asks a provider's `model`. Raises ApiError (400) for what Converse can't carry."""
    model = request.base_model or model  # which itself stands in the path
    if request.top_k is not None and not _is_claude(model):
        raise unsupported(_FORMAT, request.called("top_k"))
    for tool in request.tools:
        if isinstance(tool, Raw):
            raise unsupported(_FORMAT, tool.at, tool.what)
        if len(tool.name) > _LONGEST:
            raise unsupported(_FORMAT, tool.at, f"a tool whose name has more than {_LONGEST} characters")
    plain = replace(
        request,
        format="",  # nothing in it is written as it came
        messages=[_carried(message) for message in request.messages],
        effort=_effort(request),
    )
    try:
        said = messages_request.fields(plain, model, stream=False)
    except ApiError as error:
        error.message = error.message.replace("speaks messages", f"speaks {_FORMAT}")
        raise
    return dump(_converse(said, request, model))


def _is_claude(model: str) -> bool:
    return "claude" in model


def _effort(request: NeutralRequest) -> str | None:
    """Return the effort that is asked for; who thinks adaptively and says no more means Anthropic's own default."""
    thinking = request.more.get("thinking")
    adaptive = isinstance(thinking, dict) and thinking.get("type") == "adaptive"
    return "high" if adaptive and request.effort is None else request.effort


def _carried(message: Message) -> Message:
    """Return a message with those documents as they are to stand that Messages cannot have. Raises ApiError (400)."""
    if all(isinstance(part, Text) for part in message.parts):
        return message
    return replace(message, parts=[_carried_part(part) for part in message.parts])


def _carried_part(part: Part) -> Part:
    match part:
        case Image(data=None):
            raise unsupported(_FORMAT, part.at, "an image by its URL")
        case Image(media_type=str(kind)) if _image(kind) not in _IMAGES:
            raise unsupported(_FORMAT, part.at, f"an image of type {kind[:50]}")
        case File(data=None, text=None):
            raise unsupported(_FORMAT, part.at, "a file by its URL or id")
        case File(data=str(data), media_type=str(kind)) if kind in _DOCUMENTS:
            block = {"type": "document", "source": {"type": "base64", "media_type": kind, "data": data}}
            marked = {"cache_control": part.cache} if part.cache else {}
            return Raw("messages", {**block, "title": part.filename, **marked}, "a document", at=part.at)
        case ToolResult():
            return replace(part, parts=[_carried_part(each) for each in part.parts])
        case Raw(value={"citations": {"enabled": True}}):
            raise unsupported(_FORMAT, part.at, part.what)
        case Raw(value={"type": "document", "context": str(), "source": {"type": "base64" | "text", "data": str()}}):
            return part
        case Raw():
            raise unsupported(_FORMAT, part.at, part.what)
    return part


def _image(media_type: str) -> str:
    return media_type.removeprefix("image/").replace("jpg", "jpeg")


def _converse(said: Mapping[str, Any], request: NeutralRequest, model: str) -> dict[str, Any]:
    """Return a body of Messages in Converse's words."""
    claude = _is_claude(model)
    write = _Blocks(caches=claude, results_show=claude or "nova" in model)
    messages = [{"role": turn["role"], "content": _turn(turn["content"], write)} for turn in said["messages"]]
    out: dict[str, Any] = {"messages": messages}
    if system := said.get("system"):
        out["system"] = list(write.all(system))
    thinking = said.get("thinking") if claude else None
    if thinking == {"type": "disabled"}:  # as it is where nothing is said
        thinking = None
    inference = {
        "maxTokens": said["max_tokens"] if request.max_tokens is not None or thinking else None,
        "temperature": said.get("temperature"),
        "topP": said.get("top_p"),
        "stopSequences": said.get("stop_sequences"),
    }
    if inference := without_none(inference):
        out["inferenceConfig"] = inference
    choice, tools = said.get("tool_choice", {}), said.get("tools")
    unsaid = choice if choice.get("type") == "none" or choice.get("disable_parallel_tool_use") else None
    if unsaid and not claude:
        tools = _without_choosing(tools, choice, request)
    if tools:
        out["toolConfig"] = {"tools": _tools(tools, caches=claude)}
        if not unsaid and (chosen := _choice(choice)):
            out["toolConfig"]["toolChoice"] = chosen
    config = said.get("output_config", {})
    effort = config.get("effort") if claude else None
    if told := without_none({"textFormat": _text_format(config, request), "effort": effort}):
        out["outputConfig"] = told
    more = {"thinking": thinking, "top_k": said.get("top_k"), "tool_choice": unsaid if claude else None}
    if more := without_none(more):
        out["additionalModelRequestFields"] = more
    if claude and "stopSequences" in inference:
        out["additionalModelResponseFieldPaths"] = [_STOPPED_BY]
    return out


def _text_format(config: Mapping[str, Any], request: NeutralRequest) -> dict[str, Any] | None:
    if "format" not in config:
        return None
    asked = request.response_format
    schema = {
        "schema": dump(config["format"]["schema"]).decode(),
        "name": (asked.name if asked else None) or None,
        "description": (asked.description if asked else None) or None,
    }
    return {"type": "json_schema", "structure": {"jsonSchema": without_none(schema)}}


def _without_choosing(tools: Any, choice: Mapping[str, Any], request: NeutralRequest) -> Any:
    """Return `tools` for a model that can't be told how to call them. Raises ApiError (400) where that matters."""
    if choice.get("disable_parallel_tool_use"):
        raise unsupported(_FORMAT, request.called("parallel_tool_calls"))
    if not request.tools:  # these are only the ones that were called
        return tools
    if any(isinstance(part, ToolCall | ToolResult) for message in request.messages for part in message.parts):
        raise unsupported(_FORMAT, request.called("tool_choice"), "calling no tool after calls of tools")
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
    results = sum(block["type"] == "tool_result" for block in blocks)  # they come first
    content = [*write.all(blocks[:results]), *write.shown(), *write.all(blocks[results:])]
    titles = [block["document"]["name"] for block in content if "document" in block]
    if titles and not any("text" in block for block in content):
        content.append({"text": titles[0]})
    return content


def _cache_point(mark: Mapping[str, Any]) -> dict[str, Any]:
    lasting = {"ttl": mark["ttl"]} if mark.get("ttl") in ("5m", "1h") else {}
    return {"cachePoint": {"type": "default", **lasting}}


def _id(id_: str) -> str:
    return id_ if len(id_) <= _LONGEST else hashlib.sha256(id_.encode()).hexdigest()


class _Blocks:
    """Writes the blocks of one request.

    Where the model `caches`, a cache point comes after each that is marked. Unless `results_show` pictures and
    documents, those of results are held back for `shown`.
    """

    def __init__(self, *, caches: bool, results_show: bool) -> None:
        self._caches = caches
        self._results_show = results_show
        self._held: list[dict[str, Any]] = []
        self._documents = 0

    def all(self, blocks: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield `blocks`. Raises ApiError (400)."""
        for block in blocks:
            yield self._one(block)
            if self._caches and block.get("cache_control"):
                yield _cache_point(block["cache_control"])

    def shown(self) -> list[dict[str, Any]]:
        """Return what the results written since the last call show."""
        shown, self._held = self._held, []
        return shown

    def _result(self, id_: str, block: Mapping[str, Any]) -> dict[str, Any]:
        content = [self._one(each) for each in block.get("content", ())]
        kept = [each for each in content if self._results_show or "text" in each]
        if len(kept) < len(content):
            self._held.append({"text": f"What the tool call {id_} shows:"})
            self._held += (each for each in content if each not in kept)
            kept = kept or [{"text": "The result is shown below."}]
        status = {"status": "error"} if block.get("is_error") else {}
        return {"toolResult": {"toolUseId": id_, "content": kept or [{"text": "(nothing)"}], **status}}

    def _one(self, block: Mapping[str, Any]) -> dict[str, Any]:
        match block:
            case {"type": "text", "text": text}:
                return {"text": text}
            case {"type": "image", "source": {"type": "base64", "media_type": str(kind), "data": data}}:
                return {"image": {"format": _image(kind), "source": {"bytes": data}}}
            case {"type": "document", "source": {"type": "base64", "media_type": kind, "data": data}} if (
                kind in _DOCUMENTS
            ):
                return self._document(_DOCUMENTS[kind], data, block)
            case {"type": "document", "source": {"type": "text", "data": str(text)}}:
                return self._document("txt", base64.b64encode(text.encode(errors="replace")).decode(), block)
            case {"type": "tool_use", "id": id_, "name": name, "input": given}:
                return {"toolUse": {"toolUseId": _id(id_), "name": name, "input": given}}
            case {"type": "tool_result", "tool_use_id": id_}:
                return self._result(_id(id_), block)
            case {"type": "thinking", "thinking": text, "signature": signature}:
                return {"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}
            case {"type": "redacted_thinking", "data": data}:
                return {"reasoningContent": {"redactedContent": data}}
        raise unsupported(_FORMAT, "messages", f"a block of type {str(block.get('type'))[:50]}")

    def _document(self, form: str, data: str, block: Mapping[str, Any]) -> dict[str, Any]:
        self._documents += 1
        title = _NO_NAME.sub("-", str(block.get("title") or "")).strip("-")[:150] or "document"
        name = f"{title}-{self._documents}"  # two of one name are refused
        context = {"context": block["context"]} if block.get("context") else {}
        return {"document": {"format": form, "name": name, "source": {"bytes": data}, **context}}


# --- Reading an answer ------------------------------------------------------------------------------------------------

_REASONS: Mapping[str, Reason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "refusal": "refusal",
}


def _met(ending: Mapping[str, Any]) -> str | None:
    match ending:
        case {"stopReason": "stop_sequence", "additionalModelResponseFields": {"stop_sequence": str(sequence)}}:
            return sequence
    return None


class ConverseDecoder:
    """Reads events of ConverseStream into neutral events."""

    def __init__(self, request: NeutralRequest) -> None:
        self._inner = messages_answer.MessagesDecoder(request)
        self._block = ""  # what is being told: only a call of a tool says that it begins

    def decode(self, chunk: Mapping[str, Any]) -> Iterable[Event]:
        """Return what `chunk` says."""
        if told := chunk.get("contentBlockDelta"):  # as in `converse.StreamReader`
            delta = told.get("delta") if isinstance(told, dict) else None
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
                reason = _REASONS.get(str(ending.get("stopReason")), "stop")
                return (*self._inner.end(), Finish(reason, stop_sequence=_met(ending)))
            case {"metadata": {"usage": dict(counts)}}:
                return (UsageReport(read_usage(counts)),)
        return ()

    def end(self) -> Iterable[Event]:
        """Return what was held back."""
        return self._inner.end()

    def _delta(self, delta: Mapping[str, Any]) -> Iterable[Event]:
        text = delta.get("text")
        if isinstance(text, str):
            begun = self._begin("text")
            return (*begun, TextDelta(text)) if text else begun
        match delta:
            case {"toolUse": {"input": str(more)}}:
                inner = {"type": "input_json_delta", "partial_json": more}
                return self._inner.decode({"type": "content_block_delta", "delta": inner})
            case {"reasoningContent": {"text": str(text)}}:
                return (*self._begin("thinking"), *((ReasoningDelta(text),) if text else ()))
            case {"reasoningContent": {"signature": str(signature)}}:
                told = {"type": "signature_delta", "signature": signature}
                return (*self._begin("thinking"), *self._inner.decode({"type": "content_block_delta", "delta": told}))
            case {"reasoningContent": {"redactedContent": str(data)}}:
                self._block = "redacted_thinking"
                block = {"type": "redacted_thinking", "data": data}
                return self._inner.decode({"type": "content_block_start", "content_block": block})
        return ()

    def _begin(self, kind: str) -> Iterable[Event]:
        """Return what the end of another block says, where one of this `kind` is not being told already."""
        if self._block == kind:
            return ()
        self._block = kind
        return self._inner.decode({"type": "content_block_start", "content_block": {"type": kind}})

"""Converse in and out of the neutral form, by way of Anthropic's Messages, whose blocks and turns it shares.

What `messages_request` leaves out or says in other words, this does too. Beyond that:

- only Claude's models are asked to think or to choose by `top_k`, and told where to cache (elsewhere that is refused
  for `top_k`, and left out for effort and caching, which change nothing that is asked); no bound on the answer is sent
  without the caller's, unless it is asked to think
- refused: pictures and documents by URL, a tool that must not be called while calls stand in the conversation,
  `parallel_tool_calls: false`
- a user's name and service tiers are left out
"""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vibe_router.formats import messages_answer, messages_request, neutral
from vibe_router.formats.errors import ApiError
from vibe_router.formats.json_body import dump, load
from vibe_router.formats.neutral import File, Image, Part, ToolResult, refuse

__all__ = ["Decoder", "body"]

_FORMAT = "converse"
_CACHE_POINT = {"cachePoint": {"type": "default"}}
_IMAGES = frozenset({"png", "jpeg", "gif", "webp"})
_NO_NAME = re.compile(r"[^a-zA-Z0-9\-()\[\]]+")


def body(request: neutral.Request, model: str) -> bytes:
    """Return the body that asks a provider's `model`. Raises ApiError (400) for what Converse can't carry."""
    for message in request.messages:
        _refuse_urls(message.parts)
    if request.parallel_tool_calls is False and request.tools:
        raise refuse(_FORMAT, request.called("parallel_tool_calls"))
    claude = "claude" in model
    if request.top_k is not None and not claude:
        raise refuse(_FORMAT, request.called("top_k"))
    plain = replace(request, format="", parallel_tool_calls=None)  # nothing in it is written as it came
    try:
        said = load(messages_request.body(plain, model, stream=False))
    except ApiError as error:
        error.message = error.message.replace("speaks messages", f"speaks {_FORMAT}")
        raise
    return dump(_converse(said, request, claude=claude))


def _refuse_urls(parts: Sequence[Part]) -> None:
    for part in parts:
        if isinstance(part, Image) and part.data is None:
            raise refuse(_FORMAT, part.at, "an image by its URL")
        if isinstance(part, File) and part.data is None and part.text is None:
            raise refuse(_FORMAT, part.at, "a file by its URL or id")
        if isinstance(part, ToolResult):
            _refuse_urls(part.parts)


def _converse(said: Mapping[str, Any], request: neutral.Request, *, claude: bool) -> dict[str, Any]:
    """Return a body of Messages in Converse's words."""
    names = _Names()
    messages = [
        {"role": turn["role"], "content": list(_blocks(turn["content"], names, caches=claude))}
        for turn in said["messages"]
    ]
    out: dict[str, Any] = {"messages": messages}
    if system := said.get("system"):
        out["system"] = list(_blocks(system, names, caches=claude))
    thinking = said.get("thinking") if claude else None
    inference = {
        "maxTokens": said["max_tokens"] if request.max_tokens is not None or thinking else None,
        "temperature": said.get("temperature"),
        "topP": said.get("top_p"),
        "stopSequences": said.get("stop_sequences"),
    }
    if inference := {name: value for name, value in inference.items() if value is not None}:
        out["inferenceConfig"] = inference
    if config := _tool_config(said, request, messages, caches=claude):
        out["toolConfig"] = config
    wanted = said.get("output_config", {})
    if form := wanted.get("format"):
        name = (
            {"name": request.response_format.name} if request.response_format and request.response_format.name else {}
        )
        schema = {"jsonSchema": {"schema": dump(form["schema"]).decode(), **name}}
        out["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": schema}}
    effort = {"effort": wanted["effort"]} if "effort" in wanted else None
    more = {"thinking": thinking, "top_k": said.get("top_k"), "output_config": effort if claude else None}
    if more := {name: value for name, value in more.items() if value is not None}:
        out["additionalModelRequestFields"] = more
    return out


def _tool_config(
    said: Mapping[str, Any], request: neutral.Request, messages: Sequence[Mapping[str, Any]], *, caches: bool
) -> dict[str, Any] | None:
    tools, choice = said.get("tools"), said.get("tool_choice", {})
    if not tools:
        return None
    if choice.get("type") == "none" and request.tools:
        if any("toolUse" in block or "toolResult" in block for turn in messages for block in turn["content"]):
            raise refuse(_FORMAT, request.called("tool_choice"), "calling no tool after calls of tools")
        return None
    specs: list[dict[str, Any]] = []
    for tool in tools:
        if "input_schema" not in tool:  # a tool that Anthropic's own servers run
            raise refuse(_FORMAT, request.called("tools"), f"the tool {tool.get('name')}")
        described = {"description": tool["description"]} if tool.get("description") else {}
        strict = {"strict": True} if tool.get("strict") else {}
        spec = {"name": tool["name"], **described, "inputSchema": {"json": tool["input_schema"]}, **strict}
        specs.append({"toolSpec": spec})
        if caches and tool.get("cache_control"):
            specs.append(_CACHE_POINT)
    match choice:
        case {"type": "any"}:
            return {"tools": specs, "toolChoice": {"any": {}}}
        case {"type": "tool", "name": name}:
            return {"tools": specs, "toolChoice": {"tool": {"name": name}}}
    return {"tools": specs}


class _Names:
    """Makes names for documents that Converse takes, each once in a request."""

    def __init__(self) -> None:
        self._made = 0

    def make(self, title: str) -> str:
        self._made += 1
        return f"{_NO_NAME.sub('-', title).strip('-')[:150] or 'document'}-{self._made}"


def _blocks(blocks: Iterable[Mapping[str, Any]], names: _Names, *, caches: bool) -> Iterator[dict[str, Any]]:
    for block in blocks:
        yield _block(block, names)
        if caches and block.get("cache_control"):
            yield _CACHE_POINT


def _block(block: Mapping[str, Any], names: _Names) -> dict[str, Any]:
    match block:
        case {"type": "text", "text": text}:
            return {"text": text}
        case {"type": "image", "source": {"type": "base64", "media_type": str(kind), "data": data}}:
            form = kind.removeprefix("image/").replace("jpg", "jpeg")
            if form not in _IMAGES:
                raise refuse(_FORMAT, "messages", f"an image of type {kind}")
            return {"image": {"format": form, "source": {"bytes": data}}}
        case {"type": "document", "source": {"type": "base64", "data": data}}:
            return _document("pdf", data, block, names)
        case {"type": "document", "source": {"type": "text", "data": str(text)}}:
            return _document("txt", base64.b64encode(text.encode(errors="replace")).decode(), block, names)
        case {"type": "tool_use", "id": id_, "name": name, "input": given}:
            return {"toolUse": {"toolUseId": id_, "name": name, "input": given}}
        case {"type": "tool_result", "tool_use_id": id_}:
            content = list(_blocks(block.get("content", ()), names, caches=False)) or [{"text": "(nothing)"}]
            status = {"status": "error"} if block.get("is_error") else {}
            return {"toolResult": {"toolUseId": id_, "content": content, **status}}
        case {"type": "thinking", "thinking": text, "signature": signature}:
            return {"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}
        case {"type": "redacted_thinking", "data": data}:
            return {"reasoningContent": {"redactedContent": data}}
    raise refuse(_FORMAT, "messages", f"a block of type {str(block.get('type'))[:50]}")


def _document(form: str, data: str, block: Mapping[str, Any], names: _Names) -> dict[str, Any]:
    name = names.make(str(block.get("title") or ""))
    return {"document": {"format": form, "name": name, "source": {"bytes": data}}}


# --- Reading an answer ------------------------------------------------------------------------------------------------

_REASONS: Mapping[object, neutral.Reason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "refusal": "refusal",
}
_STARTS = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": ""},
}


class Decoder:
    """Reads events of ConverseStream into neutral events."""

    def __init__(self, request: neutral.Request) -> None:
        from vibe_router.formats.converse import read_usage

        self._read_usage = read_usage
        self._inner = messages_answer.Decoder(request)
        self._open = False  # only a call of a tool says that its block begins

    def decode(self, chunk: Mapping[str, Any]) -> Iterable[neutral.Event]:
        """Return what `chunk` says."""
        match chunk:
            case {"contentBlockDelta": {"delta": dict(delta)}}:
                return self._delta(delta)
            case {"messageStart": _}:
                return (neutral.Started(None, None),)
            case {"contentBlockStart": {"start": {"toolUse": dict(call)}}}:
                self._open = True
                block = {"type": "tool_use", "id": call.get("toolUseId"), "name": call.get("name")}
                return self._inner.decode({"type": "content_block_start", "content_block": block})
            case {"contentBlockStop": _}:
                self._open = False
                return self._inner.decode({"type": "content_block_stop"})
            case {"messageStop": dict(ending)}:
                return (*self._inner.end(), neutral.Finish(_REASONS.get(ending.get("stopReason"), "stop")))
            case {"metadata": {"usage": dict(counts)}}:
                return (neutral.Told(self._read_usage(counts)),)
        return ()

    def end(self) -> Iterable[neutral.Event]:
        """Return what was held back."""
        return self._inner.end()

    def _delta(self, delta: Mapping[str, Any]) -> Iterable[neutral.Event]:
        match delta:
            case {"text": str(text)}:
                return self._more("text", {"type": "text_delta", "text": text})
            case {"toolUse": {"input": str(more)}}:
                inner = {"type": "input_json_delta", "partial_json": more}
                return self._inner.decode({"type": "content_block_delta", "delta": inner})
            case {"reasoningContent": {"text": str(text)}}:
                return self._more("thinking", {"type": "thinking_delta", "thinking": text})
            case {"reasoningContent": {"signature": str(signature)}}:
                return self._more("thinking", {"type": "signature_delta", "signature": signature})
            case {"reasoningContent": {"redactedContent": str(data)}}:
                self._open = True
                block = {"type": "redacted_thinking", "data": data}
                return self._inner.decode({"type": "content_block_start", "content_block": block})
        return ()

    def _more(self, kind: str, delta: Mapping[str, Any]) -> Iterable[neutral.Event]:
        begun: Iterable[neutral.Event] = ()
        if not self._open:
            self._open = True
            begun = self._inner.decode({"type": "content_block_start", "content_block": _STARTS[kind]})
        return (*begun, *self._inner.decode({"type": "content_block_delta", "delta": delta}))

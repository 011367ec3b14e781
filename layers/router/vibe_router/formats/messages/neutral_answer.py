"""Translate an answer between Anthropic's Messages and neutral events.

Left out of a message: citations of files, log probabilities, and thinking that the caller did not ask for. Anthropic
never shows thinking unasked, and clients that expect text in the first block rely on that.

A cited page becomes a search result with an empty `encrypted_index`, by which `request` recognises it in the next turn.
Citations of documents, which only Messages callers can ask for, are left out of other formats.
"""

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from vibe_router.core.errors import ApiError
from vibe_router.core.usage import Usage
from vibe_router.formats.common.finish_reasons import finish_reason
from vibe_router.formats.common.json_body import dump, is_truncated
from vibe_router.formats.common.seal import wrap
from vibe_router.formats.interfaces import ClientRequest
from vibe_router.formats.messages.assembly import MessagesAssembler
from vibe_router.formats.messages.errors import error_event
from vibe_router.formats.messages.request import MessagesRequest
from vibe_router.formats.messages.stream import event, read_usage
from vibe_router.formats.neutral.model import (
    AnnotationAdded,
    Event,
    Finish,
    NeutralRequest,
    Reason,
    ReasoningDelta,
    ReasoningProof,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
    custom_tool_input,
    custom_tool_names,
)

__all__ = ["MessagesDecoder", "MessagesWriter", "usage_fields", "whole"]

# --- Reading an answer ------------------------------------------------------------------------------------------------


class MessagesDecoder:
    """Decodes chunks of a message into neutral events."""

    def __init__(self, request: NeutralRequest) -> None:
        self._custom = custom_tool_names(request)
        self._block: object = None  # the type of the open block
        self._signature: str | None = None
        self._arguments: list[str] = []  # of the open call of a free-text tool, which are decoded when it ends
        self._is_free_text = False
        self._has_no_arguments = False
        self._counts: dict[str, Any] = {}
        self._text_length = 0  # characters so far
        self._block_start = 0  # characters before the open block
        self._citations: list[Mapping[str, Any]] = []  # of the open block

    def decode(self, chunk: Mapping[str, Any]) -> Iterable[Event]:
        """Return the events in `chunk`."""
        kind, delta = chunk.get("type"), chunk.get("delta")
        if kind == "content_block_delta":  # nearly all of them; matching patterns takes five times as long
            return self._delta(delta) if isinstance(delta, dict) else ()
        match chunk:
            case {"type": "content_block_start", "content_block": dict(block)}:
                return self._start(block)
            case {"type": "content_block_stop"}:
                return self._stop()
            case {"type": "message_start", "message": dict(message)}:
                id_, model = message.get("id"), message.get("model")
                started = Started(id_ if isinstance(id_, str) else None, model if isinstance(model, str) else None)
                return (started, *self._usage(message.get("usage")))
            case {"type": "message_delta", "delta": dict(ending)}:
                return (*self._finish(ending), *self._usage(chunk.get("usage")))
        return ()

    def end(self) -> Iterable[Event]:
        """Return the end of a block that is still open."""
        return self._stop()

    def _delta(self, delta: Mapping[str, Any]) -> Iterable[Event]:
        if delta.get("type") == "text_delta":
            return self._text(delta.get("text"))
        match delta:
            case {"type": "thinking_delta", "thinking": str(text)}:
                return (ReasoningDelta(text),) if text else ()
            case {"type": "input_json_delta", "partial_json": str(more)} if self._block == "tool_use" and more:
                self._has_no_arguments = False
                if not self._is_free_text:
                    return (ToolCallDelta(more),)
                self._arguments.append(more)
            case {"type": "citations_delta", "citation": dict(citation)}:
                self._citations.append(citation)
            case {"type": "signature_delta", "signature": str(signature)} if self._block == "thinking":
                self._signature = signature
        return ()

    def _text(self, text: object) -> Iterable[Event]:
        if not isinstance(text, str) or not text:
            return ()
        self._text_length += len(text)
        return (TextDelta(text),)

    def _start(self, block: Mapping[str, Any]) -> Iterable[Event]:
        events = [*self._stop()]
        self._block = block.get("type")
        match block:
            case {"type": "text"}:
                cited = block.get("citations")
                self._citations += (
                    each for each in (cited if isinstance(cited, list) else ()) if isinstance(each, dict)
                )
                self._block_start = self._text_length
                events += self._text(block.get("text"))
            case {"type": "thinking"}:
                text, signature = block.get("thinking"), block.get("signature")
                self._signature = signature if isinstance(signature, str) and signature else None
                if isinstance(text, str) and text:
                    events.append(ReasoningDelta(text))
            case {"type": "redacted_thinking", "data": str(data)}:
                events.append(ReasoningProof(redacted=data))
            case {"type": "tool_use"}:
                id_, name, arguments = block.get("id"), block.get("name"), block.get("input")
                id_ = id_ if isinstance(id_, str) and id_ else f"toolu_{secrets.token_hex(12)}"
                name = name if isinstance(name, str) else ""
                self._is_free_text = name in self._custom
                self._has_no_arguments, self._arguments = True, []
                events.append(ToolCallStart(id_, name, self._is_free_text))
                if isinstance(arguments, dict) and arguments:
                    events += self._delta({"type": "input_json_delta", "partial_json": dump(arguments).decode()})
        return events

    def _stop(self) -> Iterable[Event]:
        block, self._block = self._block, None
        if block == "thinking":
            signature, self._signature = self._signature, None
            return (ReasoningProof(signature=signature),)
        if block == "tool_use":
            if self._is_free_text:
                return (ToolCallDelta(custom_tool_input("".join(self._arguments))),)
            if self._has_no_arguments:  # other formats send an empty object
                return (ToolCallDelta("{}"),)
        return self._annotations() if self._citations else ()

    def _annotations(self) -> Iterable[Event]:
        """Return the pages that the block cites; each annotation covers the whole block."""
        citations, self._citations = self._citations, []
        for each in citations:
            match each:
                case {"type": "web_search_result_location", "url": str(url)}:
                    title = each.get("title")
                    note = {"type": "url_citation", "url": url, "title": title if isinstance(title, str) else ""}
                    yield AnnotationAdded({**note, "start_index": self._block_start, "end_index": self._text_length})

    def _finish(self, delta: Mapping[str, Any]) -> Iterable[Event]:
        reason, sequence = delta.get("stop_reason"), delta.get("stop_sequence")
        if not reason:
            return ()
        stopped = sequence if isinstance(sequence, str) else None
        return (*self._stop(), Finish(finish_reason(reason), stop_sequence=stopped))

    def _usage(self, counts: object) -> Iterable[Event]:
        if not isinstance(counts, dict):
            return ()
        self._counts |= {name: value for name, value in counts.items() if value or name not in self._counts}
        return (UsageReport(read_usage(self._counts)),)


# --- Writing an answer ------------------------------------------------------------------------------------------------

_STOP_REASONS: Mapping[Reason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
}
_TEXT_EVENT_END = b"}}\n\n"


class MessagesWriter:
    """Writes neutral events as the events of a message."""

    def __init__(self, request: ClientRequest) -> None:
        caller = request if isinstance(request, MessagesRequest) else None
        self._thinks = caller is not None and caller.thinks
        self._shows_thinking = caller is not None and caller.shows_thinking
        self._model = request.model
        self._started = False
        self._index = -1
        self._block = ""  # the type of the open block
        self._part = 0
        self._has_calls = False
        self._arguments: list[str] = []  # of the last tool call
        self._finish = Finish("stop")
        self._usage = Usage()
        self._text_event_start = b""

    def write(self, neutral_event: Event) -> bytes:
        """Return the events for `neutral_event`."""
        if type(neutral_event) is TextDelta and not neutral_event.choice and self._block == "text":
            return self._text_event_start + dump(neutral_event.text) + _TEXT_EVENT_END
        return b"".join([event(chunk) for chunk in self.chunks(neutral_event)])

    def chunks(self, neutral_event: Event) -> list[dict[str, Any]]:
        """Return the same as JSON."""
        if getattr(neutral_event, "choice", 0):  # a message is one answer
            return []
        match neutral_event:
            case Started(id=id_, model=model):
                return self._start(id_, model)
            case UsageReport(usage=usage):
                self._usage = usage
                return []
            case Finish():
                self._finish = neutral_event
                return []
        chunks = [] if self._started else self._start(None, None)
        match neutral_event:
            case TextDelta(text=text) | RefusalDelta(text=text):
                if self._block != "text":
                    self._open(chunks, {"type": "text", "text": ""})
                chunks.append(self._delta({"type": "text_delta", "text": text}))
            case AnnotationAdded(annotation={"type": "url_citation", "url": str(url)}) if self._block == "text":
                title = neutral_event.annotation.get("title") or None
                found = {"type": "web_search_result_location", "url": url, "title": title}
                citation = {**found, "cited_text": "", "encrypted_index": ""}
                chunks.append(self._delta({"type": "citations_delta", "citation": citation}))
            case ReasoningDelta() if self._thinks:
                self._reason(chunks, neutral_event)
            case ReasoningProof() if self._thinks:
                self._seal(chunks, neutral_event)
            case ToolCallStart(id=id_, name=name):
                self._has_calls = True
                self._arguments = []
                self._open(chunks, {"type": "tool_use", "id": id_, "name": name, "input": {}})
            case ToolCallDelta(arguments=more) if more and self._block == "tool_use":
                self._arguments.append(more)
                chunks.append(self._delta({"type": "input_json_delta", "partial_json": more}))
        return chunks

    def ending(self) -> list[dict[str, Any]]:
        """Return the JSON of the events that end the message."""
        chunks = [] if self._started else self._start(None, None)
        self._close(chunks)
        reason, sequence = _STOP_REASONS[self._finish.reason], self._finish.stop_sequence
        if reason == "end_turn" and (sequence is not None or self._has_calls):
            reason = "tool_use" if self._has_calls else "stop_sequence"
        if reason == "tool_use" and is_truncated("".join(self._arguments)):
            reason = "max_tokens"  # so that no client runs part of a call
        delta = {"stop_reason": reason, "stop_sequence": sequence}
        chunks.append({"type": "message_delta", "delta": delta, "usage": usage_fields(self._usage)})
        chunks.append({"type": "message_stop"})
        return chunks

    def end(self) -> bytes:
        """Return the end of the open block, the stop reason and the usage."""
        return b"".join([event(chunk) for chunk in self.ending()])

    def fail(self, error: ApiError) -> bytes:
        """Return the error event; no `message_stop` follows it."""
        return error_event(error)

    def _start(self, id_: str | None, model: str | None) -> list[dict[str, Any]]:
        if self._started:
            return []
        self._started = True
        message: dict[str, Any] = {
            "id": id_ if id_ and id_.startswith("msg_") else f"msg_{secrets.token_hex(12)}",
            "type": "message",
            "role": "assistant",
            "model": model or self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_fields(Usage()),
        }
        return [{"type": "message_start", "message": message}]

    def _open(self, chunks: list[dict[str, Any]], block: dict[str, Any]) -> None:
        self._close(chunks)
        self._index += 1
        self._block = block["type"]
        chunks.append({"type": "content_block_start", "index": self._index, "content_block": block})
        if self._block == "text":
            sample = event(self._delta({"type": "text_delta", "text": "\0"}))
            self._text_event_start = sample.partition(rb'"\u0000"')[0]

    def _close(self, chunks: list[dict[str, Any]]) -> None:
        if self._block:
            chunks.append({"type": "content_block_stop", "index": self._index})
            self._block = ""

    def _delta(self, delta: dict[str, Any]) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}

    def _reason(self, chunks: list[dict[str, Any]], delta: ReasoningDelta) -> None:
        text = delta.text
        if self._block != "thinking":
            self._open(chunks, {"type": "thinking", "thinking": "", "signature": ""})
        elif delta.part != self._part:
            text = f"\n\n{text}"
        self._part = delta.part
        if self._shows_thinking:
            chunks.append(self._delta({"type": "thinking_delta", "thinking": text}))

    def _seal(self, chunks: list[dict[str, Any]], sealed: ReasoningProof) -> None:
        seal = sealed.seal()
        if seal is not None and seal.kind == "redacted":
            self._open(chunks, {"type": "redacted_thinking", "data": wrap(seal)})
        elif seal is not None:
            if self._block != "thinking":
                self._open(chunks, {"type": "thinking", "thinking": "", "signature": ""})
            chunks.append(self._delta({"type": "signature_delta", "signature": wrap(seal)}))
        if self._block in ("thinking", "redacted_thinking"):
            self._close(chunks)


def whole(request: ClientRequest, events: Iterable[Event]) -> bytes:
    """Return the whole message that `events` make up."""
    writer, assembler = MessagesWriter(request), MessagesAssembler()
    for each in events:
        for chunk in writer.chunks(each):
            assembler.add(chunk)
    for chunk in writer.ending():
        assembler.add(chunk)
    return dump(assembler.answer())


def usage_fields(usage: Usage) -> dict[str, Any]:
    """Return `usage` as a message reports it: `input_tokens` excludes tokens read from or written to the cache."""
    read, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
    fields: dict[str, Any] = {
        "input_tokens": max((usage.prompt_tokens or 0) - read - written, 0),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": usage.completion_tokens or 0,
    }
    if usage.reasoning_tokens is not None:
        fields["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return fields

"""An answer in Anthropic's Messages format, in and out of neutral events.

What a message has no word for is left out: citations of files, log probabilities, and thinking for a caller who did not
ask for it: Anthropic never shows it unasked, and clients that take the first block for the text rely on that. A page
that is cited is one found in a search, in Messages' words; the words cited and the index that Anthropic would encrypt
are empty there, by which `messages` knows it when it comes back. Citations of documents, which only callers of Messages
can ask for, are left out elsewhere.
"""

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from vibe_router.core.errors import ApiError
from vibe_router.core.usage import Usage
from vibe_router.formats.common.json_body import dump
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

_REASONS: Mapping[str, Reason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
}


class MessagesDecoder:
    """Reads chunks of a message into neutral events."""

    def __init__(self, request: NeutralRequest) -> None:
        self._custom = custom_tool_names(request)
        self._block: object = None  # the type of the block that is being told
        self._signature: str | None = None
        self._written: list[str] = []  # arguments of the call that is being told, where they must be told at once
        self._free = False
        self._silent = False  # whether the call has no arguments yet
        self._counts: dict[str, Any] = {}
        self._said = 0  # characters of text so far
        self._cites_from = 0  # of these, those before the block that is being told
        self._cited: list[Mapping[str, Any]] = []  # pages that it rests on

    def decode(self, chunk: Mapping[str, Any]) -> Iterable[Event]:
        """Return what `chunk` says."""
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
                return (started, *self._told(message.get("usage")))
            case {"type": "message_delta", "delta": dict(ending)}:
                return (*self._finish(ending), *self._told(chunk.get("usage")))
        return ()

    def end(self) -> Iterable[Event]:
        """Return what was held back: nothing, once every block has ended."""
        return self._stop()

    def _delta(self, delta: Mapping[str, Any]) -> Iterable[Event]:
        if delta.get("type") == "text_delta":
            return self._text(delta.get("text"))
        match delta:
            case {"type": "thinking_delta", "thinking": str(text)}:
                return (ReasoningDelta(text),) if text else ()
            case {"type": "input_json_delta", "partial_json": str(more)} if self._block == "tool_use" and more:
                self._silent = False
                if not self._free:
                    return (ToolCallDelta(more),)
                self._written.append(more)
            case {"type": "citations_delta", "citation": dict(citation)}:
                self._cited.append(citation)
            case {"type": "signature_delta", "signature": str(signature)} if self._block == "thinking":
                self._signature = signature
        return ()

    def _text(self, text: object) -> Iterable[Event]:
        if not isinstance(text, str) or not text:
            return ()
        self._said += len(text)
        return (TextDelta(text),)

    def _start(self, block: Mapping[str, Any]) -> Iterable[Event]:
        events = [*self._stop()]
        self._block = block.get("type")
        match block:
            case {"type": "text", **said}:
                cited = said.get("citations")
                self._cited += (each for each in (cited if isinstance(cited, list) else ()) if isinstance(each, dict))
                self._cites_from = self._said
                events += self._text(said.get("text"))
            case {"type": "thinking", **said}:
                thought, signature = said.get("thinking"), said.get("signature")
                self._signature = signature if isinstance(signature, str) and signature else None
                if isinstance(thought, str) and thought:
                    events.append(ReasoningDelta(thought))
            case {"type": "redacted_thinking", "data": str(data)}:
                events.append(ReasoningProof(redacted=data))
            case {"type": "tool_use", **said}:
                id_, name, given = said.get("id"), said.get("name"), said.get("input")
                id_ = id_ if isinstance(id_, str) and id_ else f"toolu_{secrets.token_hex(12)}"
                name = name if isinstance(name, str) else ""
                self._free = name in self._custom
                self._silent, self._written = True, []
                events.append(ToolCallStart(id_, name, self._free))
                if isinstance(given, dict) and given:
                    events += self._delta({"type": "input_json_delta", "partial_json": dump(given).decode()})
        return events

    def _stop(self) -> Iterable[Event]:
        block, self._block = self._block, None
        if block == "thinking":
            signature, self._signature = self._signature, None
            return (ReasoningProof(signature=signature),)
        if block == "tool_use":
            if self._free:
                return (ToolCallDelta(custom_tool_input("".join(self._written))),)
            if self._silent:  # a call without arguments: elsewhere that is an empty object
                return (ToolCallDelta("{}"),)
        return self._notes() if self._cited else ()

    def _notes(self) -> Iterable[Event]:
        """Return the pages that the block which has ended rests on: all of it is said to."""
        cited, self._cited = self._cited, []
        for each in cited:
            match each:
                case {"type": "web_search_result_location", "url": str(url), **said}:
                    title = said.get("title")
                    note: dict[str, Any] = {"type": "url_citation", "url": url}
                    note |= {"title": title if isinstance(title, str) else ""}
                    yield AnnotationAdded({**note, "start_index": self._cites_from, "end_index": self._said})

    def _finish(self, delta: Mapping[str, Any]) -> Iterable[Event]:
        reason, sequence = delta.get("stop_reason"), delta.get("stop_sequence")
        if not reason:
            return ()
        stopped = sequence if isinstance(sequence, str) else None
        return (*self._stop(), Finish(_REASONS.get(str(reason), "stop"), stop_sequence=stopped))

    def _told(self, counts: object) -> Iterable[Event]:
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
_DELTA_END = b"}}\n\n"


class MessagesWriter:
    """Says neutral events as the events of a message."""

    def __init__(self, request: ClientRequest) -> None:
        asked = request if isinstance(request, MessagesRequest) else None
        self._thinks = asked is not None and asked.thinks
        self._shows = asked is not None and asked.shows_thinking
        self._model = request.model
        self._started = False
        self._index = -1
        self._block = ""  # the type of the block that is open
        self._part = 0
        self._called = False
        self._finish = Finish("stop")
        self._usage = Usage()
        self._before = b""

    def write(self, said: Event) -> bytes:
        """Return the events that say `said`."""
        if type(said) is TextDelta and not said.choice and self._block == "text":
            return self._before + dump(said.text) + _DELTA_END
        return b"".join([event(chunk) for chunk in self.chunks(said)])

    def chunks(self, said: Event) -> list[dict[str, Any]]:
        """Return the JSON of the events that say `said`."""
        if getattr(said, "choice", 0):  # a message is one answer
            return []
        match said:
            case Started(id=id_, model=model):
                return self._start(id_, model)
            case UsageReport(usage=usage):
                self._usage = usage
                return []
            case Finish():
                self._finish = said
                return []
        chunks = [] if self._started else self._start(None, None)
        match said:
            case TextDelta(text=text) | RefusalDelta(text=text):
                if self._block != "text":
                    self._open(chunks, {"type": "text", "text": ""})
                chunks.append(self._delta({"type": "text_delta", "text": text}))
            case AnnotationAdded(annotation={"type": "url_citation", "url": str(url)}) if self._block == "text":
                title = said.annotation.get("title") or None
                found = {"type": "web_search_result_location", "url": url, "title": title}
                citation = {**found, "cited_text": "", "encrypted_index": ""}
                chunks.append(self._delta({"type": "citations_delta", "citation": citation}))
            case ReasoningDelta() if self._thinks:
                self._reason(chunks, said)
            case ReasoningProof() if self._thinks:
                self._seal(chunks, said)
            case ToolCallStart(id=id_, name=name):
                self._called = True
                self._open(chunks, {"type": "tool_use", "id": id_, "name": name, "input": {}})
            case ToolCallDelta(arguments=more) if more and self._block == "tool_use":
                chunks.append(self._delta({"type": "input_json_delta", "partial_json": more}))
        return chunks

    def ending(self) -> list[dict[str, Any]]:
        """Return the JSON of the events that end the message."""
        chunks = [] if self._started else self._start(None, None)
        self._close(chunks)
        reason, sequence = _STOP_REASONS[self._finish.reason], self._finish.stop_sequence
        if reason == "end_turn" and (sequence is not None or self._called):
            reason = "tool_use" if self._called else "stop_sequence"
        delta = {"stop_reason": reason, "stop_sequence": sequence}
        chunks.append({"type": "message_delta", "delta": delta, "usage": usage_fields(self._usage)})
        chunks.append({"type": "message_stop"})
        return chunks

    def end(self) -> bytes:
        """Return the end of the stream: the open block's, why the message stopped, and its usage."""
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
            shell = event(self._delta({"type": "text_delta", "text": "\0"}))
            self._before = shell.partition(rb'"\u0000"')[0]

    def _close(self, chunks: list[dict[str, Any]]) -> None:
        if self._block:
            chunks.append({"type": "content_block_stop", "index": self._index})
            self._block = ""

    def _delta(self, delta: dict[str, Any]) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}

    def _reason(self, chunks: list[dict[str, Any]], said: ReasoningDelta) -> None:
        text = said.text
        if self._block != "thinking":
            self._open(chunks, {"type": "thinking", "thinking": "", "signature": ""})
        elif said.part != self._part:
            text = f"\n\n{text}"
        self._part = said.part
        if self._shows:
            chunks.append(self._delta({"type": "thinking_delta", "thinking": text}))

    def _seal(self, chunks: list[dict[str, Any]], said: ReasoningProof) -> None:
        seal = said.seal()
        if seal is not None and seal.kind == "redacted":
            self._open(chunks, {"type": "redacted_thinking", "data": wrap(seal)})
        elif seal is not None:
            if self._block != "thinking":
                self._open(chunks, {"type": "thinking", "thinking": "", "signature": ""})
            chunks.append(self._delta({"type": "signature_delta", "signature": wrap(seal)}))
        if self._block in ("thinking", "redacted_thinking"):
            self._close(chunks)


def whole(request: ClientRequest, events: Iterable[Event]) -> bytes:
    """Return the message that `events` add up to."""
    writer, assembly = MessagesWriter(request), MessagesAssembler()
    for said in events:
        for chunk in writer.chunks(said):
            assembly.add(chunk)
    for chunk in writer.ending():
        assembly.add(chunk)
    return dump(assembly.completion())


def usage_fields(usage: Usage) -> dict[str, Any]:
    """Return `usage` as a message tells it: what a cache held stands beside `input_tokens`, not within."""
    read, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
    told: dict[str, Any] = {
        "input_tokens": max((usage.prompt_tokens or 0) - read - written, 0),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": usage.completion_tokens or 0,
    }
    if usage.reasoning_tokens is not None:
        told["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return told

"""Translates chat answers from and to the neutral form."""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from vibe_router.formats.chat.assembly import ChatAssembler
from vibe_router.formats.chat.blocks import BlockSequencer
from vibe_router.formats.chat.chunk_writer import ChunkWriter
from vibe_router.formats.chat.content import read_parts
from vibe_router.formats.chat.proofs import ProofCollector, details_text
from vibe_router.formats.chat.stream import usage_of
from vibe_router.formats.common import sse
from vibe_router.formats.common.finish_reasons import finish_reason, is_absent
from vibe_router.formats.common.json_body import dump
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
    custom_tool_names,
)
from vibe_router.formats.neutral.tool_names import original_tool_names

__all__ = ["ChatDecoder", "ChatWriter", "whole"]

# --- Reading an answer ------------------------------------------------------------------------------------------------


class ChatDecoder:
    """Decodes the chunks of a chat answer into neutral events."""

    def __init__(self, request: NeutralRequest) -> None:
        self._tools = original_tool_names(request)
        self._custom = custom_tool_names(request)
        self._started = False
        self._choices: dict[int, BlockSequencer] = {}
        self._holds_back = False  # whether text of the first choice must wait for a tool call or a proof
        self._proofs: dict[int, ProofCollector] = {}
        self._last: object = 0  # the index or id of the latest tool call

    def decode(self, chunk: Mapping[str, Any]) -> Iterable[Event]:
        """Return the events in `chunk`."""
        if self._started and not self._holds_back and (words := _only_text(chunk)):
            return (TextDelta(words),)
        events: list[Event] = []
        if not self._started:
            self._started = True
            model, created, id_ = chunk.get("model"), chunk.get("created"), chunk.get("id")
            events.append(
                Started(
                    id_ if isinstance(id_, str) else None,
                    model if isinstance(model, str) else None,
                    created if isinstance(created, int) else None,
                )
            )
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                events += self._choice(choice)
        if (usage := usage_of(chunk)).known:
            events.append(UsageReport(usage))
        return events

    def end(self) -> Iterable[Event]:
        """Return the events that were held back."""
        return [event for blocks in self._choices.values() for event in blocks.end()]

    def _choice(self, choice: Mapping[str, Any]) -> list[Event]:
        index = choice.get("index")
        index = index if isinstance(index, int) else 0
        blocks = self._choices.get(index)
        if blocks is None:
            blocks = self._choices[index] = BlockSequencer(self._tools, self._custom)
            self._proofs[index] = ProofCollector(index)
        proofs = self._proofs[index]
        events: list[Event] = []
        delta = choice.get("delta")
        if isinstance(delta, dict):
            proofs.add(delta)
            for event in (*_content(delta, index, choice), *_annotations(delta, index)):
                if not isinstance(event, ReasoningDelta):
                    for proof in proofs.take():
                        events += blocks.add_event(proof)
                events += blocks.add_event(event)
            calls = delta.get("tool_calls")
            for call in calls if isinstance(calls, list) else ():
                if isinstance(call, dict):
                    events += self._call(call, index, blocks)
            if isinstance(function := delta.get("function_call"), dict):  # from before there were tools
                events += self._call({"id": "function_call", "function": function}, index, blocks)
        if not is_absent(reason := choice.get("finish_reason")):
            events += (*blocks.end(), *proofs.take(), Finish(finish_reason(reason), index))
        if index == 0:
            self._holds_back = blocks.in_call or proofs.pending
        return events

    def _call(self, call: Mapping[str, Any], choice: int, blocks: BlockSequencer) -> list[Event]:
        function, place, id_ = call.get("function"), call.get("index"), call.get("id")
        function = function if isinstance(function, dict) else {}
        name, arguments = function.get("name"), function.get("arguments")
        name = name if isinstance(name, str) else ""
        if isinstance(arguments, dict):  # some providers send an object
            arguments = dump(arguments).decode()
        arguments = arguments if isinstance(arguments, str) else ""
        self._last = place = place if isinstance(place, int) else id_ if isinstance(id_, str) and id_ else self._last
        is_own_id = isinstance(id_, str) and id_ not in ("", "function_call")
        new = ToolCallStart(str(id_) if is_own_id else f"call_{secrets.token_hex(12)}", name, choice=choice)
        proofs = self._proofs[choice]
        proofs.add_call(new.id, call)
        events = [event for proof in proofs.take() for event in blocks.add_event(proof)]
        return events + blocks.add_call(place, id_, name, arguments, new)


def _content(delta: Mapping[str, Any], choice: int, container: Mapping[str, Any]) -> Iterator[Event]:
    """Yield the events of a delta other than tool calls: reasoning, text, a refusal."""
    thought, content, refusal = delta.get("reasoning_content"), delta.get("content"), delta.get("refusal")
    thought = thought or delta.get("reasoning") or details_text(delta)
    if thought and isinstance(thought, str):
        yield ReasoningDelta(thought, choice=choice)
    if content:
        for kind, text in read_parts(content):
            if kind == "reasoning":
                yield ReasoningDelta(text, choice=choice)
            elif kind == "refusal":
                yield RefusalDelta(text, choice)
            else:
                yield TextDelta(text, choice, _logprobs(container))
    if refusal and isinstance(refusal, str):
        yield RefusalDelta(refusal, choice)


def _only_text(chunk: Mapping[str, Any]) -> str | None:
    """Return the text of a chunk that holds nothing else, as nearly all do; else None."""
    choices = chunk.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or chunk.get("usage"):
        return None
    choice = choices[0]
    if not isinstance(choice, dict) or choice.get("index") or choice.get("finish_reason") or choice.get("logprobs"):
        return None
    delta = choice.get("delta")
    words = delta.get("content") if isinstance(delta, dict) and len(delta) == 1 else None
    return words if isinstance(words, str) else None


def _logprobs(choice: Mapping[str, Any]) -> Sequence[Mapping[str, Any]] | None:
    held = choice.get("logprobs")
    content = held.get("content") if isinstance(held, dict) else None
    return [each for each in content if isinstance(each, dict)] if isinstance(content, list) else None


def _annotations(delta: Mapping[str, Any], choice: int) -> Iterator[Event]:
    notes = delta.get("annotations")
    for note in notes if isinstance(notes, list) else ():
        match note:
            case {"type": "url_citation", "url_citation": dict(citation)}:
                yield AnnotationAdded({"type": "url_citation", **citation}, choice)


# --- Writing an answer ------------------------------------------------------------------------------------------------

_FINISH: Mapping[Reason, str] = {"refusal": "content_filter"}


class ChatWriter(ChunkWriter):
    """Writes neutral events as chat chunks."""

    def __init__(self, *, wants_usage: bool, created: int) -> None:
        super().__init__("chatcmpl", "chat.completion.chunk", wants_usage=wants_usage, created=created)
        self._calls: dict[int, int] = {}
        self._custom = False
        self._before = self._after = b""

    def write(self, event: Event) -> bytes:
        """Return the bytes of the chunk for `event`."""
        if type(event) is TextDelta and self._before and not event.choice and event.logprobs is None:
            return self._before + dump(event.text) + self._after
        return super().write(event)

    def chunk(self, event: Event) -> dict[str, Any] | None:
        """Return the chunk for `event`, None if chat has none."""
        match event:
            case Started():
                super().chunk(event)
                shell = sse.encode(dump(self._chunk(0, {"content": "\0"})))
                self._before, _, self._after = shell.partition(rb'"\u0000"')
                # Null, not empty: a whole answer of tool calls only has no text either.
                return self._chunk(0, {"role": "assistant", "content": None})
            case TextDelta():
                more = {"logprobs": {"content": list(event.logprobs), "refusal": None}} if event.logprobs else {}
                return self._chunk(event.choice, {"content": event.text}, **more)
            case ReasoningDelta():
                return self._chunk(event.choice, {"reasoning_content": event.text})
            case RefusalDelta():
                return self._chunk(event.choice, {"refusal": event.text})
            case ToolCallStart():
                number = self._calls[event.choice] = self._calls.get(event.choice, -1) + 1
                self._custom = event.custom
                kind, word = ("custom", "input") if event.custom else ("function", "arguments")
                call = {"index": number, "id": event.id, "type": kind, kind: {"name": event.name, word: ""}}
                return self._chunk(event.choice, {"tool_calls": [call]})
            case ToolCallDelta():
                kind, word = ("custom", "input") if self._custom else ("function", "arguments")
                call = {"index": self._calls.get(event.choice, 0), kind: {word: event.arguments}}
                return self._chunk(event.choice, {"tool_calls": [call]})
            case AnnotationAdded(annotation={"type": "url_citation"}):
                cited = {key: value for key, value in event.annotation.items() if key != "type"}
                note = {"type": "url_citation", "url_citation": cited}
                return self._chunk(event.choice, {"annotations": [note]})
            case Finish():
                return self._chunk(event.choice, {}, finish_reason=_FINISH.get(event.reason, event.reason))
            case UsageReport() | ReasoningProof() | AnnotationAdded():  # chat has no field for proofs or file citations
                return super().chunk(event)

    def _chunk(self, choice: int, delta: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        return self._of({"index": choice, "delta": delta, "finish_reason": None, **more})


def whole(events: Iterable[Event], created: int) -> bytes:
    """Return the whole completion that consists of `events`."""
    writer, assembler = ChatWriter(wants_usage=True, created=created), ChatAssembler()
    for event in events:
        if (chunk := writer.chunk(event)) is not None:
            assembler.add(chunk)
    assembler.add(writer.usage_chunk())
    completion = assembler.answer()
    for choice in completion["choices"]:
        message = choice["message"]
        message["content"] = message["content"] or None
        message.setdefault("refusal", None)
    return dump(completion)

"""Write neutral events as an answer in Gemini's format.

Every chunk of a stream is a response of its own, with one candidate. A call is complete in one part, so its arguments
are collected; the last chunk has the finish reason, the last call, and the usage. Thoughts are shown to callers that
ask for them. A proof of reasoning travels in the `thoughtSignature` of the part after it, sealed, which Gemini's
clients send back. Cited pages become `groundingMetadata`.
"""

import base64
import json
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from vibe_router.core.errors import ApiError
from vibe_router.core.usage import Usage
from vibe_router.formats.common import sse
from vibe_router.formats.common.json_body import dump, is_truncated
from vibe_router.formats.common.seal import wrap
from vibe_router.formats.gemini.errors import error_body
from vibe_router.formats.gemini.request import GeminiRequest
from vibe_router.formats.interfaces import ClientRequest
from vibe_router.formats.neutral.model import (
    AnnotationAdded,
    Event,
    Finish,
    Reason,
    ReasoningDelta,
    ReasoningProof,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)

__all__ = ["GeminiWriter", "join_parts", "usage_fields", "whole"]

_REASONS: Mapping[Reason, str] = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
    "refusal": "SAFETY",
}
_MALFORMED = "MALFORMED_FUNCTION_CALL"


class _Candidate:
    """One candidate of an answer while it is written."""

    def __init__(self) -> None:
        self.call: ToolCallStart | None = None  # the open one
        self.arguments: list[str] = []
        self.thoughts: list[str] = []  # since the last proof, which may sign them
        self.thought_part = 0
        self.seals: list[str] = []  # to be sent with the next part
        self.held: list[dict[str, Any]] = []  # the last call, which the finish reason joins
        self.reason: str | None = None
        self.pages: list[dict[str, Any]] = []
        self.tokens: list[Mapping[str, Any]] = []  # log probabilities

    @property
    def is_plain(self) -> bool:
        """Return whether a text needs nothing before it."""
        return self.call is None and not self.held and not self.seals

    def signed(self, part: dict[str, Any]) -> dict[str, Any]:
        """Return `part` with the proofs of the reasoning before it, in base64 as Google's clients expect."""
        if self.seals:
            part["thoughtSignature"] = base64.b64encode(" ".join(self.seals).encode(errors="replace")).decode()
            self.seals = []
        return part

    def end_call(self) -> list[dict[str, Any]]:
        """Return the parts that were held, and hold the call that ends now."""
        if self.call is None:
            return []
        ready, call, text = self.held, self.call, "".join(self.arguments)
        self.held, self.call, self.arguments = [], None, []
        try:
            arguments = json.loads(text) if text.strip() else {}
        except (ValueError, RecursionError):
            arguments = None
        if isinstance(arguments, dict):
            self.held = [self.signed({"functionCall": {"id": call.id, "name": call.name, "args": arguments}})]
        else:  # no client runs part of a call
            self.reason = "MAX_TOKENS" if is_truncated(text) else _MALFORMED
        return ready


class GeminiWriter:
    """Writes neutral events as responses: one per chunk of the stream."""

    def __init__(self, request: ClientRequest) -> None:
        caller = request if isinstance(request, GeminiRequest) else None
        self._events = caller is None or caller.events
        self._shows_thoughts = caller is not None and caller.shows_thoughts
        self._model = request.model
        self._id = secrets.token_hex(12)
        self._usage = Usage()
        self._candidates: dict[int, _Candidate] = {}
        self._written = False
        self._text_frames: dict[int, tuple[bytes, bytes]] = {}

    def write(self, event: Event) -> bytes:
        """Return the bytes for `event`."""
        if type(event) is TextDelta and self._written and not event.logprobs and event.text:
            candidate = self._candidates.get(event.choice)
            if candidate is not None and candidate.is_plain:  # nearly all of them
                before, after = self._text_frame(event.choice)
                return before + dump(event.text) + after
        return b"".join([self._framed(dump(chunk)) for chunk in self.chunks(event)])

    def _text_frame(self, index: int) -> tuple[bytes, bytes]:
        """Return what is written before and after a text of the candidate `index`."""
        frame = self._text_frames.get(index)
        if frame is None:
            [sample] = self._responses(index, [{"text": "\0"}])
            before, _, after = self._framed(dump(sample)).partition(rb'"\u0000"')
            frame = self._text_frames[index] = (before, after)
        return frame

    def chunks(self, event: Event) -> list[dict[str, Any]]:
        """Return the same as JSON."""
        match event:
            case Started(id=id_, model=model):
                self._id, self._model = id_ or self._id, model or self._model
                return []
            case UsageReport(usage=usage):
                self._usage = usage
                return []
        index = event.choice
        candidate = self._candidates.setdefault(index, _Candidate())
        match event:
            case ToolCallDelta(arguments=more):
                candidate.arguments.append(more)
                return []
            case Finish(reason=reason):
                parts = candidate.end_call()
                candidate.reason = candidate.reason or _REASONS[reason]
                return self._responses(index, parts)
            case ReasoningProof():
                if seal := event.seal("".join(candidate.thoughts)):
                    candidate.seals.append(wrap(seal))
                candidate.thoughts = []
                return []
            case AnnotationAdded(annotation={"type": "url_citation", "url": str(url)}):
                candidate.pages.append({"web": {"uri": url, "title": event.annotation.get("title") or url}})
                return []
            case AnnotationAdded():
                return []
        parts = candidate.end_call()
        parts += candidate.held
        candidate.held = []
        match event:
            case ToolCallStart():
                candidate.call = event
            case TextDelta(text=text) | RefusalDelta(text=text) if text:
                parts.append(candidate.signed({"text": text}))
                if isinstance(event, TextDelta) and event.logprobs:
                    candidate.tokens += event.logprobs
            case ReasoningDelta(text=text):
                if candidate.thoughts and event.part != candidate.thought_part:
                    text = f"\n\n{text}"
                candidate.thought_part = event.part
                candidate.thoughts.append(text)
                if self._shows_thoughts and text:
                    parts.append({"text": text, "thought": True})
        return self._responses(index, parts)

    def ending(self) -> dict[str, Any]:
        """Return the last response: finish reasons, what was held, and the usage."""
        candidates = []
        for index, candidate in sorted((self._candidates or {0: _Candidate()}).items()):
            parts = [*candidate.end_call(), *candidate.held]
            last = self._candidate(index, parts or [candidate.signed({"text": ""})])
            last["finishReason"] = candidate.reason or "STOP"
            if candidate.seals:
                last["content"]["parts"].append(candidate.signed({"text": ""}))
            if candidate.pages:
                last["groundingMetadata"] = {"groundingChunks": candidate.pages}
            if candidate.tokens:
                last |= _logprobs(candidate.tokens)
            candidates.append(last)
        return {"candidates": candidates, "usageMetadata": usage_fields(self._usage), **self._identity()}

    def end(self) -> bytes:
        """Return the last response, and the end of an array."""
        return self._framed(dump(self.ending())) + (b"" if self._events else b"]")

    def fail(self, error: ApiError) -> bytes:
        """Return the error that ends a failed stream."""
        return self._framed(error_body(error)) + (b"" if self._events else b"]")

    def _responses(self, index: int, parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"candidates": [self._candidate(index, parts)], **self._identity()}] if parts else []

    def _candidate(self, index: int, parts: list[dict[str, Any]]) -> dict[str, Any]:
        return {"content": {"parts": parts, "role": "model"}, "index": index}

    def _identity(self) -> dict[str, Any]:
        return {"modelVersion": self._model, "responseId": self._id}

    def _framed(self, response: bytes) -> bytes:
        """Return one response as an event, or as an element of the array."""
        first, self._written = not self._written, True
        if self._events:
            return sse.encode(response)
        return (b"[" if first else b",\n") + response


def whole(request: ClientRequest, events: Iterable[Event]) -> bytes:
    """Return the whole answer that consists of `events`, with neighbouring texts joined."""
    writer = GeminiWriter(request)
    contents: dict[int, list[dict[str, Any]]] = {}
    for event in events:
        for chunk in writer.chunks(event):
            for candidate in chunk["candidates"]:
                join_parts(contents.setdefault(candidate["index"], []), candidate["content"]["parts"])
    answer = writer.ending()
    for candidate in answer["candidates"]:
        parts = contents.setdefault(candidate["index"], [])
        last = [part for part in candidate["content"]["parts"] if part != {"text": ""}]
        join_parts(parts, last)
        candidate["content"]["parts"] = parts or [{"text": ""}]
    return dump(answer)


def join_parts(parts: list[dict[str, Any]], more: Iterable[dict[str, Any]]) -> None:
    """Append `more` to `parts`; neighbouring texts become one."""
    for part in more:
        before = parts[-1] if parts else {}
        is_text = "text" in part and "text" in before and "thoughtSignature" not in part
        if is_text and part.get("thought") == before.get("thought"):
            before["text"] += part["text"]
        else:
            parts.append(part)


def usage_fields(usage: Usage) -> dict[str, Any]:
    """Return `usage` as Gemini reports it: thoughts are counted beside the candidates."""
    thoughts, completion = usage.reasoning_tokens or 0, usage.completion_tokens or 0
    fields: dict[str, Any] = {
        "promptTokenCount": usage.prompt_tokens or 0,
        "candidatesTokenCount": max(completion - thoughts, 0),
        "totalTokenCount": usage.total_tokens,
    }
    if thoughts:
        fields["thoughtsTokenCount"] = thoughts
    if usage.cached_tokens:
        fields["cachedContentTokenCount"] = usage.cached_tokens
    return fields


def _logprobs(tokens: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the log probabilities of a candidate; `tokens` are OpenAI's objects."""

    def entry(token: Mapping[str, Any]) -> dict[str, Any]:
        return {"token": token.get("token"), "logProbability": token.get("logprob")}

    chosen = [entry(token) for token in tokens]
    tops = [
        {"candidates": [entry(each) for each in top if isinstance(each, Mapping)]}
        for token in tokens
        if isinstance(top := token.get("top_logprobs") or [], list)
    ]
    values = [value for token in chosen if isinstance(value := token["logProbability"], int | float)]
    average = {"avgLogprobs": sum(values) / len(values)} if values else {}
    return {**average, "logprobsResult": {"chosenCandidates": chosen, "topCandidates": tops}}

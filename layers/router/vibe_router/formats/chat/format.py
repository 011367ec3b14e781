"""Chat completions: the caller's request, and a provider's answer to it, streamed or whole.

Shapes: OpenAI's API reference, "Chat Completions" and "Streaming".
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vibe_router.core.errors import ApiError, bad_request, error_body
from vibe_router.core.usage import Usage, read_chat
from vibe_router.formats.chat.assembly import ChatAssembler
from vibe_router.formats.common import sse
from vibe_router.formats.common.fields import Types, check_conversation
from vibe_router.formats.common.json_body import dump, load, parse_object
from vibe_router.formats.common.tags import take_tags
from vibe_router.formats.common.token_estimate import estimate
from vibe_router.formats.interfaces import (
    AnswerDecoder,
    ClientRequest,
    Piece,
    ProofFilter,
    RequestDefaults,
    StreamWriter,
)

if TYPE_CHECKING:
    from vibe_router.formats.neutral.model import Event, NeutralRequest

__all__ = [
    "CHAT",
    "DONE",
    "PATH",
    "ChatRequest",
    "ChatStreamReader",
    "error_event",
    "parse",
    "read_choices",
    "read_whole",
    "unfold",
    "usage_of",
]

PATH = "/chat/completions"
DONE = b"data: [DONE]\n\n"

# What every provider takes for granted; anything that is not here goes on as sent.
_TYPES: Types = {
    "model": ((str,), "a string"),
    "messages": ((list,), "an array"),
    "stream": ((bool,), "a boolean"),
    "stream_options": ((dict,), "an object"),
    "temperature": ((int, float), "a number"),
    "top_p": ((int, float), "a number"),
    "max_tokens": ((int,), "an integer"),
    "max_completion_tokens": ((int,), "an integer"),
    "n": ((int,), "an integer"),
    "stop": ((str, list), "a string or an array"),
    "tools": ((list,), "an array"),
    "tool_choice": ((str, dict), "a string or an object"),
    "response_format": ((dict,), "an object"),
}


# What a first delta may say before there is anything to show.
_NO_CONTENT = frozenset({"role", "name", "id"})


@dataclass(frozen=True, slots=True)
class ChatRequest(RequestDefaults):
    """A caller's request, checked. `body` is what was sent; the router owns `model`, `stream` and `include_usage`."""

    model: str
    stream: bool
    include_usage: bool
    body: Mapping[str, Any]
    tags: tuple[str, ...] = ()
    _neutral: list["NeutralRequest"] = field(default_factory=list, repr=False, compare=False)

    @property
    def format(self) -> str:
        """Return the format's name."""
        return "chat"

    @property
    def wants_usage(self) -> bool:
        """Return whether the caller asked for a usage chunk."""
        return self.include_usage

    @property
    def max_output_tokens(self) -> int | None:
        """Return the caller's bound on an answer."""
        bound = self.body.get("max_completion_tokens") or self.body.get("max_tokens")
        return bound if isinstance(bound, int) and bound > 0 else None

    @property
    def answers(self) -> int:
        """Return how many answers are to be chosen from."""
        return max(self.body.get("n") or 1, 1)

    def neutral(self) -> "NeutralRequest":
        """Return the request in the neutral form. Raises ApiError (400) for what chat has no word for."""
        if not self._neutral:
            from vibe_router.formats.chat import neutral as chat_neutral

            self._neutral.append(chat_neutral.read(self.body))
        return self._neutral[0]

    def prompt_tokens_estimate(self) -> int:
        """Return about how many tokens the prompt is."""
        return estimate([self.body["messages"], self.body.get("tools") or []])

    def affinity(self) -> bytes:
        """Return what stays while a conversation grows: a digest of its messages up to the first user's.

        Raises ApiError (400), as `for_provider` would.
        """
        opening: list[object] = []
        for message in self.body["messages"]:
            opening.append(message)
            if message["role"] == "user":
                break
        return hashlib.blake2b(dump(opening), digest_size=16).digest()

    def for_provider(self, model: str, *, stream: bool, keep: ProofFilter | None = None) -> bytes:  # noqa: ARG002 - no proofs
        """Return the body for a provider's `model`. Usage is always asked for. Raises ApiError (400)."""
        body = {**self.body, "model": model, "stream": stream}
        if stream:
            body["stream_options"] = {**(self.body.get("stream_options") or {}), "include_usage": True}
        else:
            body.pop("stream_options", None)  # OpenAI refuses it without a stream
        return dump(body)


def parse(raw: bytes) -> ChatRequest:
    """Return the request in `raw`. Raises ApiError (400) with the parameter that is wrong."""
    body = parse_object(raw)
    tags = take_tags(body)
    check_conversation(body, _TYPES)
    include_usage = (body.get("stream_options") or {}).get("include_usage") or False
    if not isinstance(include_usage, bool):
        raise bad_request("'stream_options.include_usage' must be a boolean.", "stream_options.include_usage")
    return ChatRequest(body["model"], bool(body.get("stream")), include_usage, body, tags)


@dataclass(slots=True)
class ChatStreamReader:
    """Reads a provider's stream event by event, and remembers how far it got."""

    wants_usage: bool
    usage: Usage = field(default_factory=Usage)
    malformed: int = 0
    done: bool = False
    _open: set[object] = field(default_factory=set)
    _finished: set[object] = field(default_factory=set)

    @property
    def seals(self) -> Sequence[str]:
        """Return nothing: chat has no proofs of reasoning."""
        return ()

    @property
    def complete(self) -> bool:
        """Whether an end here is a whole answer: every choice that began gave its finish reason.

        `[DONE]` alone does not make it one: New API sends it after a stream that its own upstream cut.
        """
        return (self.done or bool(self._finished)) and not self._open - self._finished

    def read(self, event: sse.Event) -> Piece:
        """Return what `event` means."""
        data = event.data
        if data is None:
            return Piece(event.raw)
        if data.strip() == b"[DONE]":
            self.done = True
            return Piece(DONE if self.complete else b"", done=True)
        try:
            chunk = load(data)
        except ValueError:
            chunk = None
        if not isinstance(chunk, dict):
            self.malformed += 1
            return Piece(b"", malformed=True)
        if chunk.get("error"):
            return Piece(b"", error=data, chunk=chunk)
        if event.name == b"error":
            return Piece(b"", error=dump({"error": chunk}), chunk=chunk)
        choices = chunk.get("choices")
        if chunk.get("usage"):
            self.usage = usage_of(chunk)
            if not choices and not self.wants_usage:
                return Piece(b"", chunk=chunk)
        return Piece(event.raw, commits=self._follow(choices), chunk=chunk)

    def end(self) -> bytes:
        """Return the `[DONE]` that a provider left out."""
        return b"" if self.done else DONE

    def fail(self, error: ApiError) -> bytes:
        """Return the in-band end of a stream that failed after its commit."""
        return error_event(error)

    def _follow(self, choices: object) -> bool:
        """Note which choices are open and finished; say whether any of them holds real content."""
        commits = False
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            index = choice.get("index", 0)
            self._open.add(index if isinstance(index, int) else 0)
            if choice.get("finish_reason"):
                self._finished.add(index if isinstance(index, int) else 0)
                commits = True
            commits |= self._says(choice)
        return commits

    def _says(self, choice: Mapping[str, Any]) -> bool:
        """Whether `choice` holds real content."""
        delta = choice.get("delta")
        return isinstance(delta, dict) and any(value for key, value in delta.items() if key not in _NO_CONTENT)


def usage_of(answer: Mapping[str, Any]) -> Usage:
    """Return the tokens that `answer` (a completion or a chunk) counts."""
    return read_chat(answer.get("usage"))


def read_whole(raw: bytes) -> dict[str, Any] | None:
    """Return the completion in `raw`, or None where it is none: not JSON, an error, or a choice without a message."""
    return read_choices(raw, "message", dict)


def read_choices(raw: bytes, name: str, kind: type) -> dict[str, Any] | None:
    """Return the answer in `raw` whose every choice holds a `name` of this `kind`; None for what is no such answer."""
    try:
        answer = load(raw)
    except ValueError:
        return None
    if not isinstance(answer, dict) or answer.get("error"):
        return None
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        return None
    if not all(isinstance(choice, dict) and isinstance(choice.get(name), kind) for choice in choices):
        return None
    return answer


def unfold(answer: Mapping[str, Any], *, wants_usage: bool) -> list[bytes]:
    """Return a whole completion (as `read_whole` returns it) as the events of a stream.

    For a provider that did not stream when asked to.
    """
    base = {key: value for key, value in answer.items() if key not in ("choices", "usage")}
    base["object"] = "chat.completion.chunk"
    choices = [_as_chunk_choice(choice) for choice in answer["choices"]]
    events = [sse.encode(dump({**base, "choices": choices}))]
    if wants_usage and answer.get("usage"):
        events.append(sse.encode(dump({**base, "choices": [], "usage": answer["usage"]})))
    return [*events, DONE]


def _as_chunk_choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    delta = dict(choice["message"])
    calls = delta.get("tool_calls")
    if isinstance(calls, list):  # in a list the place counts: some providers number every call 0
        delta["tool_calls"] = [{**call, "index": i} for i, call in enumerate(calls) if isinstance(call, dict)]
    return {**{key: value for key, value in choice.items() if key != "message"}, "delta": delta}


def error_event(error: ApiError) -> bytes:
    """Return the in-band end of a stream that failed after its commit. No `[DONE]` follows it."""
    return sse.encode(error_body(error))


class _Chat:
    """Chat completions, from both sides (`ClientConversation` and `ProviderConversation`)."""

    name = "chat"
    path = PATH
    streams = True
    opaque = False
    heartbeat = sse.COMMENT
    error_body = staticmethod(error_body)
    read_whole = staticmethod(read_whole)
    usage_of = staticmethod(usage_of)
    unfold = staticmethod(unfold)
    assembly = ChatAssembler

    def parse(self, raw: bytes, _headers: Mapping[str, str]) -> ChatRequest:
        return parse(raw)

    def headers(self, secret: str) -> dict[str, str]:
        return {"authorization": f"Bearer {secret}"}

    def reader(self, *, wants_usage: bool) -> ChatStreamReader:
        return ChatStreamReader(wants_usage)

    def body(self, request: "NeutralRequest", model: str, *, stream: bool) -> bytes:
        from vibe_router.formats.chat import neutral as chat_neutral

        return chat_neutral.body(request, model, stream=stream)

    def decoder(self, request: "NeutralRequest") -> AnswerDecoder:
        from vibe_router.formats.chat import neutral as chat_neutral

        return chat_neutral.ChatDecoder(request)

    def writer(self, request: ClientRequest, created: int) -> StreamWriter:
        from vibe_router.formats.chat import neutral as chat_neutral

        return chat_neutral.ChatWriter(wants_usage=request.wants_usage, created=created)

    def whole(self, _request: ClientRequest, events: "Iterable[Event]", created: int) -> bytes:
        from vibe_router.formats.chat import neutral as chat_neutral

        return chat_neutral.whole(events, created)


CHAT = _Chat()

"""Messages: a caller's request in Anthropic's format, and a provider's answer in it, streamed or whole.

Shapes: Anthropic's API reference, "Messages" and "Streaming messages". What leads in and out of the neutral form is in
`messages_request` and `messages_answer`.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vibe_router.core.errors import ApiError, bad_request
from vibe_router.core.usage import Usage, count
from vibe_router.formats.common import sse
from vibe_router.formats.common.fields import Types, check_conversation
from vibe_router.formats.common.json_body import dump, load, parse_object
from vibe_router.formats.common.tags import take_tags
from vibe_router.formats.common.token_estimate import estimate
from vibe_router.formats.interfaces import Decoder, Keep, Piece, PlainlyAsked, Request, Writer
from vibe_router.formats.messages.assembly import Assembly

if TYPE_CHECKING:
    from vibe_router.formats.neutral import model as neutral

__all__ = [
    "COUNT_PATH",
    "MESSAGES",
    "PATH",
    "MessagesRequest",
    "StreamReader",
    "calls_without_thought",
    "error_body",
    "error_event",
    "event",
    "parse",
    "parse_count",
    "read_usage",
    "read_whole",
    "unfold",
    "usage_of",
]

PATH = "/messages"
COUNT_PATH = "/messages/count_tokens"

_VERSION = "2023-06-01"  # the only one that Anthropic's reference knows
_PASSED_HEADERS = ("anthropic-version", "anthropic-beta")
_OWN_KEY = "sk-ant-"

# What every provider takes for granted; anything that is not here goes on as sent.
_TYPES: Types = {
    "model": ((str,), "a string"),
    "messages": ((list,), "an array"),
    "max_tokens": ((int,), "an integer"),
    "stream": ((bool,), "a boolean"),
    "system": ((str, list), "a string or an array"),
    "temperature": ((int, float), "a number"),
    "top_p": ((int, float), "a number"),
    "top_k": ((int,), "an integer"),
    "stop_sequences": ((list,), "an array"),
    "tools": ((list,), "an array"),
    "tool_choice": ((dict,), "an object"),
    "thinking": ((dict,), "an object"),
    "output_config": ((dict,), "an object"),
    "metadata": ((dict,), "an object"),
}
_NOT_COUNTED = frozenset({"stream", "max_tokens"})  # refused by who counts
_ROLES = frozenset({"user", "assistant", "system"})


@dataclass(frozen=True, slots=True)
class MessagesRequest(PlainlyAsked):
    """A caller's request, checked. `body` is what was sent; the router owns `model` and `stream`."""

    model: str
    stream: bool
    body: Mapping[str, Any]
    passed_headers: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    _neutral: list["neutral.Request"] = field(default_factory=list, repr=False, compare=False)

    @property
    def format(self) -> str:
        """Return the format's name."""
        return "messages"

    @property
    def wants_usage(self) -> bool:
        """Return True: a message always tells its usage."""
        return True

    @property
    def max_output_tokens(self) -> int | None:
        """Return the caller's bound on the answer."""
        bound = self.body.get("max_tokens")
        return bound if isinstance(bound, int) and bound > 0 else None

    @property
    def thinks(self) -> bool:
        """Whether the caller asked for thinking, and so knows what to do with it."""
        return (self.body.get("thinking") or {}).get("type") not in (None, "disabled")

    @property
    def shows_thinking(self) -> bool:
        """Whether the caller wants to read the thinking, and not only to give it back."""
        return self.thinks and self.body["thinking"].get("display") != "omitted"

    def prompt_tokens_estimate(self) -> int:
        """Return about how many tokens the prompt is."""
        return estimate([self.body.get(name) or [] for name in ("system", "messages", "tools")])

    def affinity(self) -> bytes:
        """Return what stays while a conversation grows: a digest of its messages up to the first user's.

        Without the marks for caching, which wander to the end. Raises ApiError (400), as `for_provider` would.
        """
        opening: list[object] = []
        for message in self.body["messages"]:
            opening.append((message["role"], _unmarked(message.get("content"))))
            if message["role"] == "user":
                break
        return hashlib.blake2b(dump(opening), digest_size=16).digest()

    def for_provider(self, model: str, *, stream: bool, keep: Keep | None = None) -> bytes:
        """Return the body for a provider's `model`, with the thinking that `keep` keeps. Raises ApiError (400).

        Thinking that nobody signed is left out too. What is left may be a turn of tool calls without its thinking, as
        is one of a layer that did not think; there Anthropic refuses to think by a budget, and is not asked to.
        """
        body = {**self.body, "model": model, "stream": stream}
        if keep:
            if (said := _kept_messages(body["messages"], keep)) is not None:
                body["messages"] = said
            if (body.get("thinking") or {}).get("type") == "enabled" and calls_without_thought(body["messages"]):
                _stop_thinking(body)
        return dump(body)

    def for_counting(self, model: str) -> bytes:
        """Return the body that has a provider count the tokens. Raises ApiError (400)."""
        return dump({**{key: value for key, value in self.body.items() if key not in _NOT_COUNTED}, "model": model})

    def neutral(self) -> "neutral.Request":
        """Return the request in the neutral form. Raises ApiError (400) for what is no request of this format."""
        if not self._neutral:
            from vibe_router.formats.messages import neutral_request as messages_request

            self._neutral.append(messages_request.read(self.body))
        return self._neutral[0]


def _kept_messages(said: Sequence[Mapping[str, Any]], keep: Keep) -> list[Mapping[str, Any]] | None:
    """Return the messages with the thinking that `keep` keeps; None where that changes nothing."""
    changed = False
    kept: list[Mapping[str, Any]] = []
    for message in said:
        content = message.get("content")
        if message["role"] == "assistant" and isinstance(content, list):
            blocks = [left for block in content if (left := _kept_block(block, keep)) is not None]
            if len(blocks) != len(content) or any(a is not b for a, b in zip(blocks, content, strict=True)):
                changed = True
                if not blocks:
                    continue
                message = {**message, "content": blocks}  # noqa: PLW2901 - the same, without what others thought
        kept.append(message)
    return kept if changed else None


_PROOFS = {"thinking": "signature", "redacted_thinking": "data"}


def _kept_block(block: Any, keep: Keep) -> Any:
    kind = block.get("type") if isinstance(block, dict) else None
    if kind == "text" and block.get("citations"):
        return _own_citations(block)
    if not isinstance(kind, str) or kind not in _PROOFS:
        return block
    word = block.get(_PROOFS[kind])
    seal = keep(word) if isinstance(word, str) and word else None
    if seal is None:
        return None
    if seal.value == word:
        return block
    if seal.kind == "redacted":
        return {"type": "redacted_thinking", "data": seal.value}
    return {"type": "thinking", "thinking": seal.text or block.get("thinking") or "", "signature": seal.value}


def _own_citations(block: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a text without the citations that another format's provider gave it, whose index Anthropic can't read."""
    cited = block["citations"]
    if not isinstance(cited, list):
        return block
    own = [each for each in cited if not (isinstance(each, dict) and each.get("encrypted_index") == "")]
    if len(own) == len(cited):
        return block
    rest = {key: value for key, value in block.items() if key != "citations"}
    return {**rest, "citations": own} if own else rest


def calls_without_thought(said: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the model's last turn called tools without a thought before it, which forbids thinking now."""
    last = next((each.get("content") for each in reversed(said) if each["role"] == "assistant"), None)
    kinds = [str(each.get("type")) for each in last if isinstance(each, dict)] if isinstance(last, list) else []
    return "tool_use" in kinds and kinds[0] not in _PROOFS


def _stop_thinking(body: dict[str, Any]) -> None:
    del body["thinking"]
    managed = body.get("context_management")
    if isinstance(managed, dict) and isinstance(edits := managed.get("edits"), list):
        # Clearing thinking is refused where there is none.
        left = [
            edit for edit in edits if not str(isinstance(edit, dict) and edit.get("type")).startswith("clear_think")
        ]
        body["context_management"] = {**managed, "edits": left}


def _unmarked(content: object) -> object:
    if not isinstance(content, list):
        return content
    return [
        {key: value for key, value in block.items() if key != "cache_control"} if isinstance(block, dict) else block
        for block in content
    ]


def parse(raw: bytes, headers: Mapping[str, str]) -> MessagesRequest:
    """Return the request in `raw`. Raises ApiError (400) with the parameter that is wrong."""
    request = parse_count(raw, headers)
    bound = request.body.get("max_tokens")
    if bound is None:
        raise bad_request("'max_tokens' is missing.", "max_tokens")
    if bound < 0:
        raise bad_request("'max_tokens' must not be negative.", "max_tokens")
    return request


def parse_count(raw: bytes, headers: Mapping[str, str]) -> MessagesRequest:
    """Return the request in `raw`, which need not bound its answer: it may be there to be counted.

    Raises ApiError (400) with the parameter that is wrong.
    """
    body = parse_object(raw)
    tags = take_tags(body)
    check_conversation(body, _TYPES)
    for index, message in enumerate(body["messages"]):
        if message["role"] not in _ROLES:
            raise bad_request(f"'messages[{index}].role' must be user, assistant or system.", f"messages[{index}].role")
    passed = {name: headers[name] for name in _PASSED_HEADERS if name in headers}
    return MessagesRequest(body["model"], bool(body.get("stream")), body, passed, tags)


# --- A provider's stream ----------------------------------------------------------------------------------------------

# Kinds of deltas and of blocks, and the member without which they say nothing; all others say something.
_SAYING = {
    "text": "text",
    "thinking": "thinking",
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
}


@dataclass(slots=True)
class StreamReader:
    """Reads a provider's stream event by event, and remembers how far it got."""

    malformed: int = 0
    done: bool = False
    complete: bool = False  # whether an end here is a whole answer: the message said why it stopped
    seals: list[str] = field(default_factory=list)
    _counts: dict[str, Any] = field(default_factory=dict)

    @property
    def usage(self) -> Usage:
        """What the provider has counted so far."""
        return read_usage(self._counts)

    def read(self, event: sse.Event) -> Piece:
        """Return what `event` means."""
        data = event.data
        if data is None:
            return Piece(event.raw)
        try:
            chunk = load(data)
        except ValueError:
            chunk = None
        if not isinstance(chunk, dict):
            if data.strip() == b"[DONE]":  # some relays end every stream as chat's ends
                return Piece(b"")
            self.malformed += 1
            return Piece(b"", malformed=True)
        kind = chunk.get("type")
        if kind == "error" or chunk.get("error"):
            return Piece(b"", error=data, chunk=chunk)
        if event.name == b"error":
            return Piece(b"", error=dump({"error": chunk}), chunk=chunk)
        raw = event.raw
        if not event.name and isinstance(kind, str):  # Anthropic's own clients look at nothing but the name
            raw = sse.encode(data, kind.encode(errors="replace"))
        match kind:
            case "content_block_delta":
                delta = chunk.get("delta")
                if isinstance(delta, dict) and "signature" in delta:
                    self._seal(delta["signature"])
                return Piece(raw, commits=_says_something(delta), chunk=chunk)
            case "content_block_start":
                block = chunk.get("content_block")
                if isinstance(block, dict):
                    self._seal(block.get("signature"))
                    self._seal(block.get("data") if block.get("type") == "redacted_thinking" else None)
                return Piece(raw, commits=_says_something(block), chunk=chunk)
            case "message_start":
                message = chunk.get("message")
                self._count(message.get("usage") if isinstance(message, dict) else None)
            case "message_delta":
                self._count(chunk.get("usage"))
                delta = chunk.get("delta")
                if isinstance(delta, dict) and delta.get("stop_reason"):
                    self.complete = True
                    return Piece(raw, commits=True, chunk=chunk)
            case "message_stop":
                self.done = True
                return Piece(raw if self.complete else b"", done=True, chunk=chunk)
        return Piece(raw, chunk=chunk)

    def end(self) -> bytes:
        """Return the `message_stop` that a provider left out."""
        return b"" if self.done else event({"type": "message_stop"})

    def fail(self, error: ApiError) -> bytes:
        """Return the in-band end of a stream that failed after its commit."""
        return error_event(error)

    def _seal(self, word: object) -> None:
        if isinstance(word, str) and word:
            self.seals.append(word)

    def _count(self, counts: object) -> None:
        if isinstance(counts, dict):  # a later total stands for the earlier ones, unless it is left at nothing
            self._counts |= {name: value for name, value in counts.items() if value or name not in self._counts}


def _says_something(said: object) -> bool:
    if not isinstance(said, dict):
        return False
    kind = said.get("type")
    return bool(said.get(_SAYING[kind])) if isinstance(kind, str) and kind in _SAYING else True


def read_usage(counts: object) -> Usage:
    """Return what the `usage` of a message counts; Anthropic's `input_tokens` are those that no cache held."""
    fresh = count(counts, "input_tokens")
    read, written = count(counts, "cache_read_input_tokens"), count(counts, "cache_creation_input_tokens")
    details = counts.get("output_tokens_details") if isinstance(counts, Mapping) else None
    return Usage(
        prompt_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        completion_tokens=count(counts, "output_tokens"),
        cached_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=count(details, "thinking_tokens"),
    )


def usage_of(answer: Mapping[str, Any]) -> Usage:
    """Return the tokens that a message counts."""
    return read_usage(answer.get("usage"))


def read_whole(raw: bytes) -> dict[str, Any] | None:
    """Return the message in `raw`, or None where it is none: no JSON, an error, or nothing said and no reason given."""
    try:
        answer = load(raw)
    except ValueError:
        return None
    if not isinstance(answer, dict) or answer.get("error") or answer.get("type") == "error":
        return None
    content = answer.get("content")
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        return None
    return answer if content or answer.get("stop_reason") else None


def unfold(answer: Mapping[str, Any]) -> list[bytes]:
    """Return a whole message (as `read_whole` returns it) as the events of a stream."""
    return [event(chunk) for chunk in _unfolded(answer)]


def _unfolded(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    ends = {key: answer[key] for key in ("stop_reason", "stop_sequence", "stop_details") if key in answer}
    ends.setdefault("stop_reason", "end_turn")
    begun: dict[str, Any] = {"content": [], **dict.fromkeys(ends), "type": "message", "role": "assistant"}
    usage = answer["usage"] if isinstance(answer.get("usage"), dict) else {}
    yield {"type": "message_start", "message": {**answer, **begun, "usage": {**usage, "output_tokens": 0}}}
    for index, block in enumerate(answer["content"]):
        start, deltas = _unfolded_block(block)
        yield {"type": "content_block_start", "index": index, "content_block": start}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    counts = {name: value for name, value in usage.items() if "tokens" in name}
    yield {"type": "message_delta", "delta": ends, "usage": counts}
    yield {"type": "message_stop"}


def _unfolded_block(block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    match block:
        case {"type": "text", "text": str(text)}:
            return {**block, "text": ""}, [{"type": "text_delta", "text": text}]
        case {"type": "thinking", "thinking": str(text)}:
            deltas: list[dict[str, Any]] = [{"type": "thinking_delta", "thinking": text}]
            if signature := block.get("signature"):
                deltas.append({"type": "signature_delta", "signature": signature})
            return {**block, "thinking": "", "signature": ""}, deltas
        case {"type": "tool_use" | "server_tool_use", "input": given}:
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": dump(given).decode()}]
    return dict(block), []


def event(chunk: Mapping[str, Any]) -> bytes:
    """Return `chunk` as the event that its `type` names."""
    return sse.encode(dump(chunk), str(chunk["type"]).encode())


# --- Errors -----------------------------------------------------------------------------------------------------------

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_TOO_LONG = "prompt is too long"  # the words by which Anthropic's clients know that a conversation must be shortened


def error_body(error: ApiError) -> bytes:
    """Return `error` in Anthropic's envelope, in JSON."""
    kind = _ERROR_TYPES.get(error.status) or ("invalid_request_error" if error.status < 500 else "api_error")
    message = error.message
    if error.code == "context_length_exceeded" and _TOO_LONG not in message.lower():
        message = f"{_TOO_LONG}: {message}"
    told = {key: value for key, value in (("param", error.param), ("code", error.code)) if value}
    named = {"request_id": error.request_id} if error.request_id else {}
    return dump({"type": "error", "error": {"type": kind, "message": message, **told, **error.details}, **named})


def error_event(error: ApiError) -> bytes:
    """Return the in-band end of a stream that failed after its commit. No `message_stop` follows it."""
    return sse.encode(error_body(error), b"error")


# --- The format -------------------------------------------------------------------------------------------------------


class _Messages:
    """Messages, from both sides (`wire.ClientConversation` and `wire.ProviderConversation`)."""

    name = "messages"
    path = PATH
    streams = True
    opaque = False
    heartbeat = event({"type": "ping"})
    parse = staticmethod(parse)
    error_body = staticmethod(error_body)
    read_whole = staticmethod(read_whole)
    usage_of = staticmethod(usage_of)
    assembly = Assembly

    def headers(self, secret: str) -> dict[str, str]:
        keys = {"x-api-key": secret}
        if not secret.startswith(_OWN_KEY):  # relays look at either; Anthropic takes a bearer for another kind of key
            keys["authorization"] = f"Bearer {secret}"
        return {"anthropic-version": _VERSION, **keys}

    def reader(self, *, wants_usage: bool) -> StreamReader:  # noqa: ARG002 - a message always tells its usage
        return StreamReader()

    def unfold(self, answer: Mapping[str, Any], *, wants_usage: bool) -> list[bytes]:  # noqa: ARG002 - as above
        return unfold(answer)

    def body(self, request: "neutral.Request", model: str, *, stream: bool) -> bytes:
        from vibe_router.formats.messages import neutral_request as messages_request

        return messages_request.body(request, model, stream=stream)

    def decoder(self, request: "neutral.Request") -> Decoder:
        from vibe_router.formats.messages import neutral_answer as messages_answer

        return messages_answer.Decoder(request)

    def writer(self, request: Request, created: int) -> Writer:  # noqa: ARG002 - a message has no date
        from vibe_router.formats.messages import neutral_answer as messages_answer

        return messages_answer.Writer(request)

    def whole(self, request: Request, events: "Iterable[neutral.Event]", created: int) -> bytes:  # noqa: ARG002
        from vibe_router.formats.messages import neutral_answer as messages_answer

        return messages_answer.whole(request, events)


MESSAGES = _Messages()

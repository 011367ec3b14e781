"""Responses: the caller's request, and a provider's answer to it, streamed or whole.

Shapes: OpenAI's API reference, "Responses" and its "Streaming events".
"""

import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vibe_router.core.errors import ApiError, bad_request, error_body
from vibe_router.core.usage import Usage, count
from vibe_router.formats.common import sse
from vibe_router.formats.common.fields import entries, integer, mapping, text, truth
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
    "ENDS",
    "ITEM_PREFIXES",
    "PATH",
    "RESPONSES",
    "ResponsesAssembler",
    "ResponsesRequest",
    "ResponsesStreamReader",
    "ending",
    "failed_event",
    "input_items",
    "item_id",
    "new_id",
    "parse",
    "read_whole",
    "response_of",
    "said_again",
    "unfold",
    "usage_of",
]

PATH = "/responses"


@dataclass(frozen=True, slots=True)
class ResponsesRequest(RequestDefaults):
    """A caller's request, checked. `body` is what was sent; the router owns `model` and `stream`.

    Where it goes on from a response, `before` is that one's id, and the body has all that was said up to there in its
    place (`after`). `said` is then the input as it is kept, ids and all.
    """

    model: str
    stream: bool
    body: Mapping[str, Any]
    before: str | None = None
    said: Sequence[Mapping[str, Any]] | None = None
    tags: tuple[str, ...] = ()
    _neutral: list["NeutralRequest"] = field(default_factory=list, repr=False, compare=False)

    @property
    def format(self) -> str:
        """Return the format's name."""
        return "responses"

    @property
    def wants_usage(self) -> bool:
        """Return True: the last event always tells the usage."""
        return True

    @property
    def max_output_tokens(self) -> int | None:
        """Return the caller's bound on the answer."""
        bound = self.body.get("max_output_tokens")
        return bound if isinstance(bound, int) and bound > 0 else None

    @property
    def references(self) -> list[str]:
        """The ids by which the input names items, instead of saying them."""
        return [id_ for item in input_items(self.body.get("input")) if (id_ := _reference(item))]

    def after(
        self, earlier: Sequence[Mapping[str, Any]] | None, named: Mapping[str, Mapping[str, Any]]
    ) -> "ResponsesRequest":
        """Return this request in full: after `earlier` items (None: it goes on from nothing), with those `named` by id.

        Both are as they were kept.
        """
        said: list[Mapping[str, Any]] = list(earlier or ())
        told = [again for item in said if (again := said_again(item)) is not None]
        for item in input_items(self.body.get("input")):
            meant = named.get(_reference(item) or "")
            again = item if meant is None else said_again(meant)
            said.append(item if meant is None else meant)
            told += [again] if again is not None else []
        body = {key: value for key, value in self.body.items() if key != "previous_response_id"}
        before = None if earlier is None else self.body.get("previous_response_id")
        return ResponsesRequest(self.model, self.stream, {**body, "input": told}, before, said, self.tags)

    def prompt_tokens_estimate(self) -> int:
        """Return about how many tokens the prompt is."""
        said = (self.body.get(name) for name in ("instructions", "input", "tools", "prompt"))
        return estimate([each for each in said if each])

    @property
    def repeated(self) -> Mapping[str, Any]:
        """Return which response it goes on from: that is the router's business."""
        return {"previous_response_id": self.before} if self.before else {}

    def affinity(self) -> bytes:
        """Return what stays while a conversation grows: a digest of its input up to the first user's message.

        Raises ApiError (400), as `for_provider` would.
        """
        opening: list[object] = [self.body.get("instructions")]
        said = self.body.get("input")
        for item in said if isinstance(said, list) else [said]:
            opening.append(item)
            if isinstance(item, str) or (isinstance(item, dict) and item.get("role") == "user"):
                break
        return hashlib.blake2b(dump(opening), digest_size=16).digest()

    def for_provider(self, model: str, *, stream: bool, keep: ProofFilter | None = None) -> bytes:
        """Return the body for a provider's `model`, with the encrypted reasoning that `keep` keeps.

        Raises ApiError (400).
        """
        body = {**self.body, "model": model, "stream": stream}
        said = body.get("input")
        if self.said is not None and isinstance(said, list):
            said = body["input"] = [item for item in said if not _is_words_of_thought(item)]
        if keep and isinstance(said, list):
            body["input"] = [kept for item in said if (kept := _kept(item, keep)) is not None]
        if not stream:
            body.pop("stream_options", None)  # OpenAI refuses it without a stream
        return dump(body)

    def neutral(self) -> "NeutralRequest":
        """Return the request in the neutral form. Raises ApiError (400) for what is no request."""
        if not self._neutral:
            from vibe_router.formats.responses import neutral as responses_neutral

            self._neutral.append(responses_neutral.read(self.body))
        return self._neutral[0]


def input_items(said: object) -> list[Mapping[str, Any]]:
    """Return an input as items: words alone are a user's message."""
    if isinstance(said, list):
        return said
    return [{"type": "message", "role": "user", "content": said}] if said else []


# Types of items that say all there is to say without their id → how ids of theirs begin, as OpenAI's do.
ITEM_PREFIXES: Mapping[str, str] = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
}
_RESPONSE = "resp_"
_ITEM_ID = re.compile(r"[a-z]+_([0-9a-f]{48})[0-9a-f]{4}")


def new_id() -> str:
    """Return the id of a new response."""
    return f"{_RESPONSE}{secrets.token_hex(24)}"


def item_id(prefix: str, response: str, number: int) -> str:
    """Return the id of an item of a response of the router's own; `response_of` finds the response by it."""
    return f"{prefix}_{response.removeprefix(_RESPONSE)}{number % 0x10000:04x}"


def response_of(item: str) -> str | None:
    """Return the id of the response that the item with the id `item` is of, if it is one of the router's own."""
    match = _ITEM_ID.fullmatch(item)
    return f"{_RESPONSE}{match[1]}" if match else None


def said_again(item: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return a kept item as a provider is told it again, without its id: only who made it could look that up.

    None for reasoning that is nothing but such an id.
    """
    kind = str(item.get("type"))
    if kind not in ITEM_PREFIXES or item.get("encrypted_content"):  # a proof, and a hosted tool's call, go by their id
        return item
    if kind == "reasoning" and not (item.get("summary") or item.get("content")):
        return None
    return {key: value for key, value in item.items() if key != "id"}


def _is_words_of_thought(item: Mapping[str, Any]) -> bool:
    """Whether `item` is reasoning that no provider of Responses could look up or read: words alone."""
    return item.get("type") == "reasoning" and not item.get("id") and not item.get("encrypted_content")


def _reference(item: Mapping[str, Any]) -> str | None:
    """Return the id that `item` consists of, None where it says more."""
    id_, kind = item.get("id"), item.get("type")
    bare = kind == "item_reference" or (kind is None and item.keys() <= {"type", "id"})
    return id_ if bare and isinstance(id_, str) else None


def _kept(item: Mapping[str, Any], keep: ProofFilter) -> Mapping[str, Any] | None:
    """Return an item of the input with what `keep` leaves of its proof; None for reasoning without any left."""
    word = item.get("encrypted_content")
    if item.get("type") != "reasoning" or not isinstance(word, str) or not word:
        return item
    seal = keep(word)
    if seal is None:
        return None
    return item if seal.value == word else {**item, "id": seal.id or item.get("id"), "encrypted_content": seal.value}


def parse(raw: bytes) -> ResponsesRequest:
    """Return the request in `raw`. Raises ApiError (400) with the parameter that is wrong."""
    body = parse_object(raw)
    tags = take_tags(body)
    model = text(body, "model")
    stream = truth(body, "stream") or False
    if not model:
        raise bad_request("'model' is missing.", "model")
    said = body.get("input")
    if said is not None and not isinstance(said, str | list):
        raise bad_request("'input' must be a string or an array.", "input")
    if said is None and not body.get("prompt"):
        raise bad_request("'input' is missing.", "input")
    for i, item in enumerate(said if isinstance(said, list) else ()):
        if not isinstance(item, dict):
            raise bad_request(f"'input[{i}]' must be an object.", f"input[{i}]")
    entries(body, "tools")
    integer(body, "max_output_tokens")
    truth(body, "store")
    if text(body, "previous_response_id") and body.get("conversation"):
        raise bad_request("'previous_response_id' and 'conversation' can't be used together.", "previous_response_id")
    for name in ("text", "reasoning", "stream_options"):
        mapping(body, name)
    if truth(body, "background"):
        raise bad_request("'background' must be false: answers are given while the caller waits.", "background")
    return ResponsesRequest(model, stream, body, tags=tags)


# --- Reading a stream -------------------------------------------------------------------------------------------------

ENDS = frozenset({"response.completed", "response.incomplete"})
_OPENINGS = frozenset({"response.created", "response.in_progress", "response.queued"})
_FAILURES = frozenset({"error", "response.failed", "response.cancelled"})


@dataclass(slots=True)
class ResponsesStreamReader:
    """Reads a provider's stream event by event, and remembers how far it got.

    `response` is the answer as it was last told: without content at first, whole at the end.
    """

    usage: Usage = field(default_factory=Usage)
    malformed: int = 0
    done: bool = False
    complete: bool = False
    response: Mapping[str, Any] = field(default_factory=dict)
    seals: list[str] = field(default_factory=list)
    _items: list[Mapping[str, Any]] = field(default_factory=list)
    _sequence: int = -1

    def read(self, event: sse.Event) -> Piece:
        """Return what `event` means."""
        data = event.data
        if data is None:
            return Piece(event.raw)
        if data.strip() == b"[DONE]":  # some relays end every stream as chat does
            self.done = True
            return Piece(b"", done=True)
        try:
            chunk = load(data)
        except ValueError:
            chunk = None
        if not isinstance(chunk, dict):
            self.malformed += 1
            return Piece(b"", malformed=True)
        kind = chunk.get("type")
        if not isinstance(kind, str):
            kind = event.name.decode(errors="replace")
        number = chunk.get("sequence_number")
        self._sequence = number if isinstance(number, int) else self._sequence + 1
        if kind in _FAILURES or (chunk.get("error") and not isinstance(chunk.get("response"), dict)):
            return Piece(b"", error=data, chunk=chunk)
        if kind in _OPENINGS or kind in ENDS:
            self._note(chunk.get("response"))
        if kind in ENDS:
            self.done = self.complete = True
            if not self.response.get("output"):  # some relays leave it out of the last event
                self.response = {**self.response, "output": self._items}
            return Piece(event.raw, commits=True, done=True, chunk=chunk)
        if kind == "response.output_item.done" and isinstance(item := chunk.get("item"), dict):
            self._items.append(item)
            word = item.get("encrypted_content")
            if isinstance(word, str) and word:
                self.seals.append(word)
        return Piece(event.raw, commits=_commits(kind, chunk), chunk=chunk)

    def end(self) -> bytes:
        """Return nothing: a whole stream has its last event."""
        return b""

    def fail(self, error: ApiError) -> bytes:
        """Return the in-band end of a stream that failed after its commit."""
        return failed_event(error, self.response, self._sequence + 1)

    def _note(self, response: object) -> None:
        if isinstance(response, dict):
            self.response = response
            if response.get("usage"):
                self.usage = usage_of(response)


def _commits(kind: str, chunk: Mapping[str, Any]) -> bool:
    """Whether this is real content: something said, thought or called, and not only announced."""
    if kind.endswith(".delta"):
        return bool(chunk.get("delta"))
    item = chunk.get("item")
    if kind == "response.output_item.added":
        return isinstance(item, dict) and item.get("type") not in ("message", "reasoning")
    return kind.endswith(".done")


def failed_event(error: ApiError, response: Mapping[str, Any], sequence: int) -> bytes:
    """Return the event that ends a stream in failure: `response.failed` once the response was begun, else `error`."""
    if not response.get("id"):
        told = {"type": "error", "code": error.code or error.type, "message": error.message, "param": error.param}
        return sse.encode(dump({**told, "sequence_number": sequence}), b"error")
    failure = {"code": "server_error", "message": f"{error.message} ({error.code or error.type})"}
    failed = {**response, "status": "failed", "error": failure}
    return sse.encode(
        dump({"type": "response.failed", "response": failed, "sequence_number": sequence}), b"response.failed"
    )


# --- Whole answers ----------------------------------------------------------------------------------------------------


def usage_of(answer: Mapping[str, Any]) -> Usage:
    """Return the tokens that a response counts."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return Usage()
    read, said = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    return Usage(
        prompt_tokens=count(usage, "input_tokens"),
        completion_tokens=count(usage, "output_tokens"),
        cached_tokens=count(read, "cached_tokens"),
        cache_write_tokens=count(read, "cache_write_tokens"),
        reasoning_tokens=count(said, "reasoning_tokens"),
        audio_prompt_tokens=count(read, "audio_tokens"),
        audio_completion_tokens=count(said, "audio_tokens"),
    )


def read_whole(raw: bytes) -> dict[str, Any] | None:
    """Return the response in `raw`, or None where it is none: not JSON, an error, failed, or without an output."""
    try:
        answer = load(raw)
    except ValueError:
        return None
    if not isinstance(answer, dict) or answer.get("error") or answer.get("status") in ("failed", "cancelled"):
        return None
    output = answer.get("output")
    return answer if isinstance(output, list) and all(isinstance(item, dict) for item in output) else None


class ResponsesAssembler:
    """Collects the events of a stream; `completion()` is the response that its last one holds.

    Some relays leave the output out of the last event: then it is what the items' own events told.
    """

    def __init__(self) -> None:
        self._response: dict[str, Any] = {}
        self._items: dict[int, Any] = {}

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Take one event in."""
        response, index = chunk.get("response"), chunk.get("output_index")
        if isinstance(response, dict):
            self._response = response
        elif chunk.get("type") == "response.output_item.done" and isinstance(index, int):
            self._items[index] = chunk.get("item")

    def completion(self) -> dict[str, Any]:
        """Return the response."""
        if self._response.get("output"):
            return self._response
        return {**self._response, "output": [item for _, item in sorted(self._items.items())]}


def unfold(answer: Mapping[str, Any], *, wants_usage: bool = True) -> list[bytes]:  # noqa: ARG001 - always told here
    """Return a whole response (as `read_whole` returns it) as the events of a stream.

    For a provider that did not stream when asked to.
    """
    begun = {**answer, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    said: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
    ]
    for index, item in enumerate(answer["output"]):
        said.extend((kind, {"output_index": index, **more}) for kind, more in _unfold_item(item))
    return [*(_numbered(kind, number, **more) for number, (kind, more) in enumerate(said)), ending(answer, len(said))]


def ending(answer: Mapping[str, Any], sequence: int) -> bytes:
    """Return the event that ends the stream of a whole response."""
    kind = "response.incomplete" if answer.get("status") == "incomplete" else "response.completed"
    return _numbered(kind, sequence, response=answer)


def _numbered(kind: str, sequence: int, **more: Any) -> bytes:
    return sse.encode(dump({"type": kind, **more, "sequence_number": sequence}), kind.encode())


def _unfold_item(item: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the events of one item of the output, in order."""
    place = {"item_id": item.get("id")}
    kind, empty = item.get("type"), {"status": "in_progress"}
    match kind:
        case "message" | "reasoning":
            bare: dict[str, Any] = {"content": []} if kind == "message" else {"summary": [], "content": []}
            yield "response.output_item.added", {"item": {**item, **empty, **bare}}
            for key, of in (("summary", "summary_index"), ("content", "content_index")):
                parts = item.get(key)
                for index, part in enumerate(parts if isinstance(parts, list) else ()):
                    if isinstance(part, dict):
                        yield from _unfold_part(part, {**place, of: index})
        case "function_call" | "custom_tool_call":
            word = "arguments" if kind == "function_call" else "input"
            event = "response.function_call_arguments" if kind == "function_call" else "response.custom_tool_call_input"
            yield "response.output_item.added", {"item": {**item, **empty, word: ""}}
            if item.get(word):
                yield f"{event}.delta", {**place, "delta": item[word]}
            yield f"{event}.done", {**place, word: item.get(word, "")}
        case _:
            yield "response.output_item.added", {"item": item}
    yield "response.output_item.done", {"item": item}


# A part's type → the stem of its text's events, and the key of its text.
_PARTS: Mapping[str, tuple[str, str]] = {
    "output_text": ("response.output_text", "text"),
    "refusal": ("response.refusal", "refusal"),
    "reasoning_text": ("response.reasoning_text", "text"),
    "summary_text": ("response.reasoning_summary_text", "text"),
}


def _unfold_part(part: Mapping[str, Any], place: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    frame = "response.reasoning_summary_part" if "summary_index" in place else "response.content_part"
    kind = part.get("type")
    if not isinstance(kind, str) or kind not in _PARTS:
        return
    stem, key = _PARTS[kind]
    words = part.get(key) or ""
    is_text = stem == "response.output_text"
    logprobs = {"logprobs": part.get("logprobs") or []} if is_text else {}
    empty: dict[str, Any] = {"annotations": [], "logprobs": []} if is_text else {}
    notes = part.get("annotations") if is_text else None
    yield f"{frame}.added", {**place, "part": {**part, **empty, key: ""}}
    if words:
        yield f"{stem}.delta", {**place, "delta": words, **logprobs}
    for number, note in enumerate(notes if isinstance(notes, list) else ()):
        yield f"{stem}.annotation.added", {**place, "annotation_index": number, "annotation": note}
    yield f"{stem}.done", {**place, key: words, **logprobs}
    yield f"{frame}.done", {**place, "part": part}


class _Responses:
    """Responses, from both sides (`ClientConversation` and `ProviderConversation`)."""

    name = "responses"
    path = PATH
    streams = True
    opaque = False
    heartbeat = sse.COMMENT
    error_body = staticmethod(error_body)
    read_whole = staticmethod(read_whole)
    usage_of = staticmethod(usage_of)
    unfold = staticmethod(unfold)
    assembly = ResponsesAssembler

    def parse(self, raw: bytes, _headers: Mapping[str, str]) -> ResponsesRequest:
        return parse(raw)

    def headers(self, secret: str) -> dict[str, str]:
        return {"authorization": f"Bearer {secret}"}

    def reader(self, *, wants_usage: bool) -> ResponsesStreamReader:  # noqa: ARG002 - always told here
        return ResponsesStreamReader()

    def body(self, request: "NeutralRequest", model: str, *, stream: bool) -> bytes:
        from vibe_router.formats.responses import neutral as responses_neutral

        return responses_neutral.body(request, model, stream=stream)

    def decoder(self, _request: "NeutralRequest") -> AnswerDecoder:
        from vibe_router.formats.responses import neutral as responses_neutral

        return responses_neutral.ResponsesDecoder()

    def writer(self, request: ClientRequest, created: int) -> StreamWriter:
        from vibe_router.formats.responses import writer as responses_writer

        return responses_writer.ResponsesWriter(request, created)

    def whole(self, request: ClientRequest, events: "Iterable[Event]", created: int) -> bytes:
        from vibe_router.formats.responses import writer as responses_writer

        return responses_writer.whole(request, events, created)


RESPONSES = _Responses()

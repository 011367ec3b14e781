"""The protocols that wire formats implement, for callers and for providers.

A caller speaks a `ClientFormat`, a provider a `ProviderFormat`; most formats are both. If the two are the same, bytes
pass unchanged and a `StreamReader` only observes them. If they differ, both must be conversations
(`ClientConversation`, `ProviderConversation`): the request is translated through the neutral form (`formats.neutral`)
into the provider's format, and the answer back: an `AnswerDecoder` reads the provider's stream into neutral events, a
`StreamWriter` writes them in the caller's format. `upstream.exchange` combines the two.

Everything here is pure: no clock, no socket, no table.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from vibe_router.core.errors import ApiError, bad_request
from vibe_router.core.usage import Usage
from vibe_router.formats.common import sse
from vibe_router.formats.common.seal import Seal

if TYPE_CHECKING:  # its classes cost a cold start milliseconds that a request which passes untouched does not need
    from vibe_router.formats.neutral.model import Event, NeutralRequest

__all__ = [
    "AnswerDecoder",
    "Assembler",
    "ClientConversation",
    "ClientFormat",
    "ClientRequest",
    "DecodedFormat",
    "Piece",
    "ProofFilter",
    "ProviderConversation",
    "ProviderFormat",
    "RequestDefaults",
    "StreamReader",
    "StreamWriter",
    "StreamedFormat",
    "WholeAnswer",
]


# Takes a proof of earlier reasoning as the caller sent it; returns the seal to send to the provider, None for nothing.
ProofFilter = Callable[[str], Seal | None]


class Piece(NamedTuple):  # made for every event of every stream: a frozen dataclass takes four times as long
    """One event of a provider's stream, interpreted.

    `raw`: the bytes for the caller, empty for none. `chunk`: the event's JSON, if any. `commits`: it holds real
    content. `error`: the JSON of an in-stream error. `done`: the stream has ended.
    """

    raw: bytes
    commits: bool = False
    done: bool = False
    malformed: bool = False
    error: bytes | None = None
    chunk: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    """A whole answer: the bytes for the caller, and the usage."""

    body: bytes
    usage: Usage
    seals: Sequence[str] = ()  # the proofs of reasoning in it
    content_type: str = "application/json"


class ClientRequest(Protocol):
    """A caller's request. The fields that the router reads have been checked."""

    @property
    def format(self) -> str:
        """The name of the caller's format."""

    @property
    def model(self) -> str:
        """The virtual model that the caller requested."""

    @property
    def stream(self) -> bool:
        """Return whether the caller wants the answer as a stream."""

    @property
    def body(self) -> Mapping[str, Any]:
        """The JSON body as sent; empty for a request that is not JSON."""

    @property
    def wants_usage(self) -> bool:
        """Return whether the caller's stream includes usage (in chat only on request)."""

    @property
    def max_output_tokens(self) -> int | None:
        """The caller's limit on the tokens of an answer; None for no limit."""

    @property
    def answers(self) -> int:
        """The number of answers requested; `max_output_tokens` applies to each."""

    @property
    def forwarded_headers(self) -> Mapping[str, str]:
        """The caller's headers to forward to a provider of the same format; never a key."""

    @property
    def echoes(self) -> bool:
        """Return whether answers echo fields of the request, so that `echo` must complete them."""

    def echo(self, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return `answer` with the fields that echo the request; the same object if none is missing."""

    @property
    def tags(self) -> tuple[str, ...]:
        """The caller's tags from the body; not sent to providers."""

    def prompt_tokens_estimate(self) -> int:
        """Return an estimate of the prompt's tokens (`common.token_estimate`)."""

    def affinity(self) -> bytes:
        """Return a digest of the conversation's opening, the same on every turn. Raises ApiError (400)."""

    def for_provider(self, model: str, *, stream: bool, keep_proof: ProofFilter | None = None) -> bytes:
        """Return the body for a provider's `model` of the caller's own format. Raises ApiError (400).

        `keep_proof` is called with each proof of earlier reasoning (a signature, encrypted content); its result
        replaces it. Reasoning for which it returns None is left out.
        """

    def neutral(self) -> "NeutralRequest":
        """Return the request in the neutral form; it is built on the first call. Raises ApiError (400)."""

    def with_model(self, model: str) -> Self:
        """Return the same request for another virtual model."""

    def with_body(self, body: Mapping[str, Any]) -> Self:
        """Return the same request with other texts in its body."""

    def continued(self, text: str) -> "ClientRequest":
        """Return the request for the rest of an answer that begins with `text`. Raises ApiError (400)."""


class RequestDefaults:
    """Defaults of a `ClientRequest`: one answer, no forwarded headers, no echoed fields."""

    __slots__ = ()

    def with_model(self, model: str) -> Self:
        """Return the same request for another virtual model."""
        return replace(self, model=model)  # type: ignore[type-var] # every request is a dataclass

    def with_body(self, body: Mapping[str, Any]) -> Self:
        """Return the same request with other texts in its body."""
        fresh: dict[str, Any] = {"_neutral": []} if hasattr(self, "_neutral") else {}
        return replace(self, body=body, **fresh)  # type: ignore[type-var] # every request is a dataclass

    @property
    def forwarded_headers(self) -> Mapping[str, str]:
        """Return nothing."""
        return {}

    @property
    def echoes(self) -> bool:
        """Return False."""
        return False

    def echo(self, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return `answer` unchanged."""
        return answer

    @property
    def answers(self) -> int:
        """Return 1."""
        return 1

    def continued(self, text: str) -> "ClientRequest":  # noqa: ARG002 - no text
        """Raise ApiError (400): the answer is no text."""
        raise bad_request("This answer cannot be continued.", None, "unsupported_format")


class StreamReader(Protocol):
    """Reads one stream event by event and tracks its progress. Its output is in the caller's format."""

    @property
    def usage(self) -> Usage:
        """The usage reported so far."""

    @property
    def malformed(self) -> int:
        """The number of unreadable events that were left out."""

    @property
    def done(self) -> bool:
        """Return whether the provider has ended the stream explicitly."""

    @property
    def complete(self) -> bool:
        """Return whether the answer is complete if the stream ends now."""

    @property
    def seals(self) -> Sequence[str]:
        """The proofs of reasoning in this answer."""

    def read(self, event: sse.Event) -> Piece:
        """Interpret `event`."""

    def end(self) -> bytes:
        """Return the rest of the caller's stream after the provider's has ended and is `complete`. Called once."""

    def fail(self, error: ApiError) -> bytes:
        """Return the in-band error that ends a stream which failed after its commit."""


class Assembler(Protocol):
    """Joins the chunks of a stream into a whole answer."""

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Add one chunk."""

    def answer(self) -> dict[str, Any]:
        """Return the whole answer."""


class AnswerDecoder(Protocol):
    """Reads the chunks of one provider's answer into neutral events."""

    def decode(self, chunk: Mapping[str, Any]) -> "Iterable[Event]":
        """Return the events in `chunk`. Events of one block (a text, a tool call) are never interleaved with others."""

    def end(self) -> "Iterable[Event]":
        """Return the events that were held back; called once the stream is complete."""


class StreamWriter(Protocol):
    """Writes neutral events as one stream in a caller's format."""

    def write(self, event: "Event") -> bytes:
        """Return the bytes for `event`, empty for none."""

    def end(self) -> bytes:
        """Return the end of the stream: open blocks are closed and usage is reported."""

    def fail(self, error: ApiError) -> bytes:
        """Return the in-band error that ends a failed stream."""


class ClientFormat(Protocol):
    """A format as callers speak it."""

    @property
    def name(self) -> str:
        """The format's name in routes and logs."""

    @property
    def heartbeat(self) -> bytes:
        """The bytes sent to keep a silent stream alive."""

    def parse(self, raw: bytes, headers: Mapping[str, str]) -> ClientRequest:
        """Parse the request in `raw` (`headers` have lower-case names). Raises ApiError (400) naming the parameter."""

    def error_body(self, error: ApiError) -> bytes:
        """Return `error` as a response body."""


class ClientConversation(ClientFormat, Protocol):
    """A format of callers whose requests have a neutral form, so that a provider of any conversation can serve them."""

    def writer(self, request: ClientRequest, created: int) -> StreamWriter:
        """Return the writer of the stream that answers `request`; `created` (epoch s) if the provider gives none."""

    def whole(self, request: ClientRequest, events: "Iterable[Event]", created: int) -> bytes:
        """Return the whole answer to `request` that consists of `events`."""


class ProviderFormat(Protocol):
    """A format as providers speak it."""

    @property
    def name(self) -> str:
        """The format's name in routes and logs."""

    @property
    def path(self) -> str:
        """The path below the provider's base URL."""

    @property
    def streams(self) -> bool:
        """Return whether answers can be streamed: whether this is a `StreamedFormat`."""

    @property
    def media_types(self) -> tuple[str, ...]:
        """Media types, or their beginnings, of answers that pass unchanged; all others must be JSON."""

    def headers(self, secret: str) -> dict[str, str]:
        """Return the headers that the format requires, with the key."""

    def read_whole(self, raw: bytes) -> dict[str, Any] | None:
        """Parse the whole answer in `raw`; None if it is not one."""

    def usage_of(self, answer: Mapping[str, Any]) -> Usage:
        """Return the usage in a whole answer."""


class StreamedFormat(ProviderFormat, Protocol):
    """A format of providers whose answers can be streamed."""

    def reader(self, *, wants_usage: bool) -> StreamReader:
        """Return the reader of a stream that passes unchanged; without `wants_usage` its usage is left out."""

    def to_events(self, answer: Mapping[str, Any], *, wants_usage: bool) -> list[bytes]:
        """Return a whole answer (from `read_whole`) as the events of a stream, including its end."""

    def assembler(self) -> Assembler:
        """Return an assembler for one stream."""


class DecodedFormat(StreamedFormat, Protocol):
    """A format of providers whose streams can be decoded into neutral events."""

    def decoder(self, request: "NeutralRequest") -> AnswerDecoder:
        """Return the decoder of the stream (or whole answer as events) that answers `request`."""


class ProviderConversation(DecodedFormat, Protocol):
    """A format of providers that the neutral form can be written in."""

    def body(self, request: "NeutralRequest", model: str, *, stream: bool) -> bytes:
        """Return the body of `request` to `model`. Raises ApiError (400) naming what the format cannot carry."""

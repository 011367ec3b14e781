"""What a wire format offers the router, from its two sides.

A caller speaks a `ClientFormat`, a provider a `ProviderFormat`; most formats are both. Where the two are the same,
bytes pass untouched and a `Reader` only watches. Where they differ, both must be conversations (`ClientConversation`,
`ProviderConversation`): the request goes through the neutral form (`formats.neutral`) into the provider's words, and
the answer comes back through it: a `Decoder` reads the provider's stream into neutral events, a `Writer` says them in
the caller's words. `formats.exchange` puts the halves together.

Everything here is pure: no clock, no socket, no table.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from vibe_router.core.errors import ApiError
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


# Given a proof of earlier reasoning as the caller wrote it, returns what a provider may have of it, None for nothing.
ProofFilter = Callable[[str], Seal | None]


class Piece(NamedTuple):  # made for every event of every stream: a frozen dataclass takes four times as long
    """What one event of a provider's stream means.

    `raw` is what the caller gets of it, empty when nothing; `chunk` is its JSON where it has any. `commits` says that
    real content is here; `error` holds the JSON of an in-stream error; `done` marks the end of the stream.
    """

    raw: bytes
    commits: bool = False
    done: bool = False
    malformed: bool = False
    error: bytes | None = None
    chunk: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    """A whole answer: the bytes for the caller, and what they count."""

    body: bytes
    usage: Usage
    seals: Sequence[str] = ()  # proofs of reasoning that it holds
    content_type: str = "application/json"


class ClientRequest(Protocol):
    """A caller's request, checked as far as the router relies on it."""

    @property
    def format(self) -> str:
        """The name of the caller's format."""

    @property
    def model(self) -> str:
        """The virtual model that the caller named."""

    @property
    def stream(self) -> bool:
        """Whether the caller wants the answer as a stream."""

    @property
    def body(self) -> Mapping[str, Any]:
        """What was sent, as JSON; empty where it was something else."""

    @property
    def wants_usage(self) -> bool:
        """Whether a stream tells its usage to this caller (in chat it is told only to who asks)."""

    @property
    def max_output_tokens(self) -> int | None:
        """The most tokens that the caller wants in an answer; None without a bound."""

    @property
    def answers(self) -> int:
        """How many answers the caller wants, each of which the bound holds for."""

    @property
    def forwarded_headers(self) -> Mapping[str, str]:
        """Headers of the caller's that go on to a provider of the same format; never a key."""

    @property
    def echoed_fields(self) -> Mapping[str, Any]:
        """Fields of the request that its answer repeats, and that no provider is told."""

    @property
    def tags(self) -> tuple[str, ...]:
        """What the caller files it under, by its body; no provider is told."""

    def prompt_tokens_estimate(self) -> int:
        """Return about how many tokens the prompt is (`formats.tokens.estimate` of all that is read for it)."""

    def affinity(self) -> bytes:
        """Return what stays while a conversation grows: a digest of its opening. Raises ApiError (400)."""

    def for_provider(self, model: str, *, stream: bool, keep: ProofFilter | None = None) -> bytes:
        """Return the body for a provider's `model` that speaks the caller's own format. Raises ApiError (400).

        Every proof of earlier reasoning in it (a signature, encrypted content) is shown to `keep`: what that gives back
        stands in its place; reasoning whose proof it keeps nothing of is left out.
        """

    def neutral(self) -> "NeutralRequest":
        """Return the request in the neutral form, made when first asked for. Raises ApiError (400)."""


class RequestDefaults:
    """A `Request` for one answer, without headers of its own, that the answer does not repeat: most are."""

    __slots__ = ()

    @property
    def forwarded_headers(self) -> Mapping[str, str]:
        """Return nothing."""
        return {}

    @property
    def echoed_fields(self) -> Mapping[str, Any]:
        """Return nothing."""
        return {}

    @property
    def answers(self) -> int:
        """Return 1."""
        return 1


class StreamReader(Protocol):
    """Reads one stream event by event, and remembers how far it got. What it gives out is in the caller's format."""

    @property
    def usage(self) -> Usage:
        """What the provider has counted so far."""

    @property
    def malformed(self) -> int:
        """How many events could not be read and were left out."""

    @property
    def done(self) -> bool:
        """Whether the provider said that its stream is over."""

    @property
    def complete(self) -> bool:
        """Whether an end here is a whole answer."""

    @property
    def seals(self) -> Sequence[str]:
        """The proofs of reasoning that the provider has issued in this answer."""

    def read(self, event: sse.Event) -> Piece:
        """Return what `event` means."""

    def end(self) -> bytes:
        """Return what the caller's stream still lacks once the provider's is over and `complete`. Called once."""

    def fail(self, error: ApiError) -> bytes:
        """Return the in-band end of a stream that failed after its commit."""


class Assembler(Protocol):
    """Puts the chunks of a stream together into the answer that it would have been whole."""

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Take one chunk in."""

    def completion(self) -> dict[str, Any]:
        """Return the whole answer."""


class AnswerDecoder(Protocol):
    """Reads the chunks of one provider's answer into neutral events."""

    def decode(self, chunk: Mapping[str, Any]) -> "Iterable[Event]":
        """Return what `chunk` says. Events of one block (a text, a tool call) come together, never interleaved."""

    def end(self) -> "Iterable[Event]":
        """Return what was held back, once the stream is complete."""


class StreamWriter(Protocol):
    """Says neutral events as one stream in a caller's format."""

    def write(self, event: "Event") -> bytes:
        """Return the bytes that say `event`; empty when it says nothing yet."""

    def end(self) -> bytes:
        """Return the end of the stream: what was open is closed, the usage told."""

    def fail(self, error: ApiError) -> bytes:
        """Return the in-band end of a stream that failed; nothing follows it."""


class ClientFormat(Protocol):
    """A format as callers speak it: what every one has."""

    @property
    def name(self) -> str:
        """The format's name in routes and in the log."""

    @property
    def heartbeat(self) -> bytes:
        """What is sent into a stream that has been silent for long."""

    def parse(self, raw: bytes, headers: Mapping[str, str]) -> ClientRequest:
        """Return the request in `raw` (`headers` have lower-case names). Raises ApiError (400) naming the parameter."""

    def error_body(self, error: ApiError) -> bytes:
        """Return `error` as the body of an answer."""


class ClientConversation(ClientFormat, Protocol):
    """A format of callers whose requests have a neutral form, so that any conversation can answer them."""

    def writer(self, request: ClientRequest, created: int) -> StreamWriter:
        """Return what writes the stream that answers `request`; `created` (epoch s) where the provider gives none."""

    def whole(self, request: ClientRequest, events: "Iterable[Event]", created: int) -> bytes:
        """Return the whole answer to `request` that `events` add up to."""


class ProviderFormat(Protocol):
    """A format as providers speak it: what every one has."""

    @property
    def name(self) -> str:
        """The format's name in routes and in the log."""

    @property
    def path(self) -> str:
        """What follows the provider's base URL."""

    @property
    def streams(self) -> bool:
        """Whether an answer can be asked for as a stream: whether this is a `StreamedFormat`."""

    @property
    def opaque(self) -> bool:
        """Whether an answer need not be JSON: what is not passes as it came."""

    def headers(self, secret: str) -> dict[str, str]:
        """Return the headers that carry the key, and what else the format asks for."""

    def read_whole(self, raw: bytes) -> dict[str, Any] | None:
        """Return the whole answer in `raw`, or None where it is none."""

    def usage_of(self, answer: Mapping[str, Any]) -> Usage:
        """Return the tokens that a whole answer counts."""


class StreamedFormat(ProviderFormat, Protocol):
    """A format of providers whose answers stream, where they are asked to."""

    def reader(self, *, wants_usage: bool) -> StreamReader:
        """Return what watches a stream that is passed on untouched; without `wants_usage` its usage is left out."""

    def unfold(self, answer: Mapping[str, Any], *, wants_usage: bool) -> list[bytes]:
        """Return a whole answer (as `read_whole` returns it) as the events of a stream, its end included."""

    def assembly(self) -> Assembler:
        """Return what puts a stream together."""


class ProviderConversation(StreamedFormat, Protocol):
    """A format of providers that the neutral form can be said in."""

    def body(self, request: "NeutralRequest", model: str, *, stream: bool) -> bytes:
        """Return the body that asks `request` of `model`. Raises ApiError (400) naming what the format can't carry."""

    def decoder(self, request: "NeutralRequest") -> AnswerDecoder:
        """Return what reads the stream that answers `request`, also an unfolded whole one."""

"""One request to one deployment: the body in the provider's format, the answer in the caller's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from vibe_router.core.errors import ApiError
from vibe_router.core.models import Deployment
from vibe_router.formats import registry
from vibe_router.formats.common import json_body, sse
from vibe_router.formats.common.seal import Kind, Seal, unwrap
from vibe_router.formats.interfaces import (
    AnswerDecoder,
    Assembler,
    ClientRequest,
    ProviderFormat,
    StreamReader,
    StreamWriter,
    WholeAnswer,
)
from vibe_router.formats.responses.echo import EchoingStreamReader
from vibe_router.upstream.fit import formats_for, no_common_format

if TYPE_CHECKING:
    from vibe_router.core.models import RequestShape
    from vibe_router.formats.continuation import TrackingWriter

__all__ = ["Exchange", "IssuerOf", "open_exchange"]

# Returns the name of the provider that issued a proof of reasoning, None if unknown.
IssuerOf = Callable[[str], str | None]

_MAX_DROPPED = 32  # parameters of a request: each takes another pass over it

# The kinds of proof that each format has.
_NATIVE: Mapping[str, tuple[Kind, ...]] = {"responses": ("encrypted",), "messages": ("signature", "redacted")}


def open_exchange(
    request: ClientRequest,
    deployment: Deployment,
    now: float,
    *,
    stream: bool,
    issuer_of: IssuerOf = lambda _: None,
    client_headers: Mapping[str, str] | None = None,
) -> "Exchange":
    """Return `request` as it is sent to `deployment` at `now` (epoch seconds).

    `client_headers` are the caller's, in lower case; the routes name those to forward.

    Raises ApiError (400) if none of its formats can carry the request, with the reason of the first.
    """
    rejection: ApiError | None = None
    for name in formats_for(request, deployment.formats):
        kind = Exchange if name == request.format else _Translated
        exchange = kind(request, registry.provider(name), deployment, int(now), issuer_of, client_headers or {})
        try:
            exchange.body(stream=stream)
        except ApiError as error:
            rejection = rejection or error
        else:
            return exchange
    raise rejection or no_common_format(request, deployment.formats)


class Exchange:
    """A request to a deployment that speaks the caller's format, at `created` (epoch seconds). Bodies are built once.

    Proofs of earlier reasoning are sent only to the provider that issued them: a proof that was translated names its
    issuer, and `issuer_of` may return that of another. `left_out` counts the proofs that the last body lacks.
    """

    def __init__(
        self,
        request: ClientRequest,
        provider: ProviderFormat,
        deployment: Deployment,
        created: int,
        issuer_of: IssuerOf,
        client_headers: Mapping[str, str],
    ) -> None:
        self.format = provider.name
        self.path = provider.path
        self.streams = provider.streams
        self.media_types = provider.media_types
        self.left_out = 0
        self.issuer = deployment.provider.name
        self.model = deployment.model
        self.open_reader: Callable[[Exchange], StreamReader] | None = None  # replaces the reader that only observes
        self.alternative: Callable[[], Exchange] | None = None  # opens what to send if the provider rejects this
        self.dropped: tuple[str, ...] = ()  # parameters and beta flags that are not sent
        self._shape = deployment.policy.shape
        self._client_headers = client_headers
        self._rejected_betas: tuple[str, ...] = ()
        self.reply_headers: Mapping[str, str] = {}  # of the answer, once they have arrived
        self.tracker: TrackingWriter | None = None  # of the caller's stream, if its answer can be continued
        self._edit: Callable[[bytes], bytes] | None = None
        self._added_headers: Mapping[str, str] = {}
        self._request = request
        self._provider = provider
        self._base_model = deployment.base_model
        self._issuer_of = issuer_of
        self._created = created
        self._bodies: dict[bool, bytes] = {}
        self._sent = 0  # proofs in the last body
        self._drops_proofs = False
        self._fills_reasoning = False

    def headers(self, secret: str) -> dict[str, str]:
        """Return the headers of the call, the key among them."""
        own = self._provider.headers(secret)
        headers = self._shaped_headers(own, self._request.forwarded_headers) if self._shape else self._headers(own)
        return {**headers, **self._added_headers, **own} if self._added_headers else headers

    def _headers(self, own: dict[str, str]) -> dict[str, str]:
        return {**own, **self._request.forwarded_headers}

    def _shaped_headers(self, own: dict[str, str], forwarded: Mapping[str, str]) -> dict[str, str]:
        """Return the headers as the routes shape them; `own` are the provider's, with the key, which stay."""
        from vibe_router.upstream.shaping import shaped_betas, shaped_headers

        shape = cast("RequestShape", self._shape)
        passed = forwarded if self.format == self._request.format else {}
        headers = shaped_headers(passed, self._client_headers, shape)
        name = "anthropic-beta" if self.format == "messages" else "openai-beta"
        flags = [flag.strip() for flag in headers.pop(name, "").split(",") if flag.strip()]
        if betas := shaped_betas(flags, shape.betas, self._rejected_betas):
            headers[name] = ",".join(betas)
        return {**headers, **{key: value for key, value in own.items() if key not in headers}}

    def drop_betas(self, rejection: str) -> bool:
        """Leave out the beta flags that a provider's `rejection` names; return whether there are any."""
        shape = self._shape
        if shape is None or not shape.betas.drop_rejected:
            return False
        headers = self._shaped_headers({}, self._request.forwarded_headers)
        flags = (headers.get("anthropic-beta") or headers.get("openai-beta") or "").split(",")
        rejected = tuple(flag for flag in flags if flag and flag in rejection)
        self._rejected_betas += rejected
        self.dropped += rejected
        return bool(rejected)

    def body(self, *, stream: bool) -> bytes:
        """Return the body of the call. Raises ApiError (400) for a request that cannot be sent."""
        body = self._bodies.get(stream)
        if body is None:
            self.left_out = self._sent = 0
            body = self._build_body(stream=stream)
            if self._shape and self._shape.changes_body and self._request.body:
                from vibe_router.upstream.shaping import shaped_body

                body = shaped_body(body, self._shape)
            body = _with_reasoning(body) if self._fills_reasoning else body
            self._bodies[stream] = body = self._edit(body) if self._edit else body
        return body

    def change(self, headers: Mapping[str, str], edit: Callable[[bytes], bytes] | None) -> None:
        """Add `headers` to the call, and have `edit` change every body from now on."""
        self._added_headers, self._edit = headers, edit
        if edit:
            self._bodies.clear()

    def drop_proofs(self) -> bool:
        """Leave out every proof of earlier reasoning from now on; return whether that changes the body."""
        if self._drops_proofs or not self._sent:
            return False
        self._drops_proofs = True
        self._bodies.clear()
        return True

    def fill_reasoning(self) -> bool:
        """Give every earlier turn a `reasoning_content` from now on; return whether that changes the body.

        Some providers of chat require one, and accept an empty one.
        """
        if self._fills_reasoning or self.format != "chat":
            return False
        self._fills_reasoning = True
        self._bodies.clear()
        return True

    def _build_body(self, *, stream: bool) -> bytes:
        return self._request.for_provider(self.model, stream=stream, keep_proof=self._filter_proof)

    def _filter_proof(self, proof: str) -> Seal | None:
        """Return a proof if this provider issued it, or no other is known to have; else None."""
        seal: Seal | None = None
        if not self._drops_proofs:
            seal = unwrap(proof) or Seal(_NATIVE[self.format][0], self._issuer_of(proof) or self.issuer, proof)
            if seal.issuer != self.issuer or seal.kind not in _NATIVE[self.format]:
                seal = None
        self._sent += seal is not None
        self.left_out += seal is None
        return seal

    def reader(self) -> StreamReader:
        """Return a reader of the provider's stream that converts it to the caller's format."""
        return self.open_reader(self) if self.open_reader else self._reader()

    @property
    def is_conversation(self) -> bool:
        """Return whether the answer can be decoded into neutral events, and written as a stream of the caller."""
        return self.format in registry.DECODABLE and self._request.format in registry.TRANSLATABLE

    def decoded(self) -> tuple[StreamReader, AnswerDecoder]:
        """Return a reader of the provider's stream, and the decoder of its chunks; for a conversation."""
        provider = registry.decodable(self.format)
        return provider.reader(wants_usage=True), provider.decoder(self._request.neutral())

    def writer(self) -> StreamWriter:
        """Return the writer of the caller's stream; for a conversation."""
        return registry.client_conversation(self._request.format).writer(self._request, self._created)

    def _reader(self) -> StreamReader:
        reader = registry.streamed(self.format).reader(wants_usage=self._request.wants_usage)
        return EchoingStreamReader(reader, self._request.echo) if self._request.echoes else reader

    def read_whole(self, raw: bytes) -> dict[str, Any] | None:
        """Return the provider's whole answer in `raw`, None if it is no answer."""
        return self._provider.read_whole(raw)

    def to_events(self, answer: Mapping[str, Any]) -> list[bytes]:
        """Return the provider's whole answer as the stream it should have been, in its own format."""
        return registry.streamed(self.format).to_events(answer, wants_usage=True)

    def assembler(self) -> Assembler:
        """Return an assembler of the provider's stream."""
        return registry.streamed(self.format).assembler()

    def whole(self, answer: Mapping[str, Any], raw: bytes | None = None) -> WholeAnswer:
        """Return the provider's whole `answer` as the caller gets it; `raw` are its bytes if it was sent whole."""
        echoed = self._request.echo(answer)
        body = raw if raw is not None and echoed is answer else json_body.dump(echoed)
        seals = self._seals(answer) if self.streams and _may_hold_proofs(body) else ()
        return WholeAnswer(body, self._provider.usage_of(answer), seals)

    def _seals(self, answer: Mapping[str, Any]) -> Sequence[str]:
        reader, cut = registry.streamed(self.format).reader(wants_usage=True), sse.EventDecoder()
        for raw in self.to_events(answer):
            for event in cut.feed(raw):
                reader.read(event)
        return reader.seals


class _Translated(Exchange):
    """A request to a deployment that speaks another format; both formats are conversations."""

    def _headers(self, own: dict[str, str]) -> dict[str, str]:
        return own

    def _build_body(self, *, stream: bool) -> bytes:
        from vibe_router.formats.neutral.model import with_own_proofs, without_optional_tools

        request = without_optional_tools(self._request.neutral())
        own, self._sent, self.left_out = with_own_proofs(request, None if self._drops_proofs else self.issuer)
        if self._base_model:
            own = replace(own, base_model=self._base_model)
        provider = registry.conversation(self.format)
        if not (self._shape and self._shape.drop_params):
            return provider.body(own, self.model, stream=stream)
        from vibe_router.formats.neutral.dropping import without_param

        dropped: list[str] = []
        while True:
            try:
                body = provider.body(own, self.model, stream=stream)
            except ApiError as error:
                if len(dropped) == _MAX_DROPPED or (reduced := without_param(own, error.param)) is None:
                    raise
                own = reduced
                dropped.append(str(error.param))
            else:
                self.dropped = tuple(dropped)
                return body

    def _reader(self) -> StreamReader:
        from vibe_router.formats.translation import Translation

        return Translation(*self.decoded(), self.writer(), self.issuer, self.model)

    def whole(self, answer: Mapping[str, Any], raw: bytes | None = None) -> WholeAnswer:  # noqa: ARG002 - rewritten
        """Return the provider's whole `answer` as the caller gets it."""
        from vibe_router.formats.translation import translated

        provider, client = registry.conversation(self.format), registry.client_conversation(self._request.format)
        decoder = provider.decoder(self._request.neutral())
        events = translated(provider, decoder, answer, self.issuer, self.model)
        return WholeAnswer(client.whole(self._request, events, self._created), provider.usage_of(answer))


def _with_reasoning(body: bytes) -> bytes:
    fields = json_body.parse_object(body)
    for message in fields["messages"]:
        if message["role"] == "assistant" and not message.get("reasoning_content"):
            message["reasoning_content"] = ""
    return json_body.dump(fields)


def _may_hold_proofs(body: bytes) -> bool:
    """Return whether an answer may contain a proof of reasoning; most do not, and need not be read."""
    return b'"encrypted_content"' in body or b'"signature"' in body or b'"redacted_thinking"' in body

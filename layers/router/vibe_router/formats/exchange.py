"""One request as one deployment is asked it: the body in the provider's words, the answer in the caller's."""

from collections.abc import Mapping, Sequence
from typing import Any

from vibe_router.formats import json_body, known, sse
from vibe_router.formats.errors import ApiError, bad_request
from vibe_router.formats.usage import Usage
from vibe_router.formats.wire import Assembly, Decoder, Piece, ProviderFormat, Reader, Request, WholeAnswer, Writer

__all__ = ["Exchange", "formats_for", "open_exchange", "unspoken"]


def formats_for(request: Request, spoken: Sequence[str]) -> list[str]:
    """Return which of the formats that a deployment speaks can carry `request`, the best first; empty for none.

    The caller's own format is the best, since nothing has to be translated; among others the routes' order counts.
    """
    if request.format in spoken:
        return [request.format]
    if request.format not in known.TRANSLATABLE:
        return []
    return [name for name in spoken if name in known.TRANSLATED]


def open_exchange(request: Request, spoken: Sequence[str], model: str, now: float, *, stream: bool) -> "Exchange":
    """Return `request` as it is put, at `now` (epoch seconds), to a provider's `model` that speaks `spoken`.

    Raises ApiError (400) when none of these formats can carry it, naming what the first one can't.
    """
    refusal: ApiError | None = None
    for name in formats_for(request, spoken):
        exchange = Exchange(request, known.provider(name), model, int(now))
        try:
            exchange.body(stream=stream)
        except ApiError as error:
            refusal = refusal or error
        else:
            return exchange
    raise refusal or unspoken(request, spoken)


def unspoken(request: Request, spoken: Sequence[str]) -> ApiError:
    """Return the 400 for a request that a deployment which speaks `spoken` cannot carry, whatever it says."""
    message = f"A request in the format '{request.format}' cannot be carried where only {', '.join(spoken)} is spoken."
    return bad_request(message, "model", "unsupported_format")


class Exchange:
    """`request` as a provider of one format is asked it for `model`, at `created` (epoch s). Bodies are made once."""

    def __init__(self, request: Request, provider: ProviderFormat, model: str, created: int) -> None:
        self.format = provider.name
        self.path = provider.path
        self._request = request
        self._provider = provider
        self._model = model
        self._created = created
        self._same = provider.name == request.format
        self._bodies: dict[bool, bytes] = {}

    def headers(self, secret: str) -> dict[str, str]:
        """Return the headers of the call, the key among them."""
        own = self._provider.headers(secret)
        return {**self._request.passed_headers, **own} if self._same else own

    def body(self, *, stream: bool) -> bytes:
        """Return the body of the call. Raises ApiError (400) for what can't be sent."""
        made = self._bodies.get(stream)
        if made is None:
            if self._same:
                made = self._request.for_provider(self._model, stream=stream)
            else:
                made = self._provider.body(self._request.neutral(), self._model, stream=stream)
            self._bodies[stream] = made
        return made

    def reader(self) -> Reader:
        """Return what reads the provider's stream, in its own format, into the caller's."""
        if self._same:
            return self._provider.reader(wants_usage=self._request.wants_usage)
        return _Translation(
            self._provider.reader(wants_usage=True),
            self._provider.decoder(self._request.neutral()),
            known.client(self._request.format).writer(self._request, self._created),
        )

    def read_whole(self, raw: bytes) -> dict[str, Any] | None:
        """Return the provider's whole answer in `raw`, or None where it is none."""
        return self._provider.read_whole(raw)

    def unfold(self, answer: Mapping[str, Any]) -> list[bytes]:
        """Return the provider's whole answer as the stream it should have been, in its own format."""
        return self._provider.unfold(answer, wants_usage=True)

    def assembly(self) -> Assembly:
        """Return what puts the provider's stream together."""
        return self._provider.assembly()

    def whole(self, answer: Mapping[str, Any], raw: bytes | None = None) -> WholeAnswer:
        """Return the provider's whole `answer` as the caller gets it; `raw` are its bytes where it came whole."""
        usage = self._provider.usage_of(answer)
        if self._same:
            return WholeAnswer(json_body.dump(answer) if raw is None else raw, usage)
        decoder = self._provider.decoder(self._request.neutral())
        reader = self._provider.reader(wants_usage=True)
        events = [
            event
            for unfolded in self._provider.unfold(answer, wants_usage=True)
            for each in sse.Decoder().feed(unfolded)
            if (chunk := reader.read(each).chunk) is not None
            for event in decoder.decode(chunk)
        ]
        events.extend(decoder.end())
        return WholeAnswer(known.client(self._request.format).whole(self._request, events, self._created), usage)


class _Translation:
    """A provider's stream in the caller's words: watched by `reader`, read by `decoder`, said by `writer`."""

    def __init__(self, reader: Reader, decoder: Decoder, writer: Writer) -> None:
        self._reader = reader
        self._decoder = decoder
        self._writer = writer

    @property
    def usage(self) -> Usage:
        return self._reader.usage

    @property
    def malformed(self) -> int:
        return self._reader.malformed

    @property
    def done(self) -> bool:
        return self._reader.done

    @property
    def complete(self) -> bool:
        return self._reader.complete

    def read(self, event: sse.Event) -> Piece:
        piece = self._reader.read(event)
        if piece.chunk is None or piece.error is not None:
            return Piece(b"", piece.commits, piece.done, piece.malformed, piece.error, piece.chunk)
        write = self._writer.write
        raw = b"".join([write(said) for said in self._decoder.decode(piece.chunk)])
        return Piece(raw, piece.commits, piece.done, chunk=piece.chunk)

    def end(self) -> bytes:
        held = b"".join([self._writer.write(said) for said in self._decoder.end()])
        return held + self._writer.end()

    def fail(self, error: ApiError) -> bytes:
        return self._writer.fail(error)

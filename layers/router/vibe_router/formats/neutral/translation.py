"""A provider's answer in the caller's words: as it streams, or whole."""

from collections.abc import Iterator, Mapping
from typing import Any

from vibe_router.core.errors import ApiError
from vibe_router.formats.common import sse
from vibe_router.formats.common.reader_proxy import ReaderProxy
from vibe_router.formats.interfaces import AnswerDecoder, Piece, StreamedFormat, StreamReader, StreamWriter
from vibe_router.formats.neutral.model import Event, ReasoningProof, Started

__all__ = ["Translation", "translated"]


class Translation(ReaderProxy):
    """A stream watched by `reader`, read by `decoder` and said by `writer`: a `StreamReader` for the caller.

    `issuer` is the provider's name, under which proofs of its reasoning travel; `model` is what it calls the one that
    answers, which its own answer need not say.
    """

    seals = ()  # they say who issued them

    def __init__(
        self, reader: StreamReader, decoder: AnswerDecoder, writer: StreamWriter, issuer: str, model: str
    ) -> None:
        super().__init__(reader)
        self._decoder = decoder
        self._writer = writer
        self._issuer = issuer
        self._model = model

    @property
    def response(self) -> Mapping[str, Any] | None:
        """The answer as it was last told, in formats whose writer holds it (Responses)."""
        return getattr(self._writer, "response", None)

    def read(self, event: sse.Event) -> Piece:
        """Return what `event` means, in the caller's words."""
        piece = self._reader.read(event)
        chunk = piece.chunk
        if chunk is None or piece.error is not None:
            return Piece(b"", piece.commits, piece.done, piece.malformed, piece.error, chunk)
        raw = b""
        for said in self._decoder.decode(chunk):
            _complete(said, self._issuer, self._model)
            raw += self._writer.write(said)
        return Piece(raw, piece.commits, piece.done, chunk=chunk)

    def end(self) -> bytes:
        """Return the end of the caller's stream, what was held back before it."""
        held = b"".join([self._writer.write(said) for said in self._decoder.end()])
        return held + self._writer.end()

    def fail(self, error: ApiError) -> bytes:
        """Return the in-band end of a stream that failed."""
        return self._writer.fail(error)


def translated(
    provider: StreamedFormat, decoder: AnswerDecoder, answer: Mapping[str, Any], issuer: str, model: str
) -> Iterator[Event]:
    """Yield what a whole `answer` says: it is read as the stream that it should have been."""
    reader, cut = provider.reader(wants_usage=True), sse.EventDecoder()
    for raw in provider.unfold(answer, wants_usage=True):
        for event in cut.feed(raw):
            if (chunk := reader.read(event).chunk) is not None:
                for said in decoder.decode(chunk):
                    _complete(said, issuer, model)
                    yield said
    yield from decoder.end()


def _complete(said: Event, issuer: str, model: str) -> None:
    """Say what a provider's own answer need not: who issued a proof, and which model answers."""
    if type(said) is ReasoningProof:
        said.issuer = issuer
    elif type(said) is Started:
        said.model = said.model or model

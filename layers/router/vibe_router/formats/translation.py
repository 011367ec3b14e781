"""Translates a provider's answer, streamed or whole, into the caller's format."""

from collections.abc import Iterator, Mapping
from typing import Any

from vibe_router.core.errors import ApiError
from vibe_router.formats.common import sse
from vibe_router.formats.common.json_body import dump
from vibe_router.formats.interfaces import AnswerDecoder, Piece, StreamedFormat, StreamReader, StreamWriter
from vibe_router.formats.neutral.model import Event, NeutralRequest, ReasoningProof, Started, ToolCallStart
from vibe_router.formats.neutral.tool_names import original_tool_names
from vibe_router.formats.reader_proxy import ReaderProxy

__all__ = ["Translation", "restore_tool_names", "translated"]


class Translation(ReaderProxy):
    """A `StreamReader` whose output is the caller's format: `reader` observes, `decoder` decodes, `writer` writes.

    `issuer` is the provider's name, recorded in proofs of its reasoning; `model` is used if the answer names none.
    """

    seals = ()  # each names its issuer itself

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
        """The latest state of the response, in formats whose writer keeps one (Responses)."""
        return getattr(self._writer, "response", None)

    def read(self, event: sse.Event) -> Piece:
        """Interpret `event` and translate it."""
        piece = self._reader.read(event)
        chunk = piece.chunk
        if chunk is None or piece.error is not None:
            return Piece(b"", piece.commits, piece.done, piece.malformed, piece.error, chunk)
        raw = b""
        try:
            events = self._decoder.decode(chunk)
        except ValueError as error:
            failure = {"message": f"The provider sent {error}.", "type": "server_error", "code": "server_error"}
            return Piece(b"", error=dump({"error": failure}), chunk=chunk)
        for neutral in events:
            _complete(neutral, self._issuer, self._model)
            raw += self._writer.write(neutral)
        return Piece(raw, piece.commits, piece.done, chunk=chunk)

    def end(self) -> bytes:
        """Return the events that were held back, and the end of the caller's stream."""
        held = b"".join([self._writer.write(neutral) for neutral in self._decoder.end()])
        return held + self._writer.end()

    def fail(self, error: ApiError) -> bytes:
        """Return the in-band error that ends a failed stream."""
        return self._writer.fail(error)


def translated(
    provider: StreamedFormat, decoder: AnswerDecoder, answer: Mapping[str, Any], issuer: str, model: str
) -> Iterator[Event]:
    """Yield the neutral events of a whole `answer`, which is read as a stream."""
    reader, cut = provider.reader(wants_usage=True), sse.EventDecoder()
    for raw in provider.to_events(answer, wants_usage=True):
        for event in cut.feed(raw):
            if (chunk := reader.read(event).chunk) is not None:
                for neutral in decoder.decode(chunk):
                    _complete(neutral, issuer, model)
                    yield neutral
    yield from decoder.end()


def _complete(event: Event, issuer: str, model: str) -> None:
    """Add what the provider's answer may lack: the issuer of a proof, the model's name."""
    if type(event) is ReasoningProof:
        event.issuer = issuer
    elif type(event) is Started:
        event.model = event.model or model


def restore_tool_names(decoder: AnswerDecoder, request: NeutralRequest) -> AnswerDecoder:
    """Return a decoder whose tool calls have the names of the tools of `request`."""
    names = {short: name for short, name in original_tool_names(request).items() if short != name}
    return _RestoringDecoder(decoder, names) if names else decoder


class _RestoringDecoder:
    def __init__(self, decoder: AnswerDecoder, names: Mapping[str, str]) -> None:
        self._decoder = decoder
        self._names = names

    def decode(self, chunk: Mapping[str, Any]) -> list[Event]:
        events = list(self._decoder.decode(chunk))
        for event in events:
            if isinstance(event, ToolCallStart):
                event.name = self._names.get(event.name, event.name)
        return events

    def end(self) -> Iterator[Event]:
        yield from self._decoder.end()

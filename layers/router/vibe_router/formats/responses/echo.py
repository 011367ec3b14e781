"""What an answer repeats of its request where its provider was not told it: put into an answer that else is untouched.

Only a response repeats its request; other formats' requests have nothing `repeated`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from vibe_router.core.errors import ApiError
from vibe_router.formats.common import sse
from vibe_router.formats.common.json_body import dump, load
from vibe_router.formats.common.reader_proxy import ReaderProxy
from vibe_router.formats.interfaces import Piece, StreamReader

__all__ = ["Repeating", "in_answer", "in_events"]


def in_answer(body: bytes, fields: Mapping[str, Any]) -> bytes:
    """Return a whole answer with `fields` in the place of its own."""
    return dump({**load(body), **fields})


def in_events(raw: bytes, fields: Mapping[str, Any]) -> bytes:
    """Return events with `fields` in every response that they hold; other events stay as they are."""
    cut = sse.EventDecoder()
    return b"".join(_event(event, fields) for event in (*cut.feed(raw), *cut.flush()))


def _event(event: sse.Event, fields: Mapping[str, Any]) -> bytes:
    if not event.data or b'"response"' not in event.data:
        return event.raw
    try:
        chunk = load(event.data)
    except ValueError:
        return event.raw
    match chunk:
        case {"response": dict(response)}:
            return sse.encode(dump({**chunk, "response": {**response, **fields}}), event.name)
    return event.raw


class Repeating(ReaderProxy):
    """What `reader` gives out, with `fields` in every response: a `StreamReader` for the caller."""

    def __init__(self, reader: StreamReader, fields: Mapping[str, Any]) -> None:
        super().__init__(reader)
        self._fields = fields

    @property
    def response(self) -> Mapping[str, Any] | None:
        """The answer as it was last told."""
        return getattr(self._reader, "response", None)

    @property
    def seals(self) -> Sequence[str]:
        """The proofs of reasoning that the provider has issued in this answer."""
        return self._reader.seals

    def read(self, event: sse.Event) -> Piece:
        """Return what `event` means."""
        piece = self._reader.read(event)
        if piece.raw and piece.chunk and "response" in piece.chunk:
            return piece._replace(raw=in_events(piece.raw, self._fields))
        return piece

    def end(self) -> bytes:
        """Return the end of the caller's stream."""
        return in_events(self._reader.end(), self._fields)

    def fail(self, error: ApiError) -> bytes:
        """Return the in-band end of a stream that failed."""
        return in_events(self._reader.fail(error), self._fields)

"""Request fields that an answer echoes although the provider never received them, such as `previous_response_id`."""

from collections.abc import Mapping, Sequence
from typing import Any

from vibe_router.core.errors import ApiError
from vibe_router.formats.common import sse
from vibe_router.formats.common.json_body import dump, load
from vibe_router.formats.interfaces import Piece, StreamReader
from vibe_router.formats.reader_proxy import ReaderProxy

__all__ = ["EchoingStreamReader", "override_event_fields", "override_fields"]


def override_fields(body: bytes, fields: Mapping[str, Any]) -> bytes:
    """Return a whole answer with `fields` in place of its own."""
    return dump({**load(body), **fields})


def override_event_fields(raw: bytes, fields: Mapping[str, Any]) -> bytes:
    """Return events with `fields` set in every response that they contain. Other events are unchanged."""
    decoder = sse.EventDecoder()
    return b"".join(_override(event, fields) for event in (*decoder.feed(raw), *decoder.flush()))


def _override(event: sse.Event, fields: Mapping[str, Any]) -> bytes:
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


class EchoingStreamReader(ReaderProxy):
    """A `StreamReader` that sets `fields` in every response that `reader` emits."""

    def __init__(self, reader: StreamReader, fields: Mapping[str, Any]) -> None:
        super().__init__(reader)
        self._fields = fields

    @property
    def response(self) -> Mapping[str, Any] | None:
        """The response as of its latest event."""
        return getattr(self._reader, "response", None)

    @property
    def seals(self) -> Sequence[str]:
        """The proofs of reasoning that the provider has issued in this answer."""
        return self._reader.seals

    def read(self, event: sse.Event) -> Piece:
        """Return the meaning of `event`."""
        piece = self._reader.read(event)
        if piece.raw and piece.chunk and "response" in piece.chunk:
            return piece._replace(raw=override_event_fields(piece.raw, self._fields))
        return piece

    def end(self) -> bytes:
        """Return the end of the caller's stream."""
        return override_event_fields(self._reader.end(), self._fields)

    def fail(self, error: ApiError) -> bytes:
        """Return the in-band end of a failed stream."""
        return override_event_fields(self._reader.fail(error), self._fields)

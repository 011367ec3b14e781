"""Splits a byte stream into server-sent events without changing the bytes.

Rules: WHATWG HTML, "Server-sent events"; LF, CRLF and CR all end a line, an empty line ends an event.
"""

import re
from dataclasses import dataclass

__all__ = ["COMMENT", "Event", "EventDecoder", "EventTooLargeError", "encode"]

COMMENT = b": keep-alive\n\n"

# The largest legitimate event is an inline image; beyond this a provider is filling memory.
_MAX_EVENT_BYTES = 16 * 1024 * 1024
# Two line ends in a row. A CR after an LF needs the next byte: an LF would belong to it.
_BOUNDARY = re.compile(rb"\n\n|\r\r|\n\r(?:\n|(?=[^\n]))")
_BOUNDARY_BEGUN = 2  # bytes of a boundary that may end a chunk
_LINE = re.compile(rb"\r\n|\n|\r")


class EventTooLargeError(ValueError):
    """A provider sent more than 16 MiB without ending an event."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `raw` is all its bytes including the end; `data` is None for a comment or an empty event."""

    raw: bytes
    data: bytes | None
    name: bytes = b""


class EventDecoder:
    """Splits chunks of bytes into events; chunks may end anywhere."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events completed by `chunk`. Raises EventTooLargeError."""
        buffer = self._buffer + chunk if self._buffer else chunk
        unseen = max(len(self._buffer) - _BOUNDARY_BEGUN, 0)  # each byte of a large event is searched once
        events: list[Event] = []
        start = 0
        for boundary in _BOUNDARY.finditer(buffer, unseen):
            end = boundary.end()
            events.append(_event(buffer[start:end]))
            start = end
        self._buffer = buffer[start:]
        if len(self._buffer) > _MAX_EVENT_BYTES:
            raise EventTooLargeError
        return events

    def flush(self) -> list[Event]:
        """Return the last event if the stream ended without an empty line."""
        rest, self._buffer = self._buffer, b""
        return [_event(rest.rstrip(b"\r\n") + b"\n\n")] if rest.strip() else []


def encode(data: bytes, name: bytes = b"") -> bytes:
    """Return `data` (one line) as an event."""
    return b"event: " + name + b"\ndata: " + data + b"\n\n" if name else b"data: " + data + b"\n\n"


def _event(raw: bytes) -> Event:
    if (
        raw.startswith(b"data: ") and raw.find(b"\n", 0, -2) < 0 and b"\r" not in raw
    ):  # the fast path for nearly all events
        return Event(raw, raw[6:-2])
    data: list[bytes] = []
    name = b""
    for line in _LINE.split(raw):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return Event(raw, b"\n".join(data) if data else None, name)

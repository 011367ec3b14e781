"""Splits a byte stream into server-sent events without changing the bytes.

Rules: WHATWG HTML, "Server-sent events"; LF, CRLF and CR all end a line, an empty line ends an event.
"""

import re
from dataclasses import dataclass

__all__ = ["COMMENT", "Event", "EventDecoder", "EventTooLargeError", "encode", "event_name"]

COMMENT = b": keep-alive\n\n"

# The largest legitimate event is an inline image; beyond this a provider is filling memory.
_MAX_EVENT_BYTES = 16 * 1024 * 1024
# Two line ends in a row. A CR after an LF needs the next byte: an LF would belong to it.
_BOUNDARY = re.compile(rb"\n\n|\r\r|\n\r(?:\n|(?=[^\n]))")
_BOUNDARY_BEGUN = 2  # bytes of a boundary that may end a chunk
_LINE = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class EventTooLargeError(ValueError):
    """A provider sent more than 16 MiB without ending an event."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `raw` is all its bytes including the end; `data` is None for a comment or an empty event.

    A JSON object that is in no field is the data of an event called `error`.
    """

    raw: bytes
    data: bytes | None
    name: bytes = b""


class EventDecoder:
    """Splits chunks of bytes into events; chunks may end anywhere."""

    __slots__ = ("_buffer", "_started")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._started = False  # whether the place of a byte order mark has been passed

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events completed by `chunk`. Raises EventTooLargeError."""
        buffer: bytes | bytearray = chunk
        if self._buffer:  # an event in many small chunks is not copied for each of them
            self._buffer += chunk
            buffer = self._buffer
        if not self._started:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                self._buffer = bytearray(buffer)
                return []
            self._started = True
            buffer = buffer.removeprefix(_BOM)
        unseen = max(len(buffer) - len(chunk) - _BOUNDARY_BEGUN, 0)  # each byte of a large event is searched once
        events: list[Event] = []
        start = 0
        for boundary in _BOUNDARY.finditer(buffer, unseen):
            end = boundary.end()
            events.append(_event(bytes(buffer[start:end])))
            start = end
        if buffer is not self._buffer:
            self._buffer = bytearray(buffer[start:])
        elif start:
            del buffer[:start]
        if len(self._buffer) > _MAX_EVENT_BYTES:
            raise EventTooLargeError
        return events

    def flush(self) -> list[Event]:
        """Return the last event if the stream ended without an empty line."""
        rest, self._buffer = bytes(self._buffer), bytearray()
        return [_event(rest.rstrip(b"\r\n") + b"\n\n")] if rest.strip() else []


def encode(data: bytes, name: bytes = b"") -> bytes:
    """Return `data` (one line) as an event."""
    return b"event: " + name + b"\ndata: " + data + b"\n\n" if name else b"data: " + data + b"\n\n"


def event_name(kind: object) -> bytes:
    """Return a provider's `kind` of event, which may be any text, as the name of an event."""
    return str(kind or "").encode(errors="replace").translate(None, b"\r\n")


def _event(raw: bytes) -> Event:
    if (
        raw.startswith(b"data: ") and raw.find(b"\n", 0, -2) < 0 and b"\r" not in raw
    ):  # the fast path for nearly all events
        return Event(raw, raw[6:-2])
    data: list[bytes] = []
    name = b""
    bare: list[bytes] = []  # lines from one that begins a JSON object outside of a field: relays write errors so
    for line in _LINE.split(raw):
        if bare or line.startswith(b"{"):
            bare.append(line)
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    unnamed = b"\n".join(bare).strip()
    if unnamed and (not data or b'"error"' in unnamed):
        return Event(raw, unnamed, b"error")
    return Event(raw, b"\n".join(data) if data else None, name)

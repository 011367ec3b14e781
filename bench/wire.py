"""One HTTP/1.1 message off a socket, and when its first token and its end came.

Written out because a client that costs a millisecond cannot measure one: what is not needed for the clock is done after
it has been read.
"""

import re
import time
from dataclasses import dataclass
from typing import Protocol

from .payload import WORD

__all__ = ["PATIENCE", "Message", "Receiver", "WireError", "read_message"]

PATIENCE = 60.0
"""Seconds of silence after which a target has failed."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_BODYLESS = (b"GET ", b"HEAD ")


class WireError(Exception):
    """A connection ended, or its data is not HTTP."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message with its body as sent, still in chunks. Times are by `time.perf_counter`."""

    head: bytes
    raw: bytes
    chunked: bool
    first_token_at: float | None
    ended_at: float

    @property
    def start_line(self) -> str:
        """The first line of the head."""
        return self.head.partition(b"\r\n")[0].decode("latin-1")

    @property
    def closes(self) -> bool:
        """Return whether the connection ends with this message."""
        return b"\r\nconnection: close" in self.head.lower()

    def body(self) -> bytes:
        """Return the body without its framing."""
        if not self.chunked:
            return self.raw
        parts, rest = [], self.raw
        while size := int((line := rest.partition(b"\r\n")[0]).partition(b";")[0], 16):
            begin = len(line) + 2
            parts.append(rest[begin : begin + size])
            rest = rest[begin + size + 2 :]
        return b"".join(parts)


class Receiver(Protocol):
    """The part of a socket that reading needs."""

    def recv(self, size: int, /) -> bytes:
        """Return received bytes, at most `size`; b"" at the end."""


def read_message(connection: Receiver) -> Message | None:
    """Read one message; None when the connection ended before it. Raises WireError, OSError."""
    buffer = bytearray()
    first_token_at = None
    body_begins = 0
    length: int | None = None
    chunked = False
    searched = 0
    while True:
        data = connection.recv(262_144)
        now = time.perf_counter()
        buffer += data
        if not body_begins:
            if not data:
                if buffer:
                    raise WireError("the connection ended within a message's head")
                return None
            body_begins = buffer.find(b"\r\n\r\n") + 4
            if body_begins == 3:
                body_begins = 0
                continue
            head = bytes(buffer[: body_begins - 2])
            found = _LENGTH.search(head)
            length = int(found[1]) if found else 0 if head.startswith(_BODYLESS) else None
            chunked = bool(_CHUNKED.search(head))
            searched = body_begins
        if first_token_at is None:
            if buffer.find(WORD, searched) >= 0:
                first_token_at = now
            searched = max(body_begins, len(buffer) - len(WORD))
        if chunked:
            whole = buffer.endswith(b"\r\n\r\n") and buffer.rfind(b"\r\n0\r\n", body_begins - 2) >= 0
        elif length is not None:
            whole = len(buffer) >= body_begins + length
        else:
            whole = not data
        if whole:
            return Message(head, bytes(buffer[body_begins:]), chunked, first_token_at, now)
        if not data:
            raise WireError("the connection ended within a message")

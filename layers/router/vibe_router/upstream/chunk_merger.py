"""Merge the chunks of HTTP answers that have arrived together.

A provider sends each event of a stream as a chunk of its own, and h11 takes 20 µs for each chunk, however small. Here
the bytes of an answer are reframed before h11 gets them: all chunks of one packet become one. Anything else is
passed on unchanged, and left to h11.
https://www.rfc-editor.org/rfc/rfc9112#name-chunked-transfer-coding
"""

import re
from enum import Enum, auto

__all__ = ["ChunkMerger"]

_MAX_HEAD = 64 * 1024
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,7})\r\n")
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE)
_INTERIM = re.compile(rb"HTTP/1\.[01] 1[0-9][0-9][ \r]")
_MAX_SIZE_LINE = 9  # bytes, its line break included


class _State(Enum):
    HEAD = auto()
    SIZE = auto()  # the next byte begins the size of a chunk
    DATA = auto()  # within a chunk
    END = auto()  # the next bytes end a chunk's data
    RAW = auto()  # everything is passed on


class ChunkMerger:
    """Reframes the bytes of a connection. Call `begin` for each request."""

    def __init__(self) -> None:
        self._state = _State.HEAD
        self._buffer = b""
        self._left = 0  # bytes of the current chunk

    def begin(self) -> None:
        """Expect the head of an answer."""
        self._state, self._buffer = _State.HEAD, b""

    def feed(self, data: bytes) -> bytes:
        """Return what h11 can have of the bytes so far; b"" while there is nothing."""
        if self._state is _State.RAW:
            return data
        self._buffer += data
        head = self._take_head() if self._state is _State.HEAD else b""
        return head + self._take_chunks() if self._state is not _State.HEAD else head

    def flush(self) -> bytes:
        """Return what was held back, at the end of the connection."""
        held, self._buffer = self._buffer, b""
        return held if self._state in (_State.HEAD, _State.RAW) else b""

    def _take_head(self) -> bytes:
        """Take the heads of interim answers, and of the answer itself."""
        heads = b""
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head, self._buffer = self._buffer[: end + 4], self._buffer[end + 4 :]
            heads += head
            if not _INTERIM.match(head):
                self._state = _State.SIZE if _CHUNKED.search(head) else _State.RAW
                return heads
        if len(self._buffer) > _MAX_HEAD:
            self._state = _State.RAW
        return heads

    def _take_chunks(self) -> bytes:
        """Take all data that has arrived, as one chunk, and everything from the last chunk on as it is."""
        buffer, at, parts = self._buffer, 0, []
        while self._state is not _State.RAW and at < len(buffer):
            if self._state is _State.SIZE:
                if not (size := _SIZE.match(buffer, at)):
                    if len(buffer) - at < _MAX_SIZE_LINE and _may_be_size(buffer[at:]):
                        break
                    self._state = _State.RAW
                elif (length := int(size[1], 16)) == 0:
                    self._state = _State.RAW
                else:
                    self._state, self._left, at = _State.DATA, length, size.end()
            elif self._state is _State.DATA:
                part = buffer[at : at + self._left]
                parts.append(part)
                at += len(part)
                self._left -= len(part)
                if not self._left:
                    self._state = _State.END
            elif buffer.startswith(b"\r\n", at):
                self._state, at = _State.SIZE, at + 2
            elif buffer[at:] == b"\r":
                break
            else:
                self._state = _State.RAW
        self._buffer = buffer[at:]
        merged = b"".join(parts)
        framed = b"%x\r\n%b\r\n" % (len(merged), merged) if merged else b""
        if self._state is _State.RAW:
            framed, self._buffer = framed + self._buffer, b""
        return framed


def _may_be_size(start: bytes) -> bool:
    """Return whether more bytes may make this the line of a size."""
    return re.fullmatch(rb"[0-9A-Fa-f]{1,7}\r?", start) is not None

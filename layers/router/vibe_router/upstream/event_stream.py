"""Decode AWS's event stream encoding: binary messages with headers and checksums.

A message consists of its length and that of its headers (4 bytes each, big endian), the CRC-32 of these, the headers,
the payload, and the CRC-32 of everything before. A header consists of a name after its length (1 byte), a type (1 byte)
and a value; strings and bytes follow their length (2 bytes). botocore takes ten times as long.
"""

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from zlib import crc32

__all__ = ["BrokenStreamError", "Decoder"]

_PRELUDE = Struct("!III")
_CHECKSUM = Struct("!I")
_OVERHEAD = _PRELUDE.size + _CHECKSUM.size
_MAX_MESSAGE = 16 * 1024 * 1024  # bytes
_BYTES, _TEXT = 6, 7
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}  # of the values of all other types


class BrokenStreamError(Exception):
    """The bytes are not an event stream, or a checksum is wrong."""


class Decoder:
    """Splits a stream into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[tuple[Mapping[str, str], bytes]]:
        """Return the string headers and the payload of each message that `chunk` completes.

        Raises BrokenStreamError.
        """
        buffer: bytes | bytearray = chunk
        if self._buffer:  # a message in many small chunks is not copied for each of them
            self._buffer += chunk
            buffer = self._buffer
        messages, at = _messages(buffer)
        if buffer is not self._buffer:
            self._buffer = bytearray(buffer[at:])
        elif at:
            del buffer[:at]
        return messages


def _messages(buffer: bytes | bytearray) -> tuple[list[tuple[Mapping[str, str], bytes]], int]:
    """Return the whole messages in `buffer`, and where they end. Raises BrokenStreamError."""
    messages, at = [], 0
    with memoryview(buffer) as view:
        while len(buffer) - at >= _PRELUDE.size:
            length, headers, checksum = _PRELUDE.unpack_from(buffer, at)
            if crc32(view[at : at + 8]) != checksum or not _OVERHEAD + headers <= length <= _MAX_MESSAGE:
                raise BrokenStreamError
            end = at + length - _CHECKSUM.size
            if len(buffer) < at + length:
                break
            if crc32(view[at:end]) != _CHECKSUM.unpack_from(buffer, end)[0]:
                raise BrokenStreamError
            payload = at + _PRELUDE.size + headers
            messages.append((_headers(bytes(view[at + _PRELUDE.size : payload])), bytes(view[payload:end])))
            at += length
    return messages, at


@lru_cache(64)  # nearly all messages of a stream have the same ones
def _headers(raw: bytes) -> Mapping[str, str]:
    found: dict[str, str] = {}
    at = 0
    try:
        while at < len(raw):
            name = raw[at + 1 : at + 1 + raw[at]].decode()
            at += 1 + raw[at]
            kind = raw[at]
            at += 1
            if kind in (_BYTES, _TEXT):
                size = int.from_bytes(raw[at : at + 2])
                at += 2
            else:
                size = _SIZES[kind]
            if kind == _TEXT:
                found[name] = raw[at : at + size].decode()
            at += size
    except (IndexError, KeyError, UnicodeDecodeError):
        raise BrokenStreamError from None
    if at != len(raw):
        raise BrokenStreamError
    return found

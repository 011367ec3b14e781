"""AWS's event stream encoding: binary messages, each with headers and checksums.

A message is its length and that of its headers (4 bytes each, big endian), the CRC-32 of these, the headers, the
payload, and the CRC-32 of all before. A header is a name behind its length (1 byte), a type (1 byte) and a value; texts
and bytes stand behind their length (2 bytes). botocore reads all this too, at ten times the cost.
"""

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from zlib import crc32

__all__ = ["BrokenStreamError", "Decoder"]

_PRELUDE = Struct("!III")
_CHECKSUM = Struct("!I")
_AROUND = _PRELUDE.size + _CHECKSUM.size
_LONGEST = 16 * 1024 * 1024  # bytes of a message; one that claims more never ends
_BYTES, _TEXT = 6, 7
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}  # of the values of all other types


class BrokenStreamError(Exception):
    """What came is no event stream, or not what was sent."""


class Decoder:
    """Cuts a stream into messages."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, chunk: bytes) -> list[tuple[Mapping[str, str], bytes]]:
        """Return headers (those that are texts) and payload of each message that is whole now.

        Raises BrokenStreamError.
        """
        held = self._held + chunk if self._held else chunk
        view, at = memoryview(held), 0
        messages = []
        while len(held) - at >= _PRELUDE.size:
            length, headers, checksum = _PRELUDE.unpack_from(held, at)
            if crc32(view[at : at + 8]) != checksum or not _AROUND + headers <= length <= _LONGEST:
                raise BrokenStreamError
            end = at + length - _CHECKSUM.size
            if len(held) < at + length:
                break
            if crc32(view[at:end]) != _CHECKSUM.unpack_from(held, end)[0]:
                raise BrokenStreamError
            payload = at + _PRELUDE.size + headers
            messages.append((_headers(held[at + _PRELUDE.size : payload]), held[payload:end]))
            at += length
        self._held = held[at:]
        return messages


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

"""Decompress what a table or bucket holds, within a bound: an item that was edited may expand to anything."""

import zlib

__all__ = ["decompress"]


def decompress(data: bytes, most: int, window_bits: int = zlib.MAX_WBITS) -> bytes:
    """Return the content of `data`, cut after one byte more than `most`.

    Raises zlib.error for corrupt and for incomplete data. `window_bits` are as of zlib: 31 for gzip.
    """
    decompressor = zlib.decompressobj(window_bits)
    content = decompressor.decompress(data, most + 1)
    if not decompressor.eof and len(content) <= most:
        raise zlib.error("incomplete")
    return content

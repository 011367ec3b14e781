"""Decode compressed request bodies: gzip and deflate. zstd and br need libraries that the layer does not have."""

import zlib
from dataclasses import replace

from gateway.proxy_event import Request
from vibe_router.core.errors import ApiError, bad_request

__all__ = ["MAX_BODY", "decode", "decoded"]

MAX_BODY = 10 * 1024 * 1024  # bytes, as API Gateway accepts without compression
_MAX_CODINGS = 2
_SUPPORTED = "gzip, deflate"
_GZIP, _ZLIB, _RAW = 31, 15, -15  # zlib's window bits


def decoded(request: Request) -> Request:
    """Return `request` with its body decoded. Raises ApiError (400, 413, 415), as `decode` does."""
    content_encoding = request.headers["content-encoding"]
    headers = {name: value for name, value in request.headers.items() if name != "content-encoding"}
    return replace(request, headers=headers, body=decode(request.body, content_encoding, is_binary=request.is_binary))


def decode(body: bytes, content_encoding: str, *, is_binary: bool = True) -> bytes:
    """Return `body` without the codings in the header, which lists them in the order in which they were applied.

    Raises ApiError: 400 for a body that is not of its coding, 413 for one that decodes to more than MAX_BODY, 415 for a
    coding that is not supported, or for a compressed body that arrived as text.
    """
    codings = [coding for part in content_encoding.lower().split(",") if (coding := part.strip())]
    codings = [coding for coding in codings if coding != "identity"]
    if not {*codings} <= {"gzip", "x-gzip", "deflate"} or len(codings) > _MAX_CODINGS:
        raise _unsupported(content_encoding, f"is not supported. Send the body as {_SUPPORTED}, or uncompressed.")
    if codings and not is_binary:
        raise _unsupported(content_encoding, "needs the Content-Type application/json or multipart/form-data.")
    for coding in reversed(codings):
        body = _decompress(body, coding)
    return body


def _unsupported(content_encoding: str, reason: str) -> ApiError:
    message = f"The content encoding '{content_encoding[:50]}' {reason}"
    return ApiError(415, message, code="unsupported_content_encoding", headers={"accept-encoding": _SUPPORTED})


def _decompress(body: bytes, coding: str) -> bytes:
    """Decode one coding. Clients send deflate with and without zlib's header."""
    for window_bits in (_ZLIB, _RAW) if coding == "deflate" else (_GZIP,):
        decompressor = zlib.decompressobj(window_bits)
        try:
            decoded = decompressor.decompress(body, MAX_BODY + 1)
        except zlib.error:
            continue
        if len(decoded) > MAX_BODY:
            message = f"The body is larger than {MAX_BODY} bytes when it is decompressed."
            raise ApiError(413, message, code="request_too_large")
        if not decompressor.eof or decompressor.unused_data:
            break
        return decoded
    raise bad_request(f"The body is not valid {coding}, although its Content-Encoding says so.")

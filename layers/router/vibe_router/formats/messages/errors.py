"""Errors in Anthropic's envelope."""

from vibe_router.core.errors import ApiError
from vibe_router.formats.common import sse
from vibe_router.formats.common.json_body import dump

__all__ = ["error_body", "error_event"]

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}

_TOO_LONG = "prompt is too long"  # Anthropic's clients shorten a conversation when they read this


def error_body(error: ApiError) -> bytes:
    """Return `error` in Anthropic's envelope, in JSON."""
    kind = _ERROR_TYPES.get(error.status) or ("invalid_request_error" if error.status < 500 else "api_error")
    message = error.message
    if error.code == "context_length_exceeded" and _TOO_LONG not in message.lower():
        message = f"{_TOO_LONG}: {message}"
    optional = {key: value for key, value in (("param", error.param), ("code", error.code)) if value}
    request_id = {"request_id": error.request_id} if error.request_id else {}
    return dump(
        {"type": "error", "error": {"type": kind, "message": message, **optional, **error.details}, **request_id}
    )


def error_event(error: ApiError) -> bytes:
    """Return the in-band end of a stream that failed after its commit. No `message_stop` follows it."""
    return sse.encode(error_body(error), b"error")

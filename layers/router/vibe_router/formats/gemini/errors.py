"""Errors in the envelope of Google's APIs."""

from vibe_router.core.errors import ApiError
from vibe_router.formats.common.json_body import dump

__all__ = ["error_body"]

# By HTTP status: the name of the canonical code. Google maps several codes to one status; these are the usual ones.
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_RETRY = "type.googleapis.com/google.rpc.RetryInfo"


def error_body(error: ApiError) -> bytes:
    """Return `error` in Google's envelope, in JSON. Its own code and parameter are in an ErrorInfo."""
    metadata = {"type": error.type, "param": error.param, "request_id": error.request_id}
    info: dict[str, object] = {
        "@type": _INFO,
        "reason": (error.code or error.type).upper(),
        "domain": "vibe-router",
        "metadata": {name: value for name, value in metadata.items() if value},
    }
    details: list[dict[str, object]] = [info]
    if (seconds := error.headers.get("retry-after", "")).isdigit():
        details.append({"@type": _RETRY, "retryDelay": f"{seconds}s"})  # Google's clients read the delay here
    status = _STATUSES.get(error.status) or ("INVALID_ARGUMENT" if error.status < 500 else "INTERNAL")
    body = {"code": error.status, "message": error.message, "status": status, "details": details, **error.details}
    return dump({"error": body})

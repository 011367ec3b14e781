"""Read API Gateway's v1 proxy event into a request, and build the responses to it."""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from streaming_runtime import Heartbeat, StreamingResponse
from vibe_router.access.guessing import SOURCE_ADDRESS
from vibe_router.core.errors import ApiError, bad_request
from vibe_router.formats.chat.format import CHAT
from vibe_router.formats.interfaces import ClientFormat

__all__ = [
    "Request",
    "error_response",
    "json_response",
    "preflight_response",
    "read",
    "stream_response",
    "whole_response",
]

# Anthropic's and OpenAI's clients go by `x-should-retry`. Claude Code would try a rejected key for minutes.
_WORTH_A_RETRY = frozenset({408, 409, 429})
_NO_SNIFFING = {"x-content-type-options": "nosniff"}  # a provider's bytes are never taken for a page
_JSON = {"content-type": "application/json", **_NO_SNIFFING}


@dataclass(frozen=True, slots=True)
class Request:
    """A caller's request. `path` has neither the stage nor a trailing slash; header names are lower-case.

    `prefix` is the stage's part of the URL: "/prod", or "" behind a domain name of its own. Unless `is_binary`, API
    Gateway has decoded the body as text, which destroys a compressed one.
    """

    id: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    is_binary: bool = False


def read(event: Mapping[str, Any], fallback_id: str) -> Request:
    """Read a v1 proxy event. Raises ApiError (400) for a body that is marked as base64 and is not."""
    context = event.get("requestContext") or {}
    stage = context.get("stage")
    return Request(
        id=context.get("requestId") or fallback_id,
        method=event.get("httpMethod") or "GET",
        path=_without_stage(event.get("path") or "/", stage),
        headers={
            **{name.lower(): value for name, value in (event.get("headers") or {}).items() if value is not None},
            SOURCE_ADDRESS: str((context.get("identity") or {}).get("sourceIp") or ""),
        },
        body=_body(event.get("body") or "", encoded=bool(event.get("isBase64Encoded"))),
        query={name: value for name, value in (event.get("queryStringParameters") or {}).items() if value is not None},
        is_binary=bool(event.get("isBase64Encoded")),
        prefix=f"/{stage}" if stage and f"{context.get('path')}/".startswith(f"/{stage}/") else "",
    )


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> StreamingResponse:
    """Return the response with `value` as JSON."""
    return whole_response(json.dumps(value).encode(), status, headers)


def whole_response(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> StreamingResponse:
    """Return the response with a JSON `body`."""
    return StreamingResponse(status, {**_JSON, **(headers or {})}, (body,))


def stream_response(body: Iterable[bytes], headers: Mapping[str, str], heartbeat: Heartbeat) -> StreamingResponse:
    """Return the response with server-sent events."""
    stream = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
    return StreamingResponse(200, {**stream, **headers}, body, heartbeat)


def preflight_response(allowed: str) -> StreamingResponse:
    """Return the response to OPTIONS, with the allowed methods."""
    return StreamingResponse(204, {"allow": allowed}, ())


def error_response(
    error: ApiError, headers: Mapping[str, str] | None = None, client: ClientFormat = CHAT
) -> StreamingResponse:
    """Return the response with `error` in the caller's format; in OpenAI's where the path has none."""
    error.request_id = (headers or {}).get("x-vibe-request-id")
    final = {"x-should-retry": "false"} if 400 <= error.status < 500 and error.status not in _WORTH_A_RETRY else {}
    return whole_response(client.error_body(error), error.status, {**final, **(headers or {}), **error.headers})


def _body(body: str, *, encoded: bool) -> bytes:
    if not encoded:
        return body.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body)
    except ValueError:
        raise bad_request("The body is not valid base64.") from None


def _without_stage(path: str, stage: object) -> str:
    """Drop a leading `/prod` and a trailing slash: the same paths are answered with and without either."""
    if isinstance(stage, str) and stage and (path == f"/{stage}" or path.startswith(f"/{stage}/")):
        path = path[len(stage) + 1 :]
    return path.rstrip("/") or "/"

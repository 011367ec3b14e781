"""CORS on the model routes: allowed for the configured origins only. The admin routes allow none."""

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from streaming_runtime import StreamingResponse

__all__ = ["parse_origins", "with_cors"]


def parse_origins(text: str) -> frozenset[str]:
    """Return the origins in a comma-separated setting; `*` allows all."""
    return frozenset(origin.strip().rstrip("/").lower() for origin in text.split(",") if origin.strip())


_ORIGINS = parse_origins(os.environ.get("CORS_ORIGINS", ""))


def with_cors(
    response: StreamingResponse, event: Mapping[str, Any], origins: frozenset[str] = _ORIGINS
) -> StreamingResponse:
    """Return the response with CORS headers if the request's origin is allowed."""
    if not origins:
        return response
    headers = event.get("headers") or {}
    origin = next((value for name, value in headers.items() if name.lower() == "origin" and value), "")
    if not origin or not ({origin.lower(), "*"} & origins):
        return response
    allowed = {"access-control-allow-origin": origin, "access-control-expose-headers": "*", "vary": "origin"}
    if event.get("httpMethod") == "OPTIONS" and "allow" in response.headers:
        allowed |= {
            "access-control-allow-methods": response.headers["allow"],
            "access-control-allow-headers": "authorization, *",  # a * does not cover authorization
            "access-control-max-age": "7200",
        }
    return replace(response, headers={**response.headers, **allowed})

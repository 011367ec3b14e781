"""Shared by OpenAI's formats: headers, errors, and a request's body for a provider."""

from collections.abc import Mapping
from typing import Any

from vibe_router.core.errors import error_body
from vibe_router.formats.common import sse
from vibe_router.formats.common.json_body import dump

__all__ = ["OpenAIFormat", "provider_body"]


class OpenAIFormat:
    """The base of OpenAI's formats for conversations, as callers and providers speak them."""

    streams = True
    media_types = ()
    heartbeat = sse.COMMENT
    error_body = staticmethod(error_body)

    def headers(self, secret: str) -> dict[str, str]:
        """Return the headers of a call, with the key."""
        return {"authorization": f"Bearer {secret}"}


def provider_body(body: Mapping[str, Any], model: str, *, stream: bool) -> bytes:
    """Return a caller's `body` for a provider's `model`; a stream always reports usage. Raises ApiError (400)."""
    changed = {**body, "model": model, "stream": stream}
    if stream:
        changed["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
    else:
        changed.pop("stream_options", None)  # OpenAI rejects it without a stream
    return dump(changed)

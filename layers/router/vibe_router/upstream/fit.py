"""Check whether a deployment can serve a request, by its formats and the capabilities that the routes declare."""

from collections.abc import Mapping, Sequence
from typing import Any

from vibe_router.core.errors import ApiError, bad_request
from vibe_router.core.models import Deployment
from vibe_router.formats import registry
from vibe_router.formats.interfaces import ClientRequest

__all__ = ["formats_for", "no_common_format", "unfit_reason"]

# An estimate may be this much too high: only a request that is certainly too long is rejected.
_TOLERANCE = 1.25
_IMAGES = frozenset({"image", "image_url", "input_image"})


def formats_for(request: ClientRequest, formats: Sequence[str]) -> list[str]:
    """Return those of a deployment's `formats` that can carry `request`, the best first.

    The caller's own format is the best, since nothing is translated; the others are in the order of the routes.
    """
    if request.format in formats:
        return [request.format]
    if request.format not in registry.TRANSLATABLE:
        return []
    return [name for name in formats if name in registry.TRANSLATED]


def unfit_reason(request: ClientRequest, deployment: Deployment) -> ApiError | None:
    """Return the 400 that explains why `deployment` cannot serve `request`; None if it can."""
    if not formats_for(request, deployment.formats):
        return no_common_format(request, deployment.formats)
    if not deployment.tools and _offers_tools(request.body):
        return bad_request(f"{deployment.id} cannot call tools.", "tools", "unsupported_tools")
    if not deployment.vision and _has_image(request.body):
        return bad_request(f"{deployment.id} does not accept images.", None, "unsupported_images")
    if deployment.context_window is not None:
        needed = request.prompt_tokens_estimate() / _TOLERANCE + (request.max_output_tokens or 0)
        if needed > deployment.context_window:
            message = f"The request is too long for {deployment.id}, which takes {deployment.context_window} tokens."
            return bad_request(message, None, "context_length_exceeded")
    return None


def no_common_format(request: ClientRequest, formats: Sequence[str]) -> ApiError:
    """Return the 400 for a request that none of a deployment's `formats` can carry."""
    spoken = ", ".join(formats)
    message = f"A request in the format '{request.format}' cannot be served by a deployment that only speaks {spoken}."
    return bad_request(message, "model", "unsupported_format")


def _offers_tools(body: Mapping[str, Any]) -> bool:
    """Return whether a request offers tools, in a field of its own or in an item of the input."""
    if body.get("tools") or body.get("functions"):
        return True
    items = body.get("input")
    return isinstance(items, list) and any(
        isinstance(item, dict) and item.get("type") == "additional_tools" and item.get("tools") for item in items
    )


def _has_image(body: Mapping[str, Any]) -> bool:
    """Return whether the prompt contains an image."""
    rest: list[object] = [body.get("messages"), body.get("input"), body.get("system"), body.get("contents")]
    while rest:  # not recursive: callers may nest more deeply than Python's stack
        held = rest.pop()
        if isinstance(held, list):
            rest += held
        elif isinstance(held, dict):
            kind = held.get("type")
            if isinstance(kind, str) and kind in _IMAGES:
                return True
            media_type = held.get("mimeType") or held.get("mime_type")  # Gemini's parts have no type
            if isinstance(media_type, str) and media_type.startswith("image/"):
                return True
            rest += [value for value in held.values() if isinstance(value, list | dict)]
    return False

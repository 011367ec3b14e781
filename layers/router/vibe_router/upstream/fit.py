"""Whether a deployment can carry a request at all: by the formats it speaks, and by what routes say that it can do."""

from collections.abc import Mapping, Sequence
from typing import Any

from vibe_router.core.errors import ApiError, bad_request
from vibe_router.core.models import Deployment
from vibe_router.formats import registry
from vibe_router.formats.interfaces import ClientRequest

__all__ = ["formats_for", "misfit", "unspoken"]

# An estimate of tokens may be this much too high: who is refused for it must really be too long.
_TOLERANCE = 1.25
_IMAGES = frozenset({"image", "image_url", "input_image"})


def formats_for(request: ClientRequest, spoken: Sequence[str]) -> list[str]:
    """Return which of the formats that a deployment speaks can carry `request`, the best first; empty for none.

    The caller's own format is the best, since nothing has to be translated; among others the routes' order counts.
    """
    if request.format in spoken:
        return [request.format]
    if request.format not in registry.TRANSLATABLE:
        return []
    return [name for name in spoken if name in registry.TRANSLATED]


def misfit(request: ClientRequest, deployment: Deployment) -> ApiError | None:
    """Return the 400 that says why `deployment` cannot carry `request`; None where nothing speaks against it."""
    if not formats_for(request, deployment.formats):
        return unspoken(request, deployment.formats)
    if not deployment.tools and _offers_tools(request.body):
        return bad_request(f"{deployment.id} cannot call tools.", "tools", "unsupported_tools")
    if not deployment.vision and _shows(request.body):
        return bad_request(f"{deployment.id} cannot look at images.", None, "unsupported_images")
    if deployment.context_window is not None:
        needed = request.prompt_tokens_estimate() / _TOLERANCE + (request.max_output_tokens or 0)
        if needed > deployment.context_window:
            message = f"The request is too long for {deployment.id}, which takes {deployment.context_window} tokens."
            return bad_request(message, None, "context_length_exceeded")
    return None


def unspoken(request: ClientRequest, spoken: Sequence[str]) -> ApiError:
    """Return the 400 for a request that a deployment which speaks `spoken` cannot carry, whatever it says."""
    message = f"A request in the format '{request.format}' cannot be carried where only {', '.join(spoken)} is spoken."
    return bad_request(message, "model", "unsupported_format")


def _offers_tools(body: Mapping[str, Any]) -> bool:
    """Return whether a request offers tools, in a field of its own or in an item of the input."""
    if body.get("tools") or body.get("functions"):
        return True
    items = body.get("input")
    return isinstance(items, list) and any(
        isinstance(item, dict) and item.get("type") == "additional_tools" and item.get("tools") for item in items
    )


def _shows(body: Mapping[str, Any]) -> bool:
    """Whether there is an image in what the caller says."""
    rest: list[object] = [body.get("messages"), body.get("input"), body.get("system")]
    while rest:  # not recursive: callers may nest more deeply than Python's stack
        held = rest.pop()
        if isinstance(held, list):
            rest += held
        elif isinstance(held, dict):
            kind = held.get("type")
            if isinstance(kind, str) and kind in _IMAGES:
                return True
            rest += [value for value in held.values() if isinstance(value, list | dict)]
    return False

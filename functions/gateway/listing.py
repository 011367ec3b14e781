"""GET /models: the virtual models, as OpenAI lists models."""

from typing import Any
from urllib.parse import unquote

from environment import Environment
from proxy_event import Request, json_answer
from streaming_runtime import Context, StreamingResponse
from vibe_router.access.keys import admit
from vibe_router.formats.errors import unknown_model
from vibe_router.routing.models import VirtualModel

__all__ = ["model", "models"]


def models(request: Request, _context: Context, environment: Environment) -> StreamingResponse:
    """Answer with every virtual model."""
    admit(request.headers, environment.master_key())
    catalogue = environment.routes()
    return json_answer(
        {"object": "list", "data": [_entry(catalogue.models[name]) for name in sorted(catalogue.models)]}
    )


def model(request: Request, _context: Context, environment: Environment) -> StreamingResponse:
    """Answer with the virtual model that the path ends in. Raises ApiError (404)."""
    admit(request.headers, environment.master_key())
    name = unquote(request.path.partition("/models/")[2])
    catalogue = environment.routes()
    if name not in catalogue.models:
        raise unknown_model(name, sorted(catalogue.models))
    return json_answer(_entry(catalogue.models[name]))


def _entry(model: VirtualModel) -> dict[str, Any]:
    # `created` is required by OpenAI's clients; a virtual model has no such date.
    return {
        "id": model.name,
        "object": "model",
        "created": 0,
        "owned_by": "vibe-router",
        "description": model.description,
    }

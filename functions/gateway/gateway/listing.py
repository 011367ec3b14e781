"""GET /models: the virtual models, as OpenAI lists models."""

from typing import Any
from urllib.parse import unquote

from gateway.environment import Environment
from gateway.proxy_event import Request, json_answer
from streaming_runtime import Context, StreamingResponse
from vibe_router.core.models import VirtualModel

__all__ = ["model", "models"]


def models(request: Request, _context: Context, environment: Environment) -> StreamingResponse:
    """Answer with every virtual model that the caller may use."""
    caller = environment.admission.caller(request.headers)
    there_are = environment.routes().models
    return json_answer({"object": "list", "data": [_entry(there_are[name]) for name in caller.usable(there_are)]})


def model(request: Request, _context: Context, environment: Environment) -> StreamingResponse:
    """Answer with the virtual model that the path ends in. Raises ApiError (403, 404)."""
    caller = environment.admission.caller(request.headers)
    name = unquote(request.path.partition("/models/")[2])
    return json_answer(_entry(environment.admission.model(caller, name, environment.routes())))


def _entry(model: VirtualModel) -> dict[str, Any]:
    # `created` is required by OpenAI's clients; a virtual model has no such date.
    return {
        "id": model.name,
        "object": "model",
        "created": 0,
        "owned_by": "vibe-router",
        "description": model.description,
    }

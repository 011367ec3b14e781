"""GET /models: the virtual models, in OpenAI's shape or, for clients that send `anthropic-version`, in Anthropic's."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from gateway.environment import Environment
from gateway.proxy_event import Request, json_answer
from streaming_runtime import Context, StreamingResponse
from vibe_router.core.errors import bad_request
from vibe_router.core.models import VirtualModel
from vibe_router.core.price import Price

__all__ = ["is_anthropic", "model", "models"]

_MAX_PAGE = 1000


def models(request: Request, _context: Context, environment: Environment) -> StreamingResponse:
    """List the virtual models that the caller may use. Raises ApiError (400) for an invalid page."""
    caller = environment.admission.caller(request.headers)
    all_models, created = environment.routes().models, environment.routes_written_at()
    usable = [all_models[name] for name in caller.usable(all_models)]
    if is_anthropic(request):
        page, has_more = _page(usable, request.query)
        data = [_anthropic_entry(model, created) for model in page]
        ids = {"first_id": page[0].name if page else None, "last_id": page[-1].name if page else None}
        return json_answer({"data": data, "has_more": has_more, **ids})
    return json_answer({"object": "list", "data": [_openai_entry(model, created) for model in usable]})


def model(request: Request, _context: Context, environment: Environment) -> StreamingResponse:
    """Describe the virtual model at the end of the path. Raises ApiError (403, 404)."""
    caller = environment.admission.caller(request.headers)
    name = unquote(request.path.partition("/models/")[2])
    entry = _anthropic_entry if is_anthropic(request) else _openai_entry
    found = environment.admission.model(caller, name, environment.routes())
    return json_answer(entry(found, environment.routes_written_at()))


def is_anthropic(request: Request) -> bool:
    """Whether the caller is a client of Anthropic's API."""
    return "anthropic-version" in request.headers


def _page(models: Sequence[VirtualModel], query: Mapping[str, str]) -> tuple[Sequence[VirtualModel], bool]:
    """Return the page that `limit`, `after_id` and `before_id` ask for, and whether more models follow it."""
    names = [model.name for model in models]
    try:
        limit = int(query.get("limit") or _MAX_PAGE)
    except ValueError:
        limit = 0
    if not 1 <= limit <= _MAX_PAGE:
        raise bad_request(f"'limit' must be an integer from 1 to {_MAX_PAGE}.", "limit")
    if (before := query.get("before_id")) in names:
        rest = models[: names.index(before)]
        return rest[-limit:], len(rest) > limit
    rest = models[names.index(after) + 1 :] if (after := query.get("after_id")) in names else models
    return rest[:limit], len(rest) > limit


def _openai_entry(model: VirtualModel, created: int) -> dict[str, Any]:
    return {"id": model.name, "object": "model", "created": created, "owned_by": "vibe-router", **_properties(model)}


def _anthropic_entry(model: VirtualModel, created: int) -> dict[str, Any]:
    created_at = datetime.fromtimestamp(created, UTC).isoformat().replace("+00:00", "Z")
    properties = _properties(model)
    return {
        "type": "model",
        "id": model.name,
        "display_name": model.name,
        "created_at": created_at,
        "lifecycle": "active",
        "max_input_tokens": properties["context_window"],
        **properties,
    }


def _properties(model: VirtualModel) -> dict[str, Any]:
    """Return the description, the largest context window of the chain, and the price of its first deployment.

    `context_length` and `pricing` (dollars per token) are OpenRouter's names, which many clients read.
    """
    chain = list(model.chain)
    windows = [deployment.context_window for deployment in chain if deployment.context_window]
    window, price = max(windows, default=None), chain[0].price if chain else None
    return {
        "description": model.description,
        "context_window": window,
        "context_length": window,
        "price": _price(price) if price else None,
        "pricing": _pricing(price) if price else None,
    }


def _pricing(price: Price) -> dict[str, str]:
    """Return a price in dollars per token, as decimals."""
    return {name: f"{dollars / 1e6:.12f}" for name, dollars in (("prompt", price.input), ("completion", price.output))}


def _price(price: Price) -> dict[str, float]:
    """Return a price in dollars per million tokens, as routes.yaml has it."""
    names = ("input", "output", "cache_read", "cache_write", "audio_input", "audio_output")
    return {name: value for name in names if (value := getattr(price, name)) is not None}

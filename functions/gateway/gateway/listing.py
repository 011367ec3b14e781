"""GET /models: the virtual models and their aliases, as the caller's client expects them.

Anthropic's clients send `anthropic-version`, Codex sends `client_version`; all others get OpenAI's shape. Patterns
match an open set of names, so only aliases without a `*` are listed.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from gateway.environment import Environment
from gateway.proxy_event import Request, json_response
from streaming_runtime import Context, StreamingResponse
from vibe_router.core.errors import bad_request
from vibe_router.core.models import VirtualModel
from vibe_router.core.patterns import is_pattern
from vibe_router.core.price import Price

__all__ = ["is_anthropic", "model", "models", "usable_models"]

_MAX_PAGE = 1000


def models(request: Request, _context: Context, environment: Environment) -> StreamingResponse:
    """List the virtual models that the caller may use, by name. Raises ApiError (400) for an invalid page."""
    usable = usable_models(request, environment)
    created = environment.routes_written_at()
    if is_anthropic(request):
        names, has_more = _page(list(usable), request.query)
        data = [_anthropic_entry(name, usable[name], created) for name in names]
        ids = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
        return json_response({"data": data, "has_more": has_more, **ids})
    listed = {"object": "list", "data": [_openai_entry(name, model, created) for name, model in usable.items()]}
    if "client_version" in request.query:
        from vibe_router.formats.responses.codex_catalogue import catalogue_of

        listed |= catalogue_of(usable)
    return json_response(listed)


def usable_models(request: Request, environment: Environment) -> dict[str, VirtualModel]:
    """Return the models that the caller may use, by their names and aliases, sorted. Raises ApiError (401, 503)."""
    caller = environment.admission.caller(request.headers)
    catalogue = environment.routes()
    names = {*catalogue.models, *catalogue.aliases, *caller.aliases}
    resolved = {name: catalogue.resolve(name, caller.aliases) for name in sorted(names) if not is_pattern(name)}
    return {
        name: model
        for name, target in resolved.items()
        if (model := catalogue.models.get(target)) and caller.may_use(target)
    }


def model(request: Request, _context: Context, environment: Environment) -> StreamingResponse:
    """Describe the virtual model at the end of the path. Raises ApiError (403, 404)."""
    caller = environment.admission.caller(request.headers)
    name = unquote(request.path.partition("/models/")[2])
    entry = _anthropic_entry if is_anthropic(request) else _openai_entry
    found = environment.admission.model(caller, name, environment.routes())
    return json_response(entry(name, found, environment.routes_written_at()))


def is_anthropic(request: Request) -> bool:
    """Return whether the caller is a client of Anthropic's API."""
    return "anthropic-version" in request.headers


def _page(names: Sequence[str], query: Mapping[str, str]) -> tuple[Sequence[str], bool]:
    """Return the page that `limit`, `after_id` and `before_id` ask for, and whether more names follow it."""
    try:
        limit = int(query.get("limit") or _MAX_PAGE)
    except ValueError:
        limit = 0
    if not 1 <= limit <= _MAX_PAGE:
        raise bad_request(f"'limit' must be an integer from 1 to {_MAX_PAGE}.", "limit")
    if (before := query.get("before_id")) in names:
        rest = names[: names.index(before)]
        return rest[-limit:], len(rest) > limit
    rest = names[names.index(after) + 1 :] if (after := query.get("after_id")) in names else names
    return rest[:limit], len(rest) > limit


def _openai_entry(name: str, model: VirtualModel, created: int) -> dict[str, Any]:
    entry = {"id": name, "object": "model", "created": created, "owned_by": "vibe-router"}
    return {**entry, **_properties(name, model)}


def _anthropic_entry(name: str, model: VirtualModel, created: int) -> dict[str, Any]:
    created_at = datetime.fromtimestamp(created, UTC).isoformat().replace("+00:00", "Z")
    properties = _properties(name, model)
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": created_at,
        "lifecycle": "active",
        "max_input_tokens": properties["context_window"],
        **properties,
    }


def _properties(name: str, model: VirtualModel) -> dict[str, Any]:
    """Return the description, the largest context window of the chain, and the price of its first deployment.

    A model that is listed under another name has its own in `alias_of`.

    `context_length` and `pricing` (dollars per token) are OpenRouter's names, which many clients read.
    """
    chain = list(model.chain)
    windows = [deployment.context_window for deployment in chain if deployment.context_window]
    window, price = max(windows, default=None), chain[0].price if chain else None
    return {
        **({"alias_of": model.name} if name != model.name else {}),
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

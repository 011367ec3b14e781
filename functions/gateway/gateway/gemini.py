"""The routes of Google's Generative Language API: generate, stream and count, and the models.

    POST /v1beta/models/{model}:generateContent
    POST /v1beta/models/{model}:streamGenerateContent    events with ?alt=sse, else one JSON array
    POST /v1beta/models/{model}:countTokens
    GET  /v1beta/models, /v1beta/models/{model}          under /v1 for clients that send `x-goog-api-client`

The key is in `x-goog-api-key`, as Google's clients send it, or in `?key=`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from gateway import listing, model_routes, proxy_event
from gateway.environment import Environment
from gateway.proxy_event import Request
from streaming_runtime import Context, StreamingResponse
from vibe_router.core.errors import bad_request
from vibe_router.core.models import VirtualModel
from vibe_router.formats.gemini.format import GEMINI, GeminiCall
from vibe_router.formats.gemini.request import parse_count
from vibe_router.formats.interfaces import ClientFormat

__all__ = ["error_format", "routes"]

Route = Callable[[Request, Context, Environment], StreamingResponse]

_VERSIONS = ("/v1beta/", "/v1alpha/")
_METHODS = ("generateContent", "streamGenerateContent", "countTokens")
_KEY = "x-goog-api-key"
_MAX_PAGE = 1000
_PAGE = 50  # Google's default
_OUTPUT_TOKENS = 65_536  # that Google's models allow; the limit of another is not known


def _with_key(request: Request) -> Request:
    """Return `request` with the key of its query in a header, and without it in the query."""
    if "key" not in request.query:
        return request
    key, query = request.query["key"], {name: value for name, value in request.query.items() if name != "key"}
    return replace(request, query=query, headers={_KEY: key, **request.headers})


def error_format(request: Request, path: str) -> ClientFormat:
    """Return the format of errors on `path`."""
    is_array = path.endswith(":streamGenerateContent") and not _has_events(request)
    return GeminiCall("", stream=True) if is_array else GEMINI


def routes(path: str) -> Mapping[str, Route] | None:
    """Return the routes of `path` (without /v1) by method; None for an unknown one."""
    rest = path
    for version in _VERSIONS:
        rest = rest.removeprefix(version)
    rest = rest.lstrip("/")
    if rest == "models":
        return {"GET": _keyed(_list_models)}
    model, colon, method = rest.rpartition(":")
    if colon and method in _METHODS:
        name = _name(model)
        return {"POST": _keyed(_count(name) if method == "countTokens" else _generate(name, method))} if name else None
    if rest.startswith("models/") and (name := _name(rest)):
        return {"GET": _keyed(_describe(name))}
    return None


def _name(path: str) -> str:
    """Return the model's name in a path; Google's SDK writes a name with a slash without `models/`."""
    return unquote(path, errors="replace").removeprefix("models/")


def _has_events(request: Request) -> bool:
    return request.query.get("alt") == "sse" or request.query.get("$alt") == "sse"


def _keyed(route: Route) -> Route:
    return lambda request, context, environment: route(_with_key(request), context, environment)


def _generate(name: str, method: str) -> Route:
    def generate(request: Request, context: Context, environment: Environment) -> StreamingResponse:
        call = GeminiCall(name, stream=method == "streamGenerateContent", events=_has_events(request))
        response = model_routes.answer(call, request, context, environment)
        if call.stream and response.status == 200:
            return replace(response, headers={**response.headers, "content-type": call.content_type})
        return response

    return generate


def _count(name: str) -> Route:
    """Return the route that estimates tokens. Counting is free: nothing is reserved or booked."""

    def count(request: Request, _context: Context, environment: Environment) -> StreamingResponse:
        caller = environment.admission.caller(request.headers)
        environment.admission.count_request(caller)
        counted = parse_count(request.body, name)
        environment.admission.model(caller, counted.model, environment.routes())
        headers = {"x-vibe-request-id": request.id}
        return proxy_event.json_response({"totalTokens": counted.prompt_tokens_estimate()}, headers=headers)

    return count


def _list_models(request: Request, _context: Context, environment: Environment) -> StreamingResponse:
    """List the models by pages. Raises ApiError (400) for an invalid page."""
    usable = listing.usable_models(request, environment)
    names = list(usable)
    try:
        size = int(request.query.get("pageSize") or _PAGE)
        start = int(request.query.get("pageToken") or 0)
    except ValueError:
        size = start = -1
    if size <= 0 or not 0 <= start <= len(names):
        raise bad_request("'pageSize' must be a positive integer, and 'pageToken' one that was returned.", "pageToken")
    end = start + min(size, _MAX_PAGE)
    following = {"nextPageToken": str(end)} if end < len(names) else {}
    entries = [_entry(name, usable[name]) for name in names[start:end]]
    return proxy_event.json_response({"models": entries, **following})


def _describe(name: str) -> Route:
    def describe(request: Request, _context: Context, environment: Environment) -> StreamingResponse:
        caller = environment.admission.caller(request.headers)
        return proxy_event.json_response(_entry(name, environment.admission.model(caller, name, environment.routes())))

    return describe


def _entry(name: str, model: VirtualModel) -> dict[str, Any]:
    windows = [deployment.context_window for deployment in model.chain if deployment.context_window]
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name,
        "description": model.description,
        **({"inputTokenLimit": max(windows)} if windows else {}),
        "outputTokenLimit": _OUTPUT_TOKENS,
        "supportedGenerationMethods": list(_METHODS),
    }

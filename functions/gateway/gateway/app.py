"""The gateway function: every model route. A request is read, given to its route, and answered."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from gateway import answer, health, listing, proxy_event, stored
from gateway.environment import Environment, Settings
from gateway.proxy_event import Request
from streaming_runtime import Context, StreamingResponse
from vibe_router.core.errors import ApiError, fault, not_found
from vibe_router.core.telemetry import log_fault
from vibe_router.formats import registry as known

__all__ = ["handler"]

Route = Callable[[Request, Context, Environment], StreamingResponse]


def _in(name: str) -> Route:
    """Return the route of the format called `name`, which is imported when it is first asked for."""
    return lambda request, context, environment: answer.answer(known.client(name), request, context, environment)


# By path, without /v1, and method. Powertools' resolver would do this too, but importing it adds a quarter to a
# cold start, and it answers a wrong method with 404.
_ROUTES: Mapping[str, Mapping[str, Route]] = {
    **{path: {"POST": _in(name)} for path, name in answer.FORMATS.items()},
    "/messages/count_tokens": {"POST": answer.count_tokens},
    "/responses/compact": {"POST": answer.compact},
    "/responses/input_tokens": {"POST": answer.input_tokens},
    "/models": {"GET": listing.models},
    "/health": {"GET": health.deployments},
    "/health/liveliness": {"GET": health.liveness},
    "/health/liveness": {"GET": health.liveness},
    "/health/readiness": {"GET": health.readiness},
}

_environment: Environment | None = None


def handler(event: Mapping[str, Any], context: Context) -> StreamingResponse:
    """Answer one v1 proxy event."""
    headers: dict[str, str] = {}
    path = ""
    try:
        request = proxy_event.read(event, context.aws_request_id)
        headers["x-vibe-request-id"] = request.id
        path = _unversioned(request.path)
        return _route_of(request, path)(request, context, _opened())
    except ApiError as error:
        return proxy_event.error_answer(error, headers, answer.format_of(path))
    except Exception as error:  # noqa: BLE001 - the last resort: logged, and told in the caller's format
        log_fault("handler", error)
        return proxy_event.error_answer(fault(), headers, answer.format_of(path))


def _opened() -> Environment:
    global _environment
    if _environment is None:
        _environment = Environment(Settings.read())
    return _environment


def _unversioned(path: str) -> str:
    return path.removeprefix("/v1") if path.startswith("/v1/") else path


def _route_of(request: Request, path: str) -> Route:
    """Return what answers `request`; `path` is its path without /v1. Raises ApiError (404, 405)."""
    methods = _ROUTES.get(path)
    if methods is None and path.startswith("/models/"):
        methods = {"GET": listing.model}
    if methods is None and path.startswith("/responses/"):
        methods = stored.routes(path)
    if methods is None:
        there_is = "Models are under /v1, such as /v1/chat/completions; the admin API is described at /ui/openapi.json."
        raise not_found(f"Nothing answers {request.path[:200]}. {there_is}")
    if route := methods.get(request.method):
        return route
    allowed = ", ".join([*methods, "OPTIONS"])
    if request.method == "OPTIONS":
        return lambda *_: proxy_event.preflight_answer(allowed)
    raise ApiError(
        405, f"{request.method[:20]} is not allowed here.", code="method_not_allowed", headers={"allow": allowed}
    )


if "AWS_LAMBDA_RUNTIME_API" in os.environ:  # in Lambda the start has a whole CPU, and a snapshot keeps what it made
    _opened()

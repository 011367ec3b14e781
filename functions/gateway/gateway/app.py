"""The gateway function: it reads an event, finds the route of its path, and returns the response."""

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from gateway import cors, description, health, listing, model_routes, proxy_event, root, stored
from gateway.environment import Environment, Settings
from gateway.paths import target_of
from gateway.proxy_event import Request
from streaming_runtime import Context, StreamingResponse
from vibe_router.core.errors import ApiError, fault, not_found
from vibe_router.core.telemetry import log_fault
from vibe_router.formats import registry
from vibe_router.formats.interfaces import ClientFormat

__all__ = ["environment", "handler", "open_environment"]

Route = Callable[[Request, Context, Environment], StreamingResponse]


def _model_route(name: str) -> Route:
    """Return the route of the format called `name`, which is imported on its first request."""
    return lambda request, context, environment: model_routes.answer(
        registry.client(name), request, context, environment
    )


def _feedback(request: Request, context: Context, environment: Environment) -> StreamingResponse:
    from gateway import feedback  # few callers send any

    return feedback.answer(request, context, environment)


# By path (without /v1) and method. Powertools' resolver adds a quarter to a cold start, and answers 404 to a wrong
# method.
_ROUTES: Mapping[str, Mapping[str, Route]] = {
    **{path: {"POST": _model_route(name)} for path, name in model_routes.FORMATS.items()},
    "/messages/count_tokens": {"POST": model_routes.count_tokens},
    "/responses/compact": {"POST": model_routes.compact},
    "/responses/input_tokens": {"POST": model_routes.input_tokens},
    "/feedback": {"POST": _feedback},
    "/models": {"GET": listing.models},
    "/openapi.json": {"GET": description.answer},
    "/health": {"GET": health.deployments},
    "/health/liveliness": {"GET": health.liveness},
    "/health/liveness": {"GET": health.liveness},
    "/health/readiness": {"GET": health.readiness},
}

_GEMINI = (":generateContent", ":streamGenerateContent", ":countTokens")

environment: Environment | None = None
"""The environment of this process. Tests set their own."""
_log = logging.getLogger(__name__)


def handler(event: Mapping[str, Any], context: Context) -> StreamingResponse:
    """Answer one v1 proxy event."""
    return cors.with_cors(_answer(event, context), event)


def _answer(event: Mapping[str, Any], context: Context) -> StreamingResponse:
    headers: dict[str, str] = {}
    path, request = "", None
    try:
        request = proxy_event.read(event, context.aws_request_id)
        headers["x-vibe-request-id"] = request.id
        path, model = target_of(request.path)
        if "content-encoding" in request.headers and request.body:
            from gateway import content_encoding  # few clients compress their requests

            request = content_encoding.decoded(request)
        if model is not None:
            from gateway import azure

            request = azure.with_model(request, model)
        return _route_of(request, path)(request, context, open_environment())
    except ApiError as error:
        return proxy_event.error_response(error, headers, _error_format(path, request))
    except Exception as error:  # noqa: BLE001 - the last resort: logged, and answered in the caller's format
        log_fault("handler", error)
        return proxy_event.error_response(fault(), headers, _error_format(path, request))
    finally:
        if environment and environment.secrets.is_broken:
            context.after_response(_exit)


def _error_format(path: str, request: Request | None) -> ClientFormat:
    """Return the format of an error. Both OpenAI's and Anthropic's clients list models."""
    if request and _is_gemini(request, path):
        from gateway import gemini

        return gemini.error_format(request, path)
    if request and path.startswith("/models") and listing.is_anthropic(request):
        return registry.client("messages")
    return model_routes.format_of(path)


def _is_gemini(request: Request, path: str) -> bool:
    """Return whether a request for `path` (without /v1) is one of Google's API, whose methods follow a colon.

    OpenAI's clients list models under the same path. Google's are recognised by their header or their key.
    """
    if path.startswith(("/v1beta/", "/v1alpha/")):
        return True
    if not path.startswith("/models"):
        return False
    return path.endswith(_GEMINI) or (
        request.method == "GET" and ("x-goog-api-client" in request.headers or "key" in request.query)
    )


def _exit() -> None:
    """End this environment, which has had no secrets for too long: Lambda starts a new one."""
    _log.error("the secret cannot be read for a minute: the environment ends")
    raise SystemExit(1)


def open_environment() -> Environment:
    """Return the environment of this process, created on the first call."""
    global environment
    if environment is None:
        environment = Environment(Settings.read())
    return environment


def _route_of(request: Request, path: str) -> Route:
    """Return the route of `path` (without /v1) and the request's method. Raises ApiError (404, 405)."""
    if path == "/" and (route := root.route_of(request)):
        return route
    if _is_gemini(request, path):
        from gateway import gemini  # imported by the first request of its clients

        methods = gemini.routes(path)
    else:
        methods = _ROUTES.get(path)
    if methods is None and path.startswith("/models/"):
        methods = {"GET": listing.model}
    if methods is None and path.startswith("/responses/"):
        methods = stored.routes(path)
    if methods is None:
        raise not_found(
            f"There is no {request.path[:200]}. Models are under /v1, such as /v1/chat/completions; /openapi.json "
            "describes all paths, and /ui/openapi.json the admin API."
        )
    if route := methods.get(request.method):
        return route
    if path == "/responses" and _asks_for_websocket(request):
        message = "WebSockets are not supported here. Send POST requests to this path."
        raise ApiError(426, message, code="websocket_not_supported")
    allowed = ", ".join([*methods, "OPTIONS"])
    if request.method == "OPTIONS":
        return lambda *_: proxy_event.preflight_response(allowed)
    raise ApiError(
        405, f"{request.method[:20]} is not allowed here.", code="method_not_allowed", headers={"allow": allowed}
    )


def _asks_for_websocket(request: Request) -> bool:
    """Return whether a request opens a WebSocket. API Gateway does not pass the Upgrade header on."""
    return request.method == "GET" and ("sec-websocket-key" in request.headers or "upgrade" in request.headers)


# Lambda's init phase has a whole CPU, and a snapshot keeps what was created in it.
if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    open_environment()

"""The admin function: it reads an event, authenticates the caller, and dispatches to the route."""

import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

from admin import (
    alerts,
    archive,
    audit,
    complexity,
    cooldowns,
    keys,
    me,
    metrics,
    models,
    oidc,
    page,
    routes,
    secrets,
    session,
    spend,
    teams,
    usage,
    users,
)
from admin.auth import authenticate
from admin.call import Call, Request, checked, read
from admin.environment import Environment, Settings
from admin.errors import check_query, error_result, no_such_route, to_api_error
from admin.openapi import description
from admin.router import RegisteredRoute
from streaming_runtime import Context
from vibe_router.access.sessions import renew
from vibe_router.core.errors import ApiError

__all__ = ["environment", "handler", "open_environment", "openapi_document", "registered_routes"]

# At DEBUG it logs the bodies of calls, in which passwords and providers' keys are sent.
logging.getLogger("aws_lambda_powertools.event_handler").setLevel(logging.INFO)
app = APIGatewayRestResolver(enable_validation=True)


@app.get("/ui/openapi.json", include_in_schema=False)
def _openapi() -> Response[Any]:
    """Return the OpenAPI description of the admin API."""
    request: Request = app.context["call"].request
    headers = {"cache-control": "no-cache", **page.security_headers(request)}
    return Response(200, "application/json", openapi_document(request.prefix), headers=headers)


@lru_cache(maxsize=4)  # a function has one stage, rarely two
def openapi_document(prefix: str) -> str:
    """Return the OpenAPI document as JSON; `prefix` is the stage's part of the URL."""
    return description(app, _REGISTERED, prefix)


_REGISTERED: list[RegisteredRoute] = []
for module in (
    keys,
    teams,
    users,
    models,
    spend,
    usage,
    archive,
    routes,
    cooldowns,
    secrets,
    complexity,
    alerts,
    audit,
    metrics,
    me,
    oidc,
    session,
    page,
):
    app.include_router(module.router)
    _REGISTERED += module.router.registered


def registered_routes() -> list[RegisteredRoute]:
    """Return every route of the function."""
    return list(_REGISTERED)


environment: Environment | None = None
"""The environment of this process. Tests set their own."""


def handler(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Answer one v1 proxy event with a proxy result."""
    request_id = ""
    try:
        request = read(event, context.aws_request_id)
        request_id = request.id
        call = _call_of(request, open_environment())
        if not request.path.startswith("/ui"):
            check_query(request.path, request.method, event.get("queryStringParameters") or (), _REGISTERED)
        app.append_context(call=call)
        sent = checked(request)
        result = app.resolve(sent, context)  # type: ignore[arg-type] # it only passes the context on
        _renew(call, result)
        audit.record(call, sent["body"], result)
    except Exception as error:  # noqa: BLE001 - the last resort: every error becomes a response
        result = error_result(to_api_error(error))
    result["multiValueHeaders"]["x-vibe-request-id"] = [request_id]
    result["multiValueHeaders"].setdefault("cache-control", ["no-store"])
    return result


def open_environment() -> Environment:
    """Return the environment of this process, created on the first call."""
    global environment
    if environment is None:
        environment = Environment(Settings.read())
    return environment


def _call_of(request: Request, environment: Environment) -> Call:
    """Authenticate the caller before anything else is read. Only the page's files and sign-in are public."""
    is_open = request.path == "/ui" or (request.path.startswith("/ui/") and request.path != "/ui/sign-out")
    return Call(request, environment) if is_open else authenticate(request, environment)


def _renew(call: Call, result: dict[str, Any]) -> None:
    """Extend the session of an active user."""
    if call.session and call.session.is_due(call.now) and "Set-Cookie" not in result["multiValueHeaders"]:
        cookie = session.cookie_of(call, renew(call.session, call.now))
        result["multiValueHeaders"]["Set-Cookie"] = [str(cookie)]


@app.exception_handler(NotFoundError)
def _no_route(_error: NotFoundError) -> Response[Any]:
    request: Request = app.context["call"].request
    return _error_response(no_such_route(request.path, request.method, _REGISTERED))


@app.exception_handler(Exception)
def _failed(error: Exception) -> Response[Any]:
    return _error_response(to_api_error(error))


def _error_response(error: ApiError) -> Response[Any]:
    result = error_result(error)
    headers = {name: values[0] for name, values in result["multiValueHeaders"].items()}
    return Response(result["statusCode"], headers.pop("content-type"), result["body"], headers=headers)

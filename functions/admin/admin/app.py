"""The admin function: a request is read, its caller known, its route found; every error is told."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

from admin import cooldowns, keys, models, page, routes, session, spend, teams, usage
from admin.auth import caller
from admin.call import Call, Request, checked, read
from admin.environment import Environment, Settings
from admin.errors import check_query, error_answer, nothing_there, worded
from admin.openapi import description
from admin.router import Known
from streaming_runtime import Context
from vibe_router.access.sessions import renew
from vibe_router.core.errors import ApiError

__all__ = ["handler"]

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/ui/openapi.json", include_in_schema=False)
def _described() -> Response[Any]:
    """Describe the API, for programs and for whoever writes them."""
    described = _description(app.context["call"].request.prefix)
    return Response(200, "application/json", described, headers={"cache-control": "no-cache", **page.SECURITY_HEADERS})


@lru_cache(maxsize=4)  # a function is called under one stage, or two
def _description(prefix: str) -> str:
    return description(app, _KNOWN, prefix)


_KNOWN: list[Known] = []
for module in (keys, teams, models, spend, usage, routes, cooldowns, session, page):
    app.include_router(module.router)
    _KNOWN += module.router.known

_environment: Environment | None = None


def handler(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Answer one v1 proxy event with a proxy result."""
    request_id = ""
    try:
        request = read(event, context.aws_request_id)
        request_id = request.id
        call = _call_of(request, _opened())
        if not request.path.startswith("/ui"):
            check_query(request.path, request.method, event.get("queryStringParameters") or (), _KNOWN)
        app.append_context(call=call)
        answer = app.resolve(checked(request), context)  # type: ignore[arg-type] # it hands the context on, no more
        _renew(call, answer)
    except Exception as error:  # noqa: BLE001 - the last resort: whatever it is, it is worded
        answer = error_answer(worded(error))
    answer["multiValueHeaders"]["x-vibe-request-id"] = [request_id]
    answer["multiValueHeaders"].setdefault("cache-control", ["no-store"])
    return answer


def _opened() -> Environment:
    global _environment
    if _environment is None:
        _environment = Environment(Settings.read())
    return _environment


def _call_of(request: Request, environment: Environment) -> Call:
    """Know who calls, before anything else is looked at. Only the page's files and signing in are for everybody."""
    is_open = request.path == "/ui" or (request.path.startswith("/ui/") and request.path != "/ui/sign-out")
    return Call(request, environment) if is_open else caller(request, environment)


def _renew(call: Call, answer: dict[str, Any]) -> None:
    """Lengthen the session of somebody who is at work."""
    if call.session and call.session.is_due(call.now) and "Set-Cookie" not in answer["multiValueHeaders"]:
        cookie = session.cookie_of(call, renew(call.session, call.now))
        answer["multiValueHeaders"]["Set-Cookie"] = [str(cookie)]


@app.exception_handler(NotFoundError)
def _not_there(_error: NotFoundError) -> Response[Any]:
    request: Request = app.context["call"].request
    return _told(nothing_there(request.path, request.method, _KNOWN))


@app.exception_handler(Exception)
def _failed(error: Exception) -> Response[Any]:
    return _told(worded(error))


def _told(error: ApiError) -> Response[Any]:
    answer = error_answer(error)
    headers = {name: values[0] for name, values in answer["multiValueHeaders"].items()}
    return Response(answer["statusCode"], headers.pop("content-type"), answer["body"], headers=headers)

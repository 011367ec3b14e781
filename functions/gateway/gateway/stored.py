"""Stored responses: GET and DELETE /v1/responses/{id}, its input items, and its cancellation."""

from collections.abc import Callable, Mapping

from gateway import proxy_event
from gateway.environment import Environment
from gateway.proxy_event import Request
from streaming_runtime import Context, Heartbeat, StreamingResponse
from vibe_router.access.keys import Caller
from vibe_router.core.errors import bad_request
from vibe_router.formats.common import sse
from vibe_router.formats.responses import stored
from vibe_router.formats.responses.stored import StoredResponse

__all__ = ["routes"]

Route = Callable[[Request, Context, Environment], StreamingResponse]

_HEARTBEAT_SECONDS = 15.0


def routes(path: str) -> Mapping[str, Route] | None:
    """Return the routes below /responses/ by method; None for an unknown `path` (without /v1)."""
    match path.removeprefix("/responses/").split("/"):
        case [id_] if id_:
            return {"GET": _route(id_, _retrieve), "DELETE": _delete(id_)}
        case [id_, "input_items"] if id_:
            return {"GET": _route(id_, _list_input_items)}
        case [id_, "cancel"] if id_:
            return {"POST": _route(id_, _cancel)}
    return None


def _route(id_: str, answer: Callable[[StoredResponse, Request], StreamingResponse]) -> Route:
    def route(request: Request, _context: Context, environment: Environment) -> StreamingResponse:
        return answer(environment.responses.find(_caller(request, environment), id_), request)

    return route


def _caller(request: Request, environment: Environment) -> Caller:
    """Return the caller, once the request has been counted against its rate limit."""
    caller = environment.admission.caller(request.headers)
    environment.admission.count_request(caller)
    return caller


def _retrieve(found: StoredResponse, request: Request) -> StreamingResponse:
    if request.query.get("stream") == "true":
        events = stored.replay_events(found, request.query.get("starting_after"))
        return proxy_event.stream_response(events, {}, Heartbeat(_HEARTBEAT_SECONDS, sse.COMMENT))
    return proxy_event.json_response(found.response)


def _list_input_items(found: StoredResponse, request: Request) -> StreamingResponse:
    return proxy_event.json_response(stored.list_input(found, request.query))


def _cancel(_found: StoredResponse, _request: Request) -> StreamingResponse:
    raise bad_request("Only background responses can be cancelled, and this one is complete.")


def _delete(id_: str) -> Route:
    def route(request: Request, _context: Context, environment: Environment) -> StreamingResponse:
        environment.responses.delete(_caller(request, environment), id_)
        return proxy_event.json_response({"id": id_, "object": "response.deleted", "deleted": True})

    return route

"""The root of the URL: browsers are redirected to the admin page, and HEAD answers that the router is up."""

from collections.abc import Callable

from gateway.environment import Environment
from gateway.proxy_event import Request, whole_response
from streaming_runtime import Context, StreamingResponse

__all__ = ["route_of"]


def route_of(request: Request) -> Callable[[Request, Context, Environment], StreamingResponse] | None:
    """Return the route of a request for `/`; None for one that is neither HEAD nor a browser's GET."""
    if request.method == "HEAD":  # Claude Code checks its connection with it
        return lambda *_: whole_response(b"")
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return lambda found, *_: whole_response(
            b"", 302, {"location": f"{found.prefix}/ui/", "cache-control": "no-store"}
        )
    return None

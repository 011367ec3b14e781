"""POST /v1/feedback: a caller's rating of an answer."""

from gateway import proxy_event
from gateway.environment import Environment
from gateway.proxy_event import Request
from streaming_runtime import Context, StreamingResponse
from vibe_router.core.errors import bad_request, unavailable
from vibe_router.formats.common.json_body import parse_object
from vibe_router.store.circuit_breaker import AWS_ERRORS

__all__ = ["answer"]

_VALUES = {1: 1, -1: -1, "up": 1, "down": -1, "good": 1, "bad": -1}
_FIELDS = frozenset(("request_id", "value"))


def answer(request: Request, _context: Context, environment: Environment) -> StreamingResponse:
    """Store the feedback of the key that made the request; the same feedback again changes nothing."""
    caller = environment.admission.caller(request.headers)
    environment.admission.count_request(caller)
    body = parse_object(request.body)
    if unknown := sorted(set(body) - _FIELDS):
        raise bad_request(f"Unknown parameter: '{unknown[0][:100]}'.", unknown[0][:100])
    request_id, value = body.get("request_id"), body.get("value")
    if not isinstance(request_id, str) or not request_id:
        raise bad_request("'request_id' must be the x-vibe-request-id of an answer.", "request_id")
    known = value if isinstance(value, str | int) and not isinstance(value, bool) else None
    if known not in _VALUES:
        raise bad_request("'value' must be 1 or -1 (or 'up' or 'down').", "value")
    try:
        environment.evidence.give_feedback(caller, request_id, _VALUES[known], environment.routes())
    except AWS_ERRORS:
        raise unavailable("Feedback cannot be stored right now.") from None
    return proxy_event.json_response({"object": "feedback", "request_id": request_id, "value": _VALUES[known]})

"""Turn every error into a response in OpenAI's envelope."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError

from admin.router import RegisteredRoute
from vibe_router.core.errors import ApiError, bad_request, error_body, fault, not_found, unavailable
from vibe_router.core.telemetry import log_fault, logger
from vibe_router.store.aws_errors import AwsError, error_code
from vibe_router.store.key_admin import CorruptRecordError

__all__ = ["check_query", "error_result", "no_such_route", "to_api_error"]

_LONGEST = 200  # characters of a field's name that an error repeats
# LiteLLM's parameters that only extend a response. Responses here are always complete.
_HARMLESS = frozenset({"include_created_by_keys", "include_team_keys", "summarize"})


def error_result(error: ApiError) -> dict[str, Any]:
    """Return the proxy result for `error`."""
    headers = {"content-type": "application/json", "x-content-type-options": "nosniff", **error.headers}
    return {
        "statusCode": error.status,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "body": error_body(error).decode(),
        "isBase64Encoded": False,
    }


def to_api_error(error: Exception) -> ApiError:
    """Return `error` as an error for the caller. A fault of the router is logged."""
    match error:
        case ApiError():
            return error
        case RequestValidationError():
            return _invalid(error.errors())
        case CorruptRecordError():
            message = (
                "The record in the table cannot be read because it was edited by hand. Correct or delete it there."
            )
            return ApiError(409, message, code="corrupt_record")
        case AwsError():
            logger.warning("a table cannot be reached", extra={"fault": error_code(error)})
            return unavailable("The router's tables cannot be reached right now.")
    log_fault("handler", error)
    return fault()


def _invalid(problems: Sequence[Mapping[str, Any]]) -> ApiError:
    """Return the 400 for validation errors. `param` is the first field."""
    reasons = [(_field(problem["loc"]), _reason(problem)) for problem in problems]
    message = " ".join(f"{field}: {reason}." if field else f"The request {reason}." for field, reason in reasons[:5])
    return bad_request(message, param=(reasons[0][0] or None) if reasons else None)


def _field(place: Sequence[str | int]) -> str:
    # The first part is the part of the request (body, query, path).
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place[1:])
    return path.removeprefix(".")[:_LONGEST]


def _reason(problem: Mapping[str, Any]) -> str:
    match problem.get("type"):
        case "extra_forbidden":
            return "is not a supported field"
        case "missing":
            return "is missing"
        case "value_error":
            return str(problem["msg"]).removeprefix("Value error, ")
    text = str(problem.get("msg", "is not valid"))
    return f"{text[:1].lower()}{text[1:]}".removeprefix("input ")


def no_such_route(path: str, method: str, routes: Sequence[RegisteredRoute]) -> ApiError:
    """Return the 404 for an unknown path, or the 405 for a path with other methods."""
    allowed = dict.fromkeys(route.method for route in routes if route.path.fullmatch(path))
    if not allowed:
        return not_found(f"There is no {path[:_LONGEST]}. The admin API is described at /ui/openapi.json.")
    headers = {"allow": ", ".join(allowed)}
    return ApiError(405, f"{method[:20]} is not allowed here.", code="method_not_allowed", headers=headers)


def check_query(path: str, method: str, query: Iterable[str], routes: Sequence[RegisteredRoute]) -> None:
    """Reject query parameters that the route does not read, so that no filter is ignored. Raises ApiError (400)."""
    for route in routes:
        if route.method == method and route.path.fullmatch(path):
            for name in query:
                if name not in route.parameters and name not in _HARMLESS:
                    raise bad_request(f"{name[:_LONGEST]}: is not supported; remove it.", param=name[:_LONGEST])

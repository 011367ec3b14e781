"""How callers are told of errors: OpenAI's envelope, whatever went wrong where."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from botocore.exceptions import BotoCoreError, ClientError

from admin.router import Known
from vibe_router.core.errors import ApiError, bad_request, error_body, fault, not_found, unavailable
from vibe_router.core.telemetry import log_fault, logger
from vibe_router.store.circuit_breaker import error_code
from vibe_router.store.key_admin import CorruptRecordError

__all__ = ["check_query", "error_answer", "nothing_there", "worded"]

_LONGEST = 200  # characters of a field's name that are told back
# LiteLLM's, which only widen what is told: here all of it is told anyhow.
_HARMLESS = frozenset({"include_created_by_keys", "include_team_keys", "summarize"})


def error_answer(error: ApiError) -> dict[str, Any]:
    """Return the proxy result that tells of `error`."""
    headers = {"content-type": "application/json", "x-content-type-options": "nosniff", **error.headers}
    return {
        "statusCode": error.status,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "body": error_body(error).decode(),
        "isBase64Encoded": False,
    }


def worded(error: Exception) -> ApiError:
    """Return what the caller is told of `error`; what is a fault of the router's own is logged."""
    match error:
        case ApiError():
            return error
        case RequestValidationError():
            return _invalid(error.errors())
        case CorruptRecordError():
            message = "The record in the table can't be read; it was edited by hand. Mend or delete it there."
            return ApiError(409, message, code="corrupt_record")
        case BotoCoreError() | ClientError():
            logger.warning("a table cannot be asked", extra={"fault": error_code(error)})
            return unavailable("The router's tables cannot be reached right now.")
    log_fault("handler", error)
    return fault()


def _invalid(problems: Sequence[Mapping[str, Any]]) -> ApiError:
    """Return the 400 for what validation found; the first field is the one that `param` names."""
    told = [(_field(problem["loc"]), _reason(problem)) for problem in problems]
    message = " ".join(f"{field}: {reason}." if field else f"The request {reason}." for field, reason in told[:5])
    return bad_request(message, param=(told[0][0] or None) if told else None)


def _field(place: Sequence[str | int]) -> str:
    # The first part says where the request was looked at (body, query, path).
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place[1:])
    return path.removeprefix(".")[:_LONGEST]


def _reason(problem: Mapping[str, Any]) -> str:
    match problem.get("type"):
        case "extra_forbidden":
            return "is not a field that is known here"
        case "missing":
            return "is missing"
        case "value_error":
            return str(problem["msg"]).removeprefix("Value error, ")
    text = str(problem.get("msg", "is not valid"))
    return f"{text[:1].lower()}{text[1:]}".removeprefix("input ")


def nothing_there(path: str, method: str, known: Sequence[Known]) -> ApiError:
    """Return the 404 for a path that nothing answers, or the 405 for one that answers other methods."""
    allowed = dict.fromkeys(route.method for route in known if route.path.fullmatch(path))
    if not allowed:
        return not_found(f"Nothing answers {path[:_LONGEST]}. What does is described at /ui/openapi.json.")
    headers = {"allow": ", ".join(allowed)}
    return ApiError(405, f"{method[:20]} is not allowed here.", code="method_not_allowed", headers=headers)


def check_query(path: str, method: str, query: Iterable[str], known: Sequence[Known]) -> None:
    """Refuse a query that its route would not look at: what was meant as a filter must not be lost. Raises ApiError."""
    for route in known:
        if route.method == method and route.path.fullmatch(path):
            for name in query:
                if name not in route.parameters and name not in _HARMLESS:
                    raise bad_request(f"{name[:_LONGEST]}: is not known here; leave it out.", param=name[:_LONGEST])

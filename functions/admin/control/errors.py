"""How callers are told of errors: OpenAI's envelope, whatever went wrong where."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from control.call import Call
from vibe_router.formats.errors import ApiError, bad_request, error_body, not_found

__all__ = ["error_answer", "invalid", "nothing_there"]

_LONGEST = 200  # characters of a field's name that are told back


def error_answer(error: ApiError) -> dict[str, Any]:
    """Return the proxy result that tells of `error`."""
    headers = {"content-type": "application/json", "x-content-type-options": "nosniff", **error.headers}
    return {
        "statusCode": error.status,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "body": error_body(error).decode(),
        "isBase64Encoded": False,
    }


def invalid(problems: Sequence[Mapping[str, Any]]) -> ApiError:
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


def nothing_there(app: APIGatewayRestResolver) -> ApiError:
    """Return the 404 for a path that nothing answers, or the 405 for one that answers other methods."""
    call: Call = app.context["call"]
    path, method = call.request.path, call.request.method
    allowed = [name for pattern, name in _methods(app) if re.fullmatch(pattern, path)]
    if not allowed:
        return not_found(f"Nothing answers {path[:_LONGEST]}.")
    allow = ", ".join(dict.fromkeys(allowed))
    return ApiError(405, f"{method[:20]} is not allowed here.", code="method_not_allowed", headers={"allow": allow})


@cache
def _methods(app: APIGatewayRestResolver) -> list[tuple[str, str]]:
    """Return a pattern for each path that is described, with each of its methods."""
    names = ("get", "post", "put", "delete", "patch")
    return [
        (re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)), name.upper())
        for path, item in (app.get_openapi_schema().paths or {}).items()
        for name in names
        if getattr(item, name)
    ]

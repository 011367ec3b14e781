"""The request of an admin call, read from API Gateway's v1 proxy event and checked."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any, cast

from admin.environment import Environment
from admin.router import Router
from vibe_router.access.keys import Key
from vibe_router.access.sessions import Session
from vibe_router.core.errors import ApiError, bad_request
from vibe_router.formats.common.json_body import parse_object

SIGN_IN = "/ui/sign-in"
_MAX_SIGN_IN = 4 * 1024  # bytes

__all__ = ["SIGN_IN", "Call", "Request", "call_of", "read"]

_DEEPEST = 60  # levels of a body; a tool's schema in a chat request has about ten


@dataclass(frozen=True, slots=True)
class Request:
    """A request; header names are lower-case, and `event` is the original event.

    `path` has no stage; `prefix` is the stage's part of the URL ("/prod" or "").
    """

    id: str
    method: str
    path: str
    prefix: str
    headers: Mapping[str, str]
    address: str
    is_https: bool
    event: Mapping[str, Any]

    def cookie(self, name: str) -> str | None:
        """Return the cookie called `name`."""
        try:
            found = SimpleCookie(self.headers.get("cookie", "")).get(name)
        except CookieError:
            return None
        return found.value if found else None


@dataclass(frozen=True, slots=True)
class Call:
    """An authenticated request. `by` names its sender for the history.

    `session` is set for a call of the page, and `key` for one of a virtual key, which may read about itself only.
    """

    request: Request
    environment: Environment
    by: str = ""
    session: Session | None = None
    key: Key | None = None

    @property
    def now(self) -> float:
        """The time, in epoch seconds."""
        return self.environment.clock.now()


def call_of(router: Router) -> Call:
    """Return the current call."""
    return cast("Call", router.context["call"])


def read(event: Mapping[str, Any], fallback_id: str) -> Request:
    """Read a v1 proxy event. Raises ApiError (400) for a body that is not a JSON object."""
    context = event.get("requestContext") or {}
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items() if value is not None}
    path = event.get("path") or "/"
    stage = f"/{context.get('stage')}"
    if path == stage or path.startswith(f"{stage}/"):  # called by the stack's own address
        path, prefix = path[len(stage) :] or "/", stage
    else:
        prefix = stage if context.get("path") == stage + path else ""
    return Request(
        id=context.get("requestId") or fallback_id,
        method=(event.get("httpMethod") or "GET").upper(),
        path=path,
        prefix=prefix,
        headers=headers,
        address=str((context.get("identity") or {}).get("sourceIp") or "unknown"),
        is_https=headers.get("x-forwarded-proto", "https") != "http",
        event=event,
    )


def checked(request: Request) -> dict[str, Any]:
    """Return the event for the resolver with its body checked more strictly. Raises ApiError (400)."""
    event = dict(request.event)
    body = _body(event)
    if request.path == SIGN_IN and len(body) > _MAX_SIGN_IN:  # anyone may send it
        raise ApiError(413, "The body is larger than 4 KB.", code="request_too_large")
    value = parse_object(body) if body.strip() else {}
    _check(value)
    # curl labels bodies as forms; this API has none.
    typed = {name: value for name, value in (event.get("headers") or {}).items() if name.lower() != "content-type"}
    many = {name: v for name, v in (event.get("multiValueHeaders") or {}).items() if name.lower() != "content-type"}
    return {
        **event,
        "path": request.path,
        "httpMethod": "GET" if request.method == "HEAD" else request.method,
        "headers": {**typed, "content-type": "application/json"},
        "multiValueHeaders": {**many, "content-type": ["application/json"]},
        "body": json.dumps(value),
        "isBase64Encoded": False,
    }


def _body(event: Mapping[str, Any]) -> bytes:
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return cast("str", body).encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except ValueError:
        raise bad_request("The body is not valid base64.") from None


def _check(value: object) -> None:
    """Reject JSON values that a table or an answer cannot contain. Raises ApiError (400)."""
    levels: list[object] = [value]
    for _ in range(_DEEPEST):
        below: list[object] = []
        for each in levels:
            if isinstance(each, dict):
                below += [*each.keys(), *each.values()]
            elif isinstance(each, list):
                below += each
            elif isinstance(each, str) and not each.isascii() and _has_surrogate(each):
                raise bad_request("The body contains half a character (a lone surrogate).")
            elif isinstance(each, float) and each in (float("inf"), float("-inf")):
                raise bad_request("The body contains a number that is too large.")
        if not below:
            return
        levels = below
    raise ApiError(400, "The body is nested too deeply.")


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)

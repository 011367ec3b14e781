"""/ui/sign-in, /ui/sign-out, /ui/session: the page's sessions."""

import math
from datetime import UTC, datetime
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.shared.cookies import Cookie, SameSite
from pydantic import BaseModel, ConfigDict, Field

from admin.auth import session_of
from admin.call import Call, call_of
from admin.fields import Body, example
from admin.openapi import answers
from admin.router import Router
from vibe_router.access.sessions import COOKIE, Session, equals_in_constant_time, new_session
from vibe_router.core.errors import ApiError

__all__ = ["cookie_of", "router"]

router = Router()


class SignIn(BaseModel):
    """The credentials of a user."""

    model_config = ConfigDict(extra="forbid", strict=True) | example(username="admin", password="$PASSWORD")  # noqa: S106 - no password

    username: Annotated[str, Field(max_length=1000)]
    password: Annotated[str, Field(max_length=1000)]


@router.post(
    "/ui/sign-in",
    tags=["Page"],
    security=[{}],
    responses=answers("`username`, `csrf` and `expires`; the session comes as a cookie.", 401, 429),
)
def sign_in(body: SignIn) -> Response[Any]:
    """Sign in with the page's username and password."""
    call = call_of(router)
    username, password = call.environment.sign_in()
    if pause := call.environment.sign_ins.begin(call.request.address):
        seconds = str(math.ceil(pause))
        message = f"Too many attempts to sign in. Try again in {seconds} seconds."
        raise ApiError(
            429, message, type="rate_limit_error", code="too_many_sign_ins", headers={"retry-after": seconds}
        )
    # Both are always compared, so the duration does not reveal which one is wrong.
    right = [equals_in_constant_time(body.username, username), equals_in_constant_time(body.password, password)]
    if not all(right):
        raise ApiError(401, "The username or the password is wrong.", type="auth_error", code="sign_in_failed")
    call.environment.sign_ins.succeeded(call.request.address)
    session = new_session(username, call.now)
    return Response(200, "application/json", _session_fields(call, session), cookies=[cookie_of(call, session)])


class SignOut(Body):
    """The sessions to end."""

    model_config = example(all=True)

    all: bool = Field(default=False, description="Every session of this user, on all devices")


@router.post("/ui/sign-out", tags=["Page"], responses=answers("`signed_out`; the cookie goes."))
def sign_out(body: SignOut) -> Response[Any]:
    """Sign out. The session ends everywhere, or all of the user's sessions do."""
    call = call_of(router)
    if call.session:
        call.environment.sessions.end(call.session)
        if body.all:
            call.environment.sessions.end_all(call.session.username)
    return Response(200, "application/json", {"signed_out": True}, cookies=[cookie_of(call, None)])


@router.get(
    "/ui/session",
    tags=["Page"],
    security=[{"session": []}],
    responses=answers("`username`, `csrf` and `expires`.", 401),
)
def session() -> dict[str, Any]:
    """Return the signed-in user, and the CSRF token that calls which change something must send."""
    call = call_of(router)
    return _session_fields(call, session_of(call.request, call.environment))


def cookie_of(call: Call, session: Session | None) -> Cookie:
    """Return the cookie with `session`; without one, the cookie that deletes the browser's."""
    return Cookie(
        name=COOKIE,
        value=call.environment.session_key().cookie(session) if session else "",
        path=f"{call.request.prefix}/",
        max_age=max(1, int(session.expires - call.now)) if session else 0,
        secure=call.request.is_https,
        http_only=True,
        same_site=SameSite.STRICT_MODE,
    )


def _session_fields(call: Call, session: Session) -> dict[str, Any]:
    return {
        "username": session.username,
        "role": session.role,
        "team": session.team,
        "csrf": call.environment.session_key().csrf(session),
        "expires": datetime.fromtimestamp(session.expires, UTC).isoformat(timespec="seconds"),
    }

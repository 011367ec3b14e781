"""/ui/oidc/*: signing in to the page through an OpenID Connect provider."""

import hmac
from typing import Annotated, Any
from urllib.parse import urlsplit

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.shared.cookies import Cookie, SameSite

from admin.audit import record_sign_in
from admin.call import Call, call_of
from admin.openapi import answers
from admin.page import security_headers
from admin.router import Router
from admin.session import cookie_of
from vibe_router.access.oidc import (
    ATTEMPT_COOKIE,
    ATTEMPT_SECONDS,
    OidcError,
    OidcSettings,
    SignInAttempt,
    authorization_url,
    new_attempt,
)
from vibe_router.access.roles import User, user_of
from vibe_router.access.sessions import new_session
from vibe_router.core.errors import ApiError, not_found
from vibe_router.core.telemetry import logger

__all__ = ["router"]

router = Router()

_PURPOSE = "oidc"
_LONG = 4096  # characters of a code or state


@router.get("/ui/sign-in-options", tags=["Page"], security=[{}], responses=answers("`oidc`: whether there is one."))
def options() -> dict[str, Any]:
    """Return how users may sign in besides the password."""
    call = call_of(router)
    return {"oidc": call.environment.oidc_settings() is not None}


@router.get("/ui/oidc/sign-in", tags=["Page"], security=[{}], include_in_schema=False)
def sign_in() -> Response[Any]:
    """Redirect to the provider."""
    call = call_of(router)
    settings = _settings(call)
    attempt = new_attempt(call.now)
    try:
        location = authorization_url(call.environment.oidc.provider(settings), settings, attempt)
    except OidcError as error:
        raise _failed(error) from None
    text = call.environment.session_key().sign(_PURPOSE, attempt.to_text())
    return _redirect(call, location, _attempt_cookie(call, text))


@router.get("/ui/oidc/callback", tags=["Page"], security=[{}], include_in_schema=False)
def callback(
    code: Annotated[str | None, Query(max_length=_LONG)] = None,
    state: Annotated[str | None, Query(max_length=_LONG)] = None,
    error: Annotated[str | None, Query(max_length=_LONG)] = None,
) -> Response[Any]:
    """Take over from the provider: start a session of the user that it names, with the user's role."""
    call = call_of(router)
    settings = _settings(call)
    try:
        user = _signed_in(call, settings, code if not error else None, state)
    except ApiError as failure:
        record_sign_in(call, "", failure.status)
        raise
    record_sign_in(call, user.name, 200)
    session = new_session(user.name, call.now, user.role, user.team)
    return _redirect(call, "../?signed-in", cookie_of(call, session), _attempt_cookie(call, ""))


def _signed_in(call: Call, settings: OidcSettings, code: str | None, state: str | None) -> User:
    """Return the user who has signed in. Raises ApiError."""
    attempt = _attempt_of(call)
    if attempt is None or not hmac.compare_digest((state or "").encode(), attempt.state.encode()):
        raise ApiError(400, "This sign-in is not from this browser, or has expired. Sign in again.", code="oidc_state")
    if not code:
        raise ApiError(401, "The provider did not sign you in. Try again.", type="auth_error", code="oidc_denied")
    try:
        claims = call.environment.oidc.exchange(settings, attempt, code)
    except OidcError as failure:
        raise _failed(failure) from None
    user = user_of(claims, settings.rules)
    if user is None:
        message = "Your account has no role here. Ask an administrator to add you to OIDC_ROLES."
        raise ApiError(403, message, type="auth_error", code="no_role")
    return user


def _settings(call: Call) -> OidcSettings:
    """Return the provider's settings, if the page was addressed by its configured host. Raises ApiError."""
    settings = call.environment.oidc_settings()
    if settings is None:
        raise not_found("There is no OpenID Connect provider. Set OIDC_ISSUER in the router's secret.")
    if call.request.headers.get("host", "").lower() != urlsplit(settings.url).netloc.lower():
        raise ApiError(400, f"Sign in at {settings.url}/ui/.", code="wrong_host")
    return settings


def _attempt_of(call: Call) -> SignInAttempt | None:
    """Return the attempt in the cookie; None without a valid one."""
    cookie = call.request.cookie(ATTEMPT_COOKIE)
    text = call.environment.session_key().verify(_PURPOSE, cookie) if cookie else None
    attempt = SignInAttempt.from_text(text) if text else None
    return attempt if attempt and call.now < attempt.expires else None


def _failed(error: OidcError) -> ApiError:
    logger.warning("OIDC SIGN-IN FAILED", extra={"reason": str(error)})
    return ApiError(502, f"Signing in failed: {error}.", type="auth_error", code="oidc_failed")


def _redirect(call: Call, location: str, *cookies: Cookie) -> Response[Any]:
    headers = {"location": location, "cache-control": "no-store", **security_headers(call.request)}
    return Response(303, "text/plain", "", headers=headers, cookies=list(cookies))


def _attempt_cookie(call: Call, value: str) -> Cookie:
    """Return the attempt's cookie. It is Lax, because the provider's redirect comes from another site."""
    return Cookie(
        name=ATTEMPT_COOKIE,
        value=value,
        path=f"{call.request.prefix}/ui/oidc/",
        max_age=int(ATTEMPT_SECONDS) if value else 0,
        secure=call.request.is_https,
        http_only=True,
        same_site=SameSite.LAX_MODE,
    )

"""Authenticate callers: the holder of the master key, or a user who has signed in to the page."""

from admin.call import Call, Request
from admin.environment import Environment
from vibe_router.access.authentication import find_key
from vibe_router.access.issuing import hash_key
from vibe_router.access.sessions import COOKIE, CSRF_HEADER, Session
from vibe_router.core.errors import ApiError, invalid_key

__all__ = ["caller", "session_of"]


def caller(request: Request, environment: Environment) -> Call:
    """Return the authenticated call. Raises ApiError: 401 without a valid key or session, 403 for a virtual key.

    A key takes precedence over a cookie. A session's call that may change something needs the session's token.
    """
    shown = find_key(request.headers)
    if shown is not None:
        if environment.is_master_key(shown):
            return Call(request, environment, by="master key")
        if environment.keys.is_key(hash_key(shown)):
            raise ApiError(
                403,
                "This needs the master key. A virtual key can only call models.",
                type="auth_error",
                code="master_key_required",
            )
        raise invalid_key("The API key sent is not valid.")
    session = session_of(request, environment)
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        token = request.headers.get(CSRF_HEADER, "")
        if not environment.session_key().is_csrf(session, token):
            raise ApiError(
                403, f"The session's token is missing in {CSRF_HEADER}.", type="auth_error", code="csrf_failed"
            )
    return Call(request, environment, by=session.username, session=session)


def session_of(request: Request, environment: Environment) -> Session:
    """Return the session whose cookie was sent. Raises ApiError (401)."""
    cookie = request.cookie(COOKIE)
    if cookie is None:
        raise invalid_key(
            "Authentication is required. Send the master key as 'Authorization: Bearer <key>', or sign in at /ui/."
        )
    session = environment.session_key().session(cookie, environment.clock.now())
    if session is None:
        raise ApiError(401, "The session has expired. Sign in again.", type="auth_error", code="session_expired")
    return session

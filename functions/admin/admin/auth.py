"""Who is calling: the holder of the master key, or a person who has signed in to the page."""

from admin.call import Call, Request
from admin.environment import Environment
from vibe_router.access.authentication import find_key
from vibe_router.access.issuing import hash_key
from vibe_router.access.sessions import COOKIE, CSRF_HEADER, Session
from vibe_router.core.errors import ApiError, invalid_key

__all__ = ["caller", "session_of"]


def caller(request: Request, environment: Environment) -> Call:
    """Return the call of somebody who may make it. Raises ApiError: 401 for nobody, 403 for somebody else.

    A key counts before a cookie: whoever sends one means it. A session's call that may change something needs its
    token.
    """
    shown = find_key(request.headers)
    if shown is not None:
        if environment.is_master_key(shown):
            return Call(request, environment, by="master key")
        if environment.keys.is_key(hash_key(shown)):
            raise ApiError(
                403,
                "This needs the master key: a virtual key opens models, no more.",
                type="auth_error",
                code="master_key_required",
            )
        raise invalid_key("The API key sent is not valid.")
    session = session_of(request, environment)
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        token = request.headers.get(CSRF_HEADER, "")
        if not environment.session_key().is_csrf(session, token):
            raise ApiError(
                403, f"The call lacks the session's token in {CSRF_HEADER}.", type="auth_error", code="csrf_failed"
            )
    return Call(request, environment, by=session.username, session=session)


def session_of(request: Request, environment: Environment) -> Session:
    """Return the session whose cookie was sent. Raises ApiError (401)."""
    cookie = request.cookie(COOKIE)
    if cookie is None:
        raise invalid_key(
            "Nobody is signed in. Send the master key as 'Authorization: Bearer <key>', or sign in at /ui/."
        )
    session = environment.session_key().session(cookie, environment.clock.now())
    if session is None:
        raise ApiError(401, "The session is over. Sign in again.", type="auth_error", code="session_expired")
    return session

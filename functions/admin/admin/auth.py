"""Authenticate a call: by the master key, by a virtual key that reads about itself, or by a session of the page."""

from admin.call import Call, Request
from admin.environment import Environment
from vibe_router.access.authentication import find_keys, hash_key
from vibe_router.access.keys import Caller, Key, require_active
from vibe_router.access.sessions import COOKIE, CSRF_HEADER, Session
from vibe_router.core.errors import ApiError, invalid_key

__all__ = ["authenticate", "session_of"]

_OWN = frozenset({"/key/info", "/spend/logs"})  # what a virtual key may read about itself


def authenticate(request: Request, environment: Environment) -> Call:
    """Return the call of its sender. Raises ApiError: 401 for an invalid key or session, 403 for an insufficient one.

    A key takes precedence over a cookie. A session's call that changes something needs its CSRF token.
    """
    if keys := find_keys(request.headers):
        return _by_key(keys, request, environment)
    session = session_of(request, environment)
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        token = request.headers.get(CSRF_HEADER, "")
        if not environment.session_key().is_csrf(session, token):
            message = f"The call lacks the session's token in {CSRF_HEADER}."
            raise ApiError(403, message, type="auth_error", code="csrf_failed")
    if not session.is_admin and not _is_for_everyone(request.path):
        message = "This requires the role admin. Your own keys and usage are under /me."
        raise ApiError(403, message, type="auth_error", code="admin_required")
    return Call(request, environment, by=session.username, session=session)


def _is_scrape(request: Request) -> bool:
    """Return whether the scraper's key suffices."""
    return request.method == "GET" and request.path == "/metrics"


def _is_for_everyone(path: str) -> bool:
    """Return whether users of every role may call `path`; everything else is for admins."""
    return path in ("/ui/session", "/ui/sign-out", "/me") or path.startswith("/me/")


def session_of(request: Request, environment: Environment) -> Session:
    """Return the session whose cookie was sent. Raises ApiError (401)."""
    cookie = request.cookie(COOKIE)
    if cookie is None:
        raise invalid_key(
            "Authentication is required. Send the master key as 'Authorization: Bearer <key>', or sign in at /ui/."
        )
    session = environment.session_key().session(cookie, environment.clock.now())
    if session is None or environment.sessions.has_ended(session):
        raise ApiError(401, "The session has expired. Sign in again.", type="auth_error", code="session_expired")
    return session


def _by_key(keys: list[str], request: Request, environment: Environment) -> Call:
    if any(environment.is_master_key(key) for key in keys):
        return Call(request, environment, by="master key")
    if _is_scrape(request) and any(environment.is_metrics_key(key) for key in keys):
        return Call(request, environment, by="metrics key")
    found = next((key for each in keys if (key := _virtual_key(each, environment))), None)
    if found is None:
        raise invalid_key("The API key sent is not valid.")
    if request.method == "GET" and request.path in _OWN:
        team = environment.keys.team(found.team_id) if found.team_id else None
        require_active(Caller(found, team), environment.clock.now())
        return Call(request, environment, by=found.key_id, key=found)
    message = "This requires the master key. A virtual key may read its own /key/info and /spend/logs."
    raise ApiError(403, message, type="auth_error", code="master_key_required")


def _virtual_key(shown: str, environment: Environment) -> Key | None:
    return environment.keys.key(hash_key(shown))

"""The admin page's sessions: signed cookies.

A session lives in its cookie alone, and is valid while the signature is right and it has not expired. The signing key
is derived from the master key, the page's password and the rules of roles, so a change of any of them ends every
session. A call that changes something also needs the session's CSRF token in a header, which another site's page can
neither read nor send.

    sign in ── cookie, token ── calls ── renewed while in use ── LONGEST after signing in: over
                                   └──── LIFETIME without a call: over
"""

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import astuple, dataclass, replace

from vibe_router.access.roles import ADMIN, Role

__all__ = [
    "COOKIE",
    "CSRF_HEADER",
    "LIFETIME",
    "LONGEST",
    "Session",
    "SessionKey",
    "equals_in_constant_time",
    "new_session",
    "renew",
]

COOKIE = "vibe-session"
CSRF_HEADER = "x-vibe-csrf"
LIFETIME = 3600.0  # seconds without a call
LONGEST = 12 * 3600.0  # seconds, even in use


@dataclass(frozen=True, slots=True)
class Session:
    """The session of a signed-in user. Times are epoch seconds; `id` is random. `team` is that of a lead."""

    username: str
    id: str
    began: float
    expires: float
    role: Role = ADMIN
    team: str | None = None

    @property
    def is_admin(self) -> bool:
        """Return whether the user may do everything."""
        return self.role == ADMIN

    def is_over(self, now: float) -> bool:
        """Return whether it has expired, or begins in the future by more than clocks differ."""
        return not self.began - 300 <= now < self.expires

    def is_due(self, now: float) -> bool:
        """Return whether it is due for renewal: half its lifetime has passed, and more is allowed."""
        return now > self.expires - LIFETIME / 2 and self.expires < self.began + LONGEST


def new_session(username: str, now: float, role: Role = ADMIN, team: str | None = None) -> Session:
    """Return a new session."""
    return Session(username, secrets.token_urlsafe(16), now, now + LIFETIME, role, team)


def renew(session: Session, now: float) -> Session:
    """Return `session` with a new lifetime from `now`, within the longest."""
    return replace(session, expires=min(now + LIFETIME, session.began + LONGEST))


class SessionKey:
    """Signs and verifies sessions. Neither it nor its signatures reveal the secrets."""

    __slots__ = ("_key",)

    def __init__(self, master_key: str, password: str, roles: str = "") -> None:
        secret = b"".join(
            hashlib.sha256(each.encode("utf-8", "surrogatepass")).digest() for each in (password, roles) if each
        )
        self._key = hmac.digest(
            master_key.encode("utf-8", "surrogatepass"), b"vibe-router session\0" + secret, "sha256"
        )

    def cookie(self, session: Session) -> str:
        """Return the cookie's value."""
        return self.sign("cookie", json.dumps(list(astuple(session))))

    def session(self, cookie: str, now: float) -> Session | None:
        """Return the session in `cookie`; None if it is forged or expired."""
        text = self.verify("cookie", cookie)
        session = Session(*json.loads(text)) if text is not None else None
        return None if session is None or session.is_over(now) else session

    def sign(self, purpose: str, text: str) -> str:
        """Return `text` with a signature for `purpose`, as the value of a cookie. It can be read, not changed."""
        payload = base64.urlsafe_b64encode(text.encode()).rstrip(b"=")
        return f"{payload.decode()}.{self._signature(purpose.encode(), payload)}"

    def verify(self, purpose: str, signed: str) -> str | None:
        """Return the text that was signed for `purpose`; None for a forged one."""
        payload, _, signature = signed.partition(".")
        expected = self._signature(purpose.encode(), payload.encode()) if signed.isascii() else ""
        if not expected or not hmac.compare_digest(signature, expected):
            return None
        return base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()

    def csrf(self, session: Session) -> str:
        """Return the CSRF token of a session."""
        return self._signature(b"csrf", session.id.encode())

    def is_csrf(self, session: Session, token: str) -> bool:
        """Return whether `token` is the session's."""
        return equals_in_constant_time(token, self.csrf(session))

    def _signature(self, purpose: bytes, payload: bytes) -> str:
        digest = hmac.digest(self._key, purpose + b"\0" + payload, "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def equals_in_constant_time(given: str, expected: str) -> bool:
    """Compare in constant time, whatever the lengths."""
    digests = [hashlib.sha256(each.encode("utf-8", "surrogatepass")).digest() for each in (given, expected)]
    return hmac.compare_digest(*digests)

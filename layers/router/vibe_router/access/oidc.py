"""Sign-in through an OpenID Connect provider: the authorisation code flow with PKCE. Pure.

    browser ── /ui/oidc/sign-in ── provider ── /ui/oidc/callback?code ── router exchanges the code for an ID token

What the router must remember in between (state, nonce, PKCE's verifier) is in a signed cookie of five minutes.

Sources: OpenID Connect Core 1.0, section 3.1; RFC 7636 (PKCE, method S256).
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from vibe_router.access.roles import RoleRules, read_role_rules

__all__ = [
    "ATTEMPT_COOKIE",
    "ATTEMPT_SECONDS",
    "OidcError",
    "OidcSettings",
    "Provider",
    "SignInAttempt",
    "authorization_url",
    "new_attempt",
    "read_provider",
    "read_settings",
    "require_https",
    "token_request",
]

ATTEMPT_COOKIE = "vibe-sign-in"
ATTEMPT_SECONDS = 300.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class OidcError(Exception):
    """Signing in through the provider failed; the message says why, without secrets."""


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """The client of a provider. `url` is the router's address, under which the provider redirects back."""

    issuer: str
    client_id: str
    client_secret: str | None
    url: str
    rules: RoleRules

    @property
    def redirect_uri(self) -> str:
        """The address that the provider redirects to; register it there."""
        return f"{self.url}/ui/oidc/callback"

    def __repr__(self) -> str:
        """Return a text without the client's secret."""
        return f"OidcSettings({self.issuer!r})"


@dataclass(frozen=True, slots=True)
class Provider:
    """The endpoints of a provider, from its discovery document."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


@dataclass(frozen=True, slots=True)
class SignInAttempt:
    """One attempt: three random values, and when it expires (epoch seconds)."""

    state: str
    nonce: str
    verifier: str
    expires: float

    def to_text(self) -> str:
        """Return the attempt as it is stored in the cookie."""
        return json.dumps([self.state, self.nonce, self.verifier, self.expires])

    @classmethod
    def from_text(cls, text: str) -> "SignInAttempt":
        """Read what `to_text` wrote."""
        return cls(*json.loads(text))


def read_settings(secret: Mapping[str, str | None]) -> OidcSettings | None:
    """Read the settings from entries of the secret; None if no provider is configured. Raises OidcError, RolesError."""
    issuer, client_id, url = (secret.get(f"OIDC_{name}") for name in ("ISSUER", "CLIENT_ID", "URL"))
    if not issuer:
        return None
    if not client_id or not url:
        raise OidcError("OIDC_CLIENT_ID and OIDC_URL must be set beside OIDC_ISSUER")
    for name, value in (("OIDC_ISSUER", issuer), ("OIDC_URL", url)):
        require_https(value, name)
    rules = read_role_rules(secret.get("OIDC_ROLES"))
    return OidcSettings(issuer, client_id, secret.get("OIDC_CLIENT_SECRET"), url.rstrip("/"), rules)


def read_provider(document: Mapping[str, Any], issuer: str) -> Provider:
    """Read a discovery document. Raises OidcError for one of another issuer or without an endpoint."""
    if document.get("issuer") != issuer:
        raise OidcError("the provider's discovery document is for another issuer than OIDC_ISSUER")
    endpoints = []
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        value = document.get(name)
        if not isinstance(value, str):
            raise OidcError(f"the provider's discovery document has no {name}")
        require_https(value, name)
        endpoints.append(value)
    return Provider(*endpoints)


def new_attempt(now: float) -> SignInAttempt:
    """Return a new attempt."""
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    return SignInAttempt(state, nonce, verifier, now + ATTEMPT_SECONDS)


def authorization_url(provider: Provider, settings: OidcSettings, attempt: SignInAttempt) -> str:
    """Return the address at the provider to send the browser to."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest()).rstrip(b"=").decode()
    query = {
        "response_type": "code",
        "client_id": settings.client_id,
        "redirect_uri": settings.redirect_uri,
        "scope": "openid email profile",
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    joint = "&" if urlsplit(provider.authorization_endpoint).query else "?"
    return f"{provider.authorization_endpoint}{joint}{urlencode(query)}"


def token_request(settings: OidcSettings, attempt: SignInAttempt, code: str) -> bytes:
    """Return the form that exchanges `code` for tokens."""
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": settings.redirect_uri,
        "client_id": settings.client_id,
        "code_verifier": attempt.verifier,
        **({"client_secret": settings.client_secret} if settings.client_secret else {}),
    }
    return urlencode(fields).encode()


def require_https(url: str, name: str) -> None:
    """Require that `url` is encrypted, or on this machine. Raises OidcError, which calls it `name`."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise OidcError(f"{name} must be an https:// address")

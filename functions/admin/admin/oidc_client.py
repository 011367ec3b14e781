"""Calls to the OpenID Connect provider: its discovery document, its keys, and the exchange of a code for a token."""

import json
from collections.abc import Callable
from typing import Any

import httpcore

from vibe_router.access.jwt import InvalidTokenError, RsaKey, read_keys, verified_claims
from vibe_router.access.oidc import OidcError, OidcSettings, Provider, SignInAttempt, read_provider, token_request
from vibe_router.core.clock import Clock
from vibe_router.core.tls import trusted_ssl_context

__all__ = ["OidcClient"]

_SECONDS = 5.0  # for each call
_MAX_BYTES = 512 * 1024
_FRESH = 3600.0  # seconds for which endpoints and keys are used
_RENEWED = 60.0  # seconds between two reads of the keys because a token is signed with an unknown one


class OidcClient:
    """Reads one provider's endpoints and keys when they are first needed, and again after an hour."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._issuer = ""
        self._read_at = float("-inf")
        self._provider: Provider | None = None
        self._keys: list[RsaKey] = []

    def provider(self, settings: OidcSettings) -> Provider:
        """Return the provider's endpoints. Raises OidcError."""
        fresh = self._issuer == settings.issuer and self._clock.monotonic() - self._read_at < _FRESH
        if self._provider is None or not fresh:
            url = settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
            self._provider = read_provider(_fetch("GET", url), settings.issuer)
            self._issuer, self._keys = settings.issuer, []
            self._read_at = self._clock.monotonic()
        return self._provider

    def exchange(self, settings: OidcSettings, attempt: SignInAttempt, code: str) -> dict[str, Any]:
        """Return the verified claims of the user who signed in with `code`. Raises OidcError."""
        form = token_request(settings, attempt, code)
        answer = _fetch("POST", self.provider(settings).token_endpoint, form)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise OidcError("the provider sent no ID token")
        return self._verified(token, settings, attempt.nonce)

    def _verified(self, token: str, settings: OidcSettings, nonce: str) -> dict[str, Any]:
        def verify() -> dict[str, Any]:
            now, audience = self._clock.now(), settings.client_id
            return verified_claims(token, self._keys, issuer=settings.issuer, audience=audience, now=now, nonce=nonce)

        read = self._read_keys_once(settings)
        try:
            return verify()
        except InvalidTokenError as error:
            if not read():
                raise OidcError(f"the ID token was rejected: {error}") from None
        try:
            return verify()
        except InvalidTokenError as error:
            raise OidcError(f"the ID token was rejected: {error}") from None

    def _read_keys_once(self, settings: OidcSettings) -> Callable[[], bool]:
        """Read the keys if there are none; return what reads them again, if the last read is a minute old."""
        provider = self.provider(settings)
        fresh = not self._keys
        if fresh:
            self._keys = read_keys(_fetch("GET", provider.jwks_uri))

        def again() -> bool:
            if fresh or self._clock.monotonic() - self._read_at < _RENEWED:
                return False
            self._keys = read_keys(_fetch("GET", provider.jwks_uri))
            self._read_at = self._clock.monotonic()
            return True

        return again


def _fetch(method: str, url: str, form: bytes | None = None) -> dict[str, Any]:
    """Return the JSON object that the provider answers. Raises OidcError; redirects are not followed."""
    headers = [("accept", "application/json"), ("user-agent", "vibe-router")]
    if form is not None:
        headers += [("content-type", "application/x-www-form-urlencoded"), ("content-length", str(len(form)))]
    timeout = dict.fromkeys(("connect", "read", "write", "pool"), _SECONDS)
    tls = trusted_ssl_context() if url.startswith("https") else None
    body = b""
    try:
        with (
            httpcore.ConnectionPool(ssl_context=tls) as pool,
            pool.stream(method, url, headers=headers, content=form, extensions={"timeout": timeout}) as response,
        ):
            for chunk in response.iter_stream():
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise OidcError("the provider's answer is too long")
            status = response.status
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
        raise OidcError(f"the provider cannot be reached ({type(error).__name__})") from None
    if status != 200:
        raise OidcError(f"the provider answered {status}")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise OidcError("the provider did not answer with JSON") from None
    if not isinstance(value, dict):
        raise OidcError("the provider did not answer with a JSON object")
    return value

"""Calls to the OpenID Connect provider: its discovery document, its keys, and the exchange of a code for a token."""

from collections.abc import Iterator
from typing import Any

from vibe_router.access.jwt import InvalidTokenError, RsaKey, read_keys, verified_claims
from vibe_router.access.oidc import OidcError, OidcSettings, Provider, SignInAttempt, read_provider, token_request
from vibe_router.core.clock import Clock
from vibe_router.upstream.oidc_provider import fetch_json

__all__ = ["OidcClient"]

_SECONDS = 5.0  # for each call
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
        self._keys_read_at = float("-inf")

    def provider(self, settings: OidcSettings) -> Provider:
        """Return the provider's endpoints. Raises OidcError."""
        fresh = self._issuer == settings.issuer and self._clock.monotonic() - self._read_at < _FRESH
        if self._provider is None or not fresh:
            url = settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
            self._provider = read_provider(fetch_json("GET", url, seconds=_SECONDS), settings.issuer)
            self._issuer, self._keys = settings.issuer, []
            self._read_at = self._clock.monotonic()
        return self._provider

    def exchange(self, settings: OidcSettings, attempt: SignInAttempt, code: str) -> dict[str, Any]:
        """Return the verified claims of the user who signed in with `code`. Raises OidcError."""
        form = token_request(settings, attempt, code)
        answer = fetch_json("POST", self.provider(settings).token_endpoint, form, seconds=_SECONDS)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise OidcError("the provider sent no ID token")
        for keys in self._key_sets(settings):
            try:
                return verified_claims(
                    token,
                    keys,
                    issuer=settings.issuer,
                    audience=settings.client_id,
                    now=self._clock.now(),
                    nonce=attempt.nonce,
                )
            except InvalidTokenError as error:
                reason = error
        raise OidcError(f"the ID token was rejected: {reason}")

    def _key_sets(self, settings: OidcSettings) -> Iterator[list[RsaKey]]:
        """Yield the provider's keys, and then the newest ones if those are a minute old: it may have changed them."""
        url = self.provider(settings).jwks_uri
        if not self._keys:
            self._read_keys(url)
        yield self._keys
        if self._clock.monotonic() - self._keys_read_at >= _RENEWED:
            self._read_keys(url)
            yield self._keys

    def _read_keys(self, url: str) -> None:
        self._keys = read_keys(fetch_json("GET", url, seconds=_SECONDS))
        self._keys_read_at = self._clock.monotonic()

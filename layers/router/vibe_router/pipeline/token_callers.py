"""Find the caller of an OpenID Connect provider's token. Imported only if the secret accepts tokens (OIDC_TOKENS)."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from vibe_router.access.jwt import InvalidTokenError, RsaKey, UnknownKeyError, bearer_claims
from vibe_router.access.keys import Caller
from vibe_router.access.oidc import OidcError, require_https
from vibe_router.access.tokens import TokenRules, TokensError, key_of, read_token_rules
from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError, bad_key, unavailable
from vibe_router.core.secret_names import OIDC_CLIENT_ID, OIDC_ISSUER, OIDC_TOKENS
from vibe_router.store.keys import KeyDirectory
from vibe_router.upstream.oidc_provider import ProviderKeys

__all__ = ["TokenCallers"]

_log = logging.getLogger(__name__)


class TokenCallers:
    """Verifies tokens, and finds the teams of their holders. `secret` returns an entry of the router's secret."""

    def __init__(self, secret: Callable[[str], str | None], keys: KeyDirectory, clock: Clock) -> None:
        self._secret = secret
        self._directory = keys
        self._clock = clock
        self._settings: tuple[str | None, ...] = ()
        self._rules: TokenRules | None = None  # None: the settings are wrong
        self._provider_keys = ProviderKeys("", clock)

    def find(self, token: str) -> Caller:
        """Return the caller of `token`. Raises ApiError: 401 for an invalid one, 403 without permission, or 503.

        Raises KeysUnavailableError while the team cannot be read.
        """
        rules = self._current_rules()
        try:
            claims = self._verified(token, rules)
        except InvalidTokenError as error:
            wanted = " or ".join(f"'{each}'" for each in rules.audiences)
            how = f"Sign in again, and send a new token of {self._provider_keys.issuer} for the audience {wanted}"
            raise bad_key(
                "invalid_token", f"The token sent is not accepted: {error}. {how}, or send an API key."
            ) from None
        except OidcError:
            raise unavailable("The token sent cannot be checked right now: its provider is unreachable.") from None
        key = key_of(claims, rules)
        if key is None:
            message = "Your account may not call models. Ask an administrator to add you to OIDC_TOKENS."
            raise ApiError(403, message, type="auth_error", code="token_denied")
        return self._directory.with_team(key)

    def _verified(self, token: str, rules: TokenRules) -> dict[str, Any]:
        try:
            return self._claims(token, self._provider_keys.get(), rules)
        except UnknownKeyError:
            return self._claims(token, self._provider_keys.renewed(), rules)

    def _claims(self, token: str, keys: Sequence[RsaKey], rules: TokenRules) -> dict[str, Any]:
        return bearer_claims(
            token,
            keys,
            issuer=self._provider_keys.issuer,
            audiences=rules.audiences,
            clients=rules.clients,
            now=self._clock.now(),
        )

    def _current_rules(self) -> TokenRules:
        """Return the rules of the secret as it was last read. Raises ApiError (503) if they are wrong."""
        settings = tuple(self._secret(name) for name in (OIDC_TOKENS, OIDC_ISSUER, OIDC_CLIENT_ID))
        if settings != self._settings:
            self._settings, (text, issuer, client_id) = settings, settings
            try:
                self._rules = read_token_rules(text or "", client_id)
                if not issuer:
                    raise TokensError("OIDC_ISSUER must be set beside OIDC_TOKENS")
                require_https(issuer, "OIDC_ISSUER")
            except (TokensError, OidcError) as error:
                self._rules = None
                _log.error("tokens are rejected: %s", error)
            if issuer and issuer != self._provider_keys.issuer:
                self._provider_keys = ProviderKeys(issuer, self._clock)
        if self._rules is None:
            raise unavailable("Tokens cannot be accepted: OIDC_TOKENS is wrong. The router's log says how.")
        return self._rules

"""Calls to an OpenID Connect provider, and its keys in memory, for tokens that callers send.

The keys are read with the first token, and again after an hour, for which nobody waits. A token that names an unknown
key has them read again, at most once a minute, as does a failure. While the provider is unreachable, the keys that were
read stay in use.
"""

import json
import logging
import math
from threading import Lock
from typing import Any

import httpcore

from vibe_router.access.jwt import RsaKey, read_keys
from vibe_router.access.oidc import OidcError, read_provider
from vibe_router.core.clock import Clock
from vibe_router.core.tls import trusted_ssl_context
from vibe_router.store.circuit_breaker import Spawn, run_in_background

__all__ = ["ProviderKeys", "fetch_json"]

_MAX_BYTES = 512 * 1024
_SECONDS = 2.0  # for each call: a caller waits
_FRESH = 3600.0  # seconds for which keys are used without another read
_PAUSE = 60.0  # seconds between two reads while there are keys
_FIRST_PAUSE = 5.0  # seconds between two reads while there are none

_log = logging.getLogger(__name__)


class ProviderKeys:
    """The keys of one issuer."""

    def __init__(self, issuer: str, clock: Clock, spawn: Spawn = run_in_background) -> None:
        self.issuer = issuer
        self._clock = clock
        self._spawn = spawn
        self._reading = Lock()
        self._keys: list[RsaKey] = []
        self._read_at = self._tried_at = -math.inf

    def get(self) -> list[RsaKey]:
        """Return the keys. Missing ones are read, and older ones than an hour in the background.

        Raises OidcError without any.
        """
        if not self._keys:
            self._read_if_due()
        elif self._clock.monotonic() - self._read_at >= _FRESH and self._is_due():
            self._spawn(self._read_if_due)
        if not self._keys:
            raise OidcError("the provider's keys cannot be read")
        return self._keys

    def renewed(self) -> list[RsaKey]:
        """Return the keys after a token with an unknown one, read again unless that was tried within a minute."""
        self._read_if_due()
        return self._keys

    def _is_due(self) -> bool:
        return self._clock.monotonic() - self._tried_at >= (_PAUSE if self._keys else _FIRST_PAUSE)

    def _read_if_due(self) -> None:
        with self._reading:
            if self._is_due():
                self._tried_at = self._clock.monotonic()
                self._read()

    def _read(self) -> None:
        try:
            url = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
            provider = read_provider(fetch_json("GET", url, seconds=_SECONDS), self.issuer)
            keys = read_keys(fetch_json("GET", provider.jwks_uri, seconds=_SECONDS))
        except OidcError as error:
            _log.warning("the keys of the OpenID Connect provider cannot be read: %s", error)
            return
        if keys:
            self._keys, self._read_at = keys, self._clock.monotonic()


def fetch_json(method: str, url: str, form: bytes | None = None, *, seconds: float) -> dict[str, Any]:
    """Return the JSON object that the provider answers. Raises OidcError; redirects are not followed."""
    headers = [("accept", "application/json"), ("user-agent", "vibe-router")]
    if form is not None:
        headers += [("content-type", "application/x-www-form-urlencoded"), ("content-length", str(len(form)))]
    timeout = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
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

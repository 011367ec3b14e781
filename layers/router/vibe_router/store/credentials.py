"""AWS credentials of a function, from its environment variables or from the container endpoint.

On demand, Lambda sets AWS_ACCESS_KEY_ID and its like. With SnapStart, a restored environment fetches temporary
credentials from AWS_CONTAINER_CREDENTIALS_FULL_URI, because those of the snapshot would have expired
(https://docs.aws.amazon.com/lambda/latest/dg/snapstart-activate.html). Nothing is read before the first call, so that a
snapshot holds no credentials.
"""

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from threading import Lock
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from vibe_router.core.clock import Clock, parse_iso
from vibe_router.core.urls import host_header
from vibe_router.store.aws_errors import CredentialRetrievalError, NoCredentialsError
from vibe_router.store.connection import Connection, InvalidResponseError

__all__ = ["CredentialSource", "Credentials", "EnvironmentCredentials", "shared_credentials"]

_CONTAINER_HOST = "http://169.254.170.2"
_TRUSTED_HOSTS = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23", "localhost", "127.0.0.1", "::1"})
_REFRESH_BEFORE = 15 * 60.0  # seconds before the expiry, as botocore does
_RETRY_AFTER = 30.0  # seconds between refreshes that fail while the credentials are still valid
_TRIES = 3
_TIMEOUT = 2.0  # seconds, of connecting and of each read
_PAUSE = 0.1  # seconds between tries


class Credentials(NamedTuple):
    """An access key; `token` is that of temporary credentials."""

    access_key: str
    secret_key: str
    token: str | None = None

    def __repr__(self) -> str:
        return "Credentials(…)"


class CredentialSource(Protocol):
    """A source of credentials, asked for every call."""

    def get(self) -> Credentials:
        """Return valid credentials. Raises NoCredentialsError and CredentialRetrievalError."""


class _Temporary(NamedTuple):
    credentials: Credentials
    expires: float | None  # epoch seconds


class EnvironmentCredentials:
    """The credentials that `environ` holds or leads to. Threads may share it."""

    def __init__(self, clock: Clock, environ: Mapping[str, str] = os.environ) -> None:
        self._clock = clock
        self._environ = environ
        self._lock = Lock()
        self._fetched: _Temporary | None = None
        self._tried_at = 0.0

    def get(self) -> Credentials:
        """Return valid credentials; temporary ones are replaced 15 minutes before they expire.

        Raises NoCredentialsError and CredentialRetrievalError.
        """
        environ = self._environ
        if access_key := environ.get("AWS_ACCESS_KEY_ID"):
            if secret_key := environ.get("AWS_SECRET_ACCESS_KEY"):
                return Credentials(access_key, secret_key, environ.get("AWS_SESSION_TOKEN") or None)
            raise NoCredentialsError("AWS_ACCESS_KEY_ID is set without AWS_SECRET_ACCESS_KEY")
        with self._lock:
            return self._temporary().credentials

    def _temporary(self) -> _Temporary:
        fetched, now = self._fetched, self._clock.now()
        if fetched is not None and (fetched.expires is None or now < fetched.expires - _REFRESH_BEFORE):
            return fetched
        is_valid = fetched is not None and now < (fetched.expires or 0)
        if fetched is not None and is_valid and 0 <= now - self._tried_at < _RETRY_AFTER:
            return fetched
        self._tried_at = now
        try:
            self._fetched = self._fetch()
        except CredentialRetrievalError:
            if fetched is None or not is_valid:
                raise
            return fetched
        return self._fetched

    def _fetch(self) -> _Temporary:
        """Fetch credentials from the container endpoint."""
        url = self._environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
        if path := self._environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
            url = f"{_CONTAINER_HOST}{path}"
        if not url:
            raise NoCredentialsError("there are no AWS credentials in the environment")
        parts = urlsplit(url)
        if parts.scheme != "https" and (parts.scheme != "http" or parts.hostname not in _TRUSTED_HOSTS):
            raise CredentialRetrievalError("the credentials' endpoint is neither local nor https")
        headers = {"Host": host_header(url), "Accept": "application/json", "User-Agent": "vibe-router"}
        if token := self._authorization():
            headers["Authorization"] = token
        for left in reversed(range(_TRIES)):
            try:
                connection = Connection(url, connect_seconds=_TIMEOUT, read_seconds=_TIMEOUT)
                try:
                    response = connection.get(headers)
                finally:
                    connection.close()
                if response.status == 200:
                    return _parse(response.body)
                problem = f"status {response.status}"
            except (OSError, InvalidResponseError, ValueError) as error:  # the text may quote what came
                problem = type(error).__name__
            if left:
                self._clock.sleep(_PAUSE)
        raise CredentialRetrievalError(f"the credentials' endpoint failed ({problem})")

    def _authorization(self) -> str:
        """Return the Authorization header of the container endpoint; its file may be renewed at any time."""
        if file := self._environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
            try:
                token = Path(file).read_text(encoding="ascii")
            except (OSError, ValueError) as error:
                raise CredentialRetrievalError(f"the token's file cannot be read ({type(error).__name__})") from None
        else:
            token = self._environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
        if not (token.isascii() and (not token or token.isprintable())):
            raise CredentialRetrievalError("the token contains a line break or control character")
        return token


@cache
def shared_credentials() -> EnvironmentCredentials:
    """Return the source that all clients of this process share, so that temporary credentials are fetched once."""
    return EnvironmentCredentials(Clock())


def _parse(body: bytes) -> _Temporary:
    """Parse the endpoint's response. Raises ValueError."""
    match json.loads(body):
        case {"AccessKeyId": str(access_key), "SecretAccessKey": str(secret_key), **rest}:
            token, expires = rest.get("Token"), rest.get("Expiration")
            return _Temporary(
                Credentials(access_key, secret_key, str(token) if token else None),
                parse_iso(str(expires)) if expires else None,
            )
    raise ValueError("not credentials")

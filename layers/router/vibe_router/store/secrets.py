"""Keep the router's secrets in memory: one JSON object in Secrets Manager.

It is read on first use, after five minutes, and after an authentication failure; never per request. The read after five
minutes is waited for (milliseconds, 2 s at most): an environment that was frozen for an hour would otherwise send an
old key, and cool a provider for all environments. If it fails, the last values stay in use.

Without any values every request waits for its own tries, and none is answered with an error at once: an environment
that fails faster than others work would be idle and attract all their traffic.
"""

import json
import logging
import math
import ssl
from collections.abc import Callable
from threading import Lock
from typing import Any

from vibe_router.core.clock import Clock
from vibe_router.store.aws_client import AwsApi, AwsClient, Bounds, Service
from vibe_router.store.circuit_breaker import AWS_ERRORS, error_code

__all__ = [
    "MIN_MASTER_KEY",
    "SECRETS_MANAGER",
    "Secrets",
    "SecretsManager",
    "SecretsUnavailableError",
    "is_weak",
    "secrets_client",
]

SECRETS_MANAGER = Service("secretsmanager", "secretsmanager", "1.1", "SECRETS_MANAGER")
MIN_MASTER_KEY = 16  # characters

_FRESH = 300.0  # seconds
_TRUSTED = 30.0  # seconds that a value is used even if a provider rejects it: a wrong key fails with every request
_RETRY_AFTER = 30.0  # seconds between tries while there are values; each may cost a request 2 s
_MAX_WAIT = 5.0  # seconds that a request waits while there are no values
_FIRST_PAUSE, _MAX_PAUSE = 0.1, 1.0  # seconds between its tries, doubled each time
_BROKEN_AFTER = 60.0  # seconds without values after which an environment is given up

_log = logging.getLogger(__name__)


class SecretsManager:
    """Calls Secrets Manager through `api`. Parameters and results are those of boto3's client."""

    def __init__(self, api: AwsApi) -> None:
        self.api = api

    def close(self) -> None:
        """Close the connections."""
        self.api.close()

    def get_secret_value(self, **parameters: Any) -> dict[str, Any]:
        """Read a secret: GetSecretValue. Raises AwsError."""
        return self.api.call("GetSecretValue", parameters)

    def put_secret_value(self, **parameters: Any) -> dict[str, Any]:
        """Write a new version of a secret: PutSecretValue. Raises AwsError."""
        return self.api.call("PutSecretValue", parameters)


def secrets_client(clock: Clock | None = None, tls: Callable[[], ssl.SSLContext] | None = None) -> SecretsManager:
    """Return a client whose calls take 2 s at most."""
    bounds = Bounds(connect=1.0, read=1.0, tries=1)
    return SecretsManager(AwsClient(SECRETS_MANAGER, clock or Clock(), tls=tls, bounds=bounds))


def is_weak(master_key: str) -> bool:
    """Return whether a master key is short enough to be guessed."""
    return len(master_key) < MIN_MASTER_KEY


class SecretsUnavailableError(Exception):
    """The secret was never read, and Secrets Manager is unavailable."""


class Secrets:
    """Returns secrets by name. No value ever appears in a log line, an error or a repr."""

    __slots__ = (
        "_clock",
        "_failing_since",
        "_invalidated",
        "_read_at",
        "_reading",
        "_secret_id",
        "_tried_at",
        "_values",
        "client",
    )

    def __init__(self, client: SecretsManager, secret_id: str, clock: Clock) -> None:
        self.client = client
        self._secret_id = secret_id
        self._clock = clock
        self._reading = Lock()
        self._values: dict[str, str] | None = None
        self._read_at = self._tried_at = -math.inf
        self._invalidated = False
        self._failing_since: float | None = None

    def __repr__(self) -> str:
        return f"Secrets({self._secret_id!r})"

    @property
    def is_broken(self) -> bool:
        """Return whether there have been no values for so long that a new environment is the better try."""
        since = self._failing_since
        return self._values is None and since is not None and self._clock.now() - since >= _BROKEN_AFTER

    def get(self, name: str) -> str | None:
        """Return the secret called `name`, or None if it is absent or empty.

        Raises SecretsUnavailableError when there are no values, after waiting for them.
        """
        if self._is_due():
            with self._reading:
                if self._is_due():  # a caller that waited here finds it read
                    self._refresh()
        if self._values is None:
            raise SecretsUnavailableError("the secret cannot be read, and was not read before")
        return self._values.get(name)

    def cached(self, name: str) -> str | None:
        """Return the secret called `name` as it was last read, or None. Never waits, for work after an answer."""
        return self._values.get(name) if self._values is not None else None

    def invalidate(self) -> None:
        """Expire a secret older than 30 s, so that the next `get` reads it: a provider or the router rejected a key."""
        self._invalidated = True

    def _is_due(self) -> bool:
        if self._values is None:
            return True
        now = self._clock.now()
        if self._failing_since is not None and 0 <= now - self._tried_at < _RETRY_AFTER:
            return False
        return not 0 <= now - self._read_at < (_TRUSTED if self._invalidated else _FRESH)

    def _refresh(self) -> None:
        began = self._clock.monotonic()
        pause, waited = _FIRST_PAUSE, 0.0
        while True:
            values, reason = self._read()
            self._tried_at = self._clock.now()
            if values is not None:
                break
            if self._failing_since is None:
                self._failing_since = self._tried_at
                fallback = ": the last values stay in use" * bool(self._values)
                _log.warning("the secret cannot be read (%s)%s", reason, fallback)
            if self._values is not None or max(waited, self._clock.monotonic() - began) + pause > _MAX_WAIT:
                return
            self._clock.sleep(pause)
            waited += pause
            pause = min(pause * 2, _MAX_PAUSE)
        if self._failing_since is not None:
            _log.warning("the secret can be read again")
        self._values, self._read_at = values, self._tried_at
        self._failing_since, self._invalidated = None, False

    def _read(self) -> tuple[dict[str, str] | None, str]:
        """Read the secret: its values, or None and the reason. A parser's error quotes its input, so none is raised."""
        try:
            response = self.client.get_secret_value(SecretId=self._secret_id)
        except AWS_ERRORS as error:
            return None, error_code(error)
        try:
            values = json.loads(response.get("SecretString", ""))
        except ValueError:
            return None, "it is not JSON"
        if not isinstance(values, dict):
            return None, "it is not a JSON object"
        return dict(filter(None, (_checked(name, value) for name, value in values.items()))), ""


def _checked(name: str, value: object) -> tuple[str, str] | None:
    """Return a secret without surrounding whitespace; None if it is empty, or unusable, which is logged."""
    if not isinstance(value, str) or not (stripped := value.strip()):
        return None
    if not stripped.isprintable():
        _log.error("the secret %s is misconfigured: it contains a line break or control character", name)
        return None
    return name, stripped

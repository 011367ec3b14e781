"""The one secret that holds every key: a JSON object in Secrets Manager, kept in memory.

It is read when first needed, after five minutes, and after an authentication failure; never per request. The read after
five minutes is waited for (milliseconds, 2 s at most): an environment that was frozen for an hour would otherwise send
an hour-old key, and have the whole fleet keep away from a provider for it. When it fails, the last good values go on.
"""

import json
import logging
import math
from threading import Lock
from typing import TYPE_CHECKING

from botocore.config import Config

from vibe_router.core.clock import Clock
from vibe_router.store.aws import session
from vibe_router.store.circuit_breaker import AWS_ERRORS, error_code

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

__all__ = ["Secrets", "SecretsUnavailableError", "secrets_client"]

_FRESH = 300.0  # seconds
_DISTRUST_AFTER = 30.0  # seconds that a value is trusted, whatever a provider says: a bad key fails with every request
_RETRY_AFTER = 30.0  # seconds between tries while there are values to go on with; each may cost a request 2 s
_FIRST_RETRY_AFTER = 2.0  # the same while there are none
_FIRST_TRIES = 2  # without values nothing can be served, and one lost packet must not be enough for that

_log = logging.getLogger(__name__)


def secrets_client() -> "SecretsManagerClient":
    """Return a client whose worst call takes 2 s."""
    bounds = Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 1, "mode": "legacy"})
    return session().client("secretsmanager", config=bounds)


class SecretsUnavailableError(Exception):
    """The secret was never read, and Secrets Manager can't be asked for it now."""


class Secrets:
    """Gives secrets by name. No value ever appears in a log line, an error or a repr."""

    __slots__ = (
        "_asking",
        "_client",
        "_clock",
        "_distrusted",
        "_outage",
        "_read_at",
        "_secret_id",
        "_tried_at",
        "_values",
    )

    def __init__(self, client: "SecretsManagerClient", secret_id: str, clock: Clock) -> None:
        self._client = client
        self._secret_id = secret_id
        self._clock = clock
        self._asking = Lock()
        self._values: dict[str, str] | None = None
        self._read_at = self._tried_at = -math.inf
        self._distrusted = False
        self._outage = False

    def __repr__(self) -> str:
        return f"Secrets({self._secret_id!r})"

    def get(self, name: str) -> str | None:
        """Return the secret called `name`, or None if there is none or it is empty.

        Raises SecretsUnavailableError while no values are in memory and Secrets Manager can't be asked.
        """
        if self._is_due():
            with self._asking:
                if self._is_due():  # who waited here finds it read
                    self._refresh()
        if self._values is None:
            raise SecretsUnavailableError("the secret can't be read, and was not read before")
        return self._values.get(name)

    def invalidate(self) -> None:
        """Have the secret read again by the next `get`: a provider or caller was refused with what is in memory.

        Or by the first one after it is 30 s old: what was read just now is not read again.
        """
        self._distrusted = True

    def _is_due(self) -> bool:
        now = self._clock.now()
        age, pause = now - self._read_at, now - self._tried_at
        if self._values is None:
            return not 0 <= pause < _FIRST_RETRY_AFTER
        if 0 <= pause < _RETRY_AFTER and self._outage:
            return False
        return not 0 <= age < (_DISTRUST_AFTER if self._distrusted else _FRESH)

    def _refresh(self) -> None:
        values, reason = None, ""
        for _ in range(_FIRST_TRIES if self._values is None else 1):
            values, reason = self._ask()
            if values is not None:
                break
        self._tried_at = self._clock.now()
        if values is None:
            if not self._outage:
                _log.warning(
                    "the secret can't be read (%s)%s", reason, ": going on with what it held" * bool(self._values)
                )
            self._outage = True
            return
        if self._outage:
            _log.warning("the secret can be read again")
        self._values, self._read_at = values, self._tried_at
        self._outage = self._distrusted = False

    def _ask(self) -> tuple[dict[str, str] | None, str]:
        """Read the secret: its values, or None and why not. Parser's errors quote what they parse, so none gets out."""
        try:
            answer = self._client.get_secret_value(SecretId=self._secret_id)
        except AWS_ERRORS as error:
            return None, error_code(error)
        try:
            values = json.loads(answer.get("SecretString", ""))
        except ValueError:
            return None, "it is not JSON"
        if not isinstance(values, dict):
            return None, "it is not a JSON object"
        return {name: value for name, value in values.items() if isinstance(value, str) and value}, ""

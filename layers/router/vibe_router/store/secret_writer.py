"""Change single entries of the router's secret, for the function of the page that may."""

import json
from typing import Any

from vibe_router.core.secret_names import RESERVED, select_for_admin
from vibe_router.store.secrets import SecretsManager

__all__ = ["MAX_VALUE", "SecretFullError", "SecretWriter"]

MAX_VALUE = 8_000
"""Characters of an entry: a service account's JSON has some 2,400."""
_MAX_SECRET = 65_536
"""Bytes of a secret: https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html"""


class SecretFullError(Exception):
    """The secret would exceed what Secrets Manager stores."""


class SecretWriter:
    """Writes entries of the secret `secret_id`, and their names into `admin_secret_id`. No value is ever returned.

    Secrets Manager has no conditional write: of two changes at the same moment, one is lost.
    """

    def __init__(self, client: SecretsManager, secret_id: str, admin_secret_id: str) -> None:
        self._client = client
        self._secret_id = secret_id
        self._admin_secret_id = admin_secret_id

    def write(self, name: str, value: str | None) -> bool:
        """Set the entry `name`, or delete it with None. Return whether there was one.

        Raises ValueError for an entry of the router's own or an unreadable secret, SecretFullError, and AwsError.
        """
        if name in RESERVED:
            raise ValueError(f"{name} is an entry of the router's own")
        entries = self._read()
        was_set = bool(entries.pop(name, None))
        if value is not None:
            entries[name] = value
        text = json.dumps(entries, ensure_ascii=False)
        if len(text.encode()) > _MAX_SECRET:
            raise SecretFullError
        self._put(self._secret_id, text)
        self._put(self._admin_secret_id, json.dumps(select_for_admin(entries), ensure_ascii=False))
        return was_set

    def _read(self) -> dict[str, Any]:
        found = self._client.get_secret_value(SecretId=self._secret_id)
        try:
            entries = json.loads(found.get("SecretString", ""))
        except ValueError:
            entries = None  # a parser's error quotes its input, so it goes no further
        if not isinstance(entries, dict):
            raise ValueError("the router's secret is not a JSON object")
        return entries

    def _put(self, secret_id: str, text: str) -> None:
        self._client.put_secret_value(SecretId=secret_id, SecretString=text)

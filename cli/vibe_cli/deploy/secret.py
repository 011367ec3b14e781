"""Fill the router's secret from .env and the environment, and the admin function's from it.

Values are only sent to the API: never to a command line, a message or a file.
"""

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vibe_cli.deploy.errors import DeployError
from vibe_cli.deploy.services import aws_errors
from vibe_router.core.secret_names import MASTER_KEY, METRICS_KEY, OIDC, PAGE, TRACING, select_for_admin

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

__all__ = ["Filled", "fill", "merged", "read", "values_from"]

_ALSO_READ = "LITELLM_MASTER_KEY"
_KEY_BYTES = 32
"""Length of a generated master key: 256 bits."""


@dataclass(frozen=True, slots=True)
class Filled:
    """The names that were changed, and the `master_key`, which is never printed."""

    master_key: str
    added: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]

    def __repr__(self) -> str:
        """Return a text without the key."""
        return f"Filled(added={self.added}, changed={self.changed}, unchanged={self.unchanged})"


def values_from(names: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the values in `environ` of the providers' secrets `names` and of the router's own entries."""
    values = {name: environ[name] for name in (*names, *PAGE, METRICS_KEY, *TRACING, *OIDC) if environ.get(name)}
    if master_key := environ.get(MASTER_KEY) or environ.get(_ALSO_READ):
        values[MASTER_KEY] = master_key
    return values


def merged(current: Mapping[str, object], values: Mapping[str, str]) -> dict[str, object]:
    """Return `values` over the `current` content, with a generated master key if there is none."""
    together = {**current, **values}
    if not together.get(MASTER_KEY):
        together[MASTER_KEY] = f"sk-{secrets.token_urlsafe(_KEY_BYTES)}"
    return together


def read(client: "SecretsManagerClient", secret: str) -> dict[str, object]:
    """Return the content of the secret, {} if it is empty. Raises DeployError if it is not a JSON object."""
    with aws_errors("Secrets Manager"):
        try:
            text = client.get_secret_value(SecretId=secret).get("SecretString", "")
        except client.exceptions.ResourceNotFoundException:
            return {}  # the secret exists, but has no value yet
    try:
        values = json.loads(text or "{}")
    except ValueError:
        values = None
    if not isinstance(values, dict):
        # Not chained: the parser's error quotes the secret.
        raise DeployError(
            f"{secret} does not contain a JSON object, so nothing was written. Correct it in the AWS console."
        )
    return values


def fill(client: "SecretsManagerClient", secret: str, admin_secret: str, values: Mapping[str, str]) -> Filled:
    """Merge `values` into the secret, and copy what the admin function needs into its own.

    Each is written only if something changes, so a second run adds no version.
    """
    current = read(client, secret)
    together = merged(current, values)
    if together != current:
        _write(client, secret, together)
    if (copied := select_for_admin(together)) != _read_copy(client, admin_secret):
        _write(client, admin_secret, copied)
    return Filled(
        master_key=str(together[MASTER_KEY]),
        added=tuple(sorted(name for name in together if not current.get(name))),
        changed=tuple(sorted(name for name in together if current.get(name) and together[name] != current[name])),
        unchanged=tuple(sorted(name for name in together if current.get(name) == together[name])),
    )


def _read_copy(client: "SecretsManagerClient", secret: str) -> dict[str, object]:
    try:
        return read(client, secret)
    except DeployError:
        return {}  # not a JSON object: nothing of a copy is worth keeping


def _write(client: "SecretsManagerClient", secret: str, values: Mapping[str, object]) -> None:
    with aws_errors("Secrets Manager"):
        client.put_secret_value(SecretId=secret, SecretString=json.dumps(values))

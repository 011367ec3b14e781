"""The router's one secret: what .env and the environment hold goes into it, through the API and nowhere else.

No value is ever part of a command line, of a message, or of a file.
"""

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vibe_cli.deploy.errors import DeployError
from vibe_cli.deploy.seam import aws_errors

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

__all__ = ["MASTER_KEY", "PAGE", "Filled", "fill", "given", "merged", "read", "read_environ"]

MASTER_KEY = "MASTER_KEY"
PAGE = ("UI_USERNAME", "UI_PASSWORD")
"""How to sign in to the admin page; without them it is `admin` and the master key."""
_ALSO_READ = "LITELLM_MASTER_KEY"
_KEY_BYTES = 32
"""Of a master key that is made here: 256 bits."""


@dataclass(frozen=True, slots=True)
class Filled:
    """What filling did: names only, but for `master_key`, which is never shown."""

    master_key: str
    added: tuple[str, ...]
    changed: tuple[str, ...]
    kept: tuple[str, ...]

    def __repr__(self) -> str:
        """Leave the key out of whatever may be printed."""
        return f"Filled(added={self.added}, changed={self.changed}, kept={self.kept})"


def given(names: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the values that `environ` has for the providers' secrets `names`, for the page and the master key."""
    values = {name: environ[name] for name in (*names, *PAGE) if environ.get(name)}
    if master_key := environ.get(MASTER_KEY) or environ.get(_ALSO_READ):
        values[MASTER_KEY] = master_key
    return values


def merged(standing: Mapping[str, object], values: Mapping[str, str]) -> dict[str, object]:
    """Return what the secret is to hold: all it has, `values` over it, and a master key if that is still missing."""
    together = {**standing, **values}
    if not together.get(MASTER_KEY):
        together[MASTER_KEY] = f"sk-{secrets.token_urlsafe(_KEY_BYTES)}"
    return together


def read(client: "SecretsManagerClient", secret: str) -> dict[str, object]:
    """Return what the secret holds: nothing if it was never filled. Raises DeployError if it is no JSON object."""
    with aws_errors("Secrets Manager"):
        try:
            text = client.get_secret_value(SecretId=secret).get("SecretString", "")
        except client.exceptions.ResourceNotFoundException:
            return {}  # the secret is there, as CloudFormation has just said; it has no value yet
    try:
        values = json.loads(text or "{}")
    except ValueError:
        values = None
    if not isinstance(values, dict):
        # The parser's error would quote the secret: it is not chained.
        raise DeployError(
            f"{secret} does not hold a JSON object, so nothing was written into it. Mend it in the console."
        )
    return values


def fill(client: "SecretsManagerClient", secret: str, values: Mapping[str, str]) -> Filled:
    """Merge `values` into the secret. It is written only if something differs, so a second run makes no new version."""
    standing = read(client, secret)
    together = merged(standing, values)
    if together != standing:
        with aws_errors("Secrets Manager"):
            client.put_secret_value(SecretId=secret, SecretString=json.dumps(together))
    return Filled(
        master_key=str(together[MASTER_KEY]),
        added=tuple(sorted(name for name in together if not standing.get(name))),
        changed=tuple(sorted(name for name in together if standing.get(name) and together[name] != standing[name])),
        kept=tuple(sorted(name for name in together if standing.get(name) == together[name])),
    )


def read_environ(env_file: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment over `env_file`, as every command of the router reads them."""
    from dotenv import dotenv_values

    # No interpolation: a key may hold "$".
    written = {name: value for name, value in dotenv_values(env_file, interpolate=False).items() if value}
    return {**written, **{name: value for name, value in environ.items() if value}}

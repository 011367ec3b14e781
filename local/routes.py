"""routes.yaml: read it, and load it into the embedded RoutesTable when it has changed."""

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .files import write_atomically
from .launch import CREDENTIALS
from .template import REGION

if TYPE_CHECKING:
    from vibe_router.routing.spec import RoutesSpec

__all__ = ["Routes", "RoutesError", "read_routes"]

_LAYER = str(Path(__file__).parent.parent / "layers" / "router")


class RoutesError(Exception):
    """The routes file is invalid; the message has one line per problem."""


class Routes:
    """The content of a routes file.

    `providers`: name to the name of its secret. `model_formats`: the formats of the models that have their own.
    `secrets`: the names of all secrets. `digest` changes with the content.
    """

    def __init__(self, spec: "RoutesSpec") -> None:
        self._spec = spec
        self.providers: Mapping[str, str] = {name: provider.secret for name, provider in spec.providers.items()}
        self.secrets = spec.secret_names
        self.base_urls: Mapping[str, str] = {name: provider.base_url for name, provider in spec.providers.items()}
        self.model_formats = _model_formats(spec)
        self.models = tuple(spec.models)
        self.digest = hashlib.sha256(spec.model_dump_json().encode()).hexdigest()

    def load(self, endpoint: str, table: str, loaded: Path) -> None:
        """Write the rows to the embedded table, and the digest to the file `loaded`.

        Blocks.
        """
        from vibe_router.core.clock import Clock
        from vibe_router.routing.changes import rows_of
        from vibe_router.store.aws_client import AwsClient, Bounds
        from vibe_router.store.credentials import EnvironmentCredentials
        from vibe_router.store.dynamodb import DYNAMODB, DynamoDB
        from vibe_router.store.routes import RoutesStore

        clock = Clock()
        credentials = EnvironmentCredentials(clock, CREDENTIALS)  # this machine's are ignored
        bounds = Bounds(connect=10, read=60, tries=3)
        client = DynamoDB(
            AwsClient(DYNAMODB, clock, region=REGION, endpoint=endpoint, credentials=credentials, bounds=bounds)
        )
        store = RoutesStore(client, table)
        store.write(rows_of(self._spec), store.read())
        client.close()
        write_atomically(loaded, json.dumps({"sha256": self.digest}).encode())

    def is_loaded(self, loaded: Path) -> bool:
        """Return whether this content was loaded last: then later edits of the table are preserved."""
        try:
            return bool(json.loads(loaded.read_bytes())["sha256"] == self.digest)
        except (OSError, ValueError, KeyError, TypeError):
            return False


def _model_formats(spec: "RoutesSpec") -> dict[tuple[str, str], list[str]]:
    """Return, by provider and model, the formats that the chains declare, where they differ from the provider's."""
    members = [member for model in spec.models.values() for step in model.chain for member in step]
    narrowed = {(member.provider, member.model) for member in members if member.formats}
    model_formats: dict[tuple[str, str], set[str]] = {each: set() for each in narrowed}
    for member in members:
        if (member.provider, member.model) in narrowed:
            model_formats[member.provider, member.model] |= set(
                member.formats or spec.providers[member.provider].formats or ("chat",)
            )
    return {each: sorted(formats) for each, formats in model_formats.items()}


def read_routes(path: Path, environment: Mapping[str, str]) -> Routes:
    """Read and check a routes file; `environment` has the values of its `${NAME}`s. Raises `RoutesError`."""
    if _LAYER not in sys.path:
        sys.path.append(_LAYER)
    from vibe_cli.routes_file import RoutesFileError, load_file

    try:
        return Routes(load_file(path, environment))
    except RoutesFileError as error:
        raise RoutesError(str(error)) from None

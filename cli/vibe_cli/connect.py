"""Choose the router that a command calls, and the key it calls it with.

    URL   --url, or that of --stack, else VIBE_ROUTER_URL, or that of STACK, else that of the running local stack
    key   the variable that --key-env names, else the master key in the stack's secret, else MASTER_KEY or
          LITELLM_MASTER_KEY from the environment or .env, else the key stored by the local stack

A key is never an argument, because other users of the machine can read command lines.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from vibe_cli.errors import CommandError
from vibe_cli.options import Json
from vibe_cli.settings import KEY_NAMES, find_local_master_key, find_local_stack, read_environment

if TYPE_CHECKING:
    from vibe_cli.api import Api

__all__ = ["Connection", "Stack", "connect"]

Stack = Annotated[str | None, typer.Option("--stack", metavar="NAME", help="A stack on AWS (default: STACK).")]


@dataclass(frozen=True, slots=True)
class Connection:
    """Options that choose the router."""

    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="The router's URL (default: VIBE_ROUTER_URL).")
    ] = None
    stack: Stack = None
    local: Annotated[bool, typer.Option("--local", help="The router that `make start` runs.")] = False
    key_env: Annotated[
        str | None, typer.Option("--key-env", metavar="VARIABLE", help="The variable with the master key.")
    ] = None
    as_json: Json = False


@contextmanager
def connect(connection: Connection) -> Iterator["Api"]:
    """Yield the API of the chosen router. Raises CommandError."""
    from vibe_cli.api import Api, is_loopback

    if (connection.url is not None) + (connection.stack is not None) + connection.local > 1:
        raise CommandError("--url, --stack and --local exclude each other.")
    environ = read_environment()
    key = _read_key(connection.key_env, environ)
    chosen = connection.url or connection.stack or connection.local
    url = connection.url or (None if chosen else environ.get("VIBE_ROUTER_URL"))
    name = connection.stack or (None if chosen or url else environ.get("STACK"))
    if name:
        url, key = _find_deployed(name, key, environ)
    elif not url:
        stack = find_local_stack(environ)
        if stack is None or "url" not in stack:
            raise CommandError(
                "No router to call: the local one is not running. Start it with: make start\n"
                "For a deployed one: --stack NAME, or --url URL with its master key in MASTER_KEY."
            )
        url = stack["url"]
    key = key or next((environ[name] for name in KEY_NAMES if environ.get(name)), None)
    if not key and is_loopback(url):
        key = find_local_master_key(environ)
    if not key:
        raise CommandError(f"No key for {url}. Set MASTER_KEY in the environment or .env to its master key.")
    with Api(url, key) as api:
        yield api


def _read_key(variable: str | None, environ: Mapping[str, str]) -> str | None:
    if variable and not environ.get(variable):
        raise CommandError(f"{variable}, which should contain the master key, is not set.")
    return environ[variable] if variable else None


def _find_deployed(stack: str, key: str | None, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """Return a deployed stack's URL and master key, unless `key` is already given.

    An operator whose credentials cannot read the secret can provide the key in the environment.
    """
    from botocore.config import Config
    from botocore.exceptions import ClientError

    from vibe_cli.aws_errors import aws_errors
    from vibe_cli.boto import session

    patient = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 3, "mode": "legacy"})
    with aws_errors("AWS"):
        try:
            described = session().client("cloudformation", config=patient).describe_stacks(StackName=stack)["Stacks"][0]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ValidationError":
                raise
            raise CommandError(
                f"There is no stack {stack!r} in this account and region. Deploy it with: ./deploy.sh"
            ) from error
        outputs = {each.get("OutputKey"): each.get("OutputValue", "") for each in described.get("Outputs", ())}
        # The admin function's secret has the master key without providers' keys, which no command needs.
        url, secret = outputs.get("BaseUrl"), outputs.get("AdminSecretArn") or outputs.get("SecretArn")
        if not url or not secret:
            raise CommandError(f"The stack {stack!r} has no outputs BaseUrl and SecretArn. Is it a Vibe Router?")
        if key:
            return url, key
        try:
            text = session().client("secretsmanager", config=patient).get_secret_value(SecretId=secret)["SecretString"]
            return url, str(json.loads(text)["MASTER_KEY"])
        except (ClientError, KeyError, ValueError, TypeError) as error:
            if any(environ.get(name) for name in KEY_NAMES):
                return url, None
            raise CommandError(
                f"The master key cannot be read from {secret}: the credentials lack permission, or it is empty.\n"
                "Set MASTER_KEY in the environment or .env instead."
            ) from error

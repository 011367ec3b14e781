"""Which router a command talks to, and with which key: the local stack, a deployed one, or any URL.

    the URL   --url or --stack's, else VIBE_ROUTER_URL or STACK's, else that of the stack that `make start` runs here
    the key   the variable that --key-env names, else the stack's secret, else MASTER_KEY or LITELLM_MASTER_KEY of the
              environment or .env, else the one stored by the local stack

A key is never taken from the command line, which others on the machine can see.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vibe_cli.errors import CommandError
from vibe_cli.local_key import find_local_master_key
from vibe_cli.target import read_environ, running_local_stack

if TYPE_CHECKING:
    from vibe_cli.api import Api

__all__ = ["add_connection", "connected"]

_KEY_NAMES = ("MASTER_KEY", "LITELLM_MASTER_KEY")


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which router is meant, and how its answer is shown."""
    group = parser.add_argument_group("which router")
    where = group.add_mutually_exclusive_group()
    where.add_argument("--url", help="its URL (VIBE_ROUTER_URL, else the one that `make start` runs here)")
    where.add_argument("--stack", help="a deployed stack's name (STACK); its address and key are asked of AWS")
    where.add_argument("--local", action="store_true", help="the one that `make start` runs here, whatever is set")
    group.add_argument("--key-env", metavar="NAME", help="the variable with the master key (MASTER_KEY)")
    group.add_argument("--json", action="store_true", help="JSON on a terminal too")


@contextmanager
def connected(args: argparse.Namespace) -> Iterator["Api"]:
    """Yield the router that `args` mean. Raises CommandError."""
    from vibe_cli.api import Api, is_loopback

    environ = read_environ()
    key = _named_key(args.key_env, environ)
    chosen = args.url or args.stack or args.local
    url = args.url or (None if chosen else environ.get("VIBE_ROUTER_URL"))
    name = args.stack or (None if chosen or url else environ.get("STACK"))
    if name:
        url, key = _deployed(name, key, environ)
    elif not url:
        stack = running_local_stack(environ)
        if stack is None or "url" not in stack:
            raise CommandError(
                "Which router? The local one is not running (make start).\n"
                "A deployed one: --stack NAME, or --url URL with its master key in MASTER_KEY."
            )
        url = stack["url"]
    key = key or next((environ[name] for name in _KEY_NAMES if environ.get(name)), None)
    if not key and is_loopback(url):
        key = find_local_master_key(environ)
    if not key:
        raise CommandError(f"Which key? Set MASTER_KEY in the environment or .env, to the master key of {url}.")
    with Api(url, key) as api:
        yield api


def _named_key(name: str | None, environ: Mapping[str, str]) -> str | None:
    if name and not environ.get(name):
        raise CommandError(f"The variable {name}, which should hold the master key, is not set.")
    return environ[name] if name else None


def _deployed(stack: str, key: str | None, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """Ask AWS for a stack's URL and, unless there is one already, its master key.

    Whoever may not read the secret can still give the key by the environment.
    """
    from botocore.config import Config
    from botocore.exceptions import ClientError

    from vibe_cli.target import Target, aws_errors
    from vibe_router.store.aws import session

    patient = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 3, "mode": "legacy"})
    with aws_errors(Target(stack, None, "AWS")):
        try:
            described = session().client("cloudformation", config=patient).describe_stacks(StackName=stack)["Stacks"][0]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ValidationError":
                raise
            raise CommandError(
                f"There is no stack {stack!r} in this account and region. Deploy it: ./deploy.sh"
            ) from error
        outputs = {each.get("OutputKey"): each.get("OutputValue", "") for each in described.get("Outputs", ())}
        url, secret = outputs.get("BaseUrl"), outputs.get("SecretArn")
        if not url or not secret:
            raise CommandError(
                f"The stack {stack!r} has no BaseUrl and SecretArn among its outputs: is it a Vibe Router?"
            )
        if key:
            return url, key
        try:
            text = session().client("secretsmanager", config=patient).get_secret_value(SecretId=secret)["SecretString"]
            return url, str(json.loads(text)["MASTER_KEY"])
        except (ClientError, KeyError, ValueError, TypeError) as error:
            if any(environ.get(name) for name in _KEY_NAMES):
                return url, None
            raise CommandError(
                f"The master key can't be read out of {secret} (these credentials may not, or it is not filled).\n"
                "Set MASTER_KEY in the environment or .env instead."
            ) from error

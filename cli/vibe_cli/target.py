"""Which table a command works on: one in AWS, or the local stack's."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vibe_cli.errors import CommandError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["Target", "aws_errors", "read_environ", "running_local_stack", "target"]


@dataclass(frozen=True, slots=True)
class Target:
    """A routes table, and where it is; `endpoint` is None for what the usual AWS settings say."""

    table: str
    endpoint: str | None
    where: str

    def client(self) -> "DynamoDBClient":
        """Return a client for it. Raises botocore's errors: use it inside `aws_errors`."""
        from botocore.config import Config

        from vibe_router.store.aws import session

        patient = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 3, "mode": "legacy"})
        if self.endpoint is None:
            return session().client("dynamodb", config=patient)
        return session().client(
            "dynamodb",
            config=patient,
            endpoint_url=self.endpoint,
            region_name="us-east-1",  # where the local stack's tables are, whatever this person's own region
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106 (the embedded AWS asks for some, and looks at none)
        )


def read_environ() -> dict[str, str]:
    """Return the environment over the working directory's `.env`, as `make start` reads them."""
    from dotenv import dotenv_values

    # No interpolation: a key may hold "$".
    written = {name: value for name, value in dotenv_values(".env", interpolate=False).items() if value}
    return {**written, **{name: value for name, value in os.environ.items() if value}}


def target(environ: Mapping[str, str], table: str | None, local: bool | None) -> Target:
    """Choose the table: `local` is True or False where the person has said so, and None where not.

    A table that was named is looked for in AWS; without a name it is the running local stack's.
    """
    named = table or environ.get("ROUTES_TABLE")
    if local is True or (local is None and not named):
        stack = running_local_stack(environ)
        if stack and "endpoint" in stack and "routes_table" in stack:
            endpoint = stack["endpoint"]
            return Target(table or stack["routes_table"], endpoint, f"the local stack at {endpoint}")
        if local:
            raise CommandError("The local stack is not running. Start it with: make start")
    if not named:
        raise CommandError(
            "Which table? Either start the local stack (make start), or name the deployed stack's table:\n"
            "  --table NAME, or ROUTES_TABLE=NAME in the environment. The stack's outputs have the name."
        )
    return Target(named, None, environ.get("AWS_ENDPOINT_URL_DYNAMODB") or environ.get("AWS_ENDPOINT_URL") or "AWS")


def running_local_stack(environ: Mapping[str, str]) -> dict[str, str] | None:
    """Return where the stack that `make start` runs is, as it has written that down; None if none runs."""
    file = Path(environ.get("DATA_DIR", ".data"), "local.json")
    try:
        written = {name: str(value) for name, value in json.loads(file.read_text(encoding="utf-8")).items()}
        os.kill(int(written["pid"]), 0)  # asks whether it lives, and does nothing to it
    except PermissionError:
        return written  # it lives, and is somebody else's
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return written


@contextmanager
def aws_errors(target: Target) -> Iterator[None]:
    """Turn what goes wrong with AWS into a plain sentence and what to do."""
    from botocore import exceptions

    try:
        yield
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        raise CommandError("No AWS credentials. Run `aws configure` or `aws sso login`, or set AWS_PROFILE.") from error
    except exceptions.NoRegionError as error:
        raise CommandError("No AWS region. Set AWS_DEFAULT_REGION, or a region in the AWS profile.") from error
    except exceptions.ProfileNotFound as error:
        raise CommandError(f"{error}. AWS_PROFILE must name one of ~/.aws/config.") from error
    except exceptions.ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        advice = {
            "ResourceNotFoundException": f"There is no table {target.table!r}. Is the stack deployed in this region?",
            "AccessDeniedException": f"These credentials may not use the table {target.table!r}.",
            "ExpiredTokenException": "The AWS session has ended. Run `aws sso login` or renew the credentials.",
            "UnrecognizedClientException": "AWS does not know these credentials. Are they right for this region?",
        }.get(code, f"DynamoDB refused: {error}")
        raise CommandError(f"{advice} (asked {target.where})") from error
    except exceptions.BotoCoreError as error:
        raise CommandError(f"{target.where} can't be reached: {error}") from error

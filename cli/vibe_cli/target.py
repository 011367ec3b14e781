"""Choose the DynamoDB table that a command works on: one on AWS, or the local stack's."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vibe_cli.aws_errors import aws_errors
from vibe_cli.errors import CommandError
from vibe_cli.settings import find_local_stack

if TYPE_CHECKING:
    from vibe_router.store.dynamodb import DynamoDB

__all__ = ["Target", "choose_routes_table"]


@dataclass(frozen=True, slots=True)
class Target:
    """A table and where it is; `endpoint` is None for the usual AWS settings, `where` is for messages."""

    table: str
    endpoint: str | None
    where: str

    def client(self) -> "DynamoDB":
        """Return a client for it. Calls raise AwsError and botocore's errors: make them inside `errors()`."""
        from botocore.config import Config

        from vibe_cli.boto import BotoApi, session
        from vibe_router.store.dynamodb import DynamoDB

        patient = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 3, "mode": "legacy"})
        if self.endpoint is None:
            return DynamoDB(BotoApi(session().client("dynamodb", config=patient)))
        local = session().client(
            "dynamodb",
            config=patient,
            endpoint_url=self.endpoint,
            region_name="us-east-1",  # the local stack's, whatever the user's region is
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106 (not a secret: the embedded AWS ignores it)
        )
        return DynamoDB(BotoApi(local))

    def errors(self) -> AbstractContextManager[None]:
        """Return a context that turns AWS errors into CommandErrors."""
        missing = f"There is no table {self.table!r} ({self.where}). Check the stack's name and the region."
        return aws_errors(f"DynamoDB ({self.where})", not_found=missing)


def choose_routes_table(environ: Mapping[str, str], table: str | None, *, local: bool, aws: bool) -> Target:
    """Choose the routes table: on AWS if it is named, else the local stack's, unless `local` or `aws` decides."""
    named = table or environ.get("ROUTES_TABLE")
    if local or not (aws or named):
        stack = find_local_stack(environ)
        if stack and "endpoint" in stack and "routes_table" in stack:
            endpoint = stack["endpoint"]
            return Target(table or stack["routes_table"], endpoint, "the local stack")
        if local:
            raise CommandError("The local stack is not running. Start it with: make start")
    if not named:
        raise CommandError(
            "No routes table: start the local stack (make start), or name a deployed stack's table with --table NAME\n"
            "or ROUTES_TABLE=NAME. It is the stack's output RoutesTableName."
        )
    return Target(named, None, environ.get("AWS_ENDPOINT_URL_DYNAMODB") or environ.get("AWS_ENDPOINT_URL") or "AWS")

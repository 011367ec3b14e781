"""AWS clients, and the programs that deploying runs.

All calls that leave the process go through here, so that a test can replace `Services` or `subprocess.run`.
"""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from vibe_cli.aws_errors import aws_errors as _aws_errors
from vibe_cli.checkout import CHECKOUT
from vibe_cli.deploy.errors import DeployError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

    from vibe_cli.deploy.target import Target

__all__ = ["Programs", "Quotas", "Services", "aws_errors"]

_HERE = str(Path(sys.executable).parent)


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs that deploying runs, each as the beginning of its command line."""

    sam: Sequence[str] = (f"{_HERE}/sam",)
    build: Sequence[str] = (sys.executable, "-m", "scripts.build")
    routes: Sequence[str] = (sys.executable, "-m", "vibe_cli", "routes")
    smoke: Sequence[str] = (sys.executable, "-m", "vibe_cli", "smoke")


@dataclass(frozen=True, slots=True)
class Quotas:
    """The account's limits in a region; None where the service does not tell.

    `concurrency`: calls of all functions at once. `rate` and `burst`: requests per second to all APIs. `log_role`: the
    role with which API Gateway writes logs, None if there is none.
    """

    concurrency: int | None
    rate: float | None
    burst: int | None
    log_role: str | None


class Services:
    """AWS clients for the account and region of `target`, and the programs. Raises CommandError."""

    def __init__(self, target: "Target", programs: Programs | None = None) -> None:
        self.programs = programs or Programs()
        self._profile, self._region = target.profile, target.region
        with aws_errors("AWS settings"):
            self._session = boto3.Session(profile_name=target.profile, region_name=target.region)
        self._patient = Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "max_attempts": 5})

    @property
    def region(self) -> str:
        """The AWS region. Raises DeployError if none is set."""
        region: str | None = self._session.region_name
        if not region:
            raise DeployError("No AWS region is set. Set AWS_REGION, or run `aws configure`.")
        return region

    def account(self) -> str:
        """Return the id of the account that the credentials belong to."""
        with aws_errors("AWS"):
            return str(self._client("sts").get_caller_identity()["Account"])

    def identity(self) -> str:
        """Return the ARN of whom the credentials belong to."""
        with aws_errors("AWS"):
            return str(self._client("sts").get_caller_identity()["Arn"])

    def quotas(self) -> Quotas:
        """Return what this account may do in this region."""
        try:
            concurrency: int | None = self.functions.get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
        except ClientError:  # only a warning depends on it, and deploying needs no right to ask
            concurrency = None
        with aws_errors("API Gateway"):
            account = self._client("apigateway").get_account()
        throttle = account.get("throttleSettings", {})
        return Quotas(
            concurrency, throttle.get("rateLimit"), throttle.get("burstLimit"), account.get("cloudwatchRoleArn") or None
        )

    @cached_property
    def cloudformation(self) -> "CloudFormationClient":
        """A boto3 client."""
        client: CloudFormationClient = self._client("cloudformation")
        return client

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """A boto3 client."""
        client: DynamoDBClient = self._client("dynamodb")
        return client

    @cached_property
    def functions(self) -> "LambdaClient":
        """A boto3 client for Lambda."""
        client: LambdaClient = self._client("lambda")
        return client

    @cached_property
    def secrets(self) -> "SecretsManagerClient":
        """A boto3 client for Secrets Manager."""
        client: SecretsManagerClient = self._client("secretsmanager")
        return client

    def run(
        self,
        command: Sequence[str],
        *,
        without: Sequence[str] = (),
        also: Mapping[str, str] | None = None,
        captured: bool = False,
    ) -> tuple[int, str]:
        """Run a program in the checkout; return its exit status and, if `captured`, its output.

        It gets the environment of this process without the variables `without`, and with those of `also`. Other output
        goes to standard error, because standard output is for the result.
        """
        environment = {name: value for name, value in os.environ.items() if name not in without}
        if self._region:
            environment |= {"AWS_REGION": self._region, "AWS_DEFAULT_REGION": self._region}
        if self._profile:
            environment["AWS_PROFILE"] = self._profile
        sys.stderr.flush()
        output = subprocess.PIPE if captured else sys.stderr.fileno()
        try:
            done = subprocess.run(
                list(command), cwd=CHECKOUT, env={**environment, **(also or {})}, stdout=output, text=True, check=False
            )
        except OSError as error:
            raise DeployError(f"{command[0]} cannot be run: {error.strerror}. Try again after: make clean") from error
        return done.returncode, done.stdout or ""

    def answers(self, url: str, key: str, seconds: float) -> bool:
        """Wait until `url` answers 200 to `key`, for at most `seconds`: a new API takes a moment to appear."""
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})  # noqa: S310 - the stack's own URL
        until = time.monotonic() + seconds
        while True:
            try:
                with urllib.request.urlopen(request, timeout=15):  # noqa: S310 - the stack's own URL
                    return True
            except (urllib.error.URLError, OSError):
                if time.monotonic() >= until:
                    return False
            time.sleep(2)

    def _client(self, service: str) -> Any:
        with aws_errors("AWS"):
            return self._session.client(service, config=self._patient)  # type: ignore[call-overload] # any service's name


def aws_errors(service: str) -> AbstractContextManager[None]:
    """Return a context that turns AWS errors into CommandErrors with status 1."""
    return _aws_errors(service, status=1)

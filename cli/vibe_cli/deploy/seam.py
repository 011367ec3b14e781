"""The outside of deploying: AWS, the programs that are run, and whether a URL answers yet.

Nothing else here calls any of these, so a test that stands in for this module's `Outside`, or for what it finds at
AWS_ENDPOINT_URL and in `Programs`, sees all that happens.
"""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore import exceptions
from botocore.config import Config

from vibe_cli.checkout import CHECKOUT
from vibe_cli.deploy.errors import DeployError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

    from vibe_cli.deploy.target import Target

__all__ = ["Outside", "Programs", "aws_errors"]

_HERE = str(Path(sys.executable).parent)

_ADVICE = {
    "AccessDenied": "These credentials may not do this. Ask for the permission, or use others (AWS_PROFILE).",
    "AccessDeniedException": "These credentials may not do this. Ask for the permission, or use others (AWS_PROFILE).",
    "ExpiredToken": "The AWS session has ended. Run `aws sso login`, or renew the credentials.",
    "ExpiredTokenException": "The AWS session has ended. Run `aws sso login`, or renew the credentials.",
    "InvalidClientTokenId": "AWS does not know these credentials. Run `aws configure`, or set AWS_PROFILE.",
    "SignatureDoesNotMatch": "AWS does not take these credentials: the secret access key is wrong.",
    "UnrecognizedClientException": "AWS does not know these credentials. Are they right for this region?",
}


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs that deploying runs, each as the beginning of its command line."""

    sam: Sequence[str] = (f"{_HERE}/sam",)
    build: Sequence[str] = (sys.executable, "-m", "scripts.build")
    routes: Sequence[str] = (sys.executable, "-m", "vibe_cli", "routes")
    smoke: Sequence[str] = (sys.executable, "-m", "vibe_cli.commands.smoke")


class Outside:
    """AWS as `target` names it, and the programs. Raises DeployError where something is missing."""

    def __init__(self, target: "Target", programs: Programs | None = None) -> None:
        self.programs = programs or Programs()
        self._profile, self._region = target.profile, target.region
        with aws_errors("AWS's settings"):
            self._session = boto3.Session(profile_name=target.profile, region_name=target.region)
        self._patient = Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "max_attempts": 5})

    @property
    def region(self) -> str:
        """The region. Raises DeployError if none is set."""
        region: str | None = self._session.region_name
        if not region:
            raise DeployError("No AWS region is set. Set AWS_REGION, or run `aws configure`.")
        return region

    def account(self) -> str:
        """Ask AWS whose credentials these are; returns the account's id."""
        with aws_errors("AWS"):
            return str(self._client("sts").get_caller_identity()["Account"])

    def log_role(self) -> str | None:
        """Return the role with which API Gateway writes logs in this account and region, if it has one."""
        with aws_errors("API Gateway"):
            return self._client("apigateway").get_account().get("cloudwatchRoleArn") or None

    @cached_property
    def cloudformation(self) -> "CloudFormationClient":
        """A client."""
        client: CloudFormationClient = self._client("cloudformation")
        return client

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """A client."""
        client: DynamoDBClient = self._client("dynamodb")
        return client

    @cached_property
    def functions(self) -> "LambdaClient":
        """A client of Lambda."""
        client: LambdaClient = self._client("lambda")
        return client

    @cached_property
    def secrets(self) -> "SecretsManagerClient":
        """A client of Secrets Manager."""
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
        """Run a program in the checkout and return its status and, if `captured`, its output.

        It gets this process's environment, but for the variables of `without`, and `also` those of `also`. What it says
        goes to standard error: standard output is for the result.
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
            raise DeployError(f"{command[0]} can't be run: {error.strerror}. Try again after: make clean") from error
        return done.returncode, done.stdout or ""

    def answers(self, url: str, key: str, seconds: float) -> bool:
        """Wait until `url` answers 200 to the holder of `key`, at most so long: a new API takes a moment to appear."""
        asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})  # noqa: S310 - the stack's own URL
        until = time.monotonic() + seconds
        while True:
            try:
                with urllib.request.urlopen(asked, timeout=15):  # noqa: S310 - the stack's own URL
                    return True
            except (urllib.error.URLError, OSError):
                if time.monotonic() >= until:
                    return False
            time.sleep(2)

    def _client(self, service: str) -> Any:
        with aws_errors("AWS"):
            return self._session.client(service, config=self._patient)  # type: ignore[call-overload] # any service's name


@contextmanager
def aws_errors(what: str) -> Iterator[None]:
    """Turn what goes wrong with AWS into a plain sentence and what to do."""
    try:
        yield
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        raise DeployError("No AWS credentials. Run `aws configure` or `aws sso login`, or set AWS_PROFILE.") from error
    except exceptions.NoRegionError as error:
        raise DeployError("No AWS region is set. Set AWS_REGION, or run `aws configure`.") from error
    except exceptions.ProfileNotFound as error:
        raise DeployError(f"{error}. AWS_PROFILE must name one of ~/.aws/config.") from error
    except (exceptions.SSOTokenLoadError, exceptions.UnauthorizedSSOTokenError) as error:
        raise DeployError("The AWS session has ended. Run `aws sso login`.") from error
    except exceptions.ClientError as error:
        told = error.response.get("Error", {})
        advice = _ADVICE.get(told.get("Code", ""), "")
        raise DeployError(f"{what}: {told.get('Message') or error}\n{advice}".rstrip()) from error
    except exceptions.WaiterError as error:
        raise DeployError(f"{what}: {error}") from error
    except exceptions.BotoCoreError as error:
        raise DeployError(f"{what} can't be reached: {error}") from error

"""An AWS account in this process (moto), and the programs that deploying runs, played in this process too.

They stand where the seam calls `subprocess.run`, and so see the very arguments and the very environment.
"""

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.infrastructure.expanded import expand, upload_artefacts
from vibe_cli.app import main as vibe_router

STACK = "vibe-router-dev"
URL = "https://abcdefghij.execute-api.us-east-1.amazonaws.com/dev/v1"
_SECRET, _ADMIN_SECRET = "the-routers-secret", "the-admin-functions-secret"
_CALLS = [
    {"model": "auto-chat", "stream": stream, "deployment": "ark/glm", "total_ms": 12.5, "ok": True, "why": ""}
    for stream in (True, False)
]


@dataclass(frozen=True)
class Ran:
    """A program that was run. `environ` is all that it got."""

    program: str
    arguments: tuple[str, ...]
    environ: Mapping[str, str]


@cache
def _client(service: str) -> Any:
    """Return a client of the account. Making one takes longer than most of what is asked of it."""
    return boto3.client(service)  # type: ignore[call-overload] # any service's name


class Account:
    """The account and the programs."""

    def __init__(self) -> None:
        self.ran: list[Ran] = []
        self._failing: set[str] = set()
        self._changed = True
        upload_artefacts(_client("s3"))

    def run(
        self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdout: int, text: bool, check: bool
    ) -> subprocess.CompletedProcess[str]:
        """Stand for subprocess.run."""
        known = {"sam": self._sam, "scripts.build": self._build, "routes": self._routes, "smoke": self._smoke}
        program, at = next(
            (name, at) for at, word in enumerate(command) for name in known if word.rpartition("/")[2] == name
        )
        arguments = tuple(command[at + 1 :])
        self.ran.append(Ran(program, arguments, dict(env)))
        if program in self._failing and arguments != ("--version",):
            return subprocess.CompletedProcess(command, 3, "")
        return subprocess.CompletedProcess(command, 0, known[program](arguments, env))

    def _build(self, arguments: tuple[str, ...], environ: Mapping[str, str]) -> str:
        return ""

    def _smoke(self, arguments: tuple[str, ...], environ: Mapping[str, str]) -> str:
        return json.dumps({"failed": 0, "calls": _CALLS})

    def _routes(self, arguments: tuple[str, ...], environ: Mapping[str, str]) -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "environ", dict(environ))
            patch.setattr(sys, "stdout", io.StringIO())
            assert vibe_router(["routes", *arguments]) == 0
        return ""

    def _sam(self, arguments: tuple[str, ...], environ: Mapping[str, str]) -> str:
        """Make the stack as CloudFormation would, or publish a version when something has changed."""
        if arguments == ("--version",):
            return "SAM CLI, version 1.0\n"
        cloudformation, functions = _client("cloudformation"), _client("lambda")
        if not any(each["StackName"] == STACK for each in cloudformation.describe_stacks()["Stacks"]):
            protected = "false" if 'ProtectTables="false"' in arguments else "true"
            cloudformation.create_stack(
                StackName=STACK,
                TemplateBody=_for_moto(expand()),
                Parameters=[{"ParameterKey": "ProtectTables", "ParameterValue": protected}],
                Capabilities=["CAPABILITY_IAM"],
            )
            made_up = json.dumps({"MASTER_KEY": "generated-by-cloudformation"})
            for name in (_SECRET, _ADMIN_SECRET):
                _client("secretsmanager").create_secret(Name=name, SecretString=made_up)
        if self._changed:
            self._changed = False
            for output in ("GatewayFunctionName", "AdminFunctionName"):
                function = self.outputs[output]
                functions.update_function_configuration(FunctionName=function, Description=str(len(self.ran)))
                version = functions.publish_version(FunctionName=function)["Version"]
                try:
                    functions.update_alias(FunctionName=function, Name="live", FunctionVersion=version)
                except functions.exceptions.ResourceNotFoundException:
                    functions.create_alias(FunctionName=function, Name="live", FunctionVersion=version)
        return ""

    def change(self) -> None:
        """Let the next deployment publish a version."""
        self._changed = True

    def fail(self, program: str) -> None:
        """Let a program fail from now on."""
        self._failing.add(program)

    @property
    def outputs(self) -> dict[str, str]:
        """The stack's outputs."""
        (stack,) = _client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}

    def secret(self) -> tuple[dict[str, str], str]:
        """Return what the secret holds, and which version of it that is."""
        got = _client("secretsmanager").get_secret_value(SecretId=self.outputs["SecretArn"])
        return json.loads(got["SecretString"]), got["VersionId"]

    def admin_secret(self) -> dict[str, str]:
        """Return what the admin function can read."""
        got = _client("secretsmanager").get_secret_value(SecretId=self.outputs["AdminSecretArn"])
        return dict(json.loads(got["SecretString"]))

    def versions(self) -> tuple[list[int], int]:
        """Return the gateway's published versions, and the one that its alias calls."""
        client, function = _client("lambda"), self.outputs["GatewayFunctionName"]
        listed = client.list_versions_by_function(FunctionName=function)["Versions"]
        live = client.get_alias(FunctionName=function, Name="live")["FunctionVersion"]
        return [int(each["Version"]) for each in listed if each["Version"].isdigit()], int(live)

    def audit_entries(self) -> list[dict[str, Any]]:
        """Return the entries of the audit log."""
        entries: list[dict[str, Any]] = _client("dynamodb").scan(TableName=f"{STACK}-audit")["Items"]
        return entries

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the routes table."""
        rows: list[dict[str, Any]] = _client("dynamodb").scan(TableName=f"{STACK}-routes")["Items"]
        return rows


def _for_moto(template: dict[str, Any]) -> str:
    """Keep what deploying asks for, as moto knows neither an API's stage nor an alias nor a secret in a template."""
    kept = ("AWS::DynamoDB::Table", "AWS::IAM::Role", "AWS::Lambda::Function", "AWS::Lambda::LayerVersion")
    resources = {name: each for name, each in template["Resources"].items() if each["Type"] in kept}
    names = ("RoutesTableName", "StateTableName", "GatewayFunctionName", "AdminFunctionName")
    outputs = {name: template["Outputs"][name] for name in names}
    outputs |= {"BaseUrl": {"Value": URL}, "UiUrl": {"Value": f"{URL}/ui/"}}
    outputs |= {"SecretArn": {"Value": _SECRET}, "AdminSecretArn": {"Value": _ADMIN_SECRET}}
    for role in ("ApiGatewayLogRole", "CodeDeployServiceRole"):
        resources.pop(role, None)
    for role in ("GatewayRole", "AdminRole", "SecretsRole", "AggregatorRole", "NotifierRole"):
        resources[role]["Properties"].pop("Policies")
    resources["NotifierFunction"]["Properties"]["Environment"]["Variables"].pop("UI_URL")  # it names the API
    text = json.dumps({**template, "Resources": resources, "Outputs": outputs})
    for name, value in {"Secret": _SECRET, "AdminSecret": _ADMIN_SECRET}.items():
        text = text.replace(f'{{"Ref": "{name}"}}', f'"{value}"')
    text = text.replace('"RetainExceptOnCreate"', '"Retain"')  # the only policy by which moto keeps a table
    for group in ("GatewayLogGroup", "AdminLogGroup", "SecretsLogGroup", "AggregatorLogGroup", "NotifierLogGroup"):
        text = text.replace(f'{{"Ref": "{group}"}}', '"log"')
    return text

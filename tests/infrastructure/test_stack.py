"""The expanded stack, created in moto's CloudFormation: references meet what they name, conditions hold.

moto makes tables, roles, log groups, layers, the function, the topic and the dashboard of it, with their main
properties. What it skips, and each property, is asserted on in the other files.
"""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.infrastructure.expanded import expand, upload_artefacts

# moto knows neither stages nor aliases nor domains; it says so and goes on.
pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse .* not supported by moto")

NAME = "vibe-router-test"
OPTIONS = {
    "DomainName": "llm.example.com",
    "CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012",
    "WafRateLimit": "1000",
    "AlarmEmail": "ops@example.com",
    "ReservedConcurrency": "50",
    "SnapStart": "on",
    "AccessLog": "on",
    "Rollout": "Linear10PercentEvery1Minute",
}


@pytest.fixture(autouse=True, scope="module")
def _no_account() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.delenv("AWS_PROFILE", raising=False)
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        yield


def _for_moto(template: dict[str, Any]) -> str:
    """Leave out what moto cannot make: an API from a document, and so its deployment; and an alias."""
    template["Resources"] = {
        name: resource
        for name, resource in template["Resources"].items()
        if resource["Type"] != "AWS::ApiGateway::Deployment"
    }
    text = json.dumps(template)
    for function in ("GatewayFunction", "AdminFunction"):
        text = text.replace(f'{{"Ref": "{function}Aliaslive"}}', f'{{"Ref": "{function}"}}')
    return text


def _create(parameters: Mapping[str, str], stack_name: str = NAME) -> dict[str, dict[str, Any]]:
    """Create the stack; return its resources by logical id."""
    upload_artefacts(boto3.client("s3"))
    cloudformation = boto3.client("cloudformation")
    cloudformation.create_stack(
        StackName=stack_name,
        TemplateBody=_for_moto(expand(parameters)),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    (stack,) = cloudformation.describe_stacks(StackName=stack_name)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack_name)
    return {
        resource["LogicalResourceId"]: dict(resource) for page in pages for resource in page["StackResourceSummaries"]
    }


def _outputs(stack_name: str = NAME) -> dict[str, str]:
    (stack,) = boto3.client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


@pytest.fixture(scope="module")
def resources() -> Iterator[dict[str, dict[str, Any]]]:
    with mock_aws():
        yield _create({})


@pytest.mark.usefixtures("resources")
def test_tables_are_created_under_the_names_in_the_outputs() -> None:
    dynamodb = boto3.client("dynamodb")
    outputs = _outputs()
    assert outputs["RoutesTableName"] == f"{NAME}-routes"
    assert outputs["StateTableName"] == f"{NAME}-state"
    assert outputs["KeysTableName"] == f"{NAME}-keys"
    assert outputs["LedgerTableName"] == f"{NAME}-ledger"
    assert outputs["UsageTableName"] == f"{NAME}-usage"
    keys = {
        name: [key["AttributeName"] for key in dynamodb.describe_table(TableName=name)["Table"]["KeySchema"]]
        for output, name in outputs.items()
        if output.endswith("TableName")
    }
    routes = keys.pop(f"{NAME}-routes")
    assert routes == ["kind", "name"]
    assert keys.pop(f"{NAME}-history") == ["id", "version"]
    assert keys.pop(f"{NAME}-audit") == ["day", "position"]
    assert keys.pop(f"{NAME}-responses") == ["id", "part"]
    assert keys.pop(f"{NAME}-usage") == ["id", "at"]
    assert keys == {f"{NAME}-{name}": ["id"] for name in ("state", "keys", "ledger", "cache", "alerts")}


@pytest.mark.usefixtures("resources")
def test_the_functions_environment_names_the_stacks_tables() -> None:
    outputs = _outputs()
    function = boto3.client("lambda").get_function_configuration(FunctionName=outputs["GatewayFunctionName"])
    variables = function["Environment"]["Variables"]
    assert variables["ROUTES_TABLE"] == outputs["RoutesTableName"]
    assert variables["STATE_TABLE"] == outputs["StateTableName"]
    assert variables["KEYS_TABLE"] == outputs["KeysTableName"]
    assert variables["LEDGER_TABLE"] == outputs["LedgerTableName"]
    assert variables["USAGE_TABLE"] == outputs["UsageTableName"]
    assert str(variables["USAGE_DAYS"]) == "90"
    assert variables["CACHE_TABLE"] == outputs["CacheTableName"]
    assert variables["RESPONSES_TABLE"] == outputs["ResponsesTableName"]
    assert str(variables["RESPONSE_DAYS"]) == "0"
    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == "VibeRouter"
    assert (function["Timeout"], function["MemorySize"]) == (900, 256)


def test_the_functions_role_may_touch_this_stacks_tables_only(resources: dict[str, dict[str, Any]]) -> None:
    iam = boto3.client("iam")
    role = resources["GatewayRole"]["PhysicalResourceId"]
    table = re.compile(r"arn:aws:dynamodb:us-east-1:123456789012:table/[\w*-]*")
    named = {
        name: table.findall(str(iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]))
        for name in ("read-routes", "read-and-write-cooldowns", "read-keys", "reserve-and-settle", "keep-responses")
    }
    assert {name: [arn.split("/")[1] for arn in arns] for name, arns in named.items()} == {
        "read-routes": [f"{NAME}-routes"],
        "read-and-write-cooldowns": [f"{NAME}-state"],
        "read-keys": [f"{NAME}-keys"],
        "reserve-and-settle": [f"{NAME}-ledger"],
        "keep-responses": [f"{NAME}-responses"],
    }


@pytest.mark.usefixtures("resources")
def test_the_outputs_give_a_base_url_with_the_stage_and_a_curl_line_for_it() -> None:
    outputs = _outputs()
    assert outputs["BaseUrl"].startswith("https://")
    assert outputs["BaseUrl"].endswith(".execute-api.us-east-1.amazonaws.com/prod/v1")
    assert outputs["UiUrl"] == outputs["BaseUrl"].removesuffix("v1") + "ui/"
    words = shlex.split(outputs["Curl"])
    assert words[:2] == ["curl", f"{outputs['BaseUrl']}/chat/completions"]
    assert "Authorization: Bearer $MASTER_KEY" in words
    assert json.loads(words[-1])["model"] == "auto-chat"
    assert outputs["DashboardUrl"].endswith(f"#dashboards:name={NAME}")


@pytest.mark.usefixtures("resources")
def test_logs_are_retained_for_thirty_days() -> None:
    groups = boto3.client("logs").describe_log_groups()["logGroups"]
    kept = {group["logGroupName"]: group.get("retentionInDays") for group in groups}
    assert kept[f"/aws/lambda/{NAME}-gateway"] == 30
    assert kept[f"/aws/lambda/{NAME}-admin"] == 30
    assert f"/aws/apigateway/{NAME}-access" not in kept  # an account without API Gateway's log role cannot log


@pytest.mark.usefixtures("resources")
def test_the_dashboard_is_the_stacks_and_asks_its_own_log_group_and_tables() -> None:
    body = boto3.client("cloudwatch").get_dashboard(DashboardName=NAME)["DashboardBody"]
    assert len(json.loads(body)["widgets"]) == 14
    assert "${" not in body
    assert f"/aws/lambda/{NAME}-gateway" in body
    assert f"{NAME}-state" in body


@pytest.mark.usefixtures("resources")
def test_every_option_at_once_in_a_second_stack_beside_the_first() -> None:
    made = _create(OPTIONS, "second")
    assert not {"ApiGatewayAccount", "ApiGatewayLogRole"} & set(made)
    assert "AccessLogGroup" in made
    outputs = _outputs("second")
    assert outputs["BaseUrl"] == "https://llm.example.com/v1"
    assert outputs["UiUrl"] == "https://llm.example.com/ui/"
    assert outputs["StateTableName"] == "second-state"
    function = boto3.client("lambda").get_function(FunctionName=outputs["GatewayFunctionName"])
    assert function["Concurrency"]["ReservedConcurrentExecutions"] == 50

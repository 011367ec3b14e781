"""The gateway function: how it is started, what it may do, when a new version of it is published."""

import json
import re
from typing import Any

import pytest

from tests.infrastructure.expanded import Resource, expand, of_type, only, strings

STACK = expand()
FUNCTION: Resource = STACK["Resources"]["GatewayFunction"]["Properties"]
ROLE: Resource = STACK["Resources"]["GatewayRole"]["Properties"]

# All that the function may do: actions, and the resource as the template names it.
PERMISSIONS: dict[str, tuple[set[str], object]] = {
    "read-routes": ({"dynamodb:Scan"}, {"Fn::GetAtt": ["RoutesTable", "Arn"]}),
    "read-and-write-cooldowns": (
        {"dynamodb:BatchGetItem", "dynamodb:PutItem"},
        {"Fn::GetAtt": ["StateTable", "Arn"]},
    ),
    "query-states": ({"dynamodb:Query"}, {"Fn::Sub": "${StateTable.Arn}/index/states"}),
    "read-keys": ({"dynamodb:BatchGetItem"}, {"Fn::GetAtt": ["KeysTable", "Arn"]}),
    "reserve-and-settle": (
        {"dynamodb:BatchGetItem", "dynamodb:UpdateItem"},
        {"Fn::GetAtt": ["LedgerTable", "Arn"]},
    ),
    "roll-back-complexity-routing": ({"dynamodb:PutItem"}, {"Fn::GetAtt": ["RoutesTable", "Arn"]}),
    "book-usage": (
        {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:Query"},
        {"Fn::GetAtt": ["UsageTable", "Arn"]},
    ),
    "cache-answers": ({"dynamodb:GetItem", "dynamodb:PutItem"}, {"Fn::GetAtt": ["CacheTable", "Arn"]}),
    "raise-alerts": ({"dynamodb:PutItem"}, {"Fn::GetAtt": ["AlertsTable", "Arn"]}),
    "keep-responses": (
        {"dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Query"},
        {"Fn::GetAtt": ["ResponsesTable", "Arn"]},
    ),
    "read-secret": ({"secretsmanager:GetSecretValue"}, {"Ref": "Secret"}),
    "write-log": ({"logs:CreateLogStream", "logs:PutLogEvents"}, {"Fn::GetAtt": ["GatewayLogGroup", "Arn"]}),
    "write-traces": ({"xray:PutTelemetryRecords", "xray:PutTraceSegments"}, "*"),
}

CONDITIONS = {
    "roll-back-complexity-routing": {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["complexity"]}},
}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_it_has_these_policies_and_none_of_awss() -> None:
    assert {policy["PolicyName"] for policy in ROLE["Policies"]} == set(PERMISSIONS)
    assert "ManagedPolicyArns" not in ROLE
    assert FUNCTION["Role"] == {"Fn::GetAtt": ["GatewayRole", "Arn"]}


@pytest.mark.parametrize("name", PERMISSIONS)
def test_a_policy_allows_exactly_this(name: str) -> None:
    (policy,) = (policy for policy in ROLE["Policies"] if policy["PolicyName"] == name)
    (statement,) = policy["PolicyDocument"]["Statement"]
    actions, resource = PERMISSIONS[name]
    condition = {"Condition": CONDITIONS[name]} if name in CONDITIONS else {}
    assert statement == {"Effect": "Allow", "Action": statement["Action"], "Resource": resource, **condition}
    assert set(_as_list(statement["Action"])) == actions


def test_bedrock_may_be_called_where_models_are_named_and_nowhere_by_default() -> None:
    policy = STACK["Resources"]["BedrockPolicy"]
    assert policy["Condition"] == "HasBedrock"
    assert STACK["Parameters"]["BedrockModels"]["Default"] == "none"
    assert STACK["Conditions"]["HasBedrock"] == {
        "Fn::Not": [{"Fn::Equals": [{"Fn::Join": ["", {"Ref": "BedrockModels"}]}, "none"]}]
    }
    assert policy["Properties"]["RoleName"] == {"Ref": "GatewayRole"}
    assert policy["Properties"]["PolicyDocument"]["Statement"] == [
        {
            "Effect": "Allow",
            "Action": ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"],
            "Resource": {"Ref": "BedrockModels"},
        }
    ]


def test_only_lambda_may_take_the_role() -> None:
    (statement,) = ROLE["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}


def test_no_policy_of_the_stack_has_a_wildcard_but_x_rays() -> None:
    wild = [
        (name, statement["Action"])
        for name, role in of_type(STACK, "AWS::IAM::Role").items()
        for policy in role["Properties"].get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
        if "*" in _as_list(statement["Resource"]) or any("*" in action for action in _as_list(statement["Action"]))
    ]
    traces = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    assert wild == [("GatewayRole", traces), ("AdminRole", traces)]


def test_it_is_started_by_the_streaming_runtime_on_python_3_13() -> None:
    assert FUNCTION["Runtime"] == "python3.13"
    assert FUNCTION["Handler"] == "gateway.app.handler"
    assert FUNCTION["Timeout"] == 900
    assert FUNCTION["MemorySize"] == {"Ref": "MemorySize"}
    assert FUNCTION["Environment"]["Variables"]["AWS_LAMBDA_EXEC_WRAPPER"] == "/opt/streaming-runtime"
    layers = [layer["Ref"] for layer in FUNCTION["Layers"]]
    assert [name.rstrip("0123456789abcdef") for name in layers] == [
        "StreamingRuntimeLayer",
        "RouterLayer",
        "HooksLayer",
    ]
    assert set(layers) == set(of_type(STACK, "AWS::Lambda::LayerVersion"))


def test_its_environment_holds_names_and_no_secret() -> None:
    assert FUNCTION["Environment"]["Variables"] == {
        "AWS_LAMBDA_EXEC_WRAPPER": "/opt/streaming-runtime",
        "ROUTES_TABLE": {"Ref": "RoutesTable"},
        "STATE_TABLE": {"Ref": "StateTable"},
        "KEYS_TABLE": {"Ref": "KeysTable"},
        "LEDGER_TABLE": {"Ref": "LedgerTable"},
        "USAGE_TABLE": {"Ref": "UsageTable"},
        "USAGE_DAYS": {"Ref": "UsageDays"},
        "HOOKS_MODULE": {"Ref": "HooksModule"},
        "CACHE_TABLE": {"Ref": "CacheTable"},
        "ALERTS_TABLE": {"Ref": "AlertsTable"},
        "ARCHIVE_BUCKET": {"Fn::If": ["HasOwnArchive", {"Ref": "Archive"}, {"Ref": "ArchiveBucket"}]},
        "RESPONSES_TABLE": {"Ref": "ResponsesTable"},
        "RESPONSE_DAYS": {"Ref": "ResponseDays"},
        "SECRET_ID": {"Ref": "Secret"},
        "PROVIDER_BASE_URLS": "{}",
        "CORS_ORIGINS": {"Ref": "CorsOrigins"},
        "POWERTOOLS_SERVICE_NAME": "VIBE-ROUTER",
        "POWERTOOLS_METRICS_NAMESPACE": {"Ref": "MetricsNamespace"},
        "POWERTOOLS_LOG_LEVEL": {"Ref": "LogLevel"},
    }


def test_it_is_traced_and_logs_into_its_own_group() -> None:
    assert FUNCTION["TracingConfig"] == {"Mode": "Active"}
    assert FUNCTION["LoggingConfig"] == {"LogGroup": {"Ref": "GatewayLogGroup"}}


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_the_functions_follow_the_architecture_and_layers_serve_both(architecture: str) -> None:
    stack = expand({"Architecture": architecture})
    for function in of_type(stack, "AWS::Lambda::Function").values():
        assert function["Properties"]["Architectures"] in ([architecture], [{"Ref": "Architecture"}])
    for layer in of_type(stack, "AWS::Lambda::LayerVersion").values():
        assert layer["Properties"]["CompatibleArchitectures"] == ["arm64", "x86_64"]


def test_layers_are_named_after_their_stack() -> None:
    names = {
        layer["Properties"]["LayerName"]["Fn::Sub"] for layer in of_type(STACK, "AWS::Lambda::LayerVersion").values()
    }
    assert names == {f"${{AWS::StackName}}-{name}" for name in ("router", "streaming-runtime", "hooks")}


def test_snap_start_and_reserved_concurrency_are_off_unless_asked_for() -> None:
    assert FUNCTION["SnapStart"]["ApplyOn"] == {"Fn::If": ["IsSnapStarted", "PublishedVersions", "None"]}
    assert FUNCTION["ReservedConcurrentExecutions"]["Fn::If"][2] == {"Ref": "AWS::NoValue"}
    assert STACK["Parameters"]["SnapStart"]["Default"] == "off"
    assert STACK["Parameters"]["ReservedConcurrency"]["Default"] == -1


def _version(contents: dict[str, str] | None = None) -> str:
    versions = of_type(expand(contents=contents), "AWS::Lambda::Version")
    (name,) = (name for name in versions if name.startswith("GatewayFunction"))
    return name


@pytest.mark.parametrize("artefact", ["GatewayFunction", "RouterLayer", "StreamingRuntimeLayer"])
def test_new_code_publishes_a_version_wherever_it_is(artefact: str) -> None:
    assert _version({artefact: "s3://artefacts/other.zip"}) != _version()


def test_the_same_code_publishes_none() -> None:
    assert _version({"RouterLayer": "s3://artefacts/RouterLayer.zip"}) == _version()


def test_a_changed_parameter_publishes_a_version() -> None:
    """CloudFormation replaces a version whose description changes, so it has every parameter that shapes one."""
    words = set(strings(FUNCTION))
    words |= set(strings([STACK["Conditions"][word] for word in words if word in STACK["Conditions"]]))
    shaping = set(STACK["Parameters"]) & words
    description = STACK["Resources"][_version()]["Properties"]["Description"]["Fn::Sub"]
    named = set(re.findall(r"\$\{(\w+)\}", description))
    assert named == shaping - {"ReservedConcurrency"}  # which belongs to the function, and not to a version of it


def test_the_api_calls_the_alias_and_old_layers_are_not_kept() -> None:
    assert STACK["Resources"]["GatewayFunctionAliaslive"]["Properties"]["Name"] == "live"
    for layer in of_type(STACK, "AWS::Lambda::LayerVersion").values():
        assert layer.get("DeletionPolicy") == "Delete"


@pytest.mark.parametrize("function", ["GatewayFunction", "AdminFunction"])
def test_a_version_that_a_parameter_replaces_stays_for_a_rollback(function: str) -> None:
    versions = of_type(STACK, "AWS::Lambda::Version")
    (version,) = (each for name, each in versions.items() if name.startswith(function))
    assert version["DeletionPolicy"] == version["UpdateReplacePolicy"] == "Retain"


ROLLOUTS = STACK["Parameters"]["Rollout"]["AllowedValues"]


def test_an_update_at_once_needs_no_code_deploy() -> None:
    assert ROLLOUTS[0] == STACK["Parameters"]["Rollout"]["Default"] == "AllAtOnce"
    assert not [name for name, each in STACK["Resources"].items() if each["Type"].startswith("AWS::CodeDeploy::")]
    assert "UpdatePolicy" not in STACK["Resources"]["GatewayFunctionAliaslive"]


@pytest.mark.parametrize("rollout", ROLLOUTS[1:])
def test_a_gradual_rollout_is_taken_back_when_the_new_version_fails(rollout: str) -> None:
    template = expand({"Rollout": rollout})
    group = only(template, "AWS::CodeDeploy::DeploymentGroup")["Properties"]
    assert rollout in json.dumps(group["DeploymentConfigName"])
    assert group["AutoRollbackConfiguration"]["Enabled"] is True
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    condition, watched, _ = group["AlarmConfiguration"]["Fn::If"]
    assert watched["Alarms"] == [{"Name": {"Ref": "NewVersionFailureAlarm"}}]
    assert template["Conditions"][condition] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "Rollout"}, "AllAtOnce"]}]}
    assert "CodeDeployLambdaAliasUpdate" in template["Resources"]["GatewayFunctionAliaslive"]["UpdatePolicy"]


def test_a_gradual_rollout_watches_errors_of_the_new_version_alone() -> None:
    template = expand({"Rollout": ROLLOUTS[1]})
    alarm = template["Resources"]["NewVersionFailureAlarm"]["Properties"]
    (version,) = (name for name in of_type(template, "AWS::Lambda::Version") if name.startswith("GatewayFunction"))
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", "Errors")
    assert {each["Name"]: each["Value"] for each in alarm["Dimensions"]} == {
        "FunctionName": {"Ref": "GatewayFunction"},
        "Resource": {"Fn::Sub": "${GatewayFunction}:live"},
        "ExecutedVersion": {"Fn::GetAtt": [version, "Version"]},
    }

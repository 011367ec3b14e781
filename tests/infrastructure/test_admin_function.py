"""The admin function: how it is started, and that it may do what it does, no more and no less."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from moto import mock_aws

from admin import app
from tests.infrastructure.expanded import Resource, expand, of_type
from tests.integration.admin.harness import Admin
from tests.unit.store.fakes import Time
from tests.unit.store.hooks import hooked
from vibe_cli import boto
from vibe_cli.boto import BotoApi
from vibe_router.core.record import Record
from vibe_router.store.dynamodb import DynamoDB
from vibe_router.store.usage import UsageWriter

STACK = expand()
FUNCTION: Resource = STACK["Resources"]["AdminFunction"]["Properties"]
ROLE: Resource = STACK["Resources"]["AdminRole"]["Properties"]
TABLES = {
    resource["Properties"]["TableName"]["Fn::Sub"].replace("${AWS::StackName}", "vibe-router"): name
    for name, resource in of_type(STACK, "AWS::DynamoDB::Table").items()
}


def test_it_is_started_by_the_streaming_runtime_on_the_layers_of_the_gateway() -> None:
    assert (FUNCTION["Runtime"], FUNCTION["Handler"], FUNCTION["Timeout"]) == ("python3.13", "admin.app.handler", 30)
    assert FUNCTION["Environment"]["Variables"]["AWS_LAMBDA_EXEC_WRAPPER"] == "/opt/streaming-runtime"
    gateway = STACK["Resources"]["GatewayFunction"]["Properties"]["Layers"]
    assert FUNCTION["Layers"] == gateway[:2], "all but the hooks"
    assert FUNCTION["LoggingConfig"] == {"LogGroup": {"Ref": "AdminLogGroup"}}
    assert STACK["Resources"]["AdminFunctionAliaslive"]["Properties"]["Name"] == "live"


def test_its_environment_holds_names_and_no_secret() -> None:
    variables = FUNCTION["Environment"]["Variables"]
    tables = {name: value for name, value in variables.items() if name.endswith("_TABLE")}
    assert sorted(value["Ref"] for value in tables.values()) == sorted(
        {*TABLES.values()} - {"ResponsesTable", "CacheTable"}
    )
    assert variables["SECRET_ID"] == {"Ref": "AdminSecret"}
    assert all(isinstance(value, str | dict) for value in variables.values())


def test_its_role_reads_its_own_secret_and_no_other() -> None:
    statements = [each for policy in ROLE["Policies"] for each in policy["PolicyDocument"]["Statement"]]
    about_secrets = [each for each in statements if "secretsmanager" in str(each["Action"]) or each["Action"] == "*"]
    assert about_secrets == [
        {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": {"Ref": "AdminSecret"}}
    ]


def test_only_lambda_may_take_the_role_and_it_has_none_of_awss_policies() -> None:
    (statement,) = ROLE["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}
    assert "ManagedPolicyArns" not in ROLE
    assert FUNCTION["Role"] == {"Fn::GetAtt": ["AdminRole", "Arn"]}


def _allowed() -> set[tuple[str, str]]:
    """The actions that the role allows on tables, by the table's logical id."""
    allowed = set()
    for policy in ROLE["Policies"]:
        (statement,) = policy["PolicyDocument"]["Statement"]
        actions, resources = statement["Action"], statement["Resource"]
        for action in actions if isinstance(actions, list) else [actions]:
            for resource in resources if isinstance(resources, list) else [resources]:
                if action.startswith("dynamodb:") and "Fn::GetAtt" in resource:
                    allowed.add((action.removeprefix("dynamodb:"), resource["Fn::GetAtt"][0]))
    return allowed


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Admin, set[tuple[str, str]]]]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    boto.session.cache_clear()
    asked: set[tuple[str, str]] = set()

    def note(operation: str, params: Mapping[str, Any]) -> None:
        for item in params.get("TransactItems", ()):
            ((kind, write),) = item.items()
            action = "ConditionCheckItem" if kind == "ConditionCheck" else f"{kind}Item"
            asked.add((action, TABLES[write["TableName"]]))
        if "TransactItems" not in params:
            tables = params.get("RequestItems") or [params["TableName"]]
            asked.update((operation, TABLES[table]) for table in tables)

    with mock_aws():
        admin = Admin(Time(), DynamoDB(BotoApi(boto.session().client("dynamodb"))))
        hooked(admin.environment.dynamodb).before.append(note)
        monkeypatch.setattr(app, "environment", admin.environment)
        yield admin, asked
    boto.session.cache_clear()


def test_the_role_allows_what_is_asked_and_nothing_else(asked: tuple[Admin, set[tuple[str, str]]]) -> None:
    admin, operations = asked
    admin.sign_in(password="wrong")
    admin.sign_in()
    admin.made("/team/new", team_id="t")
    key = admin.made("/key/generate", key_alias="a", team_id="t")["key"]
    admin.made("/key/update", key=key, key_alias="b", spend=1)
    admin.made("/key/update", key=key, spend=0)
    key = admin.made("/key/regenerate", key=key, grace_period="1h")["key"]
    admin.ask("GET", "/key/list", key=key)
    admin.read("/key/info", key=key)
    admin.read("/key/list", return_full_object="true")
    key_id = admin.environment.keys.list_keys()[0].key_id
    UsageWriter(admin.dynamodb, admin.variables["USAGE_TABLE"], days=1).write(
        Record(request_id="r", started=admin.time.now, key=key_id, routing_features="0")
    )
    operations.discard(("PutItem", "UsageTable"))  # the row is the gateway's
    admin.made("/key/delete", keys=[key])
    admin.made("/team/delete", team_ids=["t"])
    routes = admin.read("/routes")
    document = {name: routes[name] for name in ("providers", "defaults", "models")}
    del document["models"]["auto-codex"]
    document["models"]["auto-chat"]["description"] = "other"
    document["alerts"] = {"receivers": {"ops": {"type": "slack", "url": "OPS_URL"}}}
    assert admin.ask("PUT", "/routes", {**document, "version": 1}).status == 200
    alert = admin.made("/alerts/test", receiver="ops")
    admin.read(f"/alerts/{alert['id']}")
    admin.read("/alerts")
    assert admin.ask("POST", "/routes/rollback", {"version": 2, "to": 1}).status == 200
    admin.read("/routes/history")
    admin.made("/routes/explain", model="auto-chat")
    from tests.integration.admin.test_admin_routes import cool

    cool(admin, "deployment#ark/glm-4.7")
    admin.made("/cooldowns/clear", all=True)
    admin.read("/audit")
    admin.read("/usage/overview")
    admin.read("/usage/requests")
    admin.read("/spend/logs")
    assert operations == _allowed() | {("Query", "AlertsTable")}  # of its index alone

"""`make start` reads template.yaml as CloudFormation does."""

from typing import Any

import pytest

from local.template import read_template
from tests.infrastructure.expanded import TEMPLATE, expand, of_type, only

STACK = expand()
LOCAL = read_template(TEMPLATE)


def _resolved(value: Any) -> Any:
    """Fill in the one expression that tables have."""
    return value["Fn::Sub"].replace("${AWS::StackName}", "vibe-router") if isinstance(value, dict) else value


@pytest.mark.parametrize("name", of_type(STACK, "AWS::DynamoDB::Table"))
def test_a_local_table_is_the_deployed_one(name: str) -> None:
    deployed = STACK["Resources"][name]["Properties"]
    (local,) = (table for table in LOCAL.tables if table.name == _resolved(deployed["TableName"]))
    for key in ("BillingMode", "AttributeDefinitions", "KeySchema"):
        assert local.create[key] == deployed[key]
    assert local.ttl_attribute == deployed.get("TimeToLiveSpecification", {}).get("AttributeName")


def test_there_are_no_other_tables() -> None:
    assert len(LOCAL.tables) == len(of_type(STACK, "AWS::DynamoDB::Table"))


def test_local_routes_are_the_deployed_ones() -> None:
    deployed = {}
    for path, methods in only(STACK, "AWS::ApiGateway::RestApi")["Properties"]["Body"]["paths"].items():
        for method, operation in methods.items():
            integration = operation["x-amazon-apigateway-integration"]
            if integration["type"] == "aws_proxy":
                word = "ANY" if method == "x-amazon-apigateway-any-method" else method.upper()
                streamed = integration.get("responseTransferMode") == "STREAM"
                deployed[path, word] = (streamed, integration["timeoutInMillis"] / 1000)
    local = {(route.path, route.method): (route.streamed, route.timeout) for route in LOCAL.api.routes}
    assert local == deployed


def test_local_functions_are_the_deployed_ones() -> None:
    deployed = of_type(STACK, "AWS::Lambda::Function")
    assert set(LOCAL.functions) == set(deployed)
    for name, function in LOCAL.functions.items():
        properties = deployed[name]["Properties"]
        assert (function.handler, function.timeout) == (properties["Handler"], properties["Timeout"])
        assert set(function.environment) == set(properties["Environment"]["Variables"])
        assert len(function.layers) == len(properties["Layers"])

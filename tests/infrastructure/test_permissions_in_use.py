"""What the gateway asks of AWS is what its role allows: no more, which would fail there alone, and no less."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from tests.infrastructure.test_gateway_function import PERMISSIONS
from vibe_router.clock import Clock
from vibe_router.routing.cooldown import cleared, unknown
from vibe_router.store import aws
from vibe_router.store.dynamodb import dynamodb_client
from vibe_router.store.routes import RoutesStore
from vibe_router.store.secrets import Secrets, secrets_client
from vibe_router.store.state import StateStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import KeySchemaElementTypeDef


def _create(client: "DynamoDBClient", table: str, keys: "list[KeySchemaElementTypeDef]") -> None:
    client.create_table(
        TableName=table,
        KeySchema=keys,
        AttributeDefinitions=[{"AttributeName": key["AttributeName"], "AttributeType": "S"} for key in keys],
        BillingMode="PAY_PER_REQUEST",
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[tuple[str, str]]]:
    """The operations that clients of the router have called, each with the table it was about."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    asked: set[tuple[str, str]] = set()

    def note(params: dict[str, object], model: object, **_: object) -> None:
        service = model.service_model.service_name  # type: ignore[attr-defined]  # botocore's models have no types here
        operation = str(getattr(model, "name", ""))
        requested = params.get("RequestItems") or {params.get("TableName", "Secret"): None}
        assert isinstance(requested, dict)
        asked.update((f"{service}:{operation}", str(table)) for table in requested)

    with mock_aws():
        dynamodb = boto3.client("dynamodb")
        _create(
            dynamodb,
            "routes",
            [{"AttributeName": "kind", "KeyType": "HASH"}, {"AttributeName": "name", "KeyType": "RANGE"}],
        )
        _create(dynamodb, "state", [{"AttributeName": "id", "KeyType": "HASH"}])
        boto3.client("secretsmanager").create_secret(Name="secret", SecretString=json.dumps({"MASTER_KEY": "x"}))
        aws.session.cache_clear()
        aws.session().events.register("provide-client-params.*.*", note)
        yield asked
        aws.session.cache_clear()


def test_the_role_allows_what_is_asked_and_nothing_else(asked: set[tuple[str, str]]) -> None:
    client, clock = dynamodb_client(), Clock()
    RoutesStore(client, "routes").read()
    states = StateStore(client, "state", clock)
    seen = states.read(["deployment#a/b"])["deployment#a/b"]
    assert seen == unknown("deployment#a/b")
    assert states.replace(seen, cleared(seen, clock.now())).version == 1
    assert Secrets(secrets_client(), "secret", clock).get("MASTER_KEY") == "x"
    allowed = {
        (action, {"RoutesTable": "routes", "StateTable": "state", "Secret": "Secret"}[name])
        for policy in ("read-routes", "read-and-write-cooldowns", "read-secret")
        for actions, resource in [PERMISSIONS[policy]]
        for action in actions
        if isinstance(resource, dict)
        for name in [resource.get("Ref") or resource["Fn::GetAtt"][0]]
    }
    assert asked == allowed

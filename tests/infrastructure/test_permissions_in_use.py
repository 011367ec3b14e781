"""The gateway calls exactly the AWS operations that its role allows: others would fail only on AWS."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
import pytest
from moto import mock_aws

from tests.infrastructure.test_gateway_function import PERMISSIONS
from tests.unit.store.fakes import Time
from tests.unit.store.hooks import hooked
from vibe_cli.boto import BotoApi
from vibe_router.access.keys import Limits
from vibe_router.access.ledger import ReservationRequest
from vibe_router.alerts.alert import Alert
from vibe_router.core.clock import Clock
from vibe_router.core.record import Record
from vibe_router.routing.cooldown import cleared, healthy
from vibe_router.store.alerts import AlertStore
from vibe_router.store.answers import AnswerStore
from vibe_router.store.complexity import ComplexityStore
from vibe_router.store.dynamodb import DynamoDB
from vibe_router.store.keys import KeyDirectory
from vibe_router.store.ledger import LedgerStore, LimitReachedError
from vibe_router.store.responses import Owner, ResponseStore
from vibe_router.store.routes import RoutesStore
from vibe_router.store.secrets import Secrets, SecretsManager
from vibe_router.store.state import StateStore
from vibe_router.store.usage import UsageWriter

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


class Asked(NamedTuple):
    """The router's clients, and the operations that they have called, each with the table it was about."""

    dynamodb: DynamoDB
    secrets: SecretsManager
    operations: set[tuple[str, str]]


def _in_transaction(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for item in params["TransactItems"]:
        for kind, write in item.items():
            yield f"dynamodb:{kind}Item", write["TableName"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    """The operations that clients of the router have called, each with the table it was about."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    asked: set[tuple[str, str]] = set()

    def note(operation: str, params: Mapping[str, Any]) -> None:
        service = "secretsmanager" if operation == "GetSecretValue" else "dynamodb"
        requested = params.get("RequestItems") or {params.get("TableName", "Secret"): None}
        assert isinstance(requested, dict)
        if operation == "TransactWriteItems":  # a transaction needs the permissions of what is in it
            asked.update(_in_transaction(params))
        else:
            asked.update((f"{service}:{operation}", str(table)) for table in requested)

    with mock_aws():
        dynamodb = boto3.client("dynamodb")
        _create(
            dynamodb,
            "routes",
            [{"AttributeName": "kind", "KeyType": "HASH"}, {"AttributeName": "name", "KeyType": "RANGE"}],
        )
        for table in ("state", "keys", "ledger", "cache", "alerts"):
            _create(dynamodb, table, [{"AttributeName": "id", "KeyType": "HASH"}])
        _create(
            dynamodb, "usage", [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}]
        )
        dynamodb.create_table(
            TableName="responses",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "part", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": "id", "AttributeType": "S"},
                {"AttributeName": "part", "AttributeType": "N"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        boto3.client("secretsmanager").create_secret(Name="secret", SecretString=json.dumps({"MASTER_KEY": "x"}))
        clients = DynamoDB(BotoApi(dynamodb)), SecretsManager(BotoApi(boto3.client("secretsmanager")))
        for each in clients:
            hooked(each).before.append(note)
        yield Asked(*clients, asked)


def test_the_role_allows_what_is_asked_and_nothing_else(asked: Asked) -> None:
    client, clock = asked.dynamodb, Clock()
    RoutesStore(client, "routes").read()
    time = Time()
    states = StateStore(client, "state", time.clock)
    seen = states.read(["deployment#a/b"])["deployment#a/b"]
    assert seen == healthy("deployment#a/b")
    assert states.replace(seen, cleared(seen, time.now)).version == 1
    time.advance(1)
    states.read(["deployment#a/b"])  # from the index
    assert Secrets(asked.secrets, "secret", clock).get("MASTER_KEY") == "x"
    _spend(client, clock)
    complexity = ComplexityStore(client, "routes", "usage", clock)
    complexity.change("auto", None, mode="manual", share=0, strata=["en"])
    assert complexity.count_bad_event("auto", 1, "mini") == complexity.bad_events("auto", 1)
    assert AlertStore(client, "alerts", clock).raise_once(Alert("quota-1", "quota", "ark"))
    kept = ResponseStore(client, "responses", clock, days=1)
    assert kept.write("resp_1", Owner("a"), b"{}")
    kept.delete("resp_1")
    answers = AnswerStore(client, "cache", clock)
    assert answers.write("a", b"{}", 60)
    assert answers.read("a")
    names = ("routes", "state", "keys", "ledger", "usage", "responses", "cache", "alerts")
    tables = {f"{name.title()}Table": name for name in names}
    allowed = {
        (action, {**tables, "Secret": "Secret"}[name])
        for policy in PERMISSIONS.keys() - {"write-log", "write-traces"}
        for actions, resource in [PERMISSIONS[policy]]
        for action in actions
        if isinstance(resource, dict)
        for name in [
            resource.get("Ref") or re.findall(r"\w+", str(resource.get("Fn::GetAtt") or resource["Fn::Sub"]))[0]
        ]
    }
    assert asked.operations == allowed


def _spend(client: DynamoDB, clock: Clock) -> None:
    """Let a key of a team in, have it reserve, and book what it spent; and read a ledger that is not let in."""
    ledgers = LedgerStore(client, "ledger", clock)
    keys = KeyDirectory(client, "keys", "ledger", clock, on_ledger_read=ledgers.accept)
    assert keys.find("nobody") is None
    limits = {"key#a": Limits(max_budget=5), "team#blue": Limits(max_budget=5)}
    wanted = ReservationRequest(5, 0, clock.now() + 900)
    ledgers.reserve({"key#b": Limits(max_budget=5)}, wanted)
    reservation = ledgers.reserve(limits, wanted)
    with pytest.raises(LimitReachedError):
        ledgers.reserve(limits, wanted)
    book = UsageWriter(client, "usage", days=1)
    assert book.write(Record("request-1", clock.now(), key="a"), ledgers.settlement(reservation, 5, 0))

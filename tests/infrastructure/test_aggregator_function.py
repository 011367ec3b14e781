"""The aggregator function: what starts it, and that it may do what it does, no more and no less."""

import json
from collections.abc import Mapping
from typing import Any

import boto3
import pytest
from moto import mock_aws

from aggregator import app
from tests.infrastructure.expanded import Resource, allowed_actions, expand, of_type
from tests.integration.store.streams import insertion
from tests.integration.store.tables import table_of_usage
from tests.unit.store.fakes import Time
from tests.unit.store.hooks import hooked
from vibe_cli.boto import BotoApi
from vibe_router.core.record import Record
from vibe_router.store.dynamodb import DynamoDB, to_item
from vibe_router.store.totals import TotalsAggregator

STACK = expand()
FUNCTION: Resource = STACK["Resources"]["AggregatorFunction"]["Properties"]
ROLE: Resource = STACK["Resources"]["AggregatorRole"]["Properties"]
MAPPINGS = of_type(STACK, "AWS::Lambda::EventSourceMapping")
(MAPPING,) = (each for name, each in MAPPINGS.items() if name.startswith("Aggregator"))
ROW = Record("request-1", 1_800_000_000.0, key="a", cost=5, charge_later=("key",))


def event(*records: dict[str, Any], shard: str = "shard-1") -> dict[str, Any]:
    """Return an event of the mapping, as Lambda documents it for tumbling windows."""
    arn = "arn:aws:dynamodb:us-east-1:123456789012:table/vibe-router-usage/stream/2027-01-15T00:00:00.000"
    window = {"start": "2027-01-15T00:00:00Z", "end": "2027-01-15T00:15:00Z"}
    final = {"isFinalInvokeForWindow": not records, "isWindowTerminatedEarly": False}
    return {"Records": list(records), "shardId": shard, "eventSourceARN": arn, "window": window, "state": {}, **final}


def test_it_runs_on_lambdas_own_runtime_with_the_routers_layer() -> None:
    assert (FUNCTION["Runtime"], FUNCTION["Handler"]) == ("python3.13", "aggregator.app.handler")
    assert [layer["Ref"].rstrip("0123456789abcdef") for layer in FUNCTION["Layers"]] == ["RouterLayer"]
    assert FUNCTION["Environment"]["Variables"] == {
        "USAGE_TABLE": {"Ref": "UsageTable"},
        "LEDGER_TABLE": {"Ref": "LedgerTable"},
    }
    assert FUNCTION["LoggingConfig"] == {"LogGroup": {"Ref": "AggregatorLogGroup"}}


def test_the_mapping_gives_it_what_exactly_once_needs() -> None:
    mapping = MAPPING["Properties"]
    assert mapping["EventSourceArn"] == {"Fn::GetAtt": ["UsageTable", "StreamArn"]}
    assert mapping["StartingPosition"] == "TRIM_HORIZON", "rows that are written before the mapping exists count too"
    assert mapping["TumblingWindowInSeconds"] > 0, "only events of a window name their shard"
    assert mapping["ParallelizationFactor"] == 1, "positions are per shard"
    assert mapping["MaximumBatchingWindowInSeconds"] <= 60, "at most a minute late"
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["DestinationConfig"] == {"OnFailure": {"Destination": {"Ref": "AlarmTopic"}}}
    assert "MaximumRetryAttempts" not in mapping, "a batch is repeated as long as the stream has it"
    (pattern,) = (json.loads(each["Pattern"]) for each in mapping["FilterCriteria"]["Filters"])
    assert pattern["eventName"] == ["INSERT"]
    (prefix,) = pattern["dynamodb"]["Keys"]["id"]["S"]
    assert ROW.as_row(1)["id"].startswith(prefix["prefix"])


def test_its_role_allows_what_it_does() -> None:
    assert allowed_actions(ROLE) == {
        '{"Fn::GetAtt": ["UsageTable", "StreamArn"]}': {
            f"dynamodb:{action}" for action in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")
        },
        '{"Fn::GetAtt": ["UsageTable", "Arn"]}': {"dynamodb:GetItem", "dynamodb:UpdateItem"},
        '{"Fn::GetAtt": ["LedgerTable", "Arn"]}': {"dynamodb:UpdateItem"},
        '{"Ref": "AlarmTopic"}': {"sns:Publish"},
        '{"Fn::GetAtt": ["AggregatorLogGroup", "Arn"]}': {"logs:CreateLogStream", "logs:PutLogEvents"},
    }
    assert "ManagedPolicyArns" not in ROLE


def test_a_batch_is_counted_with_the_calls_that_its_role_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    asked: set[str] = set()
    with mock_aws():
        client = DynamoDB(BotoApi(boto3.client("dynamodb")))
        usage = table_of_usage(client)
        boto3.client("dynamodb").create_table(
            TableName="ledger",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )

        def note(operation: str, params: Mapping[str, Any]) -> None:
            asked.update([f"{kind}Item" for item in params.get("TransactItems", ()) for kind in item] or [operation])

        hooked(client).before.append(note)
        aggregator = TotalsAggregator(client, usage, "ledger", Time().clock)
        counted: dict[str, Any] = {"state": {}, "batchItemFailures": []}
        batch = event(insertion(7, to_item(ROW.as_row(90))))
        for _ in range(2):
            assert app.count_batch(batch, aggregator) == counted
        assert app.count_batch(event(), aggregator) == counted, "the end of a window"
        assert client.get_item(TableName="ledger", Key={"id": {"S": "key#a"}})["Item"]["total"] == {"N": "5"}
        boto3.client("dynamodb").delete_table(TableName=usage)
        failed = app.count_batch(event(insertion(8, to_item(ROW.as_row(90)))), aggregator)
        assert failed["batchItemFailures"] == [{"itemIdentifier": f"{8:021}"}]
    assert asked == {"GetItem", "UpdateItem"}


def test_an_event_without_its_shard_fails() -> None:
    batch = event(insertion(7, to_item(ROW.as_row(90))))
    del batch["shardId"]
    client: Any = None
    with pytest.raises(KeyError):
        app.count_batch(batch, TotalsAggregator(client, "usage", "ledger", Time().clock))

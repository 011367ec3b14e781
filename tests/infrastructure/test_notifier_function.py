"""The notifier function: what starts it, what it may do, and what it makes of an event."""

import json
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from scripts.artefacts import ROOT
from tests.infrastructure.expanded import Resource, allowed_actions, expand, of_type
from tests.integration.store.streams import insertion
from vibe_router.alerts.alert import Alert
from vibe_router.store.dynamodb import to_item
from vibe_router.upstream.alert_delivery import PAUSES

STACK = expand()
FUNCTION: Resource = STACK["Resources"]["NotifierFunction"]["Properties"]
ROLE: Resource = STACK["Resources"]["NotifierRole"]["Properties"]
MAPPINGS = of_type(STACK, "AWS::Lambda::EventSourceMapping")
(MAPPING,) = (each["Properties"] for name, each in MAPPINGS.items() if name.startswith("Notifier"))
MOST_CALLS = (len(PAUSES) + 1) * MAPPING["BatchSize"]


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "functions/notifier"))
    yield import_module("notifier.app")
    for name in [each for each in sys.modules if each.partition(".")[0] == "notifier"]:
        del sys.modules[name]


def test_it_runs_on_lambdas_own_runtime_with_the_routers_layer() -> None:
    assert (FUNCTION["Runtime"], FUNCTION["Handler"]) == ("python3.13", "notifier.app.handler")
    assert [layer["Ref"].rstrip("0123456789abcdef") for layer in FUNCTION["Layers"]] == ["RouterLayer"]
    assert set(FUNCTION["Environment"]["Variables"]) == {"ALERTS_TABLE", "ROUTES_TABLE", "SECRET_ID", "UI_URL"}
    assert FUNCTION["LoggingConfig"] == {"LogGroup": {"Ref": "NotifierLogGroup"}}


def test_an_invocation_lasts_for_all_rounds_of_a_batch() -> None:
    assert sum(PAUSES) + 5 * MOST_CALLS < FUNCTION["Timeout"] - 30


def test_the_mapping_sends_new_alerts_in_lanes() -> None:
    assert MAPPING["EventSourceArn"] == {"Fn::GetAtt": ["AlertsTable", "StreamArn"]}
    assert MAPPING["StartingPosition"] == "TRIM_HORIZON"
    assert MAPPING["ParallelizationFactor"] == 10, "an alert that waits does not hold up the others"
    assert MAPPING["BisectBatchOnFunctionError"] is True
    assert MAPPING["MaximumRecordAgeInSeconds"] == 3600, "longer than most outages, and reported the same day"
    assert MAPPING["DestinationConfig"] == {"OnFailure": {"Destination": {"Ref": "AlarmTopic"}}}
    assert [json.loads(each["Pattern"]) for each in MAPPING["FilterCriteria"]["Filters"]] == [{"eventName": ["INSERT"]}]


def test_its_role_allows_what_it_does() -> None:
    assert allowed_actions(ROLE) == {
        '{"Fn::GetAtt": ["AlertsTable", "StreamArn"]}': {
            f"dynamodb:{action}" for action in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")
        },
        '{"Fn::GetAtt": ["AlertsTable", "Arn"]}': {"dynamodb:GetItem", "dynamodb:UpdateItem"},
        '{"Fn::GetAtt": ["RoutesTable", "Arn"]}': {"dynamodb:Scan"},
        '{"Ref": "Secret"}': {"secretsmanager:GetSecretValue"},
        '{"Ref": "AlarmTopic"}': {"sns:Publish"},
        '{"Fn::GetAtt": ["NotifierLogGroup", "Arn"]}': {"logs:CreateLogStream", "logs:PutLogEvents"},
    }
    assert "ManagedPolicyArns" not in ROLE


def test_inserted_alerts_are_taken_from_an_event(app: ModuleType) -> None:
    def row(**more: Any) -> Mapping[str, Any]:
        return to_item({"id": "quota-1", "at": "2027-01-15T08:00:00.000Z", "event": "quota", "subject": "ark", **more})

    changed = {**insertion(2, row()), "eventName": "MODIFY"}
    corrupt = insertion(3, row(figures=3))
    found = app.alerts_of({"Records": [insertion(1, row(figures={"used": 0.9})), changed, corrupt]})
    assert [each.alert for each in found] == [Alert("quota-1", "quota", "ark", {"used": 0.9})]
    assert app.handler({"Records": [changed]}, None) == {"batchItemFailures": []}

"""The dashboard and the alarms: they name metrics that the gateway emits, and their JSON is JSON."""

import json
import re
from typing import Any

import pytest

from tests.infrastructure.expanded import ROOT, Resource, expand, of_type, only
from vibe_router.core.metrics import METRICS

STACK = expand()
ALARMS = of_type(STACK, "AWS::CloudWatch::Alarm")
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "layers/router").rglob("*.py"))


def _dashboard() -> dict[str, Any]:
    text, variables = only(STACK, "AWS::CloudWatch::Dashboard")["Properties"]["DashboardBody"]["Fn::Sub"]
    for name, value in variables.items():
        text = text.replace(f"${{{name}}}", value["Fn::Sub"])
    text = re.sub(r"\$\{([\w:]+)\}", r"<\1>", text)
    body: dict[str, Any] = json.loads(text)
    return body


def _own_metrics_of_dashboard() -> set[str]:
    names = set()
    for widget in _dashboard()["widgets"]:
        namespace = ""
        for metric in widget["properties"].get("metrics", []):
            if isinstance(metric[0], dict):
                names |= set(re.findall(r'MetricName="(\w+)"', metric[0]["expression"]))
                continue
            namespace = namespace if metric[0] in {".", "..."} else metric[0]
            if namespace == "<MetricsNamespace>" and metric[0] != "...":
                names.add(metric[1])
    return names


def _stats(alarm: Resource) -> list[dict[str, Any]]:
    properties = alarm["Properties"]
    if "MetricName" in properties:
        return [properties]
    return [each["MetricStat"]["Metric"] for each in properties["Metrics"] if "MetricStat" in each]


def test_there_is_an_alarm_for_what_somebody_must_act_on() -> None:
    assert set(ALARMS) == {
        "NoLayerLeftAlarm",
        "ProviderAuthAlarm",
        "FailoverRateAlarm",
        "ErrorRateAlarm",
        "ComplexityRollbackAlarm",
        "GatewayFailureAlarm",
        "GatewayThrottleAlarm",
        "NewVersionFailureAlarm",
        "TableReadThrottleAlarm",
        "TableWriteThrottleAlarm",
        "IndexThrottleAlarm",
        "UsageBehindAlarm",
    }


def test_throttles_of_every_table_and_index_are_watched() -> None:
    watched = set()
    for name in ("TableReadThrottleAlarm", "TableWriteThrottleAlarm", "IndexThrottleAlarm"):
        metrics = _stats(ALARMS[name])
        assert len(metrics) <= 10, "CloudWatch's limit of metrics in one alarm"
        for metric in metrics:
            table, *index = (each["Value"] for each in metric["Dimensions"])
            watched.add((metric["MetricName"], table["Ref"], *index))
    # A metric costs $0.10 a month. The few writes of alerts are never throttled, and a cache that is throttled misses.
    unwatched = ("AlertsTable", "CacheTable")
    tables = {name: it for name, it in of_type(STACK, "AWS::DynamoDB::Table").items() if name not in unwatched}
    places = {(name,) for name in tables} | {
        (name, index["IndexName"])
        for name, table in tables.items()
        for index in table["Properties"].get("GlobalSecondaryIndexes", [])
    }
    assert watched == {(f"{kind}ThrottleEvents", *place) for kind in ("Read", "Write") for place in places}


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_describes_itself_notifies_the_topic_and_is_ok_when_idle(name: str) -> None:
    properties = ALARMS[name]["Properties"]
    assert properties["AlarmDescription"].endswith(".")
    assert properties["AlarmActions"] == properties["OKActions"] == [{"Ref": "AlarmTopic"}]
    assert properties["TreatMissingData"] == "notBreaching"
    assert properties["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    assert properties["Threshold"] > 0
    if "Metrics" in properties:
        assert sum(each.get("ReturnData", True) for each in properties["Metrics"]) == 1


@pytest.mark.parametrize("name", ALARMS)
def test_the_gateway_emits_what_an_alarm_watches(name: str) -> None:
    for metric in _stats(ALARMS[name]):
        if metric["Namespace"] == {"Ref": "MetricsNamespace"}:
            assert f'"{metric["MetricName"]}"' in SOURCES
            assert metric["Dimensions"] == [{"Name": "service", "Value": "VIBE-ROUTER"}]
    for query in ALARMS[name]["Properties"].get("Metrics", []):
        expression = query.get("Expression", "")
        text = expression["Fn::Sub"] if isinstance(expression, dict) else expression
        for asked in re.findall(r"SELECT SUM\((\w+)\)", text):
            assert f'"{asked}"' in SOURCES


def test_the_dashboard_shows_every_metric_of_the_router_and_there_are_nine() -> None:
    assert _own_metrics_of_dashboard() == set(METRICS)
    assert len(METRICS) <= 9, "each costs $0.30 a month"


@pytest.mark.parametrize("name", ALARMS)
def test_monitoring_is_a_choice(name: str) -> None:
    assert ALARMS[name]["Condition"] == ("IsGradualRollout" if name == "NewVersionFailureAlarm" else "HasAlarms")
    assert only(STACK, "AWS::CloudWatch::Dashboard")["Condition"] == "HasDashboard"
    assert STACK["Parameters"]["Monitoring"]["AllowedValues"] == ["full", "alarms", "none"]


def test_no_two_widgets_of_the_dashboard_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for widget in _dashboard()["widgets"]:
        columns = range(widget["x"], widget["x"] + widget["width"])
        cells = {(x, y) for x in columns for y in range(widget["y"], widget["y"] + widget["height"])}
        assert columns.stop <= 24
        assert not cells & taken, widget["properties"]["title"]
        taken |= cells


def test_the_dashboard_asks_the_gateways_log_for_fields_that_its_lines_have() -> None:
    queries = [widget["properties"]["query"] for widget in _dashboard()["widgets"] if widget["type"] == "log"]
    assert len(queries) == 4
    for query in queries:
        assert query.startswith("SOURCE '<GatewayLogGroup>' | ")
        assert "'ROUTING DECISION'" in query
    for field in re.findall(
        r"\b(?:attempts\.0\.)?(cooling|selected_model|deployment|verdict|cooldown_until|total_ms)", queries[1]
    ):
        assert re.search(rf'"{field}"|^    {field}: ', SOURCES, re.MULTILINE), field


def test_an_address_is_subscribed_only_when_there_is_one() -> None:
    subscription = only(STACK, "AWS::SNS::Subscription")
    assert subscription["Condition"] == "HasAlarmEmail"
    assert subscription["Properties"]["Endpoint"] == {"Ref": "AlarmEmail"}

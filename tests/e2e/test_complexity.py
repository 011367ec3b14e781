"""Routing by complexity through the whole router: shadow, gates, a staged rollout, a degradation, and its rollback."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.standin import Standin
from tests.e2e.stack import KEY, Stack, eventually, running, shipped_routes
from tests.e2e.test_commands import run, run_text
from tests.e2e.test_traces import Collector, collecting
from tests.unit.complexity.own_evidence import evidence
from vibe_cli.boto import BotoApi
from vibe_cli.complexity import own_rows
from vibe_router.core.record import Record
from vibe_router.routing.complexity.features import encode, features_of
from vibe_router.routing.complexity.scorer import seed
from vibe_router.store.dynamodb import DynamoDB, to_item

CANARY = "canary-93e0"
ROUTING = """
  auto:
    description: Easy requests to mini, all others to standard
    routing: {by: complexity, mini: auto-chat-mini, standard: auto-chat, mode: shadow, share: 0, quality: 0.98,
              evidence: true}
"""


def with_auto(standin: Standin) -> str:
    return shipped_routes(standin).replace("\nmodels:\n", f"\nmodels:{ROUTING}")


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def routed(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Stack]:
    """A router of one process, so that a rollback is effective at once."""
    data: Path = tmp_path_factory.mktemp("complexity")
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "LOCAL_CONCURRENCY": "1"}
    with running(data, with_auto, **settings) as stack:
        yield stack


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(headers={"authorization": f"Bearer {KEY}"}, timeout=60) as client:
        yield client


def ask(client: httpx.Client, stack: Stack, text: str, number: int = 0) -> httpx.Response:
    messages = [{"role": "system", "content": f"conversation {number}"}, {"role": "user", "content": text}]
    return client.post(f"{stack.url}/chat/completions", json={"model": "auto", "messages": messages})


def complain(client: httpx.Client, stack: Stack, answer: httpx.Response) -> bool:
    """Complain about an answer; whether it is booked already."""
    body = {"request_id": answer.headers["x-vibe-request-id"], "value": -1}
    return client.post(f"{stack.url}/feedback", json=body).status_code == 200


def write_evidence(stack: Stack, number: int) -> None:
    """Store rows as a month of shadow with dual runs leaves them: mini is as good for nearly all easy requests."""
    client, table = stack.table("usage_table")
    dynamodb, features = DynamoDB(BotoApi(client)), encode(features_of("hello"))
    started = datetime.now(UTC) - timedelta(hours=1)
    rows = []
    for index in range(number):
        is_easy = index % 2 == 0
        is_right = index % 200 != 0 if is_easy else index % 3 != 0
        record = Record(
            request_id=f"shadow-{index}",
            started=(started + timedelta(milliseconds=index)).timestamp(),
            key="master",
            model="auto",
            resolved=True,
            routing_mode="shadow",
            routing_would="mini" if is_easy else "standard",
            routing_choice="standard",
            routing_strata=("en",),
            routing_features=features,
            routing_score=0.05 if is_easy else 0.3,
            judged=(1.0 if index % 200 == 100 else 0.5) if is_right else 0.0,
        )
        rows.append(to_item(record.as_row(1)))
    for start in range(0, number, 25):
        dynamodb.api.call(
            "BatchWriteItem",
            {"RequestItems": {table: [{"PutRequest": {"Item": row}} for row in rows[start : start + 25]]}},
        )
    day = f"{started:%Y-%m-%dT%H}"
    dynamodb.update_item(
        TableName=table,
        Key=to_item({"id": "totals#all", "at": f"{day}#0"}),
        UpdateExpression="ADD requests :number",
        ExpressionAttributeValues=to_item({":number": number}),
    )


def test_a_rollout_earns_its_stages_and_rolls_itself_back(
    routed: Stack, client: httpx.Client, collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = ask(client, routed, f"hello {CANARY}")
    assert answer.headers["x-vibe-routing"].startswith("standard; score=0.0")
    decision = routed.decision(answer.headers["x-vibe-request-id"])
    assert (decision["routing_mode"], decision["routing_would"]) == ("shadow", "mini")
    assert "mini" not in decision["deployment"]

    refused = run(routed, "complexity", "rollout", "auto", status=1)
    assert "gates are closed" in refused
    assert "scored requests" in refused
    write_evidence(routed, 1_200)
    report = run(routed, "complexity", "report", "auto")
    english = next(each for each in report["strata_report"] if each["stratum"] == "en")
    assert english["is_open"], english
    assert report["closed"] == []
    assert report["disagreements"]

    for share in (1, 10, 50):
        assert run(routed, "complexity", "rollout", "auto", "--auto")["share"] == share
    assert "gates are closed" in run(routed, "complexity", "rollout", "auto", "--strata", "en,zh", status=1)
    eventually(lambda: "stage=3/50;" in ask(client, routed, "hello").headers["x-vibe-routing"])

    # mini degrades: its callers complain about every answer, those of standard never do.
    for number in range(200):
        answer = ask(client, routed, f"hello {CANARY}", number)
        choice = answer.headers["x-vibe-routing"]
        if "mode=manual_selection; stage=4/0" in choice:
            break
        assert choice.startswith("mini") is ("arm=mini" in choice)
        if "arm=mini" in choice:
            eventually(lambda each=answer: complain(client, routed, each))  # type: ignore[misc]
    report = run(routed, "complexity", "report", "auto")
    assert (report["mode"], report["share"], report["number"]) == ("manual", 0, 4)
    assert report["reason"].startswith("rolled back automatically at 50 %")
    lines = list(routed.lines)
    assert any('"COMPLEXITY ROLLBACK"' in line for line in lines)
    assert any('"ComplexityRollbacks"' in line for line in lines)

    restored = run(routed, "complexity", "rollout", "auto", "--undo")
    assert (restored["mode"], restored["share"]) == ("complexity", 50)
    rows = [json.loads(line) for line in run_text(routed, "complexity", "export", "auto").splitlines()]
    assert len(rows) > 1000
    assert {"features", "judged", "would"} <= rows[0].keys()

    own = tmp_path / "rows.jsonl"
    own.write_text("\n".join(map(json.dumps, evidence(240))))
    monkeypatch.setattr(own_rows, "_TREES", 6)
    assert run(routed, "complexity", "train", "auto", "--rows", str(own), "--install", "--yes")["installed"]
    assert run(routed, "complexity", "report", "auto")["trees"]["version"].startswith("own-")
    assert run(routed, "complexity", "rollout", "auto", "--undo")["trees"]["version"] == seed().version

    assert CANARY not in "\n".join(routed.lines)
    assert CANARY not in tables_of(routed)
    traces = [collector.received.get_nowait()[2] for _ in range(collector.received.qsize())]
    assert len(traces) > 10
    assert not any(CANARY.encode() in each for each in traces)


def tables_of(stack: Stack) -> str:
    """Return all that is stored."""
    found: list[Any] = []
    client, _ = stack.table("routes_table")
    for table in client.list_tables()["TableNames"]:
        for page in client.get_paginator("scan").paginate(TableName=table):
            found += page["Items"]
    assert len(found) > 1_200
    return str(found)

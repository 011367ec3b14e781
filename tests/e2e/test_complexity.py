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
from tests.e2e.test_commands import run
from tests.e2e.test_usage import reader
from vibe_cli.boto import BotoApi
from vibe_router.core.record import Record
from vibe_router.routing.complexity.features import encode, features_of
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
def routed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    data: Path = tmp_path_factory.mktemp("complexity")
    with running(data, with_auto) as stack:
        yield stack


def ask(stack: Stack, text: str, number: int = 0, **headers: str) -> httpx.Response:
    messages = [{"role": "system", "content": f"conversation {number}"}, {"role": "user", "content": text}]
    sent = {"authorization": f"Bearer {KEY}", **headers}
    body = {"model": "auto", "messages": messages}
    return httpx.post(f"{stack.url}/chat/completions", json=body, headers=sent, timeout=60)


def complain(stack: Stack, request_id: str) -> int:
    body = {"request_id": request_id, "value": -1}
    sent = {"authorization": f"Bearer {KEY}"}
    return httpx.post(f"{stack.url}/feedback", json=body, headers=sent, timeout=60).status_code


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


def is_live(stack: Stack, stage: str) -> bool:
    return f"stage={stage};" in ask(stack, "hello").headers["x-vibe-routing"]


def test_a_rollout_earns_its_stages_and_rolls_itself_back(routed: Stack) -> None:
    answer = ask(routed, f"hello {CANARY}")
    assert answer.headers["x-vibe-routing"].startswith("standard; score=0.0")
    decision = routed.decision(answer.headers["x-vibe-request-id"])
    assert (decision["routing_mode"], decision["routing_would"]) == ("shadow", "mini")
    assert "mini" not in decision["deployment"]

    refused = run(routed, "complexity", "rollout", "auto", status=1)
    assert "gates are closed" in refused
    assert "scored requests" in refused
    write_evidence(routed, 4_000)
    report = run(routed, "complexity", "report", "auto")
    english = next(each for each in report["strata_report"] if each["stratum"] == "en")
    assert english["is_open"], english
    assert report["closed"] == []
    assert report["disagreements"]

    for share in (1, 10, 50):
        assert run(routed, "complexity", "rollout", "auto", "--auto")["share"] == share
    assert "gates are closed" in run(routed, "complexity", "rollout", "auto", "--strata", "en,zh", status=1)
    eventually(lambda: is_live(routed, "3/50"))

    # mini degrades: its callers complain about every answer, those of standard never do.
    for number in range(400):
        answer = ask(routed, f"hello {CANARY}", number)
        header = answer.headers["x-vibe-routing"]
        if not header.startswith("mini"):
            continue
        assert "arm=mini" in header
        assert eventually(lambda each=answer: complain(routed, each.headers["x-vibe-request-id"]) == 200)  # type: ignore[misc]
        if any("COMPLEXITY ROLLBACK" in line for line in list(routed.lines)):
            break
    report = run(routed, "complexity", "report", "auto")
    assert (report["mode"], report["share"], report["number"]) == ("manual", 0, 4)
    assert report["reason"].startswith("rolled back automatically at 50 %")
    assert any('"ComplexityRollbacks"' in line for line in list(routed.lines))
    eventually(lambda: is_live(routed, "4/0"))

    restored = run(routed, "complexity", "rollout", "auto", "--undo")
    assert (restored["mode"], restored["share"]) == ("complexity", 50)
    rows = [json.loads(line) for line in _lines(routed)]
    assert len(rows) > 1000
    assert {"features", "judged", "would"} <= rows[0].keys()
    assert CANARY not in "\n".join(routed.lines)
    assert CANARY not in _tables(routed)


def _lines(stack: Stack) -> list[str]:
    from tests.e2e.test_commands import run_text

    return run_text(stack, "complexity", "export", "auto").splitlines()


def _tables(stack: Stack) -> str:
    found: list[Any] = []
    for name in ("routes_table", "state_table", "usage_table", "ledger_table"):
        client, table = stack.table(name)
        for page in client.get_paginator("scan").paginate(TableName=table):
            found += page["Items"]
    assert reader(stack)
    return str(found)

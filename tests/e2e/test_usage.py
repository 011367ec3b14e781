"""Usage as an operator finds it: each request once, priced and added up, and made anew from the log when lost."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.stack import KEY, Stack, eventually
from tests.e2e.test_commands import run
from vibe_cli.boto import BotoApi
from vibe_router.core.record import Record
from vibe_router.store.dynamodb import DynamoDB
from vibe_router.store.usage import Filter, UsageReader


def ask(stack: Stack, key: str, model: str = "auto-chat", *, stream: bool = True, **headers: str) -> httpx.Response:
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]}
    sent = {"authorization": f"Bearer {key}", **headers}
    return httpx.post(f"{stack.url}/chat/completions", json=body, headers=sent, timeout=60)


def reader(stack: Stack) -> UsageReader:
    client, table = stack.table("usage_table")
    return UsageReader(DynamoDB(BotoApi(client)), table)


def booked(stack: Stack, answers: list[httpx.Response]) -> list[Record]:
    """The rows of requests, which come after their answers."""
    ids = [answer.headers["x-vibe-request-id"] for answer in answers]
    return [eventually(lambda each=each: reader(stack).request(each)) for each in ids]  # type: ignore[misc]


def days() -> tuple[date, date]:
    today = datetime.now(UTC).date()
    return today - timedelta(days=1), today + timedelta(days=1)


def totals(stack: Stack, kind: str, name: str) -> Counter[str]:
    sums: Counter[str] = Counter()
    for total in reader(stack).totals(kind, *days()):
        if total.name == name:
            sums.update(total.counters)
    return sums


def test_every_request_is_one_row_and_its_share_of_the_totals(stack: Stack, tmp_path: Path) -> None:
    made: dict[str, Any] = run(
        stack, "keys", "create", "--alias", "metered", "--budget", "5", "--budget-duration", "1d"
    )
    key, key_id = made["key"], made["token"]
    stack.fault("new-api", "503")

    def one(number: int) -> httpx.Response:
        if number == 0:
            return ask(stack, key, "no-such-model")
        return ask(stack, key, stream=number % 2 == 0, **{"x-vibe-tags": "nightly"})

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(one, range(12)))
    assert [answer.status_code for answer in answers] == [404, *[200] * 11]
    rejected, *served = rows = booked(stack, answers)
    assert (rejected.error, rejected.key, rejected.cost) == ("model_not_found", key_id, 0)
    for row in served:
        assert (row.key, row.key_alias, row.tags) == (key_id, "metered", ("nightly",))
        assert (row.model, row.deployment, row.provider_model) == (
            "auto-chat",
            "cliproxyapi/claude-sonnet-4-6",
            "claude-sonnet-4-6",
        )
        assert row.usage.known
        assert row.cost
    expected: Counter[str] = Counter()
    for row in rows:
        expected.update(row.counters())
    assert eventually(lambda: totals(stack, "key", key_id) == expected), "totals follow within a moment"
    found = reader(stack).find(Filter(key=key_id), limit=50).records
    assert Counter(row.request_id for row in found) == Counter(row.request_id for row in rows), "each once"
    client, table = stack.table("ledger_table")
    spent = sum(row.cost or 0 for row in rows)
    ledger = client.get_item(TableName=table, Key={"id": {"S": f"key#{key_id}"}}, ConsistentRead=True)["Item"]
    assert (int(ledger["spent"]["N"]), int(ledger["committed"]["N"]), ledger["held"]["M"]) == (spent, spent, {})

    # The log has all of it: what is booked stays as it is, and what is lost comes back the same.
    log = tmp_path / "router.log"
    log.write_text("\n".join(stack.lines), encoding="utf-8")
    again = run(stack, "usage", "book", str(log), "--local")
    assert (again["booked"], again["unreadable_lines"], again["not_booked"]) == (0, [], {})
    assert again["booked_before"] >= len(rows)
    assert totals(stack, "key", key_id) == expected
    usage, usage_table = stack.table("usage_table")
    lost = rows[3]
    usage.delete_item(TableName=usage_table, Key={"id": {"S": f"request#{lost.request_id}"}, "at": {"S": lost.at}})
    assert run(stack, "usage", "book", str(log), "--local")["booked"] == 1
    assert reader(stack).request(lost.request_id) == lost


def test_a_request_with_an_invalid_key_has_no_row(stack: Stack) -> None:
    answer = ask(stack, "sk-nobody")
    assert answer.status_code == 401
    request_id = answer.headers["x-vibe-request-id"]
    assert stack.decision(request_id)["key"] is None
    [last] = booked(stack, [ask(stack, KEY)])
    assert last.key == "master"
    assert reader(stack).request(request_id) is None

"""`vibe usage book`: what is in a log and not yet in the tables comes into them, once."""

import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.integration.store.bookers import record, reserve
from tests.integration.store.streams import Stream
from vibe_cli.app import main
from vibe_router.access.keys import Limits
from vibe_router.access.ledger import ReservationRequest
from vibe_router.core.clock import Clock
from vibe_router.core.record import DECISION, Record
from vibe_router.store.dynamodb import DynamoDB, from_item, to_item
from vibe_router.store.ledger import LedgerStore
from vibe_router.store.usage import UsageReader

Book = Callable[..., tuple[int, Any]]


@pytest.fixture
def folder(endpoint: str, usage_table: str, state_table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of a running local stack."""
    where = {"pid": os.getpid(), "endpoint": endpoint, "usage_table": usage_table, "ledger_table": state_table}
    (tmp_path / "local.json").write_text(json.dumps(where))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.delenv("STACK", raising=False)
    return tmp_path


@pytest.fixture
def book(folder: Path, capsys: pytest.CaptureFixture[str]) -> Book:
    def run(log: str, *arguments: str) -> tuple[int, Any]:
        file = folder / "router.log"
        file.write_text(log, encoding="utf-8")
        status = main(["usage", "book", str(file), *arguments])
        return status, json.loads(capsys.readouterr().out)

    return run


def line(request: Record, **more: object) -> str:
    return json.dumps({"level": "INFO", "message": DECISION, **request.as_line(), **more})


def test_a_log_with_other_lines_is_booked_once(
    book: Book, dynamodb_client: DynamoDB, usage_table: str, state_table: str
) -> None:
    requests = [record(number) for number in range(1, 6)]
    nobody = replace(record(6), key=None)
    log = "\n".join(
        [
            "START RequestId: 1 Version: 7",
            *(f"2026-11-24T13:05:00 2026/11/24/[7]abc {line(each)}" for each in requests),
            line(requests[0]),
            line(nobody),
            json.dumps({"message": "FAULT", "about": DECISION}),
            "REPORT RequestId: 1 Duration: 20 ms",
        ]
    )
    status, report = book(log, "--local")
    assert status == 0
    assert (report["table"], report["booked"], report["booked_before"], report["of_nobody_known"]) == (
        usage_table,
        5,
        1,
        1,
    )
    reader = UsageReader(dynamodb_client, usage_table)
    assert [reader.request(each.request_id) for each in requests] == [replace(each, hold=None) for each in requests]
    stream = Stream(dynamodb_client, usage_table, state_table)
    stream.deliver_all()
    spent = sum(each.cost or 0 for each in requests if each.key == "phone")
    ledger = dynamodb_client.get_item(TableName=state_table, Key={"id": {"S": "key#phone"}}, ConsistentRead=True)
    assert from_item(ledger["Item"])["total"] == spent
    assert "Item" not in dynamodb_client.get_item(TableName=state_table, Key={"id": {"S": "key#master"}})
    status, report = book(log)
    assert (status, report["booked"], report["booked_before"]) == (0, 0, 6)
    stream.deliver_all()
    ledger = dynamodb_client.get_item(TableName=state_table, Key={"id": {"S": "key#phone"}}, ConsistentRead=True)
    assert from_item(ledger["Item"])["total"] == spent


def test_a_hold_of_an_environment_that_died_is_settled_once(
    book: Book, dynamodb_client: DynamoDB, usage_table: str, state_table: str
) -> None:
    requests = [record(number) for number in range(1, 7) if record(number).hold]
    reserve(dynamodb_client, state_table, [number for number in range(1, 7) if record(number).hold])
    for _ in range(2):
        assert book("\n".join(map(line, requests)), "--local")[0] == 0
        Stream(dynamodb_client, usage_table, state_table).deliver_all()
        found = dynamodb_client.get_item(TableName=state_table, Key={"id": {"S": "key#laptop"}}, ConsistentRead=True)
        ledger = from_item(found["Item"])
        assert (ledger["total"], ledger["held"]) == (sum(each.charge for each in requests), {})


def test_budgets_of_models_are_settled_and_charged_from_the_log(
    book: Book, dynamodb_client: DynamoDB, usage_table: str, state_table: str
) -> None:
    """The first request holds a reservation in the ledger of a model's budget; the second has none to settle."""
    began = record(4).started
    store = LedgerStore(dynamodb_client, state_table, Clock(now=lambda: began))
    held = store.reserve({"key#laptop#auto": Limits(max_budget=10**9)}, ReservationRequest(5, 0, began + 900))
    first = replace(record(4), key="laptop", cost=7, charged=None, hold=held.hold_id, charge_later=("key",))
    first = replace(first, model_holds=("key#auto",), user="ann", charge_later=("key", "user"))
    second = replace(record(5), key="laptop", team=None, user="ann", cost=9, charged=None, hold=None)
    second = replace(second, charge_later=("key", "key#auto", "user"))
    assert book("\n".join(map(line, (first, second))), "--local")[0] == 0
    Stream(dynamodb_client, usage_table, state_table).deliver_all()
    for owner in ("key#laptop", "key#laptop#auto", "user#ann"):
        found = dynamodb_client.get_item(TableName=state_table, Key={"id": {"S": owner}}, ConsistentRead=True)
        ledger = from_item(found["Item"])
        assert (ledger["total"], ledger["held"]) == (16, {}), owner


def test_a_line_of_an_earlier_release_charges_key_and_team(
    book: Book, dynamodb_client: DynamoDB, usage_table: str, state_table: str
) -> None:
    request = replace(record(4), key="laptop", team="red", hold=None, charge_later=())
    fields = json.loads(line(request))
    del fields["charge_later"]
    assert book(json.dumps(fields), "--local")[0] == 0
    Stream(dynamodb_client, usage_table, state_table).deliver_all()
    for owner in ("key#laptop", "team#red"):
        found = dynamodb_client.get_item(TableName=state_table, Key={"id": {"S": owner}}, ConsistentRead=True)
        assert from_item(found["Item"])["total"] == request.cost


def test_totals_of_earlier_releases_are_moved_once(
    folder: Path, capsys: pytest.CaptureFixture[str], dynamodb_client: DynamoDB, usage_table: str
) -> None:
    for shard in range(8):
        for kind, at in (("all", "2027-01-15T07"), ("model", "2027-01-15#auto#1")):
            row = to_item({"id": f"totals#{kind}", "at": f"{at}#{shard}", "requests": 1, "cost": shard})
            dynamodb_client.put_item(TableName=usage_table, Item=row)
    reader, day = UsageReader(dynamodb_client, usage_table), date(2027, 1, 15)
    before = [reader.totals(kind, day, day) for kind in ("all", "model")]
    assert [total.name for total in before[1]] == ["auto#1"]
    for moved in (16, 0):
        assert main(["usage", "migrate", "--local"]) == 0
        assert json.loads(capsys.readouterr().out)["moved"] == moved
        assert [reader.totals(kind, day, day) for kind in ("all", "model")] == before


def test_malformed_lines_are_reported_and_the_others_booked(book: Book) -> None:
    cut = line(record(1))[:-20]
    status, report = book("\n".join([cut, line(record(2)), line(record(3), started="yesterday")]))
    assert (status, report["booked"], report["unreadable_lines"]) == (1, 1, [1, 3])


def test_unbookable_requests_are_reported(book: Book) -> None:
    status, report = book("\n".join([line(replace(record(1), user="\ud800")), line(record(2))]))
    assert (status, report["booked"], list(report["not_booked"])) == (1, 1, ["request-1"])


def test_a_log_is_read_from_a_pipe(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(line(record(1)) + "\n"))
    assert main(["usage", "book", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["booked"] == 1


def test_booking_requires_a_stack(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.delenv("STACK", raising=False)
    assert main(["usage", "book"]) == 2
    assert "--stack NAME" in capsys.readouterr().err
    assert main(["usage", "book", "--local"]) == 2


def test_a_missing_file_is_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["usage", "book", "nowhere.log"]) == 1
    assert "nowhere.log cannot be read" in capsys.readouterr().err

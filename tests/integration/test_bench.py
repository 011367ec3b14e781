"""A run of the benchmark that is too small to say anything but whether it works."""

import pytest

from bench.__main__ import run
from bench.chains import SETTINGS
from bench.figures import Report
from bench.options import Options, Peer
from bench.show import as_text

_TINY = Options(
    calls=3, starts=1, requests=10, rests=(1.05,), peers=(Peer("gone", "http://127.0.0.1:1/v1", "sk-none", "any"),)
)


@pytest.fixture(scope="module")
def report() -> Report:
    return run(_TINY)


def rows(report: Report, section: str) -> list[dict[str, object]]:
    return [dict(row) for row in report.sections[section].rows]


def test_only_the_peer_that_is_not_there_fails(report: Report) -> None:
    assert [failure.partition(": ")[0] for failure in report.failures] == ["gone at 127.0.0.1:1"]
    assert list(report.sections) == list(_TINY.sections)


def test_calls_are_timed_on_every_way(report: Report) -> None:
    calls = rows(report, "calls")
    assert [row["target"] for row in calls] == ["direct", "function", "stack"]
    assert all(row["calls"] == 3 for row in calls)
    assert all(isinstance(row["p50_ms"], float) and row["p50_ms"] > 0 for row in calls)


def test_processor_time_is_listed_by_process(report: Report) -> None:
    _, function, stack = rows(report, "calls")
    assert {column for column in function if "cpu" in column} == {"cpu_ms", "aws_cpu_ms"}
    assert {column for column in stack if "cpu" in column} == {"cpu_ms", "gateway_cpu_ms", "aws_cpu_ms"}


def test_servers_are_called_by_many_callers_at_once(report: Report) -> None:
    rates = {str(row["target"]): row["calls_per_s"] for row in rows(report, "throughput")}
    assert set(rates) == {"direct", "stack"}
    assert all(isinstance(rate, float) and rate > 1 for rate in rates.values())


def test_streams_are_timed_on_every_way(report: Report) -> None:
    streams = rows(report, "streams")
    assert len(streams) == 9
    for row in streams:
        first, total = row["first_p50_ms"], row["total_p50_ms"]
        assert isinstance(first, float)
        assert isinstance(total, float)
        assert 0 < first <= total


def test_every_pair_of_formats_has_a_row(report: Report) -> None:
    pairs = rows(report, "formats")
    providers = {"chat", "responses", "messages", "converse"}
    callers = {*providers, "gemini"} - {"converse"}
    assert {(row["caller"], row["provider"]) for row in pairs} == {(one, two) for one in callers for two in providers}
    for row in pairs:
        assert ("added_chunk_us" in row) is (row["caller"] != row["provider"])
        assert isinstance(row["chunk_us"], float)
        assert row["chunk_us"] > 0


def test_every_setting_of_a_chain_has_a_row(report: Report) -> None:
    settings = {row["setting"]: row for row in rows(report, "chains")}
    assert set(settings) == set(SETTINGS)
    assert settings["off"]["added_us"] == 0
    assert all(isinstance(row["request_us"], float) and row["request_us"] > 0 for row in settings.values())


def test_a_start_is_timed_from_python_to_the_first_answer(report: Report) -> None:
    python, ready, answered, stack = (row["median_ms"] for row in rows(report, "cold-start"))
    assert isinstance(python, float)
    assert isinstance(ready, float)
    assert isinstance(answered, float)
    assert 0 < python < ready < answered
    assert stack


def test_memory_is_listed_for_the_function_and_every_process_of_the_stack(report: Report) -> None:
    memory = {str(row["process"]): row["resident_mb"] for row in rows(report, "memory")}
    assert {"function, after 10 requests", "stack: function", "stack: embedded AWS", "stack: together"} <= set(memory)
    assert all(isinstance(held, float) and held > 1 for held in memory.values())


def test_calls_to_aws_are_counted(report: Report) -> None:
    rested, within = rows(report, "aws")
    # The booking comes after the answer, and so before or after the count is read: nobody waits for it.
    assert set(str(rested["operations"]).split(", ")) - {"PutItem"} == {"Query"}
    assert 1 <= float(str(rested["dynamodb_per_call"])) <= 2
    assert 0 <= float(str(within["dynamodb_per_call"])) <= 1
    assert rested["secretsmanager_per_call"] == within["secretsmanager_per_call"] == 0


def test_a_budget_costs_one_write_before_the_answer_and_no_wait_after_it(
    report: Report,
) -> None:
    keys = {row["caller"]: row for row in rows(report, "keys")}
    assert {caller: row["before_the_answer"] for caller, row in keys.items()} == {
        "master key": "none",
        "virtual key without limits": "none",
        "virtual key with a budget": "1 UpdateItem",
        "virtual key with limits of every sort": "1 UpdateItem",
        "virtual key and team with a budget": "1 TransactWriteItems",
    }
    assert {caller: set(str(row["after_it"]).split(", ")) for caller, row in keys.items()} == {
        "master key": {"1 PutItem"},
        "virtual key without limits": {"1 PutItem"},
        "virtual key with a budget": {"1 PutItem", "1 UpdateItem"},
        "virtual key with limits of every sort": {"1 PutItem", "1 UpdateItem"},
        "virtual key and team with a budget": {"1 PutItem", "2 UpdateItem"},
    }
    assert all(isinstance(row["own_added_ms"], float) for row in keys.values())


def test_every_request_logs_its_decision_and_its_metrics(report: Report) -> None:
    for row in rows(report, "log"):
        assert row["decision_bytes"]
        assert row["metrics_bytes"]
        assert row["other_bytes"] == 0


def test_targets_are_shown_beside_the_figures(report: Report) -> None:
    reported = as_text(report)
    for aim in ("function adds to a call", "stack adds to a call", "cold start", "memory", "DynamoDB calls"):
        assert aim in reported

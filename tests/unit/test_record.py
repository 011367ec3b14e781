"""Records of requests: their log line, their row, and their shares in the totals."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.core.clock import parse_iso, to_iso
from vibe_router.core.histogram import FIRST_TOKEN, TOTAL_TIME
from vibe_router.core.record import COUNTERS, DAY_SHARDS, HISTOGRAM_COUNTERS, Record, day_partitions, is_counted_later
from vibe_router.core.tags import bounded_tags
from vibe_router.core.usage import Usage
from vibe_router.store.dynamodb import from_item, to_item

STARTED = 1_795_525_500.25  # 2026-11-24T13:05:00.250Z
RECORD = Record(
    request_id="request-1",
    started=STARTED,
    key="hash",
    key_alias="laptop",
    team="red",
    user="ann",
    tags=("blue",),
    model="auto-chat",
    resolved=True,
    deployment="ark/glm-4.7",
    provider_model="glm-4.7",
    stream=True,
    attempts=(
        {"deployment": "new-api/gpt-5", "verdict": "transient", "status": 503, "ms": 12.5, "cooldown_until": None},
        {"deployment": "ark/glm-4.7", "verdict": "ok", "status": 200, "ms": 80.0, "cooldown_until": None},
    ),
    cooling=("cliproxyapi/claude-sonnet-4-6",),
    fallbacks=2,
    usage=Usage(120, 30, cached_tokens=100, reasoning_tokens=0),
    cost=1_234,
    ttft_ms=80.4,
    total_ms=900.125,
)
REFUSED = Record("request-2", STARTED, key="hash", model="no-such", status=404, error="model_not_found", cost=0)

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
TOKENS = st.none() | st.integers(0, 10**9)
MILLISECONDS = st.integers(0, 10**9).map(lambda each: each / 1000)


def attempts() -> st.SearchStrategy[Mapping[str, Any]]:
    return st.fixed_dictionaries(
        {
            "deployment": TEXT,
            "verdict": st.sampled_from(["ok", "transient", "quota"]),
            "status": st.none() | st.integers(100, 599),
            "ms": MILLISECONDS,
            "cooldown_until": st.none() | st.just("2026-11-24T13:05:00.250+00:00"),
        }
    )


RECORDS = st.builds(
    Record,
    request_id=TEXT,
    started=st.integers(0, 4 * 10**12).map(lambda each: each / 1000),
    key=TEXT,
    key_alias=st.none() | TEXT,
    team=st.none() | TEXT,
    user=st.none() | TEXT,
    tags=st.lists(TEXT, max_size=4).map(tuple),
    model=st.none() | TEXT,
    resolved=st.booleans(),
    deployment=st.none() | TEXT,
    provider_model=st.none() | TEXT,
    format=st.none() | st.sampled_from(["chat", "responses", "messages"]),
    provider_format=st.none() | st.sampled_from(["chat", "responses", "messages"]),
    stream=st.booleans(),
    status=st.integers(200, 599),
    error=st.none() | TEXT,
    attempts=st.lists(attempts(), max_size=4).map(tuple),
    cooling=st.lists(TEXT, max_size=4).map(tuple),
    unfit=st.lists(st.fixed_dictionaries({"deployment": TEXT, "param": st.none() | TEXT}), max_size=2).map(tuple),
    fallbacks=st.integers(0, 9),
    reasoning_left_out=st.integers(0, 9),
    usage=st.builds(Usage, *[TOKENS] * 7),
    cost=st.none() | st.integers(0, 10**15),  # up to a million dollars
    charged=st.none() | st.integers(0, 10**15),
    charge_later=st.sampled_from([(), ("key",), ("key", "team", "key#auto-codex")]),
    ladder_model=st.none() | TEXT,
    ladder_from=st.none() | st.sampled_from([0.8, 1]),
    ladder_budget=st.sampled_from([None, "key", "team"]),
    soft_budgets=st.sampled_from([(), ("key", "team")]),
    ttft_ms=st.none() | MILLISECONDS,
    total_ms=MILLISECONDS,
)


@given(RECORDS)
def test_a_row_reads_back_as_its_record(record: Record) -> None:
    assert Record.from_row(from_item(to_item(record.as_row(90)))) == record


@given(RECORDS)
def test_a_line_reads_back_as_its_record(record: Record) -> None:
    assert Record.from_line(json.loads(json.dumps(record.as_line()))) == record


@given(RECORDS)
def test_every_total_gets_the_same_positive_integers(record: Record) -> None:
    shares = record.contributions()
    assert {share.kind for share in shares} >= {"all", "key"}
    for share in shares:
        assert share.counters == record.counters()
    assert set(record.counters()) <= {*COUNTERS, *HISTOGRAM_COUNTERS}
    assert all(isinstance(value, int) and value > 0 for value in record.counters().values())


def test_a_row_has_the_attributes_of_indexes_and_ttl() -> None:
    row = RECORD.as_row(90)
    assert (row["id"], row["at"], row["day"], row["key"]) == (
        "request#request-1",
        "2026-11-24T13:05:00.250Z",
        f"2026-11-24#{crc32(b'request-1') % 8}",
        "hash",
    )
    assert row["day"] in day_partitions("2026-11-24")
    assert is_counted_later(row)
    assert not is_counted_later({**row, "day": "2026-11-24"})
    assert row["expires_at"] == 1_795_525_500 + 90 * 86_400
    assert (row["failover"], row["cost"], row["reasoning_tokens"]) == (True, 1_234, 0)
    assert "error" not in row
    assert "audio_prompt_tokens" not in row


def test_a_row_with_many_attempts_stays_small() -> None:
    attempt = {"deployment": "p" * 64 + "/" + "m" * 256, "verdict": "transient", "status": 503, "ms": 1234.567}
    attempt |= {"cooldown_until": "2026-11-24T13:05:00.250+00:00"}
    walked = replace(RECORD, attempts=(attempt,) * 500 + RECORD.attempts, cooling=("c" * 321,) * 500)
    row = walked.as_row(90)
    assert len(json.dumps(row)) < 40_000
    assert row["attempts"][0]["verdict"] == "transient"
    assert row["attempts"][-1]["verdict"] == "ok"


def test_totals_are_hourly_for_all_and_daily_for_each_owner() -> None:
    shares = RECORD.contributions()
    assert [(share.kind, share.name, share.at) for share in shares] == [
        ("all", None, "2026-11-24T13"),
        ("key", "hash", "2026-11-24#hash"),
        ("team", "red", "2026-11-24#red"),
        ("model", "auto-chat", "2026-11-24#auto-chat"),
        ("deployment", "ark/glm-4.7", "2026-11-24#ark/glm-4.7"),
        ("user", "ann", "2026-11-24#ann"),
        ("tag", "blue", "2026-11-24#blue"),
    ]
    assert shares[0].counters == {
        "requests": 1,
        "failovers": 1,
        "prompt_tokens": 120,
        "completion_tokens": 30,
        "cached_tokens": 100,
        "cost": 1_234,
        "ttft_ms_sum": 80,
        "ttft_count": 1,
        "f0": 1,
        "f_sum": 80,
        "t6": 1,
        "t_sum": 900,
    }


def test_only_answered_requests_have_a_total_time() -> None:
    for failed in (replace(RECORD, error="stream_interrupted"), replace(RECORD, deployment=None), REFUSED):
        assert not failed.counters().keys() & set(TOTAL_TIME.names)
    assert FIRST_TOKEN.buckets[0] in replace(RECORD, error="stream_interrupted").counters()
    assert FIRST_TOKEN.buckets[0] not in replace(RECORD, cache_hit=True, deployment=None).counters()


def test_a_model_that_does_not_exist_has_no_total() -> None:
    assert [share.kind for share in REFUSED.contributions()] == ["all", "key"]
    assert REFUSED.counters() == {"requests": 1, "errors": 1}


def test_requests_of_unknown_cost_are_counted() -> None:
    assert replace(RECORD, cost=None).counters()["unpriced"] == 1
    assert "unpriced" not in replace(RECORD, cost=0).counters()


def test_rows_of_a_day_are_in_all_partitions_of_its_index() -> None:
    days = {replace(RECORD, request_id=f"r{n}").as_row(1)["day"] for n in range(100)}
    assert {"2026-11-24", *days} == set(day_partitions("2026-11-24"))
    assert len(days) == DAY_SHARDS


def test_charges_are_internal() -> None:
    owed = replace(RECORD, cost=None, charged=7, hold="hold-1", charge_later=("team",))
    assert (owed.charge, RECORD.charge, replace(RECORD, cost=None).charge) == (7, 1_234, 0)
    assert Record.from_row(owed.as_row(1)) == replace(owed, hold=None), "a row needs no hold: it is settled"
    assert not {"charged", "hold", "charge_later"} & owed.as_json().keys()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param({"message": "FAULT", "key": "k"}, "another line", id="another line"),
        pytest.param({**RECORD.as_line(), "key": None}, "no key", id="without a valid key"),
        pytest.param({"message": "ROUTING DECISION", "request_id": "r"}, "old", id="of an older version, without keys"),
    ],
)
def test_lines_without_a_row(line: Mapping[str, Any], reason: str) -> None:
    assert Record.from_line(line) is None, reason


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"started": "yesterday"}, id="no time"),
        pytest.param({"started": "2026-11-24T13:05:00"}, id="a time without a zone"),
        pytest.param({"started": None}, id="no time at all"),
        pytest.param({"cost": "free"}, id="a cost in words"),
        pytest.param({"prompt_tokens": 1.5}, id="half a token"),
        pytest.param({"attempts": 7}, id="attempts that are a number"),
        pytest.param({"team": ["red"]}, id="a team that is a list"),
        pytest.param({"status": None}, id="no status"),
    ],
)
def test_a_malformed_line_is_rejected(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="decision"):
        Record.from_line({**RECORD.as_line(), **change})


def test_a_malformed_row_is_rejected_without_quoting_it() -> None:
    with pytest.raises(ValueError, match=r"^a malformed row of usage \(ValueError\)$"):
        Record.from_row({**RECORD.as_row(90), "prompt_tokens": "many"})


@given(st.integers(0, 4 * 10**12))
def test_times_round_trip_to_the_millisecond(moment: int) -> None:
    assert parse_iso(to_iso(moment / 1000)) == moment / 1000


@pytest.mark.parametrize(
    ("groups", "kept"),
    [
        pytest.param([["a", "b"], ["b", "c"]], ("a", "b", "c"), id="duplicates"),
        pytest.param([["  a ", "", "   "]], ("a",), id="blanks"),
        pytest.param([["x" * 500]], ("x" * 100,), id="too long"),
        pytest.param([[str(n) for n in range(50)]], tuple(str(n) for n in range(20)), id="too many"),
        pytest.param([["\ud800"]], ("?",), id="half a surrogate pair"),
    ],
)
def test_tags_are_bounded(groups: list[list[str]], kept: tuple[str, ...]) -> None:
    assert bounded_tags(*groups) == kept

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts import cost
from scripts.cost_model import MEMORIES, ROOT, Model, Workload, item_bytes, load
from vibe_router.store.routes import _FRESH as FRESH_ROUTES
from vibe_router.store.secrets import _FRESH as FRESH_SECRETS
from vibe_router.store.state import _FRESH as FRESH_STATES

MODEL, TOLD = load()
_volumes = st.integers(0, 10**9)


def test_the_page_says_what_its_sources_say() -> None:
    written = cost.PAGE.read_text(encoding="utf-8")
    assert written == cost.page(MODEL, TOLD), "run: python scripts/cost.py --write"


def test_the_command_checks_the_page_by_itself() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/cost.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_page_that_is_out_of_date_is_refused(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cost, "PAGE", tmp_path / "cost.md")
    assert cost.main(["--check"]) == 1
    assert "Run: python scripts/cost.py --write" in capsys.readouterr().err
    assert cost.main(["--write"]) == 0
    assert cost.main(["--check"]) == 0
    cost.PAGE.write_text(cost.PAGE.read_text().replace("$", "€", 1))
    assert cost.main(["--check"]) == 1


def test_a_stream_of_twenty_seconds_at_512_mb_is_ten_gb_seconds_and_38_times_the_rest_price() -> None:
    quick = replace(MODEL.measured, call_added_ms=0.0, stream_added_ms_per_chunk=0.0, after_ms=0.0)
    model = replace(MODEL, measured=quick, workload=Workload(seconds=20)).of_memory(512)
    assert model.gb_seconds == 10
    bill = model.serving(1e6)
    assert bill["Lambda, memory times seconds"] == pytest.approx(133.334)
    assert round(bill["Lambda, memory times seconds"] / bill["API Gateway"]) == 38


def test_a_stack_that_nobody_calls_costs_its_secret_and_its_monitoring() -> None:
    assert sum(MODEL.serving(0).values()) == 0
    assert MODEL.total(0) == sum(MODEL.standing().values())
    assert MODEL.standing()["Secrets Manager, the secret"] == 0.4


def test_the_container_costs_what_adds_up_by_hand_before_its_first_request() -> None:
    # 0.5 vCPU, 1 GB; Redis; PostgreSQL and 20 GB; load balancer; three addresses.
    by_hand = 730 * (0.5 * 0.03238 + 0.00356 + 0.016 + 0.016 + 0.0225 + 3 * 0.005) + 20 * 0.115
    assert MODEL.container_total(0) == pytest.approx(by_hand)


@settings(deadline=None)
@given(_volumes, _volumes)
def test_more_requests_never_cost_less(one: int, other: int) -> None:
    fewer, more = sorted((one, other))
    assert MODEL.total(fewer) <= MODEL.total(more)
    assert MODEL.container_total(fewer) <= MODEL.container_total(more)


@settings(deadline=None)
@given(st.integers(1, 10**7))
def test_twice_the_memory_is_less_than_twice_the_bill_and_never_a_smaller_one(requests: int) -> None:
    totals = [MODEL.of_memory(size).total(requests) for size in MEMORIES]
    assert totals == sorted(totals)
    assert totals[1] < 2 * totals[0]


def test_at_the_break_even_the_router_is_the_cheaper_one_and_above_it_no_longer() -> None:
    requests = MODEL.break_even()
    assert MODEL.total(requests) <= MODEL.container_total(requests)
    assert MODEL.total(requests + 2000) > MODEL.container_total(requests + 2000)


def test_the_setting_that_is_recommended_holds_the_largest_request_and_no_smaller_one_starts_in_time() -> None:
    best = MODEL.best_memory()
    assert MODEL.memory_needed <= best
    assert MODEL.of_memory(best).cold_start_seconds <= 2
    assert all(MODEL.of_memory(size).cold_start_seconds > 2 for size in MEMORIES if size < best)


@settings(deadline=None)
@given(st.floats(0.1, 900), st.floats(0.1, 900))
def test_limits_come_in_order_and_longer_streams_never_reach_one_sooner(one: float, other: float) -> None:
    shorter, longer = (MODEL.limits(seconds) for seconds in sorted((one, other)))
    assert [limit.streams for limit in shorter] == sorted(limit.streams for limit in shorter)
    ends = {limit.what: limit.streams for limit in shorter}
    assert all(limit.streams >= ends[limit.what] for limit in longer)


def test_the_quota_of_an_account_ends_first() -> None:
    assert MODEL.limits(20)[0].streams == 1000
    assert "ReservedConcurrency" in MODEL.limits(20)[0].moved_by


def test_what_moves_a_limit_is_a_parameter_of_the_template_or_a_name_in_the_store() -> None:
    assert (MODEL.stack.throttle_rate, MODEL.stack.memory_mb) == (1000, 512)
    from scripts import cost_model

    kept = (cost_model.FRESH_STATES, cost_model.FRESH_ROUTES, cost_model.FRESH_SECRETS)
    assert kept == (FRESH_STATES, FRESH_ROUTES, FRESH_SECRETS)


def test_read_units_are_those_of_the_longest_chain_and_the_whole_table() -> None:
    assert MODEL.stack.state_units == 6, "auto-chat: three deployments, three credentials"
    assert MODEL.stack.routes_units == 1
    assert MODEL.key_reads == 2, "a key, and what it has spent"
    assert MODEL.reads == 9
    assert replace(MODEL, workload=Workload(seconds=0.5)).reads == pytest.approx(6 * 0.5 + 3 * 0.05)


def test_write_units_are_those_of_what_is_really_booked() -> None:
    booking = MODEL.stack.booking
    assert 400 < booking.row_bytes <= 1024
    # In a transaction: the row, and the totals of all, of the key, the model and the deployment; beside it two indexes.
    assert (booking.row, booking.indexes, booking.shares, booking.totals) == (2, 2, 4, 8)
    assert MODEL.ledger_writes == 3, "reserved by itself, settled in the transaction"
    assert MODEL.writes == pytest.approx(15 + 0.01 * 4)


def test_what_was_counted_is_what_is_reckoned_with() -> None:
    """A warm request reads the routes and the states once each, and the secret not at all."""
    calls = MODEL.measured.dynamodb_calls
    assert calls["after a rest of 10.1 s"] == 2
    assert calls["after a rest of 1.05 s"] == 1
    assert calls["within a second of a read"] == 0
    assert MODEL.measured.secret_calls == 0


@pytest.mark.parametrize(
    ("item", "size"),
    [
        ({"id": {"S": "abc"}}, 5),
        ({"id": {"S": "é"}}, 4),
        ({"n": {"N": "1234"}}, 5),
        ({"b": {"BOOL": True}}, 2),
        ({"m": {"M": {"k": {"S": "v"}}}}, 7),
        ({"l": {"L": [{"S": "v"}, {"NULL": True}]}}, 8),
    ],
    ids=["a string", "two bytes of UTF-8", "a number", "a boolean", "a map", "a list"],
)
def test_items_are_sized_as_dynamodb_does(item: dict[str, Any], size: int) -> None:
    assert item_bytes(item) == size


def test_every_price_has_a_unit_and_a_source_and_is_used() -> None:
    seen: set[str] = set()

    class Used(dict[str, float]):
        def __getitem__(self, name: str) -> float:
            seen.add(name)
            return super().__getitem__(name)

    model: Model = replace(MODEL, prices=Used(MODEL.prices))
    cost.page(model, TOLD)
    unused = set(MODEL.prices) - seen
    assert unused <= {"lambda_streamed_gb", "snapstart_restore_gb"}, "no answer is that long; SnapStart is off"
    for each in (*TOLD["prices"].values(), *TOLD["quotas"].values()):
        assert each["source"].startswith("https://")
        assert each.get("per") or each.get("of")


def test_a_report_without_a_section_is_refused() -> None:
    report = json.loads((ROOT / "docs/measured.json").read_text())
    del report["sections"]["log"]
    with pytest.raises(KeyError):
        type(MODEL.measured).of(report)

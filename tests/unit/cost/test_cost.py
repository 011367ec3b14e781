"""The cost model, and the figures in docs/cost.md."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samtranslator.yaml_helper import yaml_parse

from scripts.artefacts import ROOT
from scripts.cost import MEMORIES, PAGE, VOLUMES, figures, load_model
from vibe_cli.routes_file import load_file
from vibe_router.core.record import Record
from vibe_router.routing.spec import resolve
from vibe_router.store.dynamodb import to_item

MODEL = load_model()
PRICES = json.loads((ROOT / "docs/prices.json").read_text(encoding="utf-8"))
_volumes = st.integers(0, 10**9)


def test_page_states_every_figure_and_no_other_amount() -> None:
    page, found = PAGE.read_text(encoding="utf-8"), figures(MODEL)
    missing = {name: figure for name, figure in found.items() if figure not in page}
    assert missing == {}, "run: python -m scripts.cost"
    assert set(re.findall(r"\$[\d,.]*\d", page)) <= set(found.values())


@pytest.mark.parametrize("volume", VOLUMES)
def test_totals_are_in_their_row(volume: int) -> None:
    found = figures(MODEL)
    row = [found[f"{kind}, {volume:,} requests a month"] for kind in ("router", "free tier", "container")]
    assert f"| {volume:,} | {' | '.join(row)} |" in PAGE.read_text(encoding="utf-8")


def test_every_alarm_and_parameter_that_the_page_names_exists() -> None:
    template = yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")
    alarms = set(re.findall(r"\b\w+Alarm\b", page))
    assert alarms
    assert alarms <= {name for name, each in template["Resources"].items() if each["Type"] == "AWS::CloudWatch::Alarm"}
    named = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+|Monitoring)[`=]", page))
    assert named - set(template["Parameters"]) == {"WarmThroughput"}, "a property of a table"


def test_targets_are_met() -> None:
    assert MODEL.million() <= 95
    assert MODEL.break_even() >= 800_000


def test_stream_of_20_s_at_512_mb_costs_ten_gb_seconds() -> None:
    model = replace(MODEL, call_cpu_ms=0, memory_mb=512)
    line = model.variable(1e6)["Lambda, memory × seconds"]
    assert line.quantity == pytest.approx(10.01e6)
    assert line.beyond_free == pytest.approx((10.01e6 - 400_000) * 0.0000133334)


def test_only_the_first_answer_depends_on_the_memory() -> None:
    small, large = replace(MODEL, memory_mb=128), replace(MODEL, memory_mb=1769)
    scaled = small.cold_start_seconds - large.cold_start_seconds
    assert scaled == pytest.approx((1769 / 128 - 1) * MODEL.first_answer_ms / 1000)


@pytest.mark.parametrize(("monitoring", "amount"), [("full", 3 + 0.1 * MODEL.alarm_metrics), ("none", 0)])
def test_unused_stack_costs_its_secrets_and_monitoring(monitoring: str, amount: float) -> None:
    assert sum(line.amount for line in MODEL.variable(0).values()) == 0
    assert replace(MODEL, monitoring=monitoring).total(0) == pytest.approx(0.4 * MODEL.secrets + amount)


def test_container_without_requests_adds_up_by_hand() -> None:
    # 0.5 vCPU, 1 GB; Redis; PostgreSQL and 20 GB; load balancer; three addresses.
    by_hand = 730 * (0.5 * 0.03238 + 0.00356 + 0.016 + 0.016 + 0.0225 + 3 * 0.005) + 20 * 0.115
    assert MODEL.container_total(0) == pytest.approx(by_hand)


@given(_volumes, _volumes)
def test_more_requests_never_cost_less(one: int, other: int) -> None:
    fewer, more = sorted((one, other))
    assert MODEL.total(fewer) <= MODEL.total(more)
    assert MODEL.container_total(fewer) <= MODEL.container_total(more)


@given(st.integers(1, 10**7))
def test_twice_the_memory_costs_more_but_less_than_twice(requests: int) -> None:
    totals = [replace(MODEL, memory_mb=size).total(requests) for size in MEMORIES]
    assert totals == sorted(totals)
    assert totals[1] < 2 * totals[0]


def test_router_is_cheaper_up_to_the_break_even() -> None:
    bare, requests = replace(MODEL, monitoring="none"), MODEL.break_even()
    assert bare.total(requests) <= bare.container_total(requests)
    assert bare.total(requests + 2000) > bare.container_total(requests + 2000)


def test_assumed_dynamodb_units_match_the_store() -> None:
    """6 states and one page of routes are read; a row under 1 KiB and 2 indexes are written, and 5 totals for many."""
    spec = load_file(ROOT / "routes.yaml", {})
    chains = [
        {state for deployment in model.chain for state in deployment.state_ids}
        for model in resolve(spec)[0].models.values()
    ]
    assert max(map(len, chains)) == 6
    record = Record("6f1f9ab4-0c0e-4f0a-9b39-3d5a2f1f6a10", 1_795_525_500.25, key="9f" * 32, model="auto-chat")
    record = replace(record, resolved=True, deployment="cliproxyapi/claude-sonnet-4-6")
    record = replace(record, attempts=({"deployment": record.deployment, "verdict": "ok", "status": 200, "ms": 1.5},))
    assert len(json.dumps(to_item(record.as_row(90)))) < 1024
    assert len(replace(record, team="red").contributions()) == 5
    template = yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))
    assert len(template["Resources"]["UsageTable"]["Properties"]["GlobalSecondaryIndexes"]) == 2


def test_every_price_has_a_unit_and_a_source() -> None:
    for each in (*PRICES["prices"].values(), *PRICES["free"].values(), *PRICES["quotas"].values()):
        assert each["source"].startswith("https://")
        assert each.get("per") or each.get("of")

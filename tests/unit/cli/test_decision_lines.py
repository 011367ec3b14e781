import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_cli.decisions import DecisionFilter, Failure, Traffic, format_decision, parse_decision
from vibe_cli.output import Ink, clean

L1, L2 = "cliproxyapi/claude-sonnet-4-6", "new-api/gpt-5"
PLAIN = Ink(io.StringIO())


def _decision(**changed: Any) -> dict[str, Any]:
    return {
        "message": "ROUTING DECISION",
        "timestamp": "2026-11-23T20:59:57.582+00:00",
        "selected_model": "auto-chat",
        "attempts": [
            {"deployment": L1, "verdict": "quota", "status": 429, "ms": 15.2, "cooldown_until": None},
            {"deployment": L2, "verdict": "ok", "status": 200, "ms": 307.2, "cooldown_until": None},
        ],
        "cooling": [],
        "deployment": L2,
        "fallbacks": 1,
        "status": 200,
        "error": None,
        "stream": True,
        "prompt_tokens": 15,
        "completion_tokens": None,
        "ttft_ms": 312.4,
        "total_ms": 1206.3,
    } | changed


def test_formatted_line() -> None:
    assert format_decision(_decision(), PLAIN, UTC) == (
        f"20:59:57  auto-chat → {L2}  after {L1} quota 429 (15 ms)  first token 312 ms  total 1.2 s  15 + ? tokens  200"
    )


def test_formatted_failure() -> None:
    failed = _decision(deployment=None, status=502, error="all_deployments_failed", cooling=[L2])
    line = format_decision(failed, PLAIN, UTC)
    assert "auto-chat → none" in line
    assert f"skipped: {L2}" in line
    assert line.endswith("502 all_deployments_failed")


def test_control_characters_are_replaced() -> None:
    assert "\x1b" not in format_decision(_decision(selected_model="\x1b[2Jx\ny", error="\x1b]0;t\x07"), PLAIN, UTC)
    assert clean("a\nb\x1b[31m") == "a b\N{REPLACEMENT CHARACTER}[31m"
    assert len(clean("x" * 1000, 80)) == 80


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (json.dumps(_decision()), True),
        ("2026-11-23T20:59:57Z req-1 " + json.dumps(_decision()) + "\n", True),
        (json.dumps(_decision(message="FAULT", where="ROUTING DECISION")), False),
        ("ROUTING DECISION", False),
        ('{"message": "ROUTING DECISION"', False),
        ('["ROUTING DECISION", {}]', False),
        ("", False),
    ],
    ids=["as logged", "with a prefix", "another message", "not JSON", "cut", "not an object", "empty"],
)
def test_only_decisions_are_parsed(line: str, found: bool) -> None:
    assert (parse_decision(line) is not None) is found


@pytest.mark.parametrize(
    ("matches", "decision", "shown"),
    [
        (DecisionFilter(), _decision(), True),
        (DecisionFilter(model="auto-chat"), _decision(), True),
        (DecisionFilter(model="auto-codex"), _decision(), False),
        (DecisionFilter(fallbacks=True), _decision(), True),
        (DecisionFilter(fallbacks=True), _decision(fallbacks=0), False),
        (DecisionFilter(failed=True), _decision(), False),
        (DecisionFilter(failed=True), _decision(status=502), True),
        (DecisionFilter(failed=True), _decision(error="upstream_stalled"), True),
        (DecisionFilter(failed=True, model="auto-codex"), _decision(status=502), False),
    ],
    ids=[
        "all",
        "its model",
        "another model",
        "a fallback",
        "no fallback",
        "no failure",
        "an error",
        "a truncated answer",
        "a failure of another model",
    ],
)
def test_filters(matches: DecisionFilter, decision: dict[str, Any], shown: bool) -> None:
    assert matches(decision) is shown


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(_decision(), _ANYTHING)))
def test_fields_of_any_shape_are_formatted_and_counted(fields: dict[str, Any]) -> None:
    assert "\n" not in format_decision(fields, PLAIN, UTC)
    DecisionFilter(failed=True, fallbacks=True)(fields)
    Traffic().count(fields)


@given(st.permutations(range(4)))
def test_last_failure_does_not_depend_on_the_order(order: list[int]) -> None:
    today = Traffic()
    begin = datetime(2026, 11, 23, tzinfo=UTC)
    for hour in order:
        attempts = [{"deployment": L1, "verdict": "transient", "status": 500 + hour}]
        at = (begin + timedelta(hours=hour)).isoformat()
        today.count(_decision(timestamp=at, attempts=attempts, deployment=L2 if hour else None))
    assert today.last_failures == {L1: Failure(begin + timedelta(hours=3), "transient", 503)}
    assert (today.requests, today.served) == (4, {L2: 3})


def test_colour_only_on_terminals_without_no_color() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert Ink(Terminal(), {})("bad", "x") == "\x1b[31mx\x1b[0m"
    assert Ink(Terminal(), {"NO_COLOR": "1"})("bad", "x") == "x"
    assert Ink(io.StringIO(), {})("bad", "x") == "x"

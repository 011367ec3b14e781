"""Which alerts follow: as tables, and for budgets as properties of a fleet that spends, resets and is raised."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vibe_router.access.keys import Limits
from vibe_router.access.ledger import Ledger, roll_period
from vibe_router.alerts.alert import Alert, describe
from vibe_router.alerts.rules import (
    budget_alert,
    cooldown_alert,
    credential_alert,
    no_deployment_alert,
    quota_alerts,
    rollback_alert,
    soft_budget_alert,
    trial_alert,
)
from vibe_router.core.models import ALERT_EVENTS, Deployment, Policy, Provider, QuotaPolicy
from vibe_router.core.record import Record
from vibe_router.routing.cooldown import State
from vibe_router.routing.quota import QuotaWindow
from vibe_router.routing.verdict import Verdict

NOW = 1_800_000_000.0
NANO = 10**9
THRESHOLDS = (0.5, 0.8, 0.95)
MONTHLY = Limits(max_budget=100 * NANO, budget_duration="30d")
LEDGER = Ledger(spent=0, period_ends=NOW + 86_400)


def of_budget(spent: float, limits: Limits = MONTHLY, ledger: Ledger = LEDGER, now: float = NOW) -> Alert | None:
    ledger = replace(ledger, spent=round(spent * NANO))
    return budget_alert("key", "key#k", "ci", ledger, limits, THRESHOLDS, now)


@pytest.mark.parametrize(
    ("spent", "reached"),
    [
        pytest.param(0, None, id="nothing spent"),
        pytest.param(49.99, None, id="just below the first"),
        pytest.param(50, 0.5, id="exactly the first"),
        pytest.param(79.99, 0.5, id="between two"),
        pytest.param(96, 0.95, id="a jump over all reports the highest"),
        pytest.param(250, 0.95, id="far beyond the budget"),
    ],
)
def test_the_highest_threshold_is_reported(spent: float, reached: float | None) -> None:
    alert = of_budget(spent)
    assert (alert and alert.figures["threshold"]) == reached


@pytest.mark.parametrize(
    ("limits", "ledger"),
    [
        pytest.param(Limits(), LEDGER, id="no budget"),
        pytest.param(Limits(max_budget=0), LEDGER, id="a budget of nothing"),
        pytest.param(MONTHLY, replace(LEDGER, period_ends=0), id="a period that has not begun"),
        pytest.param(MONTHLY, replace(LEDGER, period_ends=NOW - 1), id="a period that is over"),
    ],
)
def test_no_budget_to_report(limits: Limits, ledger: Ledger) -> None:
    assert of_budget(99, limits, ledger) is None


def test_a_changed_budget_and_a_new_period_begin_anew() -> None:
    ids = {
        of_budget(60).id,  # type: ignore[union-attr]
        of_budget(110, replace(MONTHLY, max_budget=200 * NANO)).id,  # type: ignore[union-attr]
        of_budget(60, ledger=replace(LEDGER, period_ends=NOW + 30 * 86_400)).id,  # type: ignore[union-attr]
    }
    assert len(ids) == 3


steps = st.lists(st.tuples(st.sampled_from(["spend", "wait", "change"]), st.integers(1, 60)), min_size=1, max_size=40)


@settings(max_examples=60)
@given(steps, st.booleans())
def test_each_threshold_of_a_budget_in_a_period_is_raised_once(steps: Sequence[tuple[str, int]], resets: bool) -> None:
    now, budget = NOW, 100
    ledger = Ledger(period_ends=NOW + 50 if resets else 0)
    raised: dict[str, tuple[float, int, object]] = {}
    for kind, amount in steps:
        if kind == "wait":
            now += amount
        elif kind == "change":
            budget = 50 + amount
        limits = Limits(max_budget=budget, budget_duration="50s" if resets else None)
        ledger = roll_period(ledger, limits, now)
        if kind == "spend":
            ledger = replace(ledger, spent=ledger.spent + amount)
        alert = budget_alert("key", "key#k", "ci", ledger, limits, THRESHOLDS, now)
        reached = max((each for each in THRESHOLDS if ledger.spent >= each * budget), default=None)
        assert (alert is None) == (reached is None)
        if alert:
            fact = (ledger.period_ends, budget, alert.figures["threshold"])
            assert alert.figures["threshold"] == reached
            assert raised.setdefault(alert.id, fact) == fact  # one id, one fact
    assert len(set(raised.values())) == len(raised)  # one fact, one id


def test_a_soft_budget_is_reported_once_it_is_spent() -> None:
    ledger = replace(LEDGER, spent=10 * NANO)
    limits = Limits(budget_duration="30d", soft_budget=11 * NANO)
    assert soft_budget_alert("team", "team#t", "research", ledger, limits, NOW) is None
    alert = soft_budget_alert("team", "team#t", "research", ledger, replace(limits, soft_budget=9 * NANO), NOW)
    assert alert
    assert "The team research has spent $10.00, and with it its soft budget of $9.00." in text_of(alert)


def deployment(threshold: float = 90) -> Deployment:
    return Deployment(Provider("claude", "http://x", "S"), "m", Policy(quota=QuotaPolicy(threshold)))


def test_a_quota_above_its_threshold_is_reported_once_per_window() -> None:
    def of(used: float, resets_at: float, name: str = "5h", now: float = NOW) -> list[str]:
        return [each.id for each in quota_alerts(deployment(), [QuotaWindow(name, used, resets_at)], now)]

    assert of(0.89, NOW + 600) == []
    assert of(0.99, NOW - 1) == []
    reset = NOW - NOW % 3600 + 7200
    first = of(0.9, reset)
    assert first == of(0.95, reset + 1, now=NOW + 500) == of(0.99, reset - 1)
    assert of(0.9, reset + 5 * 3600) != first
    minute = of(0.95, NOW + 30, "requests")
    assert minute == of(0.99, NOW + 90, "requests", NOW + 60)
    assert minute != of(0.99, NOW + 90, "requests", NOW + 86_400)


def state(verdict: Verdict, since: float, until: float, id_: str = "deployment#ark/glm") -> State:
    return State(id_, 3, until=until, verdict=verdict, since=since)


@pytest.mark.parametrize(
    ("seen", "reported"),
    [
        pytest.param(state(Verdict.TRANSIENT, NOW - 60, NOW + 20), False, id="a short cooldown"),
        pytest.param(state(Verdict.TRANSIENT, NOW - 901, NOW - 1), True, id="due for a probe after a long one"),
        pytest.param(state(Verdict.QUOTA, NOW, NOW + 1800), True, id="known to last"),
        pytest.param(state(Verdict.AUTH, NOW - 9000, NOW + 1800), False, id="a credential has its own alert"),
        pytest.param(State("deployment#ark/glm"), False, id="healthy"),
    ],
)
def test_a_long_cooldown_is_reported(seen: State, reported: bool) -> None:
    assert (cooldown_alert(seen, 15, NOW) is not None) is reported


def test_an_incident_is_reported_again_each_day() -> None:
    seen = state(Verdict.AUTH, NOW, NOW + 1800, "credential#ark")
    first, later, tomorrow = (credential_alert(seen, 401, NOW + after) for after in (0, 3600, 86_400))
    assert first
    assert later
    assert tomorrow
    assert first.subject == "ark"
    assert first.id == later.id != tomorrow.id
    again = credential_alert(replace(seen, since=NOW + 40), 401, NOW + 40)
    assert again
    assert again.id != first.id


def record(**fields: Any) -> Record:
    return Record("r1", NOW, model="auto-chat", status=502, **fields)


def test_a_request_without_a_deployment_left_is_reported_once_an_hour() -> None:
    assert no_deployment_alert(record(error="rate_limit_exceeded"), NOW) is None
    attempts = ({"deployment": "ark/glm", "verdict": "transient"},)
    failed = record(error="all_deployments_failed", attempts=attempts)
    first, later = no_deployment_alert(failed, NOW), no_deployment_alert(failed, NOW + 3600)
    assert first
    assert later
    assert first.id != later.id
    assert first.figures == {"status": 502, "request_id": "r1", "tried": "ark/glm: transient"}


def text_of(alert: Alert) -> str:
    return describe(alert.event, alert.subject, alert.figures)


def test_every_event_has_a_sentence() -> None:
    alerts = [
        of_budget(96),
        soft_budget_alert("key", "key#k", "ci", replace(LEDGER, spent=10), replace(MONTHLY, soft_budget=5), NOW),
        next(quota_alerts(deployment(), [QuotaWindow("5h", 0.95, NOW + 7200)], NOW)),
        cooldown_alert(state(Verdict.TRANSIENT, NOW - 1000, NOW), 15, NOW),
        credential_alert(state(Verdict.AUTH, NOW, NOW + 60, "credential#ark"), 401, NOW),
        no_deployment_alert(record(error="all_deployments_failed"), NOW),
        rollback_alert("auto", 3, "rolled back automatically", NOW),
        trial_alert("ops", "1", NOW),
    ]
    assert [each.event for each in alerts if each] == [*ALERT_EVENTS, "test"]
    for each in filter(None, alerts):
        assert "?" not in text_of(each)
    small = describe("soft_budget", "ci", {"owner": "key", "spent": 0.000123, "budget": 0.05})
    assert "has spent $0.000123, and with it its soft budget of $0.05." in small
    assert describe("budget", "ci", {}) == "The ? ci has spent $? of $?: ? % or more."


def test_an_id_reveals_nothing_about_the_key() -> None:
    alert = budget_alert("key", "key#" + "ab" * 32, "ci", replace(LEDGER, spent=99 * NANO), MONTHLY, THRESHOLDS, NOW)
    assert alert
    assert "abab" not in f"{alert.id}{alert.subject}{alert.figures}{text_of(alert)}"

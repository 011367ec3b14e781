"""What a completed request raises: from what is in memory, and only what a receiver wants."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from vibe_router.access.keys import Caller, Key, KeyOwner, Limits, Team
from vibe_router.access.ledger import Ledger
from vibe_router.alerts.alert import Alert
from vibe_router.core.clock import Clock
from vibe_router.core.models import AlertPolicy, Deployment, Provider, Receiver, VirtualModel
from vibe_router.core.record import Record
from vibe_router.pipeline.alert_observer import AlertObserver, ledger_name
from vibe_router.pipeline.observers import CompletedRequest
from vibe_router.pipeline.trace import AttemptTrace
from vibe_router.routing.chain import Skipped
from vibe_router.routing.cooldown import State, healthy
from vibe_router.routing.outcome import Attempt
from vibe_router.routing.verdict import Classification, Scope, Verdict

NOW = 1_800_000_000.0
ARK = Deployment(Provider("ark", "http://x", "S"), "glm")
RELAY = Deployment(Provider("relay", "http://x", "S"), "gpt")
MODEL = VirtualModel("auto", "", ((ARK,), (RELAY,)))
CALLER = Caller(Key("h", "k" * 64, alias="ci", team_id="t"), Team("t", alias="research"))
BUDGET = Limits(max_budget=100)


class Fleet:
    """The stores that an observer reads, and the alerts that it raises."""

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.ledgers: dict[str, Ledger] = {}
        self.asked: list[str] = []
        self.raised: list[Alert] = []

    def read(self, ids: Sequence[str]) -> dict[str, State]:
        self.asked += ids
        return {each: self.states.get(each, healthy(each)) for each in ids}

    def last_seen(self, ids: Iterable[str]) -> dict[str, Ledger]:
        return {each: self.ledgers[each] for each in ids if each in self.ledgers}

    def raise_alerts(self, alerts: Iterable[Alert]) -> None:
        self.raised += alerts


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def observe(fleet: Fleet, request: CompletedRequest, *events: str) -> list[tuple[str, str]]:
    policy = AlertPolicy({"ops": Receiver("json", "URL", events=events)})
    clock = Clock(now=lambda: NOW)
    AlertObserver(lambda: policy, fleet, fleet, fleet, clock).observe(request)  # type: ignore[arg-type]
    return [(each.event, each.subject) for each in fleet.raised]


def completed(trace: AttemptTrace | None = None, error: str | None = None, **ledgers: Limits) -> CompletedRequest:
    trace = trace or AttemptTrace()
    record = Record("r", NOW, key="k", model="auto", status=502 if error else 200, error=error)
    by_id = {name.replace("_", "#"): limits for name, limits in ledgers.items()}
    return CompletedRequest(record, tuple(trace.attempts), 0.0, None, trace, MODEL, CALLER, by_id)


def test_an_ordinary_request_reads_nothing_and_raises_nothing(fleet: Fleet) -> None:
    assert observe(fleet, completed(key_k=BUDGET)) == []
    assert fleet.asked == []


def test_a_failure_and_a_skipped_deployment(fleet: Fleet) -> None:
    rejected = Classification(Verdict.AUTH, Scope.CREDENTIAL, status=401)
    trace = AttemptTrace(attempts=[Attempt("ark/glm", rejected, 401, 5, NOW + 1800)])
    trace.skipped.append(Skipped(RELAY, Verdict.TRANSIENT, NOW + 20))
    fleet.states = {
        "credential#ark": State("credential#ark", 1, until=NOW + 1800, verdict=Verdict.AUTH, since=NOW),
        "deployment#relay/gpt": State("deployment#relay/gpt", 9, NOW + 20, Verdict.TRANSIENT, since=NOW - 1000),
    }
    found = observe(fleet, completed(trace, "all_deployments_failed"))
    assert found == [("no_deployment", "auto"), ("credential", "ark"), ("cooldown", "relay/gpt")]
    assert fleet.raised[1].figures["status"] == 401


def test_a_reported_quota_and_spent_budgets(fleet: Fleet) -> None:
    headers = {"anthropic-ratelimit-unified-5h-utilization": "0.93"}
    trace = AttemptTrace(reported={"ark/glm": headers, "elsewhere/m": headers})
    fleet.ledgers = {"key#k": Ledger(spent=80), "team#t": Ledger(spent=50), "key#k#auto*": Ledger(spent=96)}
    soft = Limits(max_budget=200, soft_budget=40)
    request = replace(
        completed(trace), ledgers={"key#k": BUDGET, "team#t": soft, "key#k#auto*": BUDGET, "key#x": BUDGET}
    )
    found = observe(fleet, request)
    assert found == [("quota", "ark"), ("budget", "ci"), ("soft_budget", "research"), ("budget", "ci (auto*)")]


def test_events_that_no_receiver_wants_are_not_raised(fleet: Fleet) -> None:
    fleet.ledgers = {"key#k": Ledger(spent=80)}
    assert observe(fleet, completed(error="all_deployments_failed", key_k=BUDGET), "quota", "budget") == [
        ("budget", "ci")
    ]


def test_a_rollback_is_raised_if_a_receiver_wants_it(fleet: Fleet) -> None:
    for events in (("budget",), ()):
        policy = AlertPolicy({"ops": Receiver("json", "URL", events=events)})
        observer = AlertObserver(lambda policy=policy: policy, fleet, fleet, fleet, Clock(now=lambda: NOW))  # type: ignore[misc, arg-type]
        observer.report_rollback("auto", 3, "it was worse")
    assert [(each.event, each.subject) for each in fleet.raised] == [("rollback", "auto")]


def test_a_ledger_without_an_alias_shows_a_short_id_and_no_key() -> None:
    nameless = Caller(Key("h", "k" * 64))
    assert ledger_name(nameless, "key#" + "k" * 64) == "k" * 10
    assert ledger_name(CALLER, "team#t") == "research"
    owner = KeyOwner("somebody@example.com")
    assert ledger_name(Caller(nameless.key, user=owner), owner.ledger_id) == "somebody@example.com"

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.core.models import CooldownPolicy
from vibe_router.routing.cooldown import Phase, State, cleared, cooled, healthy, leased, released
from vibe_router.routing.verdict import Classification, Scope, Verdict

NOW = 1_800_000_000.0

instants = st.floats(NOW, NOW + 10_000_000)
seconds = st.floats(0.001, 100_000)
policies = st.tuples(st.floats(0.1, 100), st.floats(100, 100_000)).map(lambda pair: CooldownPolicy(*pair))
classifications = st.builds(
    Classification,
    verdict=st.sampled_from(Verdict),
    scope=st.sampled_from(Scope),
    reset_after=st.none() | seconds,
)
states = st.builds(
    State,
    id=st.just("deployment#ark/glm-4.7"),
    version=st.integers(0, 1000),
    until=st.just(0.0) | instants,
    verdict=st.none() | st.sampled_from(Verdict),
    strikes=st.integers(0, 5000),
    since=instants,
    lease_until=st.just(0.0) | instants,
)


def hinted(seconds: float | None = None) -> Classification:
    return Classification(Verdict.TRANSIENT, Scope.DEPLOYMENT, reset_after=seconds)


@given(state=states, classification=classifications, policy=policies, now=instants)
def test_a_cooldown_is_never_longer_than_max_and_never_empty(
    state: State, classification: Classification, policy: CooldownPolicy, now: float
) -> None:
    rest = cooled(state, classification, policy, now, evidence="").until - now
    assert 0 < rest <= policy.max + 0.001


LIMITS = {
    Classification(Verdict.TRANSIENT, Scope.DEPLOYMENT): 20,
    Classification(Verdict.TRANSIENT, Scope.DEPLOYMENT, timeout=True): 20,  # a 504 that came at once
    Classification(Verdict.TRANSIENT, Scope.DEPLOYMENT, timeout=True, silent=True): 300,
    Classification(Verdict.RATE_LIMITED, Scope.DEPLOYMENT): 300,
    Classification(Verdict.QUOTA, Scope.DEPLOYMENT): 100_000,
    Classification(Verdict.AUTH, Scope.CREDENTIAL): 100_000,
    Classification(Verdict.MISCONFIGURED, Scope.DEPLOYMENT): 100_000,
}


@given(policy=policies, strikes=st.integers(1, 40), failure=st.sampled_from(sorted(LIMITS, key=repr)))
def test_a_cooldown_doubles_with_every_strike_up_to_the_limit_of_its_verdict(
    policy: CooldownPolicy, strikes: int, failure: Classification
) -> None:
    state, rests = healthy("deployment#a/b"), []
    for _ in range(strikes):
        state = cooled(state, failure, policy, NOW, evidence="")
        rests.append(state.until - NOW)
    limit = min(policy.max, LIMITS[failure])
    assert rests == sorted(rests)
    assert rests[0] == pytest.approx(min(policy.base, limit), abs=1e-5)
    for shorter, longer in pairwise(rests):
        assert longer == pytest.approx(min(2 * shorter, limit), abs=1e-5)


@given(state=states, policy=policies, hint=seconds)
def test_a_reset_hint_is_taken_up_to_max(state: State, policy: CooldownPolicy, hint: float) -> None:
    assert cooled(state, hinted(hint), policy, NOW, evidence="").until == pytest.approx(
        NOW + min(hint, policy.max), abs=1e-5
    )


@given(state=states, first=classifications, second=classifications, policy=policies, now=instants, later=seconds)
def test_a_retry_of_the_same_incident_adds_no_strike_and_never_shortens_the_cooldown(
    state: State, first: Classification, second: Classification, policy: CooldownPolicy, now: float, later: float
) -> None:
    once = cooled(state, first, policy, now, evidence="first")
    twice = cooled(once, second, policy, now + later, evidence="second", same_incident=True)
    assert twice.strikes == once.strikes == state.strikes + 1
    assert twice.until >= once.until
    assert twice.evidence == "second"


@given(state=states, classification=classifications, policy=policies, now=instants, lease=seconds)
def test_every_change_carries_the_next_version_of_the_same_id(
    state: State, classification: Classification, policy: CooldownPolicy, now: float, lease: float
) -> None:
    for successor in (
        cooled(state, classification, policy, now, evidence=""),
        cooled(state, classification, policy, now, evidence="", same_incident=True),
        leased(state, now, lease),
        released(state),
        cleared(state, now),
    ):
        assert (successor.id, successor.version) == (state.id, state.version + 1)


@given(state=states, now=instants, at=instants)
def test_a_cleared_state_is_healthy_at_any_time_and_remembers_no_strike(state: State, now: float, at: float) -> None:
    healed = cleared(state, now)
    assert healed.phase(at) is Phase.HEALTHY
    assert (healed.strikes, healed.verdict, healed.lease_until) == (0, None, 0)


@given(state=states, now=instants)
def test_a_state_is_in_exactly_one_phase(state: State, now: float) -> None:
    expected = {
        Phase.HEALTHY: state.until == 0,
        Phase.COOLING: state.until > now,
        Phase.PROBING: 0 < state.until <= now < state.lease_until,
        Phase.DUE: 0 < state.until <= now and state.lease_until <= now,
    }
    assert [phase for phase, holds in expected.items() if holds] == [state.phase(now)]


@given(state=states, now=instants, lease=seconds, after=seconds)
def test_a_lease_excludes_others_until_it_ends(state: State, now: float, lease: float, after: float) -> None:
    due = replace(state, until=now, lease_until=0.0)
    held = leased(due, now, lease)
    assert held.phase(now) is Phase.PROBING
    assert held.phase(held.lease_until) is Phase.DUE
    assert released(held).phase(now) is Phase.DUE
    assert (held.strikes, held.until) == (due.strikes, due.until)


@given(state=states, classification=classifications, policy=policies, now=instants)
def test_a_failed_probe_ends_its_lease_and_keeps_the_beginning_of_the_incident(
    state: State, classification: Classification, policy: CooldownPolicy, now: float
) -> None:
    due = replace(state, until=now)
    failed = cooled(leased(due, now, 15), classification, policy, now + 1, evidence="")
    assert failed.phase(now + 1) is Phase.COOLING
    assert failed.lease_until == 0
    assert failed.since == due.since


@given(state=states, classification=classifications, policy=policies, now=instants, lease=seconds)
def test_an_item_expires_a_day_after_its_last_time(
    state: State, classification: Classification, policy: CooldownPolicy, now: float, lease: float
) -> None:
    for successor in (
        cooled(state, classification, policy, now, evidence=""),
        leased(replace(state, until=now), now, lease),
        cleared(state, now),
    ):
        assert successor.expires_at >= max(successor.until, successor.lease_until, now) + 86_400 - 1


def test_a_state_that_was_never_written_is_healthy_with_version_0() -> None:
    assert healthy("credential#ark") == State("credential#ark", version=0)
    assert healthy("credential#ark").phase(NOW) is Phase.HEALTHY


POLICY = CooldownPolicy(base=5, max=1800)
BROKEN = Classification(Verdict.TRANSIENT, Scope.DEPLOYMENT)


def after(*origins: str, start: State | None = None, every: float = 1.0) -> State:
    """Return the state after failures of these origins, `every` so many seconds."""
    state = start or healthy("deployment#ark/glm-4.7")
    for index, origin in enumerate(origins):
        state = cooled(state, BROKEN, POLICY, NOW + index * every, evidence="", origin=origin)
    return state


def test_repeated_failures_of_one_conversation_are_one_strike() -> None:
    state = after(*["ann/1"] * 6)
    assert (state.strikes, state.until) == (1, NOW + 5)
    assert state.seen_by("ann/1", NOW + 10).until == NOW + 5 + 20, "the conversation itself is kept away, 20 s at most"
    assert state.seen_by("ann/2", NOW + 10).phase(NOW + 10) is Phase.DUE
    assert state.seen_by("bob/1", NOW + 10).phase(NOW + 10) is Phase.DUE


def test_failures_of_two_conversations_cool_for_their_caller_alone() -> None:
    state = after("ann/1", "ann/2", "ann/3")
    assert (state.strikes, state.origin) == (1, "ann/")
    assert state.seen_by("ann/4", NOW + 6).phase(NOW + 6) is Phase.COOLING
    assert state.seen_by("bob/1", NOW + 6).phase(NOW + 6) is Phase.DUE


@pytest.mark.parametrize("origins", [("ann/1", "bob/1"), ("ann/1", "ann/1", "bob/1"), ("ann/1", "ann/2", "bob/1")])
def test_the_failure_of_a_second_caller_counts_for_all(origins: tuple[str, ...]) -> None:
    state = after(*origins)
    assert (state.strikes, state.origin) == (2, "")
    assert state.until == pytest.approx(NOW + len(origins) - 1 + 10)
    assert after("ann/1", start=state).strikes == 3, "from then on every failure counts"


def test_a_success_of_others_does_not_let_one_conversation_strike_again() -> None:
    healed = cleared(after("ann/1"), NOW + 6, "bob/1")
    again = cooled(healed, BROKEN, POLICY, NOW + 7, evidence="", origin="ann/1")
    assert again.phase(NOW + 7) is Phase.HEALTHY
    assert again.seen_by("ann/1", NOW + 7).phase(NOW + 7) is Phase.COOLING
    assert cleared(again, NOW + 8, "ann/1").seen_by("ann/1", NOW + 8).phase(NOW + 8) is Phase.HEALTHY


@pytest.mark.parametrize(
    ("classification", "origin"),
    [
        pytest.param(BROKEN, "", id="a failure that no request causes"),
        pytest.param(Classification(Verdict.TRANSIENT, Scope.DEPLOYMENT, reset_after=9), "ann/1", id="a reset hint"),
        pytest.param(Classification(Verdict.QUOTA, Scope.DEPLOYMENT), "ann/1", id="a quota"),
        pytest.param(Classification(Verdict.RATE_LIMITED, Scope.DEPLOYMENT), "ann/1", id="a rate limit"),
    ],
)
def test_a_failure_that_no_request_can_cause_counts_for_every_caller(
    classification: Classification, origin: str
) -> None:
    assert cooled(after("ann/1"), classification, POLICY, NOW + 6, evidence="", origin=origin).strikes == 2


def test_an_origin_is_forgotten_after_ten_minutes() -> None:
    assert cooled(after("ann/1"), BROKEN, POLICY, NOW + 601, evidence="", origin="ann/1").strikes == 2

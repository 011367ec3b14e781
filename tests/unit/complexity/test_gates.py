import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.simulate_rollouts import is_gate_open, requests_until_rollback
from vibe_router.routing.complexity.gates import (
    STAGES,
    Observation,
    StratumReport,
    labels_needed,
    next_stage,
    report_on,
    wilson_bounds,
)
from vibe_router.routing.complexity.sequential import LIMIT, evidence_against_mini, is_mini_worse


def english(observations: list[Observation]) -> StratumReport:
    found = report_on(observations, quality=0.98, precision=0.9)
    return next(each for each in found.strata if each.stratum == "en")


def test_gates_open_and_close_correctly_in_simulated_runs() -> None:
    chance = random.Random(11)  # noqa: S311
    runs = 40
    assert sum(is_gate_open(chance, 2_400, 0.985, 0.015) for _ in range(runs)) >= 0.95 * runs
    assert sum(is_gate_open(chance, 2_400, 0.85, 0.05) for _ in range(runs)) <= 0.05 * runs
    assert sum(is_gate_open(chance, 2_400, 0.95, 0.05, right_hard=0.95) for _ in range(runs)) <= 0.1 * runs


def test_a_report_without_evidence_names_what_is_missing() -> None:
    found = english([Observation("mini", ("en",))] * 200)
    gates = {gate.name: gate for gate in found.gates}
    assert not found.is_open
    assert gates["scored requests"].missing == 800
    assert gates["right decisions for mini"].missing is not None
    assert 100 < (gates["loss of quality"].missing or 0) < 2000


def test_mini_alone_may_be_good_enough() -> None:
    good = [Observation(would, ("en",), judged=0.5) for would in ("mini", "standard")]
    wrong = [Observation(would, ("en",), judged=0.0) for would in ("mini", "standard")]
    found = english(good * 1_500 + wrong * 8)
    assert found.needs_no_router


def test_satisfaction_may_fall_by_five_points() -> None:
    def fed(arm: str, happy: int) -> list[Observation]:
        return [Observation("mini", ("en",), arm=arm, feedback=1 if each < happy else -1) for each in range(100)]

    gate = {gate.name: gate for gate in english(fed("mini", 90) + fed("standard", 92)).gates}["satisfaction"]
    assert gate.is_open
    gate = {gate.name: gate for gate in english(fed("mini", 80) + fed("standard", 92)).gates}["satisfaction"]
    assert not gate.is_open


@given(st.integers(0, 500), st.integers(0, 500))
@settings(max_examples=50)
def test_wilson_bounds_hold_the_share(right: int, wrong: int) -> None:
    low, high = wilson_bounds(right, right + wrong)
    share = right / (right + wrong) if right + wrong else 0.5
    assert 0 <= low <= share + 1e-9
    assert share - 1e-9 <= high <= 1


@pytest.mark.parametrize(("share", "have", "needed"), [(0.95, 0, True), (0.9, 50, False), (0.8, 0, False)])
def test_more_labels_help_only_above_the_requirement(share: float, have: int, needed: bool) -> None:
    found = labels_needed(share, 0.9, have)
    assert (found is not None) == needed
    if found:
        number = have + found
        assert wilson_bounds(int(share * number), number)[0] >= 0.89


def test_stages_follow_each_other() -> None:
    stage: tuple[str, float] | None = STAGES[0]
    seen = []
    while stage:
        seen.append(stage)
        stage = next_stage(*stage)
    assert seen == list(STAGES)
    assert next_stage("complexity", 25) == ("complexity", 50)


def test_false_rollbacks_are_rare_and_a_doubling_is_found() -> None:
    """In 1,000 runs each, of up to 5,000 requests at 50 %, of which 5 % end badly."""
    chance = random.Random(5)  # noqa: S311
    harmless = [requests_until_rollback(chance, 0.05, 1) for _ in range(1_000)]
    assert sum(each is not None for each in harmless) <= 50
    doubled = sorted(requests_until_rollback(chance, 0.05, 2) or 9_999 for _ in range(1_000))
    assert doubled[500] <= 620
    assert doubled[995] < 9_999


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_a_harmless_rollout_of_any_length_is_hardly_ever_rolled_back(share: float) -> None:
    """Follow the probability of each split of 400 events exactly, up to the events that end a rollout."""
    going, stopped = {0: 1.0}, 0.0
    for number in range(1, 400):
        following: dict[int, float] = {}
        for mini, probability in going.items():
            following[mini] = following.get(mini, 0.0) + probability * (1 - share)
            following[mini + 1] = following.get(mini + 1, 0.0) + probability * share
        ended = [mini for mini in following if is_mini_worse(mini, number - mini, share)]
        stopped += sum(map(following.pop, ended))
        going = {mini: probability for mini, probability in following.items() if probability > 1e-9}
    assert stopped <= 0.05


def test_evidence_needs_two_arms() -> None:
    assert evidence_against_mini(50, 0, 1.0) == 0
    assert evidence_against_mini(50, 0, 0.0) == 0
    assert evidence_against_mini(0, 0, 0.5) == 1
    assert evidence_against_mini(30, 0, 0.1) > LIMIT

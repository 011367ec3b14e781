"""Where a request stands on a budget ladder, and which soft budgets are spent."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vibe_router.access.budgets import budget_ladder, exceeded_soft_budgets, ladder_of
from vibe_router.access.keys import MASTER, Caller, Key, Limits, ModelBudget, Team
from vibe_router.access.ledger import Ledger
from vibe_router.core.models import LadderStep, VirtualModel

NOW = 1_000.0
BIG = VirtualModel("big", "", (), ladder=(LadderStep(0.8, "mini"), LadderStep(0.95, "nano")))
DAY = Limits(max_budget=100, budget_duration="1d")


def key(limits: Limits = DAY, models: tuple[str, ...] = (), **ladder: tuple[LadderStep, ...]) -> Key:
    return Key(
        "hash",
        "k",
        models=models,
        limits=limits,
        budget_ladder={name.replace("_", "*"): it for name, it in ladder.items()},
    )


def spent(amount: int, period_ends: float = NOW + 1) -> Ledger:
    return Ledger(committed=amount, spent=amount, total=amount, period_ends=period_ends)


def serves(
    caller: Caller, ledgers: Mapping[str, Ledger], served: str = "mini nano other", model: VirtualModel = BIG
) -> str:
    place = budget_ladder(caller, model, ledgers, NOW, served.split().__contains__)
    return place.serves if place else model.name


@pytest.mark.parametrize(
    ("amount", "expected"),
    [(0, "big"), (79, "big"), (80, "mini"), (94, "mini"), (95, "nano"), (100, "nano"), (400, "nano")],
)
def test_the_share_that_is_spent_decides(amount: int, expected: str) -> None:
    assert serves(Caller(key()), {"key#k": spent(amount)}) == expected
    assert serves(Caller(key(Limits()), Team("t", limits=DAY)), {"team#t": spent(amount)}) == expected


def test_the_budget_that_is_used_the_most_decides() -> None:
    caller = Caller(
        key(Limits(max_budget=100, models=(ModelBudget("b*", 10),))), Team("t", limits=Limits(max_budget=1000))
    )
    ledgers = {"key#k": spent(10), "team#t": spent(10), "key#k#b*": spent(9)}
    place = budget_ladder(caller, BIG, ledgers, NOW, lambda _: True)
    assert place
    assert (place.serves, place.owner, place.share) == ("mini", "key", 0.9)
    assert place.header() == "big; from=0.8; budget=key; used=0.9"
    assert [each.serves for each in place.places()] == ["mini", "nano"]


@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        (Caller(key(models=("big", "nano"))), "big"),  # may not use mini
        (Caller(key(), Team("t", models=("big", "nano"))), "big"),
        (Caller(key(big=(LadderStep(0.5, "other"),))), "other"),
        (Caller(key(big=())), "big"),  # switched off
        (Caller(key(b_=(LadderStep(0.5, "other"),), _=())), "other"),  # the longer pattern
        (Caller(key(), Team("t", budget_ladder={"big": (LadderStep(0.5, "other"),)})), "other"),
        (Caller(key(big=()), Team("t", budget_ladder={"big": (LadderStep(0.5, "other"),)})), "big"),
        (Caller(key(Limits())), "big"),  # has no budget
        (Caller(key(Limits(max_budget=0))), "nano"),
        (MASTER, "big"),
    ],
)
def test_a_ladder_that_applies(caller: Caller, expected: str) -> None:
    assert serves(caller, {"key#k": spent(90)}) == expected


def test_a_model_that_does_not_exist_is_skipped() -> None:
    assert serves(Caller(key()), {"key#k": spent(96)}, served="mini") == "mini"
    assert serves(Caller(key()), {"key#k": spent(96)}, served="") == "big"


def test_a_period_that_is_over_counts_no_more() -> None:
    assert serves(Caller(key()), {"key#k": spent(96, period_ends=NOW - 1)}) == "big"


def test_soft_budgets_that_are_spent() -> None:
    caller = Caller(key(Limits(soft_budget=2_500_000_000)), Team("t", limits=Limits(soft_budget=50)))
    [found] = exceeded_soft_budgets(caller, {"key#k": spent(2_500_000_000), "team#t": spent(49)}, NOW)
    assert (found.owner, found.header()) == ("key", "key; spent=2.5; budget=2.5")
    assert not exceeded_soft_budgets(MASTER, {}, NOW)


@settings(max_examples=60, deadline=None)
@given(
    allowed=st.lists(st.sampled_from(["big", "mini", "nano"]), max_size=3),
    of_team=st.lists(st.sampled_from(["big", "mini", "*"]), max_size=2),
    amount=st.integers(0, 200),
)
def test_never_a_model_that_the_key_may_not_use(allowed: list[str], of_team: list[str], amount: int) -> None:
    caller = Caller(key(models=tuple(allowed)), Team("t", models=tuple(of_team)))
    place = budget_ladder(caller, BIG, {"key#k": spent(amount)}, NOW, lambda _: True)
    reachable = {each.serves for each in place.places()} - {"big"} if place else set()
    assert all(caller.may_use(model) for model in reachable)
    assert {step.model for step in ladder_of(caller, BIG)} == set(caller.usable(["mini", "nano"]))

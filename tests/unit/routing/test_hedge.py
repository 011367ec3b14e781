"""When a silent deployment is joined by the next one, and how often."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.routing.hedge import HedgeAllowance, hedge_delay, percentile


@pytest.mark.parametrize(
    ("hedge_after", "times", "delay"),
    [
        (None, [], None),
        (8, [], 8.0),
        (0.5, [9.0] * 50, 0.5),
        ("p95", [1.0] * 19, None),
        ("p95", [1.0] * 19 + [30.0], 1.0),
        ("p95", [1.0] * 18 + [30.0] * 2, 30.0),
    ],
)
def test_the_delay(hedge_after: float | str | None, times: list[float], delay: float | None) -> None:
    assert hedge_delay(hedge_after, times) == delay


@given(values=st.lists(st.floats(0, 100), min_size=1), share=st.floats(0.01, 1))
def test_a_percentile_is_one_of_the_values(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9


@given(silent=st.lists(st.booleans(), max_size=400), share=st.sampled_from([0.0, 0.05, 0.2]))
def test_no_more_than_the_share_is_hedged_after_the_first(silent: list[bool], share: float) -> None:
    allowance, hedged = HedgeAllowance(1.0 - share), 0
    for is_silent in silent:
        allowance = allowance.earned(share)
        if is_silent and allowance.permits:
            allowance, hedged = allowance.spent(), hedged + 1
    assert hedged <= 1 + share * len(silent)


def test_one_slow_request_in_twenty_is_always_hedged() -> None:
    allowance = HedgeAllowance(0.95)
    for number in range(400):
        allowance = allowance.earned(0.05)
        if number % 20 == 7:
            assert allowance.permits
            allowance = allowance.spent()

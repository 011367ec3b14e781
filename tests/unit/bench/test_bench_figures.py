import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import Aim, percentile, spread

SAMPLES = st.lists(st.floats(0, 1e6), min_size=1, max_size=200)


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        pytest.param([3.0], 99, 3.0, id="one value is every percentile"),
        pytest.param([2.0, 1.0], 50, 1.0, id="half of two is the smaller"),
        pytest.param([5.0, 1.0, 3.0], 50, 3.0, id="half of three is the middle one"),
        pytest.param([float(n) for n in range(100, 0, -1)], 95, 95.0, id="ninety-five of a hundred"),
        pytest.param([float(n) for n in range(1, 101)], 99, 99.0, id="ninety-nine of a hundred"),
        pytest.param([float(n) for n in range(1, 11)], 99, 10.0, id="the largest of a few"),
    ],
)
def test_percentile_is_the_nearest_rank(values: list[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == expected


@given(SAMPLES, st.sampled_from([50, 95, 99]))
def test_at_least_so_many_percent_do_not_exceed_a_percentile_and_a_smaller_value_would_not_do(
    values: list[float], percent: int
) -> None:
    found = percentile(values, percent)
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_a_spread_is_in_milliseconds() -> None:
    assert spread("total", [0.001, 0.002], (50, 99)) == {"total_p50_ms": 1.0, "total_p99_ms": 2.0}


@pytest.mark.parametrize(("value", "reached"), [(1.4, True), (1.5, True), (1.501, False)])
def test_an_aim_is_reached_up_to_its_limit(value: float, reached: bool) -> None:
    assert Aim("a call", value, 1.5, "ms").reached is reached

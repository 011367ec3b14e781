import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.access.sign_ins import ADDRESS, ALL_ADDRESSES, Failures, SignInThrottle, add_failure, wait_seconds

NOW = 1_800_000_000.0


def after(count: int, patience: SignInThrottle = ADDRESS) -> Failures:
    failures = Failures()
    for _ in range(count):
        failures = add_failure(failures, patience, NOW)
    return failures


@pytest.mark.parametrize(
    ("count", "seconds"), [(0, 0), (4, 0), (5, 1), (6, 2), (7, 4), (10, 32), (13, 256), (14, 300), (10_000, 300)]
)
def test_the_wait_doubles_after_a_few_failures_and_has_an_end(count: int, seconds: float) -> None:
    assert wait_seconds(after(count) if count < 100 else Failures(count, NOW, NOW + 900), ADDRESS, NOW) == seconds


def test_the_wait_runs_down_and_the_failures_are_forgotten() -> None:
    failures = after(10)
    assert wait_seconds(failures, ADDRESS, NOW + 30) == 2
    assert wait_seconds(failures, ADDRESS, NOW + 32) == 0
    assert add_failure(failures, ADDRESS, NOW + 32).count == 11
    assert add_failure(failures, ADDRESS, NOW + ADDRESS.memory).count == 1


def test_all_addresses_together_are_slowed_down_late_and_briefly() -> None:
    assert wait_seconds(after(99, ALL_ADDRESSES), ALL_ADDRESSES, NOW) == 0
    assert wait_seconds(Failures(1_000_000, NOW, NOW + 900), ALL_ADDRESSES, NOW) == 5


@given(count=st.integers(0, 10**9), passed=st.floats(-1e6, 1e6), patience=st.sampled_from([ADDRESS, ALL_ADDRESSES]))
def test_nobody_ever_waits_longer_than_the_longest_whatever_the_clocks_say(
    count: int, passed: float, patience: SignInThrottle
) -> None:
    failures = Failures(count, NOW, NOW + patience.memory)
    assert 0 <= wait_seconds(failures, patience, NOW + passed) <= patience.longest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.access.sign_ins import MEMORY, Failures, add_failure, client_of, wait_seconds

NOW = 1_800_000_000.0


def after(count: int) -> Failures:
    failures = Failures()
    for _ in range(count):
        failures = add_failure(failures, NOW)
    return failures


@pytest.mark.parametrize(
    ("count", "seconds"), [(0, 0), (4, 0), (5, 1), (6, 2), (7, 4), (10, 32), (13, 256), (14, 300), (10_000, 300)]
)
def test_the_wait_doubles_after_a_few_failures_up_to_a_limit(count: int, seconds: float) -> None:
    assert wait_seconds(after(count) if count < 100 else Failures(count, NOW, NOW + 900), NOW) == seconds


def test_the_wait_runs_down_and_the_failures_are_forgotten() -> None:
    failures = after(10)
    assert wait_seconds(failures, NOW + 30) == 2
    assert wait_seconds(failures, NOW + 32) == 0
    assert add_failure(failures, NOW + 32).count == 11
    assert add_failure(failures, NOW + MEMORY).count == 1


@given(count=st.integers(0, 10**9), passed=st.floats(-1e6, 1e6))
def test_no_wait_exceeds_the_longest_whatever_the_clocks_say(count: int, passed: float) -> None:
    assert 0 <= wait_seconds(Failures(count, NOW, NOW + MEMORY), NOW + passed) <= 300


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param("192.0.2.1", "192.0.2.2", False, id="two IPv4 addresses"),
        pytest.param("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True, id="one IPv6 network"),
        pytest.param("2001:db8:0:1::1", "2001:db8:0:2::1", False, id="two IPv6 networks"),
        pytest.param("unknown", "unknown", True, id="no address"),
    ],
)
def test_failures_are_counted_by_client(one: str, other: str, same: bool) -> None:
    assert (client_of(one) == client_of(other)) is same

import pytest

from tests.unit.store.fakes import Time
from vibe_router.access.guessing import GuessThrottle
from vibe_router.core.errors import ApiError

ADDRESS = "192.0.2.1"


def guess(throttle: GuessThrottle, count: int, address: str = ADDRESS) -> None:
    for number in range(count):
        throttle.check(address)
        throttle.record_invalid(address, str(number))


def test_only_an_address_that_guesses_keys_is_throttled() -> None:
    time = Time()
    throttle = GuessThrottle(time.clock)
    guess(throttle, 30)
    with pytest.raises(ApiError) as rejected:
        throttle.check(ADDRESS)
    assert (rejected.value.status, rejected.value.code) == (429, "too_many_invalid_keys")
    assert 0 < int(rejected.value.headers["retry-after"]) <= 61
    throttle.check("192.0.2.2")
    time.advance(60)
    guess(throttle, 30)


def test_one_invalid_key_sent_repeatedly_is_not_throttled() -> None:
    throttle = GuessThrottle(Time().clock)
    for _ in range(1_000):
        throttle.record_invalid(ADDRESS, "the same")
    throttle.check(ADDRESS)


def test_memory_is_bounded() -> None:
    throttle = GuessThrottle(Time().clock)
    for number in range(20_000):
        throttle.record_invalid(f"2001:db8::{number:x}", "x")
    for number in range(1_000):
        throttle.record_invalid(ADDRESS, str(number))
    with pytest.raises(ApiError):
        throttle.check(ADDRESS)

import logging
import threading

import pytest
from botocore.exceptions import ClientError

from tests.unit.store.held import Time
from vibe_router.store.circuit_breaker import CallMode, CircuitBreaker, error_code, run_in_background

FAILURE = ClientError({"Error": {"Code": "ThrottlingException", "Message": "a text of AWS"}}, "GetItem")


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def outage(time: Time) -> CircuitBreaker:
    return CircuitBreaker("the table", time.clock)


@pytest.mark.parametrize(
    ("meanwhile", "told"), [({}, "going on from memory"), ({"meanwhile": "answers go out"}, "answers go out")]
)
def test_the_log_says_once_what_happens_meanwhile(
    time: Time, caplog: pytest.LogCaptureFixture, meanwhile: dict[str, str], told: str
) -> None:
    outage = CircuitBreaker("the table", time.clock, **meanwhile)
    outage.record_failure(FAILURE)
    outage.record_failure(FAILURE)
    assert caplog.messages == [f"the table cannot be asked (ThrottlingException): {told}"]


def test_without_an_outage_everybody_asks(outage: CircuitBreaker) -> None:
    assert [outage.next_call(), outage.next_call()] == [CallMode.CALL, CallMode.CALL]
    assert not outage.is_open


def test_in_an_outage_one_try_in_two_seconds_is_made_and_nobody_waits_for_it(
    time: Time, outage: CircuitBreaker
) -> None:
    outage.record_failure(FAILURE)
    seen = []
    for _ in range(10):
        seen.append(outage.next_call())
        time.advance(0.5)
    assert outage.is_open
    assert seen == [CallMode.SKIP] * 4 + [CallMode.PROBE] + [CallMode.SKIP] * 3 + [CallMode.PROBE] + [CallMode.SKIP]


def test_only_one_of_many_is_told_to_try(time: Time, outage: CircuitBreaker) -> None:
    outage.record_failure(FAILURE)
    time.advance(2)
    assert [outage.next_call() for _ in range(5)] == [CallMode.PROBE] + [CallMode.SKIP] * 4


def test_after_a_long_pause_it_is_asked_again_with_its_caller_waiting(time: Time, outage: CircuitBreaker) -> None:
    outage.record_failure(FAILURE)
    time.advance(30)
    assert outage.next_call() is CallMode.CALL
    assert outage.next_call() is CallMode.SKIP


def test_a_clock_that_was_set_back_does_not_prolong_an_outage(time: Time, outage: CircuitBreaker) -> None:
    outage.record_failure(FAILURE)
    time.advance(-3600)
    assert outage.next_call() is CallMode.CALL


def test_an_answer_ends_the_outage(time: Time, outage: CircuitBreaker) -> None:
    outage.record_failure(FAILURE)
    outage.record_success()
    assert not outage.is_open
    assert outage.next_call() is CallMode.CALL


def test_an_outage_is_logged_once_when_it_begins_and_once_when_it_ends(
    time: Time, outage: CircuitBreaker, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        outage.record_success()
        outage.record_failure(FAILURE)
        time.advance(5)
        outage.record_failure(FAILURE)
        time.advance(7)
        outage.record_success()
        outage.record_success()
    assert [record.getMessage() for record in caplog.records] == [
        "the table cannot be asked (ThrottlingException): going on from memory",
        "the table answers again after 12 s",
    ]


def test_errors_are_named_without_their_text() -> None:
    assert error_code(FAILURE) == "ThrottlingException"
    assert error_code(TimeoutError("what came with it")) == "TimeoutError"


def test_work_aside_is_done_by_another_thread() -> None:
    done = threading.Event()
    names: list[str] = []

    def work() -> None:
        names.append(threading.current_thread().name)
        done.set()

    run_in_background(work)
    assert done.wait(10)
    assert names != [threading.current_thread().name]

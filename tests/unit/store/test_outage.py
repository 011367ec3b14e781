import logging
import threading

import pytest
from botocore.exceptions import ClientError

from tests.unit.store.held import Time
from vibe_router.store.outage import Advice, CircuitBreaker, aside, named

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
    outage.failed(FAILURE)
    outage.failed(FAILURE)
    assert caplog.messages == [f"the table cannot be asked (ThrottlingException): {told}"]


def test_without_an_outage_everybody_asks(outage: CircuitBreaker) -> None:
    assert [outage.advice(), outage.advice()] == [Advice.ASK, Advice.ASK]
    assert not outage.active


def test_in_an_outage_one_try_in_two_seconds_is_made_and_nobody_waits_for_it(
    time: Time, outage: CircuitBreaker
) -> None:
    outage.failed(FAILURE)
    seen = []
    for _ in range(10):
        seen.append(outage.advice())
        time.advance(0.5)
    assert outage.active
    assert seen == [Advice.LEAVE] * 4 + [Advice.ASIDE] + [Advice.LEAVE] * 3 + [Advice.ASIDE] + [Advice.LEAVE]


def test_only_one_of_many_is_told_to_try(time: Time, outage: CircuitBreaker) -> None:
    outage.failed(FAILURE)
    time.advance(2)
    assert [outage.advice() for _ in range(5)] == [Advice.ASIDE] + [Advice.LEAVE] * 4


def test_after_a_long_pause_it_is_asked_again_with_its_caller_waiting(time: Time, outage: CircuitBreaker) -> None:
    outage.failed(FAILURE)
    time.advance(30)
    assert outage.advice() is Advice.ASK
    assert outage.advice() is Advice.LEAVE


def test_a_clock_that_was_set_back_does_not_prolong_an_outage(time: Time, outage: CircuitBreaker) -> None:
    outage.failed(FAILURE)
    time.advance(-3600)
    assert outage.advice() is Advice.ASK


def test_an_answer_ends_the_outage(time: Time, outage: CircuitBreaker) -> None:
    outage.failed(FAILURE)
    outage.answered()
    assert not outage.active
    assert outage.advice() is Advice.ASK


def test_an_outage_is_logged_once_when_it_begins_and_once_when_it_ends(
    time: Time, outage: CircuitBreaker, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        outage.answered()
        outage.failed(FAILURE)
        time.advance(5)
        outage.failed(FAILURE)
        time.advance(7)
        outage.answered()
        outage.answered()
    assert [record.getMessage() for record in caplog.records] == [
        "the table cannot be asked (ThrottlingException): going on from memory",
        "the table answers again after 12 s",
    ]


def test_errors_are_named_without_their_text() -> None:
    assert named(FAILURE) == "ThrottlingException"
    assert named(TimeoutError("what came with it")) == "TimeoutError"


def test_work_aside_is_done_by_another_thread() -> None:
    done = threading.Event()
    names: list[str] = []

    def work() -> None:
        names.append(threading.current_thread().name)
        done.set()

    aside(work)
    assert done.wait(10)
    assert names != [threading.current_thread().name]

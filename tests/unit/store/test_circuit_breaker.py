import logging
import threading

import pytest

from tests.unit.store.fakes import Time
from vibe_router.store.aws_errors import ClientError, ConnectTimeoutError
from vibe_router.store.circuit_breaker import CallMode, CircuitBreaker, error_code, run_in_background

FAILURE = ClientError({"Error": {"Code": "ThrottlingException", "Message": "a text of AWS"}}, "GetItem")


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def breaker(time: Time) -> CircuitBreaker:
    return CircuitBreaker("the table", time.clock)


def test_the_log_names_the_fallback(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    CircuitBreaker("the table", time.clock, "answers go out").record_failure(FAILURE)
    assert caplog.messages == ["the table cannot be reached (ThrottlingException): answers go out"]


def test_a_closed_breaker_lets_every_call_through(breaker: CircuitBreaker) -> None:
    assert [breaker.next_call(), breaker.next_call()] == [CallMode.CALL, CallMode.CALL]
    assert not breaker.is_open


def test_an_open_breaker_probes_every_two_seconds_in_the_background(time: Time, breaker: CircuitBreaker) -> None:
    breaker.record_failure(FAILURE)
    seen = []
    for _ in range(10):
        seen.append(breaker.next_call())
        time.advance(0.5)
    assert breaker.is_open
    assert seen == [CallMode.SKIP] * 4 + [CallMode.PROBE] + [CallMode.SKIP] * 3 + [CallMode.PROBE] + [CallMode.SKIP]


def test_only_one_of_many_callers_probes(time: Time, breaker: CircuitBreaker) -> None:
    breaker.record_failure(FAILURE)
    time.advance(2)
    assert [breaker.next_call() for _ in range(5)] == [CallMode.PROBE] + [CallMode.SKIP] * 4


def test_after_a_long_pause_a_caller_waits_for_the_probe(time: Time, breaker: CircuitBreaker) -> None:
    breaker.record_failure(FAILURE)
    time.advance(30)
    assert breaker.next_call() is CallMode.CALL
    assert breaker.next_call() is CallMode.SKIP


def test_a_clock_set_back_does_not_prolong_an_outage(time: Time, breaker: CircuitBreaker) -> None:
    breaker.record_failure(FAILURE)
    time.advance(-3600)
    assert breaker.next_call() is CallMode.CALL


def test_an_answer_closes_the_breaker(time: Time, breaker: CircuitBreaker) -> None:
    breaker.record_failure(FAILURE)
    breaker.record_success()
    assert not breaker.is_open
    assert breaker.next_call() is CallMode.CALL


def test_an_outage_is_logged_when_it_begins_and_when_it_ends(
    time: Time, breaker: CircuitBreaker, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        breaker.record_success()
        breaker.record_failure(FAILURE)
        time.advance(5)
        breaker.record_failure(FAILURE)
        time.advance(7)
        breaker.record_success()
        breaker.record_success()
    assert [record.getMessage() for record in caplog.records] == [
        "the table cannot be reached (ThrottlingException): going on from memory",
        "the table answers again after 12 s",
    ]


def test_error_codes_omit_the_text() -> None:
    assert error_code(FAILURE) == "ThrottlingException"
    assert error_code(TimeoutError("what came with it")) == "TimeoutError"


def test_background_work_runs_in_another_thread() -> None:
    done = threading.Event()
    names: list[str] = []

    def work() -> None:
        names.append(threading.current_thread().name)
        done.set()

    run_in_background(work)
    assert done.wait(10)
    assert names != [threading.current_thread().name]


REJECTION = ClientError({"Error": {"Code": "ValidationException"}}, "UpdateItem")
CANCELLED = ClientError(
    {
        "Error": {"Code": "TransactionCanceledException"},
        "CancellationReasons": [{"Code": "None"}, {"Code": "ValidationError"}],
    },
    "TransactWriteItems",
)
UNREACHABLE = ConnectTimeoutError("https://dynamodb.example")


@pytest.mark.parametrize("error", [REJECTION, CANCELLED], ids=["a write", "a write in a transaction"])
def test_a_rejected_request_is_no_outage(breaker: CircuitBreaker, error: ClientError) -> None:
    breaker.record_failure(error)
    assert not breaker.is_open


def test_an_unreachable_service_is_detected_by_its_first_table(time: Time) -> None:
    service = CircuitBreaker("DynamoDB", time.clock)
    one, two = (CircuitBreaker(name, time.clock, service=service) for name in ("one", "two"))
    one.record_failure(UNREACHABLE)
    assert [each.next_call() for each in (one, two)] == [CallMode.SKIP, CallMode.SKIP]
    time.advance(2)
    assert [two.next_call(), one.next_call()] == [CallMode.PROBE, CallMode.SKIP]
    two.record_success()
    assert [each.next_call() for each in (one, two)] == [CallMode.CALL, CallMode.CALL]


def test_a_throttled_table_does_not_affect_the_others(time: Time) -> None:
    service = CircuitBreaker("DynamoDB", time.clock)
    one, two = (CircuitBreaker(name, time.clock, service=service) for name in ("one", "two"))
    one.record_failure(FAILURE)
    assert [one.next_call(), two.next_call()] == [CallMode.SKIP, CallMode.CALL]
    two.record_success()
    assert one.next_call() is CallMode.SKIP

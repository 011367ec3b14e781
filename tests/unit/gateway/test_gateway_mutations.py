"""Nothing that a caller or a provider sends is a 500, exceeds what was granted, or gets an error of another format."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.gateway.fake_environment import FakeEnvironment
from tests.unit.gateway.mutations import CALLS, MutatedCalls

Lines = Callable[[], list[dict[str, Any]]]


@pytest.mark.parametrize("name", CALLS)
def test_a_mutated_request_is_served_or_refused(environment: FakeEnvironment, lines: Lines, name: str) -> None:
    calls = MutatedCalls(environment, lines, seed=1)
    for _ in range(40):
        calls.request(name)


@pytest.mark.parametrize("name", CALLS)
def test_a_mutated_answer_is_passed_on_or_a_failure_of_its_provider(
    environment: FakeEnvironment, lines: Lines, name: str
) -> None:
    calls = MutatedCalls(environment, lines, seed=2)
    for _ in range(25):
        calls.answer(name)


@pytest.mark.parametrize("name", CALLS)
def test_a_mutated_answer_is_restored_or_a_failure_of_its_provider(
    environment: FakeEnvironment, lines: Lines, name: str
) -> None:
    calls = MutatedCalls(environment, lines, seed=4, guarded=True)
    for _ in range(15):
        calls.answer(name)


@pytest.mark.parametrize("name", CALLS)
def test_a_valid_call_is_served(environment: FakeEnvironment, lines: Lines, name: str) -> None:
    calls = MutatedCalls(environment, lines, seed=3)
    calls.valid(name)

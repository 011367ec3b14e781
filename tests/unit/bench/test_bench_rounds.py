import os
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from bench.payload import WORD, request
from bench.rounds import Round, added, answers_of, cpu_of, measure, typical
from bench.targets import Answer, BrokenError, checked

BODY = request("auto-chat", 2, stream=False)
GOOD = Answer(200, WORD + b" 0 " + WORD + b" 1", None, 0.001)


class FakeTarget:
    """Answers at once, and breaks after so many answers."""

    def __init__(self, name: str, asked: list[str], breaks_after: int = 1000) -> None:
        self.name = name
        self._asked = asked
        self._left = breaks_after

    def prepare(self, body: Mapping[str, Any]) -> bytes:
        return b""

    def exchange(self, prepared: bytes) -> Answer:
        if not self._left:
            raise BrokenError(f"{self.name} broke")
        self._left -= 1
        self._asked.append(self.name)
        return GOOD

    def processes(self) -> Mapping[str, Sequence[int]]:
        return {"peer": [os.getpid()]}


def ask(targets: list[FakeTarget], times: int, at_once: int = 2) -> tuple[dict[str, list[Answer]], list[str]]:
    failures: list[str] = []
    progress: list[str] = []
    rounds = measure(targets, BODY, times, at_once=at_once, progress=progress.append, failed=failures.append)
    assert progress
    assert all(0 <= each.cpu["peer"] < 60 for got in rounds.values() for each in got)
    return {name: answers_of(got) for name, got in rounds.items()}, failures


def _round(*totals: float, cpu: float | None = None) -> Round:
    return Round([Answer(200, b"", None, total) for total in totals], {} if cpu is None else {"function": cpu})


def test_figures_are_medians_over_the_rounds() -> None:
    """One slow round, which slows every target alike, changes neither."""
    target = [_round(3, 4, 5, cpu=1), _round(103, 104, 900, cpu=9), _round(2, 3, 4, cpu=2)]
    direct = [_round(1, 2, 3), _round(101, 102, 103), _round(1, 2, 3)]
    assert typical(target, lambda answer: answer.total) == 4
    assert added(target, direct, lambda answer: answer.total) == 2
    assert cpu_of(target, "function") == 2
    assert cpu_of(direct, "function") is None


def test_every_target_gets_its_share_of_every_round_and_each_goes_first_in_turn() -> None:
    asked: list[str] = []
    answers, failures = ask([FakeTarget("a", asked), FakeTarget("b", asked)], times=5)
    assert not failures
    assert {name: len(got) for name, got in answers.items()} == {"a": 5, "b": 5}
    warm_up, measured = asked[:10], asked[10:]
    assert warm_up == ["a"] * 5 + ["b"] * 5
    assert measured == ["b", "b", "a", "a", "a", "a", "b", "b", "b", "a"]


def test_a_target_that_fails_is_reported_once_and_left_out() -> None:
    asked: list[str] = []
    answers, failures = ask([FakeTarget("a", asked), FakeTarget("b", asked, breaks_after=6)], times=5)
    assert failures == ["b broke"]
    assert list(answers) == ["a"]
    assert len(answers["a"]) == 5


def test_nothing_is_measured_without_the_baseline() -> None:
    asked: list[str] = []
    with pytest.raises(BrokenError, match="a broke"):
        ask([FakeTarget("a", asked, breaks_after=6), FakeTarget("b", asked)], times=5)


@pytest.mark.parametrize(
    ("answer", "stream", "problem"),
    [
        pytest.param(Answer(502, b"{}", None, 0.001), False, "status 502", id="an error"),
        pytest.param(Answer(200, WORD, None, 0.001), False, "1 words of 2", id="a part of the words"),
        pytest.param(Answer(200, WORD * 2, None, 0.001), True, r"without \[DONE\]", id="a stream that was cut"),
    ],
)
def test_an_answer_that_is_not_whole_is_no_figure(answer: Answer, stream: bool, problem: str) -> None:
    with pytest.raises(BrokenError, match=problem):
        checked(FakeTarget("a", []), answer, 2, stream=stream)

"""Rounds: every target is called in each of them, so that drift of the machine affects all alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .figures import median
from .processor import cpu_seconds
from .targets import Answer, BrokenError, Target, checked

__all__ = ["Round", "added", "answers_of", "cpu_of", "measure", "typical"]

_WARM_UP = 20


@dataclass(frozen=True, slots=True)
class Round:
    """One target's answers within one round, and the processor seconds that each of its processes used per answer."""

    answers: Sequence[Answer]
    cpu: Mapping[str, float]


def measure(
    targets: Sequence[Target],
    body: Mapping[str, Any],
    times: int,
    *,
    at_once: int,
    progress: Callable[[str], None],
    failed: Callable[[str], None],
) -> dict[str, list[Round]]:
    """Return `times` answers of each target to the same request, by its name, in rounds.

    Each is asked `at_once` times in a row per round, after a warm-up that does not count; who goes first changes with
    every round. A target that fails is reported to `failed` and omitted from the result.
    """
    prepared = {target.name: target.prepare(body) for target in targets}
    rounds: dict[str, list[Round]] = {target.name: [] for target in targets}
    words, stream = body["max_tokens"], bool(body.get("stream"))
    lengths = [min(_WARM_UP, times), *(min(at_once, times - done) for done in range(0, times, at_once))]
    for number, length in enumerate(lengths):
        progress(f"round {number} of {len(lengths) - 1}")
        first = number % len(targets)
        for target in (*targets[first:], *targets[:first]):
            if target.name not in rounds:
                continue
            processes = target.processes()
            before = {role: cpu_seconds(pids) for role, pids in processes.items()}
            try:
                got = [
                    checked(target, target.exchange(prepared[target.name]), words, stream=stream) for _ in range(length)
                ]
            except BrokenError as error:
                if target is targets[0]:
                    raise
                failed(str(error))
                del rounds[target.name]
                continue
            cpu = {role: (cpu_seconds(pids) - before[role]) / length for role, pids in processes.items()}
            if number:
                rounds[target.name].append(Round(got, cpu))
    return rounds


def answers_of(rounds: Sequence[Round]) -> list[Answer]:
    """Return the answers of all rounds."""
    return [answer for each in rounds for answer in each.answers]


def typical(rounds: Sequence[Round], value: Callable[[Answer], float]) -> float:
    """Return the median over the rounds of each round's median."""
    return median([median([value(answer) for answer in each.answers]) for each in rounds])


def added(rounds: Sequence[Round], direct: Sequence[Round], value: Callable[[Answer], float]) -> float:
    """Return the median over the rounds of what a round's median exceeds the direct calls' of the same round by."""
    return median([typical([one], value) - typical([other], value) for one, other in zip(rounds, direct, strict=True)])


def cpu_of(rounds: Sequence[Round], role: str) -> float | None:
    """Return the median over the rounds of the seconds that one of the processes used per answer, None without it."""
    used = [each.cpu[role] for each in rounds if role in each.cpu]
    return median(used) if used else None

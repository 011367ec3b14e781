"""Rounds: every target is called in each of them, so that drift of the machine affects all alike."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .targets import Answer, BrokenError, Target, checked

__all__ = ["measure"]

_WARM_UP = 20


def measure(
    targets: Sequence[Target],
    body: Mapping[str, Any],
    times: int,
    *,
    at_once: int,
    progress: Callable[[str], None],
    failed: Callable[[str], None],
) -> dict[str, list[Answer]]:
    """Return `times` answers of each target to the same request, by its name.

    Each is asked `at_once` times in a row per round, after a warm-up that does not count; who goes first changes with
    every round. A target that fails is reported to `failed` and omitted from the result.
    """
    prepared = {target.name: target.prepare(body) for target in targets}
    answers: dict[str, list[Answer]] = {target.name: [] for target in targets}
    words, stream = body["max_tokens"], bool(body.get("stream"))
    lengths = [min(_WARM_UP, times), *(min(at_once, times - done) for done in range(0, times, at_once))]
    for number, length in enumerate(lengths):
        progress(f"round {number} of {len(lengths) - 1}")
        first = number % len(targets)
        for target in (*targets[first:], *targets[:first]):
            if target.name not in answers:
                continue
            try:
                got = [
                    checked(target, target.exchange(prepared[target.name]), words, stream=stream) for _ in range(length)
                ]
            except BrokenError as error:
                if target is targets[0]:
                    raise
                failed(str(error))
                del answers[target.name]
                continue
            if number:
                answers[target.name] += got
    return answers

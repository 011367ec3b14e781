"""Score how hard a request is, from 0 (easy) to 1 (hard), with the reasons.

The value of a conversation is the highest of its turns: once a hard task has been set, "yes, do it" and the steps of a
tool loop stay on the standard chain. Earlier turns are always scored the same way, so a value never falls as a
conversation grows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vibe_router.routing.complexity.features import features_of, words_of
from vibe_router.routing.complexity.guard import find_work
from vibe_router.routing.complexity.trees import Model, load
from vibe_router.routing.complexity.turns import MAX_CHARACTERS, written_text

__all__ = ["MAX_TURNS", "Score", "Scorer", "guarded_value", "seed"]

MAX_TURNS = 64
"""The most turns of a conversation that are scored; a longer one counts as a long context anyway."""

_LATER_CHARACTERS = 400  # of a turn, once the first turns have used up MAX_CHARACTERS
_REMEMBERED = 512  # turns
_WORK_FLOOR = 0.5  # the lowest value of a request for demanding work; every threshold is below


@dataclass(frozen=True, slots=True)
class Score:
    """The value of a conversation, and of its hardest turn: the reasons, with their share in it, and the features.

    `reasons` begin with the strongest; a negative share made the request look easier.
    """

    value: float
    reasons: tuple[tuple[str, float], ...] = ()
    features: tuple[int, ...] = ()
    turn: int = 0  # of the hardest turn, counted from 0


def guarded_value(value: float) -> float:
    """Return the value of a request for demanding work, which is above every threshold."""
    return round(_WORK_FLOOR + value * (1 - _WORK_FLOOR), 4)


def seed() -> Model:
    """Return the model that is shipped, trained on public outcomes. It takes a few milliseconds to read."""
    return load(Path(__file__).with_name("seed.json").read_bytes())


class Scorer:
    """Scores conversations with one model, and remembers the scores (never the texts) of recent turns."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._remembered: dict[int, Score] = {}

    def score(self, turns: Sequence[str]) -> Score | None:
        """Return the score of a user's turns, the oldest first; None without any text."""
        highest: Score | None = None
        left = MAX_CHARACTERS
        for position, turn in enumerate(turns[:MAX_TURNS]):
            text = written_text(turn, max(left, _LATER_CHARACTERS))
            if not text:
                continue
            left -= len(text)
            scored = self._score_text(text)
            if highest is None or scored.value > highest.value:
                highest = Score(scored.value, scored.reasons, scored.features, position)
        return highest

    def _score_text(self, text: str) -> Score:
        key = hash(text)
        if (known := self._remembered.get(key)) is not None:
            return known
        lower = text.lower()
        words = words_of(lower)
        features = features_of(text, words)
        value, reasons = self.model.evaluate(features)
        if find_work(text, lower, words):
            value = guarded_value(value)
            reasons = (("asks for demanding work", 1.0), *reasons)
        if len(self._remembered) >= _REMEMBERED:
            self._remembered.clear()
        scored = self._remembered[key] = Score(value, reasons, features)
        return scored

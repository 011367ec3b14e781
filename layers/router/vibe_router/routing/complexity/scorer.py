"""Score how hard a request is, from 0 (easy) to 1 (hard), with the reasons.

The value of a conversation is the highest of its turns: once a hard task has been set, "yes, do it" and the steps of a
tool loop stay on the standard chain. At most 3,000 characters are scored, and of each turn at most half of what earlier
turns have left, so earlier turns are always scored the same way and a value never falls as a conversation grows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vibe_router.routing.complexity.features import features_of
from vibe_router.routing.complexity.languages import language_of
from vibe_router.routing.complexity.tokens import words_of
from vibe_router.routing.complexity.trees import Model, load
from vibe_router.routing.complexity.turns import MAX_CHARACTERS, written_text
from vibe_router.routing.complexity.work import asks_for_work

__all__ = ["MAX_TURNS", "Score", "Scorer", "seed", "value_of_work"]

MAX_TURNS = 64
"""The most turns of a conversation that are scored; a longer one counts as a long context anyway."""

_ALL_CHARACTERS = 2 * MAX_CHARACTERS  # of a conversation
_LEAST_CHARACTERS = 120  # that must be left for another turn
_REMEMBERED = 512  # turns
_WORK_FLOOR = 0.5  # the lowest value of a request for demanding work; every threshold is below


@dataclass(frozen=True, slots=True)
class Score:
    """The value of a conversation, and of its hardest turn: the reasons, with their share in it, and the features.

    `reasons` begin with the strongest; a negative share made the request look easier. `is_complete` is false if there
    was more than can be scored; it is then false for every continuation of the conversation, too. `languages` are those
    of all turns; a conversation of a few words counts as English.
    """

    value: float
    reasons: tuple[tuple[str, float], ...] = ()
    features: tuple[int, ...] = ()
    turn: int = 0  # of the hardest turn, counted from 0
    is_complete: bool = True
    languages: tuple[str, ...] = ("en",)


def value_of_work(value: float) -> float:
    """Return the value of a request for demanding work, which is above every threshold."""
    return round(_WORK_FLOOR + value * (1 - _WORK_FLOOR), 4)


def seed() -> Model:
    """Return the model that is shipped, trained on public outcomes. It takes a few milliseconds to read."""
    return load(Path(__file__).with_name("seed.json").read_bytes())


@dataclass(slots=True)
class _ScoredTurn:
    """The score of one turn; its reasons are found when it is a conversation's hardest."""

    value: float
    features: tuple[int, ...]
    is_work: bool
    language: str | None
    reasons: tuple[tuple[str, float], ...] | None = None


class Scorer:
    """Scores conversations with one model, and remembers the scores (never the texts) of recent turns."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._remembered: dict[int, _ScoredTurn] = {}

    def score(self, turns: Sequence[str]) -> Score | None:
        """Return the score of a user's turns, the oldest first; None without any text."""
        hardest: tuple[int, _ScoredTurn] | None = None
        languages: dict[str, None] = {}
        left = _ALL_CHARACTERS
        is_complete = len(turns) <= MAX_TURNS
        for position, turn in enumerate(turns[:MAX_TURNS]):
            if left < _LEAST_CHARACTERS:
                is_complete = False
                break
            text = written_text(turn, left // 2)
            if not text:
                continue
            left -= len(text)
            scored = self._score_turn(text)
            if scored.language:
                languages[scored.language] = None
            if hardest is None or scored.value > hardest[1].value:
                hardest = position, scored
        if hardest is None:
            return None
        position, scored = hardest
        if scored.reasons is None:
            scored.reasons = self.model.reasons(scored.features)
            if scored.is_work:
                scored.reasons = (("asks for demanding work", 1.0), *scored.reasons)
        return Score(scored.value, scored.reasons, scored.features, position, is_complete, tuple(languages) or ("en",))

    def _score_turn(self, text: str) -> _ScoredTurn:
        key = hash(text)
        if (known := self._remembered.get(key)) is not None:
            return known
        lower = text.lower()
        words = words_of(lower)
        features = features_of(text, words)
        value, is_work = self.model.value(features), asks_for_work(text, lower, words)
        if is_work:
            value = value_of_work(value)
        if len(self._remembered) >= _REMEMBERED:
            self._remembered.clear()
        scored = self._remembered[key] = _ScoredTurn(value, features, is_work, language_of(text))
        return scored

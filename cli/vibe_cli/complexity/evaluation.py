"""Evaluate a way of scoring on measured outcomes: grouped cross-validation, and measures with bootstrap intervals.

Rows with both models' scores are *measured*; everyday prompts count as right with either model.
"""

import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from vibe_cli.complexity.boosting import Settings, fit
from vibe_cli.complexity.outcomes import Outcome, examples
from vibe_cli.complexity.text_baseline import predict_by_words
from vibe_router.routing.complexity.scorer import value_of_work
from vibe_router.routing.complexity.tokens import words_of
from vibe_router.routing.complexity.trees import Model
from vibe_router.routing.complexity.work import asks_for_work

__all__ = [
    "MEASURES",
    "Estimate",
    "Measures",
    "cross_validate",
    "frozen_threshold",
    "measure",
    "score_outcome",
    "scores_of_methods",
    "table",
    "train_seed",
]

_FOLDS = 5
_SHARE = 0.41
"""The share of measured outcomes that the frozen threshold sends to mini, in cross-validation.

The data was chosen to be hard: of everyday traffic nearly everything is below the threshold. Lower shares cost more,
and above about half the quality falls below 97.5 % of the standard model's."""


@dataclass(frozen=True, slots=True)
class Measures:
    """The quality of scores: shares from 0 to 1.

    `auc` over rows that one of the models got right; `curve` the area under quality over the share of standard, 0.5 for
    a random choice; `precision` how many of the easier half mini gets right; `everyday` the everyday prompts below the
    threshold; `quality` and `mini` the quality in relation to the standard model's, and mini's share, at the threshold,
    of measured rows.
    """

    auc: float
    curve: float
    precision: float
    everyday: float
    quality: float
    mini: float


MEASURES: Mapping[str, str] = {
    "auc": "AUC",
    "curve": "cost/quality curve",
    "precision": "precision at 50 %",
    "everyday": "everyday to mini",
    "quality": "quality of standard",
    "mini": "share to mini",
}
"""The measures and their names for people."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measure with its 95 % interval; `differs` whether it differs significantly from the first method's."""

    value: float
    low: float
    high: float
    differs: bool = True


def train_seed(outcomes: Sequence[Outcome], version: str, settings: Settings = Settings()) -> Model:  # noqa: B008
    """Return the model trained on all outcomes, with the threshold and the facts of its cross-validation."""
    scores = cross_validate(outcomes, lambda known: _predict_by_trees(known, settings))
    threshold = frozen_threshold(outcomes, scores)
    found = measure(outcomes, scores, threshold)
    facts = {
        "rows": len(outcomes),
        "auc": round(found.auc, 3),
        "curve": round(found.curve, 3),
        "precision": round(found.precision, 3),
        "everyday": round(found.everyday, 3),
    }
    return replace(
        fit(examples(outcomes), settings), version=version, threshold=threshold, languages=("en",), facts=facts
    )


def frozen_threshold(outcomes: Sequence[Outcome], scores: Sequence[float]) -> float:
    """Return the threshold below which _SHARE of the measured outcomes are."""
    measured = sorted(score for each, score in zip(outcomes, scores, strict=True) if not each.is_everyday)
    return round(measured[int(len(measured) * _SHARE)], 4)


Predictor = Callable[[Sequence[Outcome]], Callable[[Outcome], float]]
"""Learns from outcomes and returns what scores another one."""


def cross_validate(outcomes: Sequence[Outcome], learn: Predictor) -> list[float]:
    """Return a score for each outcome by what was learnt from other groups."""
    scores = [0.0] * len(outcomes)
    fold_of = _folds(each.group for each in outcomes)
    for fold in range(_FOLDS):
        predict = learn([each for each in outcomes if fold_of[each.group] != fold])
        for index, each in enumerate(outcomes):
            if fold_of[each.group] == fold:
                scores[index] = predict(each)
    return scores


def _folds(groups: Iterable[str]) -> dict[str, int]:
    names = sorted(set(groups))
    random.Random(0).shuffle(names)  # noqa: S311 - not for secrets
    return {name: index % _FOLDS for index, name in enumerate(names)}


def scores_of_methods(outcomes: Sequence[Outcome]) -> dict[str, list[float]]:
    """Return the scores of our trees and of what they are compared with, by cross-validation where they learn."""
    trees = cross_validate(outcomes, _predict_by_trees)
    shuffled = list(trees)
    random.Random(0).shuffle(shuffled)  # noqa: S311
    return {
        "trees and words": trees,
        "TF-IDF with logistic regression": cross_validate(outcomes, _predict_by_words),
        "length": [float(len(each.text)) for each in outcomes],
        "shuffled trees": shuffled,
        "always mini": [0.0] * len(outcomes),
    }


def _predict_by_trees(known: Sequence[Outcome], settings: Settings = Settings()) -> Callable[[Outcome], float]:  # noqa: B008
    model = fit(examples(known), settings)
    return lambda each: score_outcome(model, each)


def score_outcome(model: Model, outcome: Outcome) -> float:
    """Return the value that the scorer gives a prompt with `model`."""
    value = model.value(outcome.features)
    lower = outcome.text.lower()
    return value_of_work(value) if asks_for_work(outcome.text, lower, words_of(lower)) else value


def _predict_by_words(known: Sequence[Outcome]) -> Callable[[Outcome], float]:
    known = [each for each in known if not each.both_failed]
    learnt = predict_by_words([each.text for each in known], [each.is_hard for each in known])
    return lambda each: learnt(each.text)


def measure(outcomes: Sequence[Outcome], scores: Sequence[float], threshold: float) -> Measures:
    """Return the measures of `scores`."""
    rows = list(zip(outcomes, scores, strict=True))
    labelled = [(score, each.is_hard) for each, score in rows if not each.both_failed]
    measured = [(each, score) for each, score in rows if not each.is_everyday]
    everyday = [score for each, score in rows if each.is_everyday]
    shuffled = random.Random(0).sample(labelled, len(labelled))  # noqa: S311 - equal scores are chosen from at random
    half = sorted(shuffled, key=lambda row: row[0])[: len(labelled) // 2]
    standard = sum(each.standard for each, _ in measured)
    served = sum(each.mini if score < threshold else each.standard for each, score in measured)
    return Measures(
        auc=_auc(labelled),
        curve=_curve(rows),
        precision=1 - sum(hard for _, hard in half) / max(len(half), 1),
        everyday=sum(score < threshold for score in everyday) / max(len(everyday), 1),
        quality=served / standard if standard else 0.0,
        mini=sum(score < threshold for _, score in measured) / max(len(measured), 1),
    )


def _auc(labelled: Sequence[tuple[float, bool]]) -> float:
    hard = [score for score, is_hard in labelled if is_hard]
    easy = sorted(score for score, is_hard in labelled if not is_hard)
    if not hard or not easy:
        return 0.5
    won = sum(bisect_left(easy, score) + bisect_right(easy, score) for score in hard) / 2
    return won / len(hard) / len(easy)


def _curve(rows: Sequence[tuple[Outcome, float]]) -> float:
    """Return the area under the gain in quality over the share of requests that go to standard, the hardest first."""
    total = sum(each.standard - each.mini for each, _ in rows)
    if total <= 0:
        return 0.5
    gains: dict[float, tuple[int, float]] = {}
    for each, score in rows:
        number, gain = gains.get(score, (0, 0.0))
        gains[score] = number + 1, gain + each.standard - each.mini
    area = reached = 0.0
    for score in sorted(gains, reverse=True):  # equal scores are chosen from at random
        number, gain = gains[score]
        area += (reached + gain / 2) * number
        reached += gain
    return area / total / len(rows)


def table(
    outcomes: Sequence[Outcome], methods: Mapping[str, Sequence[float]], *, resamples: int = 100
) -> dict[str, dict[str, Estimate]]:
    """Return every measure of every method, each at the threshold that sends the same share to mini.

    Intervals are by bootstrap over groups; a difference from the first method is significant when the interval of the
    paired differences does not contain 0.
    """
    first = next(iter(methods))
    thresholds = {name: frozen_threshold(outcomes, scores) for name, scores in methods.items()}
    thresholds |= {name: 1.0 for name, scores in methods.items() if not any(scores)}
    point = {name: measure(outcomes, scores, thresholds[name]) for name, scores in methods.items()}
    by_group: dict[str, list[int]] = {}
    for index, each in enumerate(outcomes):
        by_group.setdefault(each.group, []).append(index)
    groups, chance = list(by_group.values()), random.Random(0)  # noqa: S311
    samples: dict[str, list[Measures]] = {name: [] for name in methods}
    for _ in range(resamples):
        chosen = [index for group in chance.choices(groups, k=len(groups)) for index in group]
        some = [outcomes[index] for index in chosen]
        for name, scores in methods.items():
            samples[name].append(measure(some, [scores[index] for index in chosen], thresholds[name]))
    found: dict[str, dict[str, Estimate]] = {}
    for name in methods:
        found[name] = {}
        for key in MEASURES:
            drawn = sorted(getattr(each, key) for each in samples[name])
            pairs = zip(samples[name], samples[first], strict=True)
            gaps = sorted(getattr(own, key) - getattr(other, key) for own, other in pairs)
            low, high = _middle(gaps)
            differs = name == first or low > 0 or high < 0
            found[name][key] = Estimate(getattr(point[name], key), *_middle(drawn), differs=differs)
    return found


def _middle(drawn: Sequence[float]) -> tuple[float, float]:
    """Return the bounds of the middle 95 %."""
    cut = max(round(len(drawn) * 0.025), 1) if len(drawn) > 2 else 0
    return drawn[cut - 1 if cut else 0], drawn[-cut if cut else -1]

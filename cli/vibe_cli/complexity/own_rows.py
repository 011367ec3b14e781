"""Train on a user's own evidence: rows of features and labels, as `vibe complexity export` writes them.

Three ways are compared by cross-validation: the seed as it is, own rows alone, and own rows on top of the seed. Only
the first 70 % of the rows by time are trained on; the gates then judge the trees on later rows.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vibe_cli.complexity.boosting import Example, Settings, fit
from vibe_router.routing.complexity.features import decode
from vibe_router.routing.complexity.trees import Model

__all__ = ["LEAST_LABELS", "Labelled", "TrainedModel", "area_under_curve", "labelled_rows", "train"]

LEAST_LABELS = 200
_TRAINED_SHARE = 0.7
_FOLDS = 5
_TREES = 80
_LARGEST_THRESHOLD = 0.49


@dataclass(frozen=True, slots=True)
class Labelled:
    """A row with features and a label."""

    at: str
    example: Example


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """The chosen model: `chosen` is seed, own or both, with the AUC of each, and its AUC on the later rows."""

    model: Model
    chosen: str
    aucs: Mapping[str, float]
    later_auc: float
    later_mini_share: float
    later_precision: float
    labels: int


def labelled_rows(rows: Iterable[Mapping[str, Any]]) -> list[Labelled]:
    """Return the rows that can be trained on, oldest first; others, and those of another version, are left out."""
    found = []
    for row in rows:
        judged, feedback, features = row.get("judged"), row.get("feedback"), row.get("features")
        if isinstance(judged, int | float):
            is_hard = judged < 0.5
        elif row.get("arm") == "mini" and isinstance(feedback, int) and feedback:
            is_hard = feedback < 0
        else:
            continue
        try:
            buckets = decode(str(features or ""))
        except ValueError:
            continue
        found.append(Labelled(str(row.get("at")), Example(buckets, is_hard)))
    return sorted(found, key=lambda each: each.at)


def train(rows: Sequence[Labelled], seed: Model, precision: float, version: str) -> TrainedModel:
    """Choose and train a model. Raises ValueError if there are too few rows, or all have the same label."""
    if len(rows) < LEAST_LABELS:
        raise ValueError(f"there are {len(rows)} labels, and at least {LEAST_LABELS} are needed")
    known, later = rows[: int(len(rows) * _TRAINED_SHARE)], rows[int(len(rows) * _TRAINED_SHARE) :]
    if len({each.example.is_hard for each in known}) < 2:
        raise ValueError("all labels are the same: there is nothing to tell apart")
    examples = [each.example for each in known]
    scores = _cross_validate(examples, seed)
    aucs = {name: area_under_curve(examples, values) for name, values in scores.items()}
    chosen = max(aucs, key=lambda name: (round(aucs[name], 3), name == "seed"))
    model = _fit(chosen, examples, seed)
    threshold = _threshold(examples, scores[chosen], precision) or seed.threshold
    facts = {"rows": len(examples), "auc": round(aucs[chosen], 3), "trained_until": known[-1].at, "from": chosen}
    model = replace(model, version=version, threshold=threshold, facts=facts)
    values = [model.value(each.example.features) for each in later]
    easy = [each.example.is_hard for each, value in zip(later, values, strict=True) if value < threshold]
    return TrainedModel(
        model,
        chosen,
        aucs,
        area_under_curve([each.example for each in later], values),
        len(easy) / max(len(later), 1),
        1 - sum(easy) / len(easy) if easy else 0.0,
        len(rows),
    )


def _fit(way: str, examples: Sequence[Example], seed: Model) -> Model:
    if way == "seed":
        return seed
    settings = Settings(trees=_TREES, least_rows=max(len(examples) // 60, 5), ridge=max(len(examples) / 150, 2))
    return fit(examples, settings, start=seed if way == "both" else None)


def _cross_validate(examples: Sequence[Example], seed: Model) -> dict[str, list[float]]:
    order = list(range(len(examples)))
    random.Random(0).shuffle(order)  # noqa: S311 - not for secrets
    scores = {name: [0.0] * len(examples) for name in ("seed", "own", "both")}
    for fold in range(_FOLDS):
        held = set(order[fold::_FOLDS])
        known = [each for index, each in enumerate(examples) if index not in held]
        for name, values in scores.items():
            model = _fit(name, known, seed)
            for index in held:
                values[index] = model.value(examples[index].features)
    return scores


def area_under_curve(examples: Sequence[Example], scores: Sequence[float]) -> float:
    """Return how often a hard request scores higher than an easy one; 0.5 without both."""
    ranked = sorted(zip(scores, (each.is_hard for each in examples), strict=True))
    hard = sum(is_hard for _, is_hard in ranked)
    easy = len(ranked) - hard
    if not hard or not easy:
        return 0.5
    won, below, position = 0.0, 0, 0
    while position < len(ranked):
        end = position
        while end < len(ranked) and ranked[end][0] == ranked[position][0]:
            end += 1
        hard_here = sum(is_hard for _, is_hard in ranked[position:end])
        easy_here = end - position - hard_here
        won += hard_here * (below + easy_here / 2)
        below += easy_here
        position = end
    return won / hard / easy


def _threshold(examples: Sequence[Example], scores: Sequence[float], precision: float) -> float | None:
    """Return the highest threshold below which at least `precision` of the requests are easy; None if there is none."""
    best, wrong = None, 0
    for number, (score, is_hard) in enumerate(
        sorted(zip(scores, (each.is_hard for each in examples), strict=True)), start=1
    ):
        wrong += is_hard
        if number >= 20 and 1 - wrong / number >= precision and score < _LARGEST_THRESHOLD:
            best = round(score + 1e-4, 4)
    return best

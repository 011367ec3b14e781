"""Gradient boosting of three-level trees over features' buckets, with monotone constraints.

Training is a second-order boosting of the logistic loss over histograms. Rows and features are sampled for each tree. A
tree may never make a request easier for having more of a constrained feature, so that what the rows do not contain (an
open-ended task without options) cannot turn a long text into an easy one.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from vibe_router.routing.complexity.features import FEATURES, NEVER_DECREASING
from vibe_router.routing.complexity.forest import BUCKETS, SPLITS
from vibe_router.routing.complexity.trees import Model

__all__ = ["Example", "Settings", "fit"]

_UNIT = 10_000  # of a stored node: 1/10,000 of log-odds
_NODES = 2 * SPLITS + 1
_NEVER = BUCKETS - 1  # a split that sends everything left
_ASCENDING = tuple(name in NEVER_DECREASING for name in FEATURES)


@dataclass(frozen=True, slots=True)
class Example:
    """A request's features, whether it needed the standard model, and its weight in training."""

    features: tuple[int, ...]
    is_hard: bool
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of boosting, chosen by cross-validation on public outcomes."""

    trees: int = 120
    rate: float = 0.06
    ridge: float = 30.0  # added to the second derivatives of every node
    least_rows: int = 50  # of a leaf
    share_of_rows: float = 0.7
    share_of_features: float = 0.25
    seed: int = 0


@dataclass(slots=True)
class _Node:
    """A node while its tree grows; `low` and `high` bound its value, for the constraints."""

    rows: list[int]
    value: float
    low: float
    high: float


def fit(examples: Sequence[Example], settings: Settings = Settings(), start: Model | None = None) -> Model:
    """Return a model trained on `examples`, on top of the trees of `start` if it is given. Its threshold is not set."""
    chance = random.Random(settings.seed)  # noqa: S311 - not for secrets
    columns = [bytes(column) for column in zip(*(each.features for each in examples), strict=True)]
    weights = [each.weight for each in examples]
    targets = [float(each.is_hard) for each in examples]
    if start:
        intercept = start.intercept
        scores = [_log_odds(start, each.features) for each in examples]
    else:
        hard = sum(weight for weight, target in zip(weights, targets, strict=True) if target)
        odds = (hard + 1) / (sum(weights) - hard + 1)
        intercept = round(math.log(odds) * _UNIT)
        scores = [intercept / _UNIT] * len(examples)
    trees = list(start.trees) if start else []
    rows, names = range(len(examples)), range(len(FEATURES))
    for _ in range(settings.trees):
        likely = [1 / (1 + math.exp(-score)) for score in scores]
        gradients = [w * (t - p) for w, t, p in zip(weights, targets, likely, strict=True)]
        curvatures = [w * p * (1 - p) for w, p in zip(weights, likely, strict=True)]
        sampled = chance.sample(rows, max(int(len(examples) * settings.share_of_rows), 1))
        tried = chance.sample(names, max(int(len(FEATURES) * settings.share_of_features), 1))
        tree = _grow(columns, gradients, curvatures, sampled, tried, settings)
        if tree is None:
            continue
        trees.append(tree)
        for row, step in enumerate(_values(tree, columns)):
            scores[row] += step / _UNIT
    return Model("trained", 0.1, intercept, tuple(trees))


def _log_odds(model: Model, features: Sequence[int]) -> float:
    value = model.value(features)
    value = min(max(value, 1e-6), 1 - 1e-6)
    return math.log(value / (1 - value))


def _grow(
    columns: Sequence[bytes],
    gradients: Sequence[float],
    curvatures: Sequence[float],
    rows: list[int],
    tried: Sequence[int],
    settings: Settings,
) -> tuple[int, ...] | None:
    """Return one tree in its stored form; None if no split helps."""
    root = _Node(rows, 0.0, -math.inf, math.inf)
    root.value = _optimum(rows, gradients, curvatures, settings.ridge)
    nodes: list[_Node] = [root]
    splits: list[tuple[int, int]] = []
    for index in range(SPLITS):
        node = nodes[index]
        found = _best_split(node, columns, gradients, curvatures, tried, settings)
        if found is None:
            splits.append((0, _NEVER))
            nodes += [node, _Node([], node.value, node.low, node.high)]
            continue
        feature, bucket, left, right = found
        column = columns[feature]
        low, high = node.low, node.high
        middle = (left + right) / 2
        ascending = _ASCENDING[feature]
        nodes.append(
            _Node([row for row in node.rows if column[row] <= bucket], left, low, middle if ascending else high)
        )
        nodes.append(
            _Node([row for row in node.rows if column[row] > bucket], right, middle if ascending else low, high)
        )
        splits.append((feature, bucket))
    if splits[0][1] == _NEVER:
        return None
    values = [round(node.value * settings.rate * _UNIT) for node in nodes]
    return (*(number for split in splits for number in split), *values)


def _optimum(rows: Sequence[int], gradients: Sequence[float], curvatures: Sequence[float], ridge: float) -> float:
    return sum(map(gradients.__getitem__, rows)) / (sum(map(curvatures.__getitem__, rows)) + ridge)


def _best_split(
    node: _Node,
    columns: Sequence[bytes],
    gradients: Sequence[float],
    curvatures: Sequence[float],
    tried: Sequence[int],
    settings: Settings,
) -> tuple[int, int, float, float] | None:
    """Return the split with the highest gain: feature, highest bucket to the left, and the values of both sides."""
    rows, ridge = node.rows, settings.ridge
    if len(rows) < 2 * settings.least_rows:
        return None
    own_gradients = list(map(gradients.__getitem__, rows))
    own_curvatures = list(map(curvatures.__getitem__, rows))
    all_g, all_h = sum(own_gradients), sum(own_curvatures)
    best, best_gain = None, all_g * all_g / (all_h + ridge) + 1e-9
    for feature in tried:
        g, h, n = [0.0] * BUCKETS, [0.0] * BUCKETS, [0] * BUCKETS
        for bucket, gradient, curvature in zip(
            map(columns[feature].__getitem__, rows), own_gradients, own_curvatures, strict=True
        ):
            g[bucket] += gradient
            h[bucket] += curvature
            n[bucket] += 1
        left_g = left_h = 0.0
        left_n = 0
        for bucket in range(BUCKETS - 1):
            if not n[bucket]:
                continue
            left_g += g[bucket]
            left_h += h[bucket]
            left_n += n[bucket]
            if left_n < settings.least_rows:
                continue
            if len(rows) - left_n < settings.least_rows:
                break
            right_g, right_h = all_g - left_g, all_h - left_h
            left = min(max(left_g / (left_h + ridge), node.low), node.high)
            right = min(max(right_g / (right_h + ridge), node.low), node.high)
            if _ASCENDING[feature] and left > right:
                continue
            gain = 2 * left_g * left - (left_h + ridge) * left * left + 2 * right_g * right
            gain -= (right_h + ridge) * right * right
            if gain > best_gain:
                best, best_gain = (feature, bucket, left, right), gain
    return best


def _values(tree: tuple[int, ...], columns: Sequence[bytes]) -> list[int]:
    """Return the value of a tree for every row."""
    values = []
    for row in range(len(columns[0])):
        node = 0
        for _ in range(3):
            node = 2 * node + (1 if columns[tree[2 * node]][row] <= tree[2 * node + 1] else 2)
        values.append(tree[2 * SPLITS + node])
    return values

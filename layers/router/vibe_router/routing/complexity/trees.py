"""A model of small trees over features' buckets, as JSON, and its evaluation with reasons.

Each tree has three levels. It is stored as 29 whole numbers: for its seven splits the feature and the highest bucket
that goes left, breadth first, then the value of each of its fifteen nodes in 1/10,000 of log-odds. A step from a node
to its child changes the value; the change is what the split's feature contributed.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vibe_router.routing.complexity.features import FEATURES

__all__ = ["MAX_BYTES", "MAX_TREES", "SPLITS", "Model", "load"]

SPLITS = 7  # of a tree with three levels
MAX_TREES = 400
MAX_BYTES = 32 * 1024
_NODES = 2 * SPLITS + 1
_NUMBERS = 2 * SPLITS + _NODES
_UNIT = 10_000
_MOST_REASONS = 3
_LARGEST = 10**6  # log-odds beyond 100 are a corrupt model
_LEAST_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class Model:
    """Trees with the threshold from which a request is hard. `languages` are those it has evidence for."""

    version: str
    threshold: float
    intercept: int
    trees: tuple[tuple[int, ...], ...]
    languages: tuple[str, ...] = ("en",)
    facts: Mapping[str, Any] = field(default_factory=dict)  # what it was trained on and how well it does, for people

    def evaluate(self, features: Sequence[int]) -> tuple[float, tuple[tuple[str, float], ...]]:
        """Return the value of `features` from 0 to 1, and the strongest reasons with their log-odds."""
        total = self.intercept
        contributions: dict[int, int] = {}
        for tree in self.trees:
            node = 0
            value = tree[14]
            total += value
            for _ in range(3):
                feature = tree[2 * node]
                node = 2 * node + 1 if features[feature] <= tree[2 * node + 1] else 2 * node + 2
                reached = tree[14 + node]
                if reached != value:
                    contributions[feature] = contributions.get(feature, 0) + reached - value
                    total += reached - value
                    value = reached
        strongest = sorted(contributions.items(), key=lambda each: -abs(each[1]))[:_MOST_REASONS]
        reasons = tuple((FEATURES[index], round(share / _UNIT, 3)) for index, share in strongest)
        value_of_all = 1 / (1 + math.exp(-max(min(total / _UNIT, 50), -50)))
        return round(value_of_all, 4), tuple(each for each in reasons if abs(each[1]) >= _LEAST_SHARE)

    def as_json(self) -> str:
        """Return the text that `load` reads."""
        return json.dumps(
            {
                "version": self.version,
                "threshold": self.threshold,
                "features": len(FEATURES),
                "languages": self.languages,
                "intercept": self.intercept,
                "facts": self.facts,
                "trees": self.trees,
            },
            separators=(",", ":"),
        )


def load(text: str | bytes) -> Model:
    """Read a model. Raises ValueError for a malformed one, and for one of other features."""
    if len(text) > MAX_BYTES:
        raise ValueError(f"the model has more than {MAX_BYTES:,} bytes")
    read = json.loads(text)
    if not isinstance(read, dict):
        raise ValueError("the model is not an object")
    if read.get("features") != len(FEATURES):
        raise ValueError(f"the model is of {read.get('features')} features, and this release has {len(FEATURES)}")
    trees, threshold, intercept = read.get("trees"), read.get("threshold"), read.get("intercept")
    if not isinstance(trees, list) or not 0 < len(trees) <= MAX_TREES:
        raise ValueError("the model has no trees, or too many")
    if not isinstance(threshold, float) or not 0 < threshold < 0.5:
        raise ValueError("the model's threshold is not between 0 and 0.5")
    if not isinstance(intercept, int) or abs(intercept) > _LARGEST:
        raise ValueError("the model's intercept is not a whole number in range")
    return Model(
        version=str(read.get("version") or "unnamed")[:64],
        threshold=threshold,
        intercept=intercept,
        trees=tuple(map(_tree, trees)),
        languages=tuple(str(each)[:8] for each in read.get("languages") or ()),
        facts=read.get("facts") or {},
    )


def _tree(numbers: Any) -> tuple[int, ...]:
    """Return one tree, checked. Raises ValueError."""
    if not isinstance(numbers, list) or len(numbers) != _NUMBERS or not all(type(each) is int for each in numbers):
        raise ValueError(f"a tree is not {_NUMBERS} whole numbers")
    if not all(0 <= feature < len(FEATURES) for feature in numbers[: 2 * SPLITS : 2]):
        raise ValueError("a tree splits on a feature that does not exist")
    if any(abs(each) > _LARGEST for each in numbers):
        raise ValueError("a tree has a number that is out of range")
    return tuple(numbers)

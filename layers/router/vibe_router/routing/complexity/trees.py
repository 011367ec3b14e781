"""A model of small trees over features' buckets, as JSON, and its evaluation with reasons.

Each tree has three levels. It is stored as 29 whole numbers: for its seven splits the feature and the highest bucket
that goes left, breadth first, then the value of each of its fifteen nodes in 1/10,000 of log-odds. A step from a node
to its child changes the value; the change is what the split's feature contributed.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import Any

from vibe_router.routing.complexity.features import FEATURES
from vibe_router.routing.complexity.forest import LARGEST, MAX_TREES, SPLITS, Forest

__all__ = ["MAX_BYTES", "Model", "load"]

MAX_BYTES = 32 * 1024
_NODES = 2 * SPLITS + 1
_NUMBERS = 2 * SPLITS + _NODES
_UNIT = 10_000
_MOST_REASONS = 3
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
    _forest: Forest = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Prepare the trees for evaluation."""
        object.__setattr__(self, "_forest", Forest(self.trees, len(FEATURES)))

    def value(self, features: Sequence[int]) -> float:
        """Return the value of `features` from 0 to 1."""
        log_odds = (self.intercept + self._forest.sum_of_leaves(features)) / _UNIT
        return round(1 / (1 + math.exp(-max(min(log_odds, 50), -50))), 4)

    def reasons(self, features: Sequence[int]) -> tuple[tuple[str, float], ...]:
        """Return the features with the largest shares in the value of `features`, in log-odds."""
        shares = self._forest.contributions(features)
        strongest = nsmallest(_MOST_REASONS, ((-abs(share), index) for index, share in enumerate(shares) if share))
        found = ((FEATURES[index], round(shares[index] / _UNIT, 3)) for _, index in strongest)
        return tuple(each for each in found if abs(each[1]) >= _LEAST_SHARE)

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
    if not isinstance(intercept, int) or abs(intercept) > LARGEST:
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
    if any(abs(each) > LARGEST for each in numbers):
        raise ValueError("a tree has a number that is out of range")
    return tuple(numbers)

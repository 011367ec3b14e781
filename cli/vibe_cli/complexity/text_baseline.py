"""The baseline that a complexity model is compared with: TF-IDF of words and pairs with logistic regression."""

import math
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

__all__ = ["predict_by_words"]

_WORD = re.compile(r"\w\w+")
_LEAST_TEXTS = 3  # that contain a term
_EPOCHS = 4
_RATE = 0.25
_RIDGE = 1e-4


def predict_by_words(texts: Sequence[str], targets: Sequence[bool]) -> Callable[[str], float]:
    """Learn from `texts`; return what gives the probability that another text is hard."""
    counted = [_terms(text) for text in texts]
    documents = Counter(term for terms in counted for term in terms)
    index = {term: at for at, term in enumerate(term for term, n in documents.items() if n >= _LEAST_TEXTS)}
    rarity = [0.0] * len(index)
    for term, at in index.items():
        rarity[at] = math.log((1 + len(texts)) / (1 + documents[term])) + 1
    rows = [_vector(terms, index, rarity) for terms in counted]
    weights, squares = [0.0] * len(index), [1e-3] * len(index)
    share = (sum(targets) + 1) / (len(targets) + 2)
    bias = math.log(share / (1 - share))
    order, chance = list(range(len(rows))), random.Random(0)  # noqa: S311 - not for secrets
    for _ in range(_EPOCHS):
        chance.shuffle(order)
        for row in order:
            error = targets[row] - _likely(rows[row], weights, bias)
            bias += 0.002 * error
            for at, value in rows[row]:
                slope = error * value - _RIDGE * weights[at]
                squares[at] += slope * slope
                weights[at] += _RATE * slope / math.sqrt(squares[at]) * 0.2
    return lambda text: _likely(_vector(_terms(text), index, rarity), weights, bias)


def _terms(text: str) -> Counter[str]:
    words = _WORD.findall(text.lower())
    return Counter([*words, *map(" ".join, pairwise(words))])


def _vector(terms: Counter[str], index: dict[str, int], rarity: Sequence[float]) -> list[tuple[int, float]]:
    row = [(at, (1 + math.log(n)) * rarity[at]) for term, n in terms.items() if (at := index.get(term)) is not None]
    length = math.sqrt(sum(value * value for _, value in row)) or 1.0
    return [(at, value / length) for at, value in row]


def _likely(row: Sequence[tuple[int, float]], weights: Sequence[float], bias: float) -> float:
    total = bias + sum(weights[at] * value for at, value in row)
    return 1 / (1 + math.exp(-max(min(total, 30), -30)))

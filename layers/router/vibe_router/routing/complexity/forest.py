"""Evaluate all trees of a model at once, and the share of each feature in the result.

The leaves that a request can still reach are bits: eight a tree, in one number for all trees. Each feature's bucket
clears the leaves that its splits exclude, and the lowest bit that is left in a tree is its leaf (QuickScorer, Lucchese
et al. 2015). What a leaf adds is packed as well: 32 bits for each feature, so that one sum adds up all shares.
"""

import struct
from collections.abc import Sequence
from operator import getitem

__all__ = ["BUCKETS", "LARGEST", "MAX_TREES", "SPLITS", "Forest"]

BUCKETS = 36
"""A feature's buckets go from 0 to 35."""

SPLITS = 7
"""Of a tree with three levels."""

MAX_TREES = 400
LARGEST = 500_000
"""The largest value of a node (log-odds of 50); larger ones are corrupt, and could overflow a packed sum."""

_VALUES = 2 * SPLITS  # where the nodes' values begin
_LEAVES = SPLITS + 1
_LEFT_LEAVES = (0b1111, 0b11, 0b110000, 0b1, 0b100, 0b10000, 0b1000000)  # below the left side of each split
_LOWEST_BIT = bytes((each & -each).bit_length() - 1 if each else 0 for each in range(256))
_LANE = 32  # bits
_ZERO = 1 << (_LANE - 1)  # what a lane holds for 0


class Forest:
    """Trees that are prepared for evaluation. A tree is stored as `trees` describes it."""

    def __init__(self, trees: Sequence[Sequence[int]], features: int) -> None:
        self._size = len(trees)
        self._everything = (1 << 8 * self._size) - 1
        self._allowed = _allowed_leaves(trees, self._everything)
        self._values = [tuple(tree[_VALUES + SPLITS :]) for tree in trees]
        self._added = [_packed_leaves(tree) for tree in trees]
        self._zeros = sum(_ZERO << (_LANE * each) for each in range(features))
        self._lanes = struct.Struct(f"<{features}I")

    def sum_of_leaves(self, buckets: Sequence[int]) -> int:
        """Return the sum of the values of the leaves that a request reaches, in the trees' unit."""
        return sum(map(getitem, self._values, self._leaves(buckets)))

    def contributions(self, buckets: Sequence[int]) -> list[int]:
        """Return what each feature adds on the way to these leaves, in the trees' unit."""
        packed = sum(map(getitem, self._added, self._leaves(buckets)), self._zeros)
        return [each - _ZERO for each in self._lanes.unpack(packed.to_bytes(self._lanes.size, "little"))]

    def _leaves(self, buckets: Sequence[int]) -> bytes:
        """Return the number of the leaf in each tree."""
        left = self._everything
        for feature, allowed in self._allowed:
            left &= allowed[buckets[feature]]
        return left.to_bytes(self._size, "little").translate(_LOWEST_BIT)


def _allowed_leaves(trees: Sequence[Sequence[int]], everything: int) -> list[tuple[int, list[int]]]:
    """Return, for each feature that a tree splits on and each of its buckets, the leaves that stay possible."""
    excluded: dict[int, list[int]] = {}
    for position, tree in enumerate(trees):
        for split, left_leaves in enumerate(_LEFT_LEAVES):
            feature, highest_left = tree[2 * split], tree[2 * split + 1]
            if highest_left + 1 < BUCKETS:
                by_bucket = excluded.setdefault(feature, [0] * BUCKETS)
                by_bucket[max(highest_left + 1, 0)] |= left_leaves << (8 * position)
    found = []
    for feature, by_bucket in sorted(excluded.items()):
        for bucket in range(1, BUCKETS):
            by_bucket[bucket] |= by_bucket[bucket - 1]
        found.append((feature, [everything & ~each for each in by_bucket]))
    return found


def _packed_leaves(tree: Sequence[int]) -> tuple[int, ...]:
    """Return what each leaf of a tree adds: the changes of value on the way to it, by feature."""
    leaves = []
    for leaf in range(_LEAVES):
        packed = node = 0
        for level in (2, 1, 0):
            child = 2 * node + 1 + (leaf >> level & 1)
            packed += (tree[_VALUES + child] - tree[_VALUES + node]) << (_LANE * tree[2 * node])
            node = child
        leaves.append(packed)
    return tuple(leaves)

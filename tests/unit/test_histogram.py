"""Histograms of times: their buckets, and the percentiles estimated from them."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.core.histogram import BOUNDS_MS, FIRST_TOKEN, TOTAL_TIME, percentile

TIMES = st.lists(st.integers(0, 900_000), min_size=1, max_size=60)


def counts_of(times: list[int]) -> list[int]:
    counters: Counter[str] = Counter()
    for each in times:
        counters.update(FIRST_TOKEN.counters_of(each))
    return FIRST_TOKEN.counts(counters)


@pytest.mark.parametrize(
    ("ms", "bucket"), [(0, 0), (100, 0), (100.1, 1), (500_000, 22), (500_001, 23), (1e9, 23), (-5, 0)]
)
def test_a_bound_belongs_to_the_bucket_below_it(ms: float, bucket: int) -> None:
    assert FIRST_TOKEN.counters_of(ms) == {f"f{bucket}": 1, "f_sum": max(round(ms), 0)}


@given(TIMES, st.sampled_from([0.5, 0.95, 1.0]))
def test_an_estimate_is_in_the_bucket_of_the_true_percentile(times: list[int], share: float) -> None:
    true = sorted(times)[max(-int(-share * len(times) // 1), 1) - 1]
    estimate = percentile(counts_of(times), share)
    assert estimate is not None
    assert counts_of([true]) == counts_of([int(estimate)]) or estimate in BOUNDS_MS
    if 100 < true <= BOUNDS_MS[-1]:
        assert 3 / 5 - 1e-9 <= estimate / true <= 5 / 3 + 1e-9


@given(TIMES)
def test_percentiles_are_in_order(times: list[int]) -> None:
    p50, p95 = (percentile(counts_of(times), share) for share in (0.5, 0.95))
    assert p50 is not None
    assert p95 is not None
    assert 0 <= p50 <= p95 <= BOUNDS_MS[-1]


def test_without_times_there_is_no_percentile() -> None:
    assert percentile(FIRST_TOKEN.counts({}), 0.5) is None


def test_bounds_grow_by_at_most_the_factor_that_is_documented() -> None:
    assert all(lower < upper <= lower * 5 / 3 for lower, upper in pairwise(BOUNDS_MS))
    assert not set(FIRST_TOKEN.names) & set(TOTAL_TIME.names)

"""The text format of Prometheus: names, escapes, and histograms."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin.exposition import CONTENT_TYPE, Family, HistogramSample, exposition
from tests.metrics_text import read_metrics

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)


@given(
    st.dictionaries(st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True), TEXT, max_size=3), st.floats(0, 1e15)
)
def test_labels_and_values_read_back(labels: dict[str, str], value: float) -> None:
    text = exposition([Family("vibe_x_total", "counter", "An\nodd \\ text.", [(labels, value)])])
    assert read_metrics(text) == {("vibe_x_total", frozenset(labels.items())): value}
    assert text.endswith("\n")


@given(st.lists(st.integers(0, 10**9), min_size=3, max_size=3))
def test_buckets_are_cumulative_and_the_last_is_the_count(counts: list[int]) -> None:
    sample = HistogramSample({"model": "m"}, [0.1, 1.0], counts, 12.5)
    found = read_metrics(exposition([Family("vibe_t_seconds", "histogram", "Times.", histograms=[sample])]))
    assert [found["vibe_t_seconds_bucket", frozenset({("model", "m"), ("le", le)})] for le in ("0.1", "1", "+Inf")] == [
        counts[0],
        counts[0] + counts[1],
        sum(counts),
    ]
    assert found["vibe_t_seconds_count", frozenset({("model", "m")})] == sum(counts)
    assert found["vibe_t_seconds_sum", frozenset({("model", "m")})] == 12.5


def test_a_family_without_samples_is_left_out() -> None:
    assert exposition([Family("vibe_x_total", "counter", "Nothing.")]) == ""
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize("value", [0, 3, 2.0, 1e-9, 123456789.25])
def test_numbers_are_plain(value: float) -> None:
    line = exposition([Family("x", "gauge", "A number.", [({}, value)])]).splitlines()[-1]
    assert math.isclose(float(line.split()[1]), value)

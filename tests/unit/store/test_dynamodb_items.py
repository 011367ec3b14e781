import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.store.dynamodb import Value, from_item, to_item

# What DynamoDB's numbers reach: 38 digits, and exponents up to 125.
numbers = st.integers(-(10**38) + 1, 10**38 - 1) | st.floats(-1e100, 1e100).filter(lambda n: n == 0 or abs(n) > 1e-100)
scalars = st.none() | st.booleans() | numbers | st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text("abc_"), inner), max_leaves=8)


@given(st.dictionaries(st.text("abc_", min_size=1), values))
def test_values_are_read_back_unchanged(written: dict[str, Value]) -> None:
    assert from_item(to_item(written)) == written


@given(st.floats(-1e15, 1e15) | st.integers(-(10**15), 10**15))
def test_numbers_are_read_back_as_int_or_float(number: float) -> None:
    assert type(from_item(to_item({"n": number}))["n"]) is type(number)
    assert from_item({"n": {"N": "5"}}) == {"n": 5}
    assert from_item({"n": {"N": "1.5E+3"}}) == {"n": 1500.0}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "\ud800"], ids=["NaN", "∞", "−∞", "a lone surrogate"])
def test_a_value_that_dynamodb_cannot_store_is_rejected_before_the_call(value: Value) -> None:
    with pytest.raises(ValueError, match=r"no number|surrogates"):
        to_item({"value": [{"deep": value}]})


def test_sets_are_read_as_lists() -> None:
    item: Any = {"a": {"SS": ["x", "b"]}, "b": {"NS": ["2", "1.5"]}, "c": {"BS": ["eg=="]}, "d": {"B": "eQ=="}}
    assert from_item(item) == {
        "a": ["b", "x"],
        "b": [1.5, 2],
        "c": ["eg=="],
        "d": "eQ==",
    }

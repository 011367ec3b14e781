"""Which regular expressions a guard may search with."""

import pytest

from vibe_router.routing.guard_patterns import checked_pattern


@pytest.mark.parametrize(
    "pattern",
    [
        r"ACME-[0-9]{6}",
        r"\b[A-Z]{2,10}-[0-9]{3,8}\b",
        r"(?i)\bproject (?:bluebird|hawk)\b",
        r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}",
        r"\b(?:[A-Z]{2}[0-9]{2})(?: ?[A-Z0-9]{4}){2,7}\b",
        r"employee[ _-]?id[:= ]+\d{5,8}",
        r"内部-\d+",
        r"(?:\d{3}-){2}\d{4}",
    ],
)
def test_a_linear_pattern_is_accepted(pattern: str) -> None:
    assert checked_pattern(pattern) == pattern


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (r"(a+)+b", "exponential"),
        (r"[a-z]+@x", "quadratic"),
        (r"x{0,999}x{0,999}y", "quadratic"),
        (r"(?:a?){30}a{30}", "too many ways"),
        ("a?" * 14 + "a" * 14, "too many ways"),
        (r"(a)\1", "refer back"),
        ("(", "not a regular expression"),
        ("[[a]", "not a regular expression"),
        ("a*", "empty text"),
        ("".join(f"(?:a{i}|b+)" for i in range(60)), "too complex"),
    ],
)
def test_a_pattern_that_may_take_long_is_rejected(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        checked_pattern(pattern)

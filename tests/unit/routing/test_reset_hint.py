"""When a provider says it heals."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.routing.error_answer import read_error
from vibe_router.routing.reset_hint import reset_after

NOW = 1_785_000_000.0  # 2026-07-25 17:20:00 UTC
YEAR = 365 * 86_400


def hint(
    headers: Mapping[str, str] | None = None, error: Mapping[str, Any] | None = None, *, buckets: bool = True
) -> float | None:
    return reset_after(headers or {}, read_error(json.dumps({"error": error or {}}).encode()), NOW, buckets=buckets)


@pytest.mark.parametrize(
    ("name", "value", "seconds"),
    [
        ("retry-after", "20", 20),
        ("retry-after", " 1.5 ", 1.5),
        ("retry-after", "Sat, 25 Jul 2026 17:21:00 GMT", 60),
        ("retry-after-ms", "250", 0.25),
        ("x-ratelimit-reset-requests", "120ms", 0.12),
        ("x-ratelimit-reset-tokens", "6m0s", 360),
        ("x-ratelimit-reset-tokens", "1s", 1),
        ("x-ratelimit-reset-tokens", "1h2m3.5s", 3723.5),
        ("x-ratelimit-reset-tokens", "12.5", 12.5),
        ("x-ratelimit-reset-requests", "1785000042", 42),
        ("x-ratelimit-reset", "1785000042000", 42),
        ("x-ratelimit-reset", "2026-07-25T17:20:30Z", 30),
        ("anthropic-ratelimit-tokens-reset", "2026-07-25T17:21:00Z", 60),
        ("anthropic-ratelimit-tokens-reset", "2026-07-25T19:21:00.5+02:00", 60.5),
        ("anthropic-ratelimit-unified-reset", "1785003600", 3600),
    ],
)
def test_a_header_gives_seconds(name: str, value: str, seconds: float) -> None:
    assert hint({name: value}) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        ({"reset_seconds": 495669}, 495669),
        ({"reset_time": "137h41m9s"}, 495669),
        ({"resets_in_seconds": 5.5}, 5.5),
        ({"resets_in_seconds": "90"}, 90),
        ({"resets_at": 1785000060}, 60),
        ({"resets_at": 1785000060000}, 60),
        ({"resets_at": "2026-07-25T17:21:00Z"}, 60),
        ({"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}]}, 34),
        ({"details": [{"retryDelay": "0.847655010s"}]}, 0.84765501),
        ({"details": [{"metadata": {"quotaResetDelay": "6h23m"}}]}, 22980),
        ({"message": "It will reset at 2026-07-26 01:21:00 +0800 CST. Request id: 0217"}, 60),
        ({"message": "Your limit will reset at 2026-07-26 01:21:00"}, 60),
        ({"message": "您的限额将在 2026-07-26 01:21:00 重置。"}, 60),
        ({"message": "You will regain access on 2026-07-25 at 17:21 UTC."}, 60),
        ({"message": "Please try again in 20s. Visit https://example.com"}, 20),
        ({"message": "Please try again in 6m0s."}, 360),
        ({"message": "Try again in 1.5 seconds"}, 1.5),
        ({"message": "try again in 2 minutes"}, 120),
        ({"message": "Please try again in 320ms."}, 0.32),
        ({"message": "Please try again in 500 milliseconds."}, 0.5),
        ({"message": "Please retry in 36.429760048s."}, 36.429760048),
        ({"message": "Please retry after 86400 seconds."}, 86400),
        ({"message": "Please try again in 1 hour and 5 minutes."}, 3900),
        ({"message": "Your quota will reset after 1d2h3m4s."}, 93784),
    ],
    ids=lambda value: json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else "",
)
def test_a_body_gives_seconds(error: Mapping[str, Any], seconds: float) -> None:
    assert hint(error=error) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after": value}
        for value in ("", "0", "-1", "soon", "nan", "inf", "1e400", "31536001", "Mon, 25 Jul 2016 17:21:00 GMT",
                      "Sat, 99 Jul 2026 99:99:99 GMT", "Sat, 25 Jul 99999 17:21:00 GMT")
    ]
    + [
        {"x-ratelimit-reset-tokens": "0s"},
        {"x-ratelimit-reset-tokens": "6x"},
        {"x-ratelimit-reset-tokens": "1780000000"},
        {"anthropic-ratelimit-tokens-reset": "2026-07-25T17:19:00Z"},
        {"anthropic-ratelimit-tokens-reset": "2026-13-45T99:19:00Z"},
        {"anthropic-ratelimit-tokens-reset": "2028-07-25T17:19:00Z"},
        {"anthropic-ratelimit-tokens-reset": "60"},
        {"retry-after-ms": "-5"},
    ],
    ids=str,
)  # fmt: skip
def test_a_header_that_is_past_absurd_or_malformed_is_no_hint(headers: Mapping[str, str]) -> None:
    assert hint(headers) is None


@pytest.mark.parametrize(
    "error",
    [
        {"reset_seconds": 0},
        {"reset_seconds": True},
        {"reset_seconds": [5]},
        {"reset_time": "soon"},
        {"resets_at": 60},
        {"resets_at": 99999999999999999999},
        {"message": "It will reset at 2026-07-24 23:59:59 +0800 CST"},
        {"message": "It will reset at 2026-99-99 23:59:59 +0800 CST"},
        {"message": "timed out after 20s"},
        {"message": "try again in 20 sheep"},
    ],
    ids=str,
)
def test_a_body_that_is_past_absurd_or_malformed_gives_no_hint(error: Mapping[str, Any]) -> None:
    assert hint(error=error) is None


def test_the_soonest_of_all_hints_counts() -> None:
    headers = {"retry-after": "30", "x-ratelimit-reset-tokens": "6m0s"}
    assert hint(headers, {"reset_seconds": 20, "message": "try again in 25s"}) == 20
    assert hint(headers, {"reset_seconds": 40}) == 30
    assert hint({"retry-after": "0"}, {"reset_seconds": 40}) == 40


def test_refills_of_buckets_only_explain_a_rate_limit() -> None:
    headers = {"x-ratelimit-reset-requests": "120ms", "anthropic-ratelimit-tokens-reset": "2026-07-25T17:21:00Z"}
    assert hint(headers, buckets=False) is None
    assert hint({**headers, "retry-after": "30"}, buckets=False) == 30


@pytest.mark.parametrize(
    ("state", "counts"),
    [
        ({"remaining": "0"}, True),
        ({"remaining": "12"}, False),
        ({"status": "rejected"}, True),
        ({"status": "allowed"}, False),
        ({"status": "allowed_warning"}, False),
        ({"remaining": "?"}, True),
        ({}, True),
    ],
    ids=str,
)
def test_an_anthropic_bucket_counts_unless_it_has_some_left(state: Mapping[str, str], counts: bool) -> None:
    headers = {f"anthropic-ratelimit-tokens-{name}": value for name, value in state.items()}
    found = hint({**headers, "anthropic-ratelimit-tokens-reset": "2026-07-25T17:21:00Z"})
    assert found == (60 if counts else None)


@given(st.integers(0, 8000), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_a_duration_as_go_writes_it_is_read_back(hours: int, minutes: int, seconds: int, millis: int) -> None:
    written = f"{hours}h{minutes}m{seconds}.{millis:03}s"
    total = hours * 3600 + minutes * 60 + seconds + millis / 1000
    expected = pytest.approx(total) if 0 < total <= YEAR else None
    assert hint({"x-ratelimit-reset-tokens": written}) == expected
    assert hint(error={"reset_time": written}) == expected
    assert hint(error={"message": f"Please try again in {written}."}) == expected


@given(st.lists(st.floats(), min_size=1, max_size=4))
def test_the_soonest_valid_hint_wins_wherever_it_is(values: list[float]) -> None:
    places = ["retry-after", "reset_seconds", "resets_in_seconds", "retry_after"]
    given_ = dict(zip(places, values, strict=False))
    header = {"retry-after": repr(given_.pop("retry-after"))}
    valid = [value for value in values if 0 < value <= YEAR]
    assert hint(header, given_) == (min(valid) if valid else None)

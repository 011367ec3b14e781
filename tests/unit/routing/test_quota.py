"""The used share of a deployment's limits, as providers report it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.routing.quota import QuotaWindow, has_quota, read_quota, used_share

NOW = 1_790_000_000.0
CASES: list[tuple[str, dict[str, str], list[QuotaWindow]]] = [
    (
        "a Claude plan",
        {
            "anthropic-ratelimit-unified-status": "allowed",
            "anthropic-ratelimit-unified-5h-status": "allowed",
            "anthropic-ratelimit-unified-5h-utilization": "0.42",
            "anthropic-ratelimit-unified-5h-reset": "1790003600",
            "anthropic-ratelimit-unified-7d-utilization": "0.91",
            "anthropic-ratelimit-unified-7d-reset": "1790500000",
        },
        [QuotaWindow("5h", 0.42, NOW + 3600), QuotaWindow("7d", 0.91, NOW + 500_000)],
    ),
    (
        "a ChatGPT plan",
        {
            "x-codex-primary-used-percent": "12.5",
            "x-codex-primary-window-minutes": "300",
            "x-codex-primary-reset-after-seconds": "600",
            "x-codex-secondary-used-percent": "97",
            "x-codex-secondary-window-minutes": "10080",
            "x-codex-secondary-reset-at": "1790100000",
        },
        [QuotaWindow("5h", 0.125, NOW + 600), QuotaWindow("7d", 0.97, NOW + 100_000)],
    ),
    (
        "an OpenAI key",
        {
            "x-ratelimit-limit-requests": "100",
            "x-ratelimit-remaining-requests": "58",
            "x-ratelimit-reset-requests": "6m0s",
            "x-ratelimit-limit-tokens": "40000",
            "x-ratelimit-remaining-tokens": "10000",
            "x-ratelimit-reset-tokens": "120ms",
        },
        [QuotaWindow("requests", 0.42, NOW + 360), QuotaWindow("tokens", 0.75, NOW)],
    ),
    (
        "an Anthropic key",
        {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "0",
            "anthropic-ratelimit-requests-reset": "2026-09-21T14:13:21Z",
        },
        [QuotaWindow("requests", 1.0, 1_790_000_001.0)],
    ),
    ("more than all", {"anthropic-ratelimit-unified-5h-utilization": "1.7"}, [QuotaWindow("5h", 1.0)]),
    ("nonsense", {"x-codex-primary-used-percent": "many", "x-ratelimit-limit-requests": "0"}, []),
    ("infinity", {"anthropic-ratelimit-unified-5h-utilization": "inf"}, []),
]


@pytest.mark.parametrize(("headers", "windows"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_reports_of_providers(headers: dict[str, str], windows: list[QuotaWindow]) -> None:
    found = read_quota(headers, NOW)
    assert [(each.name, each.used) for each in found] == [(each.name, each.used) for each in windows]
    assert [each.resets_at for each in found] == pytest.approx([each.resets_at for each in windows], abs=1)
    assert has_quota(headers)


def test_an_answer_without_limits() -> None:
    assert not has_quota({"content-type": "application/json", "x-ratelimit-reset-requests": "1s"})
    assert read_quota({}, NOW) == ()
    assert used_share((), NOW) is None


def test_the_tightest_limit_counts_until_it_resets() -> None:
    windows = (QuotaWindow("5h", 0.95, NOW + 10), QuotaWindow("7d", 0.4, NOW + 1000))
    assert used_share(windows, NOW) == 0.95
    assert used_share(windows, NOW + 11) == 0.4


NAMES = [name for _, headers, _ in CASES for name in headers]


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=30) | st.floats().map(str), max_size=6))
def test_any_header_is_read_or_left_out(headers: dict[str, str]) -> None:
    for window in read_quota(headers, NOW):
        assert 0 <= window.used <= 1
        assert 0 <= window.resets_at < 1e11

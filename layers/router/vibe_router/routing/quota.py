"""Read how much of its limits a deployment has used, from the headers of its answers.

    Claude plans   anthropic-ratelimit-unified-5h-utilization: 0.42, -5h-reset: 1790000000; the same for 7d
    ChatGPT plans  x-codex-primary-used-percent: 42, -primary-window-minutes: 300, -primary-reset-after-seconds: 600
    API keys       x-ratelimit-limit-requests: 100, -remaining-requests: 58, -reset-requests: 6m0s; the same for tokens
                   anthropic-ratelimit-requests-limit, -remaining, -reset; the same for tokens

CLIProxyAPI passes them on with `passthrough-headers: true`. Pure.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vibe_router.routing.reset_hint import seconds_until

__all__ = ["QuotaWindow", "has_quota", "read_quota", "used_share"]

_SIGNS = frozenset(
    {
        "anthropic-ratelimit-unified-5h-utilization",
        "anthropic-ratelimit-unified-7d-utilization",
        "x-codex-primary-used-percent",
        "x-codex-secondary-used-percent",
        "x-ratelimit-limit-requests",
        "x-ratelimit-limit-tokens",
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-tokens-limit",
    }
)
_MOST_WINDOWS = 8
_UNIFIED = re.compile(r"anthropic-ratelimit-unified-([0-9a-z_]{1,20})-utilization", re.ASCII)
_BUCKETS = (
    ("x-ratelimit-limit-{}", "x-ratelimit-remaining-{}", "x-ratelimit-reset-{}"),
    ("anthropic-ratelimit-{}-limit", "anthropic-ratelimit-{}-remaining", "anthropic-ratelimit-{}-reset"),
)


@dataclass(frozen=True, slots=True)
class QuotaWindow:
    """One limit: the share that is used, 0 to 1, and when it resets (epoch seconds, 0 if unknown)."""

    name: str
    used: float
    resets_at: float = 0.0


def has_quota(headers: Mapping[str, str]) -> bool:
    """Return whether `headers` (with lower-case names) report a quota; cheap, as it is asked of every answer."""
    return not _SIGNS.isdisjoint(headers)


def read_quota(headers: Mapping[str, str], now: float) -> tuple[QuotaWindow, ...]:
    """Return the limits in `headers`, with lower-case names, of an answer at `now` (epoch seconds)."""
    return tuple(window for window, _ in zip(_windows(headers, now), range(_MOST_WINDOWS), strict=False))


def used_share(windows: Sequence[QuotaWindow], now: float) -> float | None:
    """Return the share of the tightest limit that is used at `now`; None if none is known."""
    return max((0.0 if 0 < each.resets_at <= now else each.used for each in windows), default=None)


def _windows(headers: Mapping[str, str], now: float) -> Iterator[QuotaWindow]:
    for header, value in headers.items():
        if (found := _UNIFIED.fullmatch(header)) and (used := _share(value)) is not None:
            name = found[1]
            yield QuotaWindow(name, used, _at(headers.get(f"anthropic-ratelimit-unified-{name}-reset"), now))
    for part in ("primary", "secondary"):
        used = _share(headers.get(f"x-codex-{part}-used-percent"), 100)
        if used is not None:
            reset = headers.get(f"x-codex-{part}-reset-after-seconds") or headers.get(f"x-codex-{part}-reset-at")
            minutes = headers.get(f"x-codex-{part}-window-minutes", "")
            yield QuotaWindow(_window_name(minutes) or part, used, _at(reset, now))
    for limit_name, remaining_name, reset_name in _BUCKETS:
        for kind in ("requests", "tokens"):
            limit, remaining = (_number(headers.get(each.format(kind))) for each in (limit_name, remaining_name))
            if limit and remaining is not None:
                used = min(max(1 - remaining / limit, 0.0), 1.0)
                yield QuotaWindow(kind, round(used, 4), _at(headers.get(reset_name.format(kind)), now))


def _window_name(minutes: str) -> str:
    """Return the name of a window by its length, as 5h or 7d; empty if that is unknown."""
    if not minutes.isdecimal() or len(minutes) > 6 or not int(minutes):
        return ""
    length = int(minutes)
    if length % 1440 == 0:
        return f"{length // 1440}d"
    return f"{length // 60}h" if length % 60 == 0 else f"{length}m"


def _share(value: str | None, whole: float = 1.0) -> float | None:
    number = _number(value)
    return None if number is None else round(min(max(number / whole, 0.0), 1.0), 4)


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _at(value: str | None, now: float) -> float:
    seconds = seconds_until(value, now) if value else None
    return round(now + seconds) if seconds is not None and seconds > 0 else 0.0

"""Read the reset time that a provider reports, in any form; of several the soonest counts.

A probe that comes too early costs one request; believing a stale hint costs hours.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from vibe_router.routing.error_answer import ErrorAnswer

__all__ = ["reset_after", "seconds_until"]

_YEAR = 365 * 86_400.0  # seconds; a "reset" beyond is a mistake, as is a number of seconds that is an epoch

# Units by their first letter, except milliseconds.
_UNITS = {"ms": 1e-3, "mil": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_FLAGS = re.ASCII | re.IGNORECASE
# `6m0s`, `120ms`, `137h41m9s`, `20s`, `1.5 seconds`, `1 hour and 5 minutes`
_SPAN = (
    r"\d{1,12}(?:\.\d{1,12})?\s?"
    r"(?:milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)(?![a-z])"
)
_DURATION = rf"{_SPAN}(?:,?\s?(?:and\s)?{_SPAN}){{0,5}}"
_DATE = r"(\d{4}-\d\d-\d\d)(?:[T ]|\sat\s)(\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)\d*\s?(Z|UTC|GMT|[+-]\d\d:?\d\d)?"

# "try again in 20s", "Please retry after 86400 seconds", "Your quota will reset after 6h23m"
_IN_WORDS = rf"(?:again|retry|resets?)\s(?:in|after)\s(?:about\s|~\s?)?({_DURATION})"
# Ark "It will reset at 2026-08-03 23:59:59 +0800 CST", Zhipu the same without a zone and as "将在 … 重置", Anthropic
# "You will regain access on 2026-09-01 at 00:00 UTC"
_AT_WORDS = rf"(?:(?:resets?|access|again|retry)\s(?:at|on|after)\s|将在\s?){_DATE}"

_ZONELESS = "+08:00"  # only Zhipu leaves the zone out, and its clock is China's

_SECONDS = ("reset_seconds", "resets_in_seconds", "retry_after", "retry_after_seconds", "reset_after_seconds")
_DURATIONS = ("reset_time", "retryDelay", "quotaResetDelay")
_INSTANTS = ("resets_at", "reset_at", "quotaResetTimeStamp")


def reset_after(headers: Mapping[str, str], answer: ErrorAnswer, now: float, *, buckets: bool) -> float | None:
    """Return the seconds from `now` (epoch seconds) until the soonest reset that the answer names, or None.

    `headers` have lower-case names. `buckets` says whether the headers that state each rate limit's refill count:
    providers send these with every answer, so they explain a rate limit and nothing else. A time that is past,
    malformed or more than a year away is no hint.
    """
    hints = (hint for hint in _hints(headers, answer, now, buckets) if hint is not None)
    return min((hint for hint in hints if 0 < hint <= _YEAR), default=None)  # NaN compares false


def _hints(headers: Mapping[str, str], answer: ErrorAnswer, now: float, buckets: bool) -> Iterator[float | None]:
    if value := headers.get("retry-after"):
        yield _number(value)
        yield _http_date(value, now)
    yield _thousandth(headers.get("retry-after-ms"))
    if buckets:
        for name, value in headers.items():
            if name.startswith("x-ratelimit-reset"):
                yield _refill(value, now)
            elif name.startswith("anthropic-ratelimit-") and name.endswith("-reset") and _is_empty(name, headers):
                yield _instant(value, now)
    for found in answer.objects:
        yield from (_number(found.get(key)) for key in _SECONDS)
        yield from (_duration(found.get(key)) for key in _DURATIONS)
        yield from (_instant(found.get(key), now) for key in (*_INSTANTS, "reset_time"))
        yield _thousandth(found.get("retry_after_ms"))
    for text in answer.texts:
        yield from (_duration(each[1]) for each in re.finditer(_IN_WORDS, text, _FLAGS))
        yield from (_date(*each.groups(), now=now) for each in re.finditer(_AT_WORDS, text, _FLAGS))


def seconds_until(value: str, now: float) -> float | None:
    """Return the seconds from `now` until a reset given as seconds, a duration or an instant; None if malformed."""
    seconds = _refill(value, now)
    return seconds if seconds is not None and -_YEAR <= seconds <= _YEAR else None


def _is_empty(reset: str, headers: Mapping[str, str]) -> bool:
    """Return whether the bucket of `reset` may be the one that limits; a bucket without a state may."""
    bucket = reset.removesuffix("reset")
    remaining = _number(headers.get(bucket + "remaining"))
    return not remaining and not headers.get(bucket + "status", "").startswith("allowed")


def _refill(value: str, now: float) -> float | None:
    number = _number(value)
    if number is None:
        duration = _duration(value)
        return duration if duration is not None else _instant(value, now)
    return number if number <= _YEAR else _since(number, now)


def _instant(value: object, now: float) -> float | None:
    number = _number(value)
    if number is not None:
        return _since(number, now)
    date = re.fullmatch(_DATE, value.strip(), _FLAGS) if isinstance(value, str) else None
    return _date(*date.groups(), now=now) if date else None


def _since(epoch: float, now: float) -> float:
    return (epoch / 1000 if epoch > 1e11 else epoch) - now  # 1e11 s is the year 5138: those are milliseconds


def _date(day: str, time: str, zone: str | None, *, now: float) -> float | None:
    offset = "+00:00" if zone and zone.isalpha() else zone or _ZONELESS
    return _guarded(lambda: datetime.fromisoformat(f"{day}T{time}{offset}").timestamp() - now)


def _http_date(value: str, now: float) -> float | None:
    if not any(letter.isalpha() for letter in value):
        return None
    from email.utils import parsedate_to_datetime  # slow to import, and rarely needed

    def seconds() -> float:
        date = parsedate_to_datetime(value)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now

    return _guarded(seconds)


def _guarded(seconds: Callable[[], float]) -> float | None:
    try:
        return seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _duration(value: object) -> float | None:
    if not isinstance(value, str) or not re.fullmatch(_DURATION, value.strip(), _FLAGS):
        return None
    parts = re.findall(r"(\d{1,12}(?:\.\d{1,12})?)\s?(ms|mil|[smhd])", value.lower(), re.ASCII)
    return sum(float(amount) * _UNITS[unit] for amount, unit in parts)


def _thousandth(value: object) -> float | None:
    number = _number(value)
    return number / 1000 if number is not None else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    return _guarded(lambda: float(value))

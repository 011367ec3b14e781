"""The logic of the handlers of usage and spending: totals and rows, in dollars and with display names."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from admin.call import Call
from admin.fields import dollars
from vibe_router.access.authentication import hash_key
from vibe_router.core.clock import to_iso
from vibe_router.core.errors import ApiError, bad_request
from vibe_router.core.histogram import FIRST_TOKEN, TOTAL_TIME, percentile
from vibe_router.core.record import COUNTERS, MASTER_ID
from vibe_router.store.usage import Filter, Total

__all__ = [
    "day_of",
    "key_id",
    "key_names",
    "no_such_request",
    "overview",
    "request",
    "requests",
    "summed",
    "team_names",
    "today",
]

_MASTER = {"key_alias": "master key", "key_name": None}


def overview(call: Call, days: int) -> dict[str, Any]:
    """Return the totals of the last `days`.

    For a single day, overall totals and hours cover the last 24 hours, `since`. Totals by model, deployment, key and
    team are counted by day, from midnight UTC of the day `from`.
    """
    last = today(call)
    first = last - timedelta(days=days - 1)
    reader = call.environment.usage
    # An hour that began before the range is not part of it.
    since = to_iso(call.now - 23 * 3600)[:13] if days == 1 else first.isoformat()
    hours = [
        each for each in reader.totals("all", min(first, date.fromisoformat(since[:10])), last) if each.at >= since
    ]
    days_of: dict[str, list[Total]] = {}
    for hour in hours:
        days_of.setdefault(hour.at[:10], []).append(hour)
    keys, teams = key_names(call), team_names(call)
    by_kind = {kind: _by_name(reader.totals(kind, first, last)) for kind in ("model", "deployment", "key", "team")}
    return {
        "from": first.isoformat(),
        "to": last.isoformat(),
        "since": since,
        "totals": summed(hours),
        "hours": [{"at": hour.at, **summed([hour])} for hour in hours],
        "days": [{"at": day, **summed(of_day)} for day, of_day in sorted(days_of.items())],
        "models": [{"name": name, **counters} for name, counters in by_kind["model"]],
        "deployments": [{"name": name, **counters} for name, counters in by_kind["deployment"]],
        "keys": [{"key_id": name, **keys.get(name, {}), **counters} for name, counters in by_kind["key"]],
        "teams": [{"team_id": name, **teams.get(name, {}), **counters} for name, counters in by_kind["team"]],
    }


def requests(call: Call, wanted: Mapping[str, Any], day: str | None, limit: int, before: str | None) -> dict[str, Any]:
    """Return a page of the newest matching rows. Raises ApiError (400)."""
    on = day_of("day", day) if day else None
    key = key_id(call, wanted["key"]) if wanted["key"] else None
    try:
        page = call.environment.usage.find(
            Filter(**{**wanted, "key": key}, first=on, last=on), limit=limit, before=before
        )
    except ValueError:
        raise bad_request("before: is not a valid position; use `next` of the previous page.", param="before") from None
    return {"requests": [record.as_json() for record in page.records], "next": page.next}


def request(call: Call, request_id: str) -> dict[str, Any]:
    """Return one row. Raises ApiError (404)."""
    record = call.environment.usage.request(request_id)
    if record is None:
        raise no_such_request(request_id)
    return record.as_json()


def no_such_request(request_id: str) -> ApiError:
    """Return the 404 for a request without a row."""
    message = f"There is no request {request_id[:100]}. Rows expire after some months."
    return ApiError(404, message, code="request_not_found", param="request_id")


def summed(totals: Iterable[Total]) -> dict[str, Any]:
    """Sum totals: counters, dollars, the mean time to first token, percentiles, and the share of cached tokens.

    Percentiles come from the histograms of core.histogram. What cannot be computed is None.
    """
    sums = Counter(dict.fromkeys(COUNTERS, 0))
    for total in totals:
        sums.update(total.counters)
    milliseconds, count = sums["ttft_ms_sum"], sums["ttft_count"]
    return {
        **{name: sums[name] for name in COUNTERS if name not in ("ttft_ms_sum", "ttft_count")},
        "cost": dollars(sums["cost"]),
        "ttft_ms": round(milliseconds / count, 1) if count else None,
        **_percentiles("ttft", FIRST_TOKEN.counts(sums)),
        **_percentiles("total", TOTAL_TIME.counts(sums)),
        "cache_share": round(sums["cached_tokens"] / sums["prompt_tokens"], 4) if sums["prompt_tokens"] else None,
    }


def _percentiles(name: str, counts: Sequence[int]) -> dict[str, float | None]:
    found = {f"{name}_p{share}_ms": percentile(counts, share / 100) for share in (50, 95)}
    return {field: None if ms is None else round(ms, 1) for field, ms in found.items()}


def key_names(call: Call) -> dict[str, dict[str, Any]]:
    """Return alias and name of every key by key_id; for a regenerated key those of its successor."""
    keys = call.environment.keys.list_keys(deleted=True)
    keys.sort(key=lambda key: (not key.deleted, key.replaced_by is None))
    return {MASTER_ID: _MASTER} | {key.key_id: {"key_alias": key.alias, "key_name": key.name} for key in keys}


def team_names(call: Call) -> dict[str, dict[str, Any]]:
    """Return every team's alias by its id."""
    return {team.id: {"team_alias": team.alias} for team in call.environment.keys.list_teams()}


def key_id(call: Call, named: str) -> str:
    """Return the key_id of a key that is sent as key, hash or key_id."""
    if named == MASTER_ID or call.environment.is_master_key(named):
        return MASTER_ID
    key_hash = hash_key(named) if named.startswith("sk-") else named
    key = call.environment.keys.key(key_hash)
    return key.key_id if key else key_hash


def day_of(field: str, text: str) -> date:
    """Read a day. Raises ApiError (400) naming `field`."""
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise bad_request(f"{field}: must be a day such as 2026-11-24.", param=field) from None


def today(call: Call) -> date:
    """Return the current day in UTC."""
    return datetime.fromtimestamp(call.now, UTC).date()


def _by_name(totals: Sequence[Total]) -> list[tuple[str, dict[str, Any]]]:
    """Return totals of several days by name, most requests first."""
    of: dict[str, list[Total]] = {}
    for total in totals:
        of.setdefault(total.name, []).append(total)
    return sorted(((name, summed(each)) for name, each in of.items()), key=lambda each: -each[1]["requests"])

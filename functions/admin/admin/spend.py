"""/spend/logs and /global/spend*: usage in LiteLLM's shapes."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Query

from admin.call import Call, call_of
from admin.fields import dollars
from admin.openapi import answers
from admin.records import require_own
from admin.router import Router
from admin.usage_logic import day_of, key_id, key_names, summed, team_names, today
from vibe_router.core.clock import to_iso
from vibe_router.core.errors import bad_request
from vibe_router.core.record import Record
from vibe_router.store.usage import Filter, Total

__all__ = ["router"]

router = Router()

_DAYS = 30  # the range of LiteLLM's spending views
_MOST_DAYS = 366  # a caller waits for them
_PAGE = 500
_LOOKS = 50  # pages to search: some seconds of the thirty that API Gateway waits

Limit = Annotated[int, Query(ge=1, le=1000)]
Moment = Annotated[str | None, Query(max_length=40)]
Name = Annotated[str | None, Query(max_length=400)]


@router.get("/spend/logs", tags=["Spend"], responses=answers("A row for each request, newest first.", many=True))
def logs(
    api_key: Name = None,
    user_id: Name = None,
    request_id: Name = None,
    start_date: Moment = None,
    end_date: Moment = None,
    limit: Annotated[int, Query(ge=1, le=5000)] = 1000,
) -> list[dict[str, Any]]:
    """Return the newest requests as LiteLLM's rows. `api_key` is a key or its hash; both dates are in the range.

    A virtual key reads its own requests.
    """
    call = call_of(router)
    if call.key:
        require_own(call, key_id(call, api_key) if api_key else call.key.key_id, "api_key")
        api_key = call.key.key_id
    if request_id is not None:
        found = call.environment.usage.request(request_id)
        records = [found] if found and (call.key is None or found.key == call.key.key_id) else []
    else:
        records = _records(call, api_key, start_date, end_date, user_id, limit)
    return [_row(record) for record in records]


@router.get("/global/spend", tags=["Spend"], responses=answers("`spend`, in dollars."))
def spend() -> dict[str, Any]:
    """Return the spending of the last 30 days."""
    return {"spend": _spent(_totals(call_of(router), "all")), "max_budget": 0}


@router.get("/global/spend/logs", tags=["Spend"], responses=answers("`date` and `spend` of each day.", many=True))
def by_day(api_key: Name = None) -> list[dict[str, Any]]:
    """Return the spending of each of the last 30 days, in total or of one key."""
    call = call_of(router)
    totals = _totals(call, "key" if api_key else "all")
    if api_key:
        wanted = key_id(call, api_key)
        totals = [total for total in totals if total.name == wanted]
    days: dict[str, list[Total]] = {}
    for total in totals:
        days.setdefault(total.at[:10], []).append(total)
    return [{"date": day, "spend": _spent(of_day)} for day, of_day in sorted(days.items())]


@router.get(
    "/global/spend/keys", tags=["Spend"], responses=answers("`api_key`, its hash, and `total_spend`.", many=True)
)
def by_key(limit: Limit = 10) -> list[dict[str, Any]]:
    """List the keys with the highest spending in the last 30 days."""
    call = call_of(router)
    names = key_names(call)
    return [
        {"api_key": name, "key_alias": None, "key_name": None, **names.get(name, {}), "total_spend": _spent(totals)}
        for name, totals in _by_spending(_totals(call, "key"))[:limit]
    ]


@router.get("/global/spend/models", tags=["Spend"], responses=answers("`model` and `total_spend`.", many=True))
def by_model(limit: Limit = 10) -> list[dict[str, Any]]:
    """List the virtual models with the highest spending in the last 30 days."""
    dearest = _by_spending(_totals(call_of(router), "model"))
    return [{"model": name, "total_spend": _spent(totals)} for name, totals in dearest[:limit]]


@router.get(
    "/spend/tags",
    tags=["Spend"],
    responses=answers("`individual_request_tag`, `log_count` and `total_spend`.", many=True),
)
def by_tag(start_date: Moment = None, end_date: Moment = None) -> list[dict[str, Any]]:
    """List the tags of requests by their spending, from `start_date` to `end_date` (default: the last 30 days).

    A request with several tags counts for each of them.
    """
    return [
        {"individual_request_tag": name, "log_count": _count(totals), "total_spend": _spent(totals)}
        for name, totals in _by_spending(_totals(call_of(router), "tag", start_date, end_date))
    ]


@router.get("/global/spend/tags", tags=["Spend"], responses=answers("`spend_per_tag`."))
def spend_per_tag(start_date: Moment = None, end_date: Moment = None, tags: Name = None) -> dict[str, Any]:
    """Return the spending of each tag, or of some `tags` (separated by commas), in a range of days."""
    wanted = set(tags.split(",")) if tags and tags != "all-tags" else None
    found = _by_spending(_totals(call_of(router), "tag", start_date, end_date))
    return {
        "spend_per_tag": [
            {"name": name, "spend": _spent(totals), "log_count": _count(totals)}
            for name, totals in found
            if wanted is None or name in wanted
        ]
    }


@router.get(
    "/global/activity",
    tags=["Spend"],
    responses=answers("`daily_data`, `sum_api_requests` and `sum_total_tokens`."),
)
def activity(start_date: Moment = None, end_date: Moment = None) -> dict[str, Any]:
    """Return requests and tokens of each day, from `start_date` to `end_date` (default: the last 30 days)."""
    return _activity(_totals(call_of(router), "all", start_date, end_date))


@router.get(
    "/global/activity/model", tags=["Spend"], responses=answers("The same for each virtual `model`.", many=True)
)
def activity_by_model(start_date: Moment = None, end_date: Moment = None) -> list[dict[str, Any]]:
    """Return requests and tokens of each virtual model by day, the one with the most requests first."""
    of: dict[str, list[Total]] = {}
    for total in _totals(call_of(router), "model", start_date, end_date):
        of.setdefault(total.name, []).append(total)
    return [
        {"model": name, **_activity(totals)} for name, totals in sorted(of.items(), key=lambda each: -_count(each[1]))
    ]


@router.get("/global/spend/teams", tags=["Spend"], responses=answers("`total_spend_per_team` and `daily_spend`."))
def by_team() -> dict[str, Any]:
    """Return the spending of each team in the last 30 days, in total and by day."""
    call = call_of(router)
    names = {team: fields["team_alias"] or team for team, fields in team_names(call).items()}
    totals = _totals(call, "team")
    dearest = _by_spending(totals)
    days: dict[str, dict[str, Any]] = {}
    for total in totals:
        days.setdefault(total.at, {"date": total.at})[names.get(total.name, total.name)] = _spent([total])
    return {
        "daily_spend": [days[day] for day in sorted(days)],
        "teams": [names.get(name, name) for name, _ in dearest],
        "total_spend_per_team": [
            {"team_id": name, "team_alias": names.get(name), "total_spend": _spent(of_team)}
            for name, of_team in dearest
        ],
    }


def _records(
    call: Call, api_key: str | None, start: str | None, end: str | None, user_id: str | None, limit: int
) -> list[Record]:
    """Return the newest matching rows, at most `limit`. Raises ApiError (400)."""
    wanted = Filter(
        key=key_id(call, api_key) if api_key else None,
        first=day_of("start_date", start) if start else None,
        last=day_of("end_date", end) if end else None,
    )
    earliest, latest = _moment("start_date", start), _moment("end_date", end)
    records: list[Record] = []
    place = None
    for _ in range(_LOOKS):
        page = call.environment.usage.find(wanted, limit=_PAGE, before=place)
        records += (
            each
            for each in page.records
            if (user_id is None or each.user == user_id)
            and (earliest is None or each.started >= earliest)
            and (latest is None or each.started <= latest)
        )
        place = page.next
        if place is None or len(records) >= limit:
            return records[:limit]
    field = "user_id" if user_id is not None else "end_date"
    raise bad_request(f"{field}: too many requests to search; send fewer days, or an api_key.", param=field)


def _moment(field: str, text: str | None) -> float | None:
    """Read a date with a time; None for a date alone. Raises ApiError (400)."""
    if text is None or len(text) == len("2026-11-24"):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise bad_request(f"{field}: must be a time such as 2026-11-24 13:05:00.", param=field) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _row(record: Record) -> dict[str, Any]:
    usage = record.usage
    prompt, completion = usage.prompt_tokens or 0, usage.completion_tokens or 0
    ends = to_iso(record.started + record.total_ms / 1000)
    return {
        "request_id": record.request_id,
        "call_type": record.format,
        "api_key": record.key,
        "user": record.user or "",
        "team_id": record.team,
        "model": record.provider_model or record.model,
        "model_group": record.model,
        "custom_llm_provider": record.deployment.partition("/")[0] if record.deployment else "",
        "spend": dollars(record.cost or 0),
        "total_tokens": prompt + completion,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "startTime": record.at,
        "endTime": ends,
        "completionStartTime": ends if record.ttft_ms is None else to_iso(record.started + record.ttft_ms / 1000),
        "status": "failure" if record.failed else "success",
        "request_tags": list(record.tags),
        "metadata": {
            "user_api_key": record.key,
            "user_api_key_alias": record.key_alias,
            "user_api_key_team_id": record.team,
            "deployment": record.deployment,
            "status_code": record.status,
            "error": record.error,
            "unpriced": record.cost is None,
        },
    }


def _totals(call: Call, kind: str, start: str | None = None, end: str | None = None) -> list[Total]:
    """Return the totals from `start` to `end`; by default the last 30 days. Raises ApiError (400)."""
    last = day_of("end_date", end) if end else today(call)
    first = day_of("start_date", start) if start else last - timedelta(days=_DAYS - 1)
    if (last - first).days >= _MOST_DAYS:
        raise bad_request(f"start_date: must be less than {_MOST_DAYS} days before end_date.", param="start_date")
    return call.environment.usage.totals(kind, first, last)


def _activity(totals: list[Total]) -> dict[str, Any]:
    """Return requests and tokens by day and in all, as LiteLLM's charts have them."""
    days: dict[str, list[Total]] = {}
    for total in totals:
        days.setdefault(total.at[:10], []).append(total)
    return {
        "daily_data": [
            {
                "date": f"{date.fromisoformat(day):%b %d}",
                "day": day,
                "api_requests": _count(of_day),
                "total_tokens": _tokens(of_day),
            }
            for day, of_day in sorted(days.items())
        ],
        "sum_api_requests": _count(totals),
        "sum_total_tokens": _tokens(totals),
    }


def _count(totals: list[Total]) -> int:
    return sum(total["requests"] for total in totals)


def _tokens(totals: list[Total]) -> int:
    return sum(total["prompt_tokens"] + total["completion_tokens"] for total in totals)


def _spent(totals: list[Total]) -> float:
    return float(summed(totals)["cost"])


def _by_spending(totals: list[Total]) -> list[tuple[str, list[Total]]]:
    """Return totals by name, highest spending first."""
    of: dict[str, list[Total]] = {}
    for total in totals:
        of.setdefault(total.name, []).append(total)
    return sorted(of.items(), key=lambda each: (-sum(total["cost"] for total in each[1]), each[0]))

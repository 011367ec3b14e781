"""/usage/*: usage, performance and cost."""

import hashlib
import json
from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from admin import series, usage_logic
from admin.call import call_of
from admin.openapi import answers
from admin.router import Router
from admin.series import Csv, Most, StepOrAuto

__all__ = ["router"]

router = Router()

Name = Annotated[str | None, Query(max_length=400)]
Day = Annotated[str | None, Query(pattern=r"^\d{4}-\d\d-\d\d$")]


@router.get(
    "/usage/overview",
    tags=["Usage"],
    responses=answers("`totals`, and the same by `hours`, `days`, `models`, `deployments`, `keys` and `teams`."),
)
def overview(days: Annotated[int, Query(ge=1, le=90)] = 7) -> dict[str, Any]:
    """Return the totals of the last days (UTC): overall, by time, and by model, deployment, key and team.

    For a single day, overall totals and hours cover the last 24 hours (`since`). The others cover today, because they
    are counted by day.
    """
    return usage_logic.overview(call_of(router), days)


@router.get("/usage/series", tags=["Usage"], responses=answers(series.ABOUT))
def over_time(
    by: series.By = "all",
    start_date: series.Day = None,
    end_date: series.Day = None,
    step: StepOrAuto = "auto",
    name: Name = None,
    key: Name = None,
    limit: Most = 20,
    csv: Csv = False,
) -> Response[Any]:
    """Return usage over time: requests, errors, tokens, cost, times and cache share, by hour, day or week (UTC).

    `by` is what the series are of, and `name` one of them. `key` is a key whose requests alone are counted. Without
    dates the range is the last seven days. Weeks begin on Monday. A request with several tags is in the series of each.
    """
    call = call_of(router)
    only = usage_logic.key_id(call, name) if name and by == "key" else name
    keys = None
    if key:
        found = call.environment.keys.key(usage_logic.key_id(call, key))
        keys = {usage_logic.key_id(call, key): {"user": found.user_id, "team": found.team_id} if found else {}}
    wanted = series.read_range(call, start_date, end_date, step, by, has_keys=key is not None)
    names = {"key": usage_logic.key_names, "team": usage_logic.team_names}
    display = names[by](call) if by in names else {}
    return series.respond(series.series_of(call, by, wanted, keys=keys, names=display, only=only, most=limit), csv=csv)


@router.get(
    "/usage/requests",
    tags=["Usage"],
    responses=answers("`requests`, and `next`, the value of `before` for older ones."),
)
def requests(
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[str | None, Query(max_length=500)] = None,
    key: Name = None,
    team: Name = None,
    model: Name = None,
    deployment: Name = None,
    status: Annotated[Literal["ok", "error", "failover"] | None, Query()] = None,
    day: Day = None,
) -> Response[Any]:
    """List the newest requests. A short page with a `next` means that the search goes on there.

    The answer has an `ETag`: with it as `If-None-Match`, a page that has not changed is a 304 without a body.
    """
    call = call_of(router)
    wanted = {"key": key, "team": team, "model": model, "deployment": deployment, "status": status}
    found = usage_logic.requests(call, wanted, day, limit, before)
    etag = f'"{hashlib.sha256(json.dumps(found).encode()).hexdigest()[:32]}"'
    if etag in call.request.headers.get("if-none-match", ""):
        return Response(304, "application/json", "", headers={"etag": etag})
    return Response(200, "application/json", found, headers={"etag": etag})


@router.get("/usage/requests/<request_id>", tags=["Usage"], responses=answers("The request and its `attempts`.", 404))
def request(request_id: Annotated[str, Path(max_length=200)]) -> dict[str, Any]:
    """Return one request with its attempts."""
    return usage_logic.request(call_of(router), request_id)

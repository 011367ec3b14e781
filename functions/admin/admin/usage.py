"""/usage/*: usage, performance and cost."""

from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from admin import usage_logic
from admin.call import call_of
from admin.openapi import answers
from admin.router import Router

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
) -> dict[str, Any]:
    """List the newest requests. A short page with a `next` means that the search goes on there."""
    wanted = {"key": key, "team": team, "model": model, "deployment": deployment, "status": status}
    return usage_logic.requests(call_of(router), wanted, day, limit, before)


@router.get("/usage/requests/<request_id>", tags=["Usage"], responses=answers("The request and its `attempts`.", 404))
def request(request_id: Annotated[str, Path(max_length=200)]) -> dict[str, Any]:
    """Return one request with its attempts."""
    return usage_logic.request(call_of(router), request_id)

"""/alerts: the alerts that were raised, their deliveries and receivers, and a test of a receiver."""

import secrets
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import Field

from admin.call import Call, call_of
from admin.fields import Body, example
from admin.openapi import answers
from admin.router import Router
from vibe_router.alerts.alert import Alert
from vibe_router.alerts.rules import repeated_alert, trial_alert
from vibe_router.core.errors import ApiError
from vibe_router.routing.changes import read_rows
from vibe_router.routing.spec import AlertsSpec
from vibe_router.store.alerts import StoredAlert

__all__ = ["router"]

router = Router()

_Before = Annotated[str | None, Query(max_length=40, description="`next` of the previous page")]


class Test(Body):
    """The receiver to test, by its name in routes.yaml."""

    model_config = example(receiver="ops")

    receiver: Annotated[str, Field(min_length=1, max_length=64, description="The receiver's name")]


class Resend(Body):
    """The receiver to send an alert to again."""

    model_config = example(receiver="ops")

    receiver: Annotated[str, Field(min_length=1, max_length=64, description="The receiver's name")]


@router.get(
    "/alerts",
    tags=["Alerts"],
    responses=answers("`alerts`, newest first, with their `deliveries`; `next` to read on from; and the `receivers`."),
)
def listed(limit: Annotated[int, Query(ge=1, le=200)] = 50, before: _Before = None) -> dict[str, Any]:
    """List the alerts that were raised, with what became of them at each receiver, and the receivers.

    `url_set` and `secret_set` of a receiver say whether the router's secret has these entries; null if unknown.
    """
    call = call_of(router)
    found = call.environment.alerts.recent(limit, before)
    spec = _alerts(call)
    names = call.environment.secrets_set()

    def is_set(name: str | None) -> bool | None:
        return None if names is None or name is None else name in names

    receivers = [
        {
            "name": name,
            "type": each.type,
            "url": each.url,
            "url_set": is_set(each.url),
            "secret": each.secret,
            "secret_set": is_set(each.secret),
            "host": each.host,
            "events": list(each.events),
        }
        for name, each in spec.receivers.items()
    ]
    return {
        "alerts": [each.as_json() for each in found],
        "next": found[-1].at if len(found) == limit else None,
        "receivers": receivers,
        "budget": list(spec.budget),
        "cooled_minutes": spec.cooled_minutes,
    }


@router.get("/alerts/<alert_id>", tags=["Alerts"], responses=answers("The alert and its `deliveries`.", 404))
def one(alert_id: Annotated[str, Path(max_length=100)]) -> dict[str, Any]:
    """Return one alert, with what became of it at each receiver."""
    return _found(call_of(router), alert_id).as_json()


@router.post("/alerts/test", tags=["Alerts"], responses=answers("The `id` of the alert, which is on its way.", 404))
def test(body: Test) -> dict[str, Any]:
    """Send a test to a receiver, whichever events it wants. `GET /alerts/<id>` says what became of it."""
    call = call_of(router)
    return _send(call, trial_alert(body.receiver, secrets.token_hex(8), call.now), body.receiver)


@router.post(
    "/alerts/<alert_id>/resend", tags=["Alerts"], responses=answers("The `id` of the alert that is on its way.", 404)
)
def resend(alert_id: Annotated[str, Path(max_length=100)], body: Resend) -> dict[str, Any]:
    """Send an alert to a receiver again, as another alert with the same content, such as after a failed delivery."""
    call = call_of(router)
    alert = repeated_alert(_found(call, alert_id).alert, body.receiver, secrets.token_hex(8), call.now)
    return _send(call, alert, body.receiver)


def _send(call: Call, alert: Alert, receiver: str) -> dict[str, Any]:
    """Raise `alert` for a receiver alone. Raises ApiError (404)."""
    if receiver not in _alerts(call).receivers:
        message = f"The routes name no receiver {receiver}."
        raise ApiError(404, message, code="receiver_not_found", param="receiver")
    call.environment.alerts.raise_once(alert, only=receiver)
    return {"id": alert.id, "receiver": receiver}


def _found(call: Call, alert_id: str) -> StoredAlert:
    found = call.environment.alerts.read(alert_id)
    if found is None:
        raise ApiError(404, "The alert does not exist, or has expired.", code="alert_not_found")
    return found


def _alerts(call: Call) -> AlertsSpec:
    return read_rows(call.environment.routes.read())[0].alerts

"""The handler: new alerts of the alerts table's stream, a batch at a time.

A batch whose alerts cannot be read or noted fails as a whole and comes again; what is delivered already is left out.
"""

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from vibe_router.core.clock import Clock
from vibe_router.core.tls import trusted_ssl_context
from vibe_router.store.alerts import AlertStore, StoredAlert, parse_alert
from vibe_router.store.aws import is_local
from vibe_router.store.dynamodb import dynamodb_client, from_item
from vibe_router.store.routes import CatalogueCache, RoutesStore
from vibe_router.store.secrets import Secrets, secrets_client
from vibe_router.upstream.alert_delivery import AlertDelivery

__all__ = ["alerts_of", "handler"]

_LOCAL_SECONDS = 840.0  # of an invocation without a context
_RESERVE_SECONDS = 30.0  # to note the last results


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Send the alerts of a batch to their receivers."""
    seconds = context.get_remaining_time_in_millis() / 1000 if context else _LOCAL_SECONDS
    if alerts := alerts_of(event):
        _delivery().deliver(alerts, seconds - _RESERVE_SECONDS)
    return {"batchItemFailures": []}


def alerts_of(event: Mapping[str, Any]) -> list[StoredAlert]:
    """Return the alerts that were inserted; one that cannot be read is logged and left out."""
    inserted = (each["dynamodb"]["NewImage"] for each in event["Records"] if each.get("eventName") == "INSERT")
    return [alert for image in inserted if (alert := parse_alert(from_item(image)))]


@cache
def _delivery() -> AlertDelivery:
    clock, environ = Clock(), os.environ
    dynamodb = dynamodb_client(clock, trusted_ssl_context)
    # Read each time: a receiver may have been added a moment ago, to be tested.
    catalogue = CatalogueCache(RoutesStore(dynamodb, environ["ROUTES_TABLE"]).read, clock, ttl=0)
    return AlertDelivery(
        lambda: catalogue.get().alerts,
        AlertStore(dynamodb, environ["ALERTS_TABLE"], clock),
        Secrets(secrets_client(clock, trusted_ssl_context), environ["SECRET_ID"], clock),
        clock,
        page=environ.get("UI_URL", ""),
        is_local=is_local(environ),
    )

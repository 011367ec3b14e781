"""Delivers alerts to their receivers: at least once, again with growing pauses, and noted in the alerts table.

Each receiver has a thread, so one that hangs does not hold up the others. A thread sends what is pending in rounds:

    t = 0     alerts 1 2 3 → 1 ✓  2 ✗  3 ✗      2 and 3 are noted as retrying
    t = 2 s   alerts   2 3 → 2 ✓  3 ✗
    t = 12 s  alerts     3 → 3 ✓                a message that still fails after the last round is noted as failed

Redirects are not followed, and of an answer no more than a few KiB are read.
"""

import logging
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from vibe_router.alerts.messages import Call, check_url, failure_of, webhook_call
from vibe_router.core.clock import Clock, parse_iso
from vibe_router.core.models import AlertPolicy, Receiver
from vibe_router.routing.reset_hint import seconds_until
from vibe_router.store.alerts import DELIVERED, FAILED, RETRYING, Delivery, StoredAlert
from vibe_router.upstream.client import AttemptFailedError, Reply, Upstream

__all__ = ["PAUSES", "AlertDelivery"]

PAUSES = (2.0, 10.0, 30.0, 60.0, 120.0)
"""Seconds before each further round."""
_CONNECT_SECONDS, _SECONDS = 2.0, 5.0  # of one call
_MOST_BYTES = 4096  # of an answer that is read
_MAX_PAUSE = 300.0  # seconds of a Retry-After

_log = logging.getLogger(__name__)


class Deliveries(Protocol):
    """The alerts table (store.alerts.AlertStore)."""

    def read(self, alert_id: str, /) -> StoredAlert | None:
        """Return an alert."""

    def record_delivery(self, alert_id: str, receiver: str, delivery: Delivery, /) -> None:
        """Store what became of an alert."""


class SecretValues(Protocol):
    """The router's secret (store.secrets.Secrets)."""

    def get(self, name: str, /) -> str | None:
        """Return the value called `name`."""

    def invalidate(self) -> None:
        """Have the next `get` read it again."""


class AlertDelivery:
    """Delivers alerts. `policy` returns the receivers of the current routes.

    `page` is the address of the admin page. `is_local` allows receivers on loopback. `call_seconds` bounds a call.
    """

    def __init__(
        self,
        policy: Callable[[], AlertPolicy | None],
        deliveries: Deliveries,
        secrets: SecretValues,
        clock: Clock,
        *,
        page: str = "",
        is_local: bool = False,
        call_seconds: float = _SECONDS,
    ) -> None:
        self._policy = policy
        self._deliveries = deliveries
        self._secrets = secrets
        self._clock = clock
        self._page = page
        self._is_local = is_local
        self._call_seconds = call_seconds

    def deliver(self, alerts: Sequence[StoredAlert], seconds: float) -> None:
        """Deliver `alerts` within so many `seconds`; what fails until then is noted.

        Raises what the table, the routes or the secret raise: then all of them must be delivered again.
        """
        until = self._clock.now() + seconds
        policy = self._policy()
        current = [self._deliveries.read(each.alert.id) or each for each in alerts]
        pending = {
            name: [each for each in current if _is_pending(each, name, receiver)]
            for name, receiver in (policy.receivers if policy else {}).items()
        }
        pending = {name: left for name, left in pending.items() if left}
        if not policy or not pending:
            return
        with ThreadPoolExecutor(len(pending), "receiver") as pool:
            running = [
                pool.submit(self._serve, name, policy.receivers[name], left, until) for name, left in pending.items()
            ]
        for each in running:
            each.result()

    def _serve(self, name: str, receiver: Receiver, alerts: Sequence[StoredAlert], until: float) -> None:
        """Send `alerts` to one receiver in rounds."""
        upstream = Upstream()
        attempts = {each.alert.id: each.deliveries[name].attempts if name in each.deliveries else 0 for each in alerts}
        pending = {each.alert.id: each for each in alerts}

        def note(alert_id: str, status: str, detail: str = "") -> None:
            if status != RETRYING:
                del pending[alert_id]
            if status == FAILED:
                _log.error(
                    "alert %s was not delivered to %s (%d attempts): %s", alert_id, name, attempts[alert_id], detail
                )
            delivery = Delivery(status, attempts[alert_id], round(self._clock.now(), 3), detail)
            self._deliveries.record_delivery(alert_id, name, delivery)

        try:
            for usual_pause in (*PAUSES, math.inf):
                pause = usual_pause
                failures: dict[str, str] = {}
                for alert_id, alert in list(pending.items()):
                    try:
                        call = self._call_of(receiver, alert)
                    except ValueError as error:
                        note(alert_id, FAILED, str(error))  # only a person can correct it
                        continue
                    attempts[alert_id] += 1
                    failure, wanted = self._send(upstream, receiver, call)
                    pause = max(pause, wanted)
                    if failure is None:
                        note(alert_id, DELIVERED)
                    else:
                        failures[alert_id] = failure
                is_last = self._clock.now() + pause + self._call_seconds > until
                for alert_id, failure in failures.items():
                    note(alert_id, FAILED if is_last else RETRYING, failure)
                if not pending:
                    return
                self._clock.sleep(pause)
        finally:
            upstream.close()

    def _call_of(self, receiver: Receiver, alert: StoredAlert) -> Call:
        """Return the call of a message. Raises ValueError, with a reason that reveals nothing, for a wrong setting."""
        url, secret = self._value(receiver.url), self._value(receiver.secret) if receiver.secret else None
        check_url(url, receiver.type, receiver.host, is_local=self._is_local)
        return webhook_call(receiver.type, url, secret, alert.alert, parse_iso(alert.at), self._page, self._clock.now())

    def _value(self, name: str) -> str:
        """Return a value of the secret, which may have been added a moment ago. Raises ValueError without one."""
        value = self._secrets.get(name)
        if value is None:
            self._secrets.invalidate()
            value = self._secrets.get(name)
        if value is None:
            raise ValueError(f"{name} is not set in the router's secret")
        return value

    def _send(self, upstream: Upstream, receiver: Receiver, call: Call) -> tuple[str | None, float]:
        """Send a message; return why that failed, None if it was accepted, and the pause that the receiver asks for."""
        until = self._clock.monotonic() + self._call_seconds
        try:
            with upstream.post(call.url, call.headers, call.body, connect=_CONNECT_SECONDS, until=until) as reply:
                reads_body = 200 <= reply.status < 300 and receiver.type in ("feishu", "dingtalk")
                body = _beginning(reply, until) if reads_body else b""
                pause = seconds_until(reply.headers.get("retry-after", ""), self._clock.now()) or 0.0
                return failure_of(receiver.type, reply.status, body), min(max(pause, 0.0), _MAX_PAUSE)
        except AttemptFailedError as error:
            return error.failure.detail or str(error.failure.kind), 0.0


def _is_pending(alert: StoredAlert, name: str, receiver: Receiver) -> bool:
    """Return whether a receiver is to get an alert, and has not got it yet."""
    noted = alert.deliveries.get(name)
    if noted and noted.status != RETRYING:
        return False
    return alert.only == name if alert.only else receiver.wants(alert.alert.event)


def _beginning(reply: Reply, until: float) -> bytes:
    body = b""
    while len(body) < _MOST_BYTES and (data := reply.read(until)):
        body += data
    return body

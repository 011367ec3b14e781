"""Decide after a request which alerts its record, ledgers, states and quotas call for.

Each rule returns what holds now, whether or not it was reported before: the id of an alert names its period, and only
the first writer of an id raises it. Periods:

    budget, soft_budget   the budget period, or all time without one; a changed budget begins anew
    quota                 the quota's own window, if it is an hour or longer; else the day
    cooldown, credential  the incident, and each further day that it lasts
    no_deployment         the hour
    rollback              the rollout
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from vibe_router.access.keys import Limits
from vibe_router.access.ledger import Ledger, roll_period
from vibe_router.alerts.alert import Alert, Figure, alert_id
from vibe_router.core.clock import to_iso
from vibe_router.core.models import Deployment
from vibe_router.core.price import as_dollars
from vibe_router.core.record import Record
from vibe_router.core.tags import bounded_text
from vibe_router.routing.cooldown import State
from vibe_router.routing.quota import QuotaWindow
from vibe_router.routing.verdict import Verdict

__all__ = [
    "budget_alert",
    "cooldown_alert",
    "credential_alert",
    "no_deployment_alert",
    "quota_alerts",
    "repeated_alert",
    "rollback_alert",
    "soft_budget_alert",
    "trial_alert",
]

_HOUR, _DAY = 3600, 86_400
_KEEP = 90 * _DAY  # as long as the rows of requests
_LONG_WINDOW = re.compile(r"[1-9][0-9]{0,3}[hdw]", re.ASCII)


def budget_alert(
    owner: str, ledger_id: str, name: str, ledger: Ledger, limits: Limits, thresholds: Iterable[float], now: float
) -> Alert | None:
    """Return the alert for the highest of `thresholds` (shares) that the spending has reached.

    `owner` is "key" or "team", `name` its name for people.
    """
    budget = limits.max_budget
    spent = _spent(ledger, limits, now)
    if not budget or spent is None:
        return None
    reached = max((each for each in thresholds if spent >= each * budget), default=None)
    if reached is None:
        return None
    return _of_budget("budget", owner, ledger_id, name, ledger, spent, budget, limits, {"threshold": reached})


def soft_budget_alert(
    owner: str, ledger_id: str, name: str, ledger: Ledger, limits: Limits, now: float
) -> Alert | None:
    """Return the alert for a soft budget that is spent."""
    soft_budget, spent = limits.soft_budget, _spent(ledger, limits, now)
    if not soft_budget or spent is None or spent < soft_budget:
        return None
    return _of_budget("soft_budget", owner, ledger_id, name, ledger, spent, soft_budget, limits, {})


def quota_alerts(deployment: Deployment, windows: Sequence[QuotaWindow], now: float) -> Iterator[Alert]:
    """Yield an alert for each limit of the provider's account that is used beyond the deployment's threshold."""
    provider, threshold = deployment.provider.name, deployment.policy.quota.threshold / 100
    for window in windows:
        if window.used < threshold or 0 < window.resets_at <= now:
            continue
        is_long = _LONG_WINDOW.fullmatch(window.name) and window.resets_at
        # Providers report some resets in seconds from now, which differ by a second or two between answers.
        period = f"reset {round(window.resets_at / _HOUR)}" if is_long else f"day {int(now // _DAY)}"
        figures: dict[str, Figure] = {"window": window.name, "used": window.used, "threshold": threshold}
        if window.resets_at:
            figures["resets_at"] = to_iso(window.resets_at)
        yield Alert(
            alert_id("quota", provider, window.name, period),
            "quota",
            provider,
            figures,
            max(now, window.resets_at) + _KEEP,
        )


def cooldown_alert(state: State, minutes: float, now: float) -> Alert | None:
    """Return the alert for a deployment or credential that cools for `minutes` or longer, as far as it is known now.

    A rejected credential has an alert of its own.
    """
    if not state.until or state.verdict is Verdict.AUTH or max(state.until, now) - state.since < minutes * 60:
        return None
    figures: dict[str, Figure] = {
        "since": to_iso(state.since),
        "until": to_iso(state.until),
        "reason": state.verdict or Verdict.TRANSIENT,
    }
    return _of_incident("cooldown", state, figures, now)


def credential_alert(state: State, status: int | None, now: float) -> Alert | None:
    """Return the alert for a credential that its provider rejects; of a relay's account, for its deployment."""
    if not state.until or state.verdict is not Verdict.AUTH:
        return None
    figures: dict[str, Figure] = {"since": to_iso(state.since)}
    if status:
        figures["status"] = status
    return _of_incident("credential", state, figures, now)


def no_deployment_alert(record: Record, now: float) -> Alert | None:
    """Return the alert for a request that no deployment could answer."""
    if record.error != "all_deployments_failed" or not record.model:
        return None
    figures: dict[str, Figure] = {"status": record.status, "request_id": record.request_id}
    tried = ", ".join(f"{each['deployment']}: {each['verdict']}" for each in record.attempts[:10])
    if tried:
        figures["tried"] = bounded_text(tried, 500)
    identity = alert_id("no_deployment", record.model, int(now // _HOUR))
    return Alert(identity, "no_deployment", record.model, figures, now + _KEEP)


def rollback_alert(model: str, number: int, reason: str, now: float) -> Alert:
    """Return the alert for the rollback of complexity routing in the rollout `number`."""
    return Alert(alert_id("rollback", model, number), "rollback", model, {"reason": reason}, now + _KEEP)


def trial_alert(receiver: str, unique: str, now: float) -> Alert:
    """Return the alert that tries a receiver; each has a `unique` part of its own."""
    return Alert(alert_id("test", receiver, unique), "test", receiver, {}, now + _KEEP)


def repeated_alert(alert: Alert, receiver: str, unique: str, now: float) -> Alert:
    """Return `alert` as another one, which somebody sends to a receiver again; each has a `unique` part of its own."""
    return replace(alert, id=alert_id(alert.event, alert.id, receiver, unique), keep_until=now + _KEEP)


def _spent(ledger: Ledger, limits: Limits, now: float) -> int | None:
    """Return what is spent in the current budget period; None if none has begun."""
    if limits.budget_seconds and not ledger.period_ends:
        return None  # the next reservation begins it
    return roll_period(ledger, limits, now).spent


def _of_budget(
    event: str,
    owner: str,
    ledger_id: str,
    name: str,
    ledger: Ledger,
    spent: int,
    budget: int,
    limits: Limits,
    figures: Mapping[str, Figure],
) -> Alert:
    ends = ledger.period_ends if limits.budget_duration else 0
    own: dict[str, Figure] = {
        "owner": owner,
        "spent": as_dollars(spent) or 0,
        "budget": as_dollars(budget) or 0,
        **figures,
        **({"resets_at": to_iso(ends)} if ends else {}),
    }
    return Alert(
        alert_id(event, ledger_id, ends, budget, *figures.values()),
        event,
        bounded_text(name),
        own,
        ends + _KEEP if ends else None,
    )


def _of_incident(event: str, state: State, figures: Mapping[str, Figure], now: float) -> Alert:
    day = max(int((now - state.since) // _DAY), 0)
    subject = state.id.partition("#")[2]
    # The first second of an incident identifies it: every environment reads it from the same item.
    return Alert(alert_id(event, state.id, int(state.since), day), event, subject, figures, now + _KEEP)

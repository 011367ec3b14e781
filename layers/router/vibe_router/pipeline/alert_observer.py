"""Raises the alerts that follow from each completed request. Imported with the first answer once there are receivers.

What it needs is in memory after an answer: the record, the ledgers as they were settled, the states that the request
has read or written, and the quotas that its answers report. So a request costs no call, unless it raises an alert.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Protocol

from vibe_router.access.keys import Caller, ledger_parts
from vibe_router.access.ledger import Ledger
from vibe_router.alerts.alert import Alert
from vibe_router.alerts.rules import (
    budget_alert,
    cooldown_alert,
    credential_alert,
    no_deployment_alert,
    quota_alerts,
    rollback_alert,
    soft_budget_alert,
)
from vibe_router.core.clock import Clock
from vibe_router.core.models import AlertPolicy
from vibe_router.pipeline.observers import CompletedRequest
from vibe_router.routing.cooldown import State
from vibe_router.routing.quota import read_quota
from vibe_router.routing.verdict import Verdict
from vibe_router.store.alerts import AlertRaiser

__all__ = ["AlertObserver", "alerts_of", "ledger_name"]

_SHOWN_ID = 10  # characters of a key's id, where it has no alias


class States(Protocol):
    """The states of deployments and credentials (store.state.StateStore)."""

    def read(self, ids: Sequence[str], /) -> dict[str, State]:
        """Return the state of each id."""


class Ledgers(Protocol):
    """The ledgers that this environment has read or written (store.ledger.LedgerStore)."""

    def last_seen(self, ids: Collection[str], /) -> dict[str, Ledger]:
        """Return the last copies of ledgers; one that was never read is missing."""


class AlertObserver:
    """Observes requests. `policy` returns the alerts of the current routes, None for none."""

    def __init__(
        self,
        policy: Callable[[], AlertPolicy | None],
        raiser: AlertRaiser,
        states: States,
        ledgers: Ledgers,
        clock: Clock,
    ) -> None:
        self._policy = policy
        self._raiser = raiser
        self._states = states
        self._ledgers = ledgers
        self._clock = clock

    def observe(self, request: CompletedRequest) -> None:
        """Raise the alerts that follow from `request` and that a receiver wants."""
        if (policy := self._policy()) is None:
            return
        ids = _states_met(request)
        states = self._states.read(ids) if ids else {}
        found = alerts_of(request, policy, states, self._ledgers, self._clock.now())
        self._raiser.raise_alerts(alert for alert in found if policy.wants(alert.event))

    def report_rollback(self, model: str, number: int, reason: str) -> None:
        """Raise the alert for an automatic rollback of complexity routing in the rollout `number`."""
        if (policy := self._policy()) and policy.wants("rollback"):
            self._raiser.raise_alerts([rollback_alert(model, number, reason, self._clock.now())])


def alerts_of(
    request: CompletedRequest, policy: AlertPolicy, states: Mapping[str, State], ledgers: Ledgers, now: float
) -> Iterator[Alert]:
    """Yield the alerts that hold after `request`; `states` are those of the deployments that it met with."""
    if alert := no_deployment_alert(request.record, now):
        yield alert
    rejections = {each.deployment: each.status for each in request.attempts if each.verdict == Verdict.AUTH}
    for state in states.values():
        status = _status_of(state, rejections)
        if alert := credential_alert(state, status, now) or cooldown_alert(state, policy.cooled_minutes, now):
            yield alert
    if (trace := request.trace) and trace.reported and request.model:
        deployments = {each.id: each for each in request.model.chain}
        for deployment, headers in trace.reported.items():
            if deployment in deployments:
                yield from quota_alerts(deployments[deployment], read_quota(headers, now), now)
    if request.caller:
        yield from _of_budgets(request, request.caller, policy, ledgers, now)


def ledger_name(caller: Caller, ledger_id: str) -> str:
    """Return the name for people of a ledger of `caller`: an alias, else the id; never a key."""
    owner, holder_id, model = ledger_parts(ledger_id)
    holder = {"team": caller.team, "user": caller.user}.get(owner)
    of_key = (caller.key.alias if caller.key else None) or holder_id[:_SHOWN_ID]
    name = (holder.alias or holder.id) if holder else of_key
    return f"{name} ({model})" if model else name


def _of_budgets(
    request: CompletedRequest, caller: Caller, policy: AlertPolicy, ledgers: Ledgers, now: float
) -> Iterator[Alert]:
    limited = {each: limits for each, limits in request.ledgers.items() if limits.max_budget or limits.soft_budget}
    for ledger_id, ledger in (ledgers.last_seen(limited) if limited else {}).items():
        owner, name, limits = ledger_parts(ledger_id)[0], ledger_name(caller, ledger_id), limited[ledger_id]
        if alert := budget_alert(owner, ledger_id, name, ledger, limits, policy.budget, now):
            yield alert
        if alert := soft_budget_alert(owner, ledger_id, name, ledger, limits, now):
            yield alert


def _states_met(request: CompletedRequest) -> list[str]:
    """Return the ids of the states of deployments that failed or were cooling."""
    met = [each.deployment for each in request.attempts if each.cooldown_until]
    if request.trace:
        met += [each.deployment.id for each in request.trace.skipped]
    ids = ((f"deployment#{each}", f"credential#{each.partition('/')[0]}") for each in met)
    return list(dict.fromkeys(each for pair in ids for each in pair))


def _status_of(state: State, rejections: Mapping[str, int | None]) -> int | None:
    """Return the status with which this request's call of the deployment, or of one of the provider, was rejected."""
    kind, _, name = state.id.partition("#")
    for deployment, status in rejections.items():
        if name == (deployment if kind == "deployment" else deployment.partition("/")[0]):
            return status
    return None

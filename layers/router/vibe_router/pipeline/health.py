"""The health of one deployment as one attempt sees and changes it: its cooldowns and the leases of its probe."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from vibe_router.core.clock import Clock
from vibe_router.core.models import Deployment
from vibe_router.routing import cooldown
from vibe_router.routing.cooldown import Phase, State
from vibe_router.routing.deadline import lease_seconds
from vibe_router.routing.retry import REJECTIONS
from vibe_router.routing.verdict import Classification, Failure, FailureKind, Scope

__all__ = ["DeploymentHealth", "StateTable", "evidence"]


class StateTable(Protocol):
    """The states of deployments and credentials, shared by all environments (store.state.StateStore)."""

    def read(self, ids: Sequence[str], /) -> dict[str, State]:
        """Return the state of each id."""

    def replace(self, seen: State, successor: State, /) -> State:
        """Write `successor` if the table still has `seen`; return what it has now: `successor` itself on success."""


class DeploymentHealth:
    """The two states of a deployment, its own and its credential's, as `seen` when the attempt was planned.

    `states` is the current view by id, with the changes made here. `origin` returns the caller and the conversation.
    """

    def __init__(
        self,
        table: StateTable,
        clock: Clock,
        deployment: Deployment,
        seen: Iterable[State],
        origin: Callable[[], str] = str,
    ) -> None:
        self.states = {state.id: state for state in seen}
        self._table = table
        self._clock = clock
        self._deployment = deployment
        self._origin = origin
        self._leased: set[str] = set()
        self._cooled: set[str] = set()

    def take_leases(self, due: Iterable[State]) -> bool:
        """Take the lease on every state that is due; return whether the attempt may go on."""
        now = self._clock.now()
        for seen in due:
            successor = cooldown.leased(seen, now, lease_seconds(self._deployment.policy.timeouts))
            current = self.states[seen.id] = self._table.replace(seen, successor)
            if current is successor:
                self._leased.add(seen.id)
            elif current.phase(now) is not Phase.HEALTHY:  # else another probe has just cleared it
                self.release_leases()
                return False
        return True

    def release_leases(self) -> None:
        """Let others probe where this attempt has neither cleared nor renewed the cooldown."""
        for state_id in self._leased:
            self._replace(self.states[state_id], cooldown.released)
        self._leased.clear()

    def clear(self) -> None:
        """Clear every cooldown of the deployment: it has just answered."""
        for state in tuple(self.states.values()):
            if state.until or state.origin_until > self._clock.now():
                self._leased.discard(state.id)
                self._replace(state, lambda seen: cooldown.cleared(seen, self._clock.now(), self._origin()))

    def cool(self, failure: Failure, classification: Classification, *, only_healthy: bool = False) -> float | None:
        """Cool the deployment or the credential at once; return until when (epoch seconds), None without a cooldown.

        With `only_healthy`, a cooldown that exists already gets no further strike.
        """
        if classification.verdict in REJECTIONS:
            return None
        state_id = self._deployment.provider.state_id
        if classification.scope is Scope.DEPLOYMENT:
            state_id = self._deployment.state_id
        if only_healthy and self.states[state_id].until:
            return self.states[state_id].until
        if state_id in self._cooled and classification.reset_after is None:
            return self.states[state_id].until  # the retry failed alike, and the cooldown is written already
        self._leased.discard(state_id)
        # No request can make a provider unreachable: such a failure counts for every caller.
        origin = "" if failure.kind is FailureKind.UNREACHABLE else self._origin()
        current = self._replace(
            self.states[state_id],
            lambda seen: cooldown.cooled(
                seen,
                classification,
                self._deployment.policy.cooldown,
                self._clock.now(),
                evidence=evidence(failure, classification),
                same_incident=state_id in self._cooled,
                origin=origin,
            ),
        )
        self._cooled.add(state_id)
        return current.seen_by(origin, self._clock.now()).until or None

    def _replace(self, seen: State, change: Callable[[State], State]) -> State:
        current = self._table.replace(seen, change(seen))
        self.states[seen.id] = current
        return current


def evidence(failure: Failure, classification: Classification) -> str:
    """Return the reason for a cooldown in a line, without anything that reveals a caller or a secret."""
    parts = (str(failure.status or ""), classification.code or classification.type or "", failure.detail)
    return " ".join(part for part in parts if part)[:200]

"""The memory of chains that all environments share: the deployments of conversations, and observations of deployments.

Imported when it is first needed: while all deployments are healthy and every order is by weights, nothing is.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from vibe_router.core.clock import Clock
from vibe_router.core.models import Deployment, VirtualModel
from vibe_router.core.wire_formats import WIRE_FORMATS
from vibe_router.formats.interfaces import ClientRequest
from vibe_router.pipeline.estimate import plausible_answer_tokens
from vibe_router.pipeline.first_tokens import FirstTokenTimes
from vibe_router.pipeline.trace import AttemptTrace
from vibe_router.routing.chain import in_order
from vibe_router.routing.cooldown import State
from vibe_router.routing.order import Facts, Observed, choose_order
from vibe_router.routing.quota import QuotaWindow, read_quota
from vibe_router.routing.stay import Stay, conversation_id, has_earlier_turn, has_recovered, with_stay

__all__ = ["ChainMemory", "Conversations", "Observations", "facts_of"]


class Conversations(Protocol):
    """The deployments that conversations stay on (store.conversations.ConversationStore)."""

    def cached(self, conversation: str, /) -> Stay | None:
        """Return the stay that this environment knows."""

    def read(self, conversation: str, /) -> Stay | None:
        """Return the stay that the table has."""

    def write(self, conversation: str, stay: Stay, /) -> None:
        """Store a stay."""


class Observations(Protocol):
    """The observations of deployments by all environments (store.observations.ObservationStore)."""

    def read(self, deployments: Iterable[str], /) -> dict[str, Observed]:
        """Return the observations by deployment."""

    def record(
        self,
        deployment: str,
        windows: Sequence[QuotaWindow] = (),
        first_tokens: Sequence[tuple[float, float]] = (),
        /,
    ) -> None:
        """Add what was observed of a deployment."""


class ChainMemory:
    """Orders chains by what all environments remember, and remembers what a request shows.

    `caller` is the id of the key that a request has, and its alias.
    """

    def __init__(
        self, conversations: Conversations, observations: Observations, times: FirstTokenTimes, clock: Clock
    ) -> None:
        self._conversations = conversations
        self._observations = observations
        self._times = times
        self._clock = clock

    def order(
        self, model: VirtualModel, request: ClientRequest, states: Mapping[str, State], caller: tuple[str, str]
    ) -> list[Deployment]:
        """Return the chain of `model` in the order for `request`."""
        now = self._clock.now()
        stay = self.stay(model, request, states, caller)
        shared = any(len(step) > 1 for step in model.steps)
        affinity = request.affinity() if shared else b""
        if model.is_dynamic or model.measures_first_token:
            observed = self._observations.read(each.id for each in model.chain)
            for deployment, seen in observed.items():
                self._times.add_shared(deployment, seen.first_tokens)
            order = choose_order(model, affinity, facts_of(model, request, observed, caller, stay, now))
        else:
            order = in_order(model, affinity)
        return with_stay(order, stay, now)

    def remember(
        self, model: VirtualModel, request: ClientRequest, trace: AttemptTrace, caller: tuple[str, str]
    ) -> None:
        """Remember what an answered request shows; after its answer."""
        for deployment, headers in trace.reported.items():
            self._observations.record(deployment, read_quota(headers, self._clock.now()))
        for deployment, times in self._times.take_new().items():
            self._observations.record(deployment, (), times)
        served = trace.ended_by or trace.served_by
        if served is None or not served.policy.stay or not _is_conversation(request):
            return
        if model.is_dynamic or trace.stayed or _has_passed_over(trace):
            now, seconds = self._clock.now(), served.policy.stay * 60
            conversation = conversation_id(caller[0], model.name, request.affinity())
            known = self._conversations.cached(conversation)
            if known is None or known.needs_renewal(served.id, now, seconds):
                self._conversations.write(conversation, Stay(served.id, round(now + seconds, 3)))

    def stay(
        self, model: VirtualModel, request: ClientRequest, states: Mapping[str, State], caller: tuple[str, str]
    ) -> Stay | None:
        """Return where the conversation of `request` stays; None if it may be served anywhere."""
        if not (any(each.policy.stay for each in model.chain) and _is_conversation(request)):
            return None
        if not has_earlier_turn(request.body):
            return None
        now = self._clock.now()
        conversation = conversation_id(caller[0], model.name, request.affinity())
        known = self._conversations.cached(conversation)
        if known is None or known.until <= now:
            asks = model.is_dynamic or has_recovered(states.values(), now)
            known = self._conversations.read(conversation) if asks else None
        if known is None or known.until <= now:
            return None
        return known if any(each.id == known.deployment and each.policy.stay for each in model.chain) else None


def facts_of(
    model: VirtualModel,
    request: ClientRequest,
    observed: Mapping[str, Observed],
    caller: tuple[str, str],
    stay: Stay | None,
    now: float,
) -> Facts:
    """Return the facts that the order of a chain depends on."""

    def tokens() -> tuple[int, int]:
        answer = plausible_answer_tokens(model.chain, request.max_output_tokens, request.answers)
        return request.prompt_tokens_estimate(), answer

    return Facts(now, observed, tokens, frozenset(filter(None, caller)), stay.deployment if stay else None)


def _is_conversation(request: ClientRequest) -> bool:
    return WIRE_FORMATS[request.format].translates_from and request.format != "completions"


def _has_passed_over(trace: AttemptTrace) -> bool:
    """Return whether a deployment before the one that served was cooling or has failed."""
    return bool(trace.skipped) or any(each.classification for each in trace.attempts)

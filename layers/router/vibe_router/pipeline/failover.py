"""Failover: try the deployments of a chain in order until one commits.

- `ChainExhaustedError`: every deployment failed or was skipped; holds the error for the caller
- `RequestRejectedError`: the provider rejected the request for a reason that lies in the request
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError
from vibe_router.core.models import Deployment, VirtualModel
from vibe_router.formats.interfaces import ClientRequest, WholeAnswer
from vibe_router.pipeline.attempt import AttemptServices, DeploymentAttempt, RequestRejectedError, SecretSource
from vibe_router.pipeline.first_tokens import FirstTokenTimes
from vibe_router.pipeline.health import DeploymentHealth, StateTable
from vibe_router.pipeline.signature_issuers import SignatureIssuers
from vibe_router.pipeline.trace import AttemptTrace, Unfit
from vibe_router.routing import cooldown
from vibe_router.routing.chain import Candidate, Mode, last_resort, plan, skip
from vibe_router.routing.classification import classify_failure
from vibe_router.routing.cooldown import Phase, State, healthy
from vibe_router.routing.deadline import Deadline
from vibe_router.routing.outcome import chain_error
from vibe_router.routing.verdict import Failure
from vibe_router.upstream.client import Upstream
from vibe_router.upstream.commit import OpenStream
from vibe_router.upstream.exchange import Exchange, open_exchange
from vibe_router.upstream.fit import unfit_reason

if TYPE_CHECKING:
    from vibe_router.hooks.runner import HookRunner
    from vibe_router.pipeline.chain_memory import ChainMemory
    from vibe_router.pipeline.hedging import HedgeBudget

__all__ = ["ChainExhaustedError", "CommittedAnswer", "FailoverExecutor", "RequestRejectedError"]

_LAST_RESORT_SECONDS = 1.0  # between two calls of a cooling deployment, by all environments together


@dataclass(frozen=True, slots=True)
class CommittedAnswer:
    """A commit: `answer` of `deployment`."""

    deployment: Deployment
    answer: OpenStream | WholeAnswer


# Returns a request in a format of the candidate's provider; None if none can carry it, which the trace then records.
OpenExchange = Callable[[Candidate, ClientRequest, AttemptTrace], Exchange | None]


class ChainExhaustedError(ApiError):
    """No deployment of the chain answered."""


class FailoverExecutor:
    """Tries the deployments of a chain in order until one commits. One for an environment."""

    def __init__(
        self,
        states: StateTable,
        secrets: SecretSource,
        upstream: Upstream,
        clock: Clock,
        open_memory: "Callable[[FirstTokenTimes], ChainMemory] | None" = None,
        hooks: "HookRunner | None" = None,
    ) -> None:
        self._states = states
        self._clock = clock
        self._services = AttemptServices(states, secrets, upstream, clock, FirstTokenTimes())
        self._hedges: HedgeBudget | None = None
        self._open_memory = open_memory  # called when it is first needed
        self._memory: ChainMemory | None = None
        self._issuers = SignatureIssuers()
        self._hooks = hooks

    def execute(
        self,
        model: VirtualModel,
        request: ClientRequest,
        deadline: Deadline,
        trace: AttemptTrace,
        caller: str = "",
        alias: str = "",
    ) -> CommittedAnswer:
        """Return the first answer that commits. Raises ApiError; `trace` is complete even then.

        `caller` identifies who sent the request; without it every failure counts for all callers. `alias` is the name
        of its key.
        """
        if caller:
            trace.origin = cache(lambda: _origin(caller, request))
        model = _without_unfit(model, request, trace)
        ids = dict.fromkeys(state_id for deployment in model.chain for state_id in deployment.state_ids)
        states = self._states.read(tuple(ids))
        shared_steps = any(len(step) > 1 for step in model.steps)
        order = self._order(model, request, states, trace, (caller, alias))
        affinity = request.affinity() if shared_steps and order is None else b""
        route = plan(model, states, self._clock.now(), affinity, trace.origin, order)
        trace.skipped.extend(route.skipped)
        if committed := self._try_in_order(route.candidates, request, deadline, trace, self._open, model):
            return committed
        if not trace.attempts and (committed := self._last_resort(states, request, deadline, trace)):
            return committed
        if trace.unfit and not trace.attempts and not trace.skipped:
            raise trace.unfit[0].error
        raise _chain_exhausted(model, trace, self._clock.now())

    def _order(
        self,
        model: VirtualModel,
        request: ClientRequest,
        states: Mapping[str, State],
        trace: AttemptTrace,
        caller: tuple[str, str],
    ) -> list[Deployment] | None:
        """Return the chain in the order for `request`, None for that of steps and weights."""
        asks = self._memory or model.is_dynamic or model.measures_first_token
        if not asks and not any(each.version for each in states.values()):
            return None  # nothing has ever failed here
        if (memory := self._opened_memory()) is None or not model.steps:
            return None
        order = memory.order(model, request, states, caller)
        trace.stayed = not model.is_dynamic and order[0] not in model.steps[0]
        return order

    def _opened_memory(self) -> "ChainMemory | None":
        if self._memory is None and self._open_memory:
            self._memory = self._open_memory(self._services.first_tokens)
        return self._memory

    def remember(
        self, model: VirtualModel, request: ClientRequest, trace: AttemptTrace, caller: str = "", alias: str = ""
    ) -> None:
        """Remember what an answered request shows of deployments and conversations; after its answer."""
        shows = self._memory or trace.reported or trace.skipped or len(trace.attempts) > 1
        if (shows or model.measures_first_token) and (memory := self._opened_memory()):
            memory.remember(model, request, trace, (caller, alias))

    def resume(
        self,
        deployments: Sequence[Deployment],
        request: ClientRequest,
        deadline: Deadline,
        trace: AttemptTrace,
        open_: OpenExchange,
    ) -> CommittedAnswer | None:
        """Return the first of `deployments` to commit to the rest of an answer that broke off; None if none does.

        Those that are cooling or due for a probe are left out.
        """
        states = self._states.read(tuple(dict.fromkeys(each for one in deployments for each in one.state_ids)))
        route = plan(
            VirtualModel("", "", tuple((each,) for each in deployments)), states, self._clock.now(), b"", trace.origin
        )
        healthy_ones = [each for each in route.candidates if each.mode is Mode.NORMAL]
        return self._try_in_order(healthy_ones, request, deadline, trace, open_)

    def _try_in_order(
        self,
        candidates: Sequence[Candidate],
        request: ClientRequest,
        deadline: Deadline,
        trace: AttemptTrace,
        open_: OpenExchange,
        model: VirtualModel | None = None,
    ) -> CommittedAnswer | None:
        """Return the first answer that commits, None if none does. Raises RequestRejectedError.

        The first attempt may be hedged if the `model` is given.
        """
        changed: dict[str, State] = {}
        waiting = deque(candidates)
        while waiting:
            candidate = waiting.popleft()
            credential, now = changed.get(candidate.deployment.provider.state_id), self._clock.now()
            if credential:  # an earlier attempt used the same key
                if credential.phase(now) in (Phase.COOLING, Phase.PROBING):
                    trace.skipped.append(skip(candidate.deployment, candidate.state, credential, now))
                    continue
                candidate = replace(candidate, credential=credential)
            if (exchange := open_(candidate, request, trace)) is None:
                continue
            attempt = DeploymentAttempt(
                self._services, candidate, exchange, deadline, trace, stream=request.stream, remaining=len(waiting)
            )
            hedged = model and candidate.deployment.policy.hedge_after is not None and request.stream
            if hedged and model and candidate.mode is Mode.NORMAL:
                committed = self._run_hedged(model, attempt, candidate, waiting, request, deadline, trace)
                model = None
            else:
                answer = attempt.run()
                committed = None if answer is None else CommittedAnswer(candidate.deployment, answer)
            if committed:
                return committed
            changed |= attempt.states
            if self._clock.monotonic() >= deadline.commit:
                break
        return None

    def _run_hedged(
        self,
        model: VirtualModel,
        attempt: DeploymentAttempt,
        candidate: Candidate,
        waiting: deque[Candidate],
        request: ClientRequest,
        deadline: Deadline,
        trace: AttemptTrace,
    ) -> CommittedAnswer | None:
        """Run `attempt`, and beside it the next one in `waiting` if it stays silent for too long."""
        from vibe_router.pipeline.hedging import HedgeBudget, Hedger

        if self._hedges is None:
            self._hedges = HedgeBudget(self._services.upstream)
        hedger = Hedger(self._hedges, self._services, self._open)
        found = hedger.run(model, attempt, candidate, waiting, request, deadline, trace)
        return CommittedAnswer(*found) if found else None

    def close(self) -> None:
        """Close every connection of backups."""
        if self._hedges:
            self._hedges.close()

    def open_exchange(
        self,
        deployment: Deployment,
        request: ClientRequest,
        *,
        stream: bool = True,
        client_headers: Mapping[str, str] | None = None,
    ) -> Exchange:
        """Return `request` in a format of `deployment`. Raises ApiError (400) if none can carry it."""
        exchange = open_exchange(
            request,
            deployment,
            self._clock.now(),
            stream=stream,
            issuer_of=self._issuers.of,
            client_headers=client_headers,
        )
        if self._hooks and self._hooks.has("before_attempt"):
            from vibe_router.pipeline.hook_calls import apply_attempt_hook

            apply_attempt_hook(self._hooks, exchange, deployment, exchange.body(stream=stream))
        return exchange

    def remember_proofs(self, deployment: Deployment, proofs: Iterable[str]) -> None:
        """Remember that `deployment` issued these proofs of reasoning, so that no other provider is sent them."""
        self._issuers.record(deployment.provider.name, proofs)

    def report_broken_stream(self, trace: AttemptTrace, failure: Failure) -> None:
        """Cool the deployment that served `trace` for a failure after its commit, and correct the trace."""
        deployment = trace.served_by
        if deployment is None:
            return
        classification = classify_failure(failure, self._clock.now(), deployment.provider.relay)
        seen = self._states.read(deployment.state_ids)
        health = DeploymentHealth(
            self._states,
            self._clock,
            deployment,
            (seen.get(each) or healthy(each) for each in deployment.state_ids),
            trace.origin,
        )
        until = health.cool(failure, classification, only_healthy=True)
        served = next(index for index in reversed(range(len(trace.attempts))) if trace.attempts[index].verdict == "ok")
        trace.attempts[served] = replace(trace.attempts[served], classification=classification, cooldown_until=until)

    def _last_resort(
        self, states: dict[str, State], request: ClientRequest, deadline: Deadline, trace: AttemptTrace
    ) -> CommittedAnswer | None:
        """Call the deployment that comes free soonest although it is cooling, at most once a second."""
        deployment = last_resort(trace.skipped)
        if deployment is None:
            return None
        state, credential = (states.get(state_id) or healthy(state_id) for state_id in deployment.state_ids)
        now = self._clock.now()
        claim = cooldown.claimed(state, now)
        if now - state.last_resort_at < _LAST_RESORT_SECONDS or self._states.replace(state, claim) is not claim:
            return None
        candidate = Candidate(deployment, Mode.LAST_RESORT, claim, credential)
        if (exchange := self._open(candidate, request, trace)) is None:
            return None
        attempt = DeploymentAttempt(
            self._services, candidate, exchange, deadline, trace, stream=request.stream, remaining=0
        )
        answer = attempt.run()
        return None if answer is None else CommittedAnswer(deployment, answer)

    def _open(self, candidate: Candidate, request: ClientRequest, trace: AttemptTrace) -> Exchange | None:
        """Return `request` in a format of the candidate's provider; None if none can carry it, as `trace` then says."""
        deployment = candidate.deployment
        stream = request.stream or candidate.mode is Mode.PROBE
        try:
            exchange = self.open_exchange(deployment, request, stream=stream, client_headers=trace.client_headers)
        except ApiError as error:
            trace.unfit.append(Unfit(deployment, error))
            return None
        if deployment.policy.continuation and request.stream:
            from vibe_router.upstream.tracking import track

            track(exchange, request, deployment)
        return exchange


def _origin(caller: str, request: ClientRequest) -> str:
    """Return digests of the caller and of the conversation, as in `State.origin`."""
    try:
        conversation = request.affinity()
    except ApiError:  # the request is rejected later; the caller alone identifies it
        conversation = b""
    return "/".join(hashlib.blake2b(each, digest_size=6).hexdigest() for each in (caller.encode(), conversation))


def _without_unfit(model: VirtualModel, request: ClientRequest, trace: AttemptTrace) -> VirtualModel:
    """Return `model` without the deployments that cannot carry `request`, and add these to `trace`."""
    unfit = [Unfit(each, error) for each in model.chain if (error := unfit_reason(request, each))]
    if not unfit:
        return model
    trace.unfit.extend(unfit)
    left_out = [each.deployment for each in unfit]
    steps = (tuple(each for each in step if each not in left_out) for step in model.steps)
    return replace(model, steps=tuple(step for step in steps if step))


def _chain_exhausted(model: VirtualModel, trace: AttemptTrace, now: float) -> ChainExhaustedError:
    end = chain_error(trace.attempts, trace.skipped, model.name, now)
    tried = [{"deployment": each.deployment, "verdict": each.verdict, "status": each.status} for each in trace.attempts]
    cooling = [{"deployment": each.deployment.id, "verdict": each.verdict, "status": None} for each in trace.skipped]
    unfit = [{"deployment": each.deployment.id, "reason": each.error.message} for each in trace.unfit]
    return ChainExhaustedError(
        end.status,
        end.message,
        type=end.type,
        code=end.code,
        param=end.param,
        headers={"retry-after": str(end.retry_after)} if end.retry_after else None,
        details={"attempts": tried, "cooling": cooling, **({"unfit": unfit} if unfit else {})},
    )

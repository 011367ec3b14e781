"""Walks a chain: plan, attempt, commit. The only place where verdicts turn into action.

- `NoAnswerError`: every deployment failed or was left alone; holds what the caller is told
- `RefusedError`: the provider refused what the caller sent, and so would any other
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError
from vibe_router.core.models import Deployment, VirtualModel
from vibe_router.core.telemetry import log_fault, traced
from vibe_router.formats.interfaces import ClientRequest, WholeAnswer
from vibe_router.pipeline.proof_issuers import SignatureIssuers
from vibe_router.routing import cooldown
from vibe_router.routing.chain import Candidate, Mode, Skipped, last_resort, plan, skip
from vibe_router.routing.cooldown import Phase, State, unknown
from vibe_router.routing.deadline import Deadline, lease_seconds
from vibe_router.routing.outcome import Attempt, exhausted
from vibe_router.routing.retry import STOPPING, UNCOOLED, refuses_proof, retry_delay
from vibe_router.routing.verdict import Classification, Failure, FailureKind, Scope, Verdict, classify_failure
from vibe_router.upstream.attempt import OpenStream, assemble, attempt_stream, attempt_whole
from vibe_router.upstream.client import AttemptFailedError, Upstream
from vibe_router.upstream.exchange import Exchange, open_exchange
from vibe_router.upstream.fit import misfit

__all__ = [
    "AttemptTrace",
    "CommittedAnswer",
    "FailoverExecutor",
    "NoAnswerError",
    "RefusedError",
    "SecretSource",
    "StateKeeper",
    "Unfit",
]


class StateKeeper(Protocol):
    """What the walk needs of the StateTable (store.state.StateStore)."""

    def read(self, ids: Sequence[str], /) -> dict[str, State]:
        """Return what is known of each id."""

    def replace(self, seen: State, successor: State, /) -> State:
        """Write `successor` while `seen` stands; return what stands now, `successor` itself when it won."""


class SecretSource(Protocol):
    """What the walk needs of Secrets Manager (store.secrets.Secrets)."""

    def get(self, name: str, /) -> str | None:
        """Return a secret, or None where there is none of that name."""

    def invalidate(self) -> None:
        """Have the secrets read again: a provider refused one."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """A deployment that cannot carry the request, and the 400 that says why."""

    deployment: Deployment
    error: ApiError


@dataclass(slots=True)
class AttemptTrace:
    """What happened to one request on its way, for headers, errors and the log."""

    attempts: list[Attempt] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    unfit: list[Unfit] = field(default_factory=list)
    served_by: Deployment | None = None
    provider_format: str | None = None  # what it was asked in
    reasoning_left_out: int = 0  # proofs of earlier reasoning that it was not sent

    @property
    def fallbacks(self) -> int:
        """How many deployments of the chain were passed over, tried or not, before the one that served."""
        others = {attempt.deployment for attempt in self.attempts}
        others |= {each.deployment.id for each in self.skipped} | {each.deployment.id for each in self.unfit}
        return len(others - ({self.served_by.id} if self.served_by else set()))


@dataclass(frozen=True, slots=True)
class CommittedAnswer:
    """A commit: `answer` of `deployment`."""

    deployment: Deployment
    answer: OpenStream | WholeAnswer


class NoAnswerError(ApiError):
    """No deployment of the chain answered."""


class RefusedError(ApiError):
    """A provider refused the request for a reason that lies in the request."""


class FailoverExecutor:
    """Tries the deployments of a chain in order until one commits."""

    def __init__(self, states: StateKeeper, secrets: SecretSource, upstream: Upstream, clock: Clock) -> None:
        self._states = states
        self._secrets = secrets
        self._upstream = upstream
        self._clock = clock
        self._issuers = SignatureIssuers()

    def walk(
        self, model: VirtualModel, request: ClientRequest, deadline: Deadline, trace: AttemptTrace
    ) -> CommittedAnswer:
        """Return the first answer that commits; `trace` tells what happened even when this raises ApiError."""
        model = _carrying(model, request, trace)
        ids = dict.fromkeys(state_id for deployment in model.chain for state_id in deployment.state_ids)
        states = self._states.read(tuple(ids))
        shared_steps = any(len(step) > 1 for step in model.steps)
        route = plan(model, states, self._clock.now(), request.affinity() if shared_steps else b"")
        trace.skipped.extend(route.skipped)
        learnt: dict[str, State] = {}
        for behind, candidate in zip(range(len(route.candidates) - 1, -1, -1), route.candidates, strict=True):
            credential, now = learnt.get(candidate.deployment.provider.state_id), self._clock.now()
            if credential:  # an attempt just before this one was with the same key
                if credential.phase(now) in (Phase.COOLING, Phase.PROBING):
                    trace.skipped.append(skip(candidate.deployment, candidate.state, credential, now))
                    continue
                candidate = replace(candidate, credential=credential)  # noqa: PLW2901 - the same, as it stands now
            if (exchange := self._exchange(candidate, request, trace)) is None:
                continue
            turn = _Try(self, candidate, exchange, request.stream, deadline, trace, behind)
            if served := turn.run():
                return served
            learnt |= turn._seen
            if self._clock.monotonic() >= deadline.commit:
                break
        if not trace.attempts and (deployment := last_resort(trace.skipped)):
            seen = [states.get(state_id) or unknown(state_id) for state_id in deployment.state_ids]
            candidate = Candidate(deployment, Mode.LAST_RESORT, *seen)
            exchange = self._exchange(candidate, request, trace)
            if exchange and (served := _Try(self, candidate, exchange, request.stream, deadline, trace, 0).run()):
                return served
        if trace.unfit and not trace.attempts and not trace.skipped:
            raise trace.unfit[0].error
        raise _no_answer(model, trace, self._clock.now())

    def remember(self, deployment: Deployment, proofs: Iterable[str]) -> None:
        """Remember that `deployment` issued these proofs of reasoning, so that no other provider is sent them."""
        self._issuers.note(deployment.provider.name, proofs)

    def _exchange(self, candidate: Candidate, request: ClientRequest, trace: AttemptTrace) -> Exchange | None:
        """Return `request` in words of the candidate's provider, or None where it has none, as `trace` then tells."""
        deployment = candidate.deployment
        stream = request.stream or candidate.mode is Mode.PROBE
        try:
            return open_exchange(request, deployment, self._clock.now(), stream=stream, issuer_of=self._issuers.of)
        except ApiError as error:
            trace.unfit.append(Unfit(deployment, error))
            return None

    def broke_off(self, trace: AttemptTrace, failure: Failure) -> None:
        """Cool the deployment that served `trace` for a failure after its commit, and correct the trace."""
        deployment = trace.served_by
        if deployment is None:
            return
        now = self._clock.now()
        classification = classify_failure(failure, now)
        until = None
        if classification.verdict not in UNCOOLED:
            state_id = _state_id(deployment, classification)
            seen = self._states.read((state_id,)).get(state_id) or unknown(state_id)
            if not seen.until:  # else the fleet keeps away already
                successor = cooldown.cooled(
                    seen, classification, deployment.policy.cooldown, now, evidence=evidence(failure, classification)
                )
                until = self._states.replace(seen, successor).until
        trace.attempts[-1] = replace(trace.attempts[-1], classification=classification, cooldown_until=until)


class _Try:
    """One candidate's turn: the lease if it probes, the calls, and what its failures leave behind."""

    def __init__(
        self,
        failover: FailoverExecutor,
        candidate: Candidate,
        exchange: Exchange,
        stream: bool,
        deadline: Deadline,
        trace: AttemptTrace,
        behind: int,
    ) -> None:
        self._states = failover._states
        self._secrets = failover._secrets
        self._upstream = failover._upstream
        self._clock = failover._clock
        self._deployment = candidate.deployment
        self._candidate = candidate
        self._exchange = exchange
        self._stream = stream
        self._deadline = deadline
        self._trace = trace
        self._behind = behind
        self._seen = {state.id: state for state in (candidate.state, candidate.credential)}
        self._leased: set[str] = set()
        self._cooled: set[str] = set()

    def run(self) -> CommittedAnswer | None:
        """Return the answer, or None when the next deployment is to be tried. Raises RefusedError."""
        if not self._take_leases():
            return None
        try:
            answer = self._call_until_settled()
        finally:
            self._give_leases_back()
        if answer is None:
            return None
        self._trace.served_by = self._deployment
        self._trace.provider_format = self._exchange.format
        self._trace.reasoning_left_out = self._exchange.left_out
        return CommittedAnswer(self._deployment, answer)

    def _call_until_settled(self) -> OpenStream | WholeAnswer | None:
        """Call, and call again where the rules of retrying say so."""
        mode, policy = self._candidate.mode, self._deployment.policy
        retries = 0 if mode is Mode.NORMAL else policy.retries  # a probe or a last resort is one call
        waited = mode is Mode.PROBE  # a probe costs its caller no more than its bound
        renewed = False
        keyed = self._deployment.provider.keyed
        secret = (self._secrets.get(self._deployment.provider.secret) if keyed else None) or ""
        if keyed and not secret:
            self._leave_without_secret()
            return None
        while True:
            started = self._clock.monotonic()
            try:
                with traced(self._deployment.id, mode=mode.value):
                    answer = self._call(secret, started)
            except AttemptFailedError as error:
                failure = error.failure
            except Exception as error:  # noqa: BLE001 - an answer that trips the router up is as good as none
                log_fault("attempt", error)
                failure = Failure(FailureKind.NOT_A_COMPLETION, detail="the router could not read the answer")
            else:
                self._note(None, 200, started)
                return answer
            classification = _classified(failure, self._clock.now(), secret)
            if classification.verdict is Verdict.AUTH and not renewed:
                renewed = True
                if (fresh := self._renewed_secret(secret)) is not None:
                    secret = fresh
                    self._note(classification, failure.status, started)
                    continue
            until = self._cool(failure, classification)
            self._note(classification, failure.status, started, until)
            if refuses_proof(classification) and self._exchange.bare():
                continue
            if classification.verdict in STOPPING:
                raise _refused(classification)
            delay = retry_delay(
                classification,
                policy,
                tried=retries,
                waited=waited,
                last=self._behind == 0,
                left=self._deadline.share(self._clock.monotonic(), self._behind),
                jitter=self._clock.jitter(),
            )
            if delay is None:
                return None
            if classification.verdict is Verdict.RATE_LIMITED or classification.reset_after is not None:
                waited = True
            else:
                retries += 1
            self._clock.sleep(delay)

    def _call(self, secret: str, started: float) -> OpenStream | WholeAnswer:
        """Make one call up to its commit. A probe is streamed where it can be: a silent provider is soon found out."""
        probe = self._candidate.mode is Mode.PROBE
        stream = self._stream or (probe and self._exchange.streams)
        bounds = self._deadline.bounds(
            self._deployment.policy.timeouts, started, layers_behind=self._behind, stream=stream, probe=probe
        )
        if not stream:
            whole = attempt_whole(self._upstream, self._deployment, secret, self._exchange, bounds)
            self._clear()
            return whole
        opened = attempt_stream(self._upstream, self._deployment, secret, self._exchange, bounds, probe=probe)
        self._clear()
        if self._stream:
            return opened
        end = min(
            started + self._deployment.policy.timeouts.response,
            started + self._deadline.share(started, self._behind),
        )
        return assemble(opened, end, self._deployment.policy.timeouts.idle)

    def _take_leases(self) -> bool:
        """Take the lease on every state that is due; say whether all were won."""
        now = self._clock.now()
        for seen in self._candidate.due(now):
            successor = cooldown.leased(seen, now, lease_seconds(self._deployment.policy.timeouts))
            standing = self._states.replace(seen, successor)
            self._seen[seen.id] = standing
            if standing is successor:
                self._leased.add(seen.id)
            elif standing.phase(now) is not Phase.HEALTHY:  # else somebody's probe has just healed it
                self._give_leases_back()
                state, credential = (self._seen[state_id] for state_id in self._deployment.state_ids)
                self._trace.skipped.append(skip(self._deployment, state, credential, now))
                return False
        return True

    def _give_leases_back(self) -> None:
        """Let others probe what this attempt has neither healed nor found failing."""
        for state_id in self._leased:
            self._replace(self._seen[state_id], cooldown.released)
        self._leased.clear()

    def _clear(self) -> None:
        """Clear every cooldown that stood against the deployment: it has just answered."""
        for state in tuple(self._seen.values()):
            if state.until:
                self._leased.discard(state.id)
                self._replace(state, lambda seen: cooldown.cleared(seen, self._clock.now()))

    def _cool(self, failure: Failure, classification: Classification) -> float | None:
        """Cool what the failure speaks of, at once; return until when (epoch seconds)."""
        if classification.verdict in UNCOOLED:
            return None
        state_id = _state_id(self._deployment, classification)
        if self._candidate.mode is Mode.LAST_RESORT and self._seen[state_id].until:
            return self._seen[state_id].until  # it was known to be down: no strike for having looked
        if state_id in self._cooled and classification.reset_after is None:
            return self._seen[state_id].until  # the retry failed alike: the fleet knows already
        self._leased.discard(state_id)
        standing = self._replace(
            self._seen[state_id],
            lambda seen: cooldown.cooled(
                seen,
                classification,
                self._deployment.policy.cooldown,
                self._clock.now(),
                evidence=evidence(failure, classification),
                same_incident=state_id in self._cooled,
            ),
        )
        self._cooled.add(state_id)
        return standing.until or None

    def _replace(self, seen: State, change: Callable[[State], State]) -> State:
        standing = self._states.replace(seen, change(seen))
        self._seen[seen.id] = standing
        return standing

    def _renewed_secret(self, refused: str) -> str | None:
        """Return the secret as it is now, if it has changed since the provider refused it."""
        if not self._deployment.provider.keyed:
            return None
        self._secrets.invalidate()
        fresh = self._secrets.get(self._deployment.provider.secret)
        return fresh if fresh != refused else None

    def _leave_without_secret(self) -> None:
        """Leave a deployment alone whose provider has no key."""
        name = self._deployment.provider.secret
        failure = Failure(FailureKind.UNREACHABLE, detail=f"there is no secret named {name}")
        classification = Classification(Verdict.MISCONFIGURED, Scope.CREDENTIAL, message=failure.detail)
        until = self._cool(failure, classification)
        self._note(classification, None, self._clock.monotonic(), until)

    def _note(
        self, classification: Classification | None, status: int | None, started: float, until: float | None = None
    ) -> None:
        ms = round((self._clock.monotonic() - started) * 1000, 3)
        self._trace.attempts.append(Attempt(self._deployment.id, classification, status, ms, until))


def _carrying(model: VirtualModel, request: ClientRequest, trace: AttemptTrace) -> VirtualModel:
    """Return `model` without the deployments that cannot carry `request`, which `trace` then names."""
    unfit = [Unfit(each, error) for each in model.chain if (error := misfit(request, each))]
    if not unfit:
        return model
    trace.unfit.extend(unfit)
    left_out = [each.deployment for each in unfit]
    steps = (tuple(each for each in step if each not in left_out) for step in model.steps)
    return replace(model, steps=tuple(step for step in steps if step))


def evidence(failure: Failure, classification: Classification) -> str:
    """Return what a cooldown rests on, in a line, without anything that a caller or a secret could be read from."""
    parts = (str(failure.status or ""), classification.code or classification.type or "", failure.detail)
    return " ".join(part for part in parts if part)[:200]


def _state_id(deployment: Deployment, classification: Classification) -> str:
    return deployment.provider.state_id if classification.scope is Scope.CREDENTIAL else deployment.state_id


def _classified(failure: Failure, now: float, secret: str) -> Classification:
    """Judge, and strike the router's key out of the provider's words should it have repeated it."""
    classification = classify_failure(failure, now)
    if not secret or not classification.message:
        return classification
    return replace(classification, message=classification.message.replace(secret, "***"))


def _refused(classification: Classification) -> RefusedError:
    """Return the provider's own reason."""
    message = classification.message or "The provider refused the request."
    return RefusedError(
        classification.status if classification.status and 400 <= classification.status < 500 else 400,
        message,
        type=classification.type or "invalid_request_error",
        code=classification.code or classification.verdict.value,
        param=classification.param,
    )


def _no_answer(model: VirtualModel, trace: AttemptTrace, now: float) -> NoAnswerError:
    end = exhausted(trace.attempts, trace.skipped, model.name, now)
    tried = [{"deployment": each.deployment, "verdict": each.verdict, "status": each.status} for each in trace.attempts]
    kept = [{"deployment": each.deployment.id, "verdict": each.verdict, "status": None} for each in trace.skipped]
    unfit = [{"deployment": each.deployment.id, "reason": each.error.message} for each in trace.unfit]
    return NoAnswerError(
        end.status,
        end.message,
        type=end.type,
        code=end.code,
        param=end.param,
        headers={"retry-after": str(end.retry_after)} if end.retry_after else None,
        details={"attempts": tried, "cooling": kept, **({"unfit": unfit} if unfit else {})},
    )

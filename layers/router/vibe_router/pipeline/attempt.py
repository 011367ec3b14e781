"""The attempt of one request at one deployment: the probe's lease, the calls and retries, and the cooldowns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError
from vibe_router.core.telemetry import log_fault
from vibe_router.formats.interfaces import WholeAnswer
from vibe_router.pipeline.first_tokens import FirstTokenTimes
from vibe_router.pipeline.health import DeploymentHealth, StateTable
from vibe_router.pipeline.trace import AttemptTrace
from vibe_router.routing.chain import Candidate, Mode, skip
from vibe_router.routing.classification import classify_failure
from vibe_router.routing.cooldown import State
from vibe_router.routing.deadline import Deadline
from vibe_router.routing.outcome import Attempt, rejection_error
from vibe_router.routing.quota import has_quota
from vibe_router.routing.retry import (
    STOPPING,
    rejects_reasoning_proof,
    requires_reasoning,
    requires_stream,
    retry_delay,
)
from vibe_router.routing.verdict import Classification, Failure, FailureKind, Scope, Verdict
from vibe_router.upstream.client import AttemptFailedError, Upstream
from vibe_router.upstream.commit import OpenStream, assemble, call_streamed, call_whole
from vibe_router.upstream.exchange import Exchange

__all__ = ["AttemptServices", "DeploymentAttempt", "RequestRejectedError", "SecretSource"]

# The statuses by which a provider rejects a request that it could answer in another form.
_REJECTING_STATUSES = frozenset({400, 404, 422})
_REJECTING_VERDICTS = frozenset({Verdict.CLIENT, Verdict.UNSUPPORTED})


class SecretSource(Protocol):
    """The providers' keys (store.secrets.Secrets)."""

    def get(self, name: str, /) -> str | None:
        """Return a secret, None if there is none of that name."""

    def invalidate(self) -> None:
        """Expire the cached secrets: a provider rejected one."""


class RequestRejectedError(ApiError):
    """A provider rejected the request itself, so no other deployment is tried."""


@dataclass(frozen=True, slots=True)
class AttemptServices:
    """The collaborators that all attempts of an environment share."""

    states: StateTable
    secrets: SecretSource
    upstream: Upstream
    clock: Clock
    first_tokens: FirstTokenTimes = field(default_factory=FirstTokenTimes)  # where a policy measures them
    streaming_only: set[str] = field(default_factory=set)  # deployments that have rejected a request without a stream
    reasoning_required: set[str] = field(default_factory=set)  # and those that have rejected turns without reasoning


class DeploymentAttempt:
    """One attempt at `candidate` with `exchange`; run it once.

    `stream`: whether the caller asked for a stream. `remaining`: the number of deployments after this one.
    """

    def __init__(
        self,
        services: AttemptServices,
        candidate: Candidate,
        exchange: Exchange,
        deadline: Deadline,
        trace: AttemptTrace,
        *,
        stream: bool,
        remaining: int,
    ) -> None:
        self._services = services
        self._secrets = services.secrets
        self._upstream = services.upstream
        self._clock = services.clock
        self._deployment = candidate.deployment
        self._candidate = candidate
        self._exchange = exchange
        self._is_cancelled = False
        self.started = services.clock.monotonic()
        self._stream = stream
        if candidate.deployment.id in services.reasoning_required:
            exchange.fill_reasoning()
        # A whole answer of a provider that only streams is assembled from the stream.
        streams_only = candidate.deployment.streams_only or candidate.deployment.id in services.streaming_only
        self._streamed = stream or (streams_only and exchange.streams)
        self._deadline = deadline
        self._trace = trace
        self._remaining = remaining
        self._health = DeploymentHealth(
            services.states,
            services.clock,
            candidate.deployment,
            (candidate.state, candidate.credential),
            trace.origin,
        )

    @property
    def states(self) -> dict[str, State]:
        """The states of deployment and credential after this attempt, by id."""
        return self._health.states

    def is_cancelled(self) -> bool:
        """Return whether another deployment has answered first."""
        return self._is_cancelled

    def cancel(self) -> None:
        """End the attempt from another thread: another deployment has answered. It fails without a cooldown."""
        self._is_cancelled = True
        self._upstream.abort()

    def run(self) -> OpenStream | WholeAnswer | None:
        """Return the answer, or None to go on with the next deployment. Raises RequestRejectedError."""
        now = self._clock.now()
        if not self._health.take_leases(self._candidate.due(now)):
            state, credential = (self.states[state_id] for state_id in self._deployment.state_ids)
            self._trace.skipped.append(skip(self._deployment, state, credential, now))
            return None
        try:
            answer = self._call_with_retries()
        finally:
            self._health.release_leases()
        if answer is not None:
            self._trace.served_by = self._deployment
            self._trace.provider_format = self._exchange.format
            self._trace.reasoning_left_out = self._exchange.left_out
            self._trace.dropped_params = self._exchange.dropped
        return answer

    def _call_with_retries(self) -> OpenStream | WholeAnswer | None:
        mode, policy = self._candidate.mode, self._deployment.policy
        retries = 0 if mode is Mode.NORMAL else policy.retries  # a probe or a last resort is one call
        waited = mode is Mode.PROBE  # a probe costs its caller no more than its bound
        renewed = False
        keyed = self._deployment.provider.keyed
        secret = (self._secrets.get(self._deployment.provider.secret) if keyed else None) or ""
        if keyed and not secret:
            self._skip_without_secret()
            return None
        while not self.is_cancelled():
            started = self._clock.monotonic()
            try:
                answer = self._call(secret, started)
            except AttemptFailedError as error:
                failure = error.failure
            except Exception as error:  # noqa: BLE001 - an answer that the router fails to read is a failed attempt
                log_fault("attempt", error)
                failure = Failure(FailureKind.NOT_A_COMPLETION, detail="the router could not read the answer")
            else:
                self._record(None, 200, started)
                self._report(self._exchange.reply_headers)
                return answer
            if self.is_cancelled():
                return None
            classification = classify_failure(failure, self._clock.now(), self._deployment.provider.relay)
            if classification.verdict is Verdict.AUTH and classification.scope is Scope.CREDENTIAL and not renewed:
                renewed = True
                if (fresh := self._renewed_secret(secret)) is not None:
                    secret = fresh
                    self._record(classification, failure.status, started)
                    continue
            if self._exchange.alternative and (
                failure.status in _REJECTING_STATUSES or classification.verdict in _REJECTING_VERDICTS
            ):
                self._exchange = self._exchange.alternative()
                self._record(classification, failure.status, started)
                continue
            until = self._cool(failure, classification)
            self._record(classification, failure.status, started, until)
            self._report(failure.headers)
            if self._adapt(classification):
                continue
            if classification.verdict in STOPPING:
                raise _rejected(classification)
            delay = retry_delay(
                classification,
                policy,
                tried=retries,
                waited=waited,
                last=self._remaining == 0,
                left=self._deadline.share(self._clock.monotonic(), self._remaining),
                jitter=self._clock.jitter(),
            )
            if delay is None:
                return None
            if classification.verdict is Verdict.RATE_LIMITED or classification.reset_after is not None:
                waited = True
            else:
                retries += 1
            self._clock.sleep(delay)
        return None

    def _call(self, secret: str, started: float) -> OpenStream | WholeAnswer:
        """Make one call up to its commit. A probe is streamed where possible: a silent provider shows sooner."""
        probe = self._candidate.mode is Mode.PROBE
        stream = self._streamed or (probe and self._exchange.streams)
        timeouts = self._deployment.policy.timeouts
        bounds = self._deadline.bounds(timeouts, started, remaining=self._remaining, stream=stream, probe=probe)
        if not stream:
            whole = call_whole(self._upstream, self._deployment, secret, self._exchange, bounds)
            self._health.clear()
            return whole
        opened = call_streamed(self._upstream, self._deployment, secret, self._exchange, bounds, probe=probe)
        self._health.clear()
        if self._deployment.policy.measures_first_token:
            self._services.first_tokens.record(
                self._deployment.id, self._clock.monotonic() - started, self._clock.now()
            )
        if self._stream:
            return opened
        end = started + min(timeouts.response, self._deadline.share(started, self._remaining))
        return assemble(opened, end, timeouts.idle)

    def _adapt(self, classification: Classification) -> bool:
        """Change the request as the provider demands; return whether it is to be sent again at once."""
        if rejects_reasoning_proof(classification):
            return self._exchange.drop_proofs()
        if classification.status == 400 and self._exchange.drop_betas(classification.message):
            return True
        if requires_reasoning(classification) and self._exchange.fill_reasoning():
            self._services.reasoning_required.add(self._deployment.id)
            return True
        if requires_stream(classification) and self._exchange.streams and not self._streamed:
            self._services.streaming_only.add(self._deployment.id)
            self._streamed = True
            return True
        return False

    def _report(self, headers: Mapping[str, str]) -> None:
        """Add to the trace what an answer reports of the deployment's quota."""
        if has_quota(headers):
            self._trace.reported[self._deployment.id] = headers

    def _cool(self, failure: Failure, classification: Classification) -> float | None:
        # A last resort was cooling already: no strike for a call in spite of that.
        return self._health.cool(failure, classification, only_healthy=self._candidate.mode is Mode.LAST_RESORT)

    def _renewed_secret(self, rejected: str) -> str | None:
        """Return the current secret if it has changed since the provider rejected it."""
        if not self._deployment.provider.keyed:
            return None
        self._secrets.invalidate()
        fresh = self._secrets.get(self._deployment.provider.secret)
        return fresh if fresh != rejected else None

    def _skip_without_secret(self) -> None:
        name = self._deployment.provider.secret
        failure = Failure(FailureKind.UNREACHABLE, detail=f"there is no secret named {name}")
        classification = Classification(Verdict.MISCONFIGURED, Scope.CREDENTIAL, message=failure.detail)
        self._record(classification, None, self._clock.monotonic(), self._cool(failure, classification))

    def _record(
        self, classification: Classification | None, status: int | None, started: float, until: float | None = None
    ) -> None:
        ms = round((self._clock.monotonic() - started) * 1000, 3)
        self._trace.attempts.append(Attempt(self._deployment.id, classification, status, ms, until, started=started))


def _rejected(classification: Classification) -> RequestRejectedError:
    end = rejection_error(classification)
    return RequestRejectedError(end.status, end.message, type=end.type, code=end.code, param=end.param)

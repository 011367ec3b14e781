"""Count the tokens of a Messages request: at a provider that supports it, else by an estimate.

The first healthy deployment that speaks Messages is asked, once and briefly. A failure says nothing about the
deployment's health and causes no cooldown; the deployment is not asked again for a minute, since a relay without a
counter has none for the next request either.
"""

from collections.abc import Mapping

from vibe_router.core.clock import Clock
from vibe_router.core.models import Deployment, VirtualModel
from vibe_router.core.usage import count
from vibe_router.formats.common.json_body import load
from vibe_router.formats.messages.format import COUNT_PATH, MESSAGES
from vibe_router.formats.messages.request import MessagesRequest
from vibe_router.pipeline.attempt import SecretSource
from vibe_router.pipeline.health import StateTable
from vibe_router.routing.chain import Mode, plan
from vibe_router.store.secrets import SecretsUnavailableError
from vibe_router.upstream.client import AttemptFailedError, Upstream

__all__ = ["TokenCounter"]

_SECONDS = 3.0  # for the whole call; an estimate is better than a longer wait
_SKIPPED_SECONDS = 60.0
_MAX_BYTES = 64 * 1024


class TokenCounter:
    """Counts tokens. One for an environment: it remembers which deployments have no counter."""

    def __init__(self, states: StateTable, secrets: SecretSource, upstream: Upstream, clock: Clock) -> None:
        self._states = states
        self._secrets = secrets
        self._upstream = upstream
        self._clock = clock
        self._skipped_until: dict[str, float] = {}  # by deployment id, in monotonic seconds

    def count(self, model: VirtualModel, request: MessagesRequest) -> tuple[int, Deployment | None]:
        """Return the tokens of `request` and the deployment that counted them, None for an estimate.

        Raises ApiError (400) for a body that cannot be sent.
        """
        deployment = self._find_counter(model, request)
        if deployment is not None:
            secret = self._secret(deployment)
            body = request.for_counting(deployment.model)
            counted = self._count_at(deployment, secret, request.forwarded_headers, body) if secret else None
            if counted is not None:
                return counted, deployment
            self._skipped_until[deployment.id] = self._clock.monotonic() + _SKIPPED_SECONDS
        return request.prompt_tokens_estimate(), None

    def _find_counter(self, model: VirtualModel, request: MessagesRequest) -> Deployment | None:
        now = self._clock.monotonic()
        candidates = [each for each in model.chain if "messages" in each.formats and each.provider.keyed]
        if not any(self._skipped_until.get(each.id, 0) <= now for each in candidates):
            return None
        states = self._states.read(tuple({state_id: None for each in candidates for state_id in each.state_ids}))
        for planned in plan(model, states, self._clock.now(), request.affinity()).candidates:
            deployment = planned.deployment
            if (
                deployment in candidates
                and planned.mode is Mode.NORMAL
                and self._skipped_until.get(deployment.id, 0) <= now
            ):
                return deployment
        return None

    def _secret(self, deployment: Deployment) -> str | None:
        try:
            return self._secrets.get(deployment.provider.secret)
        except SecretsUnavailableError:
            return None

    def _count_at(self, deployment: Deployment, secret: str, passed: Mapping[str, str], body: bytes) -> int | None:
        headers = {
            **MESSAGES.headers(secret),
            **passed,
            "content-type": "application/json",
            "accept": "application/json",
            "accept-encoding": "identity",
            "user-agent": "vibe-router",
        }
        until = self._clock.monotonic() + _SECONDS
        try:
            url = deployment.provider.base_url + COUNT_PATH
            with self._upstream.post(url, headers, body, connect=_SECONDS, until=until) as reply:
                if reply.status != 200:
                    return None
                answer = b""
                while len(answer) < _MAX_BYTES and (piece := reply.read(until)):
                    answer += piece
            return count(load(answer), "input_tokens")
        except (AttemptFailedError, ValueError):
            return None

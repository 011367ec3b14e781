"""A chain of three layers, played over real sockets, and a failover whose clock the test holds."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from local.standin import Standin
from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError
from vibe_router.core.models import CooldownPolicy, Deployment, Policy, Provider, Timeouts, VirtualModel
from vibe_router.formats.chat import request as chat_request
from vibe_router.formats.common import sse
from vibe_router.formats.interfaces import WholeAnswer
from vibe_router.pipeline.failover import FailoverExecutor
from vibe_router.pipeline.relay import Relay
from vibe_router.pipeline.trace import AttemptTrace
from vibe_router.routing.cooldown import State, healthy
from vibe_router.routing.deadline import Deadline
from vibe_router.upstream.client import Upstream

LAYERS = {"cliproxyapi": "claude-sonnet-4-6", "new-api": "gpt-5", "ark": "glm-4.7"}
L1, L2, L3 = (f"{provider}/{model}" for provider, model in LAYERS.items())
KEY = "sk-layer-secret"

# Short enough to be waited out; nothing in these tests depends on how much sooner an answer comes.
TIMEOUTS = Timeouts(connect=2, first_byte=0.4, first_token=0.6, idle=0.4, response=0.8, probe=0.3, total=10)
PATIENT = Timeouts(connect=30, first_byte=30, first_token=30, idle=30, response=30, probe=30, total=10)


class SharedStates:
    """The StateTable as a dictionary: the same condition on every write, shared by every failover of a test."""

    def __init__(self) -> None:
        self.items: dict[str, State] = {}
        self.writes: list[State] = []

    def read(self, ids: Sequence[str]) -> dict[str, State]:
        return {each: self.items.get(each, healthy(each)) for each in ids}

    def replace(self, seen: State, successor: State) -> State:
        standing = self.items.get(seen.id, healthy(seen.id))
        if standing.version != seen.version:
            return standing
        self.items[seen.id] = successor
        self.writes.append(successor)
        return successor


class KnownSecrets:
    """Secrets that a test sets; `distrust` makes `fresh` count."""

    def __init__(self) -> None:
        self.current: str | None = KEY
        self.fresh: str | None = KEY
        self.invalidated = 0

    def get(self, name: str) -> str | None:
        return self.current

    def invalidate(self) -> None:
        self.invalidated += 1
        self.current = self.fresh


@dataclass
class Outcome:
    """The caller's answer and the log lines of one request."""

    trace: AttemptTrace
    deployment: str | None = None
    body: bytes = b""
    error: ApiError | None = None
    relay: Relay | None = None

    @property
    def verdicts(self) -> list[tuple[str, str]]:
        return [(attempt.deployment, attempt.verdict) for attempt in self.trace.attempts]

    @property
    def events(self) -> list[bytes]:
        decoder = sse.EventDecoder()
        return [event.data for event in decoder.feed(self.body) if event.data is not None]

    @property
    def whole(self) -> bool:
        """Return whether a client would take the stream for complete."""
        return self.events[-1:] == [b"[DONE]"]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        return [json.loads(data) for data in self.events if data != b"[DONE]"]

    @property
    def text(self) -> str:
        if self.relay is None:
            return str(json.loads(self.body)["choices"][0]["message"]["content"])
        deltas = [choice["delta"] for chunk in self.chunks for choice in chunk.get("choices", [])]
        return "".join(delta.get("content") or "" for delta in deltas)


@dataclass
class Harness:
    """Three layers, the fleet's states, and the clock."""

    standin: Standin
    states: SharedStates = field(default_factory=SharedStates)
    secrets: KnownSecrets = field(default_factory=KnownSecrets)
    upstream: Upstream = field(default_factory=Upstream)
    now: float = 1_790_000_000.0
    slept: list[float] = field(default_factory=list)
    policy: Policy = field(default_factory=lambda: Policy(timeouts=TIMEOUTS, cooldown=CooldownPolicy(base=5, max=1800)))
    base_urls: dict[str, str] = field(default_factory=dict)
    streams_only: bool = False

    def __post_init__(self) -> None:
        self.clock = Clock(now=lambda: self.now, sleep=self.slept.append, jitter=lambda: 0.5)
        self.failover = FailoverExecutor(self.states, self.secrets, self.upstream, self.clock)

    def deployment(self, provider: str) -> Deployment:
        base_url = self.base_urls.get(provider) or self.standin.base_url(provider)
        # Healthy providers get long timeouts: on a busy machine their answers may come late.
        well = self.policy.timeouts == TIMEOUTS and not self.standin.fails(provider)
        policy = replace(self.policy, timeouts=PATIENT) if well else self.policy
        return Deployment(Provider(provider, base_url, "KEY"), LAYERS[provider], policy, streams_only=self.streams_only)

    def model(self, *providers: str) -> VirtualModel:
        return VirtualModel("auto-chat", "", tuple((self.deployment(each),) for each in providers or LAYERS))

    def ask(
        self, *, stream: bool = True, chain: Sequence[str] = (), left: float = 900, caller: str = "", **more: object
    ) -> Outcome:
        """Send one request through the chain and read its answer to the end, as the gateway does."""
        body = {"model": "auto-chat", "stream": stream, "messages": [{"role": "user", "content": "Say hello."}], **more}
        request = chat_request.parse(json.dumps(body).encode())
        outcome = Outcome(AttemptTrace())
        deadline = Deadline.of(time.monotonic(), left, self.policy.timeouts.total)
        try:
            served = self.failover.execute(self.model(*chain), request, deadline, outcome.trace, caller)
        except ApiError as error:
            outcome.error = error
            return outcome
        outcome.deployment = served.deployment.id
        if isinstance(served.answer, WholeAnswer):
            outcome.body = served.answer.body
            return outcome
        outcome.relay = Relay(served.answer, served.deployment, deadline.end, self.clock)
        outcome.body = b"".join(outcome.relay)
        if outcome.relay.failure:
            self.failover.report_broken_stream(outcome.trace, outcome.relay.failure)
        served.answer.reply.close()
        return outcome

    def cooldown(self, provider: str = "cliproxyapi") -> State:
        return self.states.read([self.deployment(provider).state_id])[self.deployment(provider).state_id]

    def credential(self, provider: str = "cliproxyapi") -> State:
        return self.states.read([f"credential#{provider}"])[f"credential#{provider}"]

    def calls(self, provider: str = "cliproxyapi") -> int:
        return len(self.standin.requests(provider))

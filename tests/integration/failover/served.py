"""The whole pipeline, in every format, over real sockets: each request as its caller, line and row see it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from local.standin import Standin
from tests.integration.failover.harness import LAYERS, PATIENT, TIMEOUTS
from tests.unit.gateway.fake_environment import MASTER_KEY, FakeEnvironment
from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError
from vibe_router.core.models import Deployment, Policy, Provider, VirtualModel
from vibe_router.core.price import Price
from vibe_router.core.record import Record
from vibe_router.formats import registry
from vibe_router.formats.common import sse
from vibe_router.formats.interfaces import WholeAnswer
from vibe_router.pipeline.failover import FailoverExecutor
from vibe_router.pipeline.serve import RequestPipeline
from vibe_router.upstream.client import Upstream

FORMATS = ("chat", "completions", "responses", "messages")
PROMPT = "Say hello to everybody in the room."
_ENDS: Mapping[str, tuple[str, ...]] = {
    "chat": ("[DONE]",),
    "completions": ("[DONE]",),
    "responses": ("response.completed", "response.incomplete"),
    "messages": ("message_stop",),
}


def body_of(format_: str, *, stream: bool, prompt: str = PROMPT, **more: object) -> dict[str, Any]:
    """Return a request with one message."""
    body: dict[str, Any] = {"model": "auto-chat", "stream": stream, **more}
    if format_ == "completions":
        return {"prompt": prompt, **body}
    if format_ == "responses":
        return {"input": prompt, **body}
    return {"max_tokens": 500, "messages": [{"role": "user", "content": prompt}], **body}


@dataclass
class Served:
    """One request: its answer in bytes, or the error."""

    format: str
    stream: bool
    headers: Mapping[str, str]
    record: Record
    body: bytes = b""
    error: ApiError | None = None

    @property
    def events(self) -> list[sse.Event]:
        return [event for event in sse.EventDecoder().feed(self.body) if event.data is not None]

    @property
    def values(self) -> list[dict[str, Any]]:
        return [json.loads(event.data) for event in self.events if event.data and event.data != b"[DONE]"]

    @property
    def whole(self) -> bool:
        """Return whether a client takes the answer for complete."""
        if self.error:
            return False
        if not self.stream:
            return True
        last = self.events[-1]
        named = {last.data.decode() if last.data == b"[DONE]" else json.loads(last.data or b"{}").get("type")}
        return bool(named & set(_ENDS[self.format]))

    @property
    def honest(self) -> bool:
        """Return whether a client sees that the answer is not complete."""
        if self.error:
            return 400 <= self.error.status < 600
        return not self.whole and b'"error"' in self.body

    @property
    def text(self) -> str:
        """The text of the answer, as a client joins it."""
        if self.stream:
            return "".join(_text_of_event(self.format, value) for value in self.values)
        answer = json.loads(self.body)
        match self.format:
            case "chat":
                return str(answer["choices"][0]["message"]["content"])
            case "completions":
                return str(answer["choices"][0]["text"])
            case "messages":
                return "".join(block.get("text", "") for block in answer["content"])
        parts = [part for item in answer["output"] for part in item.get("content", ())]
        return "".join(part.get("text", "") for part in parts)


def _text_of_event(format_: str, value: dict[str, Any]) -> str:
    if format_ == "messages":
        return str(value.get("delta", {}).get("text", "")) if value["type"] == "content_block_delta" else ""
    if format_ == "responses":
        return str(value["delta"]) if value["type"] == "response.output_text.delta" else ""
    choices = value.get("choices") or [{}]
    return str(choices[0].get("text") or (choices[0].get("delta") or {}).get("content") or "")


class ServingEnvironment(FakeEnvironment):
    """An environment whose providers are played over real sockets, and whose clock the test moves."""

    def __init__(self, standin: Standin) -> None:
        super().__init__()
        self.standin = standin
        self.slept: list[float] = []
        self.clock = Clock(now=lambda: self.now, sleep=self.slept.append, jitter=lambda: 0.5)
        self.real = Upstream()
        self.upstream = cast("Any", self.real)
        self.failover = FailoverExecutor(self.table, self.secrets, self.real, self.clock)
        self.layers = dict(LAYERS)
        self.formats: dict[str, tuple[str, ...]] = dict.fromkeys(LAYERS, ("chat", "responses", "messages"))
        self.prices = {"cliproxyapi": Price(1, 2), "new-api": Price(3, 4), "ark": Price(5, 6)}
        self.patient = True

    def use(self, **policy: Any) -> None:
        """Build the chain with these settings. Providers without a fault are waited for."""
        short = Policy(timeouts=TIMEOUTS, **policy)
        steps = []
        for name, model in self.layers.items():
            own = short if self.standin.fails(name) or not self.patient else replace(short, timeouts=PATIENT)
            provider = Provider(name, self.standin.base_url(name), "KEY", self.formats[name])
            steps.append((Deployment(provider, model, own, formats=self.formats[name], price=self.prices[name]),))
        self.models = {"auto-chat": VirtualModel("auto-chat", "", tuple(steps))}


@dataclass
class Server:
    """Serves requests one after the other."""

    environment: ServingEnvironment
    policy: dict[str, Any] = field(default_factory=dict)

    @property
    def standin(self) -> Standin:
        return self.environment.standin

    def ask(
        self, format_: str = "chat", *, stream: bool = True, body: Mapping[str, Any] | None = None, **more: object
    ) -> Served:
        """Send one request and read its answer to the end, as the gateway does."""
        environment = self.environment
        environment.use(**self.policy)
        sent = body if body is not None else {**body_of(format_, stream=stream), **more}
        pipeline = RequestPipeline(registry.client(format_), "request-1", environment)
        answer, error = b"", None
        try:
            headers = {"authorization": f"Bearer {MASTER_KEY}"}
            served = pipeline.serve(headers, json.dumps(sent).encode(), 900)
            headers = pipeline.decision.headers()
            answer = served.body if isinstance(served, WholeAnswer) else b"".join(served)
        except ApiError as failure:
            error, headers = failure, pipeline.decision.headers()
        pipeline.settle()
        record = environment.books.booked[-1]
        return Served(format_, stream, headers, record, answer, error)

    def pass_time(self, seconds: float) -> None:
        """Let time pass for cooldowns."""
        self.environment.now += seconds

    def close(self) -> None:
        """Close every connection."""
        self.environment.failover.close()
        self.environment.real.close()

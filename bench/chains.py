"""`python -m bench.chains [REQUESTS]`: what each setting of a chain adds to a request, and to a chunk of an answer.

Prints JSON: a row for each setting, measured in this process, without sockets and tables. Measured in processor time,
so other processes on the core do not count. `off` is a chain without any of them.
"""

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from vibe_router.core.clock import Clock
from vibe_router.core.models import Deployment, Policy, Provider, RequestShape, VirtualModel
from vibe_router.formats.chat import request as chat_request
from vibe_router.pipeline.chain_memory import ChainMemory
from vibe_router.pipeline.failover import FailoverExecutor
from vibe_router.pipeline.relay import Relay
from vibe_router.pipeline.trace import AttemptTrace
from vibe_router.routing.cooldown import State, healthy
from vibe_router.routing.deadline import Deadline
from vibe_router.routing.order import Observed
from vibe_router.routing.quota import QuotaWindow
from vibe_router.routing.stay import Stay
from vibe_router.upstream.client import Reply, Upstream
from vibe_router.upstream.commit import OpenStream

__all__ = ["SETTINGS", "main"]

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "off": {},
    "stay, after an incident": {},
    "order: fastest": {"order": "fastest"},
    "order: quota": {"order": "quota"},
    "hedge_after": {"hedge_after": 8.0},
    "continuation": {"continuation": True},
    "set, default and drop": {"shape": RequestShape({"temperature": 0.5}, {"top_p": 1}, ("user",))},
}
_TURNS = 10  # of a conversation, each of 200 words
_CHUNKS = 200
_REQUESTS = 100  # of each setting
_ROUNDS = 5  # of which the fastest counts
_NOW = 1_800_000_000.0
_WORDS = "word " * 200


class _Answers(Upstream):
    """Answers every call with the same stream; the next deployment's connections are its own."""

    def __init__(self, chunks: int) -> None:
        super().__init__()
        chunk = {"id": "c", "model": "m", "created": 1, "choices": [{"index": 0, "delta": {"content": "word "}}]}
        end = {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        events = [json.dumps(each) for each in [*[chunk] * chunks, end]]
        self._events = [b"data: %b\n\n" % event.encode() for event in [*events, "[DONE]"]]

    def post(self, url: str, headers: Any, body: bytes, *, connect: float, until: float) -> Reply:  # noqa: ARG002
        return _Answer(self._events)


class _Answer(Reply):
    def __init__(self, events: Sequence[bytes]) -> None:
        super().__init__(200, {"content-type": "text/event-stream"})
        self._events = iter(events)

    def read(self, until: float) -> bytes:  # noqa: ARG002 - all of it is there
        return next(self._events, b"")

    def close(self) -> None:
        """Hold nothing."""


class _Table:
    """The states, and the memory of chains."""

    def __init__(self, states: Mapping[str, State]) -> None:
        self._states = states

    def read(self, ids: Sequence[str]) -> dict[str, State]:
        return {each: self._states.get(each) or healthy(each) for each in ids}

    def replace(self, _seen: State, successor: State) -> State:
        return successor


class _Conversations:
    def cached(self, _conversation: str) -> Stay | None:
        return None

    def read(self, _conversation: str) -> Stay | None:
        return Stay("two/m", _NOW + 60)

    def write(self, conversation: str, stay: Stay) -> None:
        """Store nothing."""


class _Observations:
    def read(self, deployments: Iterable[str]) -> dict[str, Observed]:
        return {each: Observed((QuotaWindow("5h", 0.5),), ((_NOW - 1, 0.5),) * 50) for each in deployments}

    def record(
        self,
        deployment: str,
        windows: Sequence[QuotaWindow] = (),
        first_tokens: Sequence[tuple[float, float]] = (),
        /,
    ) -> None:
        """Store nothing."""


class _Secrets:
    def get(self, _name: str) -> str | None:
        return "sk-bench"

    def invalidate(self) -> None:
        """Keep it."""


def main() -> None:
    """Measure every setting, with at most this many requests each, and print the rows."""
    json.dump(rows(min([_REQUESTS, *map(int, sys.argv[1:])])), sys.stdout)


def rows(requests: int = _REQUESTS, rounds: int = _ROUNDS) -> list[dict[str, Any]]:
    """Return a row for each setting, with the processor time of a request and of a chunk in microseconds."""
    measured = {name: (_server(name, policy, 1), _server(name, policy, _CHUNKS)) for name, policy in SETTINGS.items()}
    best: dict[str, list[float]] = {name: [float("inf")] * 2 for name in SETTINGS}
    for _ in range(rounds):  # in turns, so that a busy moment meets them all
        for name, servers in measured.items():
            for place, serve in enumerate(servers):
                best[name][place] = min(best[name][place], _seconds(serve, requests))
    found: list[dict[str, Any]] = []
    for name, (short, long) in best.items():
        request, chunk = short * 1e6, (long - short) / (_CHUNKS - 1) * 1e6
        found.append({"setting": name, "request_us": round(request, 1), "chunk_us": round(max(chunk, 0.0), 2)})
    off = found[0]["request_us"]
    return [{**row, "added_us": round(row["request_us"] - off, 1)} for row in found]


def _seconds(serve: Callable[[], None], requests: int) -> float:
    began = time.process_time()
    for _ in range(requests):
        serve()
    return (time.process_time() - began) / requests


def _server(name: str, policy: Mapping[str, Any], chunks: int) -> Callable[[], None]:
    """Return a function that serves one streamed request with the setting."""
    one, two = (Deployment(Provider(each, "http://127.0.0.1", "KEY"), "m", Policy(**policy)) for each in ("one", "two"))
    model = VirtualModel("auto", "", ((one, two),) if "order" in policy else ((one,), (two,)))
    is_recovered = name.startswith("stay")
    recovered = State(one.state_id, version=2, expires_at=int(_NOW) + 86_400)
    clock = Clock(now=lambda: _NOW)
    failover = FailoverExecutor(
        _Table({one.state_id: recovered} if is_recovered else {}),
        _Secrets(),
        _Answers(chunks),
        clock,
        lambda times: ChainMemory(_Conversations(), _Observations(), times, clock),
    )
    turns = [{"role": "user" if turn % 2 == 0 else "assistant", "content": _WORDS} for turn in range(_TURNS + 1)]
    raw = json.dumps({"model": "auto", "stream": True, "messages": turns}).encode()

    def serve() -> None:
        request, trace = chat_request.parse(raw), AttemptTrace()
        deadline = Deadline.of(time.monotonic(), 900, 840)
        committed = failover.execute(model, request, deadline, trace, "key", "alias")
        if not isinstance(committed.answer, OpenStream):
            raise TypeError("a request for a stream got a whole answer")
        relay = Relay(committed.answer, committed.deployment, deadline.end, clock)
        for _ in relay:
            pass
        failover.remember(model, request, trace, "key", "alias")

    return serve


if __name__ == "__main__":
    main()

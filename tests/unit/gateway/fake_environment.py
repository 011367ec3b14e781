"""An environment without AWS and without sockets: real routing, scripted providers."""

import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from gateway.environment import Environment
from streaming_runtime import Context
from streaming_runtime.context import Function
from vibe_router.access.authentication import hash_key
from vibe_router.access.keys import Caller, Key, Limits, Team
from vibe_router.access.ledger import Denial, Ledger, ReservationRequest, apply_update, plan_reservation
from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError
from vibe_router.core.models import Catalogue, Deployment, Guard, Policy, Provider, VirtualModel
from vibe_router.core.record import Record
from vibe_router.hooks.runner import HookRunner, hooks_of
from vibe_router.pipeline.admission import Admission
from vibe_router.pipeline.answer_cache import AnswerCache
from vibe_router.pipeline.failover import FailoverExecutor
from vibe_router.pipeline.observers import CompletedRequest, RequestObserver
from vibe_router.pipeline.stored_responses import ResponseStorage
from vibe_router.routing.cooldown import State, healthy
from vibe_router.routing.order import Observed
from vibe_router.routing.verdict import Failure, FailureKind
from vibe_router.store.answers import AnswerStore, StoredAnswer
from vibe_router.store.keys import KeyDirectory, KeysUnavailableError
from vibe_router.store.ledger import LedgerBusyError, LimitReachedError, Reservation
from vibe_router.store.observations import ObservationStore
from vibe_router.store.responses import Owner, ResponseStore, ResponsesUnavailableError, StoredRecord
from vibe_router.store.secrets import Secrets
from vibe_router.store.state import StateStore
from vibe_router.store.usage import UsageRecorder
from vibe_router.upstream.client import AttemptFailedError, Reply, Upstream

MASTER_KEY = "sk-master"
COMPLETION = {
    "id": "c-1",
    "object": "chat.completion",
    "model": "gpt-5",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
}
STREAM = (
    b'data: {"model":"gpt-5","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n',
    b'data: {"model":"gpt-5","choices":[{"index":0,"delta":{"content":"Hello."}}]}\n\n',
    b'data: {"model":"gpt-5","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n',
    b"data: [DONE]\n\n",
)


class ScriptedReply(Reply):
    """An answer whose body comes in the pieces given; a piece that is a Failure is raised, a callable is called."""

    def __init__(self, status: int, content_type: str, pieces: Sequence[bytes | Failure]) -> None:
        super().__init__(status, {"content-type": content_type})
        self.closed = False
        self._pieces = iter(pieces)

    def read(self, until: float) -> bytes:
        piece = next(self._pieces, b"")
        if isinstance(piece, Failure):
            raise AttemptFailedError(piece)
        return piece

    def close(self) -> None:
        self.closed = True


class ScriptedUpstream(Upstream):
    """Gives each provider's next answer; a healthy one where nothing is scripted. Remembers what was sent."""

    def __init__(self) -> None:
        self.script: dict[str, list[Reply | Failure | Exception]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.sent: list[tuple[str, Mapping[str, str]]] = []  # the URL and the headers of each

    def post(self, url: str, headers: Any, body: bytes, *, connect: float, until: float) -> Reply:
        provider = url.split("/")[2].partition(".")[0]
        sent = {"form": body} if headers["content-type"].startswith("multipart/") else json.loads(body)
        self.calls.append((provider, sent))
        self.sent.append((url, headers))
        planned = self.script.get(provider)
        answer = planned.pop(0) if planned else streamed() if sent.get("stream") else whole()
        if isinstance(answer, Failure):
            raise AttemptFailedError(answer)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def called(self) -> list[str]:
        return [provider for provider, _ in self.calls]


def whole(answer: object = COMPLETION) -> ScriptedReply:
    return ScriptedReply(200, "application/json", [json.dumps(answer).encode()])


def streamed(*pieces: bytes | Failure) -> ScriptedReply:
    return ScriptedReply(200, "text/event-stream", pieces or STREAM)


def refusal(status: int, body: object) -> Failure:
    return Failure(FailureKind.STATUS, status, body=json.dumps(body).encode())


class FakeStates:
    """The StateTable as a dictionary, with the same condition on every write."""

    def __init__(self) -> None:
        self.items: dict[str, State] = {}
        self.degraded = False

    def read(self, ids: Sequence[str]) -> dict[str, State]:
        return {each: self.items.get(each, healthy(each)) for each in ids}

    def replace(self, seen: State, successor: State) -> State:
        standing = self.items.get(seen.id, healthy(seen.id))
        if standing.version != seen.version:
            return standing
        self.items[seen.id] = successor
        return successor


class FakeObservations:
    """Observations of deployments, in a dictionary."""

    def __init__(self) -> None:
        self.table: dict[str, Observed] = {}

    def read(self, deployments: Iterable[str]) -> dict[str, Observed]:
        return {each: self.table.get(each, Observed()) for each in deployments}


class FakeSecrets:
    """One key for every provider."""

    is_broken = False

    def get(self, name: str) -> str | None:
        return None if name.startswith("OTEL_") else "sk-provider"

    def invalidate(self) -> None:
        """Nothing else is known."""


class FakeKeys:
    """The KeysTable as a dictionary: the key as it is shown, and who holds it."""

    def __init__(self) -> None:
        self.callers: dict[str, Caller] = {}
        self.teams: dict[str, Team] = {}
        self.outage = False

    def with_team(self, key: Key) -> Caller:
        return Caller(key, self.teams.get(key.team_id or ""))

    def is_cached(self, key_hash: str) -> bool:
        return False

    def find(self, key_hash: str) -> Caller | None:
        if self.outage:
            raise KeysUnavailableError("not now")
        return {hash_key(key): caller for key, caller in self.callers.items()}.get(key_hash)


class FakeSettlement:
    """Owes nothing."""

    def settle(self) -> None:
        """Write nothing."""


class FakeLedgers:
    """The LedgerTable as a dictionary, with the conditions of every write."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.table: dict[str, Ledger] = {}
        self.wanted: list[ReservationRequest] = []
        self.settled: list[tuple[int, int | None]] = []  # cost and tokens of each
        self.busy = False

    def reserve(self, ledgers: Mapping[str, Limits], request: ReservationRequest) -> Reservation:
        if self.busy:
            raise LedgerBusyError("not now")
        self.wanted.append(request)
        hold_id = str(len(self.wanted))
        held: dict[str, Ledger] = {}
        limited = {each: limits for each, limits in ledgers.items() if limits}
        windows = [(self.stands(each), limits) for each, limits in limited.items()]
        for each, limits in limited.items():
            change = plan_reservation(self.stands(each), limits, request, hold_id, self.clock.now())
            if isinstance(change, Denial):
                raise LimitReachedError(each, change, windows)
            after = apply_update(change, self.stands(each))
            assert after
            held[each] = after
        self.table |= held
        return Reservation(hold_id, ledgers, held, request.cost)

    def settlement(self, reservation: Reservation, cost: int, tokens: int | None) -> FakeSettlement:
        self.settled.append((cost, tokens))
        return FakeSettlement()

    def last_seen(self, ids: Collection[str]) -> dict[str, Ledger]:
        return {each: self.stands(each) for each in ids}

    def stands(self, ledger_id: str) -> Ledger:
        return self.table.get(ledger_id, Ledger(exists=False))


class FakeBookkeeper:
    """Keeps what is booked."""

    def __init__(self) -> None:
        self.booked: list[Record] = []

    def book(self, record: Record, _settlement: object = None) -> None:
        self.booked.append(record)


class FakeResponses(ResponseStore):
    """The ResponsesTable as a dictionary. An outage refuses writes and fails reads."""

    def __init__(self) -> None:
        self.table: dict[str, StoredRecord] = {}
        self.reads: list[str] = []
        self.outage = False

    def write(self, id_: str, owner: Owner, record: bytes) -> bool:
        if not self.outage:
            self.table[id_] = StoredRecord(owner, record)
        return not self.outage

    def read(self, id_: str) -> StoredRecord | None:
        if self.outage:
            raise ResponsesUnavailableError("not now")
        self.reads.append(id_)
        return self.table.get(id_)

    def delete(self, id_: str) -> None:
        del self.table[id_]


class FakeAnswers(AnswerStore):
    """The CacheTable as a dictionary."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.table: dict[str, StoredAnswer] = {}
        self.reads = 0

    def read(self, id_: str) -> StoredAnswer | None:
        self.reads += 1
        return self.table.get(id_)

    def write(self, id_: str, data: bytes, seconds: int) -> bool:
        self.table[id_] = StoredAnswer(data, self.clock.now())
        return True


def deployment(name: str) -> Deployment:
    provider, _, model = name.partition("/")
    return Deployment(Provider(provider, f"https://{provider}.example/v1", f"{provider}_KEY"), model, Policy(retries=0))


def virtual(name: str, *chain: str) -> VirtualModel:
    return VirtualModel(name, f"{name}'s description", tuple((deployment(each),) for each in chain))


class FakeEnvironment(Environment):
    """Holds what the routes ask of an environment. A failure put into `outage` is raised by what reads tables."""

    upstream: ScriptedUpstream

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.elapsed = 5_000.0
        self.clock = Clock(
            now=lambda: self.now, monotonic=lambda: self.elapsed, sleep=lambda _: None, jitter=lambda: 0.5
        )
        self.models = {
            "auto-chat": virtual("auto-chat", "one/gpt-5", "two/glm-4.7"),
            "auto codex/ü": virtual("auto codex/ü", "two/glm-4.7"),
        }
        self.aliases: dict[str, str] = {}
        self.guards: dict[str, Guard] = {}
        self.outage: ApiError | None = None
        self.table = FakeStates()
        self.states = cast("StateStore", self.table)
        self.observed = FakeObservations()
        self.observations = cast("ObservationStore", self.observed)
        self.callers = FakeKeys()
        self.fake_ledgers = FakeLedgers(self.clock)
        self.admission = Admission(self.master_key, cast("KeyDirectory", self.callers), self.fake_ledgers, self.clock)
        self.books = FakeBookkeeper()
        self.usage_recorder = cast("UsageRecorder", self.books)
        self.response_store = FakeResponses()
        self.responses = ResponseStorage(self.response_store)
        self.archiver = None
        self.answers = FakeAnswers(self.clock)
        self.answer_cache = AnswerCache(self.answers, self.master_key, self.clock)
        self.upstream = ScriptedUpstream()
        self.secrets = cast("Secrets", FakeSecrets())
        self.use_hooks(None)
        self.reported: list[CompletedRequest] = []

    def use_hooks(self, module: object) -> None:
        """Have the hooks that `module` defines; None for none."""
        self.hooks = HookRunner(lambda: hooks_of(module)) if module else None
        self.failover = FailoverExecutor(self.table, self.secrets, self.upstream, self.clock, hooks=self.hooks)

    @property
    def observers(self) -> tuple[RequestObserver, ...]:
        return (self,)

    def observe(self, request: CompletedRequest) -> None:
        self.reported.append(request)

    def prefetch(self) -> None:
        pass

    def routes(self) -> Catalogue:
        if self.outage:
            raise self.outage
        return Catalogue(self.models, aliases=self.aliases, guards=self.guards)

    def routes_written_at(self) -> int:
        return 1_790_000_000

    def master_key(self) -> str | None:
        if self.outage:
            raise self.outage
        return MASTER_KEY


def context() -> Context:
    return Context("aws-request-1", int((time.time() + 900) * 1000), function=Function())


def event(method: str, path: str, body: object = None, **more: object) -> dict[str, Any]:
    """Return a v1 proxy event with the master key. `body` is sent as JSON unless it is text."""
    return {
        "httpMethod": method,
        "path": path,
        "headers": {"Authorization": f"Bearer {MASTER_KEY}", "Content-Type": "application/json"},
        "body": body if body is None or isinstance(body, str) else json.dumps(body),
        "isBase64Encoded": False,
        "requestContext": {"requestId": "request-1", "stage": "prod"},
        **more,
    }


def chat_event(**more: object) -> dict[str, Any]:
    body = {"model": "auto-chat", "messages": [{"role": "user", "content": "Say hello."}], **more}
    return event("POST", "/v1/chat/completions", body)


def sent_events(raw: bytes) -> Iterator[bytes]:
    return (line.removeprefix(b"data: ") for line in raw.split(b"\n\n") if line)

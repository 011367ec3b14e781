"""The state store while DynamoDB is unreachable, and afterwards."""

import socket
import threading
import time as real_time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.unit.store.fakes import NOW, OUTAGES, Aside, Time, Wire
from vibe_router.core.clock import Clock
from vibe_router.core.models import CooldownPolicy
from vibe_router.routing.cooldown import Phase, State, cleared, cooled, healthy, leased
from vibe_router.routing.verdict import Classification, Scope, Verdict
from vibe_router.store.dynamodb import DynamoDB
from vibe_router.store.dynamodb import dynamodb_client as make_client
from vibe_router.store.state import StateStore

Environment = Callable[..., StateStore]

GLM, GPT, KEY = "deployment#ark/glm-4.7", "deployment#new-api/gpt-5", "credential#ark"
REFUSED = OUTAGES["refused"]


def failed(state: State, now: float, rest: float = 60) -> State:
    classification = Classification(Verdict.TRANSIENT, Scope.DEPLOYMENT, reset_after=rest)
    return cooled(state, classification, CooldownPolicy(), now, evidence="503")


def cool(store: StateStore, now: float, rest: float = 60, state_id: str = GLM) -> State:
    seen = store.read([state_id])[state_id]
    return store.replace(seen, failed(seen, now, rest))


def degraded(store: StateStore) -> bool:
    return store.degraded


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("error", OUTAGES.values(), ids=OUTAGES)
def test_states_are_read_from_memory_without_waiting(
    environment: Environment,
    wire: Wire,
    time: Time,
    aside: Aside,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    store = environment()
    cooling = cool(store, NOW)
    time.advance(2)
    wire.took()
    wire.fault = error
    assert store.read([GLM, KEY]) == {GLM: cooling, KEY: healthy(KEY)}
    assert degraded(store)
    assert wire.took() == ["BatchGetItem"]
    for _ in range(80):  # ten seconds of requests
        time.advance(0.125)
        assert store.read([GLM, KEY]) == {GLM: cooling, KEY: healthy(KEY)}
    assert wire.took() == []
    assert len(aside.waiting) == 5
    aside.do()
    assert degraded(store)
    wire.fault = None
    time.advance(2)
    assert store.read([GLM, KEY])[GLM] == cooling
    assert degraded(store)
    aside.do()
    assert not degraded(store)
    assert len(warnings(caplog)) == 2
    assert "cannot be reached" in warnings(caplog)[0]
    assert warnings(caplog)[1] == "the state table answers again after 12 s"


def test_a_failed_write_takes_effect_in_this_environment(environment: Environment, wire: Wire, time: Time) -> None:
    store = environment()
    seen = store.read([GLM])[GLM]
    wire.fault = REFUSED
    cooling = failed(seen, NOW)
    assert store.replace(seen, cooling) is cooling
    assert store.degraded
    assert store.read([GLM])[GLM] is cooling


def test_writes_do_not_wait_during_an_outage(environment: Environment, wire: Wire, time: Time) -> None:
    store = environment()
    wire.fault = REFUSED
    store.read([GLM])
    wire.took()
    state = cool(store, NOW, rest=5)
    time.advance(6)
    state = store.replace(state, leased(state, time.now, 15))
    state = store.replace(state, cleared(state, time.now))
    assert store.read([GLM])[GLM] is state
    assert wire.took() == []


def test_an_environment_gives_one_lease_during_an_outage(environment: Environment, wire: Wire, time: Time) -> None:
    store = environment()
    wire.fault = REFUSED
    due = cool(store, NOW)
    time.advance(61)
    first, second = leased(due, time.now, 15), leased(due, time.now, 15)
    assert store.replace(due, first) is first
    assert store.replace(due, second) is first


def recover(store: StateStore, wire: Wire, time: Time, aside: Aside) -> None:
    wire.fault = None
    time.advance(2)
    store.read([KEY])
    aside.do()
    assert not store.degraded


def test_a_running_cooldown_is_written_back(environment: Environment, wire: Wire, time: Time, aside: Aside) -> None:
    store = environment()
    wire.fault = REFUSED
    cooling = cool(store, NOW)
    recover(store, wire, time, aside)
    assert store.read([GLM])[GLM].until == cooling.until
    assert environment().read([GLM])[GLM].until == cooling.until


def test_an_ended_cooldown_is_not_written_back(environment: Environment, wire: Wire, time: Time, aside: Aside) -> None:
    store = environment()
    wire.fault = REFUSED
    cool(store, NOW, rest=1)
    recover(store, wire, time, aside)
    assert store.read([GLM])[GLM] == healthy(GLM)
    assert environment().read([GLM])[GLM] == healthy(GLM)


@pytest.mark.parametrize(("mine", "theirs", "latest"), [(60, 30, 60), (30, 60, 60)], ids=["mine", "theirs"])
def test_the_longer_of_two_cooldowns_wins(
    environment: Environment,
    dynamodb_client: DynamoDB,
    state_table: str,
    wire: Wire,
    time: Time,
    aside: Aside,
    mine: float,
    theirs: float,
    latest: float,
) -> None:
    store = environment()
    wire.fault = REFUSED
    cool(store, NOW, rest=mine)
    wire.fault = None
    other = environment()
    cool(other, NOW, rest=theirs)
    recover(store, wire, time, aside)
    assert store.read([GLM])[GLM].until == NOW + latest
    time.advance(1)
    assert other.read([GLM])[GLM].until == NOW + latest
    assert other.read([GLM])[GLM].phase(time.now) is Phase.COOLING


def test_a_state_that_was_cleared_during_an_outage_is_probed_next(
    environment: Environment, wire: Wire, time: Time, aside: Aside
) -> None:
    store = environment()
    cooling = cool(store, NOW, rest=5)
    time.advance(6)
    wire.fault = REFUSED
    store.read([GLM])
    store.replace(cooling, cleared(cooling, time.now))
    recover(store, wire, time, aside)
    assert store.read([GLM])[GLM].phase(time.now) is Phase.DUE


def test_a_change_that_spans_the_end_of_an_outage_is_not_lost(
    environment: Environment, wire: Wire, time: Time, aside: Aside
) -> None:
    store = environment()
    due = cool(store, NOW, rest=5)
    time.advance(6)
    wire.fault = REFUSED
    held = store.replace(due, leased(due, time.now, 15))
    wire.fault = None
    time.advance(31)  # asked again by the next one who comes, and it has an answer
    assert store.read([KEY]) == {KEY: healthy(KEY)}
    assert not store.degraded
    again = failed(held, time.now)
    standing = store.replace(held, again)
    assert standing.phase(time.now) in (Phase.COOLING, Phase.DUE)
    seen = store.read([GLM])[GLM]
    assert seen == standing
    assert store.replace(seen, failed(seen, time.now)).phase(time.now) is Phase.COOLING


def test_an_equal_version_from_an_outage_overwrites_nothing(
    environment: Environment, wire: Wire, time: Time, aside: Aside
) -> None:
    store = environment()
    wire.fault = REFUSED
    mine = cool(store, NOW, rest=5)
    wire.fault = None
    theirs = cool(environment(), NOW, rest=900)
    assert (mine.version, theirs.version) == (1, 1)
    recover(store, wire, time, aside)
    assert store.replace(mine, cleared(mine, time.now)) == theirs


def test_after_a_long_pause_the_next_request_probes(
    environment: Environment, wire: Wire, time: Time, aside: Aside
) -> None:
    store = environment()
    wire.fault = REFUSED
    store.read([GLM])
    wire.fault = None
    theirs = cool(environment(), NOW, rest=900)
    time.advance(60)
    assert store.read([GLM])[GLM] == theirs
    assert aside.waiting == []


def test_one_of_many_threads_waits_for_the_timeout(environment: Environment, wire: Wire) -> None:
    store = environment()
    wire.fault = REFUSED
    go = threading.Barrier(8)

    def read() -> dict[str, State]:
        go.wait()
        return store.read([GLM])

    with ThreadPoolExecutor(8) as pool:
        states = [future.result() for future in [pool.submit(read) for _ in range(8)]]
    assert states == [{GLM: healthy(GLM)}] * 8
    assert wire.took() == ["BatchGetItem"]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def test_a_rejected_connection_is_an_outage_found_at_once(
    aws: None, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed_port}")
    store = StateStore(make_client(), "state", Clock(now=real_time.time))
    seen = store.read([GLM, GPT])[GLM]
    assert store.degraded
    assert store.replace(seen, failed(seen, NOW)).phase(NOW) is Phase.COOLING
    assert store.read([GLM])[GLM].phase(NOW) is Phase.COOLING

"""Cooldowns and leases as the whole fleet sees them."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.unit.store.fakes import NOW, Time, Wire
from tests.unit.store.hooks import hooked
from vibe_router.core.models import CooldownPolicy
from vibe_router.routing.cooldown import Phase, State, cleared, cooled, healthy, leased, released
from vibe_router.routing.verdict import Classification, Scope, Verdict
from vibe_router.store.aws_errors import ClientError
from vibe_router.store.dynamodb import DynamoDB, from_item, to_item
from vibe_router.store.routes import CatalogueCache, RoutesStore
from vibe_router.store.state import StateStore

Environment = Callable[..., StateStore]

GLM, KEY = "deployment#ark/glm-4.7", "credential#ark"
POLICY = CooldownPolicy(base=5, max=1800)


def failed(state: State, now: float = NOW, evidence: str = "503") -> State:
    return cooled(state, Classification(Verdict.TRANSIENT, Scope.DEPLOYMENT), POLICY, now, evidence=evidence)


def cool(store: StateStore, now: float = NOW, evidence: str = "503") -> State:
    seen = store.read([GLM])[GLM]
    return store.replace(seen, failed(seen, now, evidence))


def test_an_absent_state_is_healthy_and_read_once_a_second(environment: Environment, wire: Wire, time: Time) -> None:
    store = environment()
    for _ in range(4):
        assert store.read([GLM, KEY]) == {GLM: healthy(GLM), KEY: healthy(KEY)}
        time.advance(0.25)
    assert wire.took() == ["BatchGetItem"]
    store.read([KEY, GLM])
    assert wire.took() == ["Query"]


def test_only_stale_states_are_read(environment: Environment, wire: Wire, time: Time) -> None:
    store = environment()
    store.read([GLM])
    time.advance(0.5)
    store.read([GLM, KEY])
    time.advance(0.6)
    store.read([KEY])
    assert wire.took() == ["BatchGetItem"] * 2
    store.read([GLM, KEY])
    assert wire.took() == ["Query"]


def test_reading_no_ids_calls_nothing(environment: Environment, wire: Wire) -> None:
    assert environment().read([]) == {}
    assert wire.took() == []


def test_every_field_is_read_back_as_written(environment: Environment, time: Time) -> None:
    written = State(
        id=GLM,
        version=1,
        until=NOW + 5.123456,
        verdict=Verdict.RATE_LIMITED,
        strikes=3,
        since=NOW - 60.5,
        evidence="429 rate_limit_exceeded “später”",
        lease_until=0,
        expires_at=int(NOW) + 86_400,
    )
    assert environment().replace(healthy(GLM), written) is written
    assert environment().read([GLM])[GLM] == written


def test_a_write_is_visible_at_once_here_and_within_a_second_elsewhere(
    environment: Environment, wire: Wire, time: Time
) -> None:
    here, elsewhere = environment(), environment()
    elsewhere.read([GLM])
    written = cool(here)
    wire.took()
    assert here.read([GLM])[GLM] is written
    assert wire.took() == []
    assert elsewhere.read([GLM])[GLM].phase(NOW) is Phase.HEALTHY
    time.advance(1)
    assert elsewhere.read([GLM])[GLM] == written


def test_a_lost_write_returns_the_winner(environment: Environment, wire: Wire) -> None:
    winner, loser = environment(), environment()
    winner.read([GLM])
    seen = loser.read([GLM])[GLM]
    won = cool(winner, evidence="first")
    wire.took()
    assert loser.replace(seen, failed(seen, evidence="second")) == won
    assert loser.read([GLM])[GLM] == won
    assert wire.took() == ["PutItem"]


def test_a_write_that_is_already_lost_is_not_sent(environment: Environment, wire: Wire) -> None:
    store = environment()
    seen = store.read([GLM])[GLM]
    won = cool(store, evidence="first")
    wire.took()
    assert store.replace(seen, failed(seen, evidence="second")) is won
    assert wire.took() == []


def test_a_failure_from_before_the_incident_does_not_restore_it(environment: Environment, time: Time) -> None:
    slow = environment()
    seen = slow.read([GLM])[GLM]
    quick = environment()
    cooling = cool(quick)
    quick.replace(cooling, cleared(cooling, NOW + 1))
    time.advance(30)
    assert slow.replace(seen, failed(seen, time.now)).phase(time.now) is Phase.HEALTHY
    assert environment().read([GLM])[GLM].phase(time.now) is Phase.HEALTHY


@dataclass(frozen=True)
class Writer:
    """One attempt to replace the state; `won` if its own successor is current afterwards."""

    store: StateStore
    seen: State
    successor: State

    def run(self) -> tuple[State, bool]:
        stands = self.store.replace(self.seen, self.successor)
        return stands, stands is self.successor


def race(writers: list[Writer]) -> list[tuple[State, bool]]:
    """Run all in sixteen threads that start together."""
    go = threading.Barrier(16)

    def of(thread: int) -> list[tuple[State, bool]]:
        go.wait()
        return [writer.run() for writer in writers[thread::16]]

    with ThreadPoolExecutor(16) as pool:
        return [result for results in pool.map(of, range(16)) for result in results]


def test_two_hundred_concurrent_failures_write_one_cooldown(environment: Environment, time: Time) -> None:
    writers = []
    for number in range(200):
        store = environment()
        seen = store.read([GLM])[GLM]
        writers.append(Writer(store, seen, failed(seen, evidence=str(number))))
    results = race(writers)
    assert len(results) == 200
    assert sum(won for _, won in results) == 1
    standing = environment().read([GLM])[GLM]
    assert {state for state, _ in results} == {standing}
    assert (standing.version, standing.strikes, standing.until) == (1, 1, NOW + 5)


def test_exactly_one_of_many_writers_gets_the_lease(environment: Environment, time: Time) -> None:
    cool(environment())
    time.advance(5)
    writers = []
    for _ in range(64):
        store = environment()
        seen = store.read([GLM])[GLM]
        writers.append(Writer(store, seen, leased(seen, time.now, 15)))  # all say the very same
    results = race(writers)
    assert sum(won for _, won in results) == 1
    assert all(state.phase(time.now) is Phase.PROBING for state, _ in results)


def test_racing_threads_of_one_environment_get_one_lease(environment: Environment, time: Time) -> None:
    store = environment()
    seen = cool(store)
    time.advance(5)
    results = race([Writer(store, seen, leased(seen, time.now, 15)) for _ in range(32)])
    assert sum(won for _, won in results) == 1


def test_a_released_lease_can_be_taken(environment: Environment, time: Time) -> None:
    first, second = environment(), environment()
    cool(first)
    time.advance(6)
    due = second.read([GLM])[GLM]
    held = first.replace(due, leased(due, time.now, 15))
    first.replace(held, released(held))
    time.advance(1)
    due = second.read([GLM])[GLM]
    assert due.phase(time.now) is Phase.DUE
    lease = leased(due, time.now, 15)
    assert second.replace(due, lease) is lease


def test_a_write_whose_response_was_lost_is_recognized_as_won(
    dynamodb_client: DynamoDB, state_table: str, time: Time
) -> None:
    class SentTwice:
        """Sends each write twice, as the client does when the first one's answer never came."""

        def __getattr__(self, name: str) -> Any:
            return getattr(dynamodb_client, name)

        def put_item(self, **request: Any) -> Any:
            dynamodb_client.put_item(**request)
            return dynamodb_client.put_item(**request)

    store = StateStore(SentTwice(), state_table, time.clock)  # type: ignore[arg-type]  # it is one in all that counts
    written = failed(healthy(GLM))
    assert store.replace(healthy(GLM), written) is written


def test_states_are_read_in_batches(environment: Environment, wire: Wire) -> None:
    ids = [f"deployment#p/{number}" for number in range(250)]
    store = environment()
    store.replace(healthy(ids[249]), failed(healthy(ids[249])))
    wire.took()
    states = store.read([*ids, *ids])
    assert list(states) == ids
    assert states[ids[249]].phase(NOW) is Phase.COOLING
    assert wire.took() == ["BatchGetItem"] * 3


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
def test_unprocessed_keys_are_read_again(
    environment: Environment, dynamodb_client: DynamoDB, state_table: str, wire: Wire, times: int
) -> None:
    cool(environment())
    left = [times]

    def leave_one(_: str, parsed: dict[str, Any]) -> None:
        if left[0]:
            left[0] -= 1
            items = parsed["Responses"][state_table]
            parsed["Responses"][state_table] = [item for item in items if item["id"]["S"] != GLM]
            parsed["UnprocessedKeys"] = {state_table: {"Keys": [{"id": {"S": GLM}}], "ConsistentRead": True}}

    hooked(dynamodb_client).after.append(leave_one)
    wire.took()
    store = environment()
    assert store.read([KEY, GLM])[GLM].phase(NOW) is Phase.COOLING
    assert wire.took() == ["BatchGetItem"] * (times + 1)
    assert not store.degraded


def test_keys_that_stay_unprocessed_are_an_outage(
    environment: Environment, dynamodb_client: DynamoDB, state_table: str, wire: Wire
) -> None:
    def leave_all(_: str, parsed: dict[str, Any]) -> None:
        parsed["Responses"] = {}
        parsed["UnprocessedKeys"] = {state_table: {"Keys": [{"id": {"S": GLM}}]}}

    hooked(dynamodb_client).after.append(leave_all)
    store = environment()
    assert store.read([GLM]) == {GLM: healthy(GLM)}
    assert store.degraded
    assert wire.took() == ["BatchGetItem"] * 3


@pytest.mark.parametrize(
    ("text", "kept"),
    [("x" * 5000, "x" * 1000), ("a \ud800 b", "a ? b"), ("", "")],
    ids=["a long one is cut", "a lone surrogate is replaced", "none is none"],
)
def test_any_evidence_can_be_stored(environment: Environment, text: str, kept: str) -> None:
    cool(environment(), evidence=text)
    assert environment().read([GLM])[GLM].evidence == kept


CORRUPT: dict[str, dict[str, Any]] = {
    "nothing but its id": {"version": None, "until": None},
    "a version that is text": {"version": "one"},
    "a version that is text of digits": {"version": "1"},
    "a negative version": {"version": -1},
    "half a version": {"version": 1.5},
    "an end that is text": {"until": "soon"},
    "an end in milliseconds": {"until": NOW * 1000},
    "a negative end": {"until": -5},
    "an end that is a list": {"until": [1, 2]},
    "an unknown verdict": {"verdict": "bored"},
    "a verdict that is a number": {"verdict": 5},
    "true strikes": {"strikes": True},
    "half a strike": {"strikes": 1.5},
}


@pytest.mark.parametrize("spoilt", CORRUPT.values(), ids=CORRUPT)
def test_a_corrupt_item_is_healthy_logged_once_and_overwritable(
    environment: Environment,
    dynamodb_client: DynamoDB,
    state_table: str,
    time: Time,
    caplog: pytest.LogCaptureFixture,
    spoilt: dict[str, Any],
) -> None:
    cool(environment())
    item = from_item(dynamodb_client.get_item(TableName=state_table, Key={"id": {"S": GLM}})["Item"]) | spoilt
    if spoilt.get("version", 0) is None:
        item = {"id": GLM}
        item["until"] = "?"
    dynamodb_client.put_item(TableName=state_table, Item=to_item(item))
    one, two = environment(), environment()
    seen = [store.read([GLM])[GLM] for store in (one, two)]
    assert [state.phase(NOW) for state in seen] == [Phase.HEALTHY] * 2
    time.advance(1)
    assert one.read([GLM])[GLM] == seen[0]
    reported = [record.getMessage() for record in caplog.records]
    assert len(reported) == 2  # one for each environment
    assert all(GLM in line for line in reported)
    won = one.replace(seen[0], failed(seen[0], time.now))
    assert won.phase(time.now) is Phase.COOLING
    assert two.replace(seen[1], failed(seen[1], time.now, "late")) == won
    assert environment().read([GLM])[GLM] == won


def test_an_item_edited_by_hand_is_used_as_it_is(
    environment: Environment, dynamodb_client: DynamoDB, state_table: str, time: Time
) -> None:
    store = environment()
    cool(store)
    for until in (NOW + 500, 0, NOW + 2):
        dynamodb_client.update_item(
            TableName=state_table,
            Key={"id": {"S": GLM}},
            UpdateExpression="SET #until = :until",
            ExpressionAttributeNames={"#until": "until"},
            ExpressionAttributeValues={":until": {"N": str(until)}},
        )
        time.advance(1)
        assert store.read([GLM])[GLM].until == until
        assert environment().read([GLM])[GLM].until == until


def test_an_item_without_version_and_time_is_used_as_it_is(
    environment: Environment, dynamodb_client: DynamoDB, state_table: str
) -> None:
    by_hand: dict[str, Any] = {"id": GLM, "version": 1, "until": NOW + 3600, "verdict": "quota", "strikes": 1}
    dynamodb_client.put_item(TableName=state_table, Item=to_item(by_hand))
    state = environment().read([GLM])[GLM]
    assert (state.phase(NOW), state.until, state.verdict) == (Phase.COOLING, NOW + 3600, Verdict.QUOTA)


def test_an_item_that_was_deleted_is_healthy_and_can_cool_again(
    environment: Environment, dynamodb_client: DynamoDB, state_table: str, time: Time
) -> None:
    store = environment()
    cool(store)
    dynamodb_client.delete_item(TableName=state_table, Key={"id": {"S": GLM}})
    time.advance(1)
    assert store.read([GLM])[GLM] == healthy(GLM)
    assert cool(store, time.now).version == 1


def test_one_query_of_half_a_read_unit_serves_a_request_of_any_chain(
    environment: Environment, dynamodb_client: DynamoDB, wire: Wire, time: Time
) -> None:
    asked: list[Mapping[str, Any]] = []
    hooked(dynamodb_client).before.append(lambda _, parameters: asked.append(parameters))
    one, other = environment(), environment()
    chain = [f"deployment#p/{number}" for number in range(20)]
    one.read([GLM, *chain])
    cool(other)
    wire.took()
    asked.clear()
    time.advance(1)
    assert one.read([GLM, *chain])[GLM].phase(NOW) is Phase.COOLING
    assert wire.took() == ["Query"]
    assert not asked[0].get("ConsistentRead")


def test_a_late_index_does_not_undo_a_write(
    environment: Environment, dynamodb_client: DynamoDB, wire: Wire, time: Time
) -> None:
    store = environment()
    cooling = cool(store)
    wire.took()

    def late(operation: str, answer: dict[str, Any]) -> None:
        if operation == "Query":
            answer["Items"] = []

    hooked(dynamodb_client).after.append(late)
    time.advance(2)
    assert store.read([GLM])[GLM] == cooling
    assert wire.took() == ["Query", "BatchGetItem"]


def test_items_that_the_index_lacks_are_read_themselves(
    environment: Environment, dynamodb_client: DynamoDB, state_table: str, wire: Wire, time: Time
) -> None:
    by_hand: dict[str, Any] = {"id": GLM, "version": 1, "until": NOW + 3600, "verdict": "quota", "strikes": 1}
    dynamodb_client.put_item(TableName=state_table, Item=to_item(by_hand))
    store = environment()
    store.read([GLM, KEY])
    wire.took()
    time.advance(1)
    assert store.read([GLM, KEY])[GLM].phase(NOW) is Phase.COOLING
    assert wire.took() == ["BatchGetItem"]


@pytest.mark.parametrize("code", ["ValidationException", "AccessDeniedException"])
def test_without_the_index_items_are_read(
    code: str, environment: Environment, dynamodb_client: DynamoDB, wire: Wire, time: Time
) -> None:
    def refuse(operation: str, _: object) -> None:
        if operation == "Query":
            raise ClientError({"Error": {"Code": code}}, operation)

    hooked(dynamodb_client).before.append(refuse)
    store, other = environment(), environment()
    store.read([GLM])
    cool(other)
    wire.took()
    for expected in (["Query", "BatchGetItem"], ["BatchGetItem"]):
        time.advance(1)
        assert store.read([GLM])[GLM].phase(NOW) is Phase.COOLING
        assert wire.took() == expected
    assert not store.degraded


def test_many_states_are_read_by_request(
    environment: Environment, dynamodb_client: DynamoDB, wire: Wire, time: Time
) -> None:
    def grow(operation: str, answer: dict[str, Any]) -> None:
        if operation == "Query":
            answer["Items"] += [{"id": {"S": f"deployment#x/{number}"}, "version": {"N": "1"}} for number in range(101)]

    hooked(dynamodb_client).after.append(grow)
    store = environment()
    store.read([GLM])
    wire.took()
    for expected in ("Query", "BatchGetItem", "BatchGetItem"):
        time.advance(1)
        store.read([GLM])
        assert wire.took() == [expected]
    time.advance(60)
    store.read([GLM])
    assert wire.took() == ["Query"]


def test_states_and_routes_are_read_at_the_same_time(
    dynamodb_client: DynamoDB, state_table: str, routes_table: str, time: Time
) -> None:
    states = StateStore(dynamodb_client, state_table, time.clock)
    catalogue = CatalogueCache(RoutesStore(dynamodb_client, routes_table).read, time.clock)
    catalogue.get()
    states.read([GLM])
    time.advance(11)
    together = threading.Barrier(2, timeout=10)  # breaks unless one call waits for the other
    calls: list[str] = []

    def meet(operation: str, _: object) -> None:
        calls.append(operation)
        together.wait()

    hooked(dynamodb_client).before.append(meet)
    states.prefetch()
    catalogue.prefetch()
    catalogue.get()
    states.read([GLM])
    assert sorted(calls) == ["Query", "Scan"]


SKEWS = [-299.0, -60.0, -1.0, 0.0, 1.0, 60.0, 299.0]


@pytest.mark.parametrize("skew", SKEWS)
@pytest.mark.parametrize("saw_before", [True, False], ids=["saw it before", "sees it for the first time"])
def test_different_clocks_never_give_two_leases(environment: Environment, skew: float, saw_before: bool) -> None:
    holders, others = Time(), Time(NOW + skew)
    holder, other = environment(holders), environment(others)
    seen = cool(holder)
    if saw_before:
        other.read([GLM])
    for each in (holders, others):
        each.advance(6)
    held = holder.replace(seen, leased(seen, holders.now, 15))
    assert held.phase(holders.now) is Phase.PROBING
    for _ in range(29):
        for each in (holders, others):
            each.advance(0.5)
        assert other.read([GLM])[GLM].phase(others.now) is Phase.PROBING
    for each in (holders, others):
        each.advance(15.5)
    assert other.read([GLM])[GLM].phase(others.now) is Phase.DUE


@pytest.mark.parametrize("skew", SKEWS)
def test_different_clocks_give_no_negative_or_endless_cooldown(environment: Environment, skew: float) -> None:
    writers, readers = Time(), Time(NOW + skew)
    writer, reader = environment(writers), environment(readers)
    reader.read([GLM])
    for each in (writers, readers):
        each.advance(1.5)
    seen = writer.read([GLM])[GLM]
    written = writer.replace(seen, failed(seen, writers.now))  # rests 5 s
    for each in (writers, readers):
        each.advance(1)
    rest = reader.read([GLM])[GLM].until - readers.now
    assert 5 - 2.5 <= rest <= 5  # it began between the two readings
    for each in (writers, readers):
        each.advance(1)
    assert reader.read([GLM])[GLM].until == readers.now + rest - 1  # and stays what it was
    assert environment(Time(readers.now)).read([GLM])[GLM].until - readers.now <= 5
    assert writer.read([GLM])[GLM] == written


def test_a_lease_expires_when_its_holder_died(environment: Environment, time: Time) -> None:
    seen = cool(environment())
    time.advance(6)
    environment().replace(seen, leased(seen, time.now, 15))
    time.advance(3600)
    assert environment().read([GLM])[GLM].phase(time.now) is Phase.DUE


def test_the_winners_times_are_converted_to_the_losers_clock(environment: Environment) -> None:
    ahead = Time(NOW + 200)
    loser = environment()
    seen = loser.read([GLM])[GLM]
    cool(environment(ahead), ahead.now)
    assert loser.replace(seen, failed(seen)).until == NOW + 5


def test_a_successor_changes_only_its_own_fields(environment: Environment, time: Time) -> None:
    store = environment()
    cooling = cool(store)
    time.advance(7)
    again = failed(cooling, time.now)
    assert store.replace(cooling, again) is again
    standing = environment().read([GLM])[GLM]
    assert standing == replace(again, since=NOW)
    assert (standing.strikes, standing.until) == (2, NOW + 17)

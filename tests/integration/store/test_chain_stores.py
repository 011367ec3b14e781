"""Conversations and observations in the StateTable: shared by the fleet, written rarely, and never in the way."""

import pytest

from tests.unit.store.fakes import OUTAGES, Aside, Time, Wire
from vibe_router.routing.order import Observed
from vibe_router.routing.quota import QuotaWindow
from vibe_router.routing.stay import Stay
from vibe_router.store.conversations import ConversationStore
from vibe_router.store.dynamodb import DynamoDB, to_item
from vibe_router.store.observations import ObservationStore

HALF = (QuotaWindow("5h", 0.5, 1_800_000_000.0), QuotaWindow("7d", 0.25))


@pytest.fixture
def fleet(dynamodb_client: DynamoDB, state_table: str, time: Time) -> list[ObservationStore]:
    return [ObservationStore(dynamodb_client, state_table, time.clock) for _ in range(2)]


def test_a_stay_reaches_the_fleet(dynamodb_client: DynamoDB, state_table: str, time: Time) -> None:
    one, two = (ConversationStore(dynamodb_client, state_table, time.clock) for _ in range(2))
    stay = Stay("new-api/gpt-5", time.now + 300)
    assert two.read("c1") is None
    one.write("c1", stay)
    assert two.cached("c1") is None
    assert two.read("c1") == stay == two.cached("c1") == one.cached("c1")


@pytest.mark.parametrize("attributes", [{"deployment": 7}, {"until": "soon"}, {}, {"deployment": None, "until": -1}])
def test_a_stay_that_was_edited_by_hand_is_ignored(
    dynamodb_client: DynamoDB, state_table: str, time: Time, attributes: dict[str, object]
) -> None:
    item = to_item({"id": "conversation#c1", **attributes})  # type: ignore[dict-item]
    dynamodb_client.put_item(TableName=state_table, Item=item)
    found = ConversationStore(dynamodb_client, state_table, time.clock).read("c1")
    assert found is None or found.until <= time.now


def test_observations_reach_the_fleet(fleet: list[ObservationStore], time: Time) -> None:
    one, two = fleet
    one.record("a/m", HALF, ((time.now, 0.5),))
    found = two.read(["a/m", "b/m"])
    assert found["a/m"] == Observed(HALF, ((time.now, 0.5),), time.now)
    assert found["b/m"] == Observed()


def test_the_fleet_writes_once_in_ten_seconds(
    fleet: list[ObservationStore], dynamodb_client: DynamoDB, state_table: str, time: Time
) -> None:
    one, two = fleet

    def written_at() -> float:
        [item] = dynamodb_client.scan(TableName=state_table)["Items"]
        return float(item["written_at"]["N"])

    start = time.now
    one.record("a/m", HALF, ((start, 0.5),))
    for _ in range(9):
        time.now += 1
        one.record("a/m", (), ((time.now, 1.0),))
        two.record("a/m", (), ((time.now, 2.0),))
        assert written_at() == start
    time.now += 2
    two.read(["a/m"])
    two.record("a/m")
    assert written_at() == time.now
    one.record("a/m")
    assert written_at() == time.now
    assert {seconds for _, seconds in two.read(["a/m"])["a/m"].first_tokens} == {0.5, 2.0}
    assert {seconds for _, seconds in one.read(["a/m"])["a/m"].first_tokens} >= {0.5, 1.0}
    assert two.read(["a/m"])["a/m"].windows == HALF, "what is not observed anew stays"


@pytest.mark.parametrize(
    "attributes",
    [{"windows": "x"}, {"windows": [{"used": 7}]}, {"first_tokens": [[1]]}, {"written_at": "x"}, {"windows": [1]}],
)
def test_observations_that_were_edited_by_hand_are_none(
    fleet: list[ObservationStore], dynamodb_client: DynamoDB, state_table: str, attributes: dict[str, object]
) -> None:
    item = to_item({"id": "observed#a/m", **attributes})  # type: ignore[dict-item]
    dynamodb_client.put_item(TableName=state_table, Item=item)
    assert fleet[0].read(["a/m"])["a/m"] == Observed()


def test_without_the_table_there_is_what_the_environment_knows(dynamodb_client: DynamoDB, time: Time) -> None:
    conversations = ConversationStore(dynamodb_client, "no-such-table", time.clock)
    conversations.write("c1", Stay("a/m", time.now + 300))
    assert conversations.read("c1") == Stay("a/m", time.now + 300)
    observations = ObservationStore(dynamodb_client, "no-such-table", time.clock)
    observations.record("a/m", HALF)
    assert observations.read(["a/m"])["a/m"].windows == HALF


def test_writes_continue_after_an_outage_without_reads(dynamodb_client: DynamoDB, state_table: str, time: Time) -> None:
    aside, wire = Aside(), Wire(dynamodb_client)
    conversations = ConversationStore(dynamodb_client, state_table, time.clock, spawn=aside)
    observations = ObservationStore(dynamodb_client, state_table, time.clock, spawn=aside)
    stay = Stay("a/m", time.now + 300)
    wire.fault = OUTAGES["throttled"]
    conversations.write("c1", stay)
    observations.record("a/m", HALF)
    assert wire.took() == ["PutItem"] * 2
    time.advance(1)
    conversations.write("c1", stay)
    observations.record("a/m", HALF)
    assert (wire.took(), aside.waiting) == ([], []), "an outage that is known costs no call"
    wire.fault = None
    time.advance(10)
    conversations.write("c1", stay)
    observations.record("a/m", HALF)
    assert wire.took() == [], "a probe delays nobody"
    aside.do()
    conversations.write("c2", stay)
    assert wire.took() == ["PutItem"] * 3
    other = ConversationStore(dynamodb_client, state_table, time.clock)
    assert [other.read(each) for each in ("c1", "c2")] == [stay, stay]
    assert ObservationStore(dynamodb_client, state_table, time.clock).read(["a/m"])["a/m"].windows == HALF

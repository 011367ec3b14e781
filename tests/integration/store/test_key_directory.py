"""The callers of keys, against DynamoDB: the number of reads, and callers while it is unreachable."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.store.fakes import NOW, OUTAGES, Aside, Time, Wire
from vibe_router.access.keys import Caller, Key, KeyOwner, Limits, ModelBudget, Team
from vibe_router.store.dynamodb import DynamoDB, Item, from_item, to_item
from vibe_router.store.key_records import key_record, team_record, user_record
from vibe_router.store.keys import KeyDirectory, KeysUnavailableError

KEY = Key("a1", "a1", "sk-...abcd", models=("auto-*",), limits=Limits(max_budget=5), version=1)
MEMBER = replace(KEY, team_id="blue")
BLUE = Team("blue", limits=Limits(rpm=3))
GREEN = Team("green")


class Seen(dict[str, dict[str, Any] | None]):
    """The ledgers that were passed on."""

    def __call__(self, ledger_id: str, item: Item | None) -> None:
        self[ledger_id] = item and from_item(item)


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def directory(
    dynamodb_client: DynamoDB, keys_table: str, ledger_table: str, time: Time, aside: Aside, seen: Seen
) -> KeyDirectory:
    return KeyDirectory(dynamodb_client, keys_table, ledger_table, time.clock, on_ledger_read=seen, spawn=aside)


@pytest.fixture
def put(dynamodb_client: DynamoDB, keys_table: str) -> Callable[..., None]:
    def put(*holders: Key | Team | dict[str, Any]) -> None:
        for each in holders:
            values = key_record(each) if isinstance(each, Key) else each
            values = team_record(values) if isinstance(values, Team) else values
            dynamodb_client.put_item(TableName=keys_table, Item=to_item(values))

    return put


def test_a_key_is_read_once_in_ten_seconds(directory: KeyDirectory, wire: Wire, time: Time, put: Any) -> None:
    put(KEY)
    wire.took()
    for _ in range(3):
        assert directory.find("a1") == Caller(KEY)
        time.advance(3)
    assert wire.took() == ["BatchGetItem"]
    time.advance(1)
    assert directory.find("a1") == Caller(KEY)
    assert wire.took() == ["BatchGetItem"]


def test_an_invalid_key_is_read_once_in_ten_seconds(directory: KeyDirectory, wire: Wire, time: Time, put: Any) -> None:
    for _ in range(3):
        assert directory.find("a1") is None
    assert wire.took() == ["BatchGetItem"]
    put(KEY)
    time.advance(10)
    assert directory.find("a1") == Caller(KEY), "a key that was made is known within ten seconds"


@pytest.mark.parametrize(
    "after",
    [replace(KEY, blocked=True), replace(KEY, deleted_at=NOW), replace(KEY, expires=NOW), replace(KEY, models=("b",))],
    ids=["blocked", "deleted", "expired", "for other models"],
)
def test_a_changed_key_takes_effect_within_ten_seconds(
    after: Key, directory: KeyDirectory, time: Time, put: Any
) -> None:
    put(KEY)
    assert directory.find("a1") == Caller(KEY)
    put(after)
    time.advance(9.9)
    assert directory.find("a1") == Caller(KEY)
    time.advance(0.1)
    assert directory.find("a1") == Caller(after)


def test_a_removed_key_becomes_invalid(
    directory: KeyDirectory, time: Time, put: Any, dynamodb_client: DynamoDB, keys_table: str
) -> None:
    put(KEY)
    assert directory.find("a1")
    dynamodb_client.delete_item(TableName=keys_table, Key={"id": {"S": "key#a1"}})
    time.advance(10)
    assert directory.find("a1") is None


def test_only_a_new_team_takes_a_second_read(directory: KeyDirectory, wire: Wire, time: Time, put: Any) -> None:
    put(MEMBER, BLUE, GREEN)
    wire.took()
    assert directory.find("a1") == Caller(MEMBER, BLUE)
    assert wire.took() == ["BatchGetItem", "BatchGetItem"]
    time.advance(10)
    assert directory.find("a1") == Caller(MEMBER, BLUE)
    assert wire.took() == ["BatchGetItem"]
    put(replace(MEMBER, team_id="green"), replace(BLUE, blocked=True))
    time.advance(10)
    assert directory.find("a1") == Caller(replace(MEMBER, team_id="green"), GREEN)


def test_a_changed_team_takes_effect_within_ten_seconds(directory: KeyDirectory, time: Time, put: Any) -> None:
    put(MEMBER, BLUE)
    directory.find("a1")
    put(replace(BLUE, blocked=True))
    time.advance(10)
    assert directory.find("a1") == Caller(MEMBER, replace(BLUE, blocked=True))


def test_a_missing_team_is_read_as_none(directory: KeyDirectory, put: Any) -> None:
    put(MEMBER)
    assert directory.find("a1") == Caller(MEMBER)


def test_a_user_with_limits_is_read_with_the_key(
    directory: KeyDirectory, wire: Wire, time: Time, put: Any, seen: Seen
) -> None:
    ann = KeyOwner("ann#1", models=("auto-chat",), limits=Limits(max_budget=3, models=(ModelBudget("auto-chat", 2),)))
    key = replace(MEMBER, user_id="ann#1", user_limited=True)
    put(key, BLUE, user_record(ann), replace(KEY, hash="b2", user_id="ann#1"))
    wire.took()
    assert directory.find("a1") == Caller(key, BLUE, ann)
    assert wire.took() == ["BatchGetItem", "BatchGetItem"]
    time.advance(10)
    assert directory.find("a1") == Caller(key, BLUE, ann)
    assert wire.took() == ["BatchGetItem"]
    assert seen.keys() == {"key#a1", "team#blue", "user#ann%231", "user#ann%231#auto-chat"}
    assert directory.find("b2") == Caller(replace(KEY, hash="b2", user_id="ann#1")), "its user has no limits"
    assert wire.took() == ["BatchGetItem"]
    token = Key("", "oidc:ann", user_id="ann#1", user_limited=True)
    assert directory.with_team(token) == Caller(token, None, ann)
    put({**user_record(ann), "max_budget": "many"})
    time.advance(10)
    assert directory.find("a1") is None, "its limits are unknown"
    caller = directory.with_team(token)
    assert caller.key
    assert caller.key.blocked


def test_a_key_that_is_stored_nowhere_has_its_team(
    directory: KeyDirectory, wire: Wire, time: Time, put: Any, seen: Seen
) -> None:
    put(BLUE)
    wire.took()
    token = Key("", "oidc:ann@example.com", team_id="blue", limits=Limits(rpm=1))
    for _ in range(2):
        assert directory.with_team(token) == Caller(token, BLUE)
    assert wire.took() == ["BatchGetItem"]
    assert seen.keys() == {"key#oidc:ann@example.com", "team#blue"}
    put(replace(BLUE, blocked=True))
    time.advance(10)
    changed = replace(token, limits=Limits())
    assert directory.with_team(changed) == Caller(changed, replace(BLUE, blocked=True))
    assert directory.with_team(replace(token, team_id="nowhere")).team is None
    assert directory.with_team(replace(token, team_id=None)) == Caller(replace(token, team_id=None))


def test_ledgers_are_read_along_with_key_and_team(
    directory: KeyDirectory,
    time: Time,
    put: Any,
    seen: Seen,
    dynamodb_client: DynamoDB,
    ledger_table: str,
) -> None:
    put(replace(MEMBER, key_id="first"), BLUE)
    dynamodb_client.put_item(TableName=ledger_table, Item=to_item({"id": "key#first", "spent": 7}))
    directory.find("a1")
    assert seen == {"key#a1": None, "team#blue": None}
    time.advance(10)
    directory.find("a1")
    assert seen["key#first"] == {"id": "key#first", "spent": 7}, "under the id that survives regeneration"


@pytest.mark.parametrize(
    "values",
    [{"id": "key#a1", "blocked": "maybe"}, {"id": "key#a1", "max_budget": 0.5}],
    ids=["a flag that is none", "part of a nano-dollar"],
)
def test_a_corrupt_record_is_rejected(
    values: dict[str, Any], directory: KeyDirectory, wire: Wire, put: Any, caplog: pytest.LogCaptureFixture
) -> None:
    put(values)
    wire.took()
    with caplog.at_level("WARNING", "vibe_router.store.keys"):
        assert directory.find("a1") is None
        assert directory.find("a1") is None
    assert wire.took() == ["BatchGetItem"]


@pytest.mark.parametrize("fault", OUTAGES.values(), ids=OUTAGES)
def test_cached_keys_stay_valid_during_an_outage_and_others_get_a_503(
    fault: Exception, directory: KeyDirectory, wire: Wire, time: Time, put: Any, aside: Aside
) -> None:
    put(KEY)
    directory.find("a1")
    directory.find("nobody")
    time.advance(10)
    wire.took()
    wire.fault = fault
    assert directory.find("a1") == Caller(KEY)
    for each in ("b2", "nobody"):
        with pytest.raises(KeysUnavailableError):
            directory.find(each)
    assert wire.took() == ["BatchGetItem"], "its caller alone has waited"
    time.advance(3)
    assert directory.find("a1") == Caller(KEY)
    assert wire.took() == [], "nobody waits"
    put_back = replace(KEY, blocked=True)
    wire.fault = None
    put(put_back)
    aside.do()
    assert directory.find("a1") == Caller(put_back)
    assert directory.find("b2") is None


def test_an_uncached_key_is_looked_up_once_the_outage_ends(
    directory: KeyDirectory, wire: Wire, time: Time, put: Any
) -> None:
    wire.fault = OUTAGES["refused"]
    with pytest.raises(KeysUnavailableError):
        directory.find("a1")
    wire.fault = None
    put(KEY)
    time.advance(3)
    assert directory.find("a1") == Caller(KEY)


def test_guessed_keys_evict_no_valid_key(
    directory: KeyDirectory, wire: Wire, put: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vibe_router.store.keys.MAX_KEYS", 2)
    monkeypatch.setattr("vibe_router.store.keys.MAX_INVALID", 2)
    put(KEY, Key("b2", "b2"), Key("c3", "c3"))
    for each in ("a1", "b2", "x", "y", "z"):
        directory.find(each)
    wire.took()
    for each in ("a1", "b2", "y", "z"):
        directory.find(each)
    assert wire.took() == []
    directory.find("x")
    directory.find("c3")
    assert wire.took() == ["BatchGetItem", "BatchGetItem"]

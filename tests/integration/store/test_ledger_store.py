"""Reservations and settlements against DynamoDB: the calls they take, and the ledgers they leave."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, assume, example, given, settings

from tests.unit.access.ledgers import changes, ledgers
from tests.unit.store.fakes import NOW, OUTAGES, Aside, Time, Wire
from tests.unit.store.hooks import hooked
from vibe_router.access.keys import Limits
from vibe_router.access.ledger import (
    Hold,
    Ledger,
    LedgerUpdate,
    Limit,
    ReservationRequest,
    apply_update,
    plan_charge,
)
from vibe_router.store.aws_errors import ClientError, ReadTimeoutError
from vibe_router.store.dynamodb import DynamoDB, to_item
from vibe_router.store.ledger import (
    LedgerBusyError,
    LedgerStore,
    LimitReachedError,
    Reservation,
    ReservationRejectedError,
)
from vibe_router.store.ledger_table import LedgerTable, parse_ledger

KEY, TEAM = "key#a", "team#blue"
ALL = Limits(max_budget=1_000, budget_duration="30d", rpm=10, tpm=1_000, parallel=3)
WANTED = ReservationRequest(cost=100, tokens=50, until=NOW + 900)

Store = Callable[[], LedgerStore]


@pytest.fixture
def store(dynamodb_client: DynamoDB, ledger_table: str, time: Time, aside: Aside) -> Store:
    """Create the store of another environment."""
    return lambda: LedgerStore(dynamodb_client, ledger_table, time.clock, spawn=aside)


@pytest.fixture
def read_ledger(dynamodb_client: DynamoDB, ledger_table: str) -> Callable[[str], Ledger]:
    def read(ledger_id: str) -> Ledger:
        return parse_ledger(dynamodb_client.get_item(TableName=ledger_table, Key={"id": {"S": ledger_id}}).get("Item"))

    return read


@pytest.fixture
def settle(dynamodb_client: DynamoDB, ledger_table: str) -> Callable[..., None]:
    """Settle a reservation as booking does, and charge the ledgers without a hold as the aggregator does."""

    def settle(store: LedgerStore, reservation: Reservation, cost: int, tokens: int | None = 0) -> None:
        if settlement := store.settlement(reservation, cost, tokens):
            settlement.settle()
        if charges := dict.fromkeys(reservation.unheld, plan_charge(cost)):
            items = LedgerTable(dynamodb_client, ledger_table).items(charges)
            dynamodb_client.transact_write_items(TransactItems=items)

    return settle


def put(client: DynamoDB, table: str, ledger_id: str, **values: Any) -> None:
    client.put_item(TableName=table, Item=to_item({"id": ledger_id, **values}))


def test_each_reservation_is_one_write(store: Store, wire: Wire, read_ledger: Any, time: Time) -> None:
    one = store()
    first = one.reserve({KEY: ALL}, WANTED)
    assert wire.took() == ["UpdateItem"]
    time.advance(1)
    second = one.reserve({KEY: ALL}, WANTED)
    assert wire.took() == ["UpdateItem"]
    ledger = read_ledger(KEY)
    assert ledger == Ledger(
        committed=200,
        period_ends=NOW + 30 * 86_400,
        window_ends=NOW + 60,
        requests_used=2,
        tokens_used=100,
        holds={each.hold_id: Hold(100, 50, NOW + 900) for each in (first, second)},
    )
    assert second.held == {KEY: ledger}


def test_key_and_team_are_reserved_in_one_transaction(store: Store, wire: Wire, read_ledger: Any) -> None:
    one = store()
    for _ in range(2):
        reservation = one.reserve({KEY: ALL, TEAM: ALL}, WANTED)
        assert wire.took() == ["TransactWriteItems"]
    assert read_ledger(KEY) == read_ledger(TEAM) == reservation.held[KEY]
    assert read_ledger(KEY).requests_used == 2


def test_a_budget_of_a_model_holds_against_other_environments(store: Store, read_ledger: Any) -> None:
    """Each has its own copy of the ledgers, so all but the first plan from an outdated one."""
    ledgers = {KEY: Limits(rpm=100), f"{KEY}#auto-codex": Limits(max_budget=450, budget_duration="1d")}
    environments = [store() for _ in range(6)]
    refused = []
    for one in environments:
        try:
            one.reserve(ledgers, WANTED)
        except LimitReachedError as error:
            refused.append((error.ledger_id, error.denial.limit))
    assert refused == [(f"{KEY}#auto-codex", Limit.BUDGET)] * 2
    assert read_ledger(f"{KEY}#auto-codex").committed == 400
    assert read_ledger(KEY).requests_used == 4


def test_a_ledger_that_was_never_seen_is_read_once(store: Store, wire: Wire) -> None:
    one, other = store(), store()
    other.reserve({KEY: ALL}, WANTED)
    wire.took()
    assert one.last_seen([KEY, TEAM])[KEY].committed == 100
    assert wire.took() == ["BatchGetItem"]
    assert not one.last_seen([KEY, TEAM])[TEAM].exists
    assert wire.took() == []


@pytest.mark.parametrize(
    "ledgers", [{}, {KEY: Limits()}, {KEY: Limits(), TEAM: Limits()}], ids=["master", "key", "team"]
)
def test_a_reservation_without_limits_writes_nothing(ledgers: dict[str, Limits], store: Store, wire: Wire) -> None:
    assert store().reserve(ledgers, WANTED).held == {}
    assert wire.took() == []


def test_only_limited_ledgers_are_reserved(store: Store, wire: Wire, read_ledger: Any, settle: Any) -> None:
    one = store()
    reservation = one.reserve({KEY: Limits(), TEAM: ALL}, WANTED)
    assert wire.took() == ["UpdateItem"]
    settle(one, reservation, 70, 40)
    assert wire.took() == ["UpdateItem", "TransactWriteItems"]
    assert (read_ledger(KEY).spent, read_ledger(KEY).committed, read_ledger(KEY).total) == (70, 70, 70)
    assert (read_ledger(TEAM).spent, read_ledger(TEAM).committed, read_ledger(TEAM).total) == (70, 70, 70)
    assert (read_ledger(TEAM).tokens_used, read_ledger(TEAM).holds) == (40, {})


def test_a_failed_write_returns_the_current_ledger(store: Store, wire: Wire) -> None:
    one, other = store(), store()
    one.reserve({KEY: ALL}, WANTED)
    wire.took()
    assert other.reserve({KEY: ALL}, WANTED).held[KEY].requests_used == 2
    assert wire.took() == ["UpdateItem", "UpdateItem"]


def test_a_failed_write_without_the_current_ledger_is_followed_by_a_read(
    store: Store, wire: Wire, time: Time, dynamodb_client: DynamoDB
) -> None:
    def silent(_: str, error: ClientError) -> None:
        cast("dict[str, Any]", error.response).pop("Item", None)

    one, other = store(), store()
    one.reserve({KEY: ALL}, WANTED)
    wire.took()
    hooked(dynamodb_client).errors.append(silent)
    assert other.reserve({KEY: ALL}, WANTED).held[KEY].requests_used == 2
    assert wire.took() == ["UpdateItem", "BatchGetItem", "UpdateItem"]


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        pytest.param(Limits(max_budget=250), Limit.BUDGET, id="budget"),
        pytest.param(Limits(rpm=2), Limit.REQUESTS, id="requests"),
        pytest.param(Limits(tpm=120), Limit.TOKENS, id="tokens"),
        pytest.param(Limits(parallel=2), Limit.PARALLEL, id="parallel"),
    ],
)
@pytest.mark.parametrize("ids", [[KEY], [KEY, TEAM]], ids=["key", "key and team"])
def test_a_request_over_a_limit_is_rejected_and_writes_nothing(
    limits: Limits, limit: Limit, ids: list[str], store: Store, read_ledger: Any
) -> None:
    asked = {each: limits if each == ids[-1] else ALL for each in ids}
    one, other = store(), store()
    one.reserve(asked, WANTED)
    one.reserve(asked, WANTED)
    before = [read_ledger(each) for each in ids]
    for each in (one, other):
        with pytest.raises(LimitReachedError) as rejected:
            each.reserve(asked, WANTED)
        assert (rejected.value.ledger_id, rejected.value.denial.limit) == (ids[-1], limit)
    assert [read_ledger(each) for each in ids] == before


def test_an_exhausted_rate_window_is_rejected_from_memory(store: Store, wire: Wire, time: Time) -> None:
    one = store()
    limits = {KEY: Limits(rpm=1)}
    one.reserve(limits, WANTED)
    wire.took()
    with pytest.raises(LimitReachedError) as rejected:
        one.reserve(limits, WANTED)
    assert rejected.value.denial.retry_after == 60
    assert wire.took() == []
    time.advance(60)
    assert one.reserve(limits, WANTED).held[KEY].requests_used == 1
    assert wire.took() == ["UpdateItem"]


def test_a_budget_is_rejected_only_after_a_fresh_read(store: Store, wire: Wire, settle: Any) -> None:
    one, other = store(), store()
    limits = {KEY: Limits(max_budget=150)}
    reservation = one.reserve(limits, WANTED)
    with pytest.raises(LimitReachedError):
        other.reserve(limits, WANTED)
    settle(one, reservation, 10)
    wire.took()
    assert other.reserve(limits, WANTED).held[KEY].committed == 110
    assert wire.took() == ["BatchGetItem", "UpdateItem"]


def test_a_slot_that_is_about_to_be_released_is_awaited(store: Store, time: Time, settle: Any) -> None:
    one, other = store(), store()
    limits = {KEY: Limits(parallel=1)}
    reservation = one.reserve(limits, WANTED)
    sleeps: list[float] = []

    def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        time.advance(seconds)
        if len(sleeps) == 2:
            settle(one, reservation, 10)

    object.__setattr__(time.clock, "sleep", sleep)
    assert len(other.reserve(limits, WANTED).held[KEY].holds) == 1
    assert len(sleeps) == 2
    with pytest.raises(LimitReachedError):
        one.reserve(limits, WANTED)
    assert sum(sleeps[2:]) == pytest.approx(0.3)


def test_expired_holds_are_removed_by_the_next_request(store: Store, wire: Wire, time: Time) -> None:
    dead, other = store(), store()
    limits = {KEY: Limits(max_budget=150, parallel=1)}
    dead.reserve(limits, WANTED)
    with pytest.raises(LimitReachedError):
        other.reserve(limits, WANTED)
    time.now = WANTED.until
    wire.took()
    ledger = other.reserve(limits, ReservationRequest(100, 50, time.now + 900)).held[KEY]
    assert (ledger.committed, len(ledger.holds)) == (100, 1)
    assert wire.took() == ["UpdateItem"]


def test_a_request_whose_hold_was_removed_is_still_charged(
    store: Store, time: Time, read_ledger: Any, settle: Any
) -> None:
    late, other = store(), store()
    limits = {KEY: ALL, TEAM: ALL}
    reservation = late.reserve(limits, WANTED)
    time.now = WANTED.until
    other.reserve(limits, ReservationRequest(100, 50, time.now + 900))
    settle(late, reservation, 70, 10)
    for each in (KEY, TEAM):
        assert (read_ledger(each).committed, read_ledger(each).spent, read_ledger(each).total) == (170, 70, 70)
        assert (len(read_ledger(each).holds), read_ledger(each).tokens_used) == (1, 50)


@pytest.mark.parametrize("ids", [[KEY], [KEY, TEAM]], ids=["key", "key and team"])
def test_a_settlement_whose_answers_were_lost_charges_once(
    ids: list[str], store: Store, wire: Wire, time: Time, read_ledger: Any, dynamodb_client: DynamoDB
) -> None:
    def lost(*_: object) -> None:
        raise ReadTimeoutError("http://127.0.0.1:9")

    one, other = store(), store()
    reservation = one.reserve(dict.fromkeys(ids, ALL), WANTED)
    settlement = one.settlement(reservation, 30, 20)
    assert settlement
    hooked(dynamodb_client).after.append(lost)
    with pytest.raises(ReadTimeoutError):
        settlement.settle()
    with suppress(ReadTimeoutError):  # of the team, where there is one
        settlement.settle()
    hooked(dynamodb_client).after.remove(lost)
    time.now = WANTED.until  # long enough for the hold to be swept, if there was one
    other.reserve(dict.fromkeys(ids, ALL), replace(WANTED, until=time.now + 900))
    for _ in range(2):
        settlement.settle()
    for each in ids:
        assert (read_ledger(each).spent, read_ledger(each).total, read_ledger(each).swept) == (30, 30, {})
    wire.took()
    settlement.settle()
    assert wire.took() == [], "it remembers what is done"


def test_a_settlement_from_the_log_charges_what_no_environment_has(store: Store, time: Time, read_ledger: Any) -> None:
    dead = store()
    first, second = (dead.reserve({KEY: ALL, TEAM: ALL}, WANTED) for _ in range(2))
    for _ in range(2):
        store().late_settlement(first.hold_id, [KEY, TEAM], 40).settle()
    assert (read_ledger(KEY).spent, read_ledger(TEAM).spent, len(read_ledger(KEY).holds)) == (40, 40, 1)
    time.now = WANTED.until
    store().reserve({KEY: ALL, TEAM: ALL}, replace(WANTED, until=time.now + 900))
    assert read_ledger(KEY).swept == read_ledger(TEAM).swept == {second.hold_id: time.now}
    for _ in range(2):
        store().late_settlement(second.hold_id, [KEY, TEAM], 40).settle()
    assert (read_ledger(KEY).spent, read_ledger(TEAM).spent, read_ledger(KEY).swept) == (80, 80, {})


def test_a_settlement_charges_the_cost_once_and_corrects_the_tokens(
    store: Store, read_ledger: Any, settle: Any
) -> None:
    one = store()
    reservation = one.reserve({KEY: ALL}, WANTED)
    settle(one, reservation, 30, 20)
    ledger = read_ledger(KEY)
    assert (ledger.committed, ledger.spent, ledger.total) == (30, 30, 30)
    assert (ledger.requests_used, ledger.tokens_used, ledger.holds) == (1, 20, {})


def test_tokens_are_not_corrected_after_their_window_ended(
    store: Store, time: Time, read_ledger: Any, settle: Any
) -> None:
    one, other = store(), store()
    reservation = one.reserve({KEY: ALL}, WANTED)
    time.advance(61)
    other.reserve({KEY: ALL}, WANTED)
    settle(one, reservation, 30, 20)
    assert (read_ledger(KEY).tokens_used, read_ledger(KEY).committed) == (50, 130)


def test_a_new_budget_period_carries_over_reservations(store: Store, time: Time, read_ledger: Any, settle: Any) -> None:
    one = store()
    limits = {KEY: Limits(max_budget=200, budget_duration="1h")}
    settle(one, one.reserve(limits, WANTED), 150)
    with pytest.raises(LimitReachedError) as rejected:
        one.reserve(limits, WANTED)
    assert rejected.value.denial.retry_after == 3_600
    time.advance(3_599)
    under_way = one.reserve(limits, ReservationRequest(50, 0, time.now + 900))
    time.advance(2 * 3_600 + 1)
    later = store().reserve(limits, ReservationRequest(100, 0, time.now + 900))
    assert later.held[KEY].period_ends == NOW + 4 * 3_600
    settle(one, under_way, 60)
    settle(one, later, 10)
    assert (read_ledger(KEY).committed, read_ledger(KEY).spent, read_ledger(KEY).total) == (70, 70, 220)


def test_a_key_without_limits_counts_spending_by_period(
    store: Store, time: Time, read_ledger: Any, settle: Any
) -> None:
    limits = {KEY: Limits(budget_duration="1h")}
    one, other = store(), store()
    for each in (one, other, one):
        settle(each, each.reserve(limits, WANTED), 10)
    assert (read_ledger(KEY).spent, read_ledger(KEY).total, read_ledger(KEY).period_ends) == (30, 30, NOW + 3_600)
    time.advance(3_600)
    for each in (one, other):
        settle(each, each.reserve(limits, WANTED), 10)
    assert (read_ledger(KEY).spent, read_ledger(KEY).total, read_ledger(KEY).period_ends) == (20, 50, NOW + 7_200)


def test_a_ledger_created_by_spending_can_be_limited_later(store: Store, read_ledger: Any, settle: Any) -> None:
    one = store()
    settle(one, one.reserve({KEY: Limits()}, WANTED), 10)
    settle(one, one.reserve({KEY: Limits()}, WANTED), 10)
    assert store().reserve({KEY: ALL}, WANTED).held[KEY].committed == 120


def test_a_ledger_that_lacks_attributes_is_filled_in(
    store: Store, dynamodb_client: DynamoDB, ledger_table: str, read_ledger: Any
) -> None:
    put(dynamodb_client, ledger_table, KEY, spent=5, committed=5)
    assert store().reserve({KEY: ALL}, WANTED).held[KEY].committed == 105
    assert read_ledger(KEY).requests_used == 1


@pytest.mark.parametrize(
    "values",
    [{"committed": "much"}, {"spent": 0.5}, {"held": {"x": [1]}}, {"held": "none"}, {"held": {"x": [1, 2, "soon"]}}],
    ids=["text", "part of a nano-dollar", "half a hold", "no holds", "a hold until soon"],
)
def test_a_corrupt_ledger_refuses_no_request(
    values: dict[str, Any], store: Store, dynamodb_client: DynamoDB, ledger_table: str
) -> None:
    put(dynamodb_client, ledger_table, KEY, **values)
    assert store().reserve({KEY: ALL}, WANTED).held == {}


@pytest.mark.parametrize("fault", OUTAGES.values(), ids=OUTAGES)
def test_requests_proceed_during_an_outage_after_one_wait(
    fault: Exception, store: Store, wire: Wire, time: Time, aside: Aside
) -> None:
    one = store()
    one.reserve({KEY: ALL}, WANTED)
    wire.took()
    wire.fault = fault
    for _ in range(3):
        assert one.reserve({KEY: ALL}, WANTED).held == {}
    assert wire.took() == ["UpdateItem"]
    time.advance(3)
    assert one.reserve({KEY: ALL}, WANTED).held == {}
    wire.fault = None
    assert one.degraded
    aside.do()
    assert wire.took() == ["BatchGetItem"]
    assert one.reserve({KEY: ALL}, WANTED).held[KEY].requests_used == 2


def test_spending_without_a_reservation_is_charged(store: Store, wire: Wire, read_ledger: Any, settle: Any) -> None:
    one = store()
    wire.fault = OUTAGES["refused"]
    reservation = one.reserve({KEY: ALL, TEAM: ALL}, WANTED)
    wire.fault = None
    settle(one, reservation, 30, 20)
    for each in (KEY, TEAM):
        assert (read_ledger(each).committed, read_ledger(each).spent, read_ledger(each).total) == (30, 30, 30)


@pytest.mark.parametrize("ids", [[KEY], [KEY, TEAM]], ids=["key", "key and team"])
def test_an_unconfirmed_reservation_is_released(
    ids: list[str], store: Store, read_ledger: Any, settle: Any, dynamodb_client: DynamoDB
) -> None:
    def lost(*_: object) -> None:
        raise ReadTimeoutError("http://127.0.0.1:9")

    one = store()
    hooked(dynamodb_client).after.append(lost)
    reservation = one.reserve(dict.fromkeys(ids, ALL), WANTED)
    hooked(dynamodb_client).after.remove(lost)
    assert reservation.held == {}
    assert [len(read_ledger(each).holds) for each in ids] == [1] * len(ids)
    settle(one, reservation, 30, 20)
    for each in ids:
        assert (read_ledger(each).holds, read_ledger(each).committed, read_ledger(each).spent) == ({}, 30, 30)


def conflict(operation: str) -> ClientError:
    if operation == "UpdateItem":
        return ClientError({"Error": {"Code": "TransactionConflictException"}}, operation)
    reasons: list[Any] = [{"Code": "None"}, {"Code": "TransactionConflict"}]
    return ClientError({"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}, operation)


@pytest.mark.parametrize(
    ("ids", "operation"), [([KEY], "UpdateItem"), ([KEY, TEAM], "TransactWriteItems")], ids=["key", "key and team"]
)
def test_a_transaction_conflict_is_retried(ids: list[str], operation: str, store: Store, wire: Wire) -> None:
    wire.faults = [conflict(operation)] * 3
    reservation = store().reserve(dict.fromkeys(ids, ALL), WANTED)
    assert set(reservation.held) == set(ids)
    assert wire.took() == [operation] * 4


def test_retries_of_conflicts_are_bounded(store: Store, wire: Wire, time: Time) -> None:
    one = store()
    wire.fault = conflict("UpdateItem")
    with pytest.raises(LedgerBusyError):
        one.reserve({KEY: ALL}, WANTED)
    assert time.now - NOW < 3
    assert not one.degraded


def test_a_write_whose_response_was_lost_counts_once(
    read_ledger: Any, dynamodb_client: Any, ledger_table: str, time: Time
) -> None:
    update = dynamodb_client.update_item

    class Lossy:
        """A client whose answers to updates get lost, so that it sends them again."""

        def __getattr__(self, name: str) -> Any:
            return getattr(dynamodb_client, name)

        def update_item(self, **given: Any) -> Any:
            update(**given)
            return update(**given)

    LedgerStore(dynamodb_client, ledger_table, time.clock).reserve({KEY: ALL}, WANTED)
    one = LedgerStore(cast("DynamoDB", Lossy()), ledger_table, time.clock)
    reservation = one.reserve({KEY: ALL}, WANTED)
    assert read_ledger(KEY).requests_used == 2
    assert reservation.held[KEY] == read_ledger(KEY)


@settings(suppress_health_check=list(HealthCheck))
@given(ledger=ledgers, change=changes)
@example(ledger=Ledger(exists=False), change=LedgerUpdate(fill=True))
@example(ledger=Ledger(), change=LedgerUpdate(take=("x", Hold(1, 2, 3)), slots=0))
def test_dynamodb_applies_updates_as_apply_update_does(
    ledger: Ledger, change: LedgerUpdate, dynamodb_client: DynamoDB, ledger_table: str, read_ledger: Any
) -> None:
    assume(change.take or change.drop or change.fill or change.new or change.claim)  # as every change does
    dynamodb_client.delete_item(TableName=ledger_table, Key={"id": {"S": KEY}})
    if ledger.exists:
        held = {each: [hold.cost, hold.tokens, hold.until] for each, hold in ledger.holds.items()}
        counters = {
            name: getattr(ledger, name)
            for name in Ledger.__dataclass_fields__
            if name not in ("exists", "holds", "swept")
        }
        swept = {f"swept#{each}": at for each, at in ledger.swept.items()}
        put(dynamodb_client, ledger_table, KEY, **{**counters, **swept, "held": held})
    expected = apply_update(change, ledger)
    try:
        LedgerTable(dynamodb_client, ledger_table).write({KEY: change})
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ConditionalCheckFailedException"  # noqa: PT017
        assert expected is None
        assert read_ledger(KEY) == ledger
    else:
        assert read_ledger(KEY) == expected


REJECTED = ClientError({"Error": {"Code": "ValidationException", "Message": "too many digits"}}, "UpdateItem")


@pytest.mark.parametrize("ids", [[KEY], [KEY, TEAM]], ids=["one ledger", "two in a transaction"])
def test_a_write_that_dynamodb_rejects_refuses_the_request(
    store: Store, wire: Wire, read_ledger: Any, ids: list[str]
) -> None:
    one = store()
    if "moto" in os.environ.get("PYTEST_CURRENT_TEST", ""):
        wire.faults = [REJECTED]  # moto takes numbers of any length
    unlimited = dict.fromkeys(ids, replace(ALL, max_budget=None, tpm=None))
    with pytest.raises(ReservationRejectedError):
        one.reserve(unlimited, ReservationRequest(cost=int("9" * 45), tokens=int("9" * 45), until=NOW + 900))
    assert not one.degraded
    one.reserve(dict.fromkeys(ids, replace(ALL, rpm=1)), WANTED)
    with pytest.raises(LimitReachedError):
        one.reserve(dict.fromkeys(ids, replace(ALL, rpm=1)), WANTED)


def test_a_hold_is_renewed_while_its_request_lasts(
    dynamodb_client: DynamoDB, ledger_table: str, time: Time, read_ledger: Any, settle: Any
) -> None:
    one = LedgerStore(dynamodb_client, ledger_table, time.clock, renews=True)
    limits = {KEY: Limits(parallel=1), TEAM: Limits(max_budget=1_000)}
    reservation = one.reserve(limits, WANTED)
    ends = {each: read_ledger(each).holds[reservation.hold_id].until for each in limits}
    assert ends == {KEY: NOW + 90, TEAM: NOW + 90}
    for _ in range(4):
        time.advance(30)
        one.renew_leases()
    assert read_ledger(KEY).holds[reservation.hold_id] == Hold(100, 0, NOW + 210)
    with pytest.raises(LimitReachedError):
        one.reserve(limits, WANTED)
    settle(one, reservation, 70)
    assert (read_ledger(KEY).holds, read_ledger(TEAM).spent) == ({}, 70)
    time.advance(60)
    one.renew_leases()
    assert read_ledger(KEY).holds == {}


def test_the_slot_of_a_dead_environment_is_free_after_its_lease(
    dynamodb_client: DynamoDB, ledger_table: str, time: Time, read_ledger: Any
) -> None:
    dead, other = (LedgerStore(dynamodb_client, ledger_table, time.clock, renews=True) for _ in range(2))
    limits = {KEY: Limits(parallel=1, max_budget=150)}
    dead.reserve(limits, WANTED)
    time.advance(89)
    with pytest.raises(LimitReachedError):
        other.reserve(limits, WANTED)
    time.advance(1)
    reservation = other.reserve(limits, WANTED)
    assert list(read_ledger(KEY).holds) == [reservation.hold_id]
    assert read_ledger(KEY).committed == 100

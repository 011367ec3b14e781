"""The requests that a ledger admits: a table, properties, and many environments at once."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from tests.unit.access.ledgers import amounts, ledgers, limits
from vibe_router.access.keys import Limits
from vibe_router.access.ledger import (
    Denial,
    Hold,
    Ledger,
    LedgerUpdate,
    Limit,
    ReservationRequest,
    apply_update,
    plan_charge,
    plan_reservation,
    plan_settlement,
    rate_limit_headers,
)

NOW = 1_800_000_000.0
WANTED = ReservationRequest(cost=10, tokens=20, until=NOW + 900)
HELD = Hold(10, 20, NOW + 900)
OPEN = Ledger(window_ends=NOW + 40, period_ends=NOW + 3_600)


def outcome(ledger: Ledger, limits: Limits, wanted: ReservationRequest = WANTED) -> Ledger | Denial:
    decided = plan_reservation(ledger, limits, wanted, "new", NOW)
    if isinstance(decided, Denial):
        return decided
    after = apply_update(decided, ledger)
    assert after
    return after


@pytest.mark.parametrize(
    ("ledger", "limits", "refusal"),
    [
        pytest.param(Ledger(committed=90), Limits(max_budget=100), None, id="the last of a budget"),
        pytest.param(
            Ledger(committed=91), Limits(max_budget=100), Denial(Limit.BUDGET, 100, 91), id="more than is left of it"
        ),
        pytest.param(
            Ledger(exists=False), Limits(max_budget=9), Denial(Limit.BUDGET, 9, 0), id="more than a whole budget"
        ),
        pytest.param(
            replace(OPEN, committed=91),
            Limits(max_budget=100, budget_duration="1d"),
            Denial(Limit.BUDGET, 100, 91, 3_600),
            id="a budget that begins anew in an hour",
        ),
        pytest.param(replace(OPEN, requests_used=1), Limits(rpm=2), None, id="the last request of a minute"),
        pytest.param(
            replace(OPEN, requests_used=2), Limits(rpm=2), Denial(Limit.REQUESTS, 2, 2, 40), id="one more than that"
        ),
        pytest.param(Ledger(exists=False), Limits(rpm=0), Denial(Limit.REQUESTS, 0, 0, 60), id="no requests at all"),
        pytest.param(replace(OPEN, tokens_used=80), Limits(tpm=100), None, id="the last tokens of a minute"),
        pytest.param(
            replace(OPEN, tokens_used=81), Limits(tpm=100), Denial(Limit.TOKENS, 100, 81, 40), id="more than that"
        ),
        pytest.param(Ledger(exists=False), Limits(tpm=0), Denial(Limit.TOKENS, 0, 0, 60), id="no tokens at all"),
        pytest.param(OPEN, Limits(tpm=5), None, id="more than a minute's tokens, alone"),
        pytest.param(
            replace(OPEN, tokens_used=1), Limits(tpm=5), Denial(Limit.TOKENS, 5, 1, 40), id="the same, not alone"
        ),
        pytest.param(Ledger(holds={"a": HELD}), Limits(parallel=2), None, id="the last slot"),
        pytest.param(
            Ledger(holds={"a": HELD, "b": HELD}), Limits(parallel=2), Denial(Limit.PARALLEL, 2, 2), id="no slot left"
        ),
        pytest.param(Ledger(exists=False), Limits(parallel=0), Denial(Limit.PARALLEL, 0, 0), id="no slots at all"),
        pytest.param(
            Ledger(holds={"a": HELD, "b": Hold(5, 0, NOW)}), Limits(parallel=2), None, id="a slot of a dead environment"
        ),
        pytest.param(
            Ledger(committed=95, holds={"b": Hold(5, 0, NOW)}),
            Limits(max_budget=100),
            None,
            id="what the dead reserved",
        ),
        pytest.param(
            replace(OPEN, committed=100, requests_used=9),
            Limits(max_budget=100, rpm=1),
            Denial(Limit.BUDGET, 100, 100, 3_600),
            id="of two limits the one that a minute does not heal",
        ),
    ],
)
def test_a_reservation_fits_or_is_denied(ledger: Ledger, limits: Limits, refusal: Denial | None) -> None:
    got = outcome(ledger, limits)
    if refusal:
        assert got == refusal
    else:
        assert isinstance(got, Ledger)
        assert "new" in got.holds


def test_a_reservation_is_relative_to_the_current_ledger() -> None:
    limits = Limits(max_budget=100, budget_duration="1d", rpm=5, tpm=50, parallel=3)
    assert plan_reservation(OPEN, limits, WANTED, "new", NOW) == LedgerUpdate(
        add={"committed": 10, "requests_used": 1, "tokens_used": 20},
        take=("new", HELD),
        same={"window_ends": NOW + 40},
        most={"committed": 90, "requests_used": 4, "tokens_used": 30},
        slots=2,
    )


def test_a_window_begins_with_its_first_request() -> None:
    after = outcome(replace(OPEN, window_ends=NOW, requests_used=5, tokens_used=50), Limits(rpm=5))
    assert isinstance(after, Ledger)
    assert (after.window_ends, after.requests_used, after.tokens_used) == (NOW + 60, 1, 20)


@pytest.mark.parametrize(("ended", "next_end"), [(0, 3_600), (1, 3_599), (3_599.5, 0.5), (3_600, 3_600), (10_000, 800)])
def test_a_period_ends_when_it_would_have_without_a_pause(ended: float, next_end: float) -> None:
    ledger = Ledger(committed=70, spent=60, period_ends=NOW - ended, holds={"a": HELD})
    after = outcome(ledger, Limits(max_budget=100, budget_duration="1h"))
    assert isinstance(after, Ledger)
    assert (after.period_ends, after.spent, after.committed) == (NOW + next_end, 0, 20)


def test_a_first_period_includes_earlier_spending() -> None:
    after = outcome(Ledger(committed=70, spent=70, total=70), Limits(max_budget=100, budget_duration="1h"))
    assert isinstance(after, Ledger)
    assert (after.period_ends, after.spent, after.committed) == (NOW + 3_600, 70, 80)


def test_a_request_removes_a_bounded_number_of_expired_holds() -> None:
    dead = {str(number): Hold(1, 0, NOW - 1) for number in range(100)}
    after = outcome(Ledger(committed=100, holds=dead), Limits(max_budget=1_000))
    assert isinstance(after, Ledger)
    assert (len(after.holds), after.committed) == (76, 85)


def settled(ledger: Ledger, hold_id: str, *, cost: int = 7, tokens: int | None = 5) -> Ledger | None:
    limits = Limits(max_budget=100, tpm=100)
    change = plan_settlement(ledger, limits, hold_id, cost=cost, tokens=tokens, window_ends=NOW + 40, now=NOW)
    return apply_update(change, ledger) if change else None


def test_a_settlement_replaces_the_hold_by_the_cost() -> None:
    before = replace(OPEN, committed=30, spent=20, total=50, tokens_used=60, holds={"a": HELD})
    after = replace(before, committed=27, spent=27, total=57, tokens_used=45, holds={})
    assert settled(before, "a") == after
    assert settled(before, "a", tokens=None) == replace(after, tokens_used=60)
    assert settled(replace(before, window_ends=NOW + 99), "a") == replace(after, tokens_used=60, window_ends=NOW + 99)


def test_a_settlement_without_a_cost_only_releases_the_hold() -> None:
    before = replace(OPEN, committed=30, spent=20, total=50, tokens_used=60, holds={"a": HELD})
    assert settled(before, "a", cost=0, tokens=0) == replace(before, committed=20, tokens_used=40, holds={})


def test_a_hold_is_settled_once_whether_it_exists_or_was_swept() -> None:
    before = replace(OPEN, committed=30, spent=20, total=50, holds={"a": HELD}, swept={"b": NOW - 9, "c": NOW})
    after = replace(before, committed=37, spent=27, total=57, swept={"c": NOW})
    assert settled(before, "b") == after
    assert settled(after, "b") is None
    assert settled(Ledger(exists=False), "b") is None


def test_a_request_without_a_hold_is_charged() -> None:
    charged = Ledger(committed=7, spent=7, total=7)
    assert apply_update(plan_charge(7), Ledger(exists=False)) == charged
    assert apply_update(plan_charge(3), charged) == Ledger(committed=10, spent=10, total=10)


def test_swept_holds_are_remembered_for_a_day() -> None:
    dead = {"a": Hold(10, 1, NOW - 1), "counted only": Hold(0, 0, 0)}
    before = Ledger(committed=10, holds=dead, swept={"old": NOW - 86_400, "new": NOW - 86_399})
    after = outcome(before, Limits(max_budget=100))
    assert isinstance(after, Ledger)
    assert after.swept == {"new": NOW - 86_399, "a": NOW}
    many = {str(number): NOW - number for number in range(300)}
    after = outcome(replace(before, swept=many), Limits(max_budget=100))
    assert isinstance(after, Ledger)
    assert set(after.swept) == {"a", *map(str, range(199))}


@given(ledger=ledgers, limits=limits, cost=amounts, tokens=amounts, now=st.integers(0, 40))
def test_every_planned_update_applies_and_preserves_the_sums(
    ledger: Ledger, limits: Limits, cost: int, tokens: int, now: int
) -> None:
    decided = plan_reservation(ledger, limits, ReservationRequest(cost, tokens, now + 10), "new", now)
    if isinstance(decided, Denial):
        return
    after = apply_update(decided, ledger)
    assert after
    assert after.committed - after.spent == sum(hold.cost for hold in after.holds.values())
    assert after.total == ledger.total
    if limits.max_budget is not None:
        assert after.committed <= limits.max_budget
    if limits.rpm is not None:
        assert after.requests_used <= limits.rpm
    if limits.tpm is not None:
        assert after.tokens_used <= limits.tpm
    if limits.parallel is not None:
        assert len(after.holds) <= limits.parallel
    change = plan_settlement(after, limits, "new", cost=3, tokens=1, window_ends=after.window_ends, now=now)
    assert change
    end = apply_update(change, after)
    assert end
    assert (end.spent, end.total, "new" in end.holds) == (after.spent + 3, after.total + 3, False)
    assert end.committed - end.spent == sum(hold.cost for hold in end.holds.values())


class Fleet(RuleBasedStateMachine):
    """Environments that reserve and settle from what they last saw, however old; the table takes what it may.

    Beside the ledger a plain account is kept of all requests, which says what ought to stand.
    """

    under_way = Bundle("under_way")

    @initialize(limits=limits)
    def begin(self, limits: Limits) -> None:
        self.limits = limits
        self.table = Ledger(exists=False)
        self.views = [self.table] * 3
        self.now = NOW
        self.count = 0
        self.reserved: dict[str, Hold] = {}  # as the account has it
        self.spent = self.total = 0
        self.period_ends = 0.0
        self.starts: list[float] = []

    def roll(self) -> None:
        """Begin the account's next budget period, if it is time and somebody asks."""
        seconds = self.limits.budget_seconds
        if seconds and not self.period_ends:
            self.period_ends = self.now + seconds
        elif seconds and self.now >= self.period_ends:
            while self.period_ends <= self.now:
                self.period_ends += seconds
            self.spent = 0

    def write(self, environment: int, change: LedgerUpdate) -> bool:
        after = apply_update(change, self.table)
        if after:
            self.table = after
        self.views[environment] = self.table
        return bool(after)

    @rule(target=under_way, environment=st.integers(0, 2), cost=amounts, tokens=amounts, lease=st.integers(1, 200))
    def request(self, environment: int, cost: int, tokens: int, lease: int) -> tuple[str, int, float] | None:
        self.count += 1
        wanted = ReservationRequest(cost, tokens, self.now + lease)
        for _ in range(3):
            decided = plan_reservation(self.views[environment], self.limits, wanted, str(self.count), self.now)
            if isinstance(decided, Denial):
                if self.views[environment] != self.table:  # only what stands refuses
                    self.views[environment] = self.table
                    continue
                self.rejected(decided, cost)
                return None
            if self.write(environment, decided):
                self.let_in(str(self.count), wanted)
                return str(self.count), environment, self.table.window_ends
        raise AssertionError("not decided, though nobody wrote in between")

    def alive(self) -> dict[str, Hold]:
        return {each: hold for each, hold in self.reserved.items() if hold.until > self.now}

    def let_in(self, hold_id: str, wanted: ReservationRequest) -> None:
        self.roll()
        self.reserved = {**self.alive(), hold_id: Hold(wanted.cost, wanted.tokens, wanted.until)}
        self.starts.append(self.now)
        if self.limits.max_budget is not None:
            assert self.spent + sum(hold.cost for hold in self.reserved.values()) <= self.limits.max_budget
        if self.limits.parallel is not None:
            assert len(self.reserved) <= self.limits.parallel

    def rejected(self, refusal: Denial, cost: int) -> None:
        if refusal.limit is Limit.BUDGET:
            assert self.limits.max_budget is not None
            seconds = self.limits.budget_seconds
            spent = 0 if seconds and self.period_ends and self.now >= self.period_ends else self.spent
            assert spent + sum(hold.cost for hold in self.alive().values()) + cost > self.limits.max_budget
        if refusal.limit is Limit.PARALLEL:
            assert self.limits.parallel is not None
            assert len(self.alive()) >= self.limits.parallel

    @rule(request=consumes(under_way), cost=amounts, tokens=st.none() | amounts)
    def finish(self, request: tuple[str, int, float] | None, cost: int, tokens: int | None) -> None:
        if request is None:
            return
        hold_id, environment, window_ends = request
        ledger = self.views[environment]
        for _ in range(3):
            held = replace(ledger, holds={**ledger.holds, hold_id: self.table.holds.get(hold_id, HELD)})
            ledger = held if hold_id in self.table.holds else ledger
            change = plan_settlement(
                ledger, self.limits, hold_id, cost=cost, tokens=tokens, window_ends=window_ends, now=self.now
            )
            if change is None or self.write(environment, change):
                break
            ledger = self.table
        else:
            raise AssertionError("not settled, though nobody wrote in between")
        swept = hold_id not in self.reserved
        self.reserved.pop(hold_id, None)
        if swept and cost:
            self.roll()
        self.spent += cost
        self.total += cost

    @rule(request=consumes(under_way))
    def die(self, request: object) -> None:
        """An environment is killed: nobody settles."""

    @rule(environment=st.integers(0, 2))
    def look(self, environment: int) -> None:
        self.views[environment] = self.table

    @rule(seconds=st.sampled_from([0.25, 1, 10, 61, 300]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: hasattr(self, "table"))
    @invariant()
    def the_sums_are_right(self) -> None:
        assert self.table.committed - self.table.spent == sum(hold.cost for hold in self.table.holds.values())
        assert self.table.total == self.total
        if self.limits.rpm is not None:  # counted from the first request of a window, as windows are
            begun, count = -1e9, 0
            for start in self.starts:
                begun, count = (begun, count + 1) if start < begun + 60 else (start, 1)
                assert count <= self.limits.rpm


TestFleet = Fleet.TestCase


def test_headers_show_the_remaining_limits_as_openai_does() -> None:
    ledger = replace(OPEN, requests_used=3, tokens_used=700)
    assert rate_limit_headers([(ledger, Limits(rpm=10, tpm=1_000))], NOW) == {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "7",
        "x-ratelimit-reset-requests": "40s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "300",
        "x-ratelimit-reset-tokens": "40s",
    }
    assert rate_limit_headers([(ledger, Limits(max_budget=5, parallel=1))], NOW) == {}
    assert rate_limit_headers([], NOW) == {}


def test_headers_show_the_window_with_the_least_left() -> None:
    key, team = replace(OPEN, requests_used=3), replace(OPEN, requests_used=98, window_ends=NOW + 20)
    reported = rate_limit_headers([(key, Limits(rpm=10)), (team, Limits(rpm=100))], NOW)
    assert [reported[f"x-ratelimit-{each}-requests"] for each in ("limit", "remaining", "reset")] == ["100", "2", "20s"]


@pytest.mark.parametrize(
    ("left", "reported"), [(0, "0s"), (0.1201, "121ms"), (1, "1s"), (59.2, "1m0s"), (60, "1m0s"), (359.5, "6m0s")]
)
def test_a_reset_is_formatted_as_openai_does(left: float, reported: str) -> None:
    ledger = Ledger(window_ends=NOW + left)
    assert rate_limit_headers([(ledger, Limits(rpm=1))], NOW)["x-ratelimit-reset-requests"] == reported


def test_usage_beyond_a_limit_leaves_zero_remaining() -> None:
    ledger = replace(OPEN, tokens_used=150)
    assert rate_limit_headers([(ledger, Limits(tpm=100))], NOW)["x-ratelimit-remaining-tokens"] == "0"

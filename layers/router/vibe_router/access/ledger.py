"""What a key or a team has spent and reserved, and whether one more request fits.

A `Ledger` is one item of the LedgerTable. A `Change` is one write to it: what it does, and what must hold for it to be
done. `admit` and `settle` decide from the ledger as it was last seen; the store does the write, and where its condition
fails, decides again on what stands. The ordinary change is relative (a counter grows by a number while it is at most
so much), so that it is right whatever others have written since:

    env A   committed += 5 while committed <= 95 ✓    100 are the budget, 5 the estimate
    env B   committed += 5 while committed <= 95 ✓    on top of A's, without having read it
    env C   committed += 5 while committed <= 95 ✗    learns what stands, and that nothing is left

`committed` is what was spent in this period and all that is reserved: `committed - spent` is what the holds sum up to.
A hold ends with its request; one whose environment died is swept by the next request after `until`. Money is in
nano-dollars, times are in epoch seconds.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from vibe_router.access.keys import Limits

__all__ = [
    "COUNTERS",
    "TIMES",
    "Denial",
    "Hold",
    "Ledger",
    "LedgerUpdate",
    "Limit",
    "ReservationRequest",
    "apply_update",
    "plan_reservation",
    "plan_settlement",
    "rate_limit_headers",
    "roll_period",
]

COUNTERS = ("committed", "spent", "total", "requests_used", "tokens_used")
TIMES = ("period_ends", "window_ends")
_WINDOW_SECONDS = 60
_SWEPT_AT_ONCE = 25  # holds; what more there is goes with the requests after


@dataclass(frozen=True, slots=True)
class Hold:
    """What a request that is under way has reserved; from `until` on its environment is taken for dead."""

    cost: int
    tokens: int
    until: float


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is known of one key or team. `stands` is False while nothing was ever written of it.

    `spent` is of the period that ends at `period_ends` (0: none was begun), `total` of all time. A rate window begins
    with its first request and ends at `window_ends`; `requests_used` and `tokens_used` are of it.
    """

    committed: int = 0
    spent: int = 0
    total: int = 0
    period_ends: float = 0
    window_ends: float = 0
    requests_used: int = 0
    tokens_used: int = 0
    held: Mapping[str, Hold] = field(default_factory=dict)
    stands: bool = True


@dataclass(frozen=True, slots=True)
class ReservationRequest:
    """What a request may use: nano-dollars and tokens, estimated; `until` is when its hold ends of itself."""

    cost: int
    tokens: int
    until: float


@dataclass(frozen=True, slots=True)
class LedgerUpdate:
    """One write. All that is named in the second half must hold, or nothing is written."""

    add: Mapping[str, int] = field(default_factory=dict)
    put: Mapping[str, float] = field(default_factory=dict)
    take: tuple[str, Hold] | None = None  # the hold to begin, by its id; only where there is none of this id yet
    drop: tuple[str, ...] = ()  # the holds to end; only while all of them stand
    fill: bool = False  # make what is missing, the whole ledger if need be
    new: bool = False  # only where nothing was ever written
    same: Mapping[str, float] = field(default_factory=dict)  # only while these are as they were seen
    most: Mapping[str, int] = field(default_factory=dict)  # only while these are at most so much
    slots: int | None = None  # only while so many holds stand at most


class Limit(StrEnum):
    """Which limit was reached."""

    BUDGET = "budget"
    REQUESTS = "requests"
    TOKENS = "tokens"
    PARALLEL = "parallel"


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a request does not fit. `retry_after` (seconds) is 0 where time does not help, or not for sure."""

    limit: Limit
    most: int
    used: int
    retry_after: float = 0


def plan_reservation(
    ledger: Ledger, limits: Limits, wish: ReservationRequest, hold_id: str, now: float
) -> LedgerUpdate | Denial:
    """Return the write that reserves what `wish` says, or which of `limits` it would exceed.

    Tokens beyond the limit of a minute are reserved up to it: such a request passes alone, in an empty window.
    """
    expired = tuple(each for each, hold in ledger.held.items() if hold.until <= now)[:_SWEPT_AT_ONCE]
    returned = sum(ledger.held[each].cost for each in expired)
    tokens = wish.tokens if limits.tpm is None else min(wish.tokens, limits.tpm)
    base = _window_at(roll_period(ledger, limits, now), limits, now)
    holds = len(ledger.held) - len(expired)
    if refusal := _refusal(base, limits, wish.cost - returned, tokens, holds, now):
        return refusal
    rated = _rated(limits)
    most: dict[str, int] = {}
    if limits.max_budget is not None:
        most["committed"] = limits.max_budget - wish.cost + returned
    if limits.rpm is not None:
        most["requests_used"] = limits.rpm - 1
    if limits.tpm is not None:
        most["tokens_used"] = limits.tpm - tokens
    change = _change(
        ledger,
        base,
        {"committed": wish.cost - returned, **({"requests_used": 1, "tokens_used": tokens} if rated else {})},
    )
    return replace(
        change,
        take=(hold_id, Hold(wish.cost, tokens if rated else 0, wish.until)),
        drop=expired,
        # The hold's tokens are of this window and no other: they are corrected in it when the request ends.
        same={**change.same, **({"window_ends": ledger.window_ends} if rated and ledger.stands else {})},
        most={name: bound for name, bound in most.items() if name in change.add},
        slots=None if limits.parallel is None or change.new else limits.parallel - 1 + len(expired),
    )


def plan_settlement(
    ledger: Ledger,
    limits: Limits,
    hold_id: str | None,
    *,
    cost: int,
    tokens: int | None,
    window_ends: float,
    now: float,
) -> LedgerUpdate | None:
    """Return the write that ends a request which cost so much; None where there is nothing to write.

    Its hold, if it made one, is given back if it still stands; the cost is added all the same if it was swept.
    `tokens` that were used take the place of those that were reserved while their rate window (`window_ends`) lasts;
    None is not known, and what was reserved stands for it.
    """
    hold = ledger.held.get(hold_id) if hold_id else None
    add = {"committed": cost, "spent": cost, "total": cost}
    if hold is None:
        if not cost:
            return None
        base = roll_period(ledger, limits, now)
        if base.period_ends == ledger.period_ends:
            return LedgerUpdate(add=add, fill=True)
        return _change(ledger, base, add)
    add["committed"] -= hold.cost
    same: dict[str, float] = {}
    if tokens is not None and tokens != hold.tokens and _rated(limits) and ledger.window_ends == window_ends > now:
        add["tokens_used"] = tokens - hold.tokens
        same["window_ends"] = window_ends
    return LedgerUpdate(add={name: by for name, by in add.items() if by}, drop=(str(hold_id),), same=same)


def apply_update(change: LedgerUpdate, ledger: Ledger) -> Ledger | None:
    """Return `ledger` after `change`, None where its condition fails: what the table does with it."""
    values = {name: getattr(ledger, name) for name in (*COUNTERS, *TIMES)}
    if (
        (change.new and ledger.stands)
        or any(values[name] != value for name, value in change.same.items())
        or any(values[name] > bound for name, bound in change.most.items())
        or any(each not in ledger.held for each in change.drop)
        or (change.take and change.take[0] in ledger.held)
        or (change.slots is not None and len(ledger.held) > change.slots)
        or not (ledger.stands or change.new or change.fill)
    ):
        return None
    for name, by in change.add.items():
        values[name] += by
    held = {each: hold for each, hold in ledger.held.items() if each not in change.drop}
    if change.take:
        held[change.take[0]] = change.take[1]
    return Ledger(**{**values, **change.put}, held=held)


def rate_limit_headers(windows: Iterable[tuple[Ledger, Limits]], now: float) -> dict[str, str]:
    """Return OpenAI's `x-ratelimit-*` headers for what is left in the tightest of the windows."""
    headers: dict[str, str] = {}
    known = list(windows)
    by_kind = {
        "requests": [(limits.rpm, ledger.requests_used, ledger.window_ends) for ledger, limits in known],
        "tokens": [(limits.tpm, ledger.tokens_used, ledger.window_ends) for ledger, limits in known],
    }
    for kind, each in by_kind.items():
        if left := [(max(most - used, 0), most, max(ends - now, 0)) for most, used, ends in each if most is not None]:
            remaining, limit, reset = min(left)
            headers[f"x-ratelimit-limit-{kind}"] = str(limit)
            headers[f"x-ratelimit-remaining-{kind}"] = str(remaining)
            headers[f"x-ratelimit-reset-{kind}"] = _as_duration(reset)
    return headers


def _refusal(base: Ledger, limits: Limits, cost: int, tokens: int, holds: int, now: float) -> Denial | None:
    """Say which limit would be exceeded; what time does not heal first."""
    if limits.max_budget is not None and base.committed + cost > limits.max_budget:
        return Denial(Limit.BUDGET, limits.max_budget, base.committed, max(base.period_ends - now, 0))
    wait = max(base.window_ends - now, 0)
    if limits.rpm is not None and base.requests_used >= limits.rpm:
        return Denial(Limit.REQUESTS, limits.rpm, base.requests_used, wait)
    if limits.tpm is not None and (base.tokens_used + tokens > limits.tpm or not limits.tpm):
        return Denial(Limit.TOKENS, limits.tpm, base.tokens_used, wait)
    if limits.parallel is not None and holds >= limits.parallel:
        return Denial(Limit.PARALLEL, limits.parallel, holds)
    return None


def _rated(limits: Limits) -> bool:
    return limits.rpm is not None or limits.tpm is not None


def roll_period(ledger: Ledger, limits: Limits, now: float) -> Ledger:
    """Return `ledger` in the budget period that `now` is in. What is reserved goes on being so in a new one."""
    seconds = limits.budget_seconds
    if not seconds or now < ledger.period_ends:
        return ledger
    if not ledger.period_ends:  # what was spent without a period counts in the first one
        return replace(ledger, period_ends=round(now + seconds, 3))
    passed = math.floor((now - ledger.period_ends) / seconds) + 1
    ends = round(ledger.period_ends + passed * seconds, 3)
    return replace(ledger, period_ends=ends, committed=ledger.committed - ledger.spent, spent=0)


def _window_at(ledger: Ledger, limits: Limits, now: float) -> Ledger:
    """Return `ledger` in the rate window that `now` is in; it begins now if there is none."""
    if not _rated(limits) or now < ledger.window_ends:
        return ledger
    return replace(ledger, window_ends=round(now + _WINDOW_SECONDS, 3), requests_used=0, tokens_used=0)


def _change(ledger: Ledger, base: Ledger, add: Mapping[str, int]) -> LedgerUpdate:
    """Return the write that makes `ledger` what it is by now, `base`, and adds to that.

    A period or window that begins is put as a whole, while nobody else has begun one; the rest grows as it stands.
    """
    renewed: list[str] = []
    same: list[str] = []
    if not ledger.stands:
        renewed = [*COUNTERS, *TIMES]
    else:
        if base.period_ends != ledger.period_ends:
            renewed += ("period_ends", "committed", "spent")
            same += ("period_ends", "committed", "spent")
        if base.window_ends != ledger.window_ends:
            renewed += ("window_ends", "requests_used", "tokens_used")
            same += ("window_ends",)
    return LedgerUpdate(
        add={name: by for name, by in add.items() if name not in renewed},
        put={name: getattr(base, name) + add.get(name, 0) for name in renewed},
        new=not ledger.stands,
        same={name: getattr(ledger, name) for name in same},
    )


def _as_duration(seconds: float) -> str:
    """Write a time left as OpenAI does: `120ms`, `1s`, `6m0s`."""
    if 0 < seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    whole = math.ceil(seconds)
    return f"{whole // 60}m{whole % 60}s" if whole >= 60 else f"{whole}s"

"""The spending and reservations of a key or team, and whether one more request fits its limits.

A `Ledger` is one item of the LedgerTable, and a `LedgerUpdate` one conditional write to it. `plan_reservation` and
`plan_settlement` plan an update from the last copy of the ledger. If its condition fails, the store plans it again from
the current item. Most updates are relative (add to a counter while it is at most a bound), so concurrent writes do not
invalidate them:

    env A   committed += 5 while committed <= 95 ✓    of a budget of 100; 5 is the estimate
    env B   committed += 5 while committed <= 95 ✓    without having read A's write
    env C   committed += 5 while committed <= 95 ✗    gets the current item: the budget is used up

`committed` is the spending of this period plus all reservations: `committed - spent` is the sum of the holds. A hold
ends with its settlement, which is written once: it requires the hold. The next request after `until` sweeps a hold
whose environment seems to have died, and notes that in `swept`, so that a late settlement still charges the cost once.
Money is in nano-dollars, times are in epoch seconds.
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
    "plan_charge",
    "plan_reservation",
    "plan_settlement",
    "rate_limit_headers",
    "roll_period",
]

COUNTERS = ("committed", "spent", "total", "requests_used", "tokens_used")
TIMES = ("period_ends", "window_ends")
_WINDOW_SECONDS = 60
_MAX_EXPIRED_HOLDS = 25  # removed by one request; later requests remove the rest
_SWEPT_SECONDS = 86_400  # for which a settlement of a swept hold is awaited: from memory, or from the log
_MAX_SWEPT = 200  # the newest; some 40 bytes each


@dataclass(frozen=True, slots=True)
class Hold:
    """The reservation of a request in flight; after `until` its environment is presumed dead."""

    cost: int
    tokens: int
    until: float


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of one key or team. `exists` is False until it is first written.

    `spent` counts the period that ends at `period_ends` (0: none has begun), `total` all time. A rate window begins
    with its first request and ends at `window_ends`; `requests_used` and `tokens_used` count that window. `swept` has
    the ids of expired holds, with the times at which they were removed.
    """

    committed: int = 0
    spent: int = 0
    total: int = 0
    period_ends: float = 0
    window_ends: float = 0
    requests_used: int = 0
    tokens_used: int = 0
    holds: Mapping[str, Hold] = field(default_factory=dict)
    swept: Mapping[str, float] = field(default_factory=dict)
    exists: bool = True


@dataclass(frozen=True, slots=True)
class ReservationRequest:
    """The estimate of a request, in nano-dollars and tokens; its hold expires at `until`. 0: it is not settled."""

    cost: int
    tokens: int
    until: float


@dataclass(frozen=True, slots=True)
class LedgerUpdate:
    """One conditional write: the fields after `fill` are conditions, and nothing is written unless all of them hold."""

    add: Mapping[str, int] = field(default_factory=dict)
    put: Mapping[str, float] = field(default_factory=dict)
    take: tuple[str, Hold] | None = None  # a hold to add, by its id; fails if there is one of this id
    drop: tuple[str, ...] = ()  # holds to remove; fails unless all of them exist
    sweep: Mapping[str, float] = field(default_factory=dict)  # entries of `swept` to add
    forget: tuple[str, ...] = ()  # entries of `swept` to remove, if they exist
    claim: str | None = None  # an entry of `swept` to remove; fails unless it exists
    fill: bool = False  # add missing attributes, or the whole item
    new: bool = False  # only if the item does not exist
    unrenewed: Mapping[str, float] = field(default_factory=dict)  # only if these holds end at these times
    same: Mapping[str, float] = field(default_factory=dict)  # only while these are equal
    most: Mapping[str, int] = field(default_factory=dict)  # only while these are at most this
    slots: int | None = None  # only while there are at most this many holds


class Limit(StrEnum):
    """The limit that was reached."""

    BUDGET = "budget"
    REQUESTS = "requests"
    TOKENS = "tokens"
    PARALLEL = "parallel"


@dataclass(frozen=True, slots=True)
class Denial:
    """The limit that a request exceeds. `retry_after` (seconds) is 0 if waiting does not help for certain."""

    limit: Limit
    most: int
    used: int
    retry_after: float = 0


def plan_reservation(
    ledger: Ledger, limits: Limits, request: ReservationRequest, hold_id: str, now: float
) -> LedgerUpdate | Denial:
    """Return the write that reserves `request`, or the limit that it would exceed.

    More tokens than a whole window allows are reserved up to that limit: such a request passes in an empty window.
    """
    expired = tuple(each for each, hold in ledger.holds.items() if hold.until <= now)[:_MAX_EXPIRED_HOLDS]
    returned = sum(ledger.holds[each].cost for each in expired)
    tokens = request.tokens if limits.tpm is None else min(request.tokens, limits.tpm)
    base = _window_at(roll_period(ledger, limits, now), limits, now)
    holds = len(ledger.holds) - len(expired)
    if denial := _denial(base, limits, request.cost - returned, tokens, holds, now):
        return denial
    rated = _rated(limits)
    most: dict[str, int] = {}
    if limits.max_budget is not None:
        most["committed"] = limits.max_budget - request.cost + returned
    if limits.rpm is not None:
        most["requests_used"] = limits.rpm - 1
    if limits.tpm is not None:
        most["tokens_used"] = limits.tpm - tokens
    sweep = {each: now for each in expired if ledger.holds[each].until}
    change = _change(
        ledger,
        base,
        {"committed": request.cost - returned, **({"requests_used": 1, "tokens_used": tokens} if rated else {})},
    )
    return replace(
        change,
        take=(hold_id, Hold(request.cost, tokens if rated else 0, request.until)),
        drop=expired,
        sweep=sweep,
        forget=_outdated(ledger.swept, len(sweep), now),
        unrenewed={each: ledger.holds[each].until for each in expired},
        # The hold's tokens count in this window only, and are corrected in it when the request ends.
        same={**change.same, **({"window_ends": ledger.window_ends} if rated and ledger.exists else {})},
        most={name: bound for name, bound in most.items() if name in change.add},
        slots=None if limits.parallel is None or change.new else limits.parallel - 1 + len(expired),
    )


def plan_settlement(
    ledger: Ledger,
    limits: Limits,
    hold_id: str,
    *,
    cost: int,
    tokens: int | None,
    window_ends: float,
    now: float,
) -> LedgerUpdate | None:
    """Return the write that charges a request and releases its hold; None if it is settled already.

    The cost of a hold that was swept is charged too. While the rate window of the reservation (`window_ends`) lasts,
    `tokens` replace the tokens reserved; None is unknown, and the reserved tokens are charged.
    """
    add = {"committed": cost, "spent": cost, "total": cost}
    hold = ledger.holds.get(hold_id)
    if hold is None:
        if hold_id not in ledger.swept:
            return None
        return replace(_change(ledger, roll_period(ledger, limits, now), add), claim=hold_id)
    add["committed"] -= hold.cost
    same: dict[str, float] = {}
    if tokens is not None and tokens != hold.tokens and _rated(limits) and ledger.window_ends == window_ends > now:
        add["tokens_used"] = tokens - hold.tokens
        same["window_ends"] = window_ends
    return LedgerUpdate(add={name: by for name, by in add.items() if by}, drop=(hold_id,), same=same)


def plan_charge(cost: int) -> LedgerUpdate:
    """Return the write that charges a request that has no hold. It is not idempotent by itself."""
    return LedgerUpdate(add={"committed": cost, "spent": cost, "total": cost}, fill=True)


def apply_update(change: LedgerUpdate, ledger: Ledger) -> Ledger | None:
    """Return `ledger` after `change`, or None if its condition fails, as DynamoDB evaluates it."""
    values = {name: getattr(ledger, name) for name in (*COUNTERS, *TIMES)}
    if (
        (change.new and ledger.exists)
        or any(values[name] != value for name, value in change.same.items())
        or any(values[name] > bound for name, bound in change.most.items())
        or any(each not in ledger.holds for each in change.drop)
        or (change.claim is not None and change.claim not in ledger.swept)
        or any(each not in ledger.holds or ledger.holds[each].until != end for each, end in change.unrenewed.items())
        or (change.take and change.take[0] in ledger.holds)
        or (change.slots is not None and len(ledger.holds) > change.slots)
        or not (ledger.exists or change.new or change.fill)
    ):
        return None
    for name, by in change.add.items():
        values[name] += by
    holds = {each: hold for each, hold in ledger.holds.items() if each not in change.drop}
    if change.take:
        holds[change.take[0]] = change.take[1]
    gone = {*change.forget, change.claim}
    swept = {each: at for each, at in ledger.swept.items() if each not in gone} | dict(change.sweep)
    return Ledger(**{**values, **change.put}, holds=holds, swept=swept)


def rate_limit_headers(windows: Iterable[tuple[Ledger, Limits]], now: float) -> dict[str, str]:
    """Return OpenAI's `x-ratelimit-*` headers for the window with the least left."""
    headers: dict[str, str] = {}
    pairs = list(windows)
    by_kind = {
        "requests": [(limits.rpm, ledger.requests_used, ledger.window_ends) for ledger, limits in pairs],
        "tokens": [(limits.tpm, ledger.tokens_used, ledger.window_ends) for ledger, limits in pairs],
    }
    for kind, each in by_kind.items():
        if left := [(max(most - used, 0), most, max(ends - now, 0)) for most, used, ends in each if most is not None]:
            remaining, limit, reset = min(left)
            headers[f"x-ratelimit-limit-{kind}"] = str(limit)
            headers[f"x-ratelimit-remaining-{kind}"] = str(remaining)
            headers[f"x-ratelimit-reset-{kind}"] = _as_duration(reset)
    return headers


def _denial(base: Ledger, limits: Limits, cost: int, tokens: int, holds: int, now: float) -> Denial | None:
    """Return the first limit that would be exceeded; those that waiting does not help come first."""
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


def _outdated(swept: Mapping[str, float], added: int, now: float) -> tuple[str, ...]:
    """Return the entries of `swept` that are too old, or too many."""
    if not swept:
        return ()
    newest = sorted(swept, key=lambda each: swept[each], reverse=True)
    kept = newest[: max(_MAX_SWEPT - added, 0)]
    return tuple(each for each in newest if each not in kept or swept[each] <= now - _SWEPT_SECONDS)


def _rated(limits: Limits) -> bool:
    return limits.rpm is not None or limits.tpm is not None


def roll_period(ledger: Ledger, limits: Limits, now: float) -> Ledger:
    """Return `ledger` in the budget period of `now`. Reservations carry over into a new period."""
    seconds = limits.budget_seconds
    if not seconds or now < ledger.period_ends:
        return ledger
    if not ledger.period_ends:  # spending before the first period counts in it
        return replace(ledger, period_ends=round(now + seconds, 3))
    passed = math.floor((now - ledger.period_ends) / seconds) + 1
    ends = round(ledger.period_ends + passed * seconds, 3)
    return replace(ledger, period_ends=ends, committed=ledger.committed - ledger.spent, spent=0)


def _window_at(ledger: Ledger, limits: Limits, now: float) -> Ledger:
    """Return `ledger` in the rate window of `now`, which begins now if there is none."""
    if not _rated(limits) or now < ledger.window_ends:
        return ledger
    return replace(ledger, window_ends=round(now + _WINDOW_SECONDS, 3), requests_used=0, tokens_used=0)


def _change(ledger: Ledger, base: Ledger, add: Mapping[str, int]) -> LedgerUpdate:
    """Return the write that turns `ledger` into `base` and adds to it.

    The counters of a period or window that begins are set, unless another writer has begun it; the others grow.
    """
    renewed: list[str] = []
    same: list[str] = []
    if not ledger.exists:
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
        new=not ledger.exists,
        same={name: getattr(ledger, name) for name in same},
    )


def _as_duration(seconds: float) -> str:
    """Return a duration as OpenAI writes it: `120ms`, `1s`, `6m0s`."""
    if 0 < seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    whole = math.ceil(seconds)
    return f"{whole // 60}m{whole % 60}s" if whole >= 60 else f"{whole}s"

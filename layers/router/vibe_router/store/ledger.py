"""Reserve from the ledgers of a key and its team, and settle afterwards.

A reservation is one conditional write: of the key's ledger or, if its team is limited too, of both in one transaction.
It is planned from this environment's last copy of the ledger. If that copy is outdated, the write fails and returns the
current item, and the reservation is planned again. Only a ledger that was just read rejects a request, except for
requests per minute, which only grow within a window. While DynamoDB is unreachable, requests proceed without a
reservation. A write that DynamoDB rejects as invalid rejects the request: no input may switch limits off.
"""

import logging
import secrets
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from vibe_router.access.keys import Limits
from vibe_router.access.ledger import (
    Denial,
    Ledger,
    LedgerUpdate,
    Limit,
    ReservationRequest,
    apply_update,
    plan_reservation,
    plan_settlement,
)
from vibe_router.core.clock import Clock
from vibe_router.core.rows import CorruptRowError
from vibe_router.store.aws_errors import ClientError
from vibe_router.store.circuit_breaker import (
    AWS_ERRORS,
    CallMode,
    CircuitBreaker,
    Spawn,
    is_rejection,
    run_in_background,
)
from vibe_router.store.dynamodb import DynamoDB, Item
from vibe_router.store.leases import LEASE_SECONDS, LeaseRenewer
from vibe_router.store.ledger_table import (
    CONDITION_FAILED,
    LedgerTable,
    cancellation_reasons,
    parse_ledger,
)

__all__ = [
    "LedgerBusyError",
    "LedgerStore",
    "LimitReachedError",
    "Reservation",
    "ReservationRejectedError",
    "Settlement",
]

_MAX_SECONDS = 2.0  # in all, against others that write to the same ledger
_SLOT_WAITS = (0.02, 0.05, 0.08, 0.15)  # seconds; a slot that is about to be released comes within them
_CONFLICT_WAIT = 0.05  # seconds at most the first time; doubled each time
_SETTLE_TRIES = 8

_log = logging.getLogger(__name__)


class LedgerBusyError(Exception):
    """Too many environments write to a ledger to reserve from it in time."""


class ReservationRejectedError(Exception):
    """DynamoDB rejects the reservation as invalid: no ledger can hold the amounts of this request."""


class LimitReachedError(Exception):
    """A request does not fit into a limit of `ledger_id`; `windows` are as in a Reservation."""

    def __init__(self, ledger_id: str, denial: Denial, windows: Sequence[tuple[Ledger, Limits]] = ()) -> None:
        super().__init__(f"{ledger_id}: {denial.limit}")
        self.ledger_id = ledger_id
        self.denial = denial
        self.windows = windows


@dataclass(frozen=True, slots=True)
class Reservation:
    """The amounts that a request has reserved.

    Its cost is charged to all of `ledgers` (id → limits). `held` are those that have a hold of it, and `unconfirmed`
    those that may have one: the write was sent, and its response was lost. Both map to the ledger with the hold. The
    settlement charges `held`; the aggregator charges the others.
    """

    hold_id: str
    ledgers: Mapping[str, Limits]
    held: Mapping[str, Ledger] = field(default_factory=dict)
    cost: int = 0  # nano-dollars reserved in each
    unconfirmed: Mapping[str, Ledger] = field(default_factory=dict)

    @property
    def unheld(self) -> list[str]:
        """The ids of the ledgers that the aggregator charges."""
        return [each for each in self.ledgers if each not in self.held]

    @property
    def windows(self) -> list[tuple[Ledger, Limits]]:
        """The ledgers with a hold, each with its limits."""
        return [(ledger, self.ledgers[each]) for each, ledger in self.held.items()]


class LedgerStore:
    """Creates reservations, and the settlements that end them.

    `spawn` runs work in the background. `renews`: holds are leases, which are renewed while their requests last.
    """

    def __init__(
        self,
        client: DynamoDB,
        table: str,
        clock: Clock,
        *,
        spawn: Spawn = run_in_background,
        service: CircuitBreaker | None = None,
        renews: bool = False,
    ) -> None:
        self._table = LedgerTable(client, table)
        self._leases = LeaseRenewer(self._renew, clock) if renews else None
        self._clock = clock
        self._spawn = spawn
        self._breaker = CircuitBreaker("the ledger table", clock, service=service)

    @property
    def degraded(self) -> bool:
        """Return whether nothing can be reserved, because DynamoDB is unreachable."""
        return self._breaker.is_open

    def accept(self, ledger_id: str, item: Item | None) -> None:
        """Remember a ledger's item (None: there is none) that was read along with its key; it may be outdated."""
        try:
            self._table.remember(ledger_id, parse_ledger(item))
        except CorruptRowError:
            return  # the next reservation reads it and logs the reason

    def reserve(self, ledgers: Mapping[str, Limits], request: ReservationRequest) -> Reservation:
        """Reserve `request` in those of `ledgers` (id → limits) that have limits: one write, or none.

        The reservation is empty while DynamoDB is unreachable. Raises LimitReachedError, LedgerBusyError and
        ReservationRejectedError.
        """
        hold_id = secrets.token_urlsafe(9)
        ends = request.until
        if self._leases:
            request = replace(request, until=round(min(self._clock.now() + LEASE_SECONDS, ends), 3))
        limited = {each: limits for each, limits in ledgers.items() if limits.needs_reservation}
        if not limited or not self._may_call(limited):
            return Reservation(hold_id, ledgers, cost=request.cost)
        attempt = _ReservationAttempt(self._table, self._clock, limited, request, hold_id)
        try:
            held = attempt.run()
        except AWS_ERRORS as error:
            if is_rejection(error):
                self._breaker.record_success()
                raise ReservationRejectedError from error
            self._breaker.record_failure(error)
            return Reservation(hold_id, ledgers, cost=request.cost, unconfirmed=attempt.sent)
        except CorruptRowError as error:
            _log.warning("a ledger is corrupt (%s): its limits are not enforced", error)
        except (LimitReachedError, LedgerBusyError):
            self._breaker.record_success()
            raise
        else:
            self._breaker.record_success()
            if self._leases:
                self._leases.add(hold_id, held, ends)
            return Reservation(hold_id, ledgers, held, request.cost)
        return Reservation(hold_id, ledgers, cost=request.cost)

    def settlement(self, reservation: Reservation, cost: int, tokens: int | None) -> "Settlement | None":
        """Return what ends a request that cost so many nano-dollars and used so many tokens (None: unknown).

        None if there is nothing to settle.
        """
        if self._leases:
            self._leases.remove(reservation.hold_id)
        if not (reservation.held or reservation.unconfirmed):
            return None
        return Settlement(self._table, self._clock, reservation, cost, tokens)

    def late_settlement(self, hold_id: str, ledgers: Collection[str], cost: int) -> "Settlement":
        """Return the settlement of a request of an environment that ended, whose hold may still be in `ledgers`.

        Raises botocore's errors and CorruptRowError.
        """
        held = self._table.read(ledgers)
        return Settlement(
            self._table, self._clock, Reservation(hold_id, dict.fromkeys(held, Limits()), held), cost, None
        )

    def read(self, ids: Collection[str]) -> dict[str, Ledger]:
        """Read ledgers consistently. Raises AwsError and CorruptRowError."""
        return self._table.read(ids)

    def last_seen(self, ids: Collection[str]) -> dict[str, Ledger]:
        """Return ledgers as this environment last saw them; those that it never saw are read, if DynamoDB answers."""
        unseen = [each for each in ids if not self._table.has(each)]
        if unseen and self._may_call(unseen):
            try:
                self._table.read(unseen)
            except AWS_ERRORS as error:
                self._breaker.record_failure(error)
            except CorruptRowError:
                self._breaker.record_success()  # it answers; the reservation logs the reason
            else:
                self._breaker.record_success()
        return {each: self._table.cached(each) for each in ids}

    def renew_leases(self) -> None:
        """Renew the holds that are due, as the background thread does every few seconds."""
        if self._leases:
            self._leases.renew_due()

    def _renew(self, hold_id: str, ledgers: Sequence[str], until: float) -> None:
        """Move the end of a hold. The next renewal retries a failure; a removed hold is left to its settlement."""
        for each in ledgers:
            with suppress(*AWS_ERRORS):
                self._table.renew(each, hold_id, until)

    def _may_call(self, ids: Collection[str]) -> bool:
        mode = self._breaker.next_call()
        if mode is CallMode.PROBE:
            self._spawn(lambda: self._probe(ids))
        return mode is CallMode.CALL

    def _probe(self, ids: Collection[str]) -> None:
        """Check whether DynamoDB answers again."""
        try:
            self._table.read(ids)
        except AWS_ERRORS as error:
            self._breaker.record_failure(error)
        except CorruptRowError:
            self._breaker.record_success()  # it answers, if with a corrupt row
        else:
            self._breaker.record_success()


class _ReservationAttempt:
    """One reservation: plans it, writes it, and starts over with the current ledgers when a condition fails."""

    def __init__(
        self, table: LedgerTable, clock: Clock, limited: Mapping[str, Limits], request: ReservationRequest, hold_id: str
    ) -> None:
        self._table = table
        self._clock = clock
        self._limited = limited
        self._request = request
        self._hold_id = hold_id
        self.sent: dict[str, Ledger] = {}  # the ledgers as the last write makes them
        self._fresh: set[str] = set()  # ledgers that were read since the last wait

    def run(self) -> dict[str, Ledger]:
        """Return the ledgers with the hold in them."""
        end = self._clock.monotonic() + _MAX_SECONDS
        waits = iter(_SLOT_WAITS)
        wait = _CONFLICT_WAIT
        while True:
            updates = self._plan()
            if isinstance(updates, LimitReachedError):
                if updates.ledger_id not in self._fresh and updates.denial.limit is not Limit.REQUESTS:
                    self._table.read(self._limited)
                    self._fresh.update(self._limited)
                elif updates.denial.limit is Limit.PARALLEL and (pause := next(waits, None)):
                    self._clock.sleep(pause)
                    self._fresh.clear()
                else:
                    raise updates
                continue
            if self._write(updates):
                return {each: self._table.cached(each) for each in self._limited}
            if self._clock.monotonic() >= end:
                raise LedgerBusyError("too many environments write to a ledger")
            if not self._fresh:
                self._clock.sleep(self._clock.jitter() * wait)
                wait = min(wait * 2, _MAX_SECONDS / 4)

    def _plan(self) -> dict[str, LedgerUpdate] | LimitReachedError:
        updates: dict[str, LedgerUpdate] = {}
        now = self._clock.now()
        for each, limits in self._limited.items():
            planned = plan_reservation(self._table.cached(each), limits, self._request, self._hold_id, now)
            if isinstance(planned, Denial):
                windows = [(self._table.cached(other), its) for other, its in self._limited.items()]
                return LimitReachedError(each, planned, windows)
            updates[each] = planned
        return updates

    def _write(self, updates: Mapping[str, LedgerUpdate]) -> bool:
        """Write, and return whether that succeeded; if not, the current ledgers are cached and fresh."""
        self._fresh.clear()
        self.sent = {}
        for each, update in updates.items():
            before = self._table.cached(each)
            self.sent[each] = apply_update(update, before) or before
        try:
            counters = self._table.write(updates)
        except ClientError as error:
            return self._learn(updates, error)
        for each, after in self.sent.items():
            self._table.remember(each, replace(after, **counters))
        return True

    def _learn(self, updates: Mapping[str, LedgerUpdate], error: ClientError) -> bool:
        """Cache the ledgers whose conditions failed; return whether this very write was done before."""
        for each, reason in zip(updates, cancellation_reasons(error), strict=False):
            if reason.get("Code") == CONDITION_FAILED:
                if item := reason.get("Item"):  # DynamoDB returns it with the failure, its imitations may not
                    self._table.accept(each, item)
                else:
                    self._table.read([each])
                self._fresh.add(each)
        # A write is sent again when its response was lost: the item in the way may be its own.
        return bool(self._fresh) and all(self._hold_id in self._table.cached(each).holds for each in updates)


class Settlement:
    """The end of a request, in the ledgers that have its hold. `settle` is idempotent: a hold is settled once.

    A ledger without a hold of it is not written: the aggregator charges it from the request's row (store.totals).
    """

    def __init__(
        self,
        table: LedgerTable,
        clock: Clock,
        reservation: Reservation,
        cost: int,
        tokens: int | None,
    ) -> None:
        self._table = table
        self._clock = clock
        self._reservation = reservation
        self._tokens = tokens
        # The hold is assumed to exist until a write finds that it does not: a cached ledger may be older than it.
        self._unsettled = {**reservation.unconfirmed, **reservation.held}
        # A hold that may not exist is only released: whether it does or not, the row charges that ledger.
        self._costs = dict.fromkeys(reservation.unconfirmed, 0) | dict.fromkeys(reservation.held, cost)

    def settle(self) -> None:
        """Charge the cost and release the holds, where that has not been done yet.

        Raises AwsError, CorruptRowError, and LedgerBusyError after too many conflicts.
        """
        for each in list(self._unsettled):
            self._settle(each)
            del self._unsettled[each]

    def _settle(self, ledger_id: str) -> None:
        ledger, wait = self._unsettled[ledger_id], _CONFLICT_WAIT
        window_ends = ledger.window_ends
        for _ in range(_SETTLE_TRIES):
            update = plan_settlement(
                ledger,
                self._reservation.ledgers[ledger_id],
                self._reservation.hold_id,
                cost=self._costs[ledger_id],
                tokens=self._tokens,
                window_ends=window_ends,
                now=self._clock.now(),
            )
            if update is None:
                return
            try:
                counters = self._table.write({ledger_id: update})
            except ClientError as error:
                [reason] = cancellation_reasons(error)
                if reason.get("Code") != CONDITION_FAILED:
                    self._clock.sleep(self._clock.jitter() * wait)
                    wait *= 2
                elif item := reason.get("Item"):
                    ledger = self._table.accept(ledger_id, item)
                else:
                    ledger = self._table.read([ledger_id])[ledger_id]
            else:
                if after := apply_update(update, ledger):
                    self._table.remember(ledger_id, replace(after, **counters))
                return
        raise LedgerBusyError("too many environments write to a ledger")

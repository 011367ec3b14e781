"""Admit requests: authenticate the caller, check the model it may use, and reserve from its limits.

The reservation is made before the first provider is called, and settled after the answer has been sent.
"""

import math
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from vibe_router.access.authentication import TokenLookup, authenticate, authenticate_master
from vibe_router.access.guessing import SOURCE_ADDRESS, GuessThrottle
from vibe_router.access.keys import Caller, Limits, ledger_parts, model_denied
from vibe_router.access.ledger import Ledger, Limit, ReservationRequest, rate_limit_headers
from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError, bad_request, misconfigured, switched_off, unavailable, unknown_model
from vibe_router.core.models import Catalogue, VirtualModel
from vibe_router.core.price import as_dollars
from vibe_router.core.record import Record
from vibe_router.formats.interfaces import ClientRequest
from vibe_router.pipeline.estimate import MAX_COST, MAX_TOKENS, estimate_cost, plausible_answer_tokens
from vibe_router.store.keys import KeyDirectory, KeysUnavailableError
from vibe_router.store.ledger import LedgerBusyError, LimitReachedError, Reservation, ReservationRejectedError
from vibe_router.store.usage import Settlement

if TYPE_CHECKING:
    from vibe_router.pipeline.budgets import BudgetReport

__all__ = ["BUDGET_EXCEEDED", "Admission", "Ledgers"]

BUDGET_EXCEEDED = "budget_exceeded"
"""The code of the 402 of a request that does not fit a budget."""

# Time to settle after the latest end of a request; then its environment is presumed dead.
_SETTLING_SECONDS = 60


class Ledgers(Protocol):
    """Reserves and settles (store.ledger.LedgerStore)."""

    def reserve(self, ledgers: Mapping[str, Limits], request: ReservationRequest, /) -> Reservation:
        """Reserve `request` in `ledgers`."""

    def settlement(self, reservation: Reservation, cost: int, tokens: int | None, /) -> Settlement | None:
        """Return the settlement of a request."""

    def last_seen(self, ids: Collection[str], /) -> Mapping[str, Ledger]:
        """Return ledgers, which may be some seconds old."""


class _ThrottledLookup:
    """Finds callers, unless their address guesses keys."""

    def __init__(self, keys: KeyDirectory, throttle: GuessThrottle, address: str) -> None:
        self._keys = keys
        self._throttle = throttle
        self._address = address

    def find(self, key_hash: str) -> Caller | None:
        if self._address and not self._keys.is_cached(key_hash):
            self._throttle.check(self._address)
        caller = self._keys.find(key_hash)
        if caller is None and self._address:
            self._throttle.record_invalid(self._address, key_hash)
        return caller


class Admission:
    """Authenticate callers, check the models they may use, and reserve from their limits."""

    def __init__(
        self,
        master_key: Callable[[], str | None],
        keys: KeyDirectory,
        ledgers: Ledgers,
        clock: Clock,
        tokens: Callable[[], TokenLookup | None] = lambda: None,
    ) -> None:
        self._master_key = master_key
        self._keys = keys
        self._ledgers = ledgers
        self._clock = clock
        self._tokens = tokens  # finds the callers of a provider's tokens; mostly None
        self._throttle = GuessThrottle(clock)

    def caller(self, headers: Mapping[str, str]) -> Caller:
        """Return who sent a request with `headers`. Raises ApiError (401, 503)."""
        try:
            master_key = self._master_key()
            return authenticate(headers, master_key, self._lookup(headers), self._clock.now(), self._tokens())
        except KeysUnavailableError:
            raise unavailable("The API key sent cannot be checked right now.") from None

    def check_master(self, headers: Mapping[str, str]) -> None:
        """Let the holder of the master key through. Raises ApiError (401, 403, 503)."""
        try:
            authenticate_master(headers, self._master_key(), self._lookup(headers), self._clock.now())
        except KeysUnavailableError:
            raise unavailable("The API key sent cannot be checked right now.") from None

    def _lookup(self, headers: Mapping[str, str]) -> "_ThrottledLookup":
        return _ThrottledLookup(self._keys, self._throttle, headers.get(SOURCE_ADDRESS, ""))

    def model(self, caller: Caller, name: str, catalogue: Catalogue) -> VirtualModel:
        """Return the model called `name`, or whose alias for `caller` it is. Raises ApiError.

        403 if `caller` may not use it, 404 if there is none, 503 if its row is wrong. What is checked is the model, not
        the alias. No error names a model that the caller may not use. A key that lists a deployment, such as
        `ark/glm-4.7`, may call it alone, which is how a provider is tested.
        """
        resolved = catalogue.resolve(name, caller.aliases)
        if not caller.may_use(resolved):
            raise model_denied(name, caller.usable(catalogue.models), is_alias=resolved != name)
        if model := catalogue.models.get(resolved):
            return model
        if resolved in catalogue.broken:
            raise misconfigured(resolved)
        if resolved in catalogue.switched_off:
            raise switched_off(resolved)
        if caller.names_model(resolved) and (deployment := catalogue.deployments.get(resolved)):
            return VirtualModel(resolved, f"The deployment {resolved} alone", ((deployment,),))
        raise unknown_model(name, caller.usable(catalogue.models))

    def consult_budgets(
        self, caller: Caller, model: VirtualModel, wanted: ClientRequest, catalogue: Catalogue
    ) -> "BudgetReport | None":
        """Return which model serves `wanted` by its budget ladder, and soft budgets that are spent; mostly None."""
        if caller.is_master or not (model.ladder or caller.has_budget_rules):
            return None
        from vibe_router.pipeline.budgets import consult_budgets

        ledgers = self._ledgers.last_seen(caller.ledgers_for(model.name))
        return consult_budgets(caller, model, wanted, catalogue, ledgers, self._clock.now())

    def reserve(self, caller: Caller, model: VirtualModel, wanted: ClientRequest, seconds: float) -> Reservation:
        """Reserve the estimate of `wanted` from the caller's limits; the request ends within `seconds`.

        Raises ApiError: 402 over a budget, 429 over another limit, 503 if too many requests reserve concurrently.
        """
        ledgers = caller.ledgers_for(model.name)
        estimate = ReservationRequest(0, 0, 0)
        if any(limits.needs_reservation for limits in ledgers.values()):  # else no estimate is needed
            prompt = min(wanted.prompt_tokens_estimate(), MAX_TOKENS)
            answer = plausible_answer_tokens(model.chain, wanted.max_output_tokens, wanted.answers)
            until = round(self._clock.now() + seconds + _SETTLING_SECONDS, 3)
            calls = model.most_calls
            cost = min(calls * estimate_cost(model.chain, prompt, answer), MAX_COST)
            estimate = ReservationRequest(cost, calls * (prompt + answer), until)
        try:
            return self._ledgers.reserve(ledgers, estimate)
        except LimitReachedError as error:
            raise _limit_error(error, estimate, self._clock.now()) from None
        except LedgerBusyError:
            raise unavailable("Too many requests with this API key are starting at once. Try again.") from None
        except ReservationRejectedError:
            raise bad_request(
                "The request is too large: its cost cannot be reserved.", code="request_too_large"
            ) from None

    def count_request(self, caller: Caller) -> None:
        """Count a request that calls no model against the caller's requests per minute. Raises ApiError (429, 503)."""
        ledgers = {id_: Limits(rpm=limits.rpm) for id_, limits in caller.ledgers.items() if limits.rpm is not None}
        if not ledgers:
            return
        request = ReservationRequest(0, 0, 0)  # its hold expires at once: there is nothing to settle
        try:
            self._ledgers.reserve(ledgers, request)
        except LimitReachedError as error:
            raise _limit_error(error, request, self._clock.now()) from None
        except (LedgerBusyError, ReservationRejectedError):
            raise unavailable("Too many requests with this API key are starting at once. Try again.") from None

    def settlement(self, reservation: Reservation, record: Record) -> Settlement | None:
        """Return the settlement of a request, None if there is nothing to settle."""
        tokens: int | None = 0  # an error uses none
        if record.deployment is not None:
            tokens = record.usage.total_tokens if record.usage.known else None
        return self._ledgers.settlement(reservation, record.charge, tokens)


def _limit_error(error: LimitReachedError, estimate: ReservationRequest, now: float) -> ApiError:
    denial = error.denial
    owner, _, of_model = ledger_parts(error.ledger_id)
    whose = {"key": "this API key"}.get(owner, f"the {owner} that this API key belongs to")
    whose += f" for {of_model}" if of_model else ""
    if denial.limit is Limit.BUDGET:
        renewed = ""
        if denial.retry_after:
            ends = datetime.fromtimestamp(now + denial.retry_after, UTC)
            renewed = f" It resets at {ends.isoformat(timespec='seconds')}."
        message = (
            f"The budget of {whose} is {_dollars(denial.most)}; {_dollars(denial.used)} of it are spent or reserved, "
            f"and this request may cost {_dollars(estimate.cost)}.{renewed}"
        )
        return ApiError(402, message, type="budget_exceeded", code="budget_exceeded")
    limits = {
        Limit.REQUESTS: f"Requests per minute are limited to {denial.most} for {whose}.",
        Limit.TOKENS: f"Tokens per minute are limited to {denial.most} for {whose}; {denial.used} of them are used or "
        f"reserved, and this request may use {estimate.tokens}.",
        Limit.PARALLEL: f"Concurrent requests are limited to {denial.most} for {whose}.",
    }
    return ApiError(
        429,
        limits[denial.limit],
        type="rate_limit_error",
        code="rate_limit_exceeded",
        headers={**rate_limit_headers(error.windows, now), "retry-after": str(max(math.ceil(denial.retry_after), 1))},
    )


def _dollars(nano: int) -> str:
    return f"${as_dollars(nano):.6f}".rstrip("0").rstrip(".")

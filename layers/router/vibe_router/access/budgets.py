"""Budget ladders and soft budgets: what happens while a budget is being used up. Pure.

A ladder has, for a virtual model, the models that serve in its place once a share of a budget is spent:

    share spent    0 %                        80 %                           95 %                 100 %
    auto-chat      serves ─────────────────── auto-chat-mini serves ──────── auto-nano serves ─── 402

The share that counts is the highest one among the budgets that the request is charged to: those of the key, of its
team and its user, and of the model. A key's own ladder wins over its team's, that over its user's, and that over the
route's. A step whose model the key
may not use, or that does not exist, is skipped. A ladder is not followed further at the model that it leads to.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from vibe_router.access.keys import Caller, Limits, ledger_parts
from vibe_router.access.ledger import Ledger, roll_period
from vibe_router.core.models import LadderStep, VirtualModel
from vibe_router.core.patterns import by_precedence, matches
from vibe_router.core.price import NANO

__all__ = ["BudgetLadder", "SoftBudget", "budget_ladder", "exceeded_soft_budgets", "ladder_of"]


@dataclass(frozen=True, slots=True)
class BudgetLadder:
    """The place of a request on the ladder of the virtual model `asked`.

    `serves` is the model that serves, `step` the step that names it (None at the top: `asked` serves), and `below` are
    the steps that are left. `ledger_id` is the budget that is used the most, and `share` the part of it that is spent.
    """

    asked: str
    serves: str
    step: LadderStep | None
    below: tuple[LadderStep, ...]
    ledger_id: str
    share: float

    @property
    def owner(self) -> str:
        """The owner of the budget: key, team or user."""
        return ledger_parts(self.ledger_id)[0]

    def header(self) -> str:
        """Return the value of the header `x-vibe-budget-ladder`."""
        start = f"{self.step.share:g}" if self.step else "0"
        return f"{self.asked}; from={start}; budget={self.owner}; used={self.share:.3g}"

    def places(self) -> "Iterator[BudgetLadder]":
        """Yield this place, and those below it in order."""
        yield self
        for index, step in enumerate(self.below, 1):
            yield replace(self, serves=step.model, step=step, below=self.below[index:])


@dataclass(frozen=True, slots=True)
class SoftBudget:
    """A soft budget that is spent: its owner (key, team or user), the budget, and what is spent, in nano-dollars."""

    ledger_id: str
    budget: int
    spent: int

    @property
    def owner(self) -> str:
        """The owner of the budget: key, team or user."""
        return ledger_parts(self.ledger_id)[0]

    def header(self) -> str:
        """Return its part of the header `x-vibe-soft-budget`, in dollars."""
        return f"{self.owner}; spent={self.spent / NANO:.6g}; budget={self.budget / NANO:.6g}"


def ladder_of(caller: Caller, model: VirtualModel) -> tuple[LadderStep, ...]:
    """Return the ladder of `model` for `caller`, as far as it may use its models; () without one."""
    ladder = model.ladder
    for holder in caller.holders:
        found = holder.budget_ladder.get(model.name)
        if found is None:
            patterns = (each for each in by_precedence(holder.budget_ladder) if matches(each, model.name))
            found = next((holder.budget_ladder[each] for each in patterns), None)
        if found is not None:
            ladder = found
            break
    return tuple(step for step in ladder if step.model != model.name and caller.may_use(step.model))


def budget_ladder(
    caller: Caller,
    model: VirtualModel,
    ledgers: Mapping[str, Ledger],
    now: float,
    is_served: Callable[[str], bool],
) -> BudgetLadder | None:
    """Return where a request for `model` stands on its ladder; None without a ladder or a budget.

    `ledgers` are those of the caller by id; a missing one is unused. `is_served` says whether a model exists and can
    serve the request.
    """
    ladder = tuple(step for step in ladder_of(caller, model) if is_served(step.model))
    budgets = {id_: limits for id_, limits in caller.ledgers_for(model.name).items() if limits.max_budget is not None}
    if not ladder or not budgets:
        return None
    shares = {id_: _share(ledgers.get(id_), limits, now) for id_, limits in budgets.items()}
    ledger_id = max(shares, key=lambda id_: shares[id_])
    share = shares[ledger_id]
    passed = sum(step.share <= share for step in ladder)
    step = ladder[passed - 1] if passed else None
    return BudgetLadder(model.name, step.model if step else model.name, step, ladder[passed:], ledger_id, share)


def exceeded_soft_budgets(caller: Caller, ledgers: Mapping[str, Ledger], now: float) -> tuple[SoftBudget, ...]:
    """Return the soft budgets of `caller` that are spent; `ledgers` are as in `budget_ladder`."""
    return tuple(_exceeded(caller.ledgers.items(), ledgers, now))


def _exceeded(limited: Iterable[tuple[str, Limits]], ledgers: Mapping[str, Ledger], now: float) -> Iterable[SoftBudget]:
    for id_, limits in limited:
        spent = _spent(ledgers.get(id_), limits, now)
        if limits.soft_budget is not None and spent >= limits.soft_budget:
            yield SoftBudget(id_, limits.soft_budget, spent)


def _share(ledger: Ledger | None, limits: Limits, now: float) -> float:
    """Return the part of a budget that is spent in this period; a budget of nothing is spent from the start."""
    return _spent(ledger, limits, now) / limits.max_budget if limits.max_budget else 1.0


def _spent(ledger: Ledger | None, limits: Limits, now: float) -> int:
    return 0 if ledger is None else roll_period(ledger, limits, now).spent

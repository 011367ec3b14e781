"""Consult budgets before a request is reserved: the model that its budget ladder leads to, and spent soft budgets.

Imported with the first request whose model, key or team has a ladder or a soft budget.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from vibe_router.access.budgets import BudgetLadder, SoftBudget, budget_ladder, exceeded_soft_budgets
from vibe_router.access.keys import Caller
from vibe_router.access.ledger import Ledger
from vibe_router.core.models import Catalogue, VirtualModel
from vibe_router.formats.interfaces import ClientRequest
from vibe_router.upstream.fit import unfit_reason

__all__ = ["BudgetReport", "consult_budgets"]


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """The place of a request on its ladder, if it has one, and the soft budgets that are spent."""

    ladder: BudgetLadder | None
    soft: tuple[SoftBudget, ...]


def consult_budgets(
    caller: Caller,
    model: VirtualModel,
    request: ClientRequest,
    catalogue: Catalogue,
    ledgers: Mapping[str, Ledger],
    now: float,
) -> BudgetReport:
    """Return where `request` for `model` stands. `ledgers` are those of the caller by id; a missing one is unused."""

    def is_served(name: str) -> bool:
        found = catalogue.models.get(name)
        return found is not None and any(unfit_reason(request, each) is None for each in found.chain)

    ladder = budget_ladder(caller, model, ledgers, now, is_served)
    return BudgetReport(ladder, exceeded_soft_budgets(caller, ledgers, now))

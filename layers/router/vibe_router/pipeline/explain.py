"""Explain where a request would go now, and why, in words. Nothing is called, leased or written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vibe_router.access.budgets import BudgetLadder, SoftBudget
from vibe_router.access.keys import Caller, ledger_parts, require_active
from vibe_router.access.ledger import Denial, Ledger, Limit, ReservationRequest, plan_reservation
from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError
from vibe_router.core.models import Catalogue, Deployment, VirtualModel
from vibe_router.core.price import as_dollars
from vibe_router.formats.interfaces import ClientRequest
from vibe_router.pipeline.admission import BUDGET_EXCEEDED
from vibe_router.pipeline.budgets import consult_budgets
from vibe_router.pipeline.chain_memory import ChainMemory, Conversations, Observations, facts_of
from vibe_router.pipeline.estimate import estimate_cost, plausible_answer_tokens
from vibe_router.pipeline.first_tokens import FirstTokenTimes
from vibe_router.pipeline.status import at_iso
from vibe_router.routing.chain import Candidate, Mode, Skipped, in_order, last_resort, plan
from vibe_router.routing.cooldown import Phase, State
from vibe_router.routing.order import Facts, is_reserved
from vibe_router.upstream.exchange import open_exchange
from vibe_router.upstream.fit import unfit_reason

__all__ = ["ChainStores", "admission", "on_ladder", "route"]


@dataclass(frozen=True, slots=True)
class ChainStores:
    """The stores of the memory that all environments share: of conversations, and of observations."""

    conversations: Conversations
    observations: Observations


def route(
    model: VirtualModel,
    request: ClientRequest,
    states: Mapping[str, State],
    now: float,
    stores: ChainStores | None = None,
    caller: tuple[str, str] = ("", ""),
) -> dict[str, Any]:
    """Return the deployments on which `request` would be `tried`, in order, and those `skipped`, with the reasons.

    `caller` are the id and the alias of the key. `stays_at` is the deployment at which the conversation stays.
    """
    rejections = {each.id: error for each in model.chain if (error := _rejection(each, request, now))}
    steps = (tuple(each for each in step if each.id not in rejections) for step in model.steps)
    able = replace(model, steps=tuple(step for step in steps if step))
    memory = _memory(stores, now)
    stay = memory.stay(able, request, states, caller) if memory and able.steps else None
    order = memory.order(able, request, states, caller) if memory and able.steps else in_order(able, _affinity(request))
    planned = plan(able, states, now, order=order)
    observed = stores.observations.read(each.id for each in model.chain) if stores else {}
    facts = facts_of(model, request, observed, caller, stay, now)
    last = len(planned.candidates) - 1
    tried = [
        _tried(position, each, model, facts, is_last=position == last) | _sent(each.deployment, request, now)
        for position, each in enumerate(planned.candidates)
    ]
    if hedge := _hedge(planned.candidates, request):
        tried[0] |= {"hedge_after": hedge[0]}
        tried[0]["why"] += hedge[1]
    skipped = [_skipped(each, states, now) for each in planned.skipped]
    if not tried and (deployment := last_resort(planned.skipped)):
        why = "All deployments are cooling, and this one is the next to come free: it would be tried once."
        tried = [{"deployment": deployment.id, "mode": Mode.LAST_RESORT, "why": why}]
    skipped += (
        {"deployment": each, "verdict": None, "free_at": None, "why": f"It cannot serve the request: {error.message}"}
        for each, error in rejections.items()
    )
    stays_at = {"deployment": stay.deployment, "until": at_iso(stay.until)} if stay else None
    return {"model": model.name, "tried": tried, "skipped": skipped, "stays_at": stays_at}


def on_ladder(
    caller: Caller,
    model: VirtualModel,
    request: ClientRequest,
    catalogue: Catalogue,
    ledgers: Mapping[str, Ledger],
    now: float,
) -> tuple[VirtualModel, dict[str, Any]]:
    """Return the model that serves `request` for `model`, and what budgets say about it, if anything.

    `ledgers` are those of the caller by id, for `model` and for the models of its ladder; a missing one is unused.
    """
    report = consult_budgets(caller, model, request, catalogue, ledgers, now)
    said: dict[str, Any] = {}
    if report.soft:
        said["soft_budgets"] = [_soft_budget(each) for each in report.soft]
    if report.ladder is None:
        return model, said

    def has_room(place: BudgetLadder) -> bool:
        admitted = admission(caller, catalogue.models[place.serves], request, ledgers, now)
        return bool(admitted["code"] != BUDGET_EXCEEDED)

    place = next(filter(has_room, report.ladder.places()), report.ladder)
    return catalogue.models[place.serves], {**said, "budget_ladder": _ladder(place)}


def admission(
    caller: Caller, model: VirtualModel, request: ClientRequest, ledgers: Mapping[str, Ledger], now: float
) -> dict[str, Any]:
    """Return whether `caller` would be admitted with `request`, and the error otherwise.

    `ledgers` are those of the caller by id; a missing one is unused.
    """
    answers = plausible_answer_tokens(model.chain, request.max_output_tokens, request.answers)
    prompt = request.prompt_tokens_estimate()
    cost = estimate_cost(model.chain, prompt, answers)
    estimated: dict[str, Any] = {"estimate": {"cost": as_dollars(cost), "prompt_tokens": prompt, "max_tokens": answers}}
    try:
        require_active(caller, now)
    except ApiError as error:
        return {"admitted": False, "code": error.code, "why": error.message, **estimated}
    if not caller.may_use(model.name):
        why = f"The key may not use {model.name}."
        return {"admitted": False, "code": "key_model_access_denied", "why": why, **estimated}
    wanted = ReservationRequest(cost, prompt + answers, now + 1)
    for ledger_id, limits in caller.ledgers_for(model.name).items():
        decided = plan_reservation(ledgers.get(ledger_id) or Ledger(exists=False), limits, wanted, "explained", now)
        if isinstance(decided, Denial):
            whose, _, of_model = ledger_parts(ledger_id)
            whose += f" for {of_model}" if of_model else ""
            code = BUDGET_EXCEEDED if decided.limit is Limit.BUDGET else "rate_limit_exceeded"
            return {"admitted": False, "code": code, "why": _limited(whose, decided), **estimated}
    return {"admitted": True, "code": None, "why": "Key, model, limits and budget allow it.", **estimated}


def _soft_budget(soft: SoftBudget) -> dict[str, Any]:
    spent, budget = as_dollars(soft.spent), as_dollars(soft.budget)
    why = f"The {soft.owner} has spent ${spent:g}, beyond its soft budget of ${budget:g}. That only warns."
    return {"owner": soft.owner, "spent": spent, "budget": budget, "why": why}


def _ladder(place: BudgetLadder) -> dict[str, Any]:
    used = f"The {place.owner} has used {place.share:.1%} of its budget"
    if place.step is None:
        why = f"{used}; {place.below[0].model} serves from {place.below[0].share:.0%} on."
    elif place.step.share <= place.share:
        why = f"{used}: from {place.step.share:.0%} on, {place.serves} serves instead of {place.asked}."
    else:
        why = f"{used}, which leaves too little for {place.asked}: {place.serves} serves."
    return {
        "model": place.asked,
        "serves": place.serves,
        "from": place.step.share if place.step else 0,
        "budget": place.owner,
        "used": round(place.share, 4),
        "why": why,
    }


def _rejection(deployment: Deployment, request: ClientRequest, now: float) -> ApiError | None:
    """Return the error for which `deployment` cannot be sent this request; None if it can."""
    if error := unfit_reason(request, deployment):
        return error
    try:
        open_exchange(request, deployment, now, stream=request.stream)
    except ApiError as error:
        return error
    return None


def _memory(stores: ChainStores | None, now: float) -> ChainMemory | None:
    """Return the memory that requests are ordered by, at this moment."""
    if stores is None:
        return None
    return ChainMemory(stores.conversations, stores.observations, FirstTokenTimes(), Clock(now=lambda: now))


def _affinity(request: ClientRequest) -> bytes:
    try:
        return request.affinity()
    except ApiError:  # the request is rejected anyway
        return b""


def _sent(deployment: Deployment, request: ClientRequest, now: float) -> dict[str, Any]:
    """Return what of the request would not be sent as the caller sends it."""
    if deployment.policy.shape is None:
        return {}
    exchange = open_exchange(request, deployment, now, stream=request.stream)
    return {"shaped": deployment.policy.shape.changes_body, "dropped_params": list(exchange.dropped)}


def _hedge(candidates: Sequence[Candidate], request: ClientRequest) -> tuple[float | str, str] | None:
    """Return after how long the second candidate would be started beside the first, and that in words."""
    if len(candidates) < 2 or not request.stream or any(each.mode is not Mode.NORMAL for each in candidates[:2]):
        return None
    after = candidates[0].deployment.policy.hedge_after
    if after is None:
        return None
    waited = "its own p95 of the time to first token" if isinstance(after, str) else f"{after:g} s"
    return after, f" If it is silent for {waited}, {candidates[1].deployment.id} is started too."


_CHOSEN = {
    "weights": "chosen by weight and the hash of the conversation",
    "cheapest": "ordered by price",
    "fastest": "ordered by the time to first token",
    "quota": "ordered by what is left of the quota",
}


def _tried(position: int, candidate: Candidate, model: VirtualModel, facts: Facts, *, is_last: bool) -> dict[str, Any]:
    deployment = candidate.deployment
    step_number = next(number for number, step in enumerate(model.steps, 1) if deployment in step)
    step = model.steps[step_number - 1]
    why = f"Step {step_number}" + (f", {_CHOSEN[step[0].policy.order]}" if len(step) > 1 else "")
    if deployment.id == facts.stays_at:
        why += ", where the conversation stays"
    why += "." if not position else "; only if the deployments before it fail."
    if is_reserved(deployment, facts):
        why += " The rest of its quota is for running conversations and named keys, so it is last."
    if deployment.policy.continuation and not is_last:
        why += " A text that breaks off here is continued by the next one."
    if candidate.mode is Mode.PROBE:
        why += " Its cooldown is over, so this request would probe it, unless another request already does."
    return {"deployment": deployment.id, "mode": candidate.mode, "why": why}


def _skipped(skipped: Skipped, states: Mapping[str, State], now: float) -> dict[str, Any]:
    deployment = skipped.deployment
    found = [state for state_id in deployment.state_ids if (state := states.get(state_id))]
    cooling = [state for state in found if state.phase(now) is Phase.COOLING]
    scope = "the provider's key" if any(state.id == deployment.provider.state_id for state in cooling) else "it"
    why = f"{scope[0].upper()}{scope[1:]} is cooling after '{skipped.verdict}'."
    if not cooling:
        why = "Another request is probing it."
    return {
        "deployment": deployment.id,
        "verdict": skipped.verdict,
        "free_at": at_iso(skipped.free_at),
        "why": why,
    }


def _limited(whose: str, denial: Denial) -> str:
    match denial.limit:
        case Limit.BUDGET:
            used, most = as_dollars(denial.used), as_dollars(denial.most)
            return f"The {whose}'s budget of ${most:g} has ${used:g} spent or reserved: the estimate does not fit."
        case Limit.REQUESTS:
            return f"Requests per minute are limited to {denial.most} for this {whose}, and all are used."
        case Limit.TOKENS:
            return f"Tokens per minute are limited to {denial.most} for this {whose}: the estimate does not fit."
    return f"Concurrent requests are limited to {denial.most} for this {whose}, and all are in use."

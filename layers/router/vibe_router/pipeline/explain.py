"""Explain where a request would go now, and why, in words. Nothing is called, leased or written."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vibe_router.access.keys import Caller, require_active
from vibe_router.access.ledger import Denial, Ledger, Limit, ReservationRequest, plan_reservation
from vibe_router.core.errors import ApiError
from vibe_router.core.models import Deployment, VirtualModel
from vibe_router.core.price import as_dollars
from vibe_router.formats.interfaces import ClientRequest
from vibe_router.pipeline.estimate import estimate_cost, plausible_answer_tokens
from vibe_router.pipeline.status import at_iso
from vibe_router.routing.chain import Candidate, Mode, Skipped, last_resort, plan
from vibe_router.routing.cooldown import Phase, State
from vibe_router.upstream.exchange import open_exchange
from vibe_router.upstream.fit import unfit_reason

__all__ = ["admission", "route"]


def route(model: VirtualModel, request: ClientRequest, states: Mapping[str, State], now: float) -> dict[str, Any]:
    """Return the deployments on which `request` would be `tried`, in order, and those `skipped`, with the reasons."""
    refusals = {each.id: error for each in model.chain if (error := _refusal(each, request, now))}
    steps = (tuple(each for each in step if each.id not in refusals) for step in model.steps)
    able = replace(model, steps=tuple(step for step in steps if step))
    shared = any(len(step) > 1 for step in able.steps)
    planned = plan(able, states, now, request.affinity() if shared else b"")
    tried = [_tried(position, each, model) for position, each in enumerate(planned.candidates)]
    skipped = [_skipped(each, states, now) for each in planned.skipped]
    if not tried and (deployment := last_resort(planned.skipped)):
        why = "All deployments are cooling, and this one is the next to come free: it would be tried once."
        tried = [{"deployment": deployment.id, "mode": Mode.LAST_RESORT, "why": why}]
    skipped += (
        {"deployment": each, "verdict": None, "free_at": None, "why": f"It cannot serve the request: {error.message}"}
        for each, error in refusals.items()
    )
    return {"model": model.name, "tried": tried, "skipped": skipped}


def admission(
    caller: Caller, model: VirtualModel, request: ClientRequest, ledgers: Mapping[str, Ledger], now: float
) -> dict[str, Any]:
    """Return whether `caller` would be admitted with `request`, and the error otherwise.

    `ledgers` are those of the caller's key and team by id; a missing one is unused.
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
    wish = ReservationRequest(cost, prompt + answers, now + 1)
    for ledger_id, limits in caller.ledgers.items():
        decided = plan_reservation(ledgers.get(ledger_id) or Ledger(exists=False), limits, wish, "explained", now)
        if isinstance(decided, Denial):
            whose = ledger_id.partition("#")[0]
            code = "budget_exceeded" if decided.limit is Limit.BUDGET else "rate_limit_exceeded"
            return {"admitted": False, "code": code, "why": _limited(whose, decided), **estimated}
    return {"admitted": True, "code": None, "why": "Key, model, limits and budget allow it.", **estimated}


def _refusal(deployment: Deployment, request: ClientRequest, now: float) -> ApiError | None:
    """Return the error for which `deployment` cannot be sent this request; None if it can."""
    if error := unfit_reason(request, deployment):
        return error
    try:
        open_exchange(request, deployment, now, stream=request.stream)
    except ApiError as error:
        return error
    return None


def _tried(position: int, candidate: Candidate, model: VirtualModel) -> dict[str, Any]:
    deployment = candidate.deployment
    step_number = next(number for number, step in enumerate(model.steps, 1) if deployment in step)
    shares = len(model.steps[step_number - 1]) > 1
    why = f"Step {step_number}" + (", chosen by weight and the hash of the conversation" if shares else "")
    why += "." if not position else "; only if the deployments before it fail."
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


def _limited(whose: str, refusal: Denial) -> str:
    match refusal.limit:
        case Limit.BUDGET:
            used, most = as_dollars(refusal.used), as_dollars(refusal.most)
            return f"The {whose}'s budget of ${most:g} has ${used:g} spent or reserved: the estimate does not fit."
        case Limit.REQUESTS:
            return f"Requests per minute are limited to {refusal.most} for this {whose}, and all are used."
        case Limit.TOKENS:
            return f"Tokens per minute are limited to {refusal.most} for this {whose}: the estimate does not fit."
    return f"Concurrent requests are limited to {refusal.most} for this {whose}, and all are in use."

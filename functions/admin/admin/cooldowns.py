"""/cooldowns: list and clear cooldowns."""

from typing import Annotated, Any

from pydantic import Field

from admin.call import Call, call_of
from admin.fields import Body, example, optional
from admin.openapi import answers
from admin.router import Router
from admin.routes_logic import catalogue, states_of
from vibe_router.core.errors import ApiError, bad_request, unavailable
from vibe_router.pipeline.status import at_iso, deployment_status
from vibe_router.routing.cooldown import State, cleared

__all__ = ["router"]

router = Router()

_TRIES = 5  # requests may cool or probe the same deployment at the same time


class Clear(Body):
    """The cooldowns to clear: a deployment's (with its provider's key), all of a provider, or all."""

    model_config = example(all=True)

    deployment: Annotated[str, Field(min_length=1, max_length=400)] | None = optional(
        "One deployment, as provider/model"
    )
    provider: Annotated[str, Field(min_length=1, max_length=100)] | None = optional("All deployments of a provider")
    all: bool | None = optional("All deployments")


@router.get("/cooldowns", tags=["Cooldowns"], responses=answers("`deployments`, each with its `state` and its models."))
def listed() -> dict[str, Any]:
    """List the state of every deployment, with the models it serves."""
    call = call_of(router)
    spec, _ = catalogue(call)
    states = states_of(call, spec)
    models: dict[tuple[str, str], list[str]] = {}
    for name, model in spec.models.items():
        for member in dict.fromkeys((member.provider, member.model) for step in model.chain for member in step):
            models.setdefault(member, []).append(name)
    observed = call.environment.observations.read(f"{provider}/{model}" for provider, model in models)
    deployments = [
        {**deployment_status(f"{provider}/{model}", provider, states, call.now, observed), "models": names}
        for (provider, model), names in models.items()
    ]
    return {"deployments": deployments, "now": at_iso(call.now)}


@router.post("/cooldowns/clear", tags=["Cooldowns"], responses=answers("`cleared`: the cooldowns that ended.", 404))
def clear(body: Clear) -> dict[str, Any]:
    """Clear cooldowns. Every environment follows within a second."""
    call = call_of(router)
    wanted = [body.deployment is not None, body.provider is not None, bool(body.all)]
    if sum(wanted) != 1:
        raise bad_request("deployment: send exactly one of deployment, provider and all.", param="deployment")
    spec, _ = catalogue(call)
    states = states_of(call, spec)
    if body.deployment is not None:
        provider, _, model = body.deployment.partition("/")
        ids = {f"deployment#{body.deployment}", f"credential#{provider}"}
        known = f"deployment#{provider}/{model}" in states
    else:
        ids = {each for each in states if body.all or _provider(each) == body.provider}
        known = bool(body.all) or f"credential#{body.provider}" in states
    if not known:
        name = body.deployment or body.provider or ""
        raise ApiError(404, f"The routes contain no {name[:100]}.", code="deployment_not_found")
    cleared = [each for each in sorted(ids) if each in states and _cleared(call, states[each])]
    if call.environment.states.degraded:
        raise unavailable("The router's tables cannot be reached right now.")
    return {"cleared": cleared}


def _cleared(call: Call, state: State) -> bool:
    """Clear one cooldown, despite concurrent writes. Return False if it was not cooling."""
    if not state.until:
        return False
    for _ in range(_TRIES):
        wanted = cleared(state, call.now)
        state = call.environment.states.replace(state, wanted)
        if state == wanted or not state.until:
            break
    return True


def _provider(state_id: str) -> str:
    return state_id.partition("#")[2].partition("/")[0]

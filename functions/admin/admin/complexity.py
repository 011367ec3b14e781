"""/complexity: routing by complexity: its rollouts, reports, evidence and models."""

from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import Field

from admin import complexity_logic as logic
from admin.call import call_of
from admin.fields import Body, example, optional
from admin.openapi import answers
from admin.router import Router

__all__ = ["router"]

router = Router()

ModelName = Annotated[str, Query(min_length=1, max_length=128, description="The routed model")]
Days = Annotated[int, Query(ge=1, le=90)]
_Name = Annotated[str, Field(min_length=1, max_length=128, description="The routed model")]
Stratum = Literal["en", "zh", "tools", "long"]


class Advance(Body):
    """A change of a rollout: to the next stage, or to the one named."""

    model_config = example(model="auto")

    model: _Name
    stage: Literal["manual", "shadow", "1", "10", "50", "100"] | None = optional("The stage; the next one by default")
    strata: list[Stratum] | None = optional("The strata that may go to mini; unchanged by default")
    number: int | None = optional("The number of the rollout that was read: rejected if it has changed")


class RollBack(Body):
    """A rollback to manual routing."""

    model_config = example(model="auto", reason="complaints")

    model: _Name
    reason: Annotated[str, Field(max_length=200)] | None = optional("Why, for people")


class Undo(Body):
    """The model whose last change of rollout or trees is undone."""

    model_config = example(model="auto")

    model: _Name


class Install(Body):
    """The trees to use, as `vibe complexity train` writes them; null for the shipped ones."""

    model_config = example(model="auto", trees=None)

    model: _Name
    trees: Annotated[Annotated[str, Field(max_length=32 * 1024)] | None, Field(description="The trees, as JSON")]


@router.get("/complexity", tags=["Complexity"], responses=answers("`models`, each with its rollout."))
def rollouts() -> dict[str, Any]:
    """List the models that are routed by complexity, with their rollouts."""
    return logic.rollouts(call_of(router))


@router.get("/complexity/report", tags=["Complexity"], responses=answers("Rollout, gates and disagreements.", 404))
def report(model: ModelName, days: Days = 30) -> dict[str, Any]:
    """Report on a routed model: what its gates require, stratum by stratum, and what is missing."""
    return logic.report(call_of(router), model, days)


@router.get("/complexity/rows", tags=["Complexity"], responses=answers("`rows`, and `next` for older ones.", 404))
def rows(
    model: ModelName, days: Days = 30, before: Annotated[str | None, Query(max_length=500)] = None
) -> dict[str, Any]:
    """List the evidence of a routed model, newest first: numbers only, never a text."""
    return logic.rows(call_of(router), model, days, before)


@router.post("/complexity/rollout", tags=["Complexity"], responses=answers("The new rollout.", 404, 409))
def advance(body: Advance) -> dict[str, Any]:
    """Advance a rollout. Rejected (409) while a gate of its strata is closed. Live within ten seconds."""
    return logic.advance(call_of(router), body.model, body.stage, body.strata, body.number)


@router.post("/complexity/rollback", tags=["Complexity"], responses=answers("The new rollout.", 404, 409))
def roll_back(body: RollBack) -> dict[str, Any]:
    """Return a model to manual routing: its standard model serves all requests."""
    return logic.roll_back(call_of(router), body.model, body.reason)


@router.post("/complexity/undo", tags=["Complexity"], responses=answers("The restored rollout.", 404, 409))
def undo(body: Undo) -> dict[str, Any]:
    """Undo the last change of a rollout or of its trees."""
    return logic.undo(call_of(router), body.model)


@router.post("/complexity/model", tags=["Complexity"], responses=answers("The new rollout.", 404, 409))
def install(body: Install) -> dict[str, Any]:
    """Install trees for a routed model, or return to the shipped ones."""
    return logic.install(call_of(router), body.model, body.trees)

"""/routes: read, check, compare, write, look back, go back, and explain where a request would go."""

import json
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import ConfigDict, Field

from admin import routes_logic
from admin.call import call_of
from admin.fields import Body, example, optional
from admin.openapi import answers
from admin.router import Router
from vibe_router.store.history import KEPT

__all__ = ["router"]

router = Router()

_PROBLEMS = answers("`problems`: what is wrong, and where.")
_CHANGES = answers("`problems`, or the `changes` that there would be.")
_WRITTEN = answers("The `version` that stands now, and its `changes`.", 409)

Rows = Annotated[dict[str, Any], Field(max_length=1000)]
Version = Annotated[int, Field(ge=0, le=10**15)]
Note = Annotated[str, Field(max_length=500)]
Digest = Annotated[str, Field(max_length=100)]


# A version that never stands: who runs the example as it is gets a 409, and nothing is overwritten.
_ROUTES = {
    "providers": {"openai": {"base_url": "https://api.openai.com/v1", "secret": "OPENAI_API_KEY"}},
    "models": {"auto-chat": {"chain": [{"provider": "openai", "model": "gpt-5"}]}},
}


class RoutesBody(Body):
    """What routes.yaml would say, whole: what is not in it is to go."""

    model_config = example(**_ROUTES)

    providers: Rows = Field(default_factory=dict)
    defaults: Rows = Field(default_factory=dict)
    models: Rows = Field(default_factory=dict)


class WriteRoutes(RoutesBody):
    """New routes, and the version that their editor saw; with its digest, rows edited by hand since are noticed too."""

    model_config = example(version=0, note="Written from a script", **_ROUTES)

    version: Version = Field(description="The one that was seen; 409 unless it still stands")
    digest: Digest | None = optional("The digest that was seen with it")
    note: Note = Field(default="", description="What for, in the history")


class RollBack(Body):
    """A version to go back to, and the one that the editor saw."""

    model_config = example(version=0, to=1)

    version: Version = Field(description="The one that was seen; 409 unless it still stands")
    digest: Digest | None = optional("The digest that was seen with it")
    to: Version = Field(description="The one to go back to")
    note: Note = Field(default="", description="What for, in the history")


class Explain(Body):
    """A request as it would be sent, in the format of `format`; without `key`, of the master."""

    model_config = ConfigDict(extra="allow") | example(model="auto-chat")

    model: Annotated[str, Field(min_length=1, max_length=300, description="A virtual model")]
    format: Annotated[str, Field(max_length=30, description="chat, responses, messages, completions …")] = "chat"
    key: Annotated[str, Field(max_length=300)] | None = optional("A key or its hash: would it be let in?")


@router.get("/routes", tags=["Routes"], responses=answers("The routes, their `version` and `digest`, and `chains`."))
def read() -> dict[str, Any]:
    """Tell the routes as they stand, with each chain's state."""
    return routes_logic.told(call_of(router))


@router.post("/routes/validate", tags=["Routes"], responses=_PROBLEMS)
def validate(body: RoutesBody) -> dict[str, Any]:
    """Tell what is wrong with routes."""
    return {"problems": routes_logic.checked(body.model_dump())[1]}


@router.post("/routes/dry-run", tags=["Routes"], responses=_CHANGES)
def dry_run(body: RoutesBody) -> dict[str, Any]:
    """Tell what writing these routes would change."""
    return routes_logic.compared(call_of(router), body.model_dump())


@router.put("/routes", tags=["Routes"], responses=_WRITTEN)
def write(body: WriteRoutes) -> Response[Any]:
    """Write routes over the version that their editor saw; 409 with the difference where they have changed since."""
    document = body.model_dump(exclude={"version", "digest", "note"})
    seen = routes_logic.Seen(body.version, body.digest)
    return _answered(routes_logic.written(call_of(router), document, seen, body.note))


@router.get("/routes/history", tags=["Routes"], responses=answers("`versions`, newest first."))
def history(limit: Annotated[int, Query(ge=1, le=KEPT)] = 50) -> dict[str, Any]:
    """Tell the newest versions: when they came, by whom, and what they changed."""
    return {"versions": routes_logic.history(call_of(router), limit)}


@router.post("/routes/rollback", tags=["Routes"], responses={**_WRITTEN, **answers("As for writing.", 404)})
def roll_back(body: RollBack) -> Response[Any]:
    """Write a version of the history over the one that the editor saw."""
    seen = routes_logic.Seen(body.version, body.digest)
    return _answered(routes_logic.rolled_back(call_of(router), seen, body.to, body.note))


@router.post(
    "/routes/explain",
    tags=["Routes"],
    responses=answers("What would be `tried`, in order, what `skipped`, and the `admission`.", 404),
)
def explain(body: Explain) -> dict[str, Any]:
    """Tell which deployments a request would be tried on now, in order, and why. Calls none of them."""
    sent = body.model_dump(exclude={"key", "format"}, exclude_unset=True)
    return routes_logic.explained(call_of(router), json.dumps(sent).encode(), body.model, body.format, body.key)


def _answered(outcome: tuple[int, dict[str, Any]]) -> Response[Any]:
    status, told = outcome
    return Response(status, "application/json", told)

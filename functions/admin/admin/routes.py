"""/routes: read, validate, compare, write, history, rollback, and explain."""

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
from vibe_router.store.history import HISTORY_LENGTH

__all__ = ["router"]

router = Router()

_PROBLEMS = answers("`problems`: each with its `path` and `reason`.")
_CHANGES = answers("`problems`, or the `changes` that a write would make.")
_WRITTEN = answers("The new `version` and its `changes`.", 409)

Rows = Annotated[dict[str, Any], Field(max_length=1000)]
Version = Annotated[int, Field(ge=0, le=10**15)]
Note = Annotated[str, Field(max_length=500)]
Digest = Annotated[str, Field(max_length=100)]


# A version that never exists: running the example unchanged gives 409 and overwrites nothing.
_ROUTES = {
    "providers": {"openai": {"base_url": "https://api.openai.com/v1", "secret": "OPENAI_API_KEY"}},
    "models": {"auto-chat": {"chain": [{"provider": "openai", "model": "gpt-5"}]}},
}


class RoutesBody(Body):
    """The complete content of routes.yaml: rows that are missing are deleted.

    Without `aliases`, those of models that remain stay as they are; without `alerts` or `guards`, these do.
    """

    model_config = example(**_ROUTES)

    providers: Rows = Field(default_factory=dict)
    defaults: Rows = Field(default_factory=dict)
    models: Rows = Field(default_factory=dict)
    aliases: Rows | None = None
    alerts: Rows | None = None
    guards: Rows | None = None


class SecretHost(Body):
    """A secret, and a host that it may be sent to."""

    secret: Annotated[str, Field(max_length=128)]
    host: Annotated[str, Field(max_length=300)]


ConfirmedHosts = Annotated[list[SecretHost], Field(max_length=1000)]
_CONFIRMED: Any = Field(default_factory=list, description="Hosts that secrets may be sent to from now on")


class WriteRoutes(RoutesBody):
    """New routes, and the version they are based on. With its digest, rows edited by hand are detected too."""

    model_config = example(version=0, note="Written from a script", **_ROUTES)

    version: Version = Field(description="The version this is based on; 409 if it is outdated")
    digest: Digest | None = optional("The digest of that version")
    note: Note = Field(default="", description="A note for the history")
    confirmed_hosts: ConfirmedHosts = _CONFIRMED


class RollBack(Body):
    """The version to restore, and the version this is based on."""

    model_config = example(version=0, to=1)

    version: Version = Field(description="The version this is based on; 409 if it is outdated")
    digest: Digest | None = optional("The digest of that version")
    to: Version = Field(description="The version to restore")
    note: Note = Field(default="", description="A note for the history")
    confirmed_hosts: ConfirmedHosts = _CONFIRMED


class Explain(Body):
    """A request in the format `format`; without `key`, it is the master key's."""

    model_config = ConfigDict(extra="allow") | example(model="auto-chat")

    model: Annotated[str, Field(min_length=1, max_length=300, description="A virtual model or an alias of one")]
    format: Annotated[str, Field(max_length=30, description="chat, responses, messages, completions …")] = "chat"
    key: Annotated[str, Field(max_length=300)] | None = optional("A key or its hash, to explain its admission")


@router.get("/routes", tags=["Routes"], responses=answers("The routes, their `version` and `digest`, and `chains`."))
def read() -> dict[str, Any]:
    """Return the current routes, with the state of each chain."""
    return routes_logic.read_routes(call_of(router))


@router.post("/routes/validate", tags=["Routes"], responses=_PROBLEMS)
def validate(body: RoutesBody) -> dict[str, Any]:
    """Validate routes."""
    return {"problems": routes_logic.validate(body.model_dump())[1]}


@router.post("/routes/dry-run", tags=["Routes"], responses=_CHANGES)
def dry_run(body: RoutesBody) -> dict[str, Any]:
    """Return what writing these routes would change."""
    return routes_logic.compare(call_of(router), body.model_dump())


@router.put("/routes", tags=["Routes"], responses=_WRITTEN)
def write(body: WriteRoutes) -> Response[Any]:
    """Write routes over the version they are based on; 409 with the differences if it is outdated."""
    document = body.model_dump(exclude={"version", "digest", "note", "confirmed_hosts"})
    seen = routes_logic.BaseVersion(body.version, body.digest)
    return _answered(routes_logic.write(call_of(router), document, seen, body.note, _pairs(body.confirmed_hosts)))


@router.get("/routes/history", tags=["Routes"], responses=answers("`versions`, newest first."))
def history(limit: Annotated[int, Query(ge=1, le=HISTORY_LENGTH)] = 50) -> dict[str, Any]:
    """List the newest versions with their time, author and changes."""
    return {"versions": routes_logic.history(call_of(router), limit)}


@router.post("/routes/rollback", tags=["Routes"], responses={**_WRITTEN, **answers("As for writing.", 404)})
def roll_back(body: RollBack) -> Response[Any]:
    """Restore a version of the history."""
    seen = routes_logic.BaseVersion(body.version, body.digest)
    confirmed = _pairs(body.confirmed_hosts)
    return _answered(routes_logic.roll_back(call_of(router), seen, body.to, body.note, confirmed))


@router.post(
    "/routes/explain",
    tags=["Routes"],
    responses=answers("The deployments `tried`, in order, the `skipped` ones, and the `admission`.", 404),
)
def explain(body: Explain) -> dict[str, Any]:
    """Return the deployments that a request would be tried on now, in order, and why. None is called."""
    sent = body.model_dump(exclude={"key", "format"}, exclude_unset=True)
    return routes_logic.explain_request(call_of(router), json.dumps(sent).encode(), body.model, body.format, body.key)


def _pairs(confirmed: list[SecretHost]) -> set[tuple[str, str]]:
    return {(each.secret, each.host) for each in confirmed}


def _answered(outcome: tuple[int, dict[str, Any]]) -> Response[Any]:
    status, body = outcome
    return Response(status, "application/json", body)

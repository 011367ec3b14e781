"""/ui/openapi.json: the OpenAPI document of the admin API, generated from the handlers.

Powertools describes paths, parameters and bodies. This module adds authentication, errors (never Powertools' own 422)
and the rows of the routes.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.models import APIKey, HTTPBearer, Server
from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponse

from admin.router import RegisteredRoute
from vibe_router.access.sessions import COOKIE
from vibe_router.routing.spec import RoutesSpec

__all__ = ["answers", "description"]

_REF = "#/components/schemas/{model}"
_ABOUT = """Keys, teams, routes, usage, cooldowns, routing by complexity, alerts and audit log of a router. Every call
sends the master key as `Authorization: Bearer`. Values in examples that begin with a dollar sign are placeholders.
Models are called under /v1, in OpenAI's and Anthropic's formats and with a virtual key:
/v1/chat/completions, /v1/responses, /v1/messages and others."""
_TAGS = {
    "Keys": "Virtual keys: allowed models, budgets, limits and expiry.",
    "Teams": "Models, a budget and limits that keys share.",
    "Users": "The users who own keys, in LiteLLM's shape.",
    "Models": "The deployments of each virtual model, in LiteLLM's shape.",
    "Spend": "Usage and spending, in LiteLLM's shapes.",
    "Usage": "Usage, performance, and how each request was routed.",
    "Routes": "Providers, and each virtual model's chain of deployments.",
    "Cooldowns": "Deployments in cooldown, and ending a cooldown.",
    "Secrets": "The providers' keys, which are written and never read out.",
    "Complexity": "Routing by complexity: rollouts, gates and evidence.",
    "Alerts": "Alerts, their deliveries, and a test of a receiver.",
    "Audit": "Who changed what, and who signed in.",
    "Metrics": "Counters and histograms for Prometheus.",
    "Me": "The keys and the usage of the signed-in user.",
    "Page": "The admin page's own session, in a cookie.",
}
_ERRORS = {
    400: "The request is invalid; `param` names the field.",
    401: "The key is missing or invalid.",
    403: "This needs the master key; a virtual key can only call models.",
    404: "The object does not exist.",
    409: "The object was changed concurrently.",
    429: "Too many attempts; retry after `Retry-After` seconds.",
    503: "The router's tables cannot be reached right now.",
}
_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"], "description": "the field that is wrong"},
                "code": {"type": ["string", "null"], "description": "what went wrong, for programs"},
            },
            "required": ["message", "type", "param", "code"],
        }
    },
    "required": ["error"],
    "description": "An error, in OpenAI's shape.",
}
_OF_THE_RESOLVER = ("HTTPValidationError", "ValidationError", "ResponseValidationError")


def answers(about: str, *errors: int, many: bool = False) -> dict[int, OpenAPIResponse]:
    """Return an operation's answers: an object (or `many`) that `about` describes, and its specific `errors`."""
    schema: dict[str, Any] = {"type": "array", "items": {"type": "object"}} if many else {"type": "object"}
    good: OpenAPIResponse = {"description": about, "content": {"application/json": {"schema": schema}}}
    return {200: good, **{status: {"description": _ERRORS[status]} for status in errors}}


def description(app: APIGatewayRestResolver, routes: Sequence[RegisteredRoute], prefix: str) -> str:
    """Return the document as JSON; `prefix` is the stage's part of the URL ("/prod" or "")."""
    schema = app.get_openapi_json_schema(
        title="Vibe Router's admin API",
        version="1",
        description=" ".join(_ABOUT.split()),
        servers=[Server(url=prefix or "/")],
        security_schemes={
            "masterKey": HTTPBearer(description="The master key."),
            "session": APIKey.model_validate(
                {"name": COOKIE, "in": "cookie", "description": "The session of a signed-in user."}
            ),
        },
        security=[{"masterKey": []}],
    )
    document = json.loads(schema)
    document["tags"] = [{"name": name, "description": about} for name, about in _TAGS.items()]
    schemas = document["components"]["schemas"]
    for name in _OF_THE_RESOLVER:
        schemas.pop(name, None)
    schemas["Error"] = _ERROR
    schemas |= _rows(schemas)
    paths = {}
    for route in routes:  # in the order of the handlers
        path = re.sub(r"<(\w+)>", r"{\1}", route.rule)
        if path in document["paths"]:
            paths[path] = document["paths"][path]
            _complete(paths[path][route.method.lower()], route.about)
    document["paths"] = paths
    return json.dumps(document, separators=(",", ":"))


def _complete(operation: dict[str, Any], about: str) -> None:
    """Add the handler's docstring and the errors that every operation may return."""
    operation["summary"], *rest = re.split(r"\.\s+", about.removesuffix("."), maxsplit=1)
    if rest:
        operation["description"] = f"{' '.join(rest[0].split())}."
    responses = operation["responses"]
    responses.pop("422", None)
    common = {503}
    if "parameters" in operation or "requestBody" in operation:
        common.add(400)
    if "security" not in operation:
        common |= {401, 403}
    for status in sorted(common | {int(status) for status in responses if int(status) >= 400}):
        responses[str(status)] = {
            "description": responses.pop(str(status), {}).get("description") or _ERRORS[status],
            "content": {"application/json": {"schema": {"$ref": _REF.format(model="Error")}}},
        }


def _rows(schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the schemas of the routes' rows, and reference them in the bodies."""
    spec = RoutesSpec.model_json_schema(ref_template=_REF)
    rows: dict[str, Any] = spec["$defs"]
    step = rows["ModelSpec"]["properties"]["chain"]
    step["items"] = {"anyOf": [step["items"]["items"], step["items"]]}  # a step with one deployment needs no list
    aliases = spec["properties"]["aliases"]
    aliases["additionalProperties"] = {"anyOf": [{"type": "string"}, aliases["additionalProperties"]]}  # as in a file
    for name in ("RoutesBody", "WriteRoutes"):
        for part, about in spec["properties"].items():
            schemas[name]["properties"][part] = {key: value for key, value in about.items() if key != "default"}
    return rows

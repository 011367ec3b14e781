"""/ui/openapi.json: the admin API in OpenAPI's words, of what the handlers themselves say.

Powertools knows paths, parameters and bodies. What it can't know is added here: who may call, how errors are told
(never as its own 422), and what a row of the routes looks like.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.models import APIKey, HTTPBearer, Server
from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponse

from admin.router import Known
from vibe_router.access.sessions import COOKIE
from vibe_router.routing.spec import RoutesSpec

__all__ = ["answers", "description"]

_REF = "#/components/schemas/{model}"
_ABOUT = """Keys, teams, routes, usage and cooldowns of a router. Every call sends the master key as `Authorization:
Bearer`. Names and values that begin with a dollar sign, in examples, stand for something of your own. Models are called
elsewhere, under /v1, in OpenAI's and Anthropic's formats and with a virtual key: /v1/chat/completions, /v1/responses,
/v1/messages and others."""
_TAGS = {
    "Keys": "Virtual keys: what they may do, what they may cost, and for how long.",
    "Teams": "What keys share: models, a budget, limits.",
    "Models": "What stands behind each virtual model, as LiteLLM tells it.",
    "Spend": "What was used and spent, in LiteLLM's shapes.",
    "Usage": "What was used, how well, and why each request went where it went.",
    "Routes": "Providers, and each virtual model's chain of deployments.",
    "Cooldowns": "Deployments that rest, and letting them be tried again.",
    "Page": "The admin page's own session, in a cookie.",
}
_ERRORS = {
    400: "Something in the request is wrong; `param` names the field.",
    401: "Nobody is known by the key that was sent, or none was sent.",
    403: "A virtual key opens models, no more: this needs the master key.",
    404: "There is nothing of this name.",
    409: "Others changed the same thing meanwhile.",
    429: "Too many tries; `Retry-After` says how long to wait.",
    503: "The router's tables can't be reached right now.",
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
    """Return what an operation answers: what `about` says, an object or `many`, and the errors that not all have."""
    schema: dict[str, Any] = {"type": "array", "items": {"type": "object"}} if many else {"type": "object"}
    good: OpenAPIResponse = {"description": about, "content": {"application/json": {"schema": schema}}}
    return {200: good, **{status: {"description": _ERRORS[status]} for status in errors}}


def description(app: APIGatewayRestResolver, known: Sequence[Known], prefix: str) -> str:
    """Return the description as JSON; `prefix` is the stage's part of the URL ("/prod" or "")."""
    schema = app.get_openapi_json_schema(
        title="Vibe Router's admin API",
        version="1",
        description=" ".join(_ABOUT.split()),
        servers=[Server(url=prefix or "/")],
        security_schemes={
            "masterKey": HTTPBearer(description="The master key."),
            "session": APIKey.model_validate({"name": COOKIE, "in": "cookie", "description": "Of somebody signed in."}),
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
    for route in known:  # in the order of the handlers
        path = re.sub(r"<(\w+)>", r"{\1}", route.rule)
        if path in document["paths"]:
            paths[path] = document["paths"][path]
            _complete(paths[path][route.method.lower()], route.about)
    document["paths"] = paths
    return json.dumps(document, separators=(",", ":"))


def _complete(operation: dict[str, Any], about: str) -> None:
    """Say what the handler's docstring says, and which errors there may be besides those that are its own."""
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
    """Return the shapes of the routes' rows, and put them where bodies have rows."""
    spec = RoutesSpec.model_json_schema(ref_template=_REF)
    rows: dict[str, Any] = spec["$defs"]
    step = rows["ModelSpec"]["properties"]["chain"]
    step["items"] = {"anyOf": [step["items"]["items"], step["items"]]}  # who stands alone in a step may do so bare
    for name in ("RoutesBody", "WriteRoutes"):
        for part, about in spec["properties"].items():
            schemas[name]["properties"][part] = {key: told for key, told in about.items() if key != "default"}
    return rows

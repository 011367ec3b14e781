"""Read the parts of template.yaml that the development stack runs: functions, routes, tables and the secret.

Roles, alarms, log groups and the rest are ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .intrinsics import NO_VALUE, Resolver, TemplateError, read_yaml

__all__ = [
    "ACCOUNT_ID",
    "REGION",
    "STACK_NAME",
    "Api",
    "Function",
    "GatewayResponse",
    "Route",
    "Table",
    "Template",
    "TemplateError",
    "read_template",
]

STACK_NAME = "vibe-router"
REGION = "us-east-1"
ACCOUNT_ID = "123456789012"
"""The account of the embedded AWS."""

DEFAULT_INTEGRATION_TIMEOUT = 29.0
"""API Gateway's timeout in seconds for a route without TimeoutInMillis."""


@dataclass(frozen=True)
class Function:
    """A Lambda function. `timeout` in seconds, `memory` in MB; `layers` are directories, in order.

    `streams`: the tables whose streams it reads, in `lanes` batches concurrently.
    """

    name: str
    handler: str
    code: Path
    runtime: str
    timeout: float
    memory: int
    environment: Mapping[str, str]
    layers: tuple[Path, ...]
    streams: tuple[str, ...] = ()
    lanes: int = 1


@dataclass(frozen=True)
class Route:
    """A method (or ANY) of a resource path, and its function. `timeout` in seconds."""

    path: str
    method: str
    function: str
    streamed: bool
    timeout: float


@dataclass(frozen=True)
class GatewayResponse:
    """API Gateway's response to one kind of its errors. `body` may contain `$context` variables."""

    status: int
    headers: Mapping[str, str]
    body: str | None


@dataclass(frozen=True)
class Api:
    """The REST API."""

    stage: str
    binary_media_types: tuple[str, ...]
    responses: Mapping[str, GatewayResponse]
    routes: tuple[Route, ...]


@dataclass(frozen=True)
class Table:
    """A DynamoDB table: the parameters of CreateTable, and the TTL attribute."""

    name: str
    create: Mapping[str, Any]
    ttl_attribute: str | None


@dataclass(frozen=True)
class Template:
    """One stack. `functions` by logical id; `secrets` are the names that functions use."""

    functions: Mapping[str, Function]
    api: Api
    tables: tuple[Table, ...]
    secrets: tuple[str, ...]


def read_template(path: Path, parameters: Mapping[str, str] | None = None) -> Template:
    """Read the template at `path`; `parameters` override their defaults. Raises `TemplateError`."""
    return _Reader(path, read_yaml(path), parameters or {}).template()


@dataclass
class _Reader:
    path: Path
    content: dict[str, Any]
    given: Mapping[str, str]
    resources: dict[str, Any] = field(init=False)
    resolver: Resolver = field(init=False)

    def __post_init__(self) -> None:
        defaults = {name: spec.get("Default", "") for name, spec in self.content.get("Parameters", {}).items()}
        pseudo = {
            "AWS::AccountId": ACCOUNT_ID,
            "AWS::NoValue": NO_VALUE,
            "AWS::Partition": "aws",
            "AWS::Region": REGION,
            "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT_ID}:stack/{STACK_NAME}/local",
            "AWS::StackName": STACK_NAME,
            "AWS::URLSuffix": "amazonaws.com",
        }
        self.resources = self.content.get("Resources", {})
        self.resolver = Resolver(
            {**defaults, **self.given, **pseudo},
            self.content.get("Conditions", {}),
            self.content.get("Mappings", {}),
            self._local_name,
            self._attribute,
        )

    def template(self) -> Template:
        functions = {name: self._function(name, spec) for name, spec in self._of_type("AWS::Serverless::Function")}
        if not functions:
            raise TemplateError(f"{self.path.name} declares no AWS::Serverless::Function")
        return Template(
            functions=functions,
            api=self._api(),
            tables=tuple(self._table(name, spec) for name, spec in self._of_type("AWS::DynamoDB::Table")),
            secrets=tuple(self._local_name(name) for name, _ in self._of_type("AWS::SecretsManager::Secret")),
        )

    def _of_type(self, kind: str) -> list[tuple[str, dict[str, Any]]]:
        """Return logical ids and unresolved properties of the resources whose condition is true."""
        return [
            (name, resource.get("Properties", {}))
            for name, resource in self.resources.items()
            if resource.get("Type") == kind
            and ("Condition" not in resource or self.resolver.condition(resource["Condition"]))
        ]

    def _resolve(self, where: str, value: Any) -> Any:
        try:
            return self.resolver.resolve(value)
        except TemplateError as error:
            raise TemplateError(f"{self.path.name}: {where}: {error}") from None

    def _local_name(self, logical_id: str) -> str:
        """Return the resource's local name: its declared name, else its logical id."""
        resource = self.resources.get(logical_id)
        if resource is None:
            raise TemplateError(f"there is no parameter or resource {logical_id}")
        properties = resource.get("Properties", {})
        for key in ("TableName", "FunctionName", "Name"):
            if key in properties:
                return str(self.resolver.resolve(properties[key]))
        return logical_id

    def _attribute(self, logical_id: str, attribute: str) -> str:
        if attribute == "StreamArn":
            return f"{self._attribute(logical_id, 'Arn')}/stream/local"
        if attribute != "Arn":
            raise TemplateError(f"{logical_id}.{attribute} has no value in a local stack")
        kind = self.resources.get(logical_id, {}).get("Type", "AWS::Unknown::Unknown")
        service, resource = (part.lower() for part in kind.split("::")[1:3])
        service = {"serverless": "lambda"}.get(service, service)
        return f"arn:aws:{service}:{REGION}:{ACCOUNT_ID}:{resource}/{self._local_name(logical_id)}"

    def _globals(self, kind: str) -> dict[str, Any]:
        found = self.content.get("Globals", {}).get(kind, {})
        return found if isinstance(found, dict) else {}

    def _function(self, name: str, spec: dict[str, Any]) -> Function:
        merged = _merge(self._globals("Function"), spec)

        def value(key: str, default: Any = None) -> Any:
            resolved = self._resolve(f"{name}.{key}", merged.get(key, default))
            return default if resolved is NO_VALUE else resolved

        variables = value("Environment", {}).get("Variables", {})
        return Function(
            name=self._local_name(name),
            handler=str(value("Handler", "")),
            code=(self.path.parent / str(value("CodeUri", "."))).resolve(),
            runtime=str(value("Runtime", "python3.13")),
            timeout=float(value("Timeout", 3)),
            memory=int(value("MemorySize", 128)),
            environment={key: _plain(item) for key, item in variables.items()},
            layers=tuple(self._layer(name, item) for item in merged.get("Layers", [])),
            streams=tuple(
                str(self._resolve(f"{name}.Events.{event}", declared["Properties"]["Stream"])).split("/")[1]
                for event, declared in spec.get("Events", {}).items()
                if declared.get("Type") == "DynamoDB"
            ),
            lanes=max(
                (
                    int(declared["Properties"].get("ParallelizationFactor", 1))
                    for declared in spec.get("Events", {}).values()
                    if declared.get("Type") == "DynamoDB"
                ),
                default=1,
            ),
        )

    def _layer(self, function: str, reference: Any) -> Path:
        logical_id = reference.get("Ref") if isinstance(reference, dict) else None
        resource = self.resources.get(logical_id, {}) if logical_id else {}
        uri = resource.get("Properties", {}).get("ContentUri")
        if not isinstance(uri, str):
            raise TemplateError(f"{self.path.name}: {function}.Layers: {reference} is not a layer of this template")
        return (self.path.parent / uri).resolve()

    def _api(self) -> Api:
        declared = self._of_type("AWS::Serverless::Api")
        spec = declared[0][1] if declared else {}
        merged = _merge(self._globals("Api"), spec)

        def value(key: str, default: Any) -> Any:
            return self._resolve(key, merged.get(key, default))

        return Api(
            stage=str(value("StageName", "Prod")),
            binary_media_types=tuple(str(kind).replace("~1", "/") for kind in value("BinaryMediaTypes", [])),
            responses={kind: _gateway_response(response) for kind, response in value("GatewayResponses", {}).items()},
            routes=tuple(self._routes()),
        )

    def _routes(self) -> list[Route]:
        routes = []
        for name, spec in self._of_type("AWS::Serverless::Function"):
            for event, declared in spec.get("Events", {}).items():
                if declared.get("Type") != "Api":
                    continue
                properties = self._resolve(f"{name}.Events.{event}", declared.get("Properties", {}))
                milliseconds = properties.get("TimeoutInMillis", DEFAULT_INTEGRATION_TIMEOUT * 1000)
                routes.append(
                    Route(
                        path=str(properties["Path"]),
                        method=str(properties["Method"]).upper(),
                        function=name,
                        # SAM compares the literal text: an expression gives a buffered route.
                        streamed=declared["Properties"].get("ResponseTransferMode") == "RESPONSE_STREAM",
                        timeout=float(milliseconds) / 1000,
                    )
                )
        return routes

    def _table(self, name: str, spec: dict[str, Any]) -> Table:
        properties = self._resolve(name, spec)
        create = {"TableName": self._local_name(name), "BillingMode": properties.get("BillingMode", "PROVISIONED")}
        for key in (
            "AttributeDefinitions",
            "KeySchema",
            "GlobalSecondaryIndexes",
            "LocalSecondaryIndexes",
            "ProvisionedThroughput",
        ):
            if key in properties:
                create[key] = properties[key]
        if "StreamSpecification" in properties:
            # CloudFormation has no StreamEnabled: a view type enables the stream.
            create["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
        expiry = properties.get("TimeToLiveSpecification", {})
        return Table(
            name=create["TableName"],
            create=create,
            ttl_attribute=expiry.get("AttributeName") if expiry.get("Enabled") else None,
        )


def _merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Merge a resource's properties over the Globals as SAM does: mappings merge, lists concatenate, others replace."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            merged[key] = _merge(below, value)
        elif isinstance(below, list) and isinstance(value, list):
            merged[key] = below + value
        else:
            merged[key] = value
    return merged


def _plain(value: Any) -> str:
    """Return an environment variable's text, with booleans as CloudFormation writes them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unquoted(value: Any) -> str:
    """Return a literal header value without the single quotes that API Gateway requires."""
    text = str(value)
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] == "'" else text


def _gateway_response(response: dict[str, Any]) -> GatewayResponse:
    headers = response.get("ResponseParameters", {}).get("Headers", {})
    return GatewayResponse(
        status=int(response.get("StatusCode", 0)),
        headers={name: _unquoted(value) for name, value in headers.items()},
        body=response.get("ResponseTemplates", {}).get("application/json"),
    )

"""The admin function's real handler over an embedded AWS, asked as API Gateway asks it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http.cookies import SimpleCookie
from typing import Any
from unittest.mock import patch

from admin import app
from admin.environment import Environment, Settings
from local.template import Template, read_template
from streaming_runtime import Context
from tests.embedded_aws import embedded_dynamodb, embedded_secrets
from tests.infrastructure.expanded import ROOT, TEMPLATE
from tests.unit.store.fakes import Time
from tests.unit.store.hooks import create_table
from vibe_cli.routes_file import load_file
from vibe_router.routing.changes import Rows, rows_of
from vibe_router.store.dynamodb import DynamoDB
from vibe_router.store.routes import RoutesStore

__all__ = ["MASTER", "Admin", "Answer"]

MASTER = "sk-the-master-key-of-the-tests"


@dataclass(frozen=True)
class Answer:
    """The handler's response: `body` is parsed where it is JSON; header names are lower-case."""

    status: int
    headers: Mapping[str, list[str]]
    body: Any

    @property
    def error(self) -> Any:
        """The error, which has OpenAI's shape."""
        error = self.body["error"]
        assert {"message", "type", "param", "code"} <= set(error)
        return error

    @property
    def cookie(self) -> str:
        """The cookie that was set, as a browser sends it back."""
        (morsel,) = SimpleCookie(self.headers["set-cookie"][0]).values()
        return f"{morsel.key}={morsel.value}"


@cache
def _template() -> Template:
    return read_template(TEMPLATE)


@cache
def _rows() -> Rows:
    return rows_of(load_file(ROOT / "routes.yaml", {}))


class Admin:
    """One environment of the function. `time` is its clock; its tables are made in `dynamodb`, which is embedded."""

    def __init__(self, time: Time, dynamodb: DynamoDB | None = None, function: str = "AdminFunction") -> None:
        template = _template()
        self.time = time
        self.dynamodb = dynamodb or embedded_dynamodb()
        self.variables = template.functions[function].environment
        self.router_secret = template.functions["GatewayFunction"].environment["SECRET_ID"]
        held = {name: json.dumps({"MASTER_KEY": MASTER}) for name in (self.variables["SECRET_ID"], self.router_secret)}
        self.secrets = secrets = embedded_secrets(held)
        for table in template.tables:
            create_table(self.dynamodb, **table.create)
        RoutesStore(self.dynamodb, self.variables["ROUTES_TABLE"]).write(_rows(), {})
        with patch.multiple(
            "admin.environment", dynamodb_client=lambda *_: self.dynamodb, secrets_client=lambda *_: secrets
        ):
            self.environment = Environment(Settings.read(self.variables), time.clock)

    def secret(self, secret_id: str | None = None) -> dict[str, str]:
        """Return the entries of a secret: the function's, unless another is named."""
        held = self.secrets.get_secret_value(SecretId=secret_id or self.variables["SECRET_ID"])["SecretString"]
        entries: dict[str, str] = json.loads(held)
        return entries

    def put_secret(self, entries: Mapping[str, str]) -> None:
        """Replace the function's secret."""
        parameters = {"SecretId": self.variables["SECRET_ID"], "SecretString": json.dumps(entries)}
        self.secrets.api.call("PutSecretValue", parameters)

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = MASTER,
        raw: str | None = None,
        encoded: bool = False,
        address: str = "192.0.2.1",
        prefix: str = "/prod",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> Answer:
        """Ask with `key`, or without any; `raw` is a body as it is sent."""
        sent = {"X-Forwarded-Proto": "https", **(headers or {})}
        if key:
            sent["Authorization"] = f"Bearer {key}"
        values = {name: str(value) for name, value in (query or {}).items()}
        event = {
            "resource": path,
            "path": path,
            "httpMethod": method,
            "headers": sent,
            "multiValueHeaders": {name: [value] for name, value in sent.items()},
            "queryStringParameters": values or None,
            "multiValueQueryStringParameters": {name: [value] for name, value in values.items()} or None,
            "requestContext": {
                "stage": "prod",
                "path": prefix + path,
                "identity": {"sourceIp": address},
                "requestId": "request-1",
            },
            "body": raw if raw is not None else None if body is None else json.dumps(body),
            "isBase64Encoded": encoded,
        }
        result = app.handler(event, Context("invocation", 4_000_000_000_000))
        text, given = result["body"], result["multiValueHeaders"]
        named = {name.lower(): values for name, values in given.items()}
        assert len(named) == len(given), "a header that differs in its case alone is sent twice"
        is_json = named["content-type"][0].startswith("application/json")
        return Answer(result["statusCode"], named, json.loads(text) if is_json else text)

    def made(self, path: str, **body: Any) -> Any:
        """Send a request that must succeed, and return the body of its response."""
        answer = self.ask("POST", path, body)
        assert answer.status == 200, answer.body
        return answer.body

    def read(self, path: str, **query: Any) -> Any:
        """Ask for something that must be there."""
        answer = self.ask("GET", path, query=query)
        assert answer.status == 200, answer.body
        return answer.body

    def sign_in(self, username: str = "admin", password: str = MASTER, **options: Any) -> Answer:
        """Sign in to the page."""
        return self.ask("POST", "/ui/sign-in", {"username": username, "password": password}, key=None, **options)

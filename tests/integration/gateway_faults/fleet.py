"""Environments of the real gateway function in one process, each with a clock of its own, and all that they call."""

import io
import json
import time as real_time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from gateway import app
from gateway.environment import Environment, Settings
from local.standin import Standin
from local.template import Table, read_template
from streaming_runtime import Context
from streaming_runtime.context import Function
from tests.integration.gateway_faults.aws_front import AwsFront
from tests.unit.store.fakes import Aside, Time, Wire
from vibe_router.core.clock import Clock
from vibe_router.store.dynamodb import from_item, to_item

__all__ = ["KEY", "L1", "L2", "L3", "Answer", "Fleet", "Gateway"]

CHECKOUT = Path(__file__).parents[3]
KEY = "sk-of-the-tests"
L1, L2, L3 = "cliproxyapi/claude-sonnet-4-6", "new-api/gpt-5", "ark/glm-4.7"
PROVIDERS = {"cliproxyapi": "CHAT_AUTO_API_KEY", "new-api": "NEW_API_KEY", "ark": "ARK_API_KEY"}


@dataclass(frozen=True)
class Answer:
    """The answer that a caller got."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def deployment(self) -> str | None:
        return self.headers.get("x-vibe-deployment")

    @property
    def whole(self) -> bool:
        """Return whether a client takes it for a complete answer."""
        if self.headers["content-type"].startswith("text/event-stream"):
            return self.body.endswith(b"data: [DONE]\n\n")
        return bool(json.loads(self.body)["choices"][0]["finish_reason"])

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@cache
def _tables() -> tuple[Table, ...]:
    return read_template(CHECKOUT / "template.yaml").tables


class WaitedFor(Wire):
    """Counts what callers wait for, and probes: not the rows and conversations that are written after an answer."""

    def counts(self, operation: str, parameters: Any) -> bool:
        written = parameters["Item"]["id"]["S"] if operation == "PutItem" else ""
        return not written.startswith(("request#", "conversation#"))


class Gateway:
    """One environment of the function; `wire` counts what callers wait for of DynamoDB, `secrets_wire` of secrets."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.environment = Environment(settings, clock)
        self.clients: list[Any] = [self.environment.states.client, self.environment.secrets.client]
        self.wire, self.secrets_wire = (WaitedFor(client) for client in self.clients)

    def ask(self, model: str = "auto-chat", *, stream: bool = False) -> Answer:
        """Send one chat completion."""
        body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Say hello."}]}
        return self.send("POST", "/v1/chat/completions", json.dumps(body))

    def health(self) -> Any:
        """Return what the router says of its deployments."""
        return self.send("GET", "/health").json

    def state(self, deployment: str) -> Any:
        """Return what the router says of one deployment."""
        return next(each for each in self.health()["deployments"] if each["deployment"] == deployment)

    def send(self, method: str, path: str, body: str | None = None) -> Answer:
        """Have the real handler answer, and do its work after the answer, as the runtime does."""
        event = {
            "httpMethod": method,
            "path": path,
            "headers": {"Authorization": f"Bearer {KEY}"},
            "body": body,
            "isBase64Encoded": False,
            "requestContext": {"requestId": str(uuid.uuid4()), "stage": "prod"},
        }
        context = Context(str(uuid.uuid4()), int((real_time.time() + 900) * 1000), function=Function())
        app.environment = self.environment
        response = app.handler(event, context)
        answer = Answer(response.status, dict(response.headers), b"".join(response.body))
        context.run_work()
        return answer

    def close(self) -> None:
        self.environment.close()
        for client in self.clients:
            client.close()


@dataclass
class Fleet:
    """The gateway's environments, with the tables, the secret and the providers that they share."""

    aws: AwsFront
    standin: Standin
    log: io.StringIO
    time: Time = field(default_factory=Time)
    aside: Aside = field(default_factory=Aside)
    gateways: list[Gateway] = field(default_factory=list)

    def __post_init__(self) -> None:
        name = uuid.uuid4().hex
        self.settings = Settings(
            routes_table=f"routes-{name}",
            state_table=f"state-{name}",
            keys_table=f"keys-{name}",
            ledger_table=f"ledger-{name}",
            usage_table=f"usage-{name}",
            usage_days=90,
            cache_table=f"cache-{name}",
            responses_table=f"responses-{name}",
            response_days=30,
            secret_id=f"secret-{name}",
            provider_base_urls={},
            is_local=True,
        )
        for table in _tables():
            kind = table.create["TableName"].rpartition("-")[2]
            self.aws.call("dynamodb", "CreateTable", **{**table.create, "TableName": f"{kind}-{name}"})
        self.secrets = {"MASTER_KEY": KEY} | {secret: f"sk-{provider}" for provider, secret in PROVIDERS.items()}
        self.aws.call(
            "secretsmanager", "CreateSecret", Name=self.settings.secret_id, SecretString=json.dumps(self.secrets)
        )
        self._put_routes()

    def _put_routes(self) -> None:
        """Write two models; no retries, so that a provider's calls can be counted; and a base of 5 s for cooldowns."""
        for name, secret in PROVIDERS.items():
            self.put_route("provider", name, base_url=self.standin.base_url(name), secret=secret)
        self.put_route("defaults", "defaults", retries=0, cooldown={"base": 5, "max": 1800})
        chain = [dict(zip(("provider", "model"), each.split("/"), strict=True)) for each in (L1, L2, L3)]
        self.put_route("model", "auto-chat", chain=chain)
        self.put_route("model", "auto-spare", chain=chain[2:])

    def gateway(self, skew: float = 0.0) -> Gateway:
        """Start one more environment, whose clock is `skew` seconds ahead."""
        clock = Clock(now=lambda: self.time.now + skew, sleep=self.time.advance, jitter=lambda: 0.5)
        gateway = Gateway(self.settings, clock)
        self.gateways.append(gateway)
        return gateway

    def do_aside(self) -> None:
        """Do the work that nobody waits for, if there is any."""
        if self.aside.waiting:
            self.aside.do()

    def calls(self, deployment: str) -> int:
        """Count the calls that a deployment has got."""
        return len(self.standin.requests(deployment.partition("/")[0]))

    def put_route(self, kind: str, name: str, **values: Any) -> None:
        """Write a row of the RoutesTable, whatever it says."""
        item = to_item({**values, "kind": kind, "name": name})
        self.aws.call("dynamodb", "PutItem", TableName=self.settings.routes_table, Item=item)

    def route(self, kind: str, name: str) -> dict[str, Any]:
        """Read a row of the RoutesTable, without its key."""
        key = to_item({"kind": kind, "name": name})
        row = from_item(self.aws.call("dynamodb", "GetItem", TableName=self.settings.routes_table, Key=key)["Item"])
        return {attribute: value for attribute, value in row.items() if attribute not in ("kind", "name")}

    def put_state(self, item: dict[str, Any]) -> None:
        """Write an item of the StateTable, whatever it says."""
        self.aws.call("dynamodb", "PutItem", TableName=self.settings.state_table, Item=to_item(item))

    def state(self, deployment: str) -> dict[str, Any]:
        """Read a deployment's item of the StateTable; empty when there is none."""
        key = to_item({"id": f"deployment#{deployment}"})
        answer = self.aws.call("dynamodb", "GetItem", TableName=self.settings.state_table, Key=key)
        return from_item(answer.get("Item", {}))

    @property
    def booking(self) -> str:
        """The call that books a request."""
        return f"PutItem {self.settings.usage_table}"

    @property
    def booked(self) -> set[str]:
        """The requests that have a row."""
        rows = self.aws.call("dynamodb", "Scan", TableName=self.settings.usage_table)["Items"]
        ids = [str(from_item(row)["id"]) for row in rows]
        return {each.removeprefix("request#") for each in ids if each.startswith("request#")}

    def lines(self) -> Iterator[dict[str, Any]]:
        """Give every line of the log."""
        return (json.loads(line) for line in self.log.getvalue().splitlines() if line.startswith("{"))

    @property
    def decisions(self) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line.get("message") == "ROUTING DECISION"]

    @property
    def warnings(self) -> list[str]:
        """The warnings and errors in the log, in order, except those about usage, which callers do not notice."""
        found = [str(line["message"]) for line in self.lines() if line.get("level") in ("WARNING", "ERROR")]
        return [message for message in found if "the usage table" not in message]

    def close(self) -> None:
        for gateway in self.gateways:
            gateway.close()

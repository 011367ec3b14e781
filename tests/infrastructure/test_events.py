"""The sample events: at least one for each route of the template, and the real handler's answer to each."""

import json
import time
from collections.abc import Callable, Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer

from local.standin import Standin
from local.template import read_template
from scripts.events import DIRECTORY, KEY, events
from streaming_runtime import Context, StreamingResponse
from tests.infrastructure.expanded import ROOT, TEMPLATE
from tests.metrics_text import read_metrics
from vibe_cli.boto import BotoApi
from vibe_cli.routes_file import load_file
from vibe_router.routing.changes import rows_of
from vibe_router.store.dynamodb import DynamoDB
from vibe_router.store.routes import RoutesStore

EVENTS = dict(events())
FUNCTIONS = {route.path: route.function for route in read_template(TEMPLATE).api.routes}
Ask = Callable[[str], tuple[int, bytes]]

STATUS = {
    "chat-completions-wrong-method.json": 405,
    "alerts-test.json": 404,  # the shipped routes name no receiver
    "complexity-rollback.json": 404,  # no shipped model is routed by complexity
    "root.json": 404,
    "unknown.json": 404,
    "ui.json": 307,
}


def test_event_files_are_up_to_date() -> None:
    files = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in DIRECTORY.iterdir()}
    assert files == EVENTS, "run: make docs"


def test_there_is_an_event_for_each_route_of_the_template() -> None:
    routes = {route.path for route in read_template(TEMPLATE).api.routes}
    assert {event["resource"] for event in EVENTS.values()} == routes


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """The handler over an embedded AWS and stand-in providers."""
    template = read_template(TEMPLATE)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch, Standin() as standin:
        providers = ("cliproxyapi", "new-api", "ark")
        base_urls = {name: standin.base_url(name) for name in providers}
        for name, value in {
            **template.functions["SecretsFunction"].environment,
            **template.functions["GatewayFunction"].environment,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "PROVIDER_BASE_URLS": json.dumps(base_urls),
        }.items():
            patch.setenv(name, value)
        dynamodb = boto3.client("dynamodb")
        for table in template.tables:
            dynamodb.create_table(**table.create)
        routes = load_file(ROOT / "routes.yaml", {})
        secret = {"MASTER_KEY": KEY, **dict.fromkeys(("CHAT_AUTO_API_KEY", "NEW_API_KEY", "ARK_API_KEY"), "sk-x")}
        for name in template.secrets:
            boto3.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps(secret))
        routes_table = template.functions["GatewayFunction"].environment["ROUTES_TABLE"]
        RoutesStore(DynamoDB(BotoApi(dynamodb)), routes_table).write(rows_of(routes), {})
        from admin import app as admin
        from gateway import app

        patch.setattr(app, "environment", None)
        patch.setattr(admin, "environment", None)

        def answer(name: str) -> tuple[int, bytes]:
            context = Context(f"invocation-{name}", int(time.time() * 1000) + 60_000)
            if FUNCTIONS[EVENTS[name]["resource"]] in ("AdminFunction", "SecretsFunction"):  # of the same code
                result = admin.handler(EVENTS[name], context)
                return result["statusCode"], result["body"].encode()
            response = app.handler(EVENTS[name], context)
            assert isinstance(response, StreamingResponse)
            body = b"".join(response.body)
            context.run_work()  # which is where a stream's connection is given back
            return response.status, body

        yield answer
        app.open_environment().close()
    server.stop()


@pytest.mark.parametrize("name", EVENTS)
def test_the_handler_answers_each_event(name: str, ask: Ask) -> None:
    status, body = ask(name)
    assert status == STATUS.get(name, 200), body
    if name == "chat-completions-stream.json":
        assert body.startswith(b"data: {")
        assert body.endswith(b"data: [DONE]\n\n")
        return
    if name == "messages-stream.json":
        assert body.startswith(b"event: message_start\ndata: {")
        assert body.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
        return
    if name == "responses-stream.json":
        assert body.startswith(b"event: response.created\ndata: {")
        assert b"\nevent: response.completed\n" in body
        return
    if name == "metrics.json":
        assert read_metrics(body.decode())
        return
    if name.startswith("ui"):
        assert status == 307 or body.startswith(b"<!doctype html>")
        return
    answer = json.loads(body)
    if status >= 400:
        assert set(answer["error"]) == {"message", "type", "param", "code"}
    elif name.startswith("chat-completions"):
        assert answer["choices"][0]["message"]["content"]
    elif name.startswith("completions"):
        assert answer["choices"][0]["text"]
    elif name.startswith("responses"):
        assert answer["output"][0]["content"][0]["text"]
    elif name.startswith("messages"):
        assert answer["content"][0]["text"]
    elif name.startswith(("count-tokens", "input-tokens")):
        assert answer["input_tokens"] > 0
    elif name.startswith("models"):
        assert "auto-chat" in {model["id"] for model in answer["data"]}
    elif name.startswith("model-info"):
        assert {each["model_name"] for each in answer["data"]} >= {"auto-chat"}
    elif name.startswith("model"):
        assert answer["id"] == "auto-chat"


@pytest.mark.parametrize(
    "name", [name for name in EVENTS if name.startswith(("chat-completions.", "models.", "health."))]
)
def test_an_event_with_a_wrong_key_is_rejected(name: str, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    event = json.loads(json.dumps(EVENTS[name]))
    event["headers"]["Authorization"] = "Bearer sk-wrong"
    monkeypatch.setitem(EVENTS, name, event)
    status, body = ask(name)
    assert (status, json.loads(body)["error"]["code"]) == (401, "invalid_api_key")

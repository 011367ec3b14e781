"""A DynamoDB to test the store against.

Tests ask for `dynamodb_client`, and run once for each backend of `BACKENDS`: a fixture that gives the URL of its
endpoint. Tables are each test's own, so one server serves them all.

AWS's own is a backend with VIBE_ROUTER_DYNAMODB_LOCAL=1 (`make test-dynamodb`): it takes Java, and 50 MB fetched once.
"""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4
from weakref import WeakSet

import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from local.aws_connection import AwsConnection
from local.dynamodb.database import Database
from local.dynamodb.operations import DynamoDB as EmbeddedDynamoDB
from local.secrets_manager import SecretsManager
from tests import moto_pace
from tests.integration.store.dynamodb_local import server as dynamodb_local_server
from tests.integration.store.tables import table_of_states, table_of_usage
from tests.unit.store.fakes import Aside, Time, Wire
from tests.unit.store.hooks import create_table
from vibe_router.core.clock import Clock
from vibe_router.store.aws_client import AwsClient, Bounds
from vibe_router.store.credentials import EnvironmentCredentials
from vibe_router.store.dynamodb import DYNAMODB, RETRY_PAUSE, DynamoDB
from vibe_router.store.state import StateStore

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections, as DynamoDB does

    def log(self, *_: object) -> None:
        """Log nothing: failing tests show their requests."""


@contextmanager
def moto_server() -> Iterator[str]:
    """Run moto's server. A conditional write of moto's is not atomic, so it gets one request at a time."""
    moto_pace.install()
    moto = DomainDispatcherApplication(create_backend_app)
    one_at_a_time = threading.Lock()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> list[bytes]:
        with one_at_a_time:
            return list(moto(environ, start_response))

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def embedded_server() -> Iterator[str]:
    """Run the DynamoDB of `make start` in a thread."""
    loop = asyncio.new_event_loop()
    listening = socket.create_server(("127.0.0.1", 0))
    transports: WeakSet[asyncio.BaseTransport] = WeakSet()

    class Connection(AwsConnection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transports.add(transport)
            super().connection_made(transport)

    async def serve() -> None:
        connection = partial(Connection, "/", EmbeddedDynamoDB(Database(":memory:")), SecretsManager({}))
        await loop.create_server(connection, sock=listening)

    def run() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for transport in transports:
            transport.close()
        loop.run_until_complete(asyncio.sleep(0))  # in which they close
        loop.close()
        listening.close()


def client_of(url: str, bounds: Bounds | None = None) -> DynamoDB:
    """Return a client of the backend at `url`, whatever the environment."""
    keys = EnvironmentCredentials(Clock(), {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"})
    return DynamoDB(
        AwsClient(DYNAMODB, Clock(), region="us-east-1", endpoint=url, credentials=keys, bounds=bounds or Bounds())
    )


BACKENDS = {"moto": "moto", "embedded": "embedded", "dynamodb-local": "dynamodb_local"}  # by fixture
ASKED_FOR = [
    pytest.param(fixture, marks=pytest.mark.dynamodb if name == "dynamodb-local" else (), id=name)
    for name, fixture in BACKENDS.items()
    if name != "dynamodb-local" or os.environ.get("VIBE_ROUTER_DYNAMODB_LOCAL") == "1"
]


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture(scope="session")
def embedded() -> Iterator[str]:
    with embedded_server() as url:
        yield url


@pytest.fixture(scope="session")
def dynamodb_local() -> Iterator[str]:
    with ExitStack() as stack:
        try:
            url = stack.enter_context(dynamodb_local_server.running())
        except dynamodb_local_server.NotToBeHadError as error:
            pytest.skip(str(error))
        with closing(client_of(url, Bounds(connect=60, read=60))) as client:  # its first answer takes seconds
            table_by_id(client, "warm")
        yield url


@pytest.fixture(scope="session", params=ASKED_FOR)
def endpoint(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture
def aws(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point every AWS client that is made at the backend, as `make start` does."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")


@pytest.fixture
def dynamodb_client(aws: None) -> Iterator[DynamoDB]:
    # Patient, unlike the functions' own: a test must not depend on a busy machine.
    client = DynamoDB(AwsClient(DYNAMODB, Clock(), bounds=Bounds(connect=30, read=30, pause=RETRY_PAUSE)))
    yield client
    client.close()


@pytest.fixture
def wire(dynamodb_client: DynamoDB) -> Wire:
    return Wire(dynamodb_client)


def table_by_id(client: DynamoDB, kind: str) -> str:
    """Make a table whose items are known by their `id` alone."""
    name = f"{kind}-{uuid4()}"
    create_table(
        client,
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


@pytest.fixture
def state_table(dynamodb_client: DynamoDB) -> str:
    return table_of_states(dynamodb_client)


@pytest.fixture
def keys_table(dynamodb_client: DynamoDB) -> str:
    return table_by_id(dynamodb_client, "keys")


@pytest.fixture
def ledger_table(dynamodb_client: DynamoDB) -> str:
    return table_by_id(dynamodb_client, "ledger")


@pytest.fixture
def routes_table(dynamodb_client: DynamoDB) -> str:
    name = f"routes-{uuid4()}"
    create_table(
        dynamodb_client,
        TableName=name,
        KeySchema=[{"AttributeName": "kind", "KeyType": "HASH"}, {"AttributeName": "name", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "kind", "AttributeType": "S"},
            {"AttributeName": "name", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


@pytest.fixture
def usage_table(dynamodb_client: DynamoDB) -> str:
    return table_of_usage(dynamodb_client)


@pytest.fixture
def responses_table(dynamodb_client: DynamoDB) -> str:
    name = f"responses-{uuid4()}"
    create_table(
        dynamodb_client,
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "part", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "part", "AttributeType": "N"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


@pytest.fixture
def cache_table(dynamodb_client: DynamoDB) -> str:
    return table_by_id(dynamodb_client, "cache")


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def aside() -> Aside:
    return Aside()


@pytest.fixture
def environment(dynamodb_client: DynamoDB, state_table: str, time: Time, aside: Aside) -> Callable[..., StateStore]:
    """Make the store of one more environment, with the test's clock or its own."""

    def make(own: Time | None = None) -> StateStore:
        return StateStore(dynamodb_client, state_table, (own or time).clock, spawn=aside)

    return make

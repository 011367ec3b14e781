"""The archive: documents are written to S3, over a socket, and read back; failures have names."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from gateway import app
from tests.unit.gateway.fake_environment import FakeEnvironment, chat_event, context
from tests.unit.store.fakes import Time
from vibe_router.access.keys import Caller, Key
from vibe_router.pipeline.archiver import RequestArchiver
from vibe_router.store.archive import MOST_DOCUMENT_BYTES, ArchiveStore, CorruptDocumentError, archive_key
from vibe_router.store.aws_client import Bounds
from vibe_router.store.aws_errors import ClientError, EndpointConnectionError, ReadTimeoutError
from vibe_router.store.credentials import Credentials
from vibe_router.store.objects import Bucket

STARTED = 1_795_000_000.25
DOCUMENT = json.dumps({"request": {"body": "ä" * 1000}}).encode()


class _Fixed:
    def get(self) -> Credentials:
        return Credentials("AKIA", "secret", "token")


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def bucket(endpoint: str, name: str = "mine") -> Bucket:
    return Bucket(
        name, Time().clock, region="us-east-1", endpoint=endpoint, credentials=_Fixed(), bounds=Bounds(read=5.0)
    )


@pytest.fixture
def client(s3: str) -> Any:
    client = boto3.client(
        "s3", region_name="us-east-1", endpoint_url=s3, aws_access_key_id="x", aws_secret_access_key="x"
    )
    client.create_bucket(Bucket="mine")
    return client


def test_a_document_is_an_object_by_day_that_any_tool_can_read(client: Any, s3: str) -> None:
    store = ArchiveStore(bucket(s3))
    assert store.read(STARTED, "request-1") is None
    store.write(STARTED, "request-1", DOCUMENT)
    assert store.read(STARTED, "request-1") == DOCUMENT
    (listed,) = client.list_objects_v2(Bucket="mine")["Contents"]
    assert listed["Key"] == "archive/2026/11/18/request-1.json.gz"
    found = client.get_object(Bucket="mine", Key=listed["Key"])
    assert (found["ContentType"], found["ContentEncoding"]) == ("application/json", "gzip")
    assert listed["Size"] < 200


def test_failures_have_names(client: Any, s3: str) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        ArchiveStore(bucket(s3, "not-mine")).write(STARTED, "a", DOCUMENT)
    with pytest.raises(EndpointConnectionError):
        ArchiveStore(bucket("http://127.0.0.1:9")).write(STARTED, "a", DOCUMENT)


@pytest.mark.parametrize("content", [b"", b"junk", b"\x1f\x8b\x08\x00"], ids=["empty", "junk", "cut"])
def test_what_was_not_written_here_is_corrupt(client: Any, s3: str, content: bytes) -> None:
    client.put_object(Bucket="mine", Key=archive_key(STARTED, "odd"), Body=content)
    with pytest.raises(CorruptDocumentError):
        ArchiveStore(bucket(s3)).read(STARTED, "odd")


def test_a_bomb_is_not_read(client: Any, s3: str) -> None:
    store = ArchiveStore(bucket(s3))
    store.write(STARTED, "bomb", b" " * (MOST_DOCUMENT_BYTES + 2))
    with pytest.raises(CorruptDocumentError):
        store.read(STARTED, "bomb")


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("mine", "https://mine.s3.eu-west-1.amazonaws.com/a/b%20c"),
        ("mine.too", "https://s3.eu-west-1.amazonaws.com/mine.too/a/b%20c"),
    ],
)
def test_the_bucket_is_a_host_unless_its_name_has_dots(monkeypatch: pytest.MonkeyPatch, name: str, url: str) -> None:
    called: list[str] = []

    def connect(url: str, **_: object) -> None:
        called.append(url)
        raise ConnectionRefusedError

    monkeypatch.setattr("vibe_router.store.objects.Connection", connect)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with pytest.raises(EndpointConnectionError):
        Bucket(name, Time().clock, region="eu-west-1", credentials=_Fixed()).get("a/b c")
    assert set(called) == {url}


def test_odd_ids_stay_in_their_folder() -> None:
    assert archive_key(0, "../../x y") == "archive/1970/01/01/.._.._x_y.json.gz"


def test_a_bucket_that_falls_silent_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        quiet = Bucket(
            "mine",
            Time().clock,
            region="us-east-1",
            endpoint=endpoint,
            credentials=_Fixed(),
            bounds=Bounds(connect=0.2, read=0.1),
        )
        with pytest.raises(ReadTimeoutError):
            quiet.put("a", DOCUMENT, {})


def test_a_request_through_the_gateway_ends_in_the_bucket(
    client: Any, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = FakeEnvironment()
    monkeypatch.setattr(app, "environment", environment)
    store = ArchiveStore(bucket(s3))
    environment.archiver = RequestArchiver(store, environment.clock)
    environment.callers.callers["sk-archived"] = Caller(Key("a" * 64, "a" * 64, archive=True))
    asked = chat_event(stream=True)
    asked["headers"]["Authorization"] = "Bearer sk-archived"
    invocation = context()
    assert b"Hello." in b"".join(app.handler(asked, invocation).body)
    invocation.run_work()
    document = json.loads(store.read(environment.now, "request-1") or b"")
    assert document["answer"]["body"]["choices"][0]["message"]["content"] == "Hello."
    assert "sk-archived" not in json.dumps(document)

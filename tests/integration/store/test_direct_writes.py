"""Writes without boto3's client: what goes over the wire, what comes back, and what becomes of a broken connection."""

import json
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ReadTimeoutError,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.unit.store.held import Time
from vibe_router.store import direct
from vibe_router.store.direct import DirectWrites

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

UPDATE: dict[str, Any] = {"TableName": "ledger", "Key": {"id": {"S": "key#ä"}}, "UpdateExpression": "SET a = :a"}


def answer(status: int = 200, body: object = None, *, checksum: int | None = None) -> bytes:
    """Return an answer as DynamoDB sends it."""
    content = json.dumps(body if body is not None else {}).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\nContent-Type: application/x-amz-json-1.0\r\n"
    return f"{head}x-amz-crc32: {zlib.crc32(content) if checksum is None else checksum}\r\n\r\n".encode() + content


CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"
NOTHING = b""
SILENCE = None
DONE = answer(body={"Attributes": {"a": {"N": "1"}}})


@dataclass
class Peer:
    """A server that gives one scripted answer to each request; bytes of b"" close the connection, None is silence."""

    script: list[bytes | None] = field(default_factory=list)
    requests: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)  # with the connection's number
    close_after: bool = False
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self._listening.getsockname()[1]}"
        self.closed = threading.Event()  # a connection was closed after an answer
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            for number in range(20):
                connection, _ = self._listening.accept()
                if self.tls:
                    try:
                        connection = self.tls.wrap_socket(connection, server_side=True)
                    except ssl.SSLError:  # who asks may not trust it
                        continue
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(number, connection), daemon=True).start()

    def _serve(self, number: int, connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection.makefile("rb") as incoming:
            while request := incoming.readline():
                assert request == b"POST / HTTP/1.1\r\n"
                headers = {}
                while (line := incoming.readline().decode().strip()) != "":
                    name, _, value = line.partition(": ")
                    headers[name.lower()] = value
                self.requests.append((number, headers, incoming.read(int(headers["content-length"]))))
                said = self.script.pop(0)
                if said is SILENCE:
                    return
                connection.sendall(said)
                if said in (CUT, NOTHING) or self.close_after:
                    connection.shutdown(socket.SHUT_RDWR)
                    connection.close()
                    self.closed.set()
                    return

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # or the thread that waits there would take one more
        self._listening.close()
        for connection in self._connections:
            connection.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def aws(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL_DYNAMODB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", peer.url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")


@pytest.fixture
def writes(dynamodb_client: "DynamoDBClient") -> Iterator[DirectWrites]:
    writes = DirectWrites(dynamodb_client, Time().clock)
    yield writes
    writes.close()


def test_signed_bytes_are_the_bytes_sent(peer: Peer, writes: DirectWrites) -> None:
    peer.script = [DONE]
    assert writes.update_item(**UPDATE) == {"Attributes": {"a": {"N": "1"}}}
    ((_, headers, body),) = peer.requests
    assert json.loads(body) == UPDATE
    assert headers["x-amz-target"] == "DynamoDB_20120810.UpdateItem"
    assert "/eu-central-1/dynamodb/aws4_request" in headers["authorization"]
    signed = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert {"host", "content-type", "x-amz-target", "x-amz-date", "x-amz-security-token"} <= set(signed)
    # What AWS does: sign what has come, and compare.
    come = AWSRequest("POST", f"http://{headers['host']}/", {name: headers[name] for name in signed}, body)
    come.context["timestamp"] = headers["x-amz-date"]
    auth = SigV4Auth(Credentials("local", "local", "token"), "dynamodb", "eu-central-1")
    signature = auth.signature(auth.string_to_sign(come, auth.canonical_request(come)), come)
    assert headers["authorization"].endswith(f"Signature={signature}")


def test_one_connection_serves_many_writes(peer: Peer, writes: DirectWrites) -> None:
    peer.script = [DONE, DONE, DONE]
    for _ in range(3):
        writes.update_item(**UPDATE)
    assert [number for number, _, _ in peer.requests] == [0, 0, 0]


def test_an_idle_connection_that_was_closed_is_replaced(peer: Peer, writes: DirectWrites) -> None:
    peer.close_after = True
    peer.script = [DONE, DONE]
    writes.update_item(**UPDATE)
    assert peer.closed.wait(10)
    writes.update_item(**UPDATE)
    assert [number for number, _, _ in peer.requests] == [0, 1]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "certificate.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)
    )
    return file


@pytest.fixture
def tls_peer(certificate: Path) -> Iterator[Peer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    peer = Peer(tls=context)
    yield peer
    peer.close()


def over_tls(peer: Peer, client: "DynamoDBClient", trusted: Path | None) -> DirectWrites:
    client.meta._endpoint_url = peer.url  # type: ignore[attr-defined]  # noqa: SLF001 - botocore has no other way
    return DirectWrites(client, Time().clock, ssl.create_default_context(cafile=trusted))


def test_one_connection_over_tls_serves_many_writes(
    tls_peer: Peer, dynamodb_client: "DynamoDBClient", certificate: Path
) -> None:
    tls_peer.script = [DONE] * 5
    with closing(over_tls(tls_peer, dynamodb_client, certificate)) as writes:
        for _ in range(5):
            assert writes.update_item(**UPDATE) == {"Attributes": {"a": {"N": "1"}}}
    assert [number for number, _, _ in tls_peer.requests] == [0] * 5


def test_an_untrusted_certificate_is_rejected(tls_peer: Peer, dynamodb_client: "DynamoDBClient") -> None:
    tls_peer.script = [DONE]
    with closing(over_tls(tls_peer, dynamodb_client, None)) as writes, pytest.raises(ConnectionClosedError):
        writes.update_item(**UPDATE)
    assert tls_peer.requests == []


BROKEN: dict[str, bytes | None] = {
    "cut answer": CUT,
    "no answer": NOTHING,
    "damaged answer": answer(body={"a": 1}, checksum=7),
    "no JSON": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<ht>",
    "no object": answer(body=[1]),
    "internal error": answer(500, {"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError"}),
    "throttled": answer(400, {"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "slow"}),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_failed_write_is_retried_once(broken: str, peer: Peer, writes: DirectWrites) -> None:
    peer.script = [BROKEN[broken], DONE]
    assert writes.update_item(**UPDATE) == {"Attributes": {"a": {"N": "1"}}}
    assert len(peer.requests) == 2


@pytest.mark.parametrize("broken", BROKEN)
def test_a_second_failure_raises_botocores_error(broken: str, peer: Peer, writes: DirectWrites) -> None:
    peer.script = [BROKEN[broken]] * 2
    told = broken in ("internal error", "throttled")
    with pytest.raises(ClientError if told else ConnectionClosedError):
        writes.update_item(**UPDATE)
    assert len(peer.requests) == 2
    peer.script = [DONE]
    writes.update_item(**UPDATE)


def test_a_silent_server_is_a_read_timeout(peer: Peer, writes: DirectWrites, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "READ_SECONDS", 0.05)
    peer.script = [SILENCE]
    with pytest.raises(ReadTimeoutError):
        writes.update_item(**UPDATE)
    assert len(peer.requests) == 1


def test_a_refused_connection_is_an_endpoint_error(peer: Peer, writes: DirectWrites) -> None:
    peer.close()
    with pytest.raises(EndpointConnectionError):
        writes.update_item(**UPDATE)


def test_missing_credentials_raise_botocores_error(writes: DirectWrites, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.session.Session.get_credentials", lambda _: None)
    with pytest.raises(BotoCoreError):
        writes.update_item(**UPDATE)


REFUSALS = {
    "a condition": {
        "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
        "message": "The conditional request failed",
        "Item": {"id": {"S": "key#a"}, "held": {"M": {"x": {"L": [{"N": "1"}]}}}},
    },
    "a transaction": {
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons [None]",
        "CancellationReasons": [{"Code": "ConditionalCheckFailed", "Item": {"id": {"S": "a"}}}, {"Code": "None"}],
    },
    "an expression": {"__type": "com.amazon.coral.validate#ValidationException", "message": "Invalid expression"},
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_an_error_response_raises_boto3s_error(
    refusal: str, peer: Peer, dynamodb_client: "DynamoDBClient", writes: DirectWrites
) -> None:
    def told(ask: Callable[[], object]) -> dict[str, Any]:
        peer.script = [answer(400, REFUSALS[refusal])]
        with pytest.raises(ClientError) as caught:
            ask()
        return {
            key: value for key, value in caught.value.response.items() if key not in ("ResponseMetadata", "message")
        }

    items: list[Any] = [{"Update": UPDATE}]
    if refusal == "a transaction":
        ours = told(lambda: writes.transact_write_items(TransactItems=items))
        theirs = told(lambda: dynamodb_client.transact_write_items(TransactItems=items))
    else:
        ours, theirs = told(lambda: writes.update_item(**UPDATE)), told(lambda: dynamodb_client.update_item(**UPDATE))
    assert ours == {key: value for key, value in theirs.items() if key != "Message"}
    assert len(peer.requests) == 2


def test_a_retried_transaction_has_the_same_token(peer: Peer, writes: DirectWrites) -> None:
    peer.script = [NOTHING, DONE, DONE]
    for _ in range(2):
        writes.transact_write_items(TransactItems=[{"Update": UPDATE}])
    first, again, other = (json.loads(body)["ClientRequestToken"] for _, _, body in peer.requests)
    assert first == again != other

"""The AWS client, beside botocore: endpoints, signed requests, answers, errors, retries."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import exceptions as theirs
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.credentials import Credentials as BotoCredentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.store.aws_peer import CUT, NOTHING, SILENCE, Peer, answer
from tests.unit.store.fakes import Time
from vibe_router.store import aws_errors
from vibe_router.store.aws_client import AwsClient, Bounds, endpoint_of, region_of
from vibe_router.store.aws_errors import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError
from vibe_router.store.credentials import Credentials
from vibe_router.store.dynamodb import DYNAMODB, DynamoDB, to_item
from vibe_router.store.secrets import SECRETS_MANAGER

UPDATE: dict[str, Any] = {"TableName": "ledger", "Key": {"id": {"S": "key#ä"}}, "UpdateExpression": "SET a = :a"}
DONE = answer(body={"Attributes": {"a": {"N": "1"}}})
REGION = "eu-central-1"


class Keys:
    def get(self) -> Credentials:
        return Credentials("local", "local", "token")


@pytest.fixture
def peer() -> Iterator[Peer]:
    with closing(Peer()) as peer:
        yield peer


def client(peer: Peer, bounds: Bounds | None = None) -> DynamoDB:
    return DynamoDB(
        AwsClient(
            DYNAMODB, Time().clock, region=REGION, endpoint=peer.url, credentials=Keys(), bounds=bounds or Bounds()
        )
    )


def botos(service: str, region: str, url: str | None = None) -> BaseClient:
    session = botocore.session.get_session()
    return session.create_client(
        service,
        region_name=region,
        endpoint_url=url,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        aws_session_token="token",
        config=Config(retries={"total_max_attempts": 1, "mode": "legacy"}, account_id_endpoint_mode="disabled"),
    )


REGIONS = [
    *("us-east-1", "eu-central-2", "ap-southeast-7", "us-gov-west-1", "cn-north-1", "cn-northwest-1"),
    *("us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1", "us-isof-south-1", "eusc-de-east-1", "il-central-1"),
]


@pytest.mark.parametrize("region", REGIONS)
def test_endpoints_are_botocores(region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for service in (DYNAMODB, SECRETS_MANAGER):
        assert endpoint_of(service, region, {}) == botos(service.name, region).meta.endpoint_url


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"AWS_ENDPOINT_URL": "http://a"}, "http://a"),
        ({"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_DYNAMODB": "http://b"}, "http://b"),
        ({"AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://c"}, "https://dynamodb.us-east-1.amazonaws.com"),
        (
            {"AWS_ENDPOINT_URL": "http://a", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
            "https://dynamodb.us-east-1.amazonaws.com",
        ),
    ],
)
def test_the_environment_may_set_the_endpoint(
    environ: dict[str, str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert endpoint_of(DYNAMODB, "us-east-1", environ) == url == botos("dynamodb", "us-east-1").meta.endpoint_url


def test_a_region_must_be_set() -> None:
    assert region_of({"AWS_REGION": "a", "AWS_DEFAULT_REGION": "b"}) == "a"
    assert region_of({"AWS_DEFAULT_REGION": "b"}) == "b"
    with pytest.raises(aws_errors.NoRegionError):
        region_of({})


def test_a_request_is_what_botocore_sends(peer: Peer) -> None:
    peer.script = [DONE] * 3
    with closing(client(peer)) as ours:
        ours.update_item(**UPDATE)
        ours.put_item(TableName="t", Item={"data": {"B": b"\x00\xff"}})
    botos("dynamodb", REGION, peer.url).put_item(TableName="t", Item={"data": {"B": b"\x00\xff"}})  # type: ignore[attr-defined]
    (_, headers, body), (_, again, binary), (_, their, expected) = peer.requests
    assert json.loads(body) == UPDATE
    assert json.loads(binary) == json.loads(expected)
    for name in ("content-type", "x-amz-target", "host", "x-amz-security-token"):
        assert again[name] == their[name]
    assert f"/{REGION}/dynamodb/aws4_request" in headers["authorization"]
    signed = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    # What AWS does: sign what has come, and compare.
    come = AWSRequest("POST", f"http://{headers['host']}/", {name: headers[name] for name in signed}, body)
    come.context["timestamp"] = headers["x-amz-date"]
    auth = SigV4Auth(BotoCredentials("local", "local", "token"), "dynamodb", REGION)
    signature = auth.signature(auth.string_to_sign(come, auth.canonical_request(come)), come)
    assert headers["authorization"].endswith(f"Signature={signature}")


def test_one_connection_serves_many_calls(peer: Peer) -> None:
    peer.script = [DONE, DONE, DONE]
    with closing(client(peer)) as ours:
        for _ in range(3):
            ours.update_item(**UPDATE)
    assert [number for number, _, _ in peer.requests] == [0, 0, 0]


def test_an_idle_connection_that_was_closed_is_replaced(peer: Peer) -> None:
    peer.close_after = True
    peer.script = [DONE, DONE]
    with closing(client(peer)) as ours:
        ours.update_item(**UPDATE)
        assert peer.closed.wait(10)
        ours.update_item(**UPDATE)
    assert [number for number, _, _ in peer.requests] == [0, 1]


def test_threads_share_a_client(peer: Peer) -> None:
    peer.script = [DONE] * 60
    results: list[object] = []
    with closing(client(peer)) as ours:

        def work() -> None:
            results.extend(ours.update_item(**UPDATE) for _ in range(15))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [{"Attributes": {"a": {"N": "1"}}}] * 60


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


def over_tls(peer: Peer, trusted: Path | None) -> DynamoDB:
    context = ssl.create_default_context(cafile=trusted)
    return DynamoDB(
        AwsClient(DYNAMODB, Time().clock, region=REGION, endpoint=peer.url, credentials=Keys(), tls=lambda: context)
    )


def test_one_connection_over_tls_serves_many_calls(tls_peer: Peer, certificate: Path) -> None:
    tls_peer.script = [DONE] * 5
    with closing(over_tls(tls_peer, certificate)) as ours:
        for _ in range(5):
            assert ours.update_item(**UPDATE) == {"Attributes": {"a": {"N": "1"}}}
    assert [number for number, _, _ in tls_peer.requests] == [0] * 5


def test_an_untrusted_certificate_is_rejected(tls_peer: Peer) -> None:
    tls_peer.script = [DONE]
    with closing(over_tls(tls_peer, None)) as ours, pytest.raises(EndpointConnectionError):
        ours.update_item(**UPDATE)
    assert tls_peer.requests == []


BROKEN: dict[str, bytes | None] = {
    "cut answer": CUT,
    "no answer": NOTHING,
    "damaged answer": answer(body={"a": 1}, checksum=7),
    "no JSON": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<ht>",
    "no object": answer(body=[1]),
    "internal error": answer(500, {"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError"}),
    "a page of a proxy": b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\n<ht>",
    "throttled": answer(400, {"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "slow"}),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_failed_call_is_retried_once(broken: str, peer: Peer) -> None:
    peer.script = [BROKEN[broken], DONE]
    with closing(client(peer)) as ours:
        assert ours.update_item(**UPDATE) == {"Attributes": {"a": {"N": "1"}}}
    assert len(peer.requests) == 2


@pytest.mark.parametrize("broken", BROKEN)
def test_a_second_failure_is_raised(broken: str, peer: Peer) -> None:
    peer.script = [BROKEN[broken]] * 2
    answered = broken in ("internal error", "throttled", "a page of a proxy")
    with closing(client(peer)) as ours:
        with pytest.raises(ClientError if answered else ConnectionClosedError):
            ours.update_item(**UPDATE)
        assert len(peer.requests) == 2
        peer.script = [DONE]
        ours.update_item(**UPDATE)


def test_pauses_between_tries_double_up_to_a_bound(peer: Peer) -> None:
    pauses: list[float] = []
    clock = Time().clock
    clock = type(clock)(now=clock.now, sleep=pauses.append, jitter=lambda: 1.0)
    peer.script = [BROKEN["throttled"]] * 5
    bounds = Bounds(tries=5, pause=0.05, most_pause=0.15)
    ours = DynamoDB(AwsClient(DYNAMODB, clock, region=REGION, endpoint=peer.url, credentials=Keys(), bounds=bounds))
    with closing(ours), pytest.raises(ClientError):
        ours.update_item(**UPDATE)
    assert pauses == [0.05, 0.1, 0.15, 0.15]


def test_a_silent_server_is_a_read_timeout_without_a_retry(peer: Peer) -> None:
    peer.script = [SILENCE]
    with closing(client(peer, Bounds(read=0.05))) as ours, pytest.raises(ReadTimeoutError):
        ours.update_item(**UPDATE)
    assert len(peer.requests) == 1


def test_a_rejected_connection_is_an_endpoint_error(peer: Peer) -> None:
    peer.close()
    with closing(client(peer)) as ours, pytest.raises(EndpointConnectionError):
        ours.update_item(**UPDATE)


def test_a_host_without_an_address_is_an_endpoint_error() -> None:
    ours = AwsClient(DYNAMODB, Time().clock, region=REGION, endpoint="http://no-such-host.invalid", credentials=Keys())
    with pytest.raises(EndpointConnectionError):
        ours.call("GetItem", {})


REJECTIONS = {
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
    "no type": {"message": "strange"},
    "a code with a URL": {"__type": "aws#AccessDeniedException:http://internal.amazon.com/coral/", "message": "no"},
}


@pytest.mark.parametrize("refusal", REJECTIONS)
def test_an_error_is_botocores(refusal: str, peer: Peer) -> None:
    def shown(error: Any) -> dict[str, Any]:
        ignored = ("ResponseMetadata", "message", "Message")
        return {key: value for key, value in error.response.items() if key not in ignored}

    peer.script = [answer(400, REJECTIONS[refusal])] * 2
    call = "transact_write_items" if refusal == "a transaction" else "update_item"
    parameters = {"TransactItems": [{"Update": UPDATE}]} if refusal == "a transaction" else UPDATE
    with closing(client(peer)) as ours, pytest.raises(ClientError) as our:
        getattr(ours, call)(**parameters)
    with pytest.raises(theirs.ClientError) as their:
        getattr(botos("dynamodb", REGION, peer.url), call)(**parameters)
    assert shown(our.value) == shown(their.value)
    assert str(our.value) == str(their.value)


def test_a_retried_transaction_has_the_same_token(peer: Peer) -> None:
    peer.script = [NOTHING, DONE, DONE]
    with closing(client(peer)) as ours:
        for _ in range(2):
            ours.transact_write_items(TransactItems=[{"Update": UPDATE}])
    first, again, other = (json.loads(body)["ClientRequestToken"] for _, _, body in peer.requests)
    assert first == again != other


VALUES = st.recursive(
    st.none() | st.booleans() | st.text(max_size=8) | st.integers(-(10**20), 10**20) | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Peer, DynamoDB, Any]]:
    """Return a peer with both clients."""
    with closing(Peer()) as peer, closing(client(peer)) as ours, closing(botos("dynamodb", REGION, peer.url)) as their:
        yield peer, ours, their


@given(values=st.dictionaries(st.text(min_size=1, max_size=4), VALUES, max_size=4))
def test_values_go_and_come_as_botocores(values: dict[str, Any], pair: tuple[Peer, DynamoDB, Any]) -> None:
    peer, ours, their = pair
    item = to_item(values)
    peer.script = [answer(body={"Item": item})] * 2
    asked: dict[str, Any] = {"TableName": "t", "Key": item}
    found = their.get_item(**asked)
    found.pop("ResponseMetadata")
    assert ours.get_item(**asked) == found
    (_, _, our_body), (_, _, their_body) = peer.requests[-2:]
    assert json.loads(our_body) == json.loads(their_body)

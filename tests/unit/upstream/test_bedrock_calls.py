"""The address, signature and event stream of calls to Bedrock."""

import itertools
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import httpcore
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from local.standin.bedrock import message
from vibe_router.core.models import Deployment, Provider
from vibe_router.routing.classification import classify_failure
from vibe_router.routing.verdict import Failure, FailureKind, Verdict
from vibe_router.upstream import bedrock
from vibe_router.upstream.client import AttemptFailedError, HttpReply, Reply, Upstream, encoded_url

PROFILE = "arn:aws:bedrock:us-east-1:1:inference-profile/us.x"
PATH = "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.x/converse"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the credentials of the environment."""
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "its-key")


class Line(Upstream):
    """Notes a call and gives an answer, or none."""

    def __init__(self, answer: Reply | None = None) -> None:
        self._answer = answer
        self.url = ""
        self.headers: Mapping[str, str] = {}

    def post(self, url: str, headers: Mapping[str, str], body: bytes, *, connect: float, until: float) -> Reply:
        self.url, self.headers = url, headers
        if self._answer is None:
            raise AttemptFailedError(Failure(FailureKind.UNREACHABLE))
        return self._answer


def called(provider: Provider, *, stream: bool = False) -> Line:
    """Return the line on which a call was made that nobody answered."""
    line = Line()
    with pytest.raises(AttemptFailedError):
        bedrock.post(line, Deployment(provider, PROFILE), b"{}", stream=stream, connect=1, until=1)
    return line


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "bedrock-runtime.us-east-1.amazonaws.com"),
        ("us-gov-west-1", "bedrock-runtime.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "bedrock-runtime.cn-north-1.amazonaws.com.cn"),
        ("eusc-de-east-1", "bedrock-runtime.eusc-de-east-1.amazonaws.eu"),
    ],
)
@pytest.mark.parametrize("named", [False, True], ids=["where the function runs", "named by the routes"])
def test_a_region_is_called_by_its_partitions_name(
    monkeypatch: pytest.MonkeyPatch, region: str, host: str, *, named: bool
) -> None:
    monkeypatch.setenv("AWS_REGION", "ap-south-1" if named else region)
    provider = Provider("bedrock", "", "", type="bedrock", region=region if named else None)
    line = called(provider)
    assert line.url == f"https://{host}{PATH}"
    assert f"/{region}/bedrock/aws4_request" in line.headers["Authorization"]


def test_a_base_url_overrides_the_endpoint_and_streams_have_their_path() -> None:
    line = called(Provider("bedrock", "https://vpce.example", "", type="bedrock", region="eu-west-1"), stream=True)
    assert line.url == f"https://vpce.example{PATH}-stream"
    assert "/eu-west-1/bedrock/aws4_request" in line.headers["Authorization"]
    assert encoded_url(line.url).target.decode() == f"{PATH}-stream"  # what was signed is what is sent


def test_a_call_carries_the_token_of_a_role_and_never_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-of-the-role")
    line = called(Provider("bedrock", "", "", type="bedrock", region="eu-west-1"))
    assert line.headers["X-Amz-Security-Token"] == "token-of-the-role"
    assert "its-key" not in str(line.headers)


def test_without_credentials_there_is_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    line = Line()
    with pytest.raises(AttemptFailedError) as caught:
        bedrock.post(
            line, Deployment(Provider("b", "", "", type="bedrock"), "m"), b"", stream=False, connect=1, until=1
        )
    assert classify_failure(caught.value.failure, 0).verdict is Verdict.AUTH
    assert not line.url


NATIVE = [
    ({}, "/responses", "bedrock", "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1/responses"),
    ({}, "/chat/completions", "bedrock", "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1/chat/completions"),
    ({}, "/messages", "bedrock-mantle", "https://bedrock-mantle.eu-west-1.api.aws/anthropic/v1/messages"),
    (
        {"endpoint": "mantle"},
        "/responses",
        "bedrock-mantle",
        "https://bedrock-mantle.eu-west-1.api.aws/openai/v1/responses",
    ),
    (
        {"base_url": "https://bedrock-mantle.eu-west-1.api.aws/v1"},
        "/chat/completions",
        "bedrock-mantle",
        "https://bedrock-mantle.eu-west-1.api.aws/v1/chat/completions",
    ),
    ({"base_url": "https://vpce.example"}, "/responses", "bedrock", "https://vpce.example/openai/v1/responses"),
    ({"base_url": "http://127.0.0.1:9/x/v1"}, "/messages", "bedrock-mantle", "http://127.0.0.1:9/x/v1/messages"),
]


@pytest.mark.parametrize(("settings", "path", "service", "url"), NATIVE)
def test_a_native_format_is_called_where_it_is_and_signed_as_botocore_signs_it(
    settings: dict[str, str], path: str, service: str, url: str
) -> None:
    base_url, endpoint = settings.get("base_url", ""), settings.get("endpoint")
    provider = Provider("bedrock", base_url, "", type="bedrock", region="eu-west-1", endpoint=endpoint)
    line, body = Line(), b'{"model":"openai.gpt-5.5"}'
    headers = {"authorization": "Bearer ", "x-api-key": "", "anthropic-version": "2023-06-01", "anthropic-beta": "x"}
    with pytest.raises(AttemptFailedError):
        bedrock.post(line, Deployment(provider, "m"), body, stream=True, connect=1, until=1, path=path, headers=headers)
    assert line.url == url
    request = AWSRequest("POST", url, {"content-type": "application/json"}, body)
    at = datetime.strptime(line.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    with patch("botocore.auth.get_current_datetime", lambda: at):
        SigV4Auth(Credentials("AKIATEST", "its-key"), service, "eu-west-1").add_auth(request)
    assert line.headers["Authorization"] == request.headers["Authorization"]
    sent = {name.lower(): value for name, value in line.headers.items()}
    assert (sent["anthropic-version"], sent["anthropic-beta"]) == ("2023-06-01", "x")
    assert sent["accept"] == "text/event-stream"
    assert "x-api-key" not in sent
    assert "Bearer" not in str(line.headers)


def test_an_error_of_a_native_format_stays_as_it_is() -> None:
    error = b'{"error":{"message":"no","type":"invalid_request_error","code":"model_not_found"}}'
    assert bedrock.normalize_error({"x-amzn-errortype": "ValidationException"}, error) == error


# --- The event stream -------------------------------------------------------------------------------------------------


def framed(name: str, fields: Any, kind: str = "event") -> bytes:
    headers = {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind}
    return message(headers, json.dumps(fields, indent=1).encode())


TEXTS = [{"contentBlockIndex": 0, "delta": {"text": text}} for text in ("Hé", "llo\n", "x" * 300)]
STREAM = b"".join(
    [
        message({":message-type": "event", ":event-type": "initial-response"}, b"{}"),
        framed("messageStart", {"role": "assistant"}),
        *(framed("contentBlockDelta", fields) for fields in TEXTS),
        framed("messageStop", {"stopReason": "end_turn"}),
    ]
)
SAID = [
    {"initial-response": {}},
    {"messageStart": {"role": "assistant"}},
    *({"contentBlockDelta": fields} for fields in TEXTS),
    {"messageStop": {"stopReason": "end_turn"}},
]


def unpacked(raw: bytes, sizes: Iterable[int] = (1 << 20,)) -> list[Any]:
    """Return the events of a stream that comes in pieces of these sizes. Raises AttemptFailedError."""
    pieces, at = [], 0
    for size in itertools.cycle(sizes):
        pieces.append(raw[at : at + size])
        at += size
        if at >= len(raw):
            break
    headers = [("content-type", "application/vnd.amazon.eventstream")]
    limit: Any = SimpleNamespace(deadline=0.0)
    answer = HttpReply(httpcore.Response(200, headers=headers, content=iter(pieces)), limit)
    put = Deployment(Provider("bedrock", "", "", type="bedrock", region="eu-west-1"), "m")
    reply = bedrock.post(Line(answer), put, b"{}", stream=True, connect=1, until=1)
    assert reply.headers["content-type"] == "text/event-stream"
    out = b""
    with reply:
        while piece := reply.read(1):
            out += piece
    return [json.loads(event.removeprefix(b"data: ")) for event in out.split(b"\n\n") if event]


@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=5))
def test_a_stream_cut_at_any_byte_has_the_same_events(sizes: list[int]) -> None:
    assert unpacked(STREAM, sizes) == SAID


@given(at=st.integers(0, len(STREAM) - 1))
def test_a_broken_stream_yields_its_complete_events(at: int) -> None:
    events = unpacked(STREAM[:at]) if at else []
    assert events == SAID[: len(events)]


@given(at=st.integers(0, len(STREAM) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_never_changes_the_events(at: int, bit: int) -> None:
    broken = bytearray(STREAM)
    broken[at] ^= 1 << bit
    with pytest.raises(AttemptFailedError) as caught:
        assert unpacked(bytes(broken)) == SAID
    assert caught.value.failure.kind is FailureKind.NOT_A_COMPLETION


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("modelStreamErrorException", Verdict.TRANSIENT),
        ("internalServerException", Verdict.TRANSIENT),
        ("serviceUnavailableException", Verdict.TRANSIENT),
        ("throttlingException", Verdict.RATE_LIMITED),
        ("validationException", Verdict.CLIENT),
        ("whatComesNextYearException", Verdict.TRANSIENT),
    ],
)
def test_an_exception_in_the_stream_is_an_error_with_its_name(name: str, verdict: Verdict) -> None:
    *events, error = unpacked(STREAM + framed(name, {"message": "Sorry.", "originalStatusCode": 500}, "exception"))
    assert events == SAID
    assert error == {"error": {"type": name, "message": "Sorry."}}
    failure = Failure(FailureKind.IN_BODY, 200, body=json.dumps(error).encode())
    assert classify_failure(failure, 0).verdict is verdict


def test_a_framing_error_is_an_error() -> None:
    headers = {":message-type": "error", ":error-code": "InternalError", ":error-message": "Something broke."}
    assert unpacked(message(headers, b"")) == [{"error": {"type": "InternalError", "message": "Something broke."}}]


# --- Errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        (
            {"x-amzn-errortype": "ThrottlingException"},
            b'{"message": "Slow down."}',
            ("ThrottlingException", "Slow down."),
        ),
        ({"x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/"}, b"{}", ("ThrottlingException", "")),
        ({}, b'{"__type": "com.amazon.coral.service#AccessDeniedException"}', ("AccessDeniedException", "")),
        ({}, b'{"Message": "The security token is expired."}', ("", "The security token is expired.")),
        ({"x-amzn-errortype": "ServiceUnavailableException"}, b"<html>", ("ServiceUnavailableException", "")),
    ],
)
def test_the_type_of_an_error_is_read_from_header_or_body(
    headers: dict[str, str], body: bytes, expected: tuple[str, str]
) -> None:
    error = json.loads(bedrock.normalize_error(headers, body))["error"]
    assert (error["type"], error["message"]) == expected


@pytest.mark.parametrize("body", [b"", b"<html>gone</html>", b"[1]", b"{}"])
def test_an_error_without_name_and_message_is_unchanged(body: bytes) -> None:
    assert bedrock.normalize_error({}, body) == body

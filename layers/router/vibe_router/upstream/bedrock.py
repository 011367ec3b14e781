"""Call Amazon Bedrock: sign requests with the function's role and unpack event streams.

Converse is called at `bedrock-runtime`. OpenAI's chat completions and Responses are there too, and at `bedrock-mantle`,
where Anthropic's Messages are; these are called in the provider's own format, whose bytes pass unchanged.

Calls use `upstream.client`, where every wait has a deadline, which botocore's HTTP client does not offer. Imported by
the first such call.
"""

import json
import os
import time
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote, urlsplit

from vibe_router.core.models import Deployment, Provider
from vibe_router.formats.common import sse
from vibe_router.routing.verdict import Failure, FailureKind
from vibe_router.store.aws_client import suffix_of
from vibe_router.store.aws_errors import AwsError, NoCredentialsError
from vibe_router.store.credentials import shared_credentials
from vibe_router.store.signature import signed_headers
from vibe_router.upstream import event_stream
from vibe_router.upstream.client import AttemptFailedError, Reply, Upstream

__all__ = ["EventStreamConverter", "normalize_error", "post"]

_REGION = "us-east-1"  # unless the routes or the environment set one
_MESSAGES = "/messages"
_KEYS = frozenset({"authorization", "x-api-key"})  # calls are signed instead
_NO_HEADERS: Mapping[str, str] = {}


def post(
    upstream: Upstream,
    deployment: Deployment,
    body: bytes,
    *,
    stream: bool,
    connect: float,
    until: float,
    path: str = "",
    headers: Mapping[str, str] = _NO_HEADERS,
) -> Reply:
    """Call `deployment` and return the reply once its headers have arrived; a stream is read as server-sent events.

    `path` is that of a native format, "" for Converse; `headers` are the format's, whose keys are left out. Timeouts as
    in `Upstream.post`. Raises AttemptFailedError.
    """
    region = deployment.provider.region or os.environ.get("AWS_REGION") or _REGION
    service, url = _native(deployment.provider, region, path) if path else _converse(deployment, region, stream=stream)
    passed = {name: value for name, value in headers.items() if name not in _KEYS}
    try:
        given = {"content-type": "application/json"}
        signed = signed_headers(shared_credentials().get(), service, region, url, given, body, time.time())
    except NoCredentialsError:
        raise AttemptFailedError(
            _credentials_failure("UnrecognizedClientException", "There are no AWS credentials.")
        ) from None
    except AwsError as error:
        raise AttemptFailedError(_credentials_failure("UnrecognizedClientException", type(error).__name__)) from None
    accepted = {"accept": "text/event-stream" if stream else "application/json"} if path else {}
    own = {"accept-encoding": "identity", "user-agent": "vibe-router"}
    reply = upstream.post(url, {**accepted, **passed, **own, **signed}, body, connect=connect, until=until)
    if reply.headers.get("content-type", "").startswith("application/vnd.amazon.eventstream"):
        return _EventStreamReply(reply)
    return reply


def _converse(deployment: Deployment, region: str, *, stream: bool) -> tuple[str, str]:
    base_url = deployment.provider.base_url or _endpoint("runtime", region)
    return "bedrock", f"{base_url}/model/{quote(deployment.model, safe='')}/converse{'-stream' if stream else ''}"


def _native(provider: Provider, region: str, path: str) -> tuple[str, str]:
    """Return the service to sign for, and the URL of a format's `path`.

    OpenAI's formats are at both endpoints, and Anthropic's is at mantle only. A base URL with a path of its own ends
    where `path` begins.
    """
    host = urlsplit(provider.base_url).hostname or ""
    endpoint = "mantle" if path == _MESSAGES else provider.endpoint or "runtime"
    if host.startswith("bedrock-mantle."):
        endpoint = "mantle"
    service = "bedrock-mantle" if endpoint == "mantle" else "bedrock"
    if urlsplit(provider.base_url).path:
        return service, f"{provider.base_url}{path}"
    prefix = "/anthropic/v1" if path == _MESSAGES else "/openai/v1"
    return service, f"{provider.base_url or _endpoint(endpoint, region)}{prefix}{path}"


def _endpoint(name: str, region: str) -> str:
    return (
        f"https://bedrock-mantle.{region}.api.aws"
        if name == "mantle"
        else (f"https://bedrock-runtime.{region}.{suffix_of(region)}")
    )


def normalize_error(headers: Mapping[str, str], body: bytes) -> bytes:
    """Return the body of an error with its type in it, which AWS mostly sends in a header."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        answer = {}
    if isinstance(answer.get("error"), dict):  # a native format's own
        return body
    name = headers.get("x-amzn-errortype") or str(answer.get("__type") or "")
    kind = name.partition(":")[0].rpartition("#")[2]
    message = answer.get("message") or answer.get("Message") or ""
    return json.dumps({"error": {"type": kind, "message": str(message)}}).encode() if kind or message else body


def _credentials_failure(kind: str, message: str) -> Failure:
    return Failure(
        FailureKind.STATUS,
        403,
        body=normalize_error({"x-amzn-errortype": kind}, json.dumps({"message": message}).encode()),
    )


class EventStreamConverter:
    """Converts an event stream into server-sent events of one JSON object each."""

    def __init__(self) -> None:
        self._decoder = event_stream.Decoder()

    def feed(self, chunk: bytes) -> bytes:
        """Return the events that `chunk` completes. Raises BrokenStreamError."""
        return b"".join([_event(headers, payload) for headers, payload in self._decoder.feed(chunk)])


class _EventStreamReply(Reply):
    """A reply whose event stream is read as server-sent events."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status, {**reply.headers, "content-type": "text/event-stream"})
        self._reply = reply
        self._converter = EventStreamConverter()

    def read(self, until: float) -> bytes:
        """Return the next events, b"" at the end. Raises AttemptFailedError as `Reply.read` does."""
        while chunk := self._reply.read(until):
            try:
                events = self._converter.feed(chunk)
            except event_stream.BrokenStreamError:
                failure = Failure(FailureKind.NOT_A_COMPLETION, 200, detail="a broken event stream")
                raise AttemptFailedError(failure) from None
            if events:
                return events
        return b""

    def close(self) -> None:
        """Return the connection to the pool, or close it if the answer was not read to its end."""
        self._reply.close()


@lru_cache(64)
def _quoted(name: str) -> bytes:
    return json.dumps(name).encode()


def _event(headers: Mapping[str, str], payload: bytes) -> bytes:
    if headers.get(":message-type") == "event":
        line = payload.replace(b"\n", b" ").replace(b"\r", b" ")
        return sse.encode(b"{%b:%b}" % (_quoted(headers.get(":event-type", "")), line))
    kind = headers.get(":exception-type") or headers.get(":error-code") or "modelStreamErrorException"
    if not payload:
        payload = json.dumps({"message": headers.get(":error-message", "")}).encode()
    return sse.encode(normalize_error({"x-amzn-errortype": kind}, payload))

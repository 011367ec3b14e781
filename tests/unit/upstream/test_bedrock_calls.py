"""Where Bedrock is called, how a call is signed, and how its event stream is read."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from vibe_router.routing.models import Deployment, Provider
from vibe_router.routing.verdict import Failure, FailureKind
from vibe_router.store.aws import session
from vibe_router.upstream import bedrock
from vibe_router.upstream.client import AttemptFailedError, Upstream

PROFILE = "arn:aws:bedrock:us-east-1:1:inference-profile/us.x"
PATH = "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.x/converse"


@pytest.fixture(autouse=True)
def _own_session() -> Iterator[None]:
    """A session that remembers nobody else's credentials, and leaves none behind."""
    session.cache_clear()
    yield
    session.cache_clear()


def called(monkeypatch: pytest.MonkeyPatch, provider: Provider, *, stream: bool = False) -> tuple[str, dict[str, str]]:
    """Return the URL and the headers of a call that is not made."""
    asked: list[Any] = []

    def post(_: Upstream, url: str, headers: dict[str, str], body: bytes, **bounds: float) -> None:
        asked.extend((url, headers))
        raise AttemptFailedError(Failure(FailureKind.UNREACHABLE))

    monkeypatch.setattr(Upstream, "post", post)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with pytest.raises(AttemptFailedError):
        bedrock.post(Upstream(), Deployment(provider, PROFILE), b"{}", stream=stream, connect=1, until=1)
    url, headers = asked
    return url, headers


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
    url, headers = called(monkeypatch, provider)
    assert url == f"https://{host}{PATH}"
    assert f"/{region}/bedrock/aws4_request" in headers["Authorization"]


def test_an_address_of_ones_own_is_called_and_streams_have_their_path(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Provider("bedrock", "https://vpce.example", "", type="bedrock", region="eu-west-1")
    url, headers = called(monkeypatch, provider, stream=True)
    assert url == f"https://vpce.example{PATH}-stream"
    assert "/eu-west-1/bedrock/aws4_request" in headers["Authorization"]
    assert httpx.URL(url).raw_path.decode() == f"{PATH}-stream"  # what was signed is what is sent


def test_a_call_carries_the_token_of_a_role_and_never_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-of-the-role")
    _, headers = called(monkeypatch, Provider("bedrock", "", "", type="bedrock", region="eu-west-1"))
    assert headers["X-Amz-Security-Token"] == "token-of-the-role"
    assert "secret" not in str(headers)

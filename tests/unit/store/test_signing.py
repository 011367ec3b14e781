"""Signatures, against those of botocore's own signer."""

import hashlib
from datetime import UTC, datetime
from unittest.mock import patch
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.store.credentials import Credentials as OwnCredentials
from vibe_router.store.signature import signed_headers

NOW = 1_795_000_000.0
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
URLS = st.builds(
    "{}://{}{}{}".format,
    st.sampled_from(["https", "http"]),
    st.sampled_from(["dynamodb.eu-central-1.amazonaws.com", "127.0.0.1", "Some.Host", "[::1]"]),
    st.sampled_from(["", ":443", ":80", ":8000"]),
    st.one_of(
        st.sampled_from(["", "/"]),
        st.text(min_size=1, max_size=20).map(lambda model: f"/model/{quote(model, safe='')}/converse"),
    ),
)


def signed(url: str, body: bytes, credentials: Credentials, now: float = NOW) -> dict[str, str]:
    own = OwnCredentials(credentials.access_key, credentials.secret_key, credentials.token)
    headers = {"Content-Type": "a/b", "X-Amz-Target": "T.U"}
    return signed_headers(own, "dynamodb", "eu-central-1", url, headers, body, now)


@given(URLS, st.binary(max_size=50), WORDS, WORDS, st.none() | WORDS, st.floats(0, 4e9))
def test_a_request_is_signed_as_botocore_signs_it(
    url: str, body: bytes, access_key: str, secret_key: str, token: str | None, now: float
) -> None:
    credentials = Credentials(access_key, secret_key, token)
    request = AWSRequest("POST", url, {"Content-Type": "a/b", "X-Amz-Target": "T.U"}, body)
    at = datetime.fromtimestamp(int(now), UTC)
    with patch("botocore.auth.get_current_datetime", lambda: at):
        SigV4Auth(credentials.get_frozen_credentials(), "dynamodb", "eu-central-1").add_auth(request)
    headers = signed(url, body, credentials, now)
    assert headers.pop("Host") in url.lower()  # botocore leaves it to who sends, but has signed it
    assert headers == dict(request.headers.items())


@given(
    st.sampled_from(["PUT", "GET"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=0x24F), min_size=1, max_size=20),
    st.binary(max_size=50),
    st.none() | WORDS,
)
def test_a_request_to_s3_is_signed_as_botocore_signs_it(method: str, key: str, body: bytes, token: str | None) -> None:
    url = f"https://mine.s3.eu-central-1.amazonaws.com/archive/{quote(key, safe='/-_.~')}"
    credentials = Credentials("AKIA", "secret", token)
    request = AWSRequest(method, url, {"Content-Type": "a/b"}, body)
    with patch("botocore.auth.get_current_datetime", lambda: datetime.fromtimestamp(int(NOW), UTC)):
        S3SigV4Auth(credentials.get_frozen_credentials(), "s3", "eu-central-1").add_auth(request)
    own = OwnCredentials("AKIA", "secret", token)
    given = {"Content-Type": "a/b", "X-Amz-Content-Sha256": hashlib.sha256(body).hexdigest()}
    headers = signed_headers(own, "s3", "eu-central-1", url, given, body, NOW, method=method)
    assert headers["Authorization"] == request.headers["Authorization"]


def test_a_new_access_key_has_a_new_signing_key() -> None:
    first, second = (signed("https://h/", b"", Credentials("a", secret)) for secret in ("one", "two"))
    assert first["Authorization"] != second["Authorization"]


@pytest.mark.parametrize(("now", "day"), [(86_399.9, "19700101"), (86_400.0, "19700102")])
def test_a_new_day_has_a_new_scope(now: float, day: str) -> None:
    assert f"/{day}/eu-central-1/" in signed("https://h/", b"", Credentials("a", "b"), now)["Authorization"]


def test_the_signature_does_not_contain_the_key() -> None:
    secret = hashlib.sha256(b"secret").hexdigest()
    assert secret not in str(signed("https://h/", b"", Credentials("a", secret)))

"""Credentials from the environment and from the container endpoint, beside botocore's."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import ContainerProvider

from tests.unit.store.fakes import NOW, Time
from vibe_router.store.aws_errors import CredentialRetrievalError, NoCredentialsError
from vibe_router.store.credentials import Credentials, EnvironmentCredentials

HOUR = 3600.0


def issued(access_key: str, expires: float) -> dict[str, Any]:
    expiration = f"{datetime.fromtimestamp(expires, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return {"AccessKeyId": access_key, "SecretAccessKey": "secret", "Token": "token", "Expiration": expiration}


@dataclass
class Endpoint:
    """The container endpoint: answers with `body`, or with a `status` other than 200."""

    body: object = None
    status: int = 200
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # path and Authorization
    chunked: bool = False

    def __post_init__(self) -> None:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                endpoint.asked.append((self.path, self.headers.get("Authorization")))
                body = endpoint.body if isinstance(endpoint.body, bytes) else json.dumps(endpoint.body).encode()
                self.send_response(endpoint.status)
                if endpoint.chunked:
                    self.send_header("Transfer-Encoding", "chunked")
                    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
                else:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with closing(Endpoint()) as endpoint:
        yield endpoint


def test_the_environment_comes_first() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://x"}
    source = EnvironmentCredentials(Time().clock, environ)
    assert source.get() == Credentials("a", "b", None)
    environ["AWS_SESSION_TOKEN"] = "c"
    assert source.get() == Credentials("a", "b", "c")


@pytest.mark.parametrize("environ", [{}, {"AWS_ACCESS_KEY_ID": "a"}, {"AWS_SECRET_ACCESS_KEY": "b"}])
def test_missing_credentials_are_an_error(environ: dict[str, str]) -> None:
    with pytest.raises(NoCredentialsError):
        EnvironmentCredentials(Time().clock, environ).get()


@pytest.mark.parametrize("chunked", [False, True])
def test_the_container_endpoint_gives_what_it_gives_botocore(endpoint: Endpoint, chunked: bool) -> None:
    endpoint.body, endpoint.chunked = issued("first", NOW + 6 * HOUR), chunked
    environ = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{endpoint.url}/get?role=1",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "sesame",
    }
    found = EnvironmentCredentials(Time().clock, environ).get()
    theirs = ContainerProvider(environ=environ).load().get_frozen_credentials()
    assert found == (theirs.access_key, theirs.secret_key, theirs.token)
    assert endpoint.asked == [("/get?role=1", "sesame")] * 2


def test_the_token_is_read_from_its_file_each_time(endpoint: Endpoint, tmp_path: Path) -> None:
    file = tmp_path / "token"
    environ = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": endpoint.url,
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(file),
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "not this one",
    }
    time = Time()
    source = EnvironmentCredentials(time.clock, environ)
    for token in ("one", "two"):
        file.write_text(token)
        endpoint.body = issued(token, time.now + HOUR)
        assert source.get().access_key == token
        time.advance(HOUR)
    assert endpoint.asked == [("/", "one"), ("/", "two")]
    file.write_text("a\nb")
    with pytest.raises(CredentialRetrievalError):
        source.get()
    file.unlink()
    with pytest.raises(CredentialRetrievalError):
        source.get()


def test_they_are_refreshed_before_they_expire_and_used_until_then(endpoint: Endpoint) -> None:
    time = Time()
    source = EnvironmentCredentials(time.clock, {"AWS_CONTAINER_CREDENTIALS_FULL_URI": endpoint.url})
    endpoint.body = issued("first", NOW + HOUR)
    for seconds in (0, 1, HOUR - 15 * 60 - 2):
        time.advance(seconds)
        assert source.get().access_key == "first"
    assert len(endpoint.asked) == 1
    endpoint.status = 500
    time.advance(2)
    assert source.get().access_key == "first"
    failed = len(endpoint.asked)
    assert failed > 1
    assert source.get().access_key == "first"
    assert len(endpoint.asked) == failed  # a failed refresh is not repeated with every call
    time.advance(31)
    endpoint.status, endpoint.body = 200, issued("second", NOW + 2 * HOUR)
    assert source.get().access_key == "second"
    endpoint.status = 500
    time.advance(HOUR + 15 * 60)
    with pytest.raises(CredentialRetrievalError):
        source.get()


@pytest.mark.parametrize(
    "body", [b"", b"<html>", {}, [], {"AccessKeyId": "a"}, issued("a", 1) | {"Expiration": "soon"}]
)
def test_an_answer_that_is_not_credentials_is_an_error(endpoint: Endpoint, body: object) -> None:
    endpoint.body = body
    environ = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": endpoint.url}
    with pytest.raises(CredentialRetrievalError):
        EnvironmentCredentials(Time().clock, environ).get()


@pytest.mark.parametrize("url", ["http://example.com/", "http://169.254.169.254/", "ftp://localhost/"])
def test_no_credentials_are_asked_of_a_foreign_host(url: str) -> None:
    with pytest.raises(CredentialRetrievalError, match="neither local nor https"):
        EnvironmentCredentials(Time().clock, {"AWS_CONTAINER_CREDENTIALS_FULL_URI": url}).get()


def test_no_text_shows_the_keys() -> None:
    assert "secret" not in repr(Credentials("access", "secret", "token"))

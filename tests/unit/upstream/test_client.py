"""The client that calls providers, over real sockets."""

import json
import time
import tracemalloc
import zlib
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import certifi
import httpcore
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.standin import Standin
from vibe_router.core.tls import trusted_ssl_context
from vibe_router.core.urls import host_header
from vibe_router.routing.verdict import FailureKind
from vibe_router.upstream.client import (
    AttemptFailedError,
    HttpReply,
    Reply,
    Upstream,
    encoded_headers,
    encoded_url,
)


def test_an_unread_answer_is_closed_before_the_next_call() -> None:
    body = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}).encode()
    with Standin() as standin, closing(Upstream()) as upstream:

        def call() -> Reply:
            url = f"{standin.base_url('cliproxyapi')}/chat/completions"
            headers = {"content-type": "application/json", "authorization": "Bearer x"}
            return upstream.post(url, headers, body, connect=10, until=time.monotonic() + 60)

        first = call()
        assert first.read(time.monotonic() + 60)
        second = call()
        assert upstream.open_connections == 1
        assert second.read(time.monotonic() + 60)
        second.close()


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        ("https://api.example.com/v1/chat/completions", "api.example.com", "/v1/chat/completions"),
        ("https://api.example.com:443/v1", "api.example.com", "/v1"),
        ("http://api.example.com:443/v1", "api.example.com:443", "/v1"),
        ("http://API.example.com", "api.example.com", "/"),
        ("http://[::1]:8000/v1", "[::1]:8000", "/v1"),
        ("https://bücher.example/ä b", "xn--bcher-kva.example", "/%C3%A4%20b"),
        ("https://h/model/arn%3Aaws%3Ab/converse", "h", "/model/arn%3Aaws%3Ab/converse"),
        ("https://h/openai?api-version=2026-01-01&x=ä", "h", "/openai?api-version=2026-01-01&x=%C3%A4"),
    ],
)
def test_the_address_of_a_request(url: str, host: str, target: str) -> None:
    address = encoded_url(url)
    assert (host_header(url), address.target.decode()) == (host, target)
    assert httpx.URL(url).raw_path == address.target
    assert httpx.URL(url).raw_host == address.host


def test_a_request_has_its_length_and_each_header_once() -> None:
    sent = encoded_headers("h", {"Host": "signed", "X-Key": "schlüssel"}, b"12345")
    assert sent == [(b"host", b"signed"), (b"x-key", "schlüssel".encode()), (b"content-length", b"5")]


def reply(pieces: Iterable[bytes], *headers: tuple[bytes, bytes]) -> Reply:
    limit: Any = SimpleNamespace(deadline=0.0)
    return HttpReply(httpcore.Response(200, headers=list(headers), content=iter(pieces)), limit)


def test_headers_of_one_name_are_joined() -> None:
    reported = reply([], (b"Via", b"a"), (b"RETRY-AFTER", b"7"), (b"via", b"b"))
    assert reported.headers == {"via": "a, b", "retry-after": "7"}


@pytest.mark.parametrize(("encoding", "wbits"), [(b"gzip", 31), (b"X-GZIP", 31), (b"deflate", 15)])
@given(cuts=st.lists(st.integers(1, 40), max_size=5).map(sorted))
def test_a_compressed_answer_is_decompressed(encoding: bytes, wbits: int, cuts: list[int]) -> None:
    compressing = zlib.compressobj(wbits=wbits)
    raw = compressing.compress(b"Hello. " * 100) + compressing.flush()
    pieces = [raw[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    with reply(pieces, (b"content-encoding", encoding)) as answer:
        assert b"".join(iter(lambda: answer.read(1), b"")) == b"Hello. " * 100


def test_a_compressed_answer_is_read_in_bounded_pieces() -> None:
    raw = zlib.compress(bytes(50_000_000), wbits=31)
    with reply([raw], (b"content-encoding", b"gzip")) as answer:
        tracemalloc.start()
        sizes = [len(piece) for piece in iter(lambda: answer.read(1), b"")]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert sum(sizes) == 50_000_000
    assert peak < 5_000_000


def test_a_wrong_content_encoding_is_a_failure() -> None:
    with reply([b"Hello."], (b"content-encoding", b"gzip")) as answer, pytest.raises(AttemptFailedError) as caught:
        answer.read(1)
    assert caught.value.failure.kind is FailureKind.NOT_A_COMPLETION


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_of_the_environment_replace_the_usual_ones(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(each, raising=False)
    trusted_ssl_context.cache_clear()
    assert trusted_ssl_context().cert_store_stats()["x509_ca"] > 50
    own = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----")
    file = tmp_path / "own.pem"
    file.write_text(own[0] + own[1])
    monkeypatch.setenv(name, str(file if name == "SSL_CERT_FILE" else tmp_path))
    trusted_ssl_context.cache_clear()
    assert trusted_ssl_context().cert_store_stats()["x509_ca"] <= 1  # those of a folder are read when one is asked for
    trusted_ssl_context.cache_clear()

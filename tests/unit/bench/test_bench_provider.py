import json
from collections.abc import Iterator

import pytest

from bench.payload import WORD, chunks, completion, request
from bench.programs import Program
from bench.targets import BrokenError, UrlTarget, checked


@pytest.fixture(scope="module")
def provider() -> Iterator[UrlTarget]:
    with Program("bench.provider") as program:
        target = UrlTarget("direct", program.first_line, "sk-any", "a-model")
        yield target
        target.close()


@pytest.mark.parametrize("paced", [False, True], ids=["without pauses", "paced"])
def test_a_stream_has_a_chunk_for_every_word(provider: UrlTarget, paced: bool) -> None:
    answer = provider.exchange(provider.prepare(request("auto-chat", 7, stream=True, paced=paced)))
    checked(provider, answer, 7, stream=True)
    assert answer.body == b"".join(chunks("a-model", 7))
    assert answer.first_token is not None
    assert answer.first_token <= answer.total


def test_a_whole_answer_has_all_words_and_the_model_that_was_asked_for(provider: UrlTarget) -> None:
    answer = provider.exchange(provider.prepare(request("auto-chat", 7, stream=False)))
    checked(provider, answer, 7, stream=False)
    assert json.loads(answer.body)["model"] == "a-model"


def test_one_connection_serves_many_requests(provider: UrlTarget) -> None:
    prepared = provider.prepare(request("auto-chat", 3, stream=False))
    assert {provider.exchange(prepared).body for _ in range(5)} == {completion("a-model", 3)}


def test_a_closed_connection_is_opened_again(provider: UrlTarget) -> None:
    prepared = provider.prepare(request("auto-chat", 3, stream=False))
    provider.exchange(prepared)
    provider.close()
    assert provider.exchange(prepared).status == 200


def test_a_body_in_chunks_is_understood(provider: UrlTarget) -> None:
    head, _, body = provider.prepare(request("auto-chat", 3, stream=False)).partition(b"\r\n\r\n")
    head = b"\r\n".join(line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length"))
    half = len(body) // 2
    framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:])) + b"0\r\n\r\n"
    answer = provider.exchange(head + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + framed)
    assert answer.body.count(WORD) == 3


def test_a_provider_that_is_not_there_is_named() -> None:
    target = UrlTarget("gone", "http://127.0.0.1:1/v1", "sk-any")
    with pytest.raises(BrokenError, match=r"gone at 127\.0\.0\.1:1"):
        target.exchange(target.prepare(request("auto-chat", 3, stream=False)))


def test_a_program_that_does_not_start_is_reported() -> None:
    with pytest.raises(BrokenError, match="before it was ready"), Program("bench.provider", ["no-port"]):
        pass

"""The archive, through the handler: what is written of a request and its answer, and what never is."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.gateway.fake_environment import (
    COMPLETION,
    MASTER_KEY,
    STREAM,
    FakeEnvironment,
    ScriptedReply,
    refusal,
    streamed,
    whole,
)
from tests.unit.gateway.test_gateway_cache import PAIRS, SAID, Request, chat, send
from tests.unit.gateway.test_gateway_formats import chained, member
from vibe_router.access.keys import Caller, Key
from vibe_router.core.models import Guard
from vibe_router.pipeline.archiver import RequestArchiver
from vibe_router.routing.verdict import Failure, FailureKind
from vibe_router.store.archive import ArchiveStore
from vibe_router.store.aws_errors import ClientError, ReadTimeoutError

KEY = "sk-archived-canary-key"


class Documents(ArchiveStore):
    """The archive as a list; the `faults` are raised first."""

    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []
        self.faults: list[Exception] = []

    def write(self, started: float, request_id: str, document: bytes) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.written.append(json.loads(document))


@pytest.fixture
def documents(environment: FakeEnvironment) -> Documents:
    documents = Documents()
    environment.archiver = RequestArchiver(documents, environment.clock)
    environment.callers.callers |= {
        KEY: Caller(Key("a" * 64, "a" * 64, alias="audited", archive=True)),
        "sk-other": Caller(Key("b" * 64, "b" * 64)),
    }
    return documents


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("streamed_", [False, True], ids=["whole", "streamed"])
def test_request_and_whole_answer_are_archived_in_every_format(
    documents: Documents, name: str, streamed_: bool
) -> None:
    request = PAIRS[name][streamed_]
    answered = send(request, KEY)
    (document,) = documents.written
    assert SAID in json.dumps(document["request"]["body"])
    assert "Hello." in json.dumps(document["answer"]["body"])
    assert "cut" not in document["answer"]
    assert (document["record"]["request_id"], document["record"]["archived"]) == ("request-1", True)
    if not streamed_:
        assert document["answer"]["body"] == answered.json


def test_nothing_of_the_callers_headers_is_archived_or_logged(
    documents: Documents, environment: FakeEnvironment, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    send(chat(), KEY, cookie="canary-cookie=1", x_api_key="canary", x_secret="canary-header")
    written = json.dumps(documents.written)
    assert KEY not in written
    assert "canary-" not in written
    documents.faults = [ClientError({"Error": {"Code": "AccessDenied", "Message": SAID}}, "PutObject")]
    send(chat(), KEY)
    logged = json.dumps(lines())
    assert SAID not in logged
    assert "Hello." not in logged


def test_other_keys_are_not_archived(documents: Documents, environment: FakeEnvironment) -> None:
    for key in ("sk-other", MASTER_KEY):
        assert send(chat(), key).status == 200
    assert documents.written == []
    assert not any(record.archived for record in environment.books.booked)


def test_without_a_bucket_nothing_is_archived(environment: FakeEnvironment) -> None:
    environment.archiver = None
    environment.callers.callers[KEY] = Caller(Key("a" * 64, "a" * 64, archive=True))
    assert send(chat(), KEY).status == 200
    assert [record.archived for record in environment.books.booked] == [False]


def test_an_error_is_archived_with_its_request(documents: Documents, environment: FakeEnvironment) -> None:
    environment.upstream.script = {"one": [refusal(400, {})], "two": [refusal(400, {})]}
    assert send(chat(), KEY).status == 400
    assert send(chat(model="unknown"), KEY).status == 404
    assert send(("/v1/chat/completions", {"messages": 1}, {}), KEY).status == 400
    assert [each["record"]["status"] for each in documents.written] == [400, 404, 400]
    assert all(set(each["answer"]) == {"omitted"} for each in documents.written)
    assert [set(each["request"]) for each in documents.written] == [{"body"}, {"omitted"}, {"omitted"}]


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([*STREAM[:2], Failure(FailureKind.RESET)], id="broken"),
        pytest.param(STREAM[:2], id="cut"),
    ],
)
def test_a_stream_that_broke_off_is_archived_as_far_as_it_came(
    documents: Documents, environment: FakeEnvironment, pieces: list[Any]
) -> None:
    environment.upstream.script["one"] = [streamed(*pieces)]
    send(chat(stream=True), KEY)
    (document,) = documents.written
    assert document["answer"]["body"]["choices"][0]["message"]["content"] == "Hello."
    assert document["record"]["error"]


def test_a_replayed_answer_is_archived(documents: Documents, environment: FakeEnvironment) -> None:
    environment.callers.callers[KEY] = Caller(Key("a" * 64, "a" * 64, archive=True, cache_seconds=60))
    send(chat(), KEY)
    assert send(chat(stream=True), KEY).cache == "hit"
    first, second = documents.written
    assert second["record"]["cache_hit"]
    assert second["answer"]["body"]["choices"][0]["message"] == first["answer"]["body"]["choices"][0]["message"]


def test_answers_in_bytes_are_described(documents: Documents, environment: FakeEnvironment) -> None:
    chained(environment, member("one/tts", "speech"))
    environment.upstream.script["one"] = [ScriptedReply(200, "audio/mpeg", [b"ID3"])]
    request: Request = ("/v1/audio/speech", {"model": "auto-chat", "input": SAID, "voice": "x"}, {})
    assert send(request, KEY).status == 200
    (document,) = documents.written
    assert document["request"]["body"]["input"] == SAID
    assert document["answer"]["omitted"].startswith("audio/mpeg, ")


def test_large_bodies_are_left_out(documents: Documents, environment: FakeEnvironment) -> None:
    long = {**COMPLETION, "choices": [{"index": 0, "message": {"content": "x" * 9_000_000}, "finish_reason": "stop"}]}
    environment.upstream.script["one"] = [whole(long)]
    assert send(chat(), KEY).status == 200
    (document,) = documents.written
    assert document["answer"] == {"omitted": f"{len(json.dumps(long))} bytes, which is too large"}


def test_a_bucket_that_fails_costs_no_caller_anything_and_is_counted(
    documents: Documents, environment: FakeEnvironment, capsys: pytest.CaptureFixture[str]
) -> None:
    documents.faults = [ReadTimeoutError("S3")]
    for _ in range(2):
        assert send(chat(), KEY).status == 200
    assert documents.written == [], "after a failure none is written for some seconds"
    assert capsys.readouterr().out.count('"ArchiveFailures"') >= 2
    environment.elapsed += 11
    send(chat(), KEY)
    assert len(documents.written) == 1


def _guarded(environment: FakeEnvironment, action: str) -> None:
    environment.guards["personal"] = Guard("personal", ("emails",), action=action)
    environment.models["auto-chat"] = replace(environment.models["auto-chat"], guards=("personal",))


@pytest.mark.parametrize("action", ["mask", "report"])
@pytest.mark.parametrize("name", PAIRS)
def test_what_guards_find_is_redacted_in_request_and_answer(
    documents: Documents, environment: FakeEnvironment, name: str, action: str
) -> None:
    _guarded(environment, action)
    mail = "jane.doe@example.com"
    path, body, query = PAIRS[name][0]
    request: Request = (path, json.loads(json.dumps(body).replace(SAID, f"Write to {mail}.")), query)
    answer = json.loads(json.dumps(COMPLETION).replace("Hello.", f"To {mail} and john.roe@example.com."))
    environment.upstream.script["one"] = [whole(answer)]
    assert mail in send(request, KEY).raw.decode()
    (document,) = documents.written
    written = json.dumps(document)
    assert "example.com" not in written
    assert "Write to [EMAIL_1]." in written
    assert document["answer"]["body"]


def test_of_a_request_that_a_guard_blocks_only_the_record_is_archived(
    documents: Documents, environment: FakeEnvironment
) -> None:
    _guarded(environment, "block")
    assert send(chat(messages=[{"role": "user", "content": "To jane.doe@example.com"}]), KEY).status == 400
    (document,) = documents.written
    assert set(document["request"]) == {"omitted"}
    assert "jane" not in json.dumps(document)

"""Bedrock as a provider, against its stand-in over real sockets."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from local.standin import Standin
from vibe_router.core.models import Deployment, Provider
from vibe_router.formats.chat.format import CHAT
from vibe_router.routing.classification import classify_failure
from vibe_router.routing.deadline import Bounds
from vibe_router.routing.verdict import Verdict
from vibe_router.upstream.client import AttemptFailedError, Upstream
from vibe_router.upstream.commit import call_streamed, call_whole
from vibe_router.upstream.exchange import Exchange, open_exchange

MODEL = "anthropic.claude-sonnet-4-5-v1:0"
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Standin]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with Standin() as standin:
        yield standin


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.close()


def deployment(standin: Standin) -> Deployment:
    provider = Provider("bedrock", f"{standin.url}/bedrock", "", ("converse",), "bedrock", "eu-west-1")
    return Deployment(provider, MODEL, formats=("converse",))


def exchange(standin: Standin, *, stream: bool, **fields: Any) -> Exchange:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hello there"}], "stream": stream, **fields}
    return open_exchange(CHAT.parse(json.dumps(body).encode(), {}), deployment(standin), 0, stream=stream)


def bounds(seconds: float = 20) -> Bounds:
    until = time.monotonic() + seconds
    return Bounds(connect=5, first_byte=until, commit=until)


def whole(standin: Standin, upstream: Upstream, **fields: Any) -> dict[str, Any]:
    asked = exchange(standin, stream=False, **fields)
    answer = call_whole(upstream, deployment(standin), "", asked, bounds())
    found: dict[str, Any] = json.loads(answer.body)
    return found


def streamed(standin: Standin, upstream: Upstream, **fields: Any) -> list[dict[str, Any]]:
    asked = exchange(standin, stream=True, stream_options={"include_usage": True}, **fields)
    opened = call_streamed(upstream, deployment(standin), "", asked, bounds(), probe=False)
    with opened.reply:
        raw = b"".join(piece.raw for batch in opened.batches(time.monotonic() + 20, 10) for piece in batch)
    assert opened.reader.complete
    raw += opened.reader.end()
    lines = [line[6:] for line in raw.decode().splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_a_whole_answer_is_in_the_callers_format_with_its_usage(standin: Standin, upstream: Upstream) -> None:
    answer = whole(standin, upstream)
    assert answer["choices"][0]["message"]["content"]
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["total_tokens"] > 0
    (request,) = standin.requests("bedrock")
    assert (request.model, request.path) == (MODEL, f"/bedrock/model/{MODEL}/converse")


def test_a_stream_equals_the_whole_answer(standin: Standin, upstream: Upstream) -> None:
    chunks = streamed(standin, upstream)
    reported = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
    answer = whole(standin, upstream)
    assert reported == answer["choices"][0]["message"]["content"]
    assert chunks[-1]["usage"]["completion_tokens"] == answer["usage"]["completion_tokens"]


def test_a_tool_call_and_its_result(standin: Standin, upstream: Upstream) -> None:
    answer = whole(standin, upstream, tools=[TOOL], tool_choice="required")
    (call,) = answer["choices"][0]["message"]["tool_calls"]
    assert (call["function"]["name"], answer["choices"][0]["finish_reason"]) == ("weather", "tool_calls")
    chunks = streamed(standin, upstream, tools=[TOOL], tool_choice="required")
    assert any(chunk["choices"] and chunk["choices"][0]["delta"].get("tool_calls") for chunk in chunks)
    talk = [
        {"role": "user", "content": "Hello there"},
        answer["choices"][0]["message"],
        {"role": "tool", "tool_call_id": call["id"], "content": "sunny"},
    ]
    again = whole(standin, upstream, messages=talk, tools=[TOOL])
    assert again["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (403, Verdict.MISCONFIGURED),
        (404, Verdict.MISCONFIGURED),
        (429, Verdict.RATE_LIMITED),
        (500, Verdict.TRANSIENT),
        (503, Verdict.TRANSIENT),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_classified(
    standin: Standin, upstream: Upstream, status: int, verdict: Verdict, *, stream: bool
) -> None:
    standin.fault("bedrock", str(status))
    with pytest.raises(AttemptFailedError) as caught:
        (streamed if stream else whole)(standin, upstream)
    assert classify_failure(caught.value.failure, 0).verdict is verdict


def test_an_exception_in_the_stream_fails_it(standin: Standin, upstream: Upstream) -> None:
    standin.fault("bedrock", "stream_rate_limit")
    with pytest.raises(AttemptFailedError) as caught:
        streamed(standin, upstream)
    assert classify_failure(caught.value.failure, 0).verdict is Verdict.RATE_LIMITED

"""The cache of answers, through the handler: what is stored, for whom, and how it is replayed in every format."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from gateway import app
from tests.unit.gateway.fake_environment import (
    COMPLETION,
    MASTER_KEY,
    STREAM,
    FakeEnvironment,
    context,
    deployment,
    event,
    refusal,
    streamed,
    virtual,
    whole,
)
from tests.unit.gateway.test_gateway_formats import chained, member
from vibe_router.access.keys import Caller, Key, Limits, Team
from vibe_router.core.models import BetaShape, Guard, RequestShape
from vibe_router.formats.common import sse
from vibe_router.routing.verdict import Failure, FailureKind

SAID = "Say hello."
HELLO = {"role": "user", "content": SAID}
Request = tuple[str, dict[str, Any], dict[str, str]]  # path, body, query


def chat(**more: Any) -> Request:
    return "/v1/chat/completions", {"model": "auto-chat", "temperature": 0, "messages": [HELLO], **more}, {}


def gemini(*, stream: bool, alt: str = "") -> Request:
    config = {"temperature": 0.0, "maxOutputTokens": 100}
    body = {"contents": [{"role": "user", "parts": [{"text": SAID}]}], "generationConfig": config}
    path = f"/v1beta/models/auto-chat:{'streamGenerateContent' if stream else 'generateContent'}"
    return path, body, {"alt": alt} if alt else {}


# The same request in each format, whole and streamed.
PAIRS: dict[str, tuple[Request, Request]] = {
    "chat": (chat(), chat(stream=True)),
    "chat with usage": (chat(), chat(stream=True, stream_options={"include_usage": True})),
    "completions": (
        ("/v1/completions", {"model": "auto-chat", "temperature": 0, "prompt": SAID}, {}),
        ("/v1/completions", {"model": "auto-chat", "temperature": 0, "prompt": SAID, "stream": True}, {}),
    ),
    "messages": (
        ("/v1/messages", {"model": "auto-chat", "temperature": 0, "max_tokens": 9, "messages": [HELLO]}, {}),
        (
            "/v1/messages",
            {"model": "auto-chat", "temperature": 0, "max_tokens": 9, "messages": [HELLO], "stream": True},
            {},
        ),
    ),
    "responses": (
        ("/v1/responses", {"model": "auto-chat", "temperature": 0, "input": SAID, "store": False}, {}),
        ("/v1/responses", {"model": "auto-chat", "temperature": 0, "input": SAID, "store": False, "stream": True}, {}),
    ),
    "gemini": (gemini(stream=False), gemini(stream=True)),
    "gemini events": (gemini(stream=False), gemini(stream=True, alt="sse")),
}


class Answer(NamedTuple):
    """An answer of the handler."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def cache(self) -> str | None:
        return self.headers.get("x-vibe-cache")

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def chunks(self) -> list[Any]:
        if self.headers["content-type"].startswith("application/json"):
            found: list[Any] = self.json
            return found
        events = sse.EventDecoder().feed(self.raw)
        return [json.loads(each.data) for each in events if each.data and each.data.strip() != b"[DONE]"]


def send(request: Request, key: str = MASTER_KEY, **headers: str) -> Answer:
    path, body, query = request
    made = event("POST", path, body, queryStringParameters=query or None)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    made["headers"] = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **sent}
    invocation = context()
    response = app.handler(made, invocation)
    raw = b"".join(response.body)
    invocation.run_work()
    return Answer(response.status, response.headers, raw)


@pytest.fixture
def cached(environment: FakeEnvironment) -> FakeEnvironment:
    """An environment whose model auto-chat caches for an hour."""
    environment.models["auto-chat"] = replace(environment.models["auto-chat"], cache_seconds=3600)
    return environment


def text_of(format_: str, answer: Any) -> str:
    match format_.split()[0]:
        case "chat":
            return str(answer["choices"][0]["message"]["content"])
        case "completions":
            return str(answer["choices"][0]["text"])
        case "messages":
            return str(answer["content"][0]["text"])
        case "responses":
            return str(answer["output"][0]["content"][0]["text"])
    return str(answer["candidates"][0]["content"]["parts"][0]["text"])


def streamed_text(format_: str, chunks: list[Any]) -> str:
    match format_.split()[0]:
        case "chat":
            return "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"])
        case "completions":
            return "".join(choice["text"] for chunk in chunks for choice in chunk["choices"])
        case "messages":
            return "".join(chunk["delta"].get("text", "") for chunk in chunks if "delta" in chunk)
        case "responses":
            return "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "response.output_text.delta")
    return "".join(text_of("gemini", chunk) for chunk in chunks)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("streams_first", [False, True], ids=["whole first", "streamed first"])
def test_a_whole_answer_and_a_stream_replay_each_other_in_every_format(
    cached: FakeEnvironment, name: str, streams_first: bool
) -> None:
    first, second = PAIRS[name][:: -1 if streams_first else 1]
    asked = send(first)
    assert (asked.status, asked.cache) == (200, "miss")
    replayed, again = send(second), send(first)
    assert [each.cache for each in (replayed, again)] == ["hit", "hit"]
    assert len(cached.upstream.calls) == 1
    text, stream = (replayed, again) if streams_first else (again, replayed)
    assert text_of(name, text.json) == "Hello."
    assert streamed_text(name, stream.chunks) == "Hello."
    assert ("usage" in json.dumps(stream.chunks).lower()) is (name not in ("chat", "completions"))
    assert "Hello." in again.raw.decode()
    if name.startswith(("chat", "completions")):
        assert stream.raw.endswith(b"data: [DONE]\n\n")
        assert (text.json["usage"]["prompt_tokens"], text.json["usage"]["completion_tokens"]) == (7, 3)


def test_embeddings_are_replayed_with_the_usage_of_the_first_call(cached: FakeEnvironment) -> None:
    answer = {"object": "list", "data": [{"embedding": [0.1, 0.2], "index": 0}], "usage": {"prompt_tokens": 5}}
    chained(cached, member("one/embed", "embeddings"))
    cached.models["auto-chat"] = replace(cached.models["auto-chat"], cache_seconds=60)
    cached.upstream.script["one"] = [whole(answer)]
    request: Request = ("/v1/embeddings", {"model": "auto-chat", "input": ["a", "b"]}, {})
    first, second = send(request), send(request)
    assert (first.cache, second.cache, second.raw) == ("miss", "hit", first.raw)
    cached.now += 60
    cached.upstream.script["one"] = [whole(answer)]
    assert send(request).cache == "miss"


def test_a_hit_costs_nothing_counts_as_a_request_and_is_recorded(
    cached: FakeEnvironment, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    cached.callers.callers["sk-limited"] = Caller(Key("a" * 64, "a" * 64, limits=Limits(rpm=2, max_budget=10**9)))
    send(chat(), "sk-limited")
    assert send(chat(), "sk-limited").cache == "hit"
    first, second = cached.books.booked
    assert (first.cache_hit, second.cache_hit) == (False, True)
    assert (second.cost, second.charge, second.deployment, second.attempts) == (0, 0, None, ())
    assert second.usage == first.usage
    counted = second.counters()
    assert (counted["requests"], counted["cache_hits"], counted["prompt_tokens"]) == (1, 1, 7)
    assert not counted.keys() & {"cost", "errors", "failovers", "unpriced"}
    refused = send(chat(), "sk-limited")
    assert (refused.status, refused.json["error"]["code"]) == (429, "rate_limit_exceeded")
    decisions = [line for line in lines() if line["message"] == "ROUTING DECISION"]
    assert [line.get("cache_hit") for line in decisions] == [False, True, False]
    assert SAID not in json.dumps(decisions)


def test_without_a_cache_nothing_is_read_or_stored_and_no_header_says_so(environment: FakeEnvironment) -> None:
    answers = [send(chat()) for _ in range(2)]
    assert [each.cache for each in answers] == [None, None]
    assert (environment.answers.reads, environment.answers.table) == (0, {})


@pytest.mark.parametrize(
    ("request_", "headers"),
    [
        pytest.param(chat(temperature=0.1), {}, id="temperature"),
        pytest.param(chat(temperature=None), {}, id="no temperature"),
        pytest.param(chat(store=True), {}, id="stored at the provider"),
        pytest.param(chat(web_search_options={}, tools=[{"type": "web_search"}]), {}, id="a tool of the provider"),
        pytest.param(chat(), {"cache_control": "no-store"}, id="no-store"),
    ],
)
def test_other_requests_are_not_cached(cached: FakeEnvironment, request_: Request, headers: dict[str, str]) -> None:
    assert [send(request_, **headers).cache for _ in range(2)] == ["off", "off"]
    assert (cached.answers.reads, cached.answers.table) == (0, {})


@pytest.mark.parametrize("directive", ["no-cache", "max-age=0", "private, No-Cache"])
def test_no_cache_asks_the_provider_and_stores_the_answer(cached: FakeEnvironment, directive: str) -> None:
    send(chat())
    assert send(chat(), cache_control=directive).cache == "miss"
    assert len(cached.upstream.calls) == 2
    assert send(chat()).cache == "hit"


KEYS = {
    "sk-blue-1": Caller(Key("1" * 64, "1" * 64, team_id="blue"), Team("blue")),
    "sk-blue-2": Caller(Key("2" * 64, "2" * 64, team_id="blue"), Team("blue")),
    "sk-green": Caller(Key("3" * 64, "3" * 64, team_id="green"), Team("green")),
    "sk-alone-1": Caller(Key("4" * 64, "4" * 64)),
    "sk-alone-2": Caller(Key("5" * 64, "5" * 64)),
    "sk-rotated": Caller(Key("6" * 64, "4" * 64)),
    "sk-off": Caller(Key("7" * 64, "7" * 64, team_id="blue", cache_seconds=0), Team("blue")),
    MASTER_KEY: None,
}


@pytest.mark.parametrize(
    ("first", "second", "cache"),
    [
        pytest.param("sk-blue-1", "sk-blue-2", "hit", id="within a team"),
        pytest.param("sk-blue-1", "sk-green", "miss", id="across teams"),
        pytest.param("sk-blue-1", "sk-alone-1", "miss", id="from a team to a key"),
        pytest.param("sk-alone-1", "sk-alone-2", "miss", id="across keys"),
        pytest.param("sk-alone-1", "sk-rotated", "hit", id="after a rotation"),
        pytest.param("sk-alone-1", MASTER_KEY, "miss", id="to the master key"),
        pytest.param("sk-blue-1", "sk-off", None, id="to a key without a cache"),
    ],
)
def test_answers_are_shared_within_a_team_only(
    cached: FakeEnvironment, first: str, second: str, cache: str | None
) -> None:
    cached.callers.callers |= {key: caller for key, caller in KEYS.items() if caller}
    assert send(chat(), first).cache == "miss"
    assert send(chat(), second).cache == cache


def test_a_key_may_have_a_cache_of_its_own(environment: FakeEnvironment) -> None:
    environment.callers.callers["sk-own"] = Caller(Key("a" * 64, "a" * 64, cache_seconds=60))
    assert [send(chat(), "sk-own").cache for _ in range(2)] == ["miss", "hit"]
    environment.now += 60
    assert send(chat(), "sk-own").cache == "miss"


def _with_shape(environment: FakeEnvironment, shape: RequestShape) -> None:
    model = environment.models["auto-chat"]
    changed = (replace(each, policy=replace(each.policy, shape=shape)) for each in model.chain)
    environment.models["auto-chat"] = replace(model, steps=tuple((each,) for each in changed))


SEARCH = {"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(chat(messages=[{"role": "user", "content": "Say hallo."}]), id="text"),
        pytest.param(chat(messages=[{"role": "system", "content": SAID}]), id="role"),
        pytest.param(chat(max_tokens=9), id="limit"),
        pytest.param(chat(seed=1), id="seed"),
        pytest.param(chat(tools=[SEARCH]), id="tools"),
        pytest.param(chat(response_format={"type": "json_object"}), id="format of the answer"),
        pytest.param(chat(n=1), id="written default"),
        pytest.param(chat(some_new_parameter=[1, {"a": None}]), id="unknown"),
        pytest.param(PAIRS["messages"][0], id="wire format"),
    ],
)
def test_everything_that_decides_on_the_answer_is_compared(cached: FakeEnvironment, other: Request) -> None:
    assert send(chat()).cache == "miss"
    assert send(other).cache == "miss"
    assert send(chat()).cache == "hit"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(chat(temperature=0.0), id="0.0"),
        pytest.param(chat(user="ada", metadata={"a": "b"}, safety_identifier="x", prompt_cache_key="y"), id="names"),
        pytest.param(chat(metadata={"tags": ["x"]}), id="tags"),
        pytest.param(
            ("/v1/chat/completions", dict(reversed(list(chat()[1].items()))), {}), id="another order of members"
        ),
        pytest.param(("/openai/deployments/auto-chat/chat/completions", chat()[1], {}), id="Azure's path"),
    ],
)
def test_what_does_not_is_left_out(cached: FakeEnvironment, other: Request) -> None:
    send(chat())
    assert send(other).cache == "hit"


def test_an_alias_hits_what_its_model_stored(cached: FakeEnvironment) -> None:
    cached.aliases["gpt-4o"] = "auto-chat"
    send(chat())
    assert send(chat(model="gpt-4o")).cache == "hit"


def test_a_change_of_the_chain_or_of_what_the_routes_send_misses(cached: FakeEnvironment) -> None:
    send(chat())
    _with_shape(cached, RequestShape(set={"reasoning_effort": "low"}))
    assert send(chat()).cache == "miss"
    assert send(chat()).cache == "hit"
    _with_shape(cached, RequestShape(set={"reasoning_effort": "high"}, betas=BetaShape(set=("x",))))
    assert send(chat()).cache == "miss"
    cached.models["auto-chat"] = replace(virtual("auto-chat", "one/gpt-6"), cache_seconds=3600)
    assert send(chat()).cache == "miss"


def test_headers_that_reach_the_provider_are_compared(cached: FakeEnvironment) -> None:
    _with_shape(cached, RequestShape(forward_headers=("x-mode",)))
    request = PAIRS["messages"][0]
    assert send(request, x_mode="a").cache == "miss"
    assert send(request, x_mode="a", x_other="b").cache == "hit"
    assert send(request, x_mode="b").cache == "miss"
    assert send(request, x_mode="a", anthropic_beta="context-1m").cache == "miss"


def test_another_master_key_finds_nothing(cached: FakeEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    send(chat())
    monkeypatch.setattr("tests.unit.gateway.fake_environment.MASTER_KEY", "sk-another")
    assert send(chat(), "sk-another").cache == "miss"
    assert len(cached.answers.table) == 2
    assert all(len(id_) == 64 for id_ in cached.answers.table)


def _finished(reason: str) -> dict[str, Any]:
    return {**COMPLETION, "choices": [{**COMPLETION["choices"][0], "finish_reason": reason}]}  # type: ignore[index]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(_finished("length"), id="cut"),
        pytest.param(_finished("content_filter"), id="filtered"),
        pytest.param(_finished("whatever"), id="for an unknown reason"),
        pytest.param(
            {**COMPLETION, "choices": [{"index": 0, "message": {"refusal": "No."}, "finish_reason": "stop"}]},
            id="refused",
        ),
    ],
)
def test_an_answer_that_did_not_end_by_itself_is_not_stored(cached: FakeEnvironment, answer: Any) -> None:
    cached.upstream.script["one"] = [whole(answer)]
    assert send(chat()).status == 200
    assert cached.answers.table == {}


def test_tool_calls_are_stored(cached: FakeEnvironment) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "search", "arguments": '{"q":"x"}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    cached.upstream.script["one"] = [
        whole({**COMPLETION, "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})
    ]
    send(chat(tools=[SEARCH]))
    replayed = send(chat(tools=[SEARCH], stream=True))
    assert replayed.cache == "hit"
    (chunk,) = replayed.chunks
    assert chunk["choices"][0]["delta"]["tool_calls"] == [{**call, "index": 0}]


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([*STREAM[:2], Failure(FailureKind.RESET)], id="broken"),
        pytest.param(STREAM[:2], id="cut"),
        pytest.param([*STREAM[:2], b"data: junk\n\n", *STREAM[2:]], id="with an unreadable event"),
        pytest.param([*STREAM[:2], b'data: {"error":{"message":"no"}}\n\n'], id="ended by an error"),
    ],
)
def test_a_stream_that_is_not_whole_is_not_stored(cached: FakeEnvironment, pieces: list[Any]) -> None:
    cached.upstream.script["one"] = [streamed(*pieces)]
    assert send(chat(stream=True)).status == 200
    sound = "junk" in str(pieces)  # the reader skips it: what the caller got is whole
    assert len(cached.answers.table) == int(sound)


def test_neither_errors_nor_answers_of_a_fallback_are_stored(cached: FakeEnvironment) -> None:
    cached.upstream.script["one"] = [refusal(500, {})]
    assert send(chat()).headers["x-vibe-fallbacks"] == "1"
    assert cached.answers.table == {}
    cached.table.items.clear()
    cached.upstream.script = {"one": [refusal(400, {})], "two": [refusal(400, {})]}
    answer = send(chat())
    assert (answer.status, answer.cache) == (400, "miss")
    assert cached.answers.table == {}


def test_answers_of_a_deployment_that_must_be_second_are_stored(cached: FakeEnvironment) -> None:
    blind = replace(deployment("one/text"), vision=False)
    model = cached.models["auto-chat"]
    cached.models["auto-chat"] = replace(model, steps=((blind,), *model.steps[1:]))
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    request = chat(messages=[{"role": "user", "content": [{"type": "text", "text": SAID}, picture]}])
    assert [send(request).cache for _ in range(2)] == ["miss", "hit"]


def test_a_corrupt_answer_is_a_miss(cached: FakeEnvironment) -> None:
    send(chat())
    for data in (b"", b"{}", b"[]\n{}", b'{"usage":{"x":1}}\n{}', b'{"usage":null}\n{}'):
        (id_,) = cached.answers.table
        cached.answers.table[id_] = replace(cached.answers.table[id_], data=data)
        assert send(chat()).cache == "miss"


def test_a_replayed_response_echoes_its_own_request_and_is_stored_for_its_caller(cached: FakeEnvironment) -> None:
    cached.callers.callers |= {key: caller for key, caller in KEYS.items() if caller}
    body = {"model": "auto-chat", "temperature": 0, "input": SAID}
    first = send(("/v1/responses", {**body, "store": False, "metadata": {"of": "the first"}, "user": "ada"}, {}))
    second = send(("/v1/responses", {**body, "user": "bob"}, {}))
    assert (first.cache, second.cache) == ("miss", "hit")
    assert (second.json["metadata"], second.json["user"], second.json["store"]) == ({}, "bob", True)
    assert first.json["output"] == second.json["output"]
    assert set(cached.response_store.table) == {second.json["id"]}
    following = {**body, "input": "And now?", "previous_response_id": second.json["id"], "stream": True}
    assert send(("/v1/responses", following, {})).status == 200


def test_a_hit_calls_no_hook_of_an_attempt_and_the_hook_of_the_request_decides_what_is_looked_up(
    cached: FakeEnvironment,
) -> None:
    calls: list[str] = []

    class Hooks:
        @staticmethod
        def before_request(request: Any) -> None:
            calls.append("request")
            request.replace_texts(lambda text: text.replace("hallo", "hello"))

        @staticmethod
        def before_attempt(attempt: Any) -> None:
            calls.append("attempt")

    cached.use_hooks(Hooks)
    send(chat())
    assert send(chat(messages=[{"role": "user", "content": "Say hallo."}])).cache == "hit"
    assert calls == ["request", "attempt", "request"]


@pytest.mark.parametrize("stream", [False, True])
def test_masked_requests_share_an_answer_and_each_gets_its_own_values(cached: FakeEnvironment, stream: bool) -> None:
    cached.guards["personal"] = Guard("personal", ("emails",), action="mask")
    cached.models["auto-chat"] = replace(cached.models["auto-chat"], guards=("personal",))
    said = {**COMPLETION, "choices": [{"index": 0, "message": {"content": "To [EMAIL_1]"}, "finish_reason": "stop"}]}
    cached.upstream.script["one"] = [whole(said)]
    first, second = (
        send(chat(messages=[{"role": "user", "content": f"Write to {mail}"}], stream=stream and mail.startswith("bob")))
        for mail in ("ann@example.com", "bob@example.com")
    )
    assert (first.cache, second.cache) == ("miss", "hit")
    assert first.json["choices"][0]["message"]["content"] == "To ann@example.com"
    assert b"To bob@example.com" in second.raw
    assert b"ann" not in second.raw
    assert all(b"@example.com" not in each.data for each in cached.answers.table.values())

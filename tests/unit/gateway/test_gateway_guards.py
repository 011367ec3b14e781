"""Guards through the handler: in every format they block, mask and report, and no value is recorded anywhere."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway import app
from streaming_runtime import StreamingResponse
from tests.unit.gateway.fake_environment import COMPLETION, FakeEnvironment, context, event, streamed, virtual, whole
from vibe_router.access.keys import Caller, Key, Team
from vibe_router.core.models import Guard
from vibe_router.pipeline.guardrails import GuardrailOutcome
from vibe_router.routing.verdict import Failure, FailureKind

Lines = Callable[[], list[dict[str, Any]]]

MAIL = "jane.doe@example.com"
SAID = f"Write to {MAIL}."
MASKED = "Write to [EMAIL_1]."
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": SAID}]}),
    "completions": ("/v1/completions", {"prompt": SAID}),
    "messages": ("/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": SAID}]}),
    "responses": ("/v1/responses", {"input": SAID}),
    "gemini": ("/v1beta/models/auto-chat:generateContent", {"contents": [{"role": "user", "parts": [{"text": SAID}]}]}),
    "embeddings": ("/v1/embeddings", {"input": [SAID]}),
    "moderations": ("/v1/moderations", {"input": SAID}),
    "images": ("/v1/images/generations", {"prompt": SAID}),
    "speech": ("/v1/audio/speech", {"input": SAID, "voice": "alloy"}),
    "rerank": ("/v1/rerank", {"query": SAID, "documents": ["x"]}),
}
CONVERSATIONS = ("chat", "completions", "messages", "responses", "gemini")
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nauto-chat\r\n'
    b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n%b\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n%b\r\n--b--\r\n'
)


@pytest.fixture(autouse=True)
def guarded(environment: FakeEnvironment) -> None:
    formats = ("chat", "embeddings", "moderations", "images", "speech", "rerank", "transcriptions")
    model = virtual("auto-chat", "one/gpt", "two/glm")
    steps = tuple(tuple(replace(each, formats=formats) for each in step) for step in model.steps)
    environment.models["auto-chat"] = replace(model, steps=steps)
    use(environment, "mask")


def use(environment: FakeEnvironment, action: str, **more: Any) -> None:
    environment.guards["personal"] = Guard("personal", ("secrets", "emails"), action=action, **more)
    environment.models["auto-chat"] = replace(environment.models["auto-chat"], guards=("personal",))


def ask(name: str, key: str = "", **more: Any) -> tuple[StreamingResponse, bytes]:
    path, body = BODIES[name]
    if more.get("stream") and name == "gemini":
        path = path.replace(":generateContent", ":streamGenerateContent?alt=sse").partition("?")[0]
    asked = event("POST", path, {"model": "auto-chat", **body, **more})
    if name == "gemini":
        asked = event("POST", path, body, queryStringParameters={"alt": "sse"} if more.get("stream") else None)
        asked["headers"]["x-goog-api-key"] = asked["headers"].pop("Authorization").removeprefix("Bearer ")
    if key:
        asked["headers"]["Authorization"] = f"Bearer {key}"
    invocation = context()
    response = app.handler(asked, invocation)
    answer = b"".join(response.body)
    invocation.run_work()
    return response, answer


def answering(text: str) -> dict[str, Any]:
    return {
        **COMPLETION,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
    }


def streaming(*pieces: str) -> list[bytes]:
    chunks = [{"model": "m", "choices": [{"index": 0, "delta": {"content": each}}]} for each in pieces]
    ending = {"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return [*(b"data: %b\n\n" % json.dumps(each).encode() for each in [*chunks, ending]), b"data: [DONE]\n\n"]


@pytest.mark.parametrize("name", BODIES)
def test_a_request_is_blocked_in_every_format(environment: FakeEnvironment, lines: Lines, name: str) -> None:
    use(environment, "block")
    response, answer = ask(name)
    assert response.status == 400
    assert b"guard_blocked" in answer or name in ("messages", "gemini")
    assert b"The guard 'personal' blocked this request: it contains an e-mail address." in answer
    assert environment.upstream.calls == []
    [line] = [each for each in lines() if each["message"] == "ROUTING DECISION"]
    assert (line["error"], line["guard_findings"]) == ("guard_blocked", {"emails": 1})


@pytest.mark.parametrize("name", BODIES)
def test_a_value_is_masked_in_every_format(environment: FakeEnvironment, name: str) -> None:
    if name not in CONVERSATIONS:
        environment.upstream.script["one"] = [whole({"data": [], "results": [], "audio": "x", "usage": {}})]
    response, answer = ask(name)
    assert response.status == 200, answer
    [(_, sent)] = environment.upstream.calls
    assert MASKED in json.dumps(sent)
    assert MAIL not in json.dumps(sent)
    assert environment.books.booked[-1].guard_findings == {"emails": 1}


@pytest.mark.parametrize("name", CONVERSATIONS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_value_is_restored_in_the_answer(environment: FakeEnvironment, name: str, stream: bool) -> None:
    pieces = ("I wrote to [EM", "AI", "L_1] and [E", ".")
    environment.upstream.script["one"] = [
        streamed(*streaming(*pieces)) if stream else whole(answering("".join(pieces)))
    ]
    _, answer = ask(name, stream=True) if stream else ask(name)
    assert MAIL.encode() in answer
    assert b"[EMAIL_1]" not in answer
    assert b"[E" in answer


def test_fallbacks_get_masked_texts_and_a_broken_stream_says_so(environment: FakeEnvironment) -> None:
    broken = Failure(FailureKind.UNREACHABLE, detail="reset")
    environment.upstream.script["one"] = [broken]
    environment.upstream.script["two"] = [streamed(*streaming("to [EMAIL_1] [EMA")[:1], broken)]
    _, answer = ask("chat", stream=True)
    assert {provider for provider, sent in environment.upstream.calls if MASKED in json.dumps(sent)} == {"one", "two"}
    assert b"[EMA" in answer
    assert MAIL.encode() in answer
    assert b"[DONE]" not in answer
    assert b'"error"' in answer


def test_the_guards_of_key_and_team_apply_too(environment: FakeEnvironment) -> None:
    environment.models["auto-chat"] = replace(environment.models["auto-chat"], guards=())
    environment.guards["tickets"] = Guard("tickets", patterns=(("tickets", "ACME-[0-9]+"),), action="report")
    team = Team("t", guards=("tickets",))
    environment.callers.callers["sk-k"] = Caller(Key("hash", "k", guards=("personal",), team_id="t"), team)
    ask("chat", "sk-k", messages=[{"role": "user", "content": f"{SAID} ACME-1 ACME-2"}])
    [(_, sent)] = environment.upstream.calls
    assert sent["messages"][0]["content"] == f"{MASKED} ACME-1 ACME-2"
    assert environment.books.booked[-1].guard_findings == {"emails": 1, "tickets": 2}


def test_a_missing_guard_lets_nothing_pass(environment: FakeEnvironment) -> None:
    environment.guards.clear()
    response, answer = ask("chat")
    assert (response.status, json.loads(answer)["error"]["code"]) == (503, "guard_unavailable")
    assert environment.upstream.calls == []


def test_a_request_without_findings_is_sent_as_it_came(environment: FakeEnvironment) -> None:
    response, answer = ask("chat", messages=[{"role": "user", "content": "Say hello to [EMAIL_1]."}])
    assert json.loads(answer) == COMPLETION
    assert environment.books.booked[-1].guard_findings is None
    assert response.status == 200


@pytest.mark.parametrize("path", ["/v1/messages/count_tokens"])
def test_tokens_are_counted_without_the_value(environment: FakeEnvironment, path: str) -> None:
    model = environment.models["auto-chat"]
    steps = tuple(tuple(replace(each, formats=("messages",)) for each in step) for step in model.steps)
    environment.models["auto-chat"] = replace(model, steps=steps)
    environment.upstream.script["one"] = [whole({"input_tokens": 9})]
    app.handler(event("POST", path, {"model": "auto-chat", **BODIES["messages"][1]}), context())
    assert environment.upstream.calls
    assert MAIL not in json.dumps(environment.upstream.calls)


def test_the_prompt_of_a_form_is_masked_and_its_file_is_not_touched(environment: FakeEnvironment) -> None:
    environment.upstream.script["one"] = [whole({"text": "call [EMAIL_1]"})]
    asked = event("POST", "/v1/audio/transcriptions", (FORM % (SAID.encode(), MAIL.encode())).decode())
    asked["headers"]["Content-Type"] = "multipart/form-data; boundary=b"
    response = app.handler(asked, context())
    assert json.loads(b"".join(response.body)) == {"text": f"call {MAIL}"}
    [(_, sent)] = environment.upstream.calls
    assert sent["form"] == (FORM % (MASKED.encode(), MAIL.encode())).replace(b"auto-chat", b"gpt")


def test_a_stored_response_stays_masked_and_goes_on(environment: FakeEnvironment) -> None:
    environment.upstream.script["one"] = [whole(answering("to [EMAIL_1]")), whole(answering("to [EMAIL_2]"))]
    first = json.loads(ask("responses")[1])
    assert MAIL in json.dumps(first)
    assert MAIL.encode() not in b"".join(each.record for each in environment.response_store.table.values())
    second = json.loads(ask("responses", previous_response_id=first["id"], input=SAID)[1])
    assert MAIL in json.dumps(second), "the number of the history's placeholder is not used again"
    assert MAIL not in json.dumps(environment.upstream.calls)
    assert environment.books.booked[-1].guard_findings == {"emails": 1}


def test_no_value_is_recorded_anywhere(
    environment: FakeEnvironment, lines: Lines, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "ghp_" + "a1B2" * 9
    for action in ("report", "mask", "block"):
        use(environment, action)
        ask("chat", messages=[{"role": "user", "content": f"{SAID} {secret}"}], stream=action == "mask")
    recorded = [each.as_line() for each in environment.books.booked] + [
        each.as_row(9) for each in environment.books.booked
    ]
    for kept in (json.dumps(lines(), default=str), repr(recorded), repr(environment.states), capsys.readouterr().out):
        assert MAIL not in kept
        assert secret not in kept
    assert [each.guard_findings for each in environment.books.booked] == [{"secrets": 1, "emails": 1}] * 3


@pytest.mark.parametrize(
    ("action", "blocks", "status", "sent"),
    [
        ("report", True, 200, SAID),
        ("mask", False, 200, "Write to {EMAIL}."),
        ("mask", True, 400, ""),
        ("block", False, 400, ""),
    ],
)
def test_a_guardrail_of_bedrock_decides_as_its_guard_says(
    environment: FakeEnvironment, monkeypatch: pytest.MonkeyPatch, action: str, blocks: bool, status: int, sent: str
) -> None:
    def inspect(_guard: Guard, texts: list[str]) -> GuardrailOutcome:
        return GuardrailOutcome({"email": 1}, blocks, {text: text.replace(MAIL, "{EMAIL}") for text in texts})

    monkeypatch.setattr(environment.guardrails, "inspect", inspect)
    environment.guards["personal"] = Guard("personal", action=action, bedrock=("abc", "1", None))
    environment.models["auto-chat"] = replace(environment.models["auto-chat"], guards=("personal",))
    response, _ = ask("responses")
    assert response.status == status
    assert [sent in json.dumps(each) for _, each in environment.upstream.calls] == [True] * (status == 200)
    assert environment.books.booked[-1].guard_findings == {"email": 1}


def test_a_cached_answer_is_masked_and_restored_for_each_request(environment: FakeEnvironment) -> None:
    model = environment.models["auto-chat"]
    environment.models["auto-chat"] = replace(model, cache_seconds=60)
    environment.upstream.script["one"] = [whole(answering("to [EMAIL_1]"))]
    other = "other@example.com"
    key = Key("hash", "k")
    environment.callers.callers["sk-k"] = Caller(key)
    for value in (MAIL, other):
        said = [{"role": "user", "content": f"Write to {value}."}]
        _, answer = ask("chat", "sk-k", temperature=0, messages=said)
        assert json.loads(answer)["choices"][0]["message"]["content"] == f"to {value}"


@pytest.mark.parametrize(
    "piece",
    ["a{0}@example.com ", "[EMAIL_{0}] ", "a{0}@example.com [EMAIL_{0}] "],
    ids=["values", "placeholders", "both"],
)
def test_the_time_grows_with_the_values_and_the_placeholders(environment: FakeEnvironment, piece: str) -> None:
    def seconds(count: int) -> float:
        text = MAIL + " " + "".join(map(piece.format, range(count)))
        sent = event(
            "POST", "/v1/chat/completions", {"model": "auto-chat", "messages": [{"role": "user", "content": text}]}
        )
        started = time.process_time()
        assert app.handler(sent, context()).status == 200
        return time.process_time() - started

    seconds(100)
    first, fourth = (min(seconds(count) for _ in range(2)) for count in (3_000, 12_000))
    assert fourth < 10 * first + 0.1


def test_more_values_than_an_answer_can_have_restored_are_a_400(environment: FakeEnvironment) -> None:
    text = "".join(f"a{number}@example.com " for number in range(20_001))
    body = {"model": "auto-chat", "messages": [{"role": "user", "content": text}]}
    response = app.handler(event("POST", "/v1/chat/completions", body), context())
    assert (response.status, "20,000 values" in json.loads(b"".join(response.body))["error"]["message"]) == (400, True)
    assert environment.upstream.calls == []


def test_a_placeholder_that_the_caller_escaped_is_left_alone(environment: FakeEnvironment) -> None:
    raw = json.dumps({"model": "auto-chat", "messages": [{"role": "user", "content": f"[EMAIL_1] {MAIL}"}]})
    app.handler(event("POST", "/v1/chat/completions", raw.replace("[EMAIL", "\\u005bEMAIL")), context())
    assert environment.upstream.calls[0][1]["messages"][0]["content"] == "[EMAIL_1] [EMAIL_2]"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_deeply_nested_answer_is_sent_restored_or_not(environment: FakeEnvironment, stream: bool) -> None:
    deep = "[" * 600 + "]" * 600
    if stream:
        chunk = b'data: {"choices":[{"index":0,"delta":{"content":"[EMAIL_1]"},"x":%b}]}\n\n' % deep.encode()
        environment.upstream.script["one"] = [streamed(chunk, *streaming("x"))]
        _, answer = ask("chat", stream=True)
        assert answer.endswith(b"[DONE]\n\n")
    else:
        environment.upstream.script["one"] = [whole({**answering("[EMAIL_1]"), "x": json.loads(deep)})]
        response, answer = ask("chat")
        assert response.status == 200
    assert b"[EMAIL_1]" in answer or MAIL.encode() in answer

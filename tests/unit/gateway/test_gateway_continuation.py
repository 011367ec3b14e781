"""An answer that breaks is continued by the next deployment, without a seam in the caller's stream."""

import json
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.gateway.fake_environment import MASTER_KEY, FakeEnvironment, ScriptedReply, ScriptedUpstream, refusal
from vibe_router.core.models import Deployment, Policy, Provider, VirtualModel
from vibe_router.core.price import Price, cost
from vibe_router.core.record import Record
from vibe_router.core.usage import Usage
from vibe_router.formats import registry
from vibe_router.formats.common import sse
from vibe_router.formats.gemini.format import GeminiCall
from vibe_router.formats.interfaces import WholeAnswer
from vibe_router.formats.neutral.model import (
    Event,
    Finish,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from vibe_router.formats.overlap import as_prefill
from vibe_router.pipeline.failover import FailoverExecutor
from vibe_router.pipeline.serve import RequestPipeline
from vibe_router.routing.verdict import Failure, FailureKind
from vibe_router.upstream.client import AttemptFailedError, Reply

TEXT = 'The quick brown fox — é😀 — jumps over the lazy dog.\n\n  Then it rests, and says "data: {}" twice.\n'
CALLERS = ("chat", "completions", "responses", "messages", "gemini")
PROVIDERS = ("chat", "responses", "messages")


def providers_of(caller: str) -> tuple[str, ...]:
    """Return the formats of providers that can serve a caller's format."""
    return (*PROVIDERS, "completions") if caller == "completions" else PROVIDERS


CUT = Failure(FailureKind.NOT_A_COMPLETION, detail="the answer broke off (ReadError)")
STALL = Failure(FailureKind.TIMEOUT, detail="the answer fell silent")


def stream_of(format_: str, events: list[Event]) -> list[bytes]:
    """Return the stream of a provider, an item for each event."""
    body: dict[str, Any] = {"model": "m", "input": "x", "messages": [], "stream_options": {"include_usage": True}}
    if format_ == "messages":
        body = {
            "model": "m",
            "max_tokens": 9,
            "messages": [{"role": "user", "content": "x"}],
            "thinking": {"type": "enabled"},
        }
    if format_ == "completions":
        body["prompt"] = "x"
    if format_ == "chat":
        body["messages"] = [{"role": "user", "content": "x"}]
    client = registry.client_conversation(format_)
    writer = client.writer(client.parse(json.dumps(body).encode(), {}), 1)
    written = [writer.write(event) for event in events]
    ending = writer.end() if any(isinstance(event, Finish) for event in events) else b""
    return [raw for raw in (*written, ending) if raw]


def length_of(format_: str, events: list[Event]) -> int:
    return len(b"".join(stream_of(format_, events)))


def answer_of(text: str, *, before: tuple[Event, ...] = (), size: int = 5) -> list[Event]:
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    usage = UsageReport(Usage(7, len(pieces)))
    return [Started("msg_1", "model-x"), *before, *map(TextDelta, pieces), Finish("stop"), usage]


def prefill_of(body: dict[str, Any]) -> str:
    """Return the beginning of the answer in a request."""
    if isinstance(prompt := body.get("prompt"), str):
        return prompt.removeprefix("Tell me.")
    turns = body.get("messages") or body.get("input") or []
    last = turns[-1] if isinstance(turns, list) and turns else {}
    if last.get("role") != "assistant":
        return ""
    content = last["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


class TextUpstream(ScriptedUpstream):
    """Provider `one` breaks after `cut` bytes of its stream; `two` knows the same text.

    `manner` is what `two` does with a prefill: continue, reject, ignore (and begin again), or reject and diverge.
    """

    def __init__(self) -> None:
        super().__init__()
        self.formats: dict[str, str] = {}
        self.cut = 0
        self.failure: Failure | None = CUT
        self.manner = "continue"
        self.first = answer_of(TEXT)
        self.bodies: dict[str, list[dict[str, Any]]] = {}

    def post(self, url: str, headers: Any, body: bytes, *, connect: float, until: float) -> Reply:
        provider = url.split("/")[2].partition(".")[0]
        asked = json.loads(body)
        self.bodies.setdefault(provider, []).append(asked)
        format_ = self.formats[provider]
        if provider == "one":
            raw = b"".join(stream_of(format_, self.first))[: self.cut]
            return ScriptedReply(200, "text/event-stream", [raw, self.failure] if self.failure else [raw])
        prefill = prefill_of(asked)
        if prefill and self.manner.startswith("reject"):
            error = {"error": {"type": "invalid_request_error", "message": "This model does not support prefill."}}
            raise AttemptFailedError(refusal(400, error))
        text = TEXT
        if self.manner == "reject and diverge":
            text = "Something else altogether, which does not fit at all."
        elif prefill and self.manner != "ignore":
            assert TEXT.startswith(prefill)
            text = TEXT[len(prefill) :]
        return ScriptedReply(200, "text/event-stream", stream_of(format_, answer_of(text, size=3)))


class Continuing:
    """Serves one caller's format on two providers."""

    def __init__(self, caller: str, first: str, second: str, **policy: Any) -> None:
        self.caller = caller
        self.environment = FakeEnvironment()
        self.upstream = TextUpstream()
        self.upstream.formats = {"one": first, "two": second, "three": second}
        environment = self.environment
        environment.failover = FailoverExecutor(
            environment.table, environment.secrets, self.upstream, environment.clock
        )
        self.policy = Policy(**{"retries": 0, "continuation": True, **policy})
        self.prices = {"one": Price(10, 20), "two": Price(30, 40), "three": Price(50, 60)}
        self.chain("one", "two")

    def chain(self, *names: str) -> None:
        steps = []
        for name in names:
            formats = (self.upstream.formats[name],)
            provider = Provider(name, f"https://{name}.example/v1", "KEY", formats)
            steps.append((Deployment(provider, "m", self.policy, formats=formats, price=self.prices[name]),))
        self.environment.models = {"auto-chat": VirtualModel("auto-chat", "", tuple(steps))}

    def ask(self, **more: object) -> bytes:
        body: dict[str, Any] = {"model": "auto-chat", "stream": True, **more}
        if self.caller == "completions":
            body["prompt"] = "Tell me."
        elif self.caller == "responses":
            body["input"] = "Tell me."
        elif self.caller == "gemini":
            body = {"contents": [{"role": "user", "parts": [{"text": "Tell me."}]}]}
        else:
            body |= {"messages": [{"role": "user", "content": "Tell me."}], "max_tokens": 999}
        gemini = GeminiCall("auto-chat", stream=True, events=True)
        client = gemini if self.caller == "gemini" else registry.client(self.caller)
        pipeline = RequestPipeline(client, "r-1", self.environment)
        sent = json.dumps(body).encode()
        answer = pipeline.serve({"authorization": f"Bearer {MASTER_KEY}"}, sent, 900)
        assert not isinstance(answer, WholeAnswer)
        raw = b"".join(answer)
        pipeline.settle()
        return raw

    @property
    def record(self) -> Record:
        return self.environment.books.booked[-1]


def values_of(raw: bytes) -> Iterator[dict[str, Any]]:
    for event in sse.EventDecoder().feed(raw):
        if event.data and event.data != b"[DONE]":
            yield json.loads(event.data)


def text_of(caller: str, raw: bytes) -> str:
    texts = []
    for value in values_of(raw):
        if caller == "messages":
            texts.append(value.get("delta", {}).get("text", "") if value["type"] == "content_block_delta" else "")
        elif caller == "gemini":
            parts = [part for each in value.get("candidates", ()) for part in each.get("content", {}).get("parts", ())]
            texts.append("".join(part.get("text", "") for part in parts))
        elif caller == "responses":
            texts.append(value["delta"] if value["type"] == "response.output_text.delta" else "")
        else:
            choices = value.get("choices") or [{}]
            texts.append(choices[0].get("text") or choices[0].get("delta", {}).get("content") or "")
    return "".join(texts)


def check_stream(caller: str, raw: bytes) -> None:
    """Check that the stream is one answer from its beginning to its end."""
    values = list(values_of(raw))
    kinds = [value.get("type") for value in values]
    match caller:
        case "chat" | "completions":
            assert raw.endswith(b"data: [DONE]\n\n")
            assert len({(value["id"], value["created"], value["model"]) for value in values}) == 1
            finishes = [c["finish_reason"] for value in values for c in value["choices"] if c.get("finish_reason")]
            assert finishes == ["stop"]
            roles = [c["delta"]["role"] for v in values for c in v["choices"] if "role" in c.get("delta", {})]
            assert len(roles) <= 1
        case "gemini":
            finishes = [
                each["finishReason"] for value in values for each in value["candidates"] if "finishReason" in each
            ]
            assert finishes == ["STOP"]
            assert len({value["responseId"] for value in values}) == 1
        case "messages":
            assert [kinds.count(each) for each in ("message_start", "message_delta", "message_stop")] == [1, 1, 1]
            assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 1
        case "responses":
            assert [value["sequence_number"] for value in values] == list(range(len(values)))
            assert kinds[-1] == "response.completed"
            assert values[-1]["response"]["output"][-1]["content"][0]["text"] == TEXT
            assert len({value["item_id"] for value in values if "item_id" in value}) == 1


@pytest.mark.parametrize(
    ("caller", "first", "second"),
    [(caller, *pair) for caller in CALLERS for pair in product(providers_of(caller), repeat=2)],
)
def test_a_cut_is_continued_in_every_format(caller: str, first: str, second: str) -> None:
    run = Continuing(caller, first, second)
    run.upstream.cut = length_of(first, answer_of(TEXT)[:9])
    raw = run.ask()
    assert text_of(caller, raw) == TEXT
    check_stream(caller, raw)
    assert [(each["deployment"], each["verdict"]) for each in run.record.attempts] == [
        ("one/m", "transient"),
        ("two/m", "ok"),
    ]


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("manner", ["continue", "reject", "ignore"])
@given(data=st.data())
@settings(max_examples=12)
def test_no_character_is_lost_or_duplicated_wherever_it_breaks(caller: str, manner: str, data: st.DataObject) -> None:
    first, second = (data.draw(st.sampled_from(providers_of(caller))) for _ in range(2))
    run = Continuing(caller, first, second)
    size = len(b"".join(stream_of(first, answer_of(TEXT))))
    run.upstream.cut = data.draw(st.integers(0, size))
    run.upstream.failure = data.draw(st.sampled_from([CUT, STALL, None]))
    run.upstream.manner = manner
    # A clean end completes an event that lacks only its blank line.
    if manner == "ignore" and 0 < len(prefix_of(first, run.upstream.cut + 2)) < 20:
        return  # too short to tell
    raw = run.ask()
    assert text_of(caller, raw) == TEXT
    check_stream(caller, raw)


def prefix_of(first: str, cut: int) -> str:
    return text_of(first, b"".join(stream_of(first, answer_of(TEXT)))[:cut])


def test_every_byte_of_a_cut_is_survived() -> None:
    size = len(b"".join(stream_of("messages", answer_of(TEXT))))
    for cut in range(0, size, 23):
        run = Continuing("messages", "messages", "chat")
        run.upstream.cut = cut
        assert text_of("messages", run.ask()) == TEXT


def test_the_known_text_is_the_last_turn_of_the_next_request() -> None:
    run = Continuing("chat", "chat", "messages")
    run.upstream.cut = length_of("chat", answer_of(TEXT)[:6])
    run.ask()
    [asked] = run.upstream.bodies["two"]
    assert prefill_of(asked) == as_prefill(TEXT[:25])
    assert len(asked["messages"]) == 2


@pytest.mark.parametrize("caller", CALLERS)
def test_an_answer_that_diverges_ends_in_an_error(caller: str) -> None:
    run = Continuing(caller, "chat", "chat")
    run.upstream.cut = length_of("chat", answer_of(TEXT)[:9])
    run.upstream.manner = "reject and diverge"
    raw = run.ask()
    assert text_of(caller, raw) == TEXT[:40], "nothing of the other text reaches the caller"
    assert b"error" in raw
    assert b"[DONE]" not in raw
    record = run.record
    assert record.error == "stream_truncated"
    assert run.environment.table.items.keys() == {"deployment#one/m"}, "the second deployment is not to blame"


@pytest.mark.parametrize(
    "before",
    [
        (ToolCallStart("call_1", "look"), ToolCallDelta('{"a": ')),
        (TextDelta("Let me look."), ToolCallStart("call_1", "look"), ToolCallDelta('{"a": ')),
        (ReasoningDelta("I think that"),),
    ],
    ids=["tool call", "tool call after text", "thinking"],
)
@pytest.mark.parametrize("caller", ["chat", "responses", "messages"])
def test_tool_calls_and_thinking_are_never_continued(caller: str, before: tuple[Event, ...]) -> None:
    run = Continuing(caller, "chat", "chat")
    cut = [Started("msg_1", "model-x"), *before]
    run.upstream.first = cut
    run.upstream.cut = length_of("chat", cut)
    tools = {"tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]}
    raw = run.ask(**(tools if caller == "chat" else {}))
    assert b'"error"' in raw
    assert "two" not in run.upstream.bodies
    assert run.record.error == "stream_truncated"


def test_parts_show_which_deployment_wrote_what() -> None:
    run = Continuing("chat", "chat", "chat")
    run.upstream.cut = length_of("chat", answer_of(TEXT)[:9])
    raw = run.ask(stream_options={"include_usage": True})
    entries = next(value["vibe"]["parts"] for value in values_of(raw) if "vibe" in value)
    assert [each["deployment"] for each in entries] == ["one/m", "two/m"]
    record = run.record
    assert [(each["deployment"], each["characters"]) for each in record.parts] == [
        (each["deployment"], each["characters"]) for each in entries
    ]
    assert sum(each["characters"] for each in entries) == len(TEXT)
    assert record.cost == sum(
        cost(run.prices[name], Usage(each["prompt_tokens"], each["completion_tokens"])) or 0
        for name, each in zip(("one", "two"), record.parts, strict=True)
    )
    assert record.usage.completion_tokens == sum(each["completion_tokens"] for each in record.parts)
    assert run.environment.fake_ledgers.settled[-1] == (record.cost, record.usage.total_tokens)
    reported = next(value["usage"] for value in values_of(raw) if value.get("usage"))
    assert reported["completion_tokens"] >= record.parts[1]["completion_tokens"]
    assert record.deployment == "one/m"


def test_without_the_setting_a_cut_ends_in_an_error() -> None:
    run = Continuing("chat", "chat", "chat", continuation=False)
    run.upstream.cut = length_of("chat", answer_of(TEXT)[:9])
    raw = run.ask()
    assert b'"error"' in raw
    assert "two" not in run.upstream.bodies


def test_a_continuation_that_breaks_is_continued_by_the_third() -> None:
    run = Continuing("messages", "chat", "chat")
    run.chain("one", "two", "three")
    run.upstream.cut = length_of("chat", answer_of(TEXT)[:9])
    real = run.upstream.post

    def post(url: str, headers: Any, body: bytes, **bounds: Any) -> Reply:
        reply = real(url, headers, body, **bounds)
        if "two" in url:
            prefill = prefill_of(json.loads(body))
            raw = b"".join(stream_of("chat", answer_of(TEXT[len(prefill) :], size=3)[:6]))
            return ScriptedReply(200, "text/event-stream", [raw, CUT])
        return reply

    run.upstream.post = post  # type: ignore[method-assign]
    raw = run.ask()
    assert text_of("messages", raw) == TEXT
    check_stream("messages", raw)
    assert [each["deployment"] for each in run.record.parts] == ["one/m", "two/m", "three/m"]
    assert sum(each["characters"] for each in run.record.parts) == len(TEXT)

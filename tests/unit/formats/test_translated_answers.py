"""Answers in another format than the provider's: streamed, whole, cut anywhere, failing."""

import itertools
import json
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from vibe_router.core.errors import ApiError
from vibe_router.core.models import Deployment, Provider
from vibe_router.core.usage import Usage
from vibe_router.formats import registry
from vibe_router.formats.chat import neutral_answer, neutral_request
from vibe_router.formats.chat.assembly import ChatAssembler
from vibe_router.formats.common import sse
from vibe_router.formats.common.seal import unwrap
from vibe_router.formats.interfaces import StreamReader
from vibe_router.formats.responses import neutral_request as responses_neutral
from vibe_router.formats.responses import stream as responses
from vibe_router.formats.responses.echo import complete_response
from vibe_router.upstream.exchange import Exchange, open_exchange

HELLO: dict[str, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "Hi"}], "stream_options": {"include_usage": True}},
    "responses": {"input": "Hi"},
}
PATCH = {"tools": [{"type": "custom", "name": "patch"}]}


@pytest.fixture(autouse=True)
def _counted_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids that count: two writings of one answer are the same."""
    count_ids(monkeypatch)


def count_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0)
    numbers = itertools.count()
    monkeypatch.setattr("secrets.token_hex", lambda _: f"{next(numbers):04}")


def exchange(caller: str, provider: str, **fields: Any) -> Exchange:
    body = {"model": "auto", "stream": True, **HELLO[caller], **fields}
    request = registry.client(caller).parse(json.dumps(body).encode(), {})
    deployment = Deployment(Provider("layer", "https://layer.example", "KEY"), "glm-4.7", formats=(provider,))
    return open_exchange(request, deployment, 1_800_000_000.0, stream=True)


def chunk(delta: Any = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {
        "id": "c-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "glm-4.7",
        "choices": [choice],
        **more,
    }


USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
TALK = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"reasoning_content": "Hm"}),
    chunk({"reasoning_content": "m."}),
    chunk({"content": "Héllo"}),
    chunk({"content": " there."}),
    chunk(finish="stop"),
    chunk(usage=USAGE) | {"choices": []},
]
CALLS = [
    chunk({"role": "assistant", "content": "I look."}),
    chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "look", "arguments": ""}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"at":'}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
    chunk({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "look", "arguments": "{}"}}]}),
    chunk(finish="tool_calls"),
    chunk(usage=USAGE) | {"choices": []},
]
CUT_SHORT = [chunk({"content": "Hel"}), chunk(finish="length"), chunk(usage=USAGE) | {"choices": []}]
DECLINED = [chunk({"refusal": "I'd"}), chunk({"refusal": " rather not."}), chunk(finish="stop")]
PATCHES = [
    chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "patch", "arguments": '{"inp'}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": 'ut":"*** \\n"}'}}]}),
    chunk(finish="tool_calls"),
]
CITATION = {"url": "https://example.com", "title": "It", "start_index": 0, "end_index": 3}
LIKELY = [{"token": "See.", "logprob": -0.5, "bytes": [83], "top_logprobs": []}]
CITED = [
    chunk({"content": "See."}),
    chunk({"annotations": [{"type": "url_citation", "url_citation": CITATION}]}),
    *CALLS[1:],
]
CITED[0]["choices"][0]["logprobs"] = {"content": LIKELY, "refusal": None}
CHAT_ANSWERS = {
    "talk": TALK,
    "calls": CALLS,
    "cited": CITED,
    "cut short": CUT_SHORT,
    "declined": DECLINED,
    "patches": PATCHES,
}


def chat_stream(chunks: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(sse.encode(json.dumps(each).encode()) for each in chunks) + b"data: [DONE]\n\n"


def item(kind: str, **more: Any) -> dict[str, Any]:
    return {"id": f"{kind}-1", "type": kind, "status": "completed", **more}


THOUGHT = item(
    "reasoning",
    summary=[{"type": "summary_text", "text": "Hm."}, {"type": "summary_text", "text": "So."}],
    encrypted_content="proof",
)
SAID = item(
    "message", role="assistant", content=[{"type": "output_text", "text": "Héllo.", "annotations": [], "logprobs": []}]
)
CALLED = item("function_call", call_id="a", name="look", arguments='{"at":1}')
CALLED_TOO = item("function_call", call_id="b", name="look", arguments="{}") | {"id": "function_call-2"}
PATCHED = item("custom_tool_call", call_id="a", name="patch", input="*** \n")
REFUSED = item("message", role="assistant", content=[{"type": "refusal", "refusal": "I'd rather not."}])
COUNTED = {
    "input_tokens": 7,
    "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 12,
}
OF_FILE = {"type": "file_citation", "file_id": "file-1", "filename": "a.txt", "index": 0}
NOTED = item(
    "message",
    role="assistant",
    content=[
        {
            "type": "output_text",
            "text": "See.",
            "annotations": [{"type": "url_citation", **CITATION}, OF_FILE],
            "logprobs": LIKELY,
        }
    ],
)
RESPONSES_ANSWERS = {
    "talk": [THOUGHT, SAID],
    "cited": [NOTED, CALLED],
    "calls": [SAID, CALLED, CALLED_TOO],
    "patches": [PATCHED],
    "declined": [REFUSED],
}


def response(*output: dict[str, Any], **more: Any) -> dict[str, Any]:
    made = {
        "id": "resp_up",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "gpt-5",
        "output": list(output),
        "usage": COUNTED,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        **more,
    }
    return dict(complete_response(made, {}))


def read(reader: StreamReader, raw: bytes, sizes: Iterator[int] | None = None) -> bytes:
    """Read a provider's stream to its end, cut into pieces of `sizes`; return what the caller gets."""
    cut, out, at = sse.EventDecoder(), b"", 0
    while at < len(raw):
        size = next(sizes) if sizes else len(raw)
        for event in cut.feed(raw[at : at + size]):
            out += reader.read(event).raw
        at += size
    for event in cut.flush():
        out += reader.read(event).raw
    return out + (reader.end() if reader.complete else b"")


def events(raw: bytes) -> list[dict[str, Any]]:
    return [json.loads(event.data) for event in sse.EventDecoder().feed(raw) if event.data not in (None, b"[DONE]")]


RESPONSE_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def checked_responses(raw: bytes) -> list[dict[str, Any]]:
    """Return a Responses stream's events, in order, each as the official package knows it."""
    seen = events(raw)
    assert [each["sequence_number"] for each in seen] == list(range(len(seen)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for each in seen:
            RESPONSE_EVENT.validate_python(each).model_dump()
    return seen


# --- Chat behind a caller who speaks Responses ------------------------------------------------------------------------


@pytest.mark.parametrize("answer", CHAT_ANSWERS)
def test_a_responses_stream_is_in_order_and_adds_up_to_its_last_event(answer: str) -> None:
    reader = exchange("responses", "chat", **PATCH).reader()
    seen = checked_responses(read(reader, chat_stream(CHAT_ANSWERS[answer])))
    assert [each["type"] for each in seen[:2]] == ["response.created", "response.in_progress"]
    final = seen[-1]["response"]
    assert added_up(seen) == final["output"]
    assert [each["item"]["id"] for each in seen if each["type"] == "response.output_item.added"] == [
        each["id"] for each in final["output"]
    ]
    assert seen[-1]["type"] == ("response.incomplete" if answer == "cut short" else "response.completed")


def added_up(seen: Sequence[dict[str, Any]]) -> list[Any]:
    """Put deltas together, and check each `done` against them."""
    output: dict[int, Any] = {}
    words: dict[tuple[Any, ...], str] = {}
    for each in seen:
        kind, place = each["type"], each.get("output_index")
        key = (place, kind.rpartition(".")[0], each.get("content_index"), each.get("summary_index"))
        if kind.endswith(".delta"):
            words[key] = words.get(key, "") + each["delta"]
        elif kind.endswith(".done") and key in words:
            value = next(each[name] for name in ("text", "refusal", "arguments", "input") if name in each)
            assert value == words[key]
        if kind == "response.output_item.done":
            output[each["output_index"]] = each["item"]
    return [output[place] for place in sorted(output)]


@pytest.mark.parametrize("answer", CHAT_ANSWERS)
def test_a_whole_response_is_the_twin_of_its_stream(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assembler = ChatAssembler()
    for each in CHAT_ANSWERS[answer]:
        assembler.add(each)
    put = exchange("responses", "chat", **PATCH)
    streamed = events(read(put.reader(), chat_stream(CHAT_ANSWERS[answer])))[-1]["response"]
    whole = put.whole(assembler.answer())
    Response.model_validate_json(whole.body)
    assert without_ids(json.loads(whole.body)) == without_ids(streamed)
    assert whole.usage == (Usage(7, 5, 2, None, 3) if answer not in ("declined", "patches") else Usage())


def without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_ids(each) for key, each in value.items() if key != "id"}
    return [without_ids(each) for each in value] if isinstance(value, list) else value


def test_usage_and_reasoning_are_reported_in_the_callers_format() -> None:
    final = events(read(exchange("responses", "chat").reader(), chat_stream(TALK)))[-1]["response"]
    assert final["usage"] == COUNTED
    assert [each["type"] for each in final["output"]] == ["reasoning", "message"]
    assert final["output"][0]["content"] == [{"type": "reasoning_text", "text": "Hmm."}]
    assert (final["model"], final["created_at"]) == ("glm-4.7", 1)


def test_a_function_that_stood_for_free_text_comes_back_as_that_tool() -> None:
    final = events(read(exchange("responses", "chat", **PATCH).reader(), chat_stream(PATCHES)))[-1]["response"]
    [call] = final["output"]
    assert (call["type"], call["call_id"], call["name"], call["input"]) == ("custom_tool_call", "a", "patch", "*** \n")


def test_citations_and_log_probabilities_are_reported_in_the_callers_format() -> None:
    final = events(read(exchange("responses", "chat").reader(), chat_stream(CITED)))[-1]["response"]
    [part] = final["output"][0]["content"]
    assert part["annotations"] == [{"type": "url_citation", **CITATION}]
    assert part["logprobs"] == LIKELY
    completion = json.loads(exchange("chat", "responses").whole(response(NOTED, CALLED)).body)
    [choice] = completion["choices"]
    assert choice["message"]["annotations"] == [{"type": "url_citation", "url_citation": CITATION}]
    assert choice["logprobs"]["content"] == LIKELY


def test_a_page_is_cited_at_its_words_in_their_part_of_the_response() -> None:
    """Chat counts from the beginning of the answer, Responses from that of a part."""
    later = {**CITATION, "start_index": 7 + 0, "end_index": 7 + 4}
    chunks = [
        *CALLS[:-2],
        chunk({"content": "See."}),
        chunk({"annotations": [{"type": "url_citation", "url_citation": later}]}),
    ]
    final = checked_responses(
        read(exchange("responses", "chat").reader(), chat_stream([*chunks, chunk(finish="stop")]))
    )
    [_, _, _, message] = final[-1]["response"]["output"]
    [note] = message["content"][0]["annotations"]
    assert (note["start_index"], note["end_index"]) == (0, 4)


def test_fields_of_a_request_are_repeated_in_its_response() -> None:
    repeated = {"instructions": "Be brief.", "temperature": 0.5, "metadata": {"a": "b"}, "text": {"verbosity": "low"}}
    final = events(read(exchange("responses", "chat", **repeated).reader(), chat_stream(TALK)))[-1]["response"]
    assert {name: final[name] for name in ("instructions", "temperature", "metadata")} == {
        name: repeated[name] for name in ("instructions", "temperature", "metadata")
    }
    assert final["text"] == {"format": {"type": "text"}, "verbosity": "low"}


# --- Responses behind a caller who speaks chat ------------------------------------------------------------------------


@pytest.mark.parametrize("answer", RESPONSES_ANSWERS)
def test_a_chat_stream_is_the_twin_of_the_whole_completion(answer: str) -> None:
    put = exchange("chat", "responses")
    held = response(*RESPONSES_ANSWERS[answer])
    raw = read(put.reader(), b"".join(responses.to_events(held)))
    assert raw.endswith(b"data: [DONE]\n\n")
    assembler = ChatAssembler()
    for each in events(raw):
        if answer != "patches":  # the package knows tools with free text only in whole completions
            ChatCompletionChunk.model_validate(each)
        assembler.add(each)
    whole = json.loads(put.whole(held).body)
    ChatCompletion.model_validate(whole)
    streamed = assembler.answer()
    for choice in streamed["choices"]:  # a stream begins with empty words
        choice["message"]["content"] = choice["message"]["content"] or None
        choice["message"].setdefault("refusal", None)
    assert without_ids(streamed) == without_ids(whole)
    assert whole["usage"]["prompt_tokens_details"] == {"cached_tokens": 2, "cache_write_tokens": 0}


@pytest.mark.parametrize(
    ("more", "output", "reason"),
    [
        pytest.param({}, [SAID], "stop", id="it ended"),
        pytest.param({}, [CALLED], "tool_calls", id="it calls"),
        pytest.param(
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            [SAID],
            "length",
            id="too long",
        ),
        pytest.param(
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            [],
            "content_filter",
            id="filtered",
        ),
    ],
)
def test_why_it_ended(more: dict[str, Any], output: list[Any], reason: str) -> None:
    put = exchange("chat", "responses")
    raw = read(put.reader(), b"".join(responses.to_events(response(*output, **more))))
    assert [c["finish_reason"] for each in events(raw) for c in each["choices"] if c["finish_reason"]] == [reason]


def test_interleaved_items_are_sent_one_after_another() -> None:
    def seen(kind: str, place: int, **more: Any) -> bytes:
        return sse.encode(json.dumps({"type": kind, "output_index": place, **more}).encode())

    raw = b"".join(responses.to_events(response()))[:-1].partition(b"event: response.completed")[0]
    raw += seen("response.output_item.added", 0, item=CALLED | {"arguments": ""})
    raw += seen("response.output_item.added", 1, item=CALLED_TOO | {"arguments": ""})
    raw += seen("response.function_call_arguments.delta", 1, delta="{")
    raw += seen("response.function_call_arguments.delta", 0, delta='{"at":1}')
    raw += seen("response.function_call_arguments.delta", 1, delta="}")
    raw += seen("response.output_item.done", 1, item=CALLED_TOO)
    raw += seen("response.output_item.done", 0, item=CALLED)
    raw += seen("response.completed", 0, response=response(CALLED, CALLED_TOO))
    assembler = ChatAssembler()
    for each in events(read(exchange("chat", "responses").reader(), raw)):
        assembler.add(each)
    calls = assembler.answer()["choices"][0]["message"]["tool_calls"]
    assert [(call["id"], call["function"]["arguments"]) for call in calls] == [("a", '{"at":1}'), ("b", "{}")]


def test_an_answer_that_only_the_last_event_contains_is_sent() -> None:
    last = {"type": "response.completed", "response": response(THOUGHT, SAID, CALLED)}
    raw = read(exchange("chat", "responses").reader(), sse.encode(json.dumps(last).encode()))
    assembler = ChatAssembler()
    for each in events(raw):
        assembler.add(each)
    message = assembler.answer()["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("Hm.So.", "Héllo.")
    assert message["tool_calls"][0]["function"]["arguments"] == '{"at":1}'


# --- Cut anywhere -----------------------------------------------------------------------------------------------------

STREAMS = {
    ("responses", "chat"): chat_stream([*TALK[:-2], *CALLS[1:]]),
    ("chat", "responses"): b"".join(responses.to_events(response(THOUGHT, SAID, CALLED))),
    ("responses", "responses"): b"".join(responses.to_events(response(THOUGHT, SAID, CALLED))),
}


@given(pair=st.sampled_from(sorted(STREAMS)), sizes=st.lists(st.integers(1, 90), min_size=1))
def test_a_stream_cut_at_any_byte_has_the_same_content(pair: tuple[str, str], sizes: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        count_ids(patched)
        whole = read(exchange(*pair).reader(), STREAMS[pair])
    with pytest.MonkeyPatch.context() as patched:
        count_ids(patched)
        cut = read(exchange(*pair).reader(), STREAMS[pair], itertools.cycle(sizes))
    assert cut == whole


@given(pair=st.sampled_from(sorted(STREAMS)), at=st.integers(0, 10_000))
def test_a_stream_that_breaks_off_never_looks_whole(pair: tuple[str, str], at: int) -> None:
    raw = STREAMS[pair]
    reader = exchange(*pair).reader()
    out = read(reader, raw[: at % len(raw)])
    if not reader.complete:
        assert b"[DONE]" not in out
        assert b'"response.completed"' not in out


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(
    pair=st.sampled_from(sorted(STREAMS)),
    odd=st.dictionaries(
        st.sampled_from(
            ["type", "choices", "delta", "usage", "response", "item", "output_index", "error", "annotation"]
        ),
        _JSON
        | st.sampled_from(
            [
                "response.output_text.delta",
                "response.output_item.added",
                "response.output_item.done",
                "response.completed",
            ]
        )
        | st.dictionaries(st.sampled_from(["type", "content", "output", "tool_calls", "delta", "summary"]), _JSON),
        min_size=1,
        max_size=4,
    ),
)
def test_no_event_breaks_the_reader(pair: tuple[str, str], odd: dict[str, Any]) -> None:
    reader = exchange(*pair).reader()
    read(reader, sse.encode(json.dumps(odd).encode()) * 2)


# --- Errors -----------------------------------------------------------------------------------------------------------

TRUNCATED = ApiError(502, "The answer is incomplete.", type="upstream_error", code="stream_truncated")


@pytest.mark.parametrize("provider", ["chat", "responses"])
def test_a_response_that_breaks_off_fails_by_name(provider: str) -> None:
    reader = exchange("responses", provider).reader()
    raw = chat_stream(TALK[:4]) if provider == "chat" else b"".join(responses.to_events(response(SAID))[:5])
    out = read(reader, raw.removesuffix(b"data: [DONE]\n\n")) + reader.fail(TRUNCATED)
    failed = checked_responses(out)[-1]
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert failed["response"]["error"]["message"] == "The answer is incomplete. (stream_truncated)"


def test_a_response_that_never_began_fails_in_an_error_event() -> None:
    [seen] = checked_responses(exchange("responses", "responses").reader().fail(TRUNCATED))
    assert (seen["type"], seen["code"], seen["message"]) == ("error", "stream_truncated", "The answer is incomplete.")


@pytest.mark.parametrize(
    "error",
    [
        {"type": "error", "code": "server_error", "message": "no", "param": None, "sequence_number": 1},
        {
            "type": "response.failed",
            "response": {"status": "failed", "error": {"code": "server_error", "message": "no"}},
        },
        {"error": {"message": "no"}},
    ],
    ids=["an error event", "a failed response", "an error as chat has it"],
)
@pytest.mark.parametrize("caller", ["chat", "responses"])
def test_a_providers_error_in_the_stream_is_seen(caller: str, error: dict[str, Any]) -> None:
    [event] = sse.EventDecoder().feed(sse.encode(json.dumps(error).encode()))
    piece = exchange(caller, "responses").reader().read(event)
    assert piece.error == event.data
    assert not piece.raw


# --- Proofs of reasoning ----------------------------------------------------------------------------------------------


def test_a_proof_that_passes_untouched_is_noted() -> None:
    reader = exchange("responses", "responses").reader()
    raw = b"".join(responses.to_events(response(THOUGHT)))
    assert read(reader, raw) == raw
    assert list(reader.seals) == ["proof"]
    put = exchange("responses", "responses")
    assert list(put.whole(response(THOUGHT)).seals) == ["proof"]


@pytest.mark.parametrize(
    ("issuer", "sent", "left_out"),
    [
        pytest.param(None, ["proof"], 0, id="nobody knows: it is tried"),
        pytest.param("layer", ["proof"], 0, id="its own"),
        pytest.param("other", [], 1, id="another's"),
    ],
)
def test_a_native_proof_goes_to_its_issuer(issuer: str | None, sent: list[str], left_out: int) -> None:
    body = {"model": "m", "input": [{"role": "user", "content": "Hi"}, THOUGHT]}
    request = registry.client("responses").parse(json.dumps(body).encode(), {})
    deployment = Deployment(Provider("layer", "https://x", "K"), "gpt-5", formats=("responses",))
    put = open_exchange(request, deployment, 0, stream=False, issuer_of=lambda _: issuer)
    held = json.loads(put.body(stream=False))["input"]
    assert [each["encrypted_content"] for each in held if each.get("type") == "reasoning"] == sent
    assert put.left_out == left_out
    assert put.drop_proofs() is bool(sent)
    assert "proof" not in put.body(stream=False).decode()
    assert not put.drop_proofs()


def test_a_foreign_proof_travels_in_a_seal_and_comes_back_to_its_issuer() -> None:
    from vibe_router.formats.neutral.model import ReasoningDelta, ReasoningProof, Started
    from vibe_router.formats.responses.writer import ResponsesWriter

    request = registry.client("responses").parse(b'{"model":"m","input":"Hi"}', {})
    writer = ResponsesWriter(request, 0)
    for event in (Started(None, "claude"), ReasoningDelta("Hm."), ReasoningProof(signature="sig", issuer="anthropic")):
        writer.write(event)
    writer.end()
    [thought] = writer.response["output"]
    seal = unwrap(thought["encrypted_content"])
    assert seal is not None
    assert (seal.kind, seal.issuer, seal.value, seal.text) == ("signature", "anthropic", "sig", "Hm.")
    back = responses_neutral.read(
        {"input": [{"type": "reasoning", "summary": [], "encrypted_content": thought["encrypted_content"]}]}
    )
    [part] = back.messages[0].parts
    assert (part.signature, part.text, part.issuer) == ("sig", "Hm.", "anthropic")  # type: ignore[union-attr]  # it is reasoning


def test_chat_decodes_a_call_without_an_id() -> None:
    request = neutral_request.read({"messages": [{"role": "user", "content": "Hi"}]})
    decoder = neutral_answer.ChatDecoder(request)
    events = list(decoder.decode(chunk({"tool_calls": [{"function": {"name": "look", "arguments": {"at": 1}}}]})))
    start, delta = events[1:]
    assert start.id.startswith("call_")  # type: ignore[union-attr]  # it is a start
    assert delta.arguments == '{"at":1}'  # type: ignore[union-attr]  # and its arguments

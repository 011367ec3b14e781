"""Legacy completions: requests, and streams that a provider or another format's answer makes of them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion

from vibe_router.core.errors import ApiError
from vibe_router.core.usage import Usage
from vibe_router.formats.chat.format import CHAT
from vibe_router.formats.common import sse
from vibe_router.formats.completions import request as completions_request
from vibe_router.formats.completions import stream as completions
from vibe_router.formats.completions.assembly import CompletionsAssembler
from vibe_router.formats.completions.format import COMPLETIONS
from vibe_router.formats.neutral.model import Event, Finish, ReasoningDelta, Started, TextDelta, UsageReport

WHOLE = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1,
    "model": "davinci",
    "choices": [{"text": "Once upon", "index": 0, "logprobs": None, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}


def request(**more: object) -> completions_request.CompletionsRequest:
    return completions_request.parse(json.dumps({"model": "m", "prompt": "Once", **more}).encode())


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": "x"}, "model"),
        ({"model": "m"}, "prompt"),
        ({"model": "m", "prompt": 5}, "prompt"),
        ({"model": "m", "prompt": "x", "max_tokens": "many"}, "max_tokens"),
        ({"model": "m", "prompt": "x", "stop": 3}, "stop"),
        ({"model": "m", "prompt": "x", "stream": "yes"}, "stream"),
        ({"model": "m", "prompt": "x", "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    ],
)
def test_a_wrong_parameter_is_named(body: object, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        completions_request.parse(json.dumps(body).encode())
    assert (caught.value.status, caught.value.param) == (400, param)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"prompt": [1, 2, 3]}, "prompt"),
        ({"prompt": ["one", "two"]}, "prompt"),
        ({"suffix": "end"}, "suffix"),
        ({"echo": True}, "echo"),
        ({"best_of": 2}, "best_of"),
        ({"logprobs": 1}, "logprobs"),
    ],
)
def test_fields_that_a_conversation_lacks_are_rejected_by_name(more: dict[str, object], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        CHAT.body(request(**more).neutral(), "gpt-5", stream=False)
    assert (caught.value.status, caught.value.param) == (400, param)


def test_the_prompt_becomes_a_users_message() -> None:
    asked = request(max_tokens=9, stop="\n", temperature=0.5, n=2, echo=False, best_of=1, user="u")
    body = json.loads(CHAT.body(asked.neutral(), "gpt-5", stream=False))
    assert body["messages"] == [{"role": "user", "content": "Once"}]
    assert (body["temperature"], body["n"], body["user"]) == (0.5, 2, "u")
    assert body["stop"] in ("\n", ["\n"])
    assert 9 in (body.get("max_tokens"), body.get("max_completion_tokens"))


def test_the_bound_counts_every_text() -> None:
    assert request(max_tokens=10).max_output_tokens == 10
    assert [request(n=3).answers, request(n=2, best_of=4).answers] == [3, 4]
    assert [request(prompt=[1, 2]).answers, request(prompt=["a", "b"], n=3).answers] == [1, 6]
    assert request().max_output_tokens is None


def test_a_provider_of_completions_is_sent_what_the_caller_sent() -> None:
    sent = json.loads(request(logprobs=2, an_extension={"a": 1}).for_provider("davinci", stream=True))
    assert sent == {
        "model": "davinci",
        "prompt": "Once",
        "logprobs": 2,
        "an_extension": {"a": 1},
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("cut", range(0, 60, 7))
def test_a_stream_is_read_alike_wherever_it_is_cut(cut: int) -> None:
    raw = b"".join(completions.to_events(WHOLE, wants_usage=True))
    reader, decoder, assembler = COMPLETIONS.reader(wants_usage=True), sse.EventDecoder(), CompletionsAssembler()
    committed = False
    for event in [*decoder.feed(raw[:cut]), *decoder.feed(raw[cut:])]:
        piece = reader.read(event)
        committed |= piece.commits
        if piece.chunk:
            assembler.add(piece.chunk)
    assert committed
    assert reader.complete
    assert reader.usage == Usage(3, 2)
    assert assembler.answer() == WHOLE


def test_a_text_commits_and_a_missing_finish_is_no_whole_answer() -> None:
    reader = COMPLETIONS.reader(wants_usage=False)
    piece = reader.read(sse.Event(b"", json.dumps({"choices": [{"index": 0, "text": "On"}]}).encode()))
    assert piece.commits
    reader.read(sse.Event(b"", b"[DONE]"))
    assert not reader.complete


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{}", b'{"error":{}, "choices":[]}', b'{"choices":[{"message":{}}]}', b'{"error":{"m":1}}']
)
def test_invalid_completions_are_ignored(raw: bytes) -> None:
    assert completions.read_whole(raw) is None


@given(st.lists(st.text(min_size=1), min_size=1, max_size=5), st.booleans())
def test_written_answers_are_valid_for_the_official_package(texts: list[str], wants_usage: bool) -> None:
    events: list[Event] = [
        Started("x", "gpt-5", 7),
        ReasoningDelta("thinking"),
        *(TextDelta(each) for each in texts),
        Finish("length"),
        UsageReport(Usage(3, 2)),
    ]
    asked = request(stream=True, stream_options={"include_usage": wants_usage})
    writer, assembler, decoder = COMPLETIONS.writer(asked, 1), CompletionsAssembler(), sse.EventDecoder()
    chunks = []
    for event in decoder.feed(b"".join(writer.write(each) for each in events) + writer.end()):
        if event.data not in (None, b"[DONE]"):
            chunks.append(json.loads(event.data or b""))
            assembler.add(chunks[-1])
    whole = json.loads(COMPLETIONS.whole(asked, events, 1))
    reported = Completion.model_validate(whole, strict=True)
    assert reported.choices[0].text == "".join(texts)
    assert reported.choices[0].finish_reason == "length"
    assert reported.usage
    assert reported.usage.total_tokens == 5
    assert assembler.answer()["choices"] == whole["choices"]
    assert any(chunk.get("usage") for chunk in chunks) == wants_usage

"""A whole completion, the stream that it could have been, and back."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.formats.chat import stream as chat
from vibe_router.formats.chat.assembly import ChatAssembler
from vibe_router.formats.chat.stream import ChatStreamReader
from vibe_router.formats.common import sse
from vibe_router.formats.common.json_body import dump

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10, "prompt_tokens_details": {"cached_tokens": 4}}

words = st.text(min_size=1, max_size=12)
logprobs = st.builds(
    lambda token, logprob: {"token": token, "logprob": logprob, "bytes": [1, 2], "top_logprobs": []},
    words,
    st.floats(-20, 0),
)
calls = st.builds(
    lambda id, name, arguments: {  # noqa: A006 - the wire's own word
        "id": id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    },
    words,
    words,
    st.dictionaries(words, st.integers(), max_size=2).map(json.dumps),
)


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": draw(st.none() | words)}
    for name in ("reasoning_content", "refusal"):
        if draw(st.booleans()):
            message[name] = draw(st.none() | words)
    if draw(st.booleans()):
        message["tool_calls"] = draw(st.lists(calls, min_size=1, max_size=3))
    if draw(st.booleans()):
        message["annotations"] = [{"type": "url_citation", "url_citation": {"url": "https://a.example"}}]
    return message


@st.composite
def completions(draw: st.DrawFn) -> dict[str, Any]:
    choices = []
    for index in range(draw(st.integers(1, 3))):
        choice = {
            "index": index,
            "message": draw(messages()),
            "finish_reason": draw(st.sampled_from(["stop", "length"])),
        }
        if draw(st.booleans()):
            choice["logprobs"] = draw(st.none() | st.lists(logprobs, max_size=3).map(lambda each: {"content": each}))
        choices.append(choice)
    answer = {"id": "c-1", "object": "chat.completion", "created": 1, "model": "gpt-5", "choices": choices}
    if draw(st.booleans()):
        answer["system_fingerprint"] = draw(st.none() | words)
    if draw(st.booleans()):
        answer["usage"] = USAGE
    return answer


def pieces_of(draw: st.DrawFn, text: str) -> list[str]:
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def streamed(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A completion, and chunks that say it: every string cut anywhere, the choices' chunks interleaved anyhow."""
    answer = draw(completions())
    base = {key: value for key, value in answer.items() if key not in ("choices", "usage")}
    base["object"] = "chat.completion.chunk"
    queues = []
    for choice in answer["choices"]:
        message, logs = choice["message"], choice.get("logprobs")
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None}]
        for name in ("content", "reasoning_content", "refusal"):
            if name in message:
                deltas += [{name: part} for part in (pieces_of(draw, message[name]) if message[name] else [None])]
        for at, call in enumerate(message.get("tool_calls", ())):
            function = call["function"]
            opening = {**call, "index": at, "function": {"name": function["name"], "arguments": ""}}
            deltas.append({"tool_calls": [opening]})
            deltas += [
                {"tool_calls": [{"index": at, "function": {"arguments": part}}]}
                for part in pieces_of(draw, function["arguments"])
            ]
        deltas += [{"annotations": [each]} for each in message.get("annotations", ())]
        queue: list[dict[str, Any]] = [
            {"index": choice["index"], "delta": delta, "finish_reason": None} for delta in deltas
        ]
        if "logprobs" in choice:
            queue[0]["logprobs"] = None if logs is None else {"content": []}
            queue += [
                {"index": choice["index"], "delta": {}, "logprobs": {"content": [each]}}
                for each in (logs or {}).get("content", ())
            ]
        queue.append({"index": choice["index"], "delta": {}, "finish_reason": choice["finish_reason"]})
        queues.append(queue)
    chunks = []
    while any(queues):
        queue = draw(st.sampled_from([each for each in queues if each]))
        chunks.append({**base, "choices": [queue.pop(0)]})
    if "usage" in answer:
        chunks.append({**base, "choices": [], "usage": answer["usage"]})
    return answer, chunks


def assembled(*chunks: dict[str, Any]) -> dict[str, Any]:
    assembler = ChatAssembler()
    for chunk in chunks:
        assembler.add(chunk)
    return assembler.answer()


def reread(raws: list[bytes], *, wants_usage: bool = True) -> tuple[ChatStreamReader, dict[str, Any]]:
    """Read events as a provider's stream and put them together."""
    reader, assembler = ChatStreamReader(wants_usage), ChatAssembler()
    for event in sse.EventDecoder().feed(b"".join(raws)):
        if (piece := reader.read(event)).chunk is not None:
            assembler.add(piece.chunk)
    return reader, assembler.answer()


@given(case=streamed())
def test_a_stream_is_assembled_into_the_complete_answer(
    case: tuple[dict[str, Any], list[dict[str, Any]]],
) -> None:
    answer, chunks = case
    assert assembled(*chunks) == answer


@given(answer=completions())
def test_a_completion_unfolds_into_a_stream_that_adds_up_to_it(answer: dict[str, Any]) -> None:
    before = deepcopy(answer)
    reader, again = reread(chat.to_events(answer, wants_usage=True))
    assert again == answer == before
    assert reader.complete
    assert reader.done
    assert reader.usage == chat.usage_of(answer)


@given(answer=completions())
def test_the_stream_of_a_completion_commits_with_its_first_event_and_has_usage_only_when_wanted(
    answer: dict[str, Any],
) -> None:
    raws = chat.to_events(answer, wants_usage=False)
    assert len(raws) == 2
    [event] = sse.EventDecoder().feed(raws[0])
    assert ChatStreamReader(wants_usage=False).read(event).commits
    assert event.data is not None
    assert "usage" not in json.loads(event.data)


def test_parallel_calls_that_a_provider_numbers_alike_stay_apart() -> None:
    one, two = ({"index": 0, "id": name, "type": "function", "function": {"name": name}} for name in ("a", "b"))
    answer = {"choices": [{"index": 0, "message": {"role": "assistant", "tool_calls": [one, two]}}]}
    _, again = reread(chat.to_events(answer, wants_usage=True))
    assert [call["id"] for call in again["choices"][0]["message"]["tool_calls"]] == ["a", "b"]


def test_putting_together_may_be_asked_twice_and_go_on() -> None:
    assembler = ChatAssembler()
    call = {"index": 0, "id": "t", "function": {"name": "look", "arguments": "{"}}
    assembler.add({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})
    assert assembler.answer() == assembler.answer()
    assembler.add({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}}]})
    [made] = assembler.answer()["choices"][0]["message"]["tool_calls"]
    assert made == {"id": "t", "function": {"name": "look", "arguments": "{}"}}


def test_choices_come_in_their_order_whatever_came_first() -> None:
    chunks = [{"choices": [{"index": index, "delta": {"content": str(index)}}]} for index in (2, 0, 1)]
    assert [choice["message"]["content"] for choice in assembled(*chunks)["choices"]] == ["0", "1", "2"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "stop", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "index", "delta", "content", "tool_calls", "message", "usage", "role"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)
choices = st.lists(
    st.dictionaries(st.sampled_from(["index", "delta", "message", "finish_reason", "logprobs"]), json_values),
    max_size=3,
)


@given(chunks=st.lists(st.builds(lambda each: {"choices": each}, choices | json_values), max_size=4))
def test_any_chunks_are_assembled_without_an_error(chunks: list[dict[str, Any]]) -> None:
    completion = assembled(*chunks)
    assert completion["object"] == "chat.completion"
    json.loads(dump(completion))


@given(answer=json_values | st.builds(lambda each: {"choices": each}, choices), wants_usage=st.booleans())
def test_any_completion_can_be_streamed(answer: object, wants_usage: bool) -> None:
    whole = chat.read_whole(json.dumps(answer).encode())
    if whole is None:
        return
    reader, _ = reread(chat.to_events(whole, wants_usage=wants_usage), wants_usage=wants_usage)
    assert reader.done


MESSAGE = {"role": "assistant", "content": "Hi"}


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>502</html>", id="HTML"),
        pytest.param(b'{"choices":[{"mess', id="a cut body"),
        pytest.param(b"\xff", id="bytes that are not UTF-8"),
        pytest.param(b"[" * 100_000, id="nested too deeply"),
        pytest.param(b"[]", id="an array"),
        pytest.param(b"{}", id="no choices"),
        pytest.param(b'{"choices":null}', id="null choices"),
        pytest.param(b'{"choices":[]}', id="empty choices"),
        pytest.param(b'{"choices":["text"]}', id="a choice that is no object"),
        pytest.param(b'{"choices":[{"index":0}]}', id="a choice without a message"),
        pytest.param(b'{"choices":[{"message":null}]}', id="a null message"),
        pytest.param(b'{"choices":[{"message":"text"}]}', id="a message that is a string"),
        pytest.param(b'{"choices":[{"message":{}},{"message":7}]}', id="a second choice that is none"),
        pytest.param(b'{"error":{"message":"m"}}', id="an error"),
        pytest.param(b'{"error":"m","choices":[{"message":{}}]}', id="an error beside choices"),
        pytest.param(b'{"choices":[{"message":{},"error":{"code":502}}]}', id="an error in a choice"),
        pytest.param(b'{"choices":[{"message":{}},{"message":{},"error":"m"}]}', id="an error in the second choice"),
        pytest.param(b'{"choices":[{"message":{},"finish_reason":"network_error"}]}', id="a reason that is a failure"),
    ],
)
def test_invalid_completions(raw: bytes) -> None:
    assert chat.read_whole(raw) is None


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="the least"),
        pytest.param({"error": None}, id="a null error"),
        pytest.param({"usage": USAGE, "unknown": [1]}, id="usage and unknown members"),
    ],
)
def test_valid_completions(more: dict[str, object]) -> None:
    answer = {"choices": [{"index": 0, "message": MESSAGE}], **more}
    assert chat.read_whole(json.dumps(answer).encode()) == answer


def test_a_log_probability_of_minus_infinity_is_no_reason_to_fail() -> None:
    raw = b'{"choices":[{"message":{"content":"Hi"},"logprobs":{"content":[{"logprob":-Infinity}]}}]}'
    whole = chat.read_whole(raw)
    assert whole is not None
    reader, again = reread(chat.to_events(whole, wants_usage=False))
    assert reader.done
    assert again["choices"][0]["logprobs"] == {"content": [{"logprob": None}]}

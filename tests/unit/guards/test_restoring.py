"""Values put back into answers: whole and streamed, in every caller's format, however a placeholder is cut."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vibe_router.formats.common import sse
from vibe_router.guards.masking import Restorer
from vibe_router.guards.restoring import StreamRestorer, answers_in_json, restore_whole

MAIL, KEY = "jane@example.com", '-----BEGIN PRIVATE KEY-----\n"abc"\n-----END PRIVATE KEY-----'
VALUES = {"[EMAIL_1]": MAIL, "[SECRET_1]": KEY, "[EMAIL_10]": "ten@example.com"}
TEXT = "To [EMAIL_1], [SECRET_1] and [EMAIL_10]; not [EMAIL_2], a [list] or [EMAIL"
RESTORED = f"To {MAIL}, {KEY} and ten@example.com; not [EMAIL_2], a [list] or [EMAIL"
ARGUMENTS = '{"to": "[EMAIL_1]", "key": "[SECRET_1]", "n": [1]}'

Events = list[dict[str, Any]]


def chat(kind: str, pieces: list[str]) -> Events:
    def delta(piece: str) -> dict[str, Any]:
        if kind == "arguments":
            return {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
        return {"reasoning_content" if kind == "thinking" else "content": piece}

    chunks: Events = [{"id": "c", "choices": [{"index": 0, "delta": delta(each)}]} for each in pieces]
    ending: Events = [{"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
    return chunks + ending + [{"id": "c", "choices": [], "usage": {"prompt_tokens": 1}}]


def completions(_kind: str, pieces: list[str]) -> Events:
    chunks: Events = [{"choices": [{"index": 0, "text": each, "finish_reason": None}]} for each in pieces[:-1]]
    return [*chunks, {"choices": [{"index": 0, "text": pieces[-1], "finish_reason": "stop"}]}]


def messages(kind: str, pieces: list[str]) -> Events:
    field = {"text": "text", "thinking": "thinking", "arguments": "partial_json"}[kind]
    return [
        {"type": "message_start", "message": {"id": "m", "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {field: each}} for each in pieces),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    ]  # fmt: skip


def responses(kind: str, pieces: list[str]) -> Events:
    names = {"text": "output_text", "thinking": "reasoning_text", "arguments": "function_call_arguments"}
    base = f"response.{names[kind]}"
    field = "arguments" if kind == "arguments" else "text"
    events: Events = [
        {"type": "response.created", "response": {"id": "r"}},
        *({"type": f"{base}.delta", "output_index": 0, "content_index": 0, "delta": each} for each in pieces),
        {"type": f"{base}.done", "output_index": 0, "content_index": 0, field: "".join(pieces)},
        {"type": "response.completed", "response": {"output": [{field: "".join(pieces)}]}},
    ]
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def gemini(kind: str, pieces: list[str]) -> Events:
    more = {"thought": True} if kind == "thinking" else {}
    chunks: Events = [{"candidates": [{"index": 0, "content": {"parts": [{"text": each, **more}]}}]} for each in pieces]
    return [*chunks, {"candidates": [{"index": 0, "content": {"parts": []}, "finishReason": "STOP"}]}]


STREAMS: dict[str, Callable[[str, list[str]], Events]] = {
    "chat": chat,
    "completions": completions,
    "messages": messages,
    "responses": responses,
    "gemini": gemini,
}
KINDS = [
    (name, kind)
    for name in STREAMS
    for kind in ("text", "thinking", "arguments")
    if not (name == "completions" and kind != "text") and not (name == "gemini" and kind == "arguments")
]


def encoded(events: Events, name: str) -> list[bytes]:
    named = name in ("messages", "responses")
    return [
        (b"event: %b\n" % event["type"].encode() if named else b"") + b"data: " + json.dumps(event).encode() + b"\n\n"
        for event in events
    ]


def texts(value: Any, found: list[str]) -> list[str]:
    """Return all pieces of a channel, in order."""
    names = ("content", "reasoning_content", "arguments", "text", "thinking", "partial_json", "delta")
    if isinstance(value, dict):
        for key, each in value.items():
            if key in names and isinstance(each, str):
                found.append(each)
            else:
                texts(each, found)
    elif isinstance(value, list):
        for each in value:
            texts(each, found)
    return found


def decoded(raw: bytes) -> Events:
    return [json.loads(line[6:]) for line in raw.decode().splitlines() if line.startswith("data: {")]


def restored(events: Events, name: str, chunk: int = 0) -> bytes:
    restorer = StreamRestorer(Restorer(VALUES), name)
    raw = encoded(events, name)
    if chunk:
        whole = b"".join(raw)
        raw = [whole[start : start + chunk] for start in range(0, len(whole), chunk)]
    return b"".join([restorer.feed(each) for each in raw]) + restorer.end()


def of_channel(events: Events) -> str:
    streamed = [each for each in events if not str(each.get("type")).endswith((".done", ".completed"))]
    return "".join(texts(streamed, []))


@pytest.mark.parametrize(("name", "kind"), KINDS)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_placeholders_are_restored_wherever_they_are_cut(name: str, kind: str, data: st.DataObject) -> None:
    text = ARGUMENTS if kind == "arguments" else TEXT
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1))))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    chunk = data.draw(st.sampled_from([0, 7, 50]))
    events = decoded(restored(STREAMS[name](kind, pieces), name, chunk))
    whole = of_channel(events)
    if kind == "arguments":
        assert json.loads(whole) == {"to": MAIL, "key": KEY, "n": [1]}
    else:
        assert whole == RESTORED
    if name == "responses":
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        done = texts(events[-2:], [])
        assert done == [whole, whole]
    if name == "chat":
        assert sum("usage" in event for event in events) == 1
        assert sum(each.get("finish_reason") is not None for event in events for each in event["choices"]) == 1


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_without_placeholders_passes_byte_for_byte(name: str) -> None:
    events = STREAMS[name]("text", ["Hello ", "[1], {", "[a] b[c", "0]"])
    assert restored(events, name) == b"".join(encoded(events, name))


@pytest.mark.parametrize("name", STREAMS)
def test_no_more_is_held_back_than_the_beginning_of_a_placeholder(name: str) -> None:
    restorer = StreamRestorer(Restorer(VALUES), name)
    events = encoded(STREAMS[name]("text", ["Hello [EM", "AIL_1] x [E", "x", "."]), name)
    first = 2 if name == "messages" else 1 if name == "responses" else 0
    for event in events[:first]:
        restorer.feed(event)
    assert of_channel(decoded(restorer.feed(events[first]))) == "Hello "
    assert of_channel(decoded(restorer.feed(events[first + 1]))) == f"{MAIL} x "
    assert of_channel(decoded(restorer.feed(events[first + 2]))) == "[Ex"


@pytest.mark.parametrize("name", STREAMS)
def test_what_was_held_back_is_sent_before_a_broken_stream_ends(name: str) -> None:
    restorer = StreamRestorer(Restorer(VALUES), name)
    events = encoded(STREAMS[name]("text", ["Hello [EM", "x"])[: 3 if name == "messages" else 2], name)
    if name not in ("messages", "responses"):
        events = events[:1]
    sent = b"".join([restorer.feed(each) for each in events])
    error = b'data: {"type":"error","error":{"message":"it broke"}}\n\n'
    sent += restorer.feed(error) + restorer.end()
    assert of_channel(decoded(sent)).startswith("Hello [EM")
    assert sent.endswith(error) or json.loads(sent.rpartition(b"data: ")[2])["error"] == {"message": "it broke"}


def test_choices_and_calls_are_restored_on_their_own() -> None:
    def delta(index: int, **more: object) -> dict[str, Any]:
        return {"choices": [{"index": index, "delta": more}]}

    def call(index: int, arguments: str) -> dict[str, Any]:
        return delta(0, tool_calls=[{"index": index, "function": {"arguments": arguments}}])

    events = decoded(
        restored([delta(0, content="[EMA"), delta(1, content="[SEC"), delta(0, content="IL_1]"), delta(1, content="x"),
                  delta(0, content="[E"), call(0, '"[EMAI'), call(1, '"[EMAIL'), call(0, 'L_1]"'), call(1, '_10]"')],
                 "chat")
    )  # fmt: skip
    contents = {0: "", 1: ""}
    calls = {0: "", 1: ""}
    for event in events:
        for choice in event["choices"]:
            contents[choice["index"]] += choice["delta"].get("content", "")
            for each in choice["delta"].get("tool_calls", ()):
                calls[each["index"]] += each["function"]["arguments"]
    assert contents == {0: f"{MAIL}[E", 1: "[SECx"}
    assert calls == {0: f'"{MAIL}"', 1: '"ten@example.com"'}


def test_an_array_of_gemini_stays_an_array() -> None:
    chunks = gemini("text", ["Hello [EM", "AIL_1], [E"])
    raw = [(b"[" if number == 0 else b",\n") + json.dumps(each).encode() for number, each in enumerate(chunks)]
    raw[-1] += b"]"
    restorer = StreamRestorer(Restorer(VALUES), "gemini", is_array=True)
    sent = b"".join([restorer.feed(each) for each in raw]) + restorer.end()
    assert "".join(texts(json.loads(sent), [])) == f"Hello {MAIL}, [E"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"content": "[EMAIL_1]"}, {"content": MAIL}),
        ({"function": {"arguments": '{"k": "[SECRET_1]"}'}}, {"function": {"arguments": json.dumps({"k": KEY})}}),
        ({"input": {"k": "[SECRET_1]"}}, {"input": {"k": KEY}}),
        ({"args": {"k": ["[SECRET_1]"]}}, {"args": {"k": [KEY]}}),
    ],
)
def test_a_whole_answer_is_restored(answer: object, expected: object) -> None:
    assert json.loads(restore_whole(json.dumps(answer).encode(), Restorer(VALUES))) == expected


@pytest.mark.parametrize("body", [b'{"content": "[E] [1]"}', b"\xff[EMAIL_2]\x00", b"[1,2]", b""])
def test_other_bytes_pass_unchanged(body: bytes) -> None:
    assert restore_whole(body, Restorer(VALUES)) == body


def test_a_text_is_restored() -> None:
    assert restore_whole(b"\xff [EMAIL_1]", Restorer(VALUES)) == b"\xff " + MAIL.encode()


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("chat", {"response_format": {"type": "json_schema"}}, True),
        ("chat", {"response_format": {"type": "text"}}, False),
        ("responses", {"text": {"format": {"type": "json_object"}}}, True),
        ("responses", {"text": "x"}, False),
        ("gemini", {"generationConfig": {"responseMimeType": "application/json"}}, True),
        ("messages", {"output_config": {"format": {"type": "json_schema"}}}, True),
        ("completions", {}, False),
    ],
)
def test_an_answer_in_json_is_known(name: str, body: dict[str, Any], expected: bool) -> None:
    assert answers_in_json(name, body) is expected
    content = json.dumps({"key": "[SECRET_1]"})
    whole = json.loads(restore_whole(json.dumps({"content": content}).encode(), Restorer(VALUES, in_json=True)))
    assert json.loads(whole["content"]) == {"key": KEY}
    assert re.search("PRIVATE", whole["content"])


@pytest.mark.parametrize("index", [[], {}, [1], None, True, 1.5, "x"], ids=repr)
@pytest.mark.parametrize("name", ["chat", "messages", "responses"])
def test_an_index_of_any_type_is_no_fault(name: str, index: object) -> None:
    events: dict[str, dict[str, Any]] = {
        "chat": {"choices": [{"index": index, "delta": {"content": "[EMAIL_1", "tool_calls": [{"index": index}]}}]},
        "messages": {"type": "content_block_delta", "index": index, "delta": {"text": "[EMAIL_1"}},
        "responses": {
            "type": "response.output_text.delta",
            "output_index": index,
            "content_index": index,
            "delta": "[",
        },
    }
    restorer = StreamRestorer(Restorer({"[EMAIL_1]": "jane@example.com"}), name)
    raw = sse.encode(json.dumps(events[name]).encode())
    assert restorer.feed(raw) + restorer.feed(raw) + restorer.end()


@pytest.mark.parametrize("depth", [100, 400, 600, 900])
def test_an_answer_that_is_nested_deeply_is_no_fault(depth: int) -> None:
    nested = "[" * depth + '"[EMAIL_1]"' + "]" * depth
    restorer = Restorer({"[EMAIL_1]": "jane@example.com"})
    assert json.loads(restore_whole(f'{{"x": {nested}}}'.encode(), restorer))
    held = f'data: {{"choices":[{{"index":0,"delta":{{"content":"[EMAIL_"}}}}],"x":{nested}}}\n\n'.encode()
    stream = StreamRestorer(restorer, "chat")
    assert b"[EMAIL_" in stream.feed(held) + stream.end()

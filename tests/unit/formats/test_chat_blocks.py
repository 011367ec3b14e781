"""Interleaved tool calls of a chat stream, reported one after another."""

import json
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.formats.chat.assembly import ChatAssembler
from vibe_router.formats.chat.neutral_answer import ChatDecoder
from vibe_router.formats.neutral.model import (
    Event,
    NeutralRequest,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    Tool,
    ToolCallDelta,
    ToolCallStart,
)

WORDS = st.text('"\\{}aé', max_size=6)
ARGUMENTS = st.dictionaries(WORDS, WORDS | st.dictionaries(WORDS, st.none(), max_size=2), max_size=3)


def piece(index: int | None, arguments: str, id_: str | None = None, name: str | None = None) -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": name} if name else {})}
    call = {"function": function, **({"id": id_} if id_ else {}), **({} if index is None else {"index": index})}
    return {"tool_calls": [call]}


def decoded(deltas: Iterable[dict[str, Any]], *, finish: bool = True, tools: Sequence[Tool] = ()) -> list[Event]:
    decoder = ChatDecoder(NeutralRequest("chat", [], tools=tools))
    choices = [{"index": 0, "delta": delta} for delta in deltas]
    if finish:
        choices.append({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
    events = [event for choice in choices for event in decoder.decode({"choices": [choice]})]
    return [*events, *decoder.end()]


def outline(events: Iterable[Event]) -> list[list[str]]:
    """Return the content, block by block: [call's id, arguments] or ["", words]."""
    blocks: list[list[str]] = []
    for event in events:
        match event:
            case ToolCallStart(id=id_):
                blocks.append([id_, ""])
            case ToolCallDelta(arguments=more):
                blocks[-1][1] += more
            case TextDelta(text=words):
                blocks.append(["", words])
    return blocks


A, B = piece(0, "", "a", "look"), piece(1, "", "b", "look")


@pytest.mark.parametrize(
    ("deltas", "blocks"),
    [
        pytest.param([A, B, piece(0, "{}"), piece(1, "{}")], [["a", "{}"], ["b", "{}"]], id="back and forth"),
        pytest.param([A, B], [["a", "{}"], ["b", "{}"]], id="calls without arguments"),
        pytest.param([A, piece(0, '{"x'), B], [["a", '{"x'], ["b", "{}"]], id="arguments that break off"),
        pytest.param(
            [A, {"content": "I look."}, piece(0, "{}"), {"content": "So."}],
            [["a", "{}"], ["", "I look."], ["", "So."]],
            id="words within a call",
        ),
        pytest.param(
            [piece(0, '{"x":1}', "a", "look"), piece(0, '{"x":2}', "b", "look")],
            [["a", '{"x":1}'], ["b", '{"x":2}']],
            id="the same place for both",
        ),
        pytest.param(
            [piece(0, '{"x":', "a", "look"), piece(0, "1}", "a2", "look")],
            [["a", '{"x":1}']],
            id="an id for each piece",
        ),
        pytest.param(
            [piece(None, '{"x":', "a", "look"), piece(None, "1}"), piece(None, "{}", "b", "look")],
            [["a", '{"x":1}'], ["b", "{}"]],
            id="no place at all",
        ),
        pytest.param([A, piece(0, "{}"), B, piece(0, "\n")], [["a", "{}"], ["b", "{}"]], id="space after the end"),
    ],
)
@pytest.mark.parametrize("finish", [False, True])
def test_blocks_are_reported_one_after_another(
    deltas: list[dict[str, Any]], blocks: list[list[str]], finish: bool
) -> None:
    assert outline(decoded(deltas, finish=finish)) == blocks
    assembler = ChatAssembler()
    for delta in deltas:
        assembler.add({"choices": [{"index": 0, "delta": delta}]})
    calls = assembler.answer()["choices"][0]["message"]["tool_calls"]
    put_together = [[call["id"], call["function"]["arguments"].strip()] for call in calls]
    assert put_together == [block for block in blocks if block[0]], "put together, they are the same calls"


def test_calls_that_come_one_after_another_wait_for_nothing() -> None:
    decoder = ChatDecoder(NeutralRequest("chat", [], tools=[Tool("look")]))
    deltas = [A, piece(0, '{"x":"}'), piece(0, '"}'), B, piece(1, "{")]
    events = [list(decoder.decode({"choices": [{"index": 0, "delta": delta}]})) for delta in deltas]
    assert [event[-1] for event in events] == [
        ToolCallStart("a", "look"),
        ToolCallDelta('{"x":"}'),
        ToolCallDelta('"}'),
        ToolCallStart("b", "look"),
        ToolCallDelta("{"),
    ]


def test_a_delta_of_a_finished_call_breaks_the_stream() -> None:
    with pytest.raises(ValueError, match="ended"):
        decoded([A, piece(0, '{"x":1}'), B, piece(0, "{}")])


@given(calls=st.lists(st.tuples(ARGUMENTS, st.booleans()), min_size=1, max_size=3), seed=st.integers(0, 999))
def test_calls_come_whole_however_they_are_mixed(calls: list[tuple[dict[str, Any], bool]], seed: int) -> None:
    order = Random(seed)  # noqa: S311 - no secret
    tools = [Tool("patch", custom=True), Tool("look")]
    written = [json.dumps({"input": json.dumps(given)} if custom else given) for given, custom in calls]
    left = [[text[i : i + 3] for i in range(0, len(text), 3)] for text in written]
    deltas: list[dict[str, Any]] = []
    begun: list[int] = []
    while any(left):
        at = order.choice([i for i, pieces in enumerate(left) if pieces])
        names = {} if at in begun else {"id_": f"call-{at}", "name": "patch" if calls[at][1] else "look"}
        begun += [] if at in begun else [at]
        deltas.append(piece(at, left[at].pop(0), **names))
    expected = [[f"call-{at}", json.dumps(calls[at][0]) if calls[at][1] else written[at]] for at in begun]
    assert outline(decoded(deltas, tools=tools)) == expected


TOOLS = [Tool("look"), Tool("look_up"), Tool("read"), Tool("patch", custom=True)]


def calls_of(events: Iterable[Event]) -> list[list[str]]:
    calls: list[list[str]] = []
    for event in events:
        match event:
            case ToolCallStart(name=name):
                calls.append([name, ""])
            case ToolCallDelta(arguments=more):
                calls[-1][1] += more
    return calls


def assembled(deltas: Iterable[dict[str, Any]]) -> list[list[str]]:
    assembler = ChatAssembler()
    for delta in deltas:
        assembler.add({"choices": [{"index": 0, "delta": delta}]})
    calls = assembler.answer()["choices"][0]["message"]["tool_calls"]
    return [[call["function"]["name"], call["function"]["arguments"]] for call in calls]


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        pytest.param([(0, "", "a", "read")], [["read", "{}"]], id="no arguments"),
        pytest.param([(0, "{}", "a", "read")], [["read", "{}"]], id="an empty object"),
        pytest.param([(0, "{}", "a", "read"), (0, '{"x":1}')], [["read", '{"x":1}']], id="a placeholder"),
        pytest.param([(0, "", "a", "read"), (0, "{}"), (0, '{"x"'), (0, ":1}")], [["read", '{"x":1}']], id="in pieces"),
        pytest.param(
            [(0, "{}", None, "read"), (0, '{"x":1}', None, "read")], [["read", '{"x":1}']], id="a placeholder, no id"
        ),
        pytest.param(
            [(0, '{"x":1}', None, "read"), (0, '{"x":2}', None, "read")],
            [["read", '{"x":1}'], ["read", '{"x":2}']],
            id="two calls without ids at one index",
        ),
        pytest.param(
            [(0, '{"x":1}', None, "read"), (0, "", None, "look"), (0, '{"x":2}')],
            [["read", '{"x":1}'], ["look", '{"x":2}']],
            id="the second in pieces",
        ),
        pytest.param(
            [(0, '{"x":1}', None, "read"), (0, "", None, "read")],
            [["read", '{"x":1}']],
            id="a repeated name",
        ),
        pytest.param([(0, "", "a", "re"), (0, "", None, "ad"), (0, "{}")], [["read", "{}"]], id="a name in pieces"),
        pytest.param([(0, "", "a", "re"), (0, "", "a", "read")], [["read", "{}"]], id="a name that grows"),
        pytest.param(
            [(0, "", "a", "read"), (0, '{"x":', None, "read"), (0, "1}")], [["read", '{"x":1}']], id="repeated"
        ),
    ],
)
def test_pieces_of_tool_calls_belong_together(pieces: list[tuple[Any, ...]], calls: list[list[str]]) -> None:
    deltas = [piece(*each) for each in pieces]
    assert calls_of(decoded(deltas, tools=TOOLS)) == calls
    assert assembled(deltas) == calls, "joined into a whole answer, they are the same"


@pytest.mark.parametrize("cut", range(1, len("look_up")))
def test_a_name_in_two_pieces_is_joined_wherever_it_is_cut(cut: int) -> None:
    name = "look_up"
    deltas = [piece(0, "", "a", name[:cut]), piece(0, "", None, name[cut:]), piece(0, "{}")]
    assert calls_of(decoded(deltas, tools=TOOLS)) == [[name, "{}"]]


def test_two_tools_without_arguments_at_one_index_stay_apart() -> None:
    deltas = [piece(0, "", None, "read"), piece(0, "", None, "look")]
    assert calls_of(decoded(deltas, tools=TOOLS)) == [["read", "{}"], ["look", "{}"]]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"input":"*** Begin"}', "*** Begin"),
        ('{"patch":"*** Begin"}', "*** Begin"),
        ('{"input":{"patch":"*** Begin"}}', "*** Begin"),
        ('"*** Begin"', "*** Begin"),
        ("*** Begin", "*** Begin"),
        ('{"a":"x","b":"y"}', '{"a":"x","b":"y"}'),
    ],
)
def test_the_text_of_a_custom_tool_is_found_under_any_key(arguments: str, text: str) -> None:
    deltas = [piece(0, "", "a", "patch"), piece(0, arguments)]
    assert calls_of(decoded(deltas, tools=TOOLS)) == [["patch", text]]


def test_a_legacy_function_call_is_a_tool_call() -> None:
    deltas = [{"function_call": {"name": "read", "arguments": ""}}, {"function_call": {"arguments": '{"x":1}'}}]
    assert calls_of(decoded(deltas, tools=TOOLS)) == [["read", '{"x":1}']]


@pytest.mark.parametrize(
    ("deltas", "message"),
    [
        pytest.param([[{"type": "text", "text": "A"}], " b"], {"content": "A b"}, id="a list, then a string"),
        pytest.param(["A", [{"type": "text", "text": " b"}]], {"content": "A b"}, id="a string, then a list"),
        pytest.param([["A", {"type": "output_text", "text": " b"}]], {"content": "A b"}, id="a string in a list"),
        pytest.param(
            [[{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}], [{"type": "text", "text": "A"}]],
            {"content": "A", "reasoning_content": "Hm"},
            id="thinking in parts",
        ),
        pytest.param(
            [[{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "A"}]],
            {"content": "A", "reasoning_content": "Hm"},
            id="thinking as a string",
        ),
        pytest.param([[{"type": "refusal", "refusal": "No"}]], {"content": None, "refusal": "No"}, id="a refusal"),
    ],
)
def test_content_in_parts_is_never_lost(deltas: list[object], message: dict[str, Any]) -> None:
    chunks = [{"content": each} for each in deltas]
    assembler = ChatAssembler()
    for chunk in chunks:
        assembler.add({"choices": [{"index": 0, "delta": chunk}]})
    assert assembler.answer()["choices"][0]["message"] == {"role": "assistant", **message}
    texts: dict[type, str] = {}
    for event in decoded(chunks, finish=False):
        if isinstance(event, TextDelta | ReasoningDelta | RefusalDelta):
            texts[type(event)] = texts.get(type(event), "") + event.text
    found = {"content": TextDelta, "reasoning_content": ReasoningDelta, "refusal": RefusalDelta}
    assert {name: texts.get(found[name]) for name in message} == message


def test_an_image_in_an_answer_stays_a_part() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    assembler = ChatAssembler()
    for content in ("A", [image]):
        assembler.add({"choices": [{"index": 0, "delta": {"content": content}}]})
    assert assembler.answer()["choices"][0]["message"]["content"] == [{"type": "text", "text": "A"}, image]

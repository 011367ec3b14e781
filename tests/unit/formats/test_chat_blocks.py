"""Calls of tools that a chat stream goes back and forth between, told one after another."""

import json
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vibe_router.formats.chat.assembly import ChatAssembler
from vibe_router.formats.chat.neutral_answer import ChatDecoder
from vibe_router.formats.neutral.model import Event, NeutralRequest, TextDelta, Tool, ToolCallDelta, ToolCallStart

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


def told(events: Iterable[Event]) -> list[list[str]]:
    """Return what is told, block by block: [call's id, arguments] or ["", words]."""
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
        pytest.param([A, B], [["a", ""], ["b", ""]], id="calls without arguments"),
        pytest.param([A, piece(0, '{"x'), B], [["a", '{"x'], ["b", ""]], id="arguments that break off"),
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
        pytest.param([A, piece(0, "{}"), B, piece(0, "\n")], [["a", "{}"], ["b", ""]], id="space after the end"),
    ],
)
@pytest.mark.parametrize("finish", [False, True])
def test_blocks_are_told_one_after_another(deltas: list[dict[str, Any]], blocks: list[list[str]], finish: bool) -> None:
    assert told(decoded(deltas, finish=finish)) == blocks
    assembly = ChatAssembler()
    for delta in deltas:
        assembly.add({"choices": [{"index": 0, "delta": delta}]})
    calls = assembly.completion()["choices"][0]["message"]["tool_calls"]
    put_together = [[call["id"], call["function"]["arguments"].strip()] for call in calls]
    assert put_together == [block for block in blocks if block[0]], "put together, they are the same calls"


def test_calls_that_come_one_after_another_wait_for_nothing() -> None:
    decoder = ChatDecoder(NeutralRequest("chat", []))
    deltas = [A, piece(0, '{"x":"}'), piece(0, '"}'), B, piece(1, "{")]
    events = [list(decoder.decode({"choices": [{"index": 0, "delta": delta}]})) for delta in deltas]
    assert [event[-1] for event in events] == [
        ToolCallStart("a", "look"),
        ToolCallDelta('{"x":"}'),
        ToolCallDelta('"}'),
        ToolCallStart("b", "look"),
        ToolCallDelta("{"),
    ]


def test_what_comes_for_a_call_that_is_over_breaks_the_stream() -> None:
    with pytest.raises(ValueError, match="over"):
        decoded([A, piece(0, "{}"), B, piece(0, "{}")])


@settings(max_examples=30)
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
    assert told(decoded(deltas, tools=tools)) == expected

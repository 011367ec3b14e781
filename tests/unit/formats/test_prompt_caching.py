"""Prompt caches survive translation: breakpoints for Anthropic, and turns whose prefix never changes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.core.models import Deployment, Provider
from vibe_router.formats import registry
from vibe_router.upstream.exchange import open_exchange

CLAUDE = "us.anthropic.claude-sonnet-4-6"
BREAKPOINT = {"type": "ephemeral"}
FUNCTION = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "One"},
    {"role": "assistant", "content": "1"},
    {"role": "user", "content": "Two"},
    {"role": "assistant", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "seen"},
]


def asked(caller: str, body: dict[str, Any], spoken: str, model: str = CLAUDE) -> dict[str, Any]:
    """Return the body that a deployment which speaks `spoken` gets."""
    request = registry.client(caller).parse(json.dumps({"model": "m", **body}).encode(), {})
    deployment = Deployment(Provider("p", "https://p.example", "KEY", (spoken,)), model, formats=(spoken,))
    made: dict[str, Any] = json.loads(open_exchange(request, deployment, 0, stream=False).body(stream=False))
    return made


def breakpoints(body: dict[str, Any]) -> list[str]:
    """Return where a body in Messages has breakpoints."""
    found = [f"tools[{i}]" for i, tool in enumerate(body.get("tools", ())) if "cache_control" in tool]
    found += [f"system[{i}]" for i, block in enumerate(body.get("system", ())) if "cache_control" in block]
    for i, turn in enumerate(body["messages"]):
        found += [f"messages[{i}][{j}]" for j, block in enumerate(turn["content"]) if "cache_control" in block]
    return found


# --- Breakpoints ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caller", "body"),
    [
        ("chat", {"messages": TALK, "tools": [FUNCTION]}),
        (
            "responses",
            {
                "instructions": "Be brief.",
                "tools": [{"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}],
                "input": [
                    {"role": "user", "content": "One"},
                    {"role": "assistant", "content": "1"},
                    {"role": "user", "content": "Two"},
                    {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "c1", "output": "seen"},
                ],
            },
        ),
    ],
)
def test_breakpoints_are_set_on_tools_system_and_the_last_two_user_turns(caller: str, body: dict[str, Any]) -> None:
    made = asked(caller, body, "messages")
    assert breakpoints(made) == ["tools[0]", "system[0]", "messages[2][0]", "messages[4][0]"]
    bedrock = asked(caller, body, "converse")
    assert [each for each in bedrock["toolConfig"]["tools"] if "cachePoint" in each]
    assert bedrock["system"][-1] == {"cachePoint": {"type": "default"}}
    assert [any("cachePoint" in block for block in turn["content"]) for turn in bedrock["messages"]] == [
        *(False, False, True, False, True)
    ]


def test_a_short_conversation_has_fewer_breakpoints() -> None:
    assert breakpoints(asked("chat", {"messages": [{"role": "user", "content": "Hi"}]}, "messages")) == [
        "messages[0][0]"
    ]


def test_a_caller_with_its_own_breakpoint_gets_no_other() -> None:
    own = {"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": BREAKPOINT}]}
    body = {"messages": [{"role": "system", "content": "Be."}, own, *TALK[2:]], "tools": [FUNCTION]}
    assert breakpoints(asked("chat", body, "messages")) == ["messages[0][0]"]


def test_only_claude_on_bedrock_gets_cache_points() -> None:
    assert "cachePoint" not in json.dumps(asked("chat", {"messages": TALK}, "converse", "amazon.nova-pro-v1:0"))
    assert "cachePoint" not in json.dumps(
        asked("chat", {"messages": TALK}, "converse", "anthropic.claude-3-haiku-20240307-v1:0")
    )


def test_a_caller_of_messages_sets_its_own_breakpoints_or_none() -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
    assert "cachePoint" not in json.dumps(asked("messages", body, "converse"))


# --- Claude Code's billing header -------------------------------------------------------------------------------------

HEADER = "x-anthropic-billing-header: cc_version=2.1.0.abc; cc_entrypoint=cli; cch=36ee5;"


@pytest.mark.parametrize(
    "system",
    [
        [{"type": "text", "text": HEADER}, {"type": "text", "text": "You help."}],
        [{"type": "text", "text": f"{HEADER}\nYou help."}],
        f"{HEADER}\nYou help.",
    ],
    ids=["a block of its own", "the first line of a block", "the first line of a text"],
)
@pytest.mark.parametrize("spoken", ["chat", "responses", "converse"])
def test_the_billing_header_goes_to_no_other_format(system: object, spoken: str) -> None:
    body = {"system": system, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
    made = json.dumps(asked("messages", body, spoken))
    assert "billing-header" not in made
    assert "You help." in made


def test_the_billing_header_goes_to_anthropics_format() -> None:
    system = [{"type": "text", "text": HEADER}, {"type": "text", "text": "You help."}]
    body = {"system": system, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
    assert asked("messages", body, "messages")["system"] == system


# --- Prefixes ---------------------------------------------------------------------------------------------------------

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=6)


def rounds(messages: bool) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Return a conversation in Messages or chat, each round a user's message and an answer with or without calls."""
    return st.lists(st.tuples(words, words, st.integers(0, 2), words), min_size=1, max_size=3).map(
        lambda drawn: [message for i, each in enumerate(drawn) for message in _round(i, *each, messages=messages)]
    )


def _round(
    index: int, question: str, answer: str, calls: int, result: str, *, messages: bool
) -> Iterator[dict[str, Any]]:
    ids = [f"call_{index}_{i}" for i in range(calls)]
    yield {"role": "user", "content": question}
    if messages:
        uses = [{"type": "tool_use", "id": id_, "name": "look", "input": {"at": 1}} for id_ in ids]
        yield {"role": "assistant", "content": [{"type": "text", "text": answer}, *uses]}
        if ids:
            results = [{"type": "tool_result", "tool_use_id": id_, "content": result} for id_ in ids]
            yield {"role": "user", "content": results}
            yield {"role": "assistant", "content": [{"type": "text", "text": answer}]}
        return
    made = [{"id": id_, "type": "function", "function": {"name": "look", "arguments": '{"at":1}'}} for id_ in ids]
    yield {"role": "assistant", "content": answer, **({"tool_calls": made} if made else {})}
    yield from ({"role": "tool", "tool_call_id": id_, "content": result} for id_ in ids)
    if ids:
        yield {"role": "assistant", "content": answer}


def turns_of(body: dict[str, Any]) -> list[Any]:
    """Return the conversation in a body, without the breakpoints, which are no part of the cached prompt."""
    turns: list[Any] = body.get("messages") or body["input"]
    for turn in turns:
        if isinstance(content := turn.get("content"), list):
            content[:] = [block for block in content if "cachePoint" not in block]
            for block in content:
                block.pop("cache_control", None)
    return turns


@pytest.mark.parametrize(("caller", "spoken"), [
    ("messages", "chat"), ("messages", "responses"), ("messages", "converse"),
    ("chat", "messages"), ("chat", "responses"), ("chat", "converse"),
])  # fmt: skip
@given(data=st.data())
def test_two_turns_of_a_conversation_differ_by_the_new_turn_alone(
    caller: str, spoken: str, data: st.DataObject
) -> None:
    reported = data.draw(rounds(caller == "messages"))
    more = {"max_tokens": 9} if caller == "messages" else {}
    first, answer = {"role": "user", "content": "And now?"}, {"role": "assistant", "content": "Done."}
    systems = [[{"type": "text", "text": f"{HEADER}{turn}"}, {"type": "text", "text": "Be."}] for turn in (1, 2)]
    tools: dict[str, Any] = {"tools": [FUNCTION]}
    if caller == "messages":
        tools = {"tools": [{"name": "look", "input_schema": {"type": "object", "properties": {}}}]}
    bodies = []
    for system, conversation in zip(
        systems, ([*reported, first], [*reported, first, answer, *reported, first]), strict=True
    ):
        fields = {"system": system} if caller == "messages" else {}
        bodies.append(asked(caller, {**fields, **tools, **more, "messages": conversation}, spoken))
    earlier, later = (turns_of(body) for body in bodies)
    assert json.dumps(later[: len(earlier)]) == json.dumps(earlier)
    for name in ("system", "instructions", "tools", "toolConfig"):
        assert json.dumps(bodies[0].get(name)) == json.dumps(bodies[1].get(name))

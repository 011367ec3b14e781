"""The requirements of chat providers, for requests translated from every format."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.formats import registry
from vibe_router.formats.neutral.model import (
    Finish,
    NeutralRequest,
    Started,
    Tool,
    ToolCallDelta,
    ToolCallStart,
    object_schema,
)
from vibe_router.formats.neutral.tool_names import original_tool_names, short_tool_name

LONG_NAME = "mcp__plugin_some-long-plugin-name_some-server__get_failed_pipeline_jobs_from_merge_request"
PIXEL = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}


def as_chat(format_: str, body: dict[str, Any]) -> dict[str, Any]:
    request = registry.client(format_).parse(json.dumps({"model": "m", **body}).encode(), {}).neutral()
    asked: dict[str, Any] = json.loads(registry.conversation("chat").body(request, "gpt-4o", stream=False))
    return asked


def of_messages(*messages: tuple[str, object], **more: object) -> dict[str, Any]:
    history = [{"role": role, "content": content} for role, content in messages]
    return as_chat("messages", {"max_tokens": 9, "messages": history, **more})


def use(id_: str, name: str = "look") -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": name, "input": {}}


def result(id_: str, *content: object) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id_, "content": list(content)}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def roles(asked: dict[str, Any]) -> list[str]:
    return [message["role"] for message in asked["messages"]]


ITEMS = {
    "image": {"type": "function_call_output", "call_id": "a", "output": [
        {"type": "input_image", "image_url": "data:image/png;base64,aGk="}]},
    "second": {"type": "function_call_output", "call_id": "b", "output": "two"},
    "words": {"type": "message", "role": "user", "content": "And?"},
}  # fmt: skip


@pytest.mark.parametrize(
    "order", [("image", "second", "words"), ("words", "image", "second"), ("image", "words", "second")]
)
def test_tool_results_directly_follow_their_calls(order: tuple[str, ...]) -> None:
    call = {"type": "function_call", "name": "look", "arguments": "{}"}
    calls = [{**call, "call_id": "a"}, {**call, "call_id": "b"}]
    asked = as_chat("responses", {"input": [ITEMS["words"], *calls, *(ITEMS[name] for name in order)]})
    assert roles(asked)[:4] == ["user", "assistant", "tool", "tool"]
    assert set(roles(asked)[4:]) == {"user"}
    assert "And?" in json.dumps(asked["messages"][4:])


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1, max_size=6))
def test_an_id_that_is_used_again_belongs_to_the_latest_call(turns: list[tuple[str, bool]]) -> None:
    messages: list[tuple[str, object]] = [("user", "Hi")]
    for number, (id_, with_image) in enumerate(turns):
        shown = [{"type": "image", "source": PIXEL}] if with_image else []
        messages += [("assistant", [use(id_)]), ("user", [result(id_, text(f"{number}"), *shown)])]
    asked = of_messages(*messages)["messages"]
    results = [(asked[at - 1]["role"], each["content"]) for at, each in enumerate(asked) if each["role"] == "tool"]
    assert results == [("assistant", f"{number}") for number in range(len(turns))]


@pytest.mark.parametrize("content", [[], [text("")], [{"type": "thinking", "thinking": "Hm", "signature": ""}]])
def test_no_assistant_message_is_empty(content: list[object]) -> None:
    assert roles(of_messages(("user", "Hi"), ("assistant", content), ("user", "Go on"))) == ["user", "user"]


def test_text_alone_is_a_string_in_every_message() -> None:
    two = [text("b"), text("c")]
    asked = of_messages(
        ("user", two), ("assistant", [*two, use("a")]), ("user", [result("a", *two), *two]), system=[*two, text("")]
    )
    assert [message["content"] for message in asked["messages"]] == ["b\n\nc"] * 5


@pytest.mark.parametrize(
    "shown", [{"type": "document", "source": PDF}, {"type": "image", "source": PIXEL}], ids=["a PDF", "an image"]
)
def test_tool_results_hold_text_alone(shown: dict[str, Any]) -> None:
    asked = of_messages(("user", "a"), ("assistant", [use("a")]), ("user", [result("a", shown), text("And?")]))
    assert roles(asked) == ["user", "assistant", "tool", "user"]
    assert isinstance(asked["messages"][2]["content"], str)
    kinds = [part["type"] for part in asked["messages"][3]["content"]]
    assert kinds in (["text", "file", "text"], ["text", "image_url", "text"])


def test_long_tool_names_are_shortened_everywhere() -> None:
    tool = {"name": LONG_NAME, "input_schema": {"type": "object", "properties": {}}}
    asked = of_messages(
        ("user", "a"),
        ("assistant", [use("a", LONG_NAME)]),
        ("user", [result("a", text("b"))]),
        tools=[tool],
        tool_choice={"type": "tool", "name": LONG_NAME},
    )
    name = short_tool_name(LONG_NAME)
    assert len(name) == 64
    assert asked["tools"][0]["function"]["name"] == name
    assert asked["tool_choice"]["function"]["name"] == name
    assert asked["messages"][1]["tool_calls"][0]["function"]["name"] == name


@given(st.lists(st.text("ab", min_size=60, max_size=70), unique=True, max_size=9))
def test_shortened_names_are_distinct_and_restored(names: list[str]) -> None:
    short = [short_tool_name(name) for name in names]
    assert len(set(short)) == len(names)
    assert max(map(len, short), default=0) <= 64
    restored = original_tool_names(NeutralRequest("messages", [], tools=[Tool(name) for name in names]))
    assert [restored[name] for name in short] == names


@pytest.mark.parametrize("pieces", [1, 3])
def test_long_tool_names_are_restored_in_calls(pieces: int) -> None:
    decoder = registry.conversation("chat").decoder(NeutralRequest("messages", [], tools=[Tool(LONG_NAME)]))
    name = short_tool_name(LONG_NAME)
    size = -(-len(name) // pieces)
    events: list[object] = []
    for at in range(pieces):
        call = {"index": 0, "id": "a", "function": {"name": name[at * size : (at + 1) * size]}}
        events += decoder.decode({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})
    events += decoder.decode({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    assert [each for each in events if not isinstance(each, Started)] == [
        ToolCallStart("a", LONG_NAME),
        ToolCallDelta("{}"),
        Finish("tool_calls"),
    ]


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        ({"type": "object"}, {"type": "object", "properties": {}}),
        ({}, {"type": "object", "properties": {}}),
        ({"type": "object", "properties": {"a": {}}}, {"type": "object", "properties": {"a": {}}}),
        ({"$ref": "#/$defs/a", "$defs": {}}, {"$ref": "#/$defs/a", "$defs": {}}),
        (None, None),
    ],
)
def test_an_object_has_properties(schema: dict[str, Any] | None, sent: dict[str, Any] | None) -> None:
    assert object_schema(schema) == sent
    if schema is not None:
        asked = of_messages(("user", "a"), tools=[{"name": "list_all", "input_schema": schema}])
        assert asked["tools"][0]["function"]["parameters"] == sent


def test_a_growing_history_is_written_in_linear_time() -> None:
    """Interleaved calls and results: the work per message does not grow with their number."""
    calls = [{"type": "function_call", "call_id": f"{at}", "name": "look", "arguments": "{}"} for at in range(5_000)]
    outputs = [{"type": "function_call_output", "call_id": f"{at}", "output": "x"} for at in range(5_000)]
    between = {"type": "message", "role": "user", "content": "And?"}
    items = [item for call in calls for item in (call, between)] + outputs[::-1]
    assert roles(as_chat("responses", {"input": items}))[:3] == ["assistant", "tool", "user"]


def test_long_tool_names_are_shortened_and_restored_for_responses_too() -> None:
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": [use("a", LONG_NAME)]},
            {"role": "user", "content": [result("a", text("b"))]},
        ],
        "tools": [{"name": LONG_NAME, "input_schema": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "tool", "name": LONG_NAME},
    }
    request = registry.client("messages").parse(json.dumps(body).encode(), {}).neutral()
    responses = registry.conversation("responses")
    asked = json.loads(responses.body(request, "gpt-5", stream=False))
    name = short_tool_name(LONG_NAME)
    calls = [item["name"] for item in asked["input"] if item["type"] == "function_call"]
    assert [asked["tools"][0]["name"], asked["tool_choice"]["name"], *calls] == [name] * 3
    item = {"type": "function_call", "id": "fc", "call_id": "a", "name": name, "arguments": "{}"}
    chunk = {"type": "response.output_item.added", "output_index": 0, "item": item}
    [start] = [each for each in responses.decoder(request).decode(chunk) if isinstance(each, ToolCallStart)]
    assert start.name == LONG_NAME


def test_long_tool_names_are_shortened_for_bedrock_too() -> None:
    tool = {"type": "function", "function": {"name": LONG_NAME, "parameters": {"type": "object", "properties": {}}}}
    call = {"id": "a", "type": "function", "function": {"name": LONG_NAME, "arguments": "{}"}}
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [call]}]
    messages.append({"role": "tool", "tool_call_id": "a", "content": "b"})
    raw = json.dumps({"model": "m", "messages": messages, "tools": [tool]}).encode()
    request, converse = registry.client("chat").parse(raw, {}).neutral(), registry.conversation("converse")
    asked = json.loads(converse.body(request, "anthropic.claude-sonnet-4-5", stream=False))
    name = short_tool_name(LONG_NAME)
    assert asked["toolConfig"]["tools"][0]["toolSpec"]["name"] == name
    assert asked["messages"][1]["content"][0]["toolUse"]["name"] == name
    chunk = {"contentBlockStart": {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "a", "name": name}}}}
    starts = [each for each in converse.decoder(request).decode(chunk) if isinstance(each, ToolCallStart)]
    assert [start.name for start in starts] == [LONG_NAME]

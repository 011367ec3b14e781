"""Tool namespaces: flat names for formats without namespaces, restored in the answer."""

import json
from typing import Any

import pytest

from vibe_router.core.errors import ApiError
from vibe_router.formats.messages import neutral_request as messages_request
from vibe_router.formats.neutral.model import Started, ToolCallStart, without_optional_tools
from vibe_router.formats.responses import format as responses_format
from vibe_router.formats.responses import neutral_request as responses_neutral
from vibe_router.formats.responses import writer as responses_writer
from vibe_router.formats.responses.namespaces import flat_name

SPAWN = {"type": "function", "name": "spawn", "description": "Start one", "parameters": {"type": "object"}}
WAIT = {"type": "function", "name": "wait", "parameters": {"type": "object"}, "strict": False}
PATCH = {"type": "custom", "name": "patch"}
MANY = {"type": "namespace", "name": "many", "description": "Others", "tools": [SPAWN, WAIT, PATCH]}
SEARCH = {"type": "web_search", "external_web_access": False}
CALL = {"type": "function_call", "call_id": "call_1", "namespace": "many", "name": "spawn", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "done"}
BODY: dict[str, Any] = {
    "model": "m",
    "input": [{"role": "user", "content": "Hello"}, CALL, OUTPUT],
    "tools": [WAIT, MANY, {**MANY, "name": "few"}, SEARCH],
}


def for_messages(body: dict[str, Any]) -> dict[str, Any]:
    request = without_optional_tools(responses_neutral.read(body))
    written = json.loads(messages_request.body(request, "m", stream=False))
    assert isinstance(written, dict)
    return written


def test_other_formats_get_flat_names() -> None:
    written = for_messages(BODY)
    names = [tool["name"] for tool in written["tools"]]
    assert names == ["wait"] + [
        f"{namespace}__{name}" for namespace in ("many", "few") for name in ("spawn", "wait", "patch")
    ]
    assert written["messages"][1]["content"][0]["name"] == "many__spawn"


def test_calls_are_returned_in_their_namespace() -> None:
    request = responses_format.RESPONSES.parse(json.dumps(BODY).encode(), {})
    writer = responses_writer.ResponsesWriter(request, 1)
    writer.write(Started("x", "m"))
    writer.write(ToolCallStart("call_2", "many__spawn"))
    writer.write(ToolCallStart("call_3", "wait"))
    writer.end()
    namespaced, plain = writer.response["output"]
    assert (namespaced["namespace"], namespaced["name"]) == ("many", "spawn")
    assert ("namespace" in plain, plain["name"]) == (False, "wait")


def test_hosted_tools_in_a_namespace_are_dropped_or_rejected() -> None:
    mixed = {**MANY, "tools": [SPAWN, SEARCH]}
    assert [tool["name"] for tool in for_messages({**BODY, "tools": [mixed]})["tools"]] == ["many__spawn"]
    with pytest.raises(ApiError) as rejected:
        for_messages({**BODY, "tools": [{**MANY, "tools": [{"type": "mcp"}]}]})
    assert rejected.value.param == "tools[0].tools[0]"


def test_a_required_web_search_is_not_dropped() -> None:
    with pytest.raises(ApiError, match="web_search"):
        for_messages({**BODY, "tool_choice": {"type": "web_search"}})
    with pytest.raises(ApiError, match="web_search"):
        for_messages({**BODY, "tool_choice": "required"})


def test_other_hosted_tools_are_rejected() -> None:
    with pytest.raises(ApiError, match="code_interpreter"):
        for_messages({**BODY, "tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]})


def test_long_names_stay_distinct_within_the_limit() -> None:
    names = {flat_name("space" * 10, f"{'tool' * 10}{number}") for number in range(3)}
    assert len(names) == 3
    assert all(len(name) == 64 for name in names)

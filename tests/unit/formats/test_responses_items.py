"""Input items of Responses for providers of other formats: records of the past never make a deployment unfit."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.core.errors import ApiError
from vibe_router.core.models import Deployment, Provider
from vibe_router.formats.responses.request import parse
from vibe_router.formats.responses.writer import ResponsesWriter
from vibe_router.upstream.exchange import open_exchange
from vibe_router.upstream.fit import unfit_reason

HELLO = {"type": "message", "role": "user", "content": "Hello"}
OTHERS = ("chat", "messages", "converse")
EXEC = {"type": "custom", "name": "exec", "description": "Run it"}
WAIT = {"type": "function", "name": "wait", "parameters": {"type": "object", "properties": {}}}


def deployment(format_: str, *, tools: bool = True) -> Deployment:
    return Deployment(Provider("one", "https://one.example", "KEY"), "claude", formats=(format_,), tools=tools)


def sent(items: list[Any], format_: str = "chat", **fields: Any) -> dict[str, Any]:
    """Return the body that a provider of `format_` gets."""
    request = parse(json.dumps({"model": "auto", "input": items, **fields}).encode())
    body: dict[str, Any] = json.loads(open_exchange(request, deployment(format_), 1.0, stream=False).body(stream=False))
    return body


RECORDS = [
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}},
    {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "aGk="},
    {"type": "file_search_call", "id": "fs_1", "status": "completed", "queries": ["x"], "results": None},
    {"type": "code_interpreter_call", "id": "ci_1", "status": "completed", "code": "1", "container_id": "c"},
    {"type": "mcp_call", "id": "mcp_1", "name": "f", "server_label": "s", "arguments": "{}", "output": "1"},
    {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "s", "tools": [{"name": "f", "input_schema": {}}]},
    {"type": "tool_search_call", "call_id": "ts_1", "execution": "client", "arguments": {"query": "x"}},
    {"type": "local_shell_call", "call_id": "ls_1", "status": "completed", "action": {"type": "exec", "command": []}},
    {"type": "something_of_next_year", "id": "so_1", "status": "completed"},
    {"type": "agent_message", "author": "/root", "content": [{"type": "encrypted_content", "encrypted_content": "x"}]},
]


@pytest.mark.parametrize("format_", OTHERS)
@pytest.mark.parametrize("record", RECORDS, ids=lambda record: str(record["type"]))
def test_a_record_of_the_past_is_left_out(record: dict[str, Any], format_: str) -> None:
    answer = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Found."}]}
    assert sent([HELLO, record, answer, HELLO], format_) == sent([HELLO, answer, HELLO], format_)


@given(
    kind=st.text(min_size=1).filter(lambda kind: kind not in ("message", "reasoning")),
    fields=st.dictionaries(
        st.sampled_from(["id", "call_id", "status", "content", "output", "action", "author", "role"]),
        st.text() | st.none() | st.integers() | st.lists(st.dictionaries(st.text(), st.text(), max_size=2), max_size=2),
    ),
)
def test_an_unknown_item_is_carried_or_a_400(kind: str, fields: dict[str, Any]) -> None:
    item = {**fields, "type": f"{kind}_of_next_year"}
    for format_ in OTHERS:
        assert sent([HELLO, item, HELLO], format_)
        sent([HELLO, {**item, "type": f"{kind}_call"}, {**item, "type": f"{kind}_call_output"}, HELLO], format_)


@pytest.mark.parametrize(
    "item",
    [
        pytest.param({"type": "item_reference", "id": "msg_unknown"}, id="a reference"),
        pytest.param({"type": "mcp_approval_response", "approval_request_id": "m", "approve": True}, id="an approval"),
        pytest.param({"type": "compaction_trigger"}, id="a trigger of compaction"),
        pytest.param({"type": "compaction", "encrypted_content": "gAAA"}, id="a summary that one provider can read"),
    ],
)
@pytest.mark.parametrize("format_", OTHERS)
def test_an_item_that_asks_for_something_is_rejected_by_name(item: dict[str, Any], format_: str) -> None:
    with pytest.raises(ApiError) as rejected:
        sent([HELLO, item], format_)
    assert (rejected.value.status, rejected.value.param) == (400, "input[1]")


SHELL = {"type": "local_shell_call", "id": "i", "call_id": "ls_1", "action": {"type": "exec", "command": ["ls"]}}


@pytest.mark.parametrize(
    ("call", "output", "name", "arguments"),
    [
        pytest.param(
            SHELL,
            {"type": "function_call_output", "call_id": "ls_1", "output": "a.txt"},
            "local_shell",
            {"type": "exec", "command": ["ls"]},
            id="a local shell",
        ),
        pytest.param(
            SHELL | {"call_id": None},
            {"type": "local_shell_call_output", "id": "i", "output": "a.txt"},
            "local_shell",
            {"type": "exec", "command": ["ls"]},
            id="a local shell whose output names the item",
        ),
        pytest.param(
            {"type": "apply_patch_call", "call_id": "ap", "operation": {"type": "delete_file", "path": "a"}},
            {"type": "apply_patch_call_output", "call_id": "ap", "status": "completed", "output": "a.txt"},
            "apply_patch",
            {"operation": {"type": "delete_file", "path": "a"}},
            id="a patch",
        ),
        pytest.param(
            {"type": "brand.new_call", "call_id": "bn", "what": 1},
            {"type": "brand.new_call_output", "call_id": "bn", "output": [{"type": "text", "text": "a.txt"}]},
            "brand_new",
            {"what": 1},
            id="a call of an unknown type",
        ),
    ],
)
def test_a_call_with_its_output_becomes_a_function_call(
    call: dict[str, Any], output: dict[str, Any], name: str, arguments: dict[str, Any]
) -> None:
    _, made, result = sent([HELLO, call, output])["messages"]
    function = made["tool_calls"][0]["function"]
    assert (function["name"], json.loads(function["arguments"])) == (name, arguments)
    assert result["role"] == "tool"
    assert result["tool_call_id"] == made["tool_calls"][0]["id"]
    assert "a.txt" in json.dumps(result["content"])


@pytest.mark.parametrize("format_", OTHERS)
def test_an_agents_message_is_carried(format_: str) -> None:
    parts = [{"type": "input_text", "text": "It is 4."}, {"type": "encrypted_content", "encrypted_content": "x"}]
    message = {"type": "agent_message", "author": "/root/worker", "recipient": "/root", "content": parts}
    answer = json.dumps(sent([HELLO, message], format_)["messages"])
    assert "It is 4." in answer
    assert "/root/worker" in answer
    assert "encrypted" not in answer


ADDED = {"role": "developer", "tools": [{"type": "namespace", "name": "many", "tools": [EXEC, WAIT]}, WAIT]}


@pytest.mark.parametrize("kind", ["additional_tools", "tool_search_output"])
@pytest.mark.parametrize("stream", [False, True])
def test_tools_that_an_item_adds_are_tools_of_the_request(kind: str, stream: bool) -> None:
    items = [{"type": kind, "call_id": "c", **ADDED}, HELLO]
    body = sent(items, tools=[WAIT, {"type": "tool_search"}], stream=stream)
    assert [tool["function"]["name"] for tool in body["tools"]] == ["wait", "many__exec", "many__wait"]
    assert len(body["messages"]) == 1


def test_a_tool_search_is_left_out_and_its_tools_stay() -> None:
    search = {"type": "tool_search_call", "call_id": "c", "execution": "client", "arguments": {"query": "wait"}}
    body = sent([HELLO, search, {"type": "tool_search_output", "call_id": "c", "execution": "client", **ADDED}])
    assert (len(body["messages"]), len(body["tools"])) == (1, 3)


def test_calls_of_added_tools_are_returned_in_their_namespace() -> None:
    from vibe_router.formats.neutral.model import Started, ToolCallStart

    body = {"model": "auto", "input": [{"type": "additional_tools", **ADDED}, HELLO]}
    writer = ResponsesWriter(parse(json.dumps(body).encode()), 1)
    writer.write(Started("x", "m"))
    writer.write(ToolCallStart("c", "many__exec", custom=True))
    writer.end()
    assert [(call["namespace"], call["name"]) for call in writer.response["output"]] == [("many", "exec")]


def test_added_tools_need_a_deployment_that_calls_tools() -> None:
    request = parse(json.dumps({"model": "auto", "input": [{"type": "additional_tools", **ADDED}, HELLO]}).encode())
    assert unfit_reason(request, deployment("responses", tools=False))
    assert not unfit_reason(request, deployment("responses"))


def test_a_record_passes_to_a_provider_of_responses() -> None:
    assert sent([HELLO, *RECORDS], "responses")["input"] == [HELLO, *RECORDS]


GROWING = [
    pytest.param(lambda i: [{**SHELL, "call_id": f"c{i}"}, {"type": "x_output", "call_id": f"c{i}"}], id="calls"),
    pytest.param(lambda i: [{"type": "agent_message", "author": "a", "content": "x"}], id="messages"),
    pytest.param(lambda i: [{"type": "additional_tools", "tools": [{**WAIT, "name": f"f{i}"}]}], id="tools"),
    pytest.param(lambda i: [{"type": f"unknown_{i}", "id": f"c{i}"}], id="records"),
]


@pytest.mark.parametrize("make", GROWING)
def test_reading_items_takes_linear_time(make: Callable[[int], list[Any]]) -> None:
    def seconds(count: int) -> float:
        body = {"model": "auto", "input": [item for i in range(count) for item in make(i)]}
        raw = json.dumps(body).encode()
        times = []
        for _ in range(3):
            began = time.process_time()
            parse(raw).neutral()
            times.append(time.process_time() - began)
        return min(times)

    assert seconds(2_000) < 16 * seconds(500) + 0.1

"""Responses as the router writes them for answers of other formats."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from vibe_router.core.errors import ApiError
from vibe_router.formats.common import sse
from vibe_router.formats.neutral.model import Event, Finish, Started, TextDelta, ToolCallDelta, ToolCallStart
from vibe_router.formats.responses.request import parse
from vibe_router.formats.responses.writer import ResponsesWriter, whole

BODY = {"model": "auto", "input": "Hi", "tools": [{"type": "function", "name": "look"}]}
STARTED = Started("x", "glm-4.7", 1)


def writer(body: Any = BODY) -> ResponsesWriter:
    return ResponsesWriter(parse(json.dumps(body).encode()), 1)


def events_of(writer: ResponsesWriter, events: Iterable[Event], last: bytes | None = None) -> list[dict[str, Any]]:
    raw = b"".join(writer.write(each) for each in events) + (writer.end() if last is None else last)
    return [json.loads(each.data) for each in sse.EventDecoder().feed(raw) if each.data]


@pytest.mark.parametrize("deltas", [[], [""]], ids=["no delta", "an empty delta"])
def test_empty_arguments_of_a_call_become_an_empty_object(deltas: list[str]) -> None:
    call: list[Event] = [STARTED, ToolCallStart("c", "look"), *map(ToolCallDelta, deltas), Finish("tool_calls")]
    sent = events_of(writer(), call)
    assert "".join(each["delta"] for each in sent if each["type"].endswith("arguments.delta")) == "{}"
    assert [each["arguments"] for each in sent if each["type"].endswith("arguments.done")] == ["{}"]
    assert sent[-1]["response"]["output"][0]["arguments"] == "{}"
    assert json.loads(whole(parse(json.dumps(BODY).encode()), call, 1))["output"][0]["arguments"] == "{}"


@pytest.mark.parametrize("custom", [False, True])
def test_a_truncated_call_is_never_presented_as_complete(custom: bool) -> None:
    broken = writer()
    call: list[Event] = [STARTED, TextDelta("I look."), ToolCallStart("c", "look", custom), ToolCallDelta('{"at"')]
    sent = events_of(broken, call, b"")
    failed = events_of(broken, [], broken.fail(ApiError(502, "It broke.", type="upstream_error", code="cut")))
    assert [each["type"] for each in failed] == ["response.failed"]
    message, truncated = failed[0]["response"]["output"]
    assert message["content"][0]["text"] == "I look."
    assert truncated["status"] == "incomplete"
    assert truncated["input" if custom else "arguments"] == '{"at"'
    assert failed[0]["sequence_number"] == len(sent)

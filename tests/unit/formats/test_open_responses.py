"""Responses follow the Open Responses specification, whichever format the provider speaks."""

import json
from typing import Any

import pytest

from tests.unit.formats.open_responses import stream_violations, violations
from vibe_router.core.errors import ApiError
from vibe_router.core.models import Deployment, Provider
from vibe_router.formats.common import sse
from vibe_router.formats.responses.request import parse
from vibe_router.upstream.exchange import Exchange, open_exchange

TOOL = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}
CHAT = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
COUNTED = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
MESSAGES = {"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}
SPENT = {"input_tokens": 3, "output_tokens": 2}
BARE = {"id": "resp_up", "object": "response", "created_at": 1, "status": "completed", "model": "m", "usage": SPENT}


def chat(finish: str, **message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": finish}
    return {**CHAT, "choices": [choice], "usage": COUNTED}


SAID: dict[str, dict[str, Any]] = {
    "chat": chat("stop", content="Four.", reasoning_content="Two and two."),
    "messages": {
        **MESSAGES,
        "content": [{"type": "thinking", "thinking": "Hm.", "signature": "s"}, {"type": "text", "text": "Four."}],
        "stop_reason": "end_turn",
        "usage": SPENT,
    },
    "converse": {
        "output": {"message": {"role": "assistant", "content": [{"text": "Four."}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5},
    },
    "responses": {
        **BARE,
        "output": [
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "Four.", "annotations": []}],
            }
        ],
    },
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
CALLED: dict[str, dict[str, Any]] = {
    "chat": chat("tool_calls", tool_calls=[CALL]),
    "messages": {
        **MESSAGES,
        "content": [{"type": "tool_use", "id": "call_1", "name": "look", "input": {}}],
        "stop_reason": "tool_use",
        "usage": SPENT,
    },
    "converse": {
        "output": {
            "message": {
                "role": "assistant",
                "content": [{"toolUse": {"toolUseId": "call_1", "name": "look", "input": {}}}],
            }
        },
        "stopReason": "tool_use",
        "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5},
    },
    "responses": {
        **BARE,
        "output": [
            {
                "id": "fc_1",
                "type": "function_call",
                "call_id": "call_1",
                "name": "look",
                "arguments": "{}",
                "status": "completed",
            }
        ],
    },
}


def exchange(format_: str, **fields: Any) -> Exchange:
    request = parse(json.dumps({"model": "auto", "input": "Hi", "stream": True, **fields}).encode())
    deployment = Deployment(Provider("one", "https://one.example", "KEY"), "m", formats=(format_,))
    return open_exchange(request, deployment, 1.0, stream=True)


def streamed(made: Exchange, answer: dict[str, Any], cut: int | None = None) -> list[dict[str, Any]]:
    reader, decoder = made.reader(), sse.EventDecoder()
    sent = b"".join(reader.read(each).raw for raw in made.to_events(answer)[:cut] for each in decoder.feed(raw))
    failure = ApiError(502, "It broke.", type="upstream_error", code="stream_truncated")
    sent += reader.end() if cut is None else reader.fail(failure)
    return [json.loads(each.data) for each in sse.EventDecoder().feed(sent) if each.data]


REQUESTS = [
    pytest.param({}, id="defaults"),
    pytest.param({"tools": [TOOL], "reasoning": {"effort": "low"}, "instructions": "Be brief."}, id="tools"),
    pytest.param(
        {"temperature": 0.5, "presence_penalty": 0, "frequency_penalty": 0, "metadata": {"a": "b"}, "store": False},
        id="settings",
    ),
]


@pytest.mark.parametrize("format_", SAID)
@pytest.mark.parametrize("answers", [SAID, CALLED], ids=["text", "a call"])
@pytest.mark.parametrize("fields", REQUESTS)
def test_a_whole_response_has_every_field(fields: dict[str, Any], answers: dict[str, Any], format_: str) -> None:
    made = exchange(format_, **fields)
    answer = answers[format_]
    whole = json.loads(made.whole(answer, json.dumps(answer).encode()).body)
    assert violations(whole) == []
    assert {name: whole[name] for name in fields if name not in ("tools", "reasoning")} == {
        name: value for name, value in fields.items() if name not in ("tools", "reasoning")
    }
    assert [tool["strict"] for tool in whole["tools"]] == [None for _ in fields.get("tools", ())]


@pytest.mark.parametrize("format_", SAID)
@pytest.mark.parametrize("answers", [SAID, CALLED], ids=["text", "a call"])
@pytest.mark.parametrize("fields", REQUESTS)
def test_every_event_of_a_stream_has_every_field(fields: dict[str, Any], answers: dict[str, Any], format_: str) -> None:
    events = streamed(exchange(format_, **fields), answers[format_])
    assert stream_violations(events) == []
    assert (events[0]["response"]["completed_at"], events[-1]["type"]) == (None, "response.completed")


@pytest.mark.parametrize("format_", SAID)
def test_a_failed_stream_has_every_field(format_: str) -> None:
    events = streamed(exchange(format_), SAID[format_], -1)
    assert stream_violations(events) == []
    assert events[-1]["type"] == "response.failed"


def test_items_that_lack_fields_are_completed() -> None:
    text = {"type": "output_text", "text": "Four."}
    output = [
        {"id": "rs_1", "type": "reasoning"},
        {"id": "msg_1", "type": "message", "content": [text]},
        {"id": "fc_1", "type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
    ]
    made = exchange("responses")
    assert violations(json.loads(made.whole({**BARE, "output": output}).body)) == []
    events = streamed(made, {**BARE, "output": output})
    assert stream_violations(events) == []
    added = [each["item"].get("status") for each in events if each["type"] == "response.output_item.added"]
    assert added == ["in_progress"] * 3  # as the stream that is made of a whole answer has it


def test_fields_of_a_complete_response_are_not_touched() -> None:
    made = exchange("responses")
    whole = json.loads(made.whole(SAID["responses"]).body)
    raw = json.dumps(whole).encode()
    assert made.whole(whole, raw).body == raw
    events = made.to_events(whole)
    reader = made.reader()
    assert [reader.read(each).raw for raw in events for each in sse.EventDecoder().feed(raw)] == events


@pytest.mark.parametrize("format_", sorted(SAID.keys() - {"responses"}))
@pytest.mark.parametrize("name", ["presence_penalty", "frequency_penalty"])
def test_a_penalty_reaches_the_provider_or_is_rejected_by_name(format_: str, name: str) -> None:
    try:
        body = json.loads(exchange(format_, **{name: 0.5}).body(stream=False))
    except ApiError as rejected:
        assert rejected.param == name  # noqa: PT017 - some formats have none
    else:
        assert body[name] == 0.5


def test_the_checks_find_what_is_missing() -> None:
    assert "response.completed_at is missing" in violations(BARE | {"output": []})
    assert stream_violations([{"type": "response.created", "sequence_number": 1, "response": BARE}])

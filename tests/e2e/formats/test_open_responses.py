"""Open Responses compliance (openresponses.org) through the whole router, on a provider of every format."""

import json
from typing import Any

import httpx
import pytest

from tests.e2e.formats.pairs import MODELS
from tests.e2e.stack import KEY, Stack
from tests.unit.formats.open_responses import stream_violations, violations

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
FILE = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjEK"}
TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "Current weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def user(content: object) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": content}


REQUESTS = [
    pytest.param({"input": [user("Say hello.")]}, id="text"),
    pytest.param({"input": [{**user("Speak like a pirate."), "role": "system"}, user("Hello.")]}, id="a system prompt"),
    pytest.param({"input": [user('call get_weather with {"city": "Rome"}')], "tools": [TOOL]}, id="a tool call"),
    pytest.param(
        {
            "input": [
                user(
                    [
                        {"type": "input_text", "text": "What is this?"},
                        {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"},
                    ]
                )
            ]
        },
        id="an image",
    ),
    pytest.param(
        {"input": [user([{"type": "input_text", "text": "Read it."}, FILE])]},
        id="a file",
    ),
    pytest.param(
        {"input": "The weather, please.", "tools": [TOOL], "tool_choice": {"type": "function", "name": "get_weather"}},
        id="a forced tool",
    ),
    pytest.param(
        {"input": [user("I am Ada."), {**user("Hello Ada."), "role": "assistant"}, user("Who am I?")]},
        id="several turns",
    ),
    pytest.param(
        {
            "input": [
                user("What is the weather in Rome?"),
                {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": '{"city": "Rome"}'},
                {"type": "function_call_output", "call_id": "c1", "output": "Sunny."},
            ],
            "tools": [TOOL],
        },
        id="a tool result",
    ),
]


def create(stack: Stack, body: dict[str, Any]) -> httpx.Response:
    headers = {"authorization": f"Bearer {KEY}"}
    answer = httpx.post(f"{stack.url}/responses", json=body, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize("format_", MODELS)
@pytest.mark.parametrize("request_", REQUESTS)
def test_responses_comply_on_every_format(stack: Stack, request_: dict[str, Any], format_: str) -> None:
    body = {"model": MODELS[format_], **request_}
    whole = create(stack, body).json()
    assert violations(whole) == []
    lines = create(stack, {**body, "stream": True}).text.splitlines()
    events = [json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data:")]
    assert stream_violations(events) == []
    kinds = {item["type"] for item in whole["output"]}
    assert kinds == {item["type"] for item in events[-1]["response"]["output"]}
    assert "call get_weather" not in json.dumps(request_) or "function_call" in kinds


@pytest.mark.parametrize("format_", MODELS)
def test_a_continued_response_complies(stack: Stack, format_: str) -> None:
    first = create(stack, {"model": MODELS[format_], "input": "Remember papaya."}).json()
    body = {"model": MODELS[format_], "input": "What did I say?", "previous_response_id": first["id"]}
    second = create(stack, body).json()
    assert violations(second) == []
    assert second["previous_response_id"] == first["id"]


def test_a_websocket_upgrade_gets_an_immediate_426(stack: Stack) -> None:
    key = {"sec-websocket-version": "13", "sec-websocket-key": "dGVzdA=="}
    headers = {"connection": "Upgrade", "upgrade": "websocket", **key}
    with httpx.Client(headers={"authorization": f"Bearer {KEY}"}, timeout=10) as client:
        assert client.get(f"{stack.url}/responses", headers=headers).status_code == 426
        assert client.get(f"{stack.url}/models").status_code == 200

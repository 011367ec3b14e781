"""Valid requests with something in them replaced, left out or doubled, at any depth: nothing is worse than a 400."""

import base64
import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.core.errors import ApiError
from vibe_router.core.models import Deployment, Provider
from vibe_router.formats import registry
from vibe_router.formats.common.seal import Seal, wrap
from vibe_router.formats.interfaces import ClientRequest
from vibe_router.formats.responses import stored
from vibe_router.formats.responses.request import ResponsesRequest
from vibe_router.upstream.exchange import open_exchange
from vibe_router.upstream.fit import unfit_reason

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
URL = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0="
SIGNED = wrap(Seal("signature", "p", "sig", text="words"))
ENCRYPTED = wrap(Seal("encrypted", "p", "gAAA", "rs_1"))

VALID: dict[str, dict[str, Any]] = {
    "chat": {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 1,
        "max_tokens": 9000,
        "stop": ["x"],
        "logit_bias": {},
        "reasoning_effort": "low",
        "metadata": {"a": "b"},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}},
            {
                "type": "custom",
                "custom": {
                    "name": "c",
                    "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}},
                },
            },
        ],
        "tool_choice": {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
        },
        "messages": [
            {"role": "developer", "content": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]},
            {
                "role": "user",
                "name": "bob",
                "content": [
                    {"type": "text", "text": "hi"},
                    {"type": "image_url", "image_url": {"url": URL, "detail": "low"}},
                    {"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}},
                ],
            },
            {
                "role": "assistant",
                "content": "c",
                "reasoning_content": "t",
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"city":"x"}'}},
                    {"id": "call_2", "type": "custom", "custom": {"name": "c", "input": "free"}},
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "r"}]},
            {"role": "tool", "tool_call_id": "call_2", "content": "r"},
        ],
    },
    "responses": {
        "model": "m",
        "stream": True,
        "instructions": "i",
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": SCHEMA}},
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        "tools": [
            {"type": "function", "name": "f", "parameters": SCHEMA, "strict": True},
            {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
            {"type": "web_search"},
            {"type": "namespace", "name": "many", "tools": [{"type": "function", "name": "g", "parameters": SCHEMA}]},
        ],
        "input": [
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "x"},
                    {"type": "input_image", "image_url": URL, "detail": "low"},
                    {"type": "input_file", "file_data": PDF, "filename": "a.pdf"},
                ],
            },
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "t"}],
                "encrypted_content": ENCRYPTED,
            },
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "o"}]},
            {"type": "function_call", "call_id": "call_1", "name": "g", "namespace": "many", "arguments": "{}"},
            {"type": "custom_tool_call", "call_id": "call_2", "name": "c", "input": "i"},
            {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "o"}]},
            {"type": "custom_tool_call_output", "call_id": "call_2", "output": "o"},
        ],
    },
    "messages": {
        "model": "m",
        "max_tokens": 9000,
        "stream": True,
        "stop_sequences": ["x"],
        "metadata": {"user_id": "u"},
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "tools": [{"name": "f", "input_schema": SCHEMA, "strict": True, "cache_control": {"type": "ephemeral"}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "x"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
                    {
                        "type": "document",
                        "title": "t",
                        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
                    },
                    {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "x"}]}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "t", "signature": SIGNED},
                    {"type": "text", "text": "a"},
                    {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"city": "x"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_1",
                        "is_error": True,
                        "content": [{"type": "text", "text": "r"}],
                    },
                    {"type": "text", "text": "go"},
                ],
            },
        ],
    },
    "gemini": {
        "model": "models/m",
        "systemInstruction": {"parts": [{"text": "s"}]},
        "safetySettings": [{"category": "x", "threshold": "y"}],
        "generationConfig": {
            "temperature": 1,
            "topP": 0.95,
            "topK": 64,
            "maxOutputTokens": "9000",
            "stop_sequences": ["x"],
            "candidateCount": 1,
            "responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}},
            "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 2000},
        },
        "tools": [
            {"functionDeclarations": [{"name": "f", "description": "d", "parameters": {"type": "OBJECT"}}]},
            {"function_declarations": [{"name": "g", "parametersJsonSchema": SCHEMA}]},
            {"googleSearch": {}},
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "hi"},
                    {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
                    {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}},
                ],
            },
            {
                "role": "model",
                "parts": [
                    {"text": "t", "thought": True},
                    {
                        "functionCall": {"name": "f", "args": {"city": "x"}},
                        "thoughtSignature": base64.b64encode(SIGNED.encode()).decode(),
                    },
                    {"executableCode": {"language": "PYTHON", "code": "1"}},
                    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {
                        "functionResponse": {
                            "name": "f",
                            "response": {"output": "r"},
                            "parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}],
                        }
                    }
                ],
            },
        ],
    },
    "completions": {"model": "m", "prompt": ["hi"], "stream": True, "max_tokens": 5, "stop": "x", "logit_bias": {}},
}

DEPLOYMENTS = [
    Deployment(Provider("p", "https://p.example", "KEY", (spoken,)), model, formats=(spoken,), vision=vision)
    for spoken, model, vision in [
        ("chat", "gpt-5", True),
        ("responses", "gpt-5", True),
        ("messages", "claude-sonnet-4-5", True),
        ("converse", "us.anthropic.claude-sonnet-4-5-v1:0", True),
        ("converse", "us.amazon.nova-pro-v1:0", True),
        ("completions", "davinci", True),
        ("chat", "glm-4.7", False),
    ]
]

junk: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [None, True, 0, -1, 10**30, 1.5, "", "x", "\ud800", "\ud800" * 99, "auto", "data:", "vibe1.", "vibe1.a.b"]
    ),
    st.just("data:text/plain;base64,//8="),
    st.sampled_from([[], {}, [[]], [None], [{}], {"type": None}, {"type": []}, {"type": {}}]).map(copy.deepcopy),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*path, key))


def held(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


@st.composite
def mutated(draw: st.DrawFn, caller: str) -> dict[str, Any]:
    body = copy.deepcopy(VALID[caller])
    for _ in range(draw(st.integers(1, 3))):
        *into, key = draw(st.sampled_from(list(places(body))))
        holder = held(body, tuple(into))
        match draw(st.sampled_from(["replaced", "left out", "doubled", "wrapped", "another's"])):
            case "replaced":
                holder[key] = draw(junk)
            case "left out" if len(body) > 1 or into:
                del holder[key]
            case "doubled" if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
            case "wrapped":
                holder[key] = [holder[key]]
            case _:
                other = VALID[draw(st.sampled_from(list(VALID)))]
                holder[key] = copy.deepcopy(held(other, draw(st.sampled_from(list(places(other))))))
    return body


def asked(request: ClientRequest, deployment: Deployment) -> None:
    """Put `request` to `deployment` as the walk does, with its proofs and without."""
    if unfit_reason(request, deployment):
        return
    exchange = open_exchange(request, deployment, 0, stream=request.stream)
    json.loads(exchange.body(stream=request.stream))
    if exchange.drop_proofs():
        json.loads(exchange.body(stream=request.stream))
    exchange.reader()


def store_and_continue(request: ResponsesRequest) -> None:
    """Store an answer to `request`, and continue from it."""
    answer = registry.client_conversation("responses").whole(request, [], 0)
    found = stored.build_stored_response(request, json.loads(answer))
    assert found is not None
    again = stored.from_record(stored.to_record(found))
    stored.list_input(again, {})
    list(stored.replay_events(again, None))
    again_asked = request.with_history(again.history(), {})
    for deployment in DEPLOYMENTS:
        asked(again_asked, deployment)


@pytest.mark.parametrize("caller", VALID)
@given(draw=st.data())
def test_a_mutated_request_is_carried_or_a_400(caller: str, draw: st.DataObject) -> None:
    body = draw.draw(mutated(caller))
    client = registry.client(caller)

    def attempt(what: Any, *values: Any) -> Any:
        try:
            return what(*values)
        except ApiError as rejected:
            assert rejected.status == 400  # noqa: PT017 - most are refused
            json.loads(client.error_body(rejected))
            return None

    request = attempt(client.parse, json.dumps(body).encode(), {})
    if request is None:
        return
    attempt(request.affinity)
    request.prompt_tokens_estimate()
    assert request.answers >= 1
    for deployment in DEPLOYMENTS:
        attempt(asked, request, deployment)
    if isinstance(request, ResponsesRequest):
        attempt(store_and_continue, request)


@pytest.mark.parametrize("caller", VALID)
def test_they_are_valid_before(caller: str) -> None:
    request = registry.client(caller).parse(json.dumps(VALID[caller]).encode(), {})
    asked(request, next(each for each in DEPLOYMENTS if caller in each.formats or caller == "gemini"))
    assert request.neutral().messages

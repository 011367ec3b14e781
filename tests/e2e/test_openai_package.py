"""The official `openai` package against the running router, on all six models."""

import asyncio
import json
from collections.abc import Iterator

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from tests.e2e.stack import KEY, PROVIDERS, Stack

MODELS = ["auto-chat", "auto-chat-mini", "auto-claude", "auto-claude-mini", "auto-codex", "auto-codex-mini"]
FIRST = {
    "auto-chat": "cliproxyapi/claude-sonnet-4-6",
    "auto-chat-mini": "cliproxyapi/gemini-2.5-flash",
    "auto-claude": "cliproxyapi/claude-sonnet-4-5",
    "auto-claude-mini": "cliproxyapi/claude-haiku-4-5",
    "auto-codex": "new-api/gpt-5.2-codex",
    "auto-codex-mini": "new-api/gpt-5.1-codex-mini",
}
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
def client(stack: Stack) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=stack.url, api_key=KEY, max_retries=0, timeout=60) as client:
        yield client


def test_the_six_models_are_listed_and_shown(client: openai.OpenAI) -> None:
    assert sorted(model.id for model in client.models.list()) == sorted(MODELS)
    assert client.models.retrieve("auto-chat").id == "auto-chat"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4")


@pytest.mark.parametrize("model", MODELS)
def test_every_model_chats_and_streams(client: openai.OpenAI, model: str) -> None:
    raw = client.chat.completions.with_raw_response.create(model=model, messages=HELLO)
    assert raw.headers["x-vibe-deployment"] == FIRST[model]
    assert raw.headers["x-vibe-model"] == model
    answer = raw.parse()
    assert answer.model == FIRST[model].partition("/")[2]
    assert answer.usage is not None
    streamed = ""
    for chunk in client.chat.completions.create(model=model, messages=HELLO, stream=True):
        assert chunk.choices, "the usage chunk was not asked for"
        streamed += chunk.choices[0].delta.content or ""
    assert streamed == answer.choices[0].message.content
    usage = [
        chunk.usage
        for chunk in client.chat.completions.create(
            model=model, messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        if chunk.usage
    ]
    assert usage == [answer.usage]


@pytest.mark.parametrize("model", MODELS)
def test_every_model_answers_the_async_client(stack: Stack, model: str) -> None:
    async def chat() -> tuple[str | None, str]:
        async with openai.AsyncOpenAI(base_url=stack.url, api_key=KEY, max_retries=0) as client:
            answer = await client.chat.completions.create(model=model, messages=HELLO)
            streamed = ""
            async for chunk in await client.chat.completions.create(model=model, messages=HELLO, stream=True):
                streamed += chunk.choices[0].delta.content or ""
            return answer.choices[0].message.content, streamed

    whole, streamed = asyncio.run(chat())
    assert whole == streamed


@pytest.mark.parametrize("model", MODELS)
def test_every_model_calls_tools_and_uses_their_answer(client: openai.OpenAI, model: str) -> None:
    first = client.chat.completions.create(model=model, messages=HELLO, tools=[TOOL], tool_choice="required")
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls
    call = message.tool_calls[0]
    assert call.type == "function"
    assert isinstance(json.loads(call.function.arguments)["city"], str)
    second = client.chat.completions.create(
        model=model,
        tools=[TOOL],
        messages=[
            *HELLO,
            {
                "role": "assistant",
                "tool_calls": [{"id": call.id, "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": call.id, "content": "sunny-4711"},
        ],
    )
    assert "sunny-4711" in (second.choices[0].message.content or "")


@pytest.mark.parametrize("model", MODELS)
def test_every_model_follows_a_json_schema(client: openai.OpenAI, model: str) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model=model,
        messages=HELLO,
        response_format={"type": "json_schema", "json_schema": {"name": "person", "schema": schema, "strict": True}},
    )
    person = json.loads(answer.choices[0].message.content or "")
    assert isinstance(person["name"], str)
    assert isinstance(person["age"], int)


def test_other_fields_reach_the_provider_as_sent(client: openai.OpenAI, stack: Stack) -> None:
    extra = {"reasoning": {"effort": "high"}, "x_unknown": [1, 2.5, None, {"ü": "✓"}], "seed": 7, "user": "u-1"}
    client.chat.completions.create(model="auto-chat", messages=HELLO, extra_body=extra)
    sent = stack.standin.requests("cliproxyapi")[-1]
    assert {name: sent.body[name] for name in extra} == extra
    assert sent.body["messages"] == HELLO
    assert sent.key == "sk-cliproxyapi"
    assert sent.path.endswith("/v1/chat/completions")


def test_errors_are_the_packages_own_types(client: openai.OpenAI, stack: Stack) -> None:
    with pytest.raises(openai.AuthenticationError) as rejected:
        client.with_options(api_key="sk-wrong").chat.completions.create(model="auto-chat", messages=HELLO)
    assert rejected.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert unknown.value.code == "model_not_found"
    assert all(model in unknown.value.message for model in MODELS)
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model="auto-chat", messages=[])
    assert bad.value.param == "messages"
    for provider in PROVIDERS:
        stack.fault(provider, "400")
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="auto-chat", messages=HELLO)


def test_a_broken_stream_raises_in_the_client(client: openai.OpenAI, stack: Stack) -> None:
    stack.fault("cliproxyapi", "cut", times=1)
    received: list[str | None] = []
    chunks = client.chat.completions.create(model="auto-chat", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError):
        received.extend(chunk.choices[0].delta.content for chunk in chunks)
    assert any(received)

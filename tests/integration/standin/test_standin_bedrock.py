"""Bedrock's stand-in, as boto3 sees it."""

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from local.standin import Standin

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

MODEL = "anthropic.claude-sonnet-4-5-v1:0"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = {"tools": [{"toolSpec": {"name": name, "inputSchema": {"json": SCHEMA}}} for name in ("weather", "clock")]}

DOCUMENT = {"document": {"format": "txt", "name": "note", "source": {"bytes": b"x"}}}


@pytest.fixture
def standin() -> Iterator[Standin]:
    with Standin() as standin:
        yield standin


@pytest.fixture
def client(standin: Standin) -> "Iterator[BedrockRuntimeClient]":
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=f"{standin.url}/bedrock",
        region_name="us-east-1",
        aws_access_key_id="AKIATEST",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}),
    )
    yield client
    client.close()


def ask(text: str = "Hello there", **fields: Any) -> dict[str, Any]:
    return {"modelId": MODEL, "messages": [{"role": "user", "content": [{"text": text}]}], **fields}


def joined(client: "BedrockRuntimeClient", request: dict[str, Any]) -> dict[str, Any]:
    """Put a stream together, as a client does."""
    blocks: dict[int, dict[str, Any]] = {}
    reported: dict[str, Any] = {}
    with closing(client.converse_stream(**request)["stream"]) as stream:
        for event in stream:
            match event:
                case {"contentBlockStart": {"contentBlockIndex": index, "start": {"toolUse": begun}}}:
                    blocks[index] = {"toolUse": {**begun, "input": ""}}
                case {"contentBlockDelta": {"contentBlockIndex": index, "delta": {"text": text}}}:
                    blocks.setdefault(index, {"text": ""})["text"] += text
                case {"contentBlockDelta": {"contentBlockIndex": index, "delta": {"toolUse": {"input": text}}}}:
                    blocks[index]["toolUse"]["input"] += text
                case {"messageStop": {"stopReason": reason}}:
                    reported["stopReason"] = reason
                case {"metadata": {"usage": usage}}:
                    reported["usage"] = usage
    return {**reported, "blocks": [blocks[index] for index in sorted(blocks)]}


def test_a_stream_has_the_content_of_the_whole_answer(client: "BedrockRuntimeClient", standin: Standin) -> None:
    whole = client.converse(**ask())
    streamed = joined(client, ask())
    assert streamed["blocks"] == whole["output"]["message"]["content"]
    assert streamed["stopReason"] == whole["stopReason"] == "end_turn"
    assert streamed["usage"] == whole["usage"]
    first, second = standin.requests("bedrock")
    assert (first.model, first.key, first.path) == (MODEL, "AKIATEST", f"/bedrock/model/{MODEL}/converse")
    assert second.path.endswith("/converse-stream")


def test_tools_are_called_and_what_they_returned_is_used(client: "BedrockRuntimeClient") -> None:
    request = ask('call weather with {"city": "Rome"} and clock with {"city": "Oslo"}', toolConfig=TOOLS)
    whole = client.converse(**request)
    assert whole["stopReason"] == "tool_use"
    content = whole["output"]["message"]["content"]
    assert [block["toolUse"]["input"] for block in content] == [{"city": "Rome"}, {"city": "Oslo"}]
    assert [block["toolUse"]["input"] for block in joined(client, request)["blocks"]] == [
        '{"city":"Rome"}',
        '{"city":"Oslo"}',
    ]
    results = [
        {"toolResult": {"toolUseId": block["toolUse"]["toolUseId"], "content": [{"text": "42"}]}} for block in content
    ]
    talk = [*request["messages"], whole["output"]["message"], {"role": "user", "content": results}]
    second = client.converse(**{**request, "messages": talk})
    assert "weather returned 42. clock returned 42." in second["output"]["message"]["content"][0]["text"]
    assert second["usage"]["cacheReadInputTokens"] > 0


def test_thoughts_have_signatures_that_another_key_cannot_send_back(client: "BedrockRuntimeClient") -> None:
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    request = ask(additionalModelRequestFields=thinking)
    reply = client.converse(**request)["output"]["message"]
    assert reply["content"][0]["reasoningContent"]["reasoningText"]["signature"]
    again = [*request["messages"], reply, *request["messages"]]
    client.converse(**{**request, "messages": again})
    reply["content"][0]["reasoningContent"]["reasoningText"]["signature"] = "eHk="
    with pytest.raises(client.exceptions.ValidationException, match="Invalid `signature`"):
        client.converse(**{**request, "messages": again})


def test_the_matched_stop_sequence_is_returned_on_request(client: "BedrockRuntimeClient") -> None:
    request = ask(inferenceConfig={"stopSequences": ["stand-in"]})
    assert "additionalModelResponseFields" not in client.converse(**request)
    reported = client.converse(**request, additionalModelResponseFieldPaths=["/stop_sequence"])
    assert reported["stopReason"] == "stop_sequence"
    assert reported["additionalModelResponseFields"] == {"stop_sequence": "stand-in"}


def test_claude_takes_anthropics_own_tool_choice_and_no_second_one(client: "BedrockRuntimeClient") -> None:
    text = 'call weather with {"city": "Rome"} and clock with {"city": "Oslo"}'
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    request = ask(text, toolConfig=TOOLS, additionalModelRequestFields={"tool_choice": choice})
    assert len(client.converse(**request)["output"]["message"]["content"]) == 1
    with pytest.raises(client.exceptions.ValidationException):
        client.converse(**{**request, "toolConfig": {**TOOLS, "toolChoice": {"any": {}}}})


@pytest.mark.parametrize(
    ("status", "name"),
    [("429", "ThrottlingException"), ("503", "ServiceUnavailableException"), ("403", "AccessDeniedException")],
)
def test_errors_are_aws_own(client: "BedrockRuntimeClient", standin: Standin, status: str, name: str) -> None:
    standin.fault("bedrock", status)
    with pytest.raises(ClientError) as caught:
        client.converse(**ask())
    assert caught.value.response["Error"]["Code"] == name


def test_errors_inside_streams_are_exceptions_of_the_event_stream(
    client: "BedrockRuntimeClient", standin: Standin
) -> None:
    standin.fault("bedrock", "stream_rate_limit")
    with pytest.raises(EventStreamError, match="throttlingException"):
        joined(client, ask())


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([{"role": role, "content": [{"text": "x"}]} for role in ("user", "user")], id="two of the user's"),
        pytest.param([{"role": "assistant", "content": [{"text": "x"}]}], id="begun by the assistant"),
        pytest.param([{"role": "user", "content": [{"text": " "}]}], id="blank"),
        pytest.param(
            [{"role": "user", "content": [{"toolResult": {"toolUseId": "t", "content": [{"text": "x"}]}}]}],
            id="a result without its call",
        ),
        pytest.param([{"role": "user", "content": [DOCUMENT]}], id="a document without a text"),
        pytest.param(
            [{"role": "user", "content": [{"text": "x"}, DOCUMENT, DOCUMENT]}], id="two documents of one name"
        ),
    ],
)
def test_requests_that_bedrock_rejects_are_rejected(client: "BedrockRuntimeClient", messages: list[Any]) -> None:
    with pytest.raises(client.exceptions.ValidationException):
        client.converse(**{**ask(toolConfig=TOOLS), "messages": messages})

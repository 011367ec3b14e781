"""Requests in Messages: validated, forwarded, and translated through the neutral form."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from anthropic.types import MessageCreateParams
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from vibe_router.core.errors import ApiError
from vibe_router.formats import registry
from vibe_router.formats.chat import neutral_request as chat_request
from vibe_router.formats.common.json_body import dump
from vibe_router.formats.common.seal import Seal, unwrap, wrap
from vibe_router.formats.messages import neutral_request as messages_request
from vibe_router.formats.messages import request as messages
from vibe_router.formats.messages.format import MESSAGES
from vibe_router.formats.neutral.model import Reasoning
from vibe_router.formats.responses import neutral_request as responses_neutral

PARAMS: TypeAdapter[Any] = TypeAdapter(MessageCreateParams)
USER = {"role": "user", "content": "Hi"}
HELLO: dict[str, Any] = {"model": "auto-claude", "max_tokens": 100, "messages": [USER]}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "weather", "description": "The weather.", "input_schema": SCHEMA}
CACHE = {"type": "ephemeral"}
AUDIO = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
PIXEL = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}


def parse(body: object, headers: Mapping[str, str] | None = None) -> messages.MessagesRequest:
    return messages.parse(dump(body), headers or {})


TEXT_SOURCE = {"type": "text", "media_type": "text/plain", "data": "words"}
SEARCH_RESULT = {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "w"}]}


def with_content(*blocks: object, role: str = "user") -> dict[str, Any]:
    return {**HELLO, "messages": [{"role": role, "content": list(blocks)}]}


def as_chat(body: Mapping[str, Any], model: str = "gpt-5") -> dict[str, Any]:
    """Return a Messages body translated into chat."""
    translated: dict[str, Any] = json.loads(chat_request.body(messages_request.read(body), model, stream=False))
    return translated


def from_chat(model: str = "claude-sonnet-4-5", /, **fields: Any) -> dict[str, Any]:
    """Return a chat body translated into Messages, validated by the types of Anthropic's package."""
    body = {"model": "auto-chat", "messages": [USER], **fields}
    asked: dict[str, Any] = json.loads(messages_request.body(chat_request.read(body), model, stream=False))
    PARAMS.validate_python(asked)
    plain: dict[str, Any] = without_breakpoints(asked)
    return plain


def without_breakpoints(value: Any) -> Any:
    """Return JSON without `cache_control`."""
    if isinstance(value, dict):
        return {key: without_breakpoints(each) for key, each in value.items() if key != "cache_control"}
    return [without_breakpoints(each) for each in value] if isinstance(value, list) else value


# --- Validation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 3}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": [3]}, "messages[0]"),
        ({"messages": [{"content": "Hi"}]}, "messages[0].role"),
        ({"messages": [USER, {"role": "tool", "content": "Hi"}]}, "messages[1].role"),
        ({"messages": [{"role": ["user"], "content": "Hi"}]}, "messages[0].role"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": "100"}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"system": {}}, "system"),
        ({"tools": {}}, "tools"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"thinking": True}, "thinking"),
        ({"temperature": "hot"}, "temperature"),
        ({"stop_sequences": "END"}, "stop_sequences"),
        ({"metadata": []}, "metadata"),
        ({"output_config": "high"}, "output_config"),
    ],
)
def test_an_error_names_the_invalid_parameter(change: Mapping[str, object], param: str) -> None:
    with pytest.raises(ApiError) as rejected:
        parse({**HELLO, **change})
    assert (rejected.value.status, rejected.value.param) == (400, param)


def test_counting_needs_no_max_tokens() -> None:
    unbounded = {key: value for key, value in HELLO.items() if key != "max_tokens"}
    assert messages.parse_count(dump(unbounded), {}).max_output_tokens is None


def test_a_messages_provider_gets_the_body_unchanged_but_for_the_model() -> None:
    body = {
        **HELLO,
        "system": [{"type": "text", "text": "Be.", "cache_control": CACHE}],
        "context_management": {"x": 1},
    }
    asked = json.loads(parse(body).for_provider("claude-haiku-4-5", stream=True))
    assert asked == {**body, "model": "claude-haiku-4-5", "stream": True}


def test_only_anthropics_headers_are_forwarded() -> None:
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "a,b", "x-api-key": "sk-1", "authorization": "x"}
    assert parse(HELLO, headers).forwarded_headers == {"anthropic-version": "2023-06-01", "anthropic-beta": "a,b"}


def test_the_key_is_sent_in_the_headers_that_providers_read() -> None:
    assert MESSAGES.headers("sk-1") == {
        "anthropic-version": "2023-06-01",
        "x-api-key": "sk-1",
        "authorization": "Bearer sk-1",
    }
    assert "authorization" not in MESSAGES.headers("sk-ant-api03-1")


def test_affinity_ignores_cache_breakpoints() -> None:
    first = {"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": CACHE}]}
    later = {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
    answer = {"role": "assistant", "content": "Hello."}
    begun = parse({**HELLO, "messages": [first]}).affinity()
    assert begun == parse({**HELLO, "messages": [later, answer, first]}).affinity()
    assert begun != parse({**HELLO, "messages": [{"role": "user", "content": "Other"}]}).affinity()


# --- Thinking is sent only to its issuer ------------------------------------------------------------------------------

CALL = {"type": "tool_use", "id": "t", "name": "weather", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": "sunny"}
OF_OPENAI = wrap(Seal("encrypted", "openai", "gAAA", "rs_1"))
OF_ANTHROPIC = wrap(Seal("signature", "ark", "sig", text="Hm"))
KNOWN = {"sig-of-ark": Seal("signature", "ark", "sig-of-ark"), "red": Seal("signature", "ark", "red")}


def asked_of_ark(*blocks: object, **more: object) -> dict[str, Any]:
    """Return the body that the Messages provider `ark` gets for a turn in the middle of a conversation."""

    def keep(word: str) -> Seal | None:
        seal = unwrap(word) or KNOWN.get(word)
        return seal if seal and seal.issuer == "ark" and seal.kind != "encrypted" else None

    turns = [USER, {"role": "assistant", "content": list(blocks)}, {"role": "user", "content": [RESULT]}]
    asked: dict[str, Any] = json.loads(
        parse({**HELLO, "messages": turns, **more}).for_provider("m", stream=True, keep_proof=keep)
    )
    return asked


@pytest.mark.parametrize(
    ("block", "left"),
    [
        ({"type": "thinking", "thinking": "Hm", "signature": "sig-of-ark"}, "as it is"),
        ({"type": "redacted_thinking", "data": "red"}, "as it is"),
        ({"type": "thinking", "thinking": "Hm", "signature": "of-another"}, None),
        ({"type": "thinking", "thinking": "Hm", "signature": ""}, None),
        ({"type": "thinking", "thinking": "Hm"}, None),
        ({"type": "thinking", "thinking": "Hm", "signature": OF_OPENAI}, None),
        ({"type": "redacted_thinking", "data": "of-another"}, None),
        (
            {"type": "thinking", "thinking": "", "signature": OF_ANTHROPIC},
            {"type": "thinking", "thinking": "Hm", "signature": "sig"},
        ),
        (
            {"type": "redacted_thinking", "data": wrap(Seal("redacted", "ark", "x"))},
            {"type": "redacted_thinking", "data": "x"},
        ),
    ],
)
def test_thinking_is_sent_only_to_its_issuer(block: object, left: object) -> None:
    content = asked_of_ark(block, CALL)["messages"][1]["content"]
    expected = block if left == "as it is" else left
    assert content == [*([expected] if expected else []), CALL]


def test_a_turn_with_only_foreign_thinking_is_left_out() -> None:
    asked = asked_of_ark({"type": "thinking", "thinking": "Hm", "signature": "of-another"})
    assert [message["role"] for message in asked["messages"]] == ["user", "user"]


@pytest.mark.parametrize(
    ("thinking", "first", "still"),
    [
        ({"type": "enabled", "budget_tokens": 2048}, "of-another", False),
        ({"type": "enabled", "budget_tokens": 2048}, "sig-of-ark", True),
        ({"type": "adaptive"}, "of-another", True),
    ],
)
def test_a_turn_of_calls_that_loses_its_thinking_turns_a_budget_off(thinking: object, first: str, still: bool) -> None:
    edits = [{"type": "clear_thinking_20251015", "keep": "all"}, {"type": "clear_tool_uses_20250919"}]
    asked = asked_of_ark(
        {"type": "thinking", "thinking": "Hm", "signature": first},
        CALL,
        thinking=thinking,
        context_management={"edits": edits},
    )
    assert asked.get("thinking") == (thinking if still else None)
    assert asked["context_management"]["edits"] == (edits if still else edits[1:])


def test_a_turn_of_calls_without_thinking_turns_a_budget_off() -> None:
    thinking = {"type": "enabled", "budget_tokens": 2048}
    assert "thinking" not in asked_of_ark(CALL, thinking=thinking)
    assert asked_of_ark(CALL, thinking={"type": "adaptive"})["thinking"] == {"type": "adaptive"}
    assert asked_of_ark({"type": "text", "text": "It rains."}, thinking=thinking)["thinking"] == thinking


def test_sealed_proofs_are_read() -> None:
    blocks = [
        {"type": "thinking", "thinking": "Hm", "signature": OF_OPENAI},
        {"type": "redacted_thinking", "data": wrap(Seal("redacted", "ark", "x"))},
        {"type": "thinking", "thinking": "Hm", "signature": "native"},
    ]
    [message] = messages_request.read(with_content(*blocks, role="assistant")).messages
    assert message.parts == [
        Reasoning("Hm", encrypted="gAAA", id="rs_1", issuer="openai"),
        Reasoning(redacted="x", issuer="ark"),
        Reasoning("Hm", signature="native"),
    ]


# --- Into chat --------------------------------------------------------------------------------------------------------


def test_a_request_of_claude_code_is_translated_into_chat() -> None:
    asked = as_chat(
        {
            **HELLO,
            "system": [
                {"type": "text", "text": "Be brief."},
                {"type": "text", "text": "Code.", "cache_control": CACHE},
            ],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Look."}, {"type": "text", "text": "Weather?"}]},
                {"role": "system", "content": "Agents: none."},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "Hm", "signature": "s"},
                        {"type": "text", "text": "I'll look."},
                        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny", "is_error": False}
                    ],
                },
            ],
            "tools": [{**WEATHER, "cache_control": CACHE}],
            "metadata": {"user_id": "u" * 100},
            "thinking": {"type": "adaptive"},
            "context_management": {"edits": []},
            "output_config": {"effort": "high"},
            "stream": True,
        },
        "glm-4.7",
    )
    assert asked["max_tokens"] == 100
    assert asked["reasoning_effort"] == "high"
    assert [message["role"] for message in asked["messages"]] == ["system", "user", "system", "assistant", "tool"]
    assert asked["messages"][3]["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city":"Rome"}'}
    assert asked["messages"][4] == {"role": "tool", "tool_call_id": "toolu_1", "content": "sunny"}
    assert asked["tools"] == [
        {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": SCHEMA}}
    ]
    assert not {"metadata", "user", "context_management", "thinking"} & set(asked)


@pytest.mark.parametrize(
    ("choice", "expected", "parallel"),
    [
        ({"type": "auto"}, "auto", None),
        ({"type": "any"}, "required", None),
        ({"type": "none"}, "none", None),
        ({"type": "tool", "name": "weather"}, {"type": "function", "function": {"name": "weather"}}, None),
        ({"type": "auto", "disable_parallel_tool_use": True}, "auto", False),
        ({"type": "any", "disable_parallel_tool_use": False}, "required", None),
    ],
)
def test_tool_choices_are_translated_into_chat(choice: object, expected: object, parallel: object) -> None:
    asked = as_chat({**HELLO, "tools": [WEATHER], "tool_choice": choice})
    assert (asked["tool_choice"], asked.get("parallel_tool_calls")) == (expected, parallel)


@pytest.mark.parametrize(
    ("thinking", "effort"),
    [
        ({"type": "enabled", "budget_tokens": 1024}, "low"),
        ({"type": "enabled", "budget_tokens": 8000}, "medium"),
        ({"type": "enabled", "budget_tokens": 31_999}, "high"),
        ({"type": "adaptive"}, None),
    ],
)
def test_a_budget_becomes_an_effort(thinking: object, effort: object) -> None:
    assert as_chat({**HELLO, "thinking": thinking}).get("reasoning_effort") == effort


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"type": "text", "text": "Hi", "cache_control": CACHE}, {"type": "text", "text": "Hi"}),
        (
            {"type": "image", "source": PIXEL},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://a.example/p.png"}},
            {"type": "image_url", "image_url": {"url": "https://a.example/p.png"}},
        ),
        (
            {
                "type": "document",
                "title": "a.pdf",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
            },
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
            {"type": "text", "text": "words"},
        ),
        (
            {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "words"}]}},
            {"type": "text", "text": "words"},
        ),
        (
            {
                "type": "search_result",
                "title": "t",
                "source": "https://a.example",
                "content": [{"type": "text", "text": "found"}],
            },
            {"type": "text", "text": "https://a.example\n\nfound"},
        ),
    ],
)
def test_blocks_are_translated_into_chat(block: object, expected: object) -> None:
    content = as_chat(with_content(block, {"type": "image", "source": PIXEL}))["messages"][0]["content"]
    assert content[0] == expected


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"container": "c"}, "container"),
        ({"mcp_servers": [{"name": "x"}]}, "mcp_servers"),
        ({"inference_geo": "us"}, "inference_geo"),
        ({"a_new_field": 1}, "a_new_field"),
        ({"top_k": 3}, "top_k"),
        ({"output_config": {"task_budget": 3}}, "output_config.task_budget"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0]"),
        (with_content({"type": "image", "source": {"type": "file", "file_id": "f"}}), "messages[0].content[0]"),
        (with_content({"type": "container_upload", "file_id": "f"}), "messages[0].content[0]"),
        (
            with_content({"type": "document", "source": {"type": "url", "url": "https://a.example"}}),
            "messages[0].content[0]",
        ),
        (
            with_content({"type": "document", "source": TEXT_SOURCE, "citations": {"enabled": True}}),
            "messages[0].content[0].citations",
        ),
        (
            with_content({"type": "image", "source": PIXEL, "transformations": {"oversized_image": "error"}}),
            "messages[0].content[0].transformations",
        ),
        (with_content({**SEARCH_RESULT, "citations": {"enabled": True}}), "messages[0].content[0].citations"),
    ],
)
def test_fields_that_chat_lacks_are_rejected_by_name(change: Mapping[str, object], param: str) -> None:
    with pytest.raises(ApiError) as rejected:
        as_chat({**HELLO, **change})
    assert (rejected.value.status, rejected.value.param) == (400, param)


def test_documents_without_citations_are_translated() -> None:
    document = {"type": "document", "source": TEXT_SOURCE, "citations": {"enabled": False}}
    assert "words" in str(as_chat({**HELLO, **with_content(document, SEARCH_RESULT)})["messages"])


@pytest.mark.parametrize(
    ("thinking", "effort", "reasoning"),
    [
        ({"type": "enabled", "budget_tokens": 2048}, None, {"effort": "medium", "summary": "auto"}),
        ({"type": "adaptive"}, "low", {"effort": "low", "summary": "auto"}),
        ({"type": "adaptive", "display": "omitted"}, "low", {"effort": "low"}),
        ({"type": "adaptive"}, None, None),
        ({"type": "disabled"}, "low", {"effort": "minimal"}),
        ({"type": "enabled", "budget_tokens": 0}, "high", {"effort": "minimal"}),
        (None, "low", {"effort": "low"}),
    ],
)
def test_a_summary_is_asked_for_if_the_caller_shows_thinking(thinking: Any, effort: Any, reasoning: Any) -> None:
    body = {**HELLO, "thinking": thinking, "output_config": {"effort": effort} if effort else None}
    request = messages_request.read({key: value for key, value in body.items() if value is not None})
    assert json.loads(responses_neutral.body(request, "gpt-5", stream=True)).get("reasoning") == reasoning


@pytest.mark.parametrize(
    "change", [{"mcp_servers": []}, {"cache_control": CACHE}, {"diagnostics": {"x": 1}}, {"speed": "fast"}]
)
def test_fields_that_change_nothing_are_left_out(change: Mapping[str, object]) -> None:
    assert as_chat({**HELLO, **change}) == as_chat(HELLO)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"tools": [3]}, "tools[0]"),
        ({"tools": [{"description": "x"}]}, "tools[0]"),
        ({"tools": [{"name": "x", "input_schema": "y"}]}, "tools[0].input_schema"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice"),
        ({"tool_choice": {"type": "some"}}, "tool_choice"),
        ({"stop_sequences": [3]}, "stop_sequences"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format"),
        ({"output_config": {"effort": 3}}, "output_config.effort"),
        ({"thinking": {"type": "enabled", "budget_tokens": "many"}}, "thinking.budget_tokens"),
        ({"metadata": {"user_id": 3}}, "metadata.user_id"),
        ({"system": [3]}, "system[0]"),
        (with_content(3), "messages[0].content[0]"),
        (with_content({"type": "text"}), "messages[0].content[0]"),
        (with_content({"type": "tool_result", "tool_use_id": "t", "content": 3}), "messages[0].content[0].content"),
        (with_content({"type": "document", "source": {}}), "messages[0].content[0].source"),
        (with_content({"type": "tool_use", "id": "t", "name": "x", "input": "y"}), "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
    ],
)
def test_malformed_parts_are_named(change: Mapping[str, object], param: str) -> None:
    with pytest.raises(ApiError) as rejected:
        messages_request.read({**HELLO, **change})
    assert (rejected.value.status, rejected.value.param) == (400, param)


# --- Out of chat ------------------------------------------------------------------------------------------------------


def test_a_chat_request_is_translated_into_messages() -> None:
    asked = from_chat(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Code."}]},
            {"role": "user", "content": "Weather?"},
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "Hm",
                "tool_calls": [
                    {
                        "id": "call.1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city":"Rome"}'},
                    },
                    {"id": "call_2", "type": "function", "function": {"name": "clock", "arguments": ""}},
                ],
            },
            {"role": "system", "content": "Hurry."},
            {"role": "tool", "tool_call_id": "call.1", "content": "sunny"},
            {"role": "tool", "tool_call_id": "call_2", "content": "noon"},
            {"role": "user", "content": "And?"},
        ],
        tools=[{"type": "function", "function": {"name": "weather", "parameters": SCHEMA, "strict": True}}],
        stop=["END"],
        max_completion_tokens=50,
        user="u-1",
        temperature=0.5,
    )
    assert asked == {
        "model": "claude-sonnet-4-5",
        "stream": False,
        "max_tokens": 50,
        "system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Code."}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Rome"}},
                    {"type": "tool_use", "id": "call_2", "name": "clock", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "sunny"}]},
                    {"type": "tool_result", "tool_use_id": "call_2", "content": [{"type": "text", "text": "noon"}]},
                    {"type": "text", "text": "Hurry."},
                    {"type": "text", "text": "And?"},
                ],
            },
        ],
        "tools": [{"name": "weather", "input_schema": SCHEMA, "strict": True}],
        "stop_sequences": ["END"],
        "temperature": 0.5,
        "metadata": {"user_id": "u-1"},
    }


def test_a_request_without_max_tokens_gets_a_default() -> None:
    assert from_chat()["max_tokens"] == 32_000


FUNCTION = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}


@pytest.mark.parametrize(
    ("fields", "choice"),
    [
        ({}, None),
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": FUNCTION}, {"type": "tool", "name": "weather"}),
        ({"parallel_tool_calls": True}, None),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"parallel_tool_calls": False, "tool_choice": "required"},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        ({"parallel_tool_calls": False, "tool_choice": "none"}, {"type": "none"}),
        (
            {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [FUNCTION]}}},
            {"type": "any"},
        ),
    ],
)
def test_tool_choices_are_translated_from_chat(fields: Mapping[str, Any], choice: object) -> None:
    assert from_chat(tools=[FUNCTION], **fields).get("tool_choice") == choice


def test_a_choice_without_tools_is_left_out() -> None:
    assert "tool_choice" not in from_chat(tool_choice="auto", parallel_tool_calls=False)


def test_a_tool_without_parameters_gets_an_empty_schema() -> None:
    [tool] = from_chat(tools=[{"type": "function", "function": {"name": "clock"}}])["tools"]
    assert tool == {"name": "clock", "input_schema": {"type": "object"}}


def test_a_free_text_tool_becomes_a_function_of_one_string() -> None:
    [tool] = from_chat(tools=[{"type": "custom", "custom": {"name": "patch"}}])["tools"]
    assert tool["input_schema"]["required"] == ["input"]


def test_a_history_of_calls_declares_its_tools() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    asked = from_chat(
        messages=[
            USER,
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "sunny"},
        ]
    )
    assert asked["tools"] == [{"name": "weather", "input_schema": {"type": "object"}}]
    assert asked["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize("arguments", ["{broken", "[1]", "3"])
def test_arguments_that_are_not_an_object_are_wrapped(arguments: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": arguments}}
    asked = from_chat(messages=[USER, {"role": "assistant", "tool_calls": [call]}], tools=[FUNCTION])
    assert asked["messages"][1]["content"][0]["input"] == {"INVALID_JSON": arguments}


@pytest.mark.parametrize(
    ("model", "fields", "thinking", "effort"),
    [
        ("claude-sonnet-4-5", {}, {"type": "enabled", "budget_tokens": 8192}, None),
        ("claude-3-7-sonnet-latest", {}, {"type": "enabled", "budget_tokens": 8192}, None),
        ("anthropic/claude-opus-4", {}, {"type": "enabled", "budget_tokens": 8192}, None),
        ("claude-4.5-sonnet", {}, {"type": "enabled", "budget_tokens": 8192}, None),
        ("glm-4.7", {}, {"type": "enabled", "budget_tokens": 8192}, None),
        ("claude-sonnet-4-6", {}, {"type": "adaptive"}, "medium"),
        ("claude-opus-4.7", {}, {"type": "adaptive"}, "medium"),
        ("claude-sonnet-5", {}, {"type": "adaptive"}, "medium"),
        ("claude-opus-4-6", {"reasoning_effort": "xhigh"}, {"type": "adaptive"}, "high"),
        ("claude-opus-4-6", {"reasoning_effort": "minimal"}, {"type": "adaptive"}, "low"),
        ("claude-opus-4-6", {"reasoning_effort": "none"}, {"type": "disabled"}, None),
        ("claude-mythos-preview", {"reasoning_effort": "none"}, None, None),
        ("claude-3-5-sonnet-20241022", {}, None, None),
        ("anthropic.claude-3-haiku-20240307-v1:0", {}, None, None),
        ("anthropic.claude-v2:1", {}, None, None),
        ("glm-4.7", {"reasoning_effort": "none"}, {"type": "disabled"}, None),
        ("claude-sonnet-4-5", {"max_tokens": 5000}, {"type": "enabled", "budget_tokens": 4999}, None),
        ("claude-sonnet-4-5", {"max_tokens": 1024}, None, None),
        ("claude-sonnet-4-5", {"temperature": 0.2}, None, None),
        ("claude-sonnet-4-5", {"temperature": 1}, {"type": "enabled", "budget_tokens": 8192}, None),
        ("claude-sonnet-4-5", {"top_p": 0.5}, None, None),
        ("claude-sonnet-4-5", {"tools": [FUNCTION], "tool_choice": "required"}, None, None),
        ("claude-sonnet-4-6", {"tools": [FUNCTION], "tool_choice": "required"}, None, "medium"),
    ],
)
def test_an_effort_becomes_thinking_where_messages_allows_it(
    model: str, fields: Mapping[str, Any], thinking: object, effort: object
) -> None:
    asked = from_chat(model, **{"reasoning_effort": "medium", **fields})
    assert asked.get("thinking") == thinking
    assert asked.get("output_config", {}).get("effort") == effort


def test_a_turn_of_calls_with_foreign_thinking_turns_thinking_off() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    history = [
        USER,
        {"role": "assistant", "tool_calls": [call], "reasoning_content": "Hm"},
        {"role": "tool", "tool_call_id": "c", "content": "sunny"},
    ]
    assert "thinking" not in from_chat(messages=history, tools=[FUNCTION], reasoning_effort="high")
    answered = [*history, {"role": "assistant", "content": "Sunny."}, USER]
    assert "thinking" in from_chat(messages=answered, tools=[FUNCTION], reasoning_effort="high")


def test_structured_output() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}}
    asked = from_chat(response_format=wanted)
    assert asked["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}


@pytest.mark.parametrize(
    ("part", "block"),
    [
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}, {**PIXEL, "data": "iVBO"}),
        (
            {"type": "image_url", "image_url": {"url": "https://a.example/p.png", "detail": "low"}},
            {"type": "url", "url": "https://a.example/p.png"},
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
            {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
        ),
        (
            {"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/markdown;base64,SGk="}},
            {"type": "text", "media_type": "text/plain", "data": "Hi"},
        ),
    ],
)
def test_parts_are_translated_from_chat(part: object, block: object) -> None:
    asked = from_chat(messages=[{"role": "user", "content": [part]}])
    assert asked["messages"][0]["content"][0]["source"] == block


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "user", "content": ""}]}, "messages"),
        ({"n": 2}, "n"),
        ({"seed": 1}, "seed"),
        ({"logprobs": True}, "logprobs"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"temperature": 1.5}, "temperature"),
        ({"stop": "\n"}, "stop"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"audio": {"voice": "x"}}, "audio"),
        (
            {"messages": [{"role": "user", "content": [AUDIO]}]},
            "messages[0].content[0]",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
            "messages[0].content[0]",
        ),
    ],
)
def test_fields_that_messages_lacks_are_rejected_by_name(fields: Mapping[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as rejected:
        from_chat(**fields)
    assert (rejected.value.status, rejected.value.param) == (400, param)


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1},
        {"logprobs": False},
        {"frequency_penalty": 0},
        {"presence_penalty": 0.0},
        {"logit_bias": {}},
        {"store": True},
        {"metadata": {"a": "b"}},
        {"prompt_cache_key": "k"},
        {"service_tier": "flex"},
        {"verbosity": "low"},
    ],
)
def test_default_values_are_left_out(fields: Mapping[str, Any]) -> None:
    assert from_chat(**fields) == from_chat()


# --- Fidelity ---------------------------------------------------------------------------------------------------------

words = st.text(min_size=1, max_size=8)
caches = st.fixed_dictionaries({}, optional={"cache_control": st.just(CACHE)})


def block(required: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]) -> Any:
    fixed = st.fixed_dictionaries(required, optional=optional)
    return st.builds(lambda fields, cache: {**fields, **cache}, fixed, caches)


texts = block({"type": st.just("text"), "text": words})
images = block(
    {"type": st.just("image"), "source": st.sampled_from([PIXEL, {"type": "url", "url": "https://a.example/p"}])}
)
documents = block(
    {
        "type": st.just("document"),
        "source": st.sampled_from(
            [
                {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
                {"type": "text", "media_type": "text/plain", "data": "words"},
                {"type": "url", "url": "https://a.example/d"},
                {"type": "content", "content": [{"type": "text", "text": "words"}]},
                {"type": "content", "content": [{"type": "image", "source": PIXEL}]},
                {"type": "file", "file_id": "file_1"},
            ]
        ),
    },
    title=words,
    context=words,
    citations=st.just({"enabled": True}),
)
searches = block(
    {"type": st.just("search_result"), "source": words, "title": words, "content": st.lists(texts, max_size=2)}
)
results = block(
    {"type": st.just("tool_result"), "tool_use_id": words},
    content=st.lists(texts | images | documents | searches, min_size=1, max_size=2),
    is_error=st.just(True),
)
thoughts = st.fixed_dictionaries({"type": st.just("thinking"), "thinking": words, "signature": words})
redacted = st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": words})
inputs = st.dictionaries(words, st.integers() | words | st.none(), max_size=2)
calls = block(
    {"type": st.just("tool_use"), "id": words, "name": words, "input": inputs},
    caller=st.sampled_from([{"type": "direct"}, {"type": "code_execution_20250825", "tool_id": "s"}]),
)
server_calls = block({"type": st.just("server_tool_use"), "id": words, "name": st.just("web_search"), "input": inputs})
turns = st.one_of(
    st.fixed_dictionaries(
        {
            "role": st.just("user"),
            "content": st.lists(texts | images | documents | searches | results, min_size=1, max_size=3),
        }
    ),
    st.fixed_dictionaries(
        {
            "role": st.just("assistant"),
            "content": st.lists(texts | thoughts | redacted | calls | server_calls, min_size=1, max_size=3),
        }
    ),
    st.fixed_dictionaries({"role": st.just("system"), "content": st.lists(texts, min_size=1, max_size=2)}),
)
tools = block(
    {"name": words, "input_schema": st.just(SCHEMA)},
    description=words,
    strict=st.booleans(),
    eager_input_streaming=st.just(True),
) | st.just({"type": "web_search_20250305", "name": "web_search", "max_uses": 3})
choices = st.one_of(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["auto", "any"])}, optional={"disable_parallel_tool_use": st.just(True)}
    ),
    st.fixed_dictionaries({"type": st.just("tool"), "name": words}),
    st.just({"type": "none"}),
)
bodies = st.fixed_dictionaries(
    {
        "model": st.just("m"),
        "stream": st.booleans(),
        "max_tokens": st.integers(1, 64_000),
        "messages": st.lists(turns, min_size=1, max_size=4),
    },
    optional={
        "system": st.lists(texts, min_size=1, max_size=2),
        "tools": st.lists(tools, min_size=1, max_size=2),
        "tool_choice": choices,
        "stop_sequences": st.lists(words, min_size=1, max_size=2),
        "temperature": st.floats(0, 1),
        "top_p": st.floats(0, 1),
        "top_k": st.integers(0, 100),
        "thinking": st.sampled_from(
            [
                {"type": "enabled", "budget_tokens": 2048},
                {"type": "adaptive", "display": "omitted"},
                {"type": "disabled"},
            ]
        ),
        "output_config": st.sampled_from(
            [{"effort": "high"}, {"format": {"type": "json_schema", "schema": SCHEMA}}, {"task_budget": 3}]
        ),
        "metadata": st.sampled_from([{"user_id": "u"}, {"user_id": "u", "other": 1}]),
        "service_tier": st.sampled_from(["auto", "standard_only", "new"]),
        "cache_control": st.just(CACHE),
        "context_management": st.just({"edits": [{"type": "clear_tool_uses_20250919"}]}),
        "mcp_servers": st.just([{"type": "url", "url": "https://a.example", "name": "x"}]),
        "container": st.just("c"),
    },
)


@given(bodies)
def test_any_request_is_translated_or_rejected_by_name(body: dict[str, Any]) -> None:
    neutral = messages_request.read(body)
    for name in sorted(registry.TRANSLATED):
        try:
            registry.conversation(name).body(neutral, "claude-sonnet-4-5", stream=False)
        except ApiError as error:
            assert (error.status, bool(error.param)) == (400, True)  # noqa: PT017 - both ends are allowed


FIELDS = [
    "type", "role", "content", "text", "source", "input", "id", "name", "tool_use_id", "thinking", "data", "model",
    "messages", "system", "tools", "tool_choice", "output_config", "format", "schema", "metadata", "user_id", "title",
    "stop_sequences", "max_tokens", "caller", "context",
]  # fmt: skip
TYPES = ["text", "image", "document", "tool_use", "tool_result", "thinking", "base64", "url", "content", "user", "auto"]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(TYPES) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(FIELDS), anything, max_size=6), st.lists(anything, min_size=1, max_size=3))
def test_any_json_is_a_request_or_a_400(fields: dict[str, Any], content: list[Any]) -> None:
    body = {**HELLO, **fields}
    if not isinstance(fields.get("messages"), list):
        body["messages"] = [{"role": "user", "content": content}]
    try:
        request = parse(body)
        request.affinity()
        request.for_provider("m", stream=False)
        request.for_provider("m", stream=True, keep_proof=lambda _: None)
        request.for_counting("m")
        request.prompt_tokens_estimate()
        neutral = request.neutral()
        for name in sorted(registry.TRANSLATED):
            registry.conversation(name).body(neutral, "m", stream=False)
    except ApiError as error:
        assert error.status == 400  # noqa: PT017 - both ends are allowed


def test_deep_nesting_is_a_400() -> None:
    block: dict[str, Any] = {"type": "text", "text": "deep"}
    for _ in range(300):
        block = {"type": "tool_result", "tool_use_id": "t", "content": [block]}
    with pytest.raises(ApiError) as rejected:
        messages_request.read(with_content(block))
    assert rejected.value.status == 400


def test_the_packages_types_reject_invalid_requests() -> None:
    with pytest.raises(ValidationError):
        PARAMS.validate_python({"model": "m", "messages": []})


# --- Conversations that chat allows -----------------------------------------------------------------------------------


def test_a_conversation_that_the_assistant_begins_gets_a_user_message_first() -> None:
    welcome = {"role": "assistant", "content": "Welcome!"}
    translated = from_chat(messages=[{"role": "system", "content": "Be."}, welcome, USER])
    assert [(turn["role"], turn["content"][0]["text"]) for turn in translated["messages"]] == [
        ("user", "(The assistant speaks first.)"),
        ("assistant", "Welcome!"),
        ("user", "Hi"),
    ]


def test_an_image_in_a_system_message_is_rejected_only_at_the_start() -> None:
    shown = {"role": "system", "content": [{"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}]}
    with pytest.raises(ApiError) as rejected:
        from_chat(messages=[shown, USER])
    assert (rejected.value.param, rejected.value.code) == ("messages[0].content[0]", "unsupported_parameter")
    assert from_chat(messages=[USER, shown])["messages"][0]["content"][1]["type"] == "image"


def test_results_directly_follow_their_calls_wherever_the_caller_put_them() -> None:
    calls = [
        {"id": id_, "type": "function", "function": {"name": "weather", "arguments": "{}"}} for id_ in ("c1", "c2")
    ]
    asked = from_chat(
        messages=[
            USER,
            {"role": "assistant", "tool_calls": calls},
            {"role": "tool", "tool_call_id": "c2", "content": "two"},
            {"role": "user", "content": "Hurry."},
            {"role": "assistant", "content": "Yes."},
            {"role": "tool", "tool_call_id": "c1", "content": "one"},
            {"role": "assistant", "tool_calls": calls[:1]},
            {"role": "tool", "tool_call_id": "c1", "content": "again"},
        ],
        tools=[FUNCTION],
    )
    shown = [
        [block.get("text") or block.get("id") or block["content"][0]["text"] for block in turn["content"]]
        for turn in asked["messages"]
    ]
    assert shown == [["Hi"], ["c1", "c2"], ["one", "two", "Hurry."], ["Yes.", "c1"], ["again"]]


def test_a_result_before_its_call_stays_where_it_is() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    early = {"role": "tool", "tool_call_id": "c1", "content": "early"}
    asked = from_chat(messages=[early, {"role": "assistant", "tool_calls": [call]}, USER], tools=[FUNCTION])
    assert [[block["type"] for block in turn["content"]] for turn in asked["messages"]] == [
        ["tool_result"],
        ["tool_use"],
        ["text"],
    ]


@pytest.mark.parametrize(
    ("content", "blocks"),
    [
        ("So: \n", ["So:"]),
        ([{"type": "text", "text": "A "}, {"type": "text", "text": "B\t"}], ["A ", "B"]),
        ([{"type": "text", "text": "A "}, {"type": "text", "text": " \n"}], ["A"]),
    ],
)
def test_the_last_assistant_text_ends_without_whitespace(content: object, blocks: Sequence[str]) -> None:
    asked = from_chat(messages=[USER, {"role": "assistant", "content": content}])
    assert [block["text"] for block in asked["messages"][-1]["content"]] == blocks


def test_earlier_assistant_texts_are_sent_as_they_are() -> None:
    asked = from_chat(messages=[USER, {"role": "assistant", "content": "So: "}, USER])
    assert asked["messages"][1]["content"][0]["text"] == "So: "


@pytest.mark.parametrize(
    ("url", "media_type"),
    [
        ("data:image/jpg;base64,AAAA", "image/jpeg"),
        ("data:image/jpg;base64,iVBORw0KGgo=", "image/png"),
        ("data:image/png;base64,/9j/4AAQ", "image/jpeg"),
        ("data:application/octet-stream;base64,UklGRiQA", "image/webp"),
        ("data:image/gif;base64,R0lGODdh", "image/gif"),
        ("data:image/png;base64,AAAA", "image/png"),
    ],
)
def test_an_image_has_the_media_type_of_its_bytes(url: str, media_type: str) -> None:
    shown = {"type": "image_url", "image_url": {"url": url}}
    asked = from_chat(messages=[{"role": "user", "content": [shown]}])
    assert asked["messages"][0]["content"][0]["source"]["media_type"] == media_type


@pytest.mark.parametrize("spoken", sorted(registry.TRANSLATED - {"messages"}))
def test_a_reference_to_a_tool_is_text_in_other_formats(spoken: str) -> None:
    reference = {"type": "tool_reference", "tool_name": "mcp__x__y"}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [reference]}
    body = {
        **HELLO,
        "tools": [WEATHER],
        "messages": [USER, {"role": "assistant", "content": [CALL]}, {"role": "user", "content": [result]}],
    }
    assert b"mcp__x__y" in registry.conversation(spoken).body(messages_request.read(body), "m", stream=False)

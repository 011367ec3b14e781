"""Requests in and out of the neutral form."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.formats.requests_to_translate import chat_requests, responses_requests
from vibe_router.core.errors import ApiError
from vibe_router.formats import registry
from vibe_router.formats.chat import neutral_request as chat_neutral
from vibe_router.formats.common.seal import Seal, unwrap, wrap
from vibe_router.formats.neutral.model import (
    NeutralRequest,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    custom_tool_input,
    with_own_proofs,
)
from vibe_router.formats.responses import neutral_request as responses_neutral

MODULES = {"chat": chat_neutral, "responses": responses_neutral}
HELLO: dict[str, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "Hi"}]},
    "responses": {"input": "Hi"},
}

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def read(format_: str, body: dict[str, Any]) -> NeutralRequest:
    """Read a request as the router does."""
    return registry.client(format_).parse(json.dumps({"model": "m", **body}).encode(), {}).neutral()


def written(request: NeutralRequest, format_: str, model: str = "glm-4.7") -> dict[str, Any]:
    body: dict[str, Any] = json.loads(registry.conversation(format_).body(request, model, stream=False))
    return body


# --- Everything that a format can say is kept -------------------------------------------------------------------------


@given(body=chat_requests)
def test_chat_requests_reach_responses_completely_or_are_rejected_by_name(body: dict[str, Any]) -> None:
    request = read("chat", body)
    if (again := translated(request, "responses", body)) is not None:
        assert texts(again) == texts(request)
        assert calls(again) == calls(request)


@given(body=responses_requests)
def test_responses_requests_reach_chat_completely_or_are_rejected_by_name(body: dict[str, Any]) -> None:
    request = read("responses", body)
    if (again := translated(request, "chat", body)) is not None:
        assert sorted(calls(again)) == sorted(calls(request))
        introduced = re.sub(r"What the tool call \w+ shows:|The result is shown below\.", "", texts(again))
        assert sorted(introduced) == sorted(texts(request))


def translated(request: NeutralRequest, target: str, body: dict[str, Any]) -> NeutralRequest | None:
    """Return `request` as a provider of `target` reads it; None where it is refused by a name that stands in `body`."""
    try:
        made = written(request, target)
    except ApiError as error:
        rejected = error
    else:
        return read(target, made)
    assert (rejected.status, rejected.code) == (400, "unsupported_parameter")
    assert rejected.param
    assert rejected.param.partition("[")[0].partition(".")[0] in body
    return None


def texts(request: NeutralRequest) -> str:
    """Return the content of a request, in order, without separators."""
    parts = [*request.system, *(part for message in request.messages for part in message.parts)]
    flat = [each for part in parts for each in (part.parts if isinstance(part, ToolResult) else [part])]
    words = (each.text for each in flat if isinstance(each, Text | Refusal))
    return "".join(words).replace("\n", "")


def calls(request: NeutralRequest) -> list[tuple[str, str, str]]:
    parts = [part for message in request.messages for part in message.parts]
    return [(part.id, part.name, custom_tool_input(part.arguments)) for part in parts if isinstance(part, ToolCall)]


# --- Nothing is worse than a 400 --------------------------------------------------------------------------------------

_FIELDS = {
    "chat": [
        "messages",
        "tools",
        "tool_choice",
        "stop",
        "response_format",
        "reasoning_effort",
        "metadata",
        "logit_bias",
    ],
    "responses": ["input", "tools", "tool_choice", "text", "reasoning", "include", "instructions", "truncation"],
}


@pytest.mark.parametrize(("caller", "target"), [("chat", "responses"), ("responses", "chat")])
@given(draw=st.data())
def test_no_field_is_worse_than_a_400(caller: str, target: str, draw: st.DataObject) -> None:
    fields = draw.draw(st.dictionaries(st.sampled_from(_FIELDS[caller]) | st.text(max_size=5), values, max_size=3))
    try:
        request = registry.client(caller).parse(json.dumps({"model": "m", **HELLO[caller], **fields}).encode(), {})
        request.affinity()
        request.prompt_tokens_estimate()
        registry.conversation(target).body(request.neutral(), "m", stream=True)
        request.for_provider("m", stream=True, keep_proof=unwrap)
    except ApiError as rejected:
        assert rejected.status == 400  # noqa: PT017 - some are refused


_ITEMS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            ["message", "function_call", "reasoning", "function_call_output", "input_text", "text"]
        ),
        "role": st.sampled_from(["user", "assistant", "tool", "system"]),
        "content": values,
        "text": values,
        "call_id": values,
        "tool_call_id": values,
        "name": values,
        "arguments": values,
        "output": values,
        "summary": values,
        "encrypted_content": values,
        "tool_calls": values,
    },
)


@given(items=st.lists(_ITEMS, min_size=1, max_size=3), caller=st.sampled_from(["chat", "responses"]))
def test_no_message_is_worse_than_a_400(items: list[dict[str, Any]], caller: str) -> None:
    body = {"model": "m", "messages" if caller == "chat" else "input": items}
    try:
        request = registry.client(caller).parse(json.dumps(body).encode(), {})
        for target in ("chat", "responses"):
            registry.conversation(target).body(request.neutral(), "m", stream=True)
    except ApiError as rejected:
        assert rejected.status == 400  # noqa: PT017 - most are refused


# --- What a format can't carry ----------------------------------------------------------------------------------------

IMAGE = {"type": "input_image", "file_id": "file-1"}


@pytest.mark.parametrize(
    ("caller", "field", "target", "param"),
    [
        pytest.param("chat", {"stop": ["x"]}, "responses", "stop", id="stop sequences"),
        pytest.param("chat", {"seed": 0}, "responses", "seed", id="a seed"),
        pytest.param("chat", {"n": 2}, "responses", "n", id="several answers"),
        pytest.param("chat", {"logit_bias": {"1": 2}}, "responses", "logit_bias", id="a bias"),
        pytest.param("chat", {"frequency_penalty": 1}, "responses", "frequency_penalty", id="a penalty"),
        pytest.param("chat", {"modalities": ["text", "audio"]}, "responses", "modalities", id="spoken answers"),
        pytest.param("chat", {"web_search_options": {}}, "responses", "web_search_options", id="chat's own search"),
        pytest.param("chat", {"functions": [{"name": "f"}]}, "responses", "functions", id="legacy functions"),
        pytest.param("chat", {"enable_thinking": True}, "responses", "enable_thinking", id="an extension"),
        pytest.param("responses", {"reasoning": {"mode": "pro"}}, "chat", "reasoning.mode", id="a way of reasoning"),
        pytest.param("responses", {"reasoning": {"new": 1}}, "messages", "reasoning.new", id="news of reasoning"),
        pytest.param("responses", {"text": {"new": 1}}, "chat", "text.new", id="news of texts"),
        pytest.param(
            "chat",
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
            "responses",
            "messages[0].content[0]",
            id="a file that one provider keeps",
        ),
        pytest.param("responses", {"tools": [{"type": "mcp"}]}, "chat", "tools[0]", id="a hosted tool"),
        pytest.param("responses", {"tool_choice": {"type": "mcp"}}, "chat", None, id="a choice of no tool"),
        pytest.param(
            "responses", {"previous_response_id": "r"}, "chat", "previous_response_id", id="an earlier response"
        ),
        pytest.param("responses", {"truncation": "auto"}, "chat", "truncation", id="truncation"),
        pytest.param(
            "responses",
            {"input": [{"role": "user", "content": [IMAGE]}]},
            "chat",
            "input[0].content[0]",
            id="a kept image",
        ),
        pytest.param(
            "responses", {"input": [{"type": "item_reference", "id": "i"}]}, "chat", "input[0]", id="an item by id"
        ),
    ],
)
def test_untranslatable_fields_are_rejected_by_name(
    caller: str, field: dict[str, Any], target: str, param: str | None
) -> None:
    request = read(caller, {**HELLO[caller], **field})
    if param is None:  # harmless without tools
        assert "tool_choice" not in written(request, target)
        return
    with pytest.raises(ApiError) as rejected:
        written(request, target)
    assert (rejected.value.status, rejected.value.param) == (400, param)
    assert target in rejected.value.message


@pytest.mark.parametrize(
    ("caller", "field", "target", "expected"),
    [
        pytest.param("chat", {"max_completion_tokens": 9}, "responses", {"max_output_tokens": 9}, id="the bound"),
        pytest.param("responses", {"max_output_tokens": 9}, "chat", {"max_tokens": 9}, id="the bound, back"),
        pytest.param(
            "chat", {"reasoning_effort": "low"}, "responses", {"reasoning": {"effort": "low"}}, id="the effort"
        ),
        pytest.param("responses", {"reasoning": {"effort": "low"}}, "chat", {"reasoning_effort": "low"}, id="and back"),
        pytest.param(
            "chat",
            {"tools": [{"type": "function", "function": {"name": "f"}}]},
            "responses",
            {
                "tools": [
                    {
                        "type": "function",
                        "name": "f",
                        "strict": False,
                        "parameters": {"type": "object", "properties": {}},
                    }
                ]
            },
            id="a function, which is not strict unless chat says so",
        ),
        pytest.param(
            "chat",
            {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]},
            "responses",
            {
                "instructions": "Be brief.",
                "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
                "store": False,
            },
            id="the system's words",
        ),
        pytest.param(
            "responses",
            {
                "instructions": "Be brief.",
                "input": [{"role": "developer", "content": "x"}, {"role": "user", "content": "Hi"}],
            },
            "chat",
            {
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "system", "content": "x"},
                    {"role": "user", "content": "Hi"},
                ]
            },
            id="instructions and a developer's message",
        ),
        pytest.param(
            "responses",
            {
                "input": [
                    {"role": "user", "content": "Hi"},
                    {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "x"},
                    {"role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
                    {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
                    {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "a", "output": "1"},
                    {"type": "function_call_output", "call_id": "b", "output": "2"},
                ]
            },
            "chat",
            {
                "messages": [
                    {"role": "user", "content": "Hi"},
                    {
                        "role": "assistant",
                        "content": "I look.",
                        "tool_calls": [
                            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                            {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                        ],
                    },
                    {"role": "tool", "tool_call_id": "a", "content": "1"},
                    {"role": "tool", "tool_call_id": "b", "content": "2"},
                ]
            },
            id="items of one turn are one message",
        ),
        pytest.param(
            "responses",
            {
                "tools": [
                    {
                        "type": "custom",
                        "name": "patch",
                        "format": {"type": "grammar", "syntax": "lark", "definition": "g"},
                    }
                ]
            },
            "chat",
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {
                            "name": "patch",
                            "description": "`input` must follow this grammar:\ng",
                            "parameters": {
                                "type": "object",
                                "properties": {"input": {"type": "string"}},
                                "required": ["input"],
                                "additionalProperties": False,
                            },
                        },
                    }
                ]
            },
            id="a tool with free text is a function of one string",
        ),
    ],
)
def test_equivalent_fields_are_translated(
    caller: str, field: dict[str, Any], target: str, expected: dict[str, Any]
) -> None:
    body = written(read(caller, {**HELLO[caller], **field}), target)
    assert {name: body.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("caller", "field"),
    [
        ("chat", {"prompt_cache_options": {"mode": "explicit"}}),
        ("chat", {"prompt_cache_retention": "24h"}),
        ("responses", {"prompt_cache_options": {"mode": "explicit"}}),
        ("responses", {"max_tool_calls": 3}),
        ("responses", {"client_metadata": {"x": "y"}}),
        ("responses", {"reasoning": {"context": "all_turns", "mode": "standard", "generate_summary": None}}),
        ("responses", {"text": {"format": {"type": "text"}, "verbosity": None}}),
    ],
)
@pytest.mark.parametrize("target", ["chat", "responses", "messages", "converse"])
def test_default_values_are_omitted(caller: str, field: dict[str, Any], target: str) -> None:
    if caller != target:
        assert written(read(caller, {**HELLO[caller], **field}), target) == written(read(caller, HELLO[caller]), target)


def test_images_in_a_tools_result_follow_it_in_chat() -> None:
    parts = [{"type": "input_text", "text": "a chart"}, {"type": "input_image", "image_url": "https://example.com/a"}]
    body = written(
        read("responses", {"input": [{"type": "function_call_output", "call_id": "a", "output": parts}]}), "chat"
    )
    tool, shown = body["messages"]
    assert tool == {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "a chart"}]} or tool == {
        "role": "tool",
        "tool_call_id": "a",
        "content": "a chart",
    }
    assert [part["type"] for part in shown["content"]] == ["text", "image_url"]


@pytest.mark.parametrize(("model", "word"), [("gpt-5-mini", "max_completion_tokens"), ("glm-4.7", "max_tokens")])
def test_the_bound_is_called_what_the_model_takes(model: str, word: str) -> None:
    assert written(read("responses", {"input": "Hi", "max_output_tokens": 9}), "chat", model)[word] == 9


@given(kind=st.sampled_from(["signature", "redacted", "encrypted"]), value=st.text(min_size=1), text=st.text())
def test_a_seal_comes_out_as_it_went_in(kind: Any, value: str, text: str) -> None:
    seal = Seal(kind, "ark", value, None, text)
    assert unwrap(wrap(seal)) == seal


@given(word=st.text() | st.text().map("vibe1.".__add__) | st.binary().map(lambda raw: f"vibe1.{raw.hex()}"))
def test_no_word_breaks_the_seal(word: str) -> None:
    unwrap(word)


def test_proofs_of_others_are_left_out_and_counted() -> None:
    mine, other = (wrap(Seal("encrypted", issuer, "secret", "rs_1")) for issuer in ("openai", "azure"))
    items = [
        {"type": "reasoning", "id": "x", "summary": [], "encrypted_content": each} for each in (mine, other, "native")
    ]
    request = read("responses", {"input": [{"role": "user", "content": "Hi"}, *items]})
    kept, stayed, left_out = with_own_proofs(request, "openai")
    assert (stayed, left_out) == (1, 2)
    assert [part.encrypted for message in kept.messages for part in message.parts if isinstance(part, Reasoning)] == [
        "secret",
        None,
        None,
    ]
    assert with_own_proofs(request, None)[1:] == (0, 3)

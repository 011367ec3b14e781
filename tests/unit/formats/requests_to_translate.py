"""Requests as callers write them, in every way that a format has, for properties of translation."""

import base64
import json
from typing import Any

from hypothesis import strategies as st

words = st.text(st.characters(codec="utf-8"), max_size=8)
names = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)
ids = st.from_regex(r"call_[a-z0-9]{4}", fullmatch=True)
data = st.binary(min_size=1, max_size=6).map(lambda raw: base64.b64encode(raw).decode())
urls = st.just("https://example.com/a.png") | data.map(lambda held: f"data:image/png;base64,{held}")
schemas = st.fixed_dictionaries(
    {"type": st.just("object"), "properties": st.dictionaries(names, st.just({"type": "string"}), max_size=2)}
)
arguments = st.dictionaries(names, words, max_size=2).map(json.dumps)
temperatures = st.floats(0, 2)


def objects(required: dict[str, Any], optional: dict[str, Any] | None = None) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional or {})


def typed(kind: str, required: dict[str, Any], optional: dict[str, Any] | None = None) -> Any:
    return objects({"type": st.just(kind), **required}, optional)


# --- Chat -------------------------------------------------------------------------------------------------------------

_chat_text = typed("text", {"text": words})
_chat_image = typed("image_url", {"image_url": objects({"url": urls}, {"detail": st.sampled_from(["low", "high"])})})
_chat_audio = typed("input_audio", {"input_audio": objects({"data": data, "format": st.just("wav")})})
_chat_file = typed(
    "file",
    {
        "file": objects(
            {"file_data": data.map(lambda held: f"data:application/pdf;base64,{held}"), "filename": st.just("a.pdf")}
        )
    },
)
_chat_call = st.one_of(
    typed("function", {"id": ids, "function": objects({"name": names, "arguments": arguments})}),
    typed("custom", {"id": ids, "custom": objects({"name": names, "input": words})}),
)
_chat_message = st.one_of(
    objects({"role": st.sampled_from(["system", "developer"]), "content": words}),
    objects({"role": st.just("user"), "content": words}, {"name": names}),
    objects(
        {
            "role": st.just("user"),
            "content": st.lists(_chat_text | _chat_image | _chat_audio | _chat_file, min_size=2, max_size=3),
        }
    ),
    objects({"role": st.just("assistant"), "content": words.filter(bool)}, {"refusal": words.filter(bool)}),
    objects(
        {"role": st.just("assistant"), "tool_calls": st.lists(_chat_call, min_size=1, max_size=2)},
        {"content": words.filter(bool), "reasoning_content": words.filter(bool)},
    ),
    objects({"role": st.just("tool"), "tool_call_id": ids, "content": words}),
)
_chat_tool = st.one_of(
    typed(
        "function",
        {"function": objects({"name": names}, {"description": words, "parameters": schemas, "strict": st.booleans()})},
    ),
    typed(
        "custom",
        {
            "custom": objects(
                {"name": names},
                {
                    "description": words,
                    "format": typed("grammar", {"grammar": objects({"syntax": st.just("lark"), "definition": words})}),
                },
            )
        },
    ),
)
_chat_choice = st.one_of(
    st.sampled_from(["auto", "none", "required"]),
    typed("function", {"function": objects({"name": names})}),
    typed("custom", {"custom": objects({"name": names})}),
)
_chat_schema = objects({"name": names, "schema": schemas}, {"strict": st.booleans(), "description": words})
_plain: dict[str, Any] = {
    "temperature": temperatures,
    "top_p": st.floats(0, 1),
    "parallel_tool_calls": st.booleans(),
    "metadata": st.dictionaries(names, words, max_size=2),
    "user": words,
    "safety_identifier": words,
    "prompt_cache_key": words,
    "service_tier": st.sampled_from(["auto", "flex"]),
    "store": st.booleans(),
    "top_logprobs": st.integers(0, 5),
}
chat_requests = objects(
    {"model": st.just("auto-chat"), "messages": st.lists(_chat_message, min_size=1, max_size=4)},
    {
        **_plain,
        "tools": st.lists(_chat_tool, min_size=1, max_size=2),
        "tool_choice": _chat_choice,
        "max_tokens": st.integers(1, 9),
        "frequency_penalty": st.floats(-2, 2),
        "presence_penalty": st.floats(-2, 2),
        "n": st.integers(1, 3),
        "seed": st.integers(-(2**63), 2**63),
        "logit_bias": st.dictionaries(names, st.integers(-9, 9), max_size=2),
        "logprobs": st.booleans(),
        "stop": st.lists(words, min_size=1, max_size=2),
        "reasoning_effort": st.sampled_from(["none", "low", "high"]),
        "verbosity": st.sampled_from(["low", "high"]),
        "response_format": st.one_of(
            st.just({"type": "text"}),
            st.just({"type": "json_object"}),
            typed("json_schema", {"json_schema": _chat_schema}),
        ),
        "prediction": st.just({"type": "content", "content": "x"}),
        "web_search_options": st.just({"search_context_size": "low"}),
        "an_extension": st.just({"of": ["some", "provider"]}),
    },
)

# --- Responses --------------------------------------------------------------------------------------------------------

_input_parts = st.one_of(
    typed("input_text", {"text": words}),
    typed("input_image", {"image_url": urls}, {"detail": st.sampled_from(["low", "auto"])}),
    typed("input_file", {"file_url": st.just("https://example.com/a.pdf")}),
    typed(
        "input_file",
        {"file_data": data.map(lambda held: f"data:application/pdf;base64,{held}"), "filename": st.just("a.pdf")},
    ),
    typed("input_image", {"file_id": ids}),
)
_output_parts = st.one_of(typed("output_text", {"text": words}), typed("refusal", {"refusal": words}))
_responses_item = st.one_of(
    typed(
        "message",
        {"role": st.sampled_from(["user", "system", "developer"]), "content": st.lists(_input_parts, max_size=2)},
    ),
    typed(
        "message",
        {"role": st.just("assistant"), "content": st.lists(_output_parts, max_size=2)},
        {"id": ids, "status": st.just("completed"), "phase": st.just("commentary")},
    ),
    typed("function_call", {"call_id": ids, "name": names, "arguments": arguments}, {"id": ids}),
    typed("custom_tool_call", {"call_id": ids, "name": names, "input": words}, {"id": ids}),
    typed("function_call_output", {"call_id": ids, "output": words | st.lists(_input_parts, min_size=2, max_size=2)}),
    typed("custom_tool_call_output", {"call_id": ids, "output": words}),
    typed(
        "reasoning",
        {"id": ids, "summary": st.lists(typed("summary_text", {"text": words}), max_size=2)},
        {
            "encrypted_content": words.filter(bool),
            "content": st.lists(typed("reasoning_text", {"text": words.filter(bool)}), min_size=1, max_size=1),
        },
    ),
    typed("item_reference", {"id": ids}),
)
_responses_tool = st.one_of(
    typed("function", {"name": names}, {"description": words, "parameters": schemas, "strict": st.booleans()}),
    typed(
        "custom",
        {"name": names},
        {"description": words, "format": typed("grammar", {"syntax": st.just("lark"), "definition": words})},
    ),
    typed("web_search", {}, {"search_context_size": st.just("low")}),
)
_responses_choice = st.one_of(
    st.sampled_from(["auto", "none", "required"]),
    typed("function", {"name": names}),
    typed("custom", {"name": names}),
    typed("web_search", {}),
    typed(
        "allowed_tools",
        {
            "mode": st.sampled_from(["auto", "required"]),
            "tools": st.lists(typed("function", {"name": names}), min_size=1),
        },
    ),
)
responses_requests = objects(
    {"model": st.just("auto-codex"), "input": st.lists(_responses_item, max_size=4)},
    {
        **_plain,
        "instructions": words.filter(bool),
        "tools": st.lists(
            _responses_tool, min_size=1, max_size=2, unique_by=lambda tool: tool.get("name", tool["type"])
        ),
        "tool_choice": _responses_choice,
        "max_output_tokens": st.integers(1, 9),
        "reasoning": objects({}, {"effort": st.sampled_from(["low", "high"]), "summary": st.just("auto")}),
        "text": objects(
            {},
            {
                "verbosity": st.sampled_from(["low", "high"]),
                "format": st.one_of(
                    st.just({"type": "text"}),
                    st.just({"type": "json_object"}),
                    typed(
                        "json_schema",
                        {"name": names, "schema": schemas},
                        {"strict": st.booleans(), "description": words},
                    ),
                ),
            },
        ),
        "include": st.lists(
            st.sampled_from(["reasoning.encrypted_content", "message.output_text.logprobs"]), min_size=1
        ),
        "truncation": st.sampled_from(["auto", "disabled"]),
        "previous_response_id": ids,
        "client_metadata": st.just({"x": "y"}),
    },
)

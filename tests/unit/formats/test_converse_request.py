"""Requests for Bedrock, validated by botocore's model of Converse and compared with the caller's."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import botocore.session
import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.formats.requests_to_translate import chat_requests, responses_requests
from tests.unit.formats.test_messages_request import bodies as messages_requests
from vibe_router.core.errors import ApiError
from vibe_router.formats import registry
from vibe_router.formats.converse import neutral as converse_neutral
from vibe_router.formats.messages.turns import OPENING
from vibe_router.formats.neutral.model import (
    File,
    Image,
    NeutralRequest,
    Part,
    Raw,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    without_optional_tools,
)

CLAUDE, NOVA = "us.anthropic.claude-haiku-4-5-20251001-v1:0", "amazon.nova-pro-v1:0"
ADAPTIVE = "global.anthropic.claude-opus-4-7"
HELLO: dict[str, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "Hi"}]},
    "responses": {"input": "Hi"},
    "messages": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9000},
}
SAID_HELLO = [{"role": "user", "content": [{"text": "Hi"}]}]
PIXEL = base64.b64encode(b"pixel").decode()


def read(caller: str, **fields: Any) -> NeutralRequest:
    """Read a caller's request into the neutral form."""
    body = {"model": "auto", **HELLO[caller], **fields}
    return without_optional_tools(registry.client(caller).parse(json.dumps(body).encode(), {}).neutral())


def asked(caller: str, model: str = CLAUDE, /, **fields: Any) -> dict[str, Any]:
    """Return the validated body for Bedrock, without the router's own cache points."""
    body = checked(converse_neutral.body(read(caller, **fields), model))
    if caller != "messages":
        lists = [body.get("system", []), body.get("toolConfig", {}).get("tools", [])]
        for blocks in [*lists, *(turn["content"] for turn in body["messages"])]:
            blocks[:] = [block for block in blocks if "cachePoint" not in block]
    return body


def checked(raw: bytes) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(raw)
    report = ParamValidator().validate({"modelId": "m", **body}, _request())
    assert not report.has_errors(), report.generate_report()
    assert not list(_beyond(_request(), {"modelId": "m", **body}, ""))
    return body


@cache
def _request() -> StructureShape:
    operation = botocore.session.get_session().get_service_model("bedrock-runtime").operation_model("Converse")
    assert operation.input_shape is not None
    return operation.input_shape


def _beyond(shape: Shape, value: Any, place: str) -> Any:
    """Yield violations that botocore leaves to the service: enumerations, patterns and lengths."""
    if isinstance(shape, StructureShape) and not shape.metadata.get("document"):
        for name, inner in value.items():
            yield from _beyond(shape.members[name], inner, f"{place}.{name}")
    elif isinstance(shape, ListShape):
        for inner in value:
            yield from _beyond(shape.member, inner, place)
    elif isinstance(shape, MapShape):
        assert all(isinstance(key, str) for key in value)
    elif isinstance(value, str):
        rules = shape.metadata
        if value not in rules.get("enum", [value]) or len(value) > rules.get("max", len(value)):
            yield place, value
        if "pattern" in rules and shape.name != "ConversationalModelId" and not re.fullmatch(rules["pattern"], value):
            yield place, value
    elif isinstance(value, int | float) and value > shape.metadata.get("max", value):
        yield place, value


UNSAYABLE = frozenset(
    [
        *("frequency_penalty", "presence_penalty", "n", "seed", "logit_bias", "logprobs", "top_logprobs", "prediction"),
        *("web_search_options", "an_extension", "temperature", "response_format", "stop", "parallel_tool_calls"),
        *("truncation", "previous_response_id", "include", "text"),
    ]
)


# --- Fidelity ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
@given(draw=st.data())
def test_every_request_is_translated_completely_or_rejected_by_name(model: str, draw: st.DataObject) -> None:
    body = draw.draw(chat_requests | responses_requests)
    if draw.draw(st.integers(0, 9)):  # else nearly every request has one of these
        body = {name: value for name, value in body.items() if name not in UNSAYABLE}
    caller = "chat" if "messages" in body else "responses"
    request = without_optional_tools(registry.client(caller).parse(json.dumps(body).encode(), {}).neutral())
    try:
        made = checked(converse_neutral.body(request, model))
    except ApiError as rejected:
        assert (rejected.status, rejected.code) == (400, "unsupported_parameter")  # noqa: PT017 - some are refused
        assert rejected.param  # noqa: PT017
        assert rejected.param.partition("[")[0].partition(".")[0] in body  # noqa: PT017
    else:
        assert sorted(content_of(made)) == sorted(meant(request))


@given(body=messages_requests)
def test_every_messages_request_is_translated_completely_or_rejected_by_name(body: dict[str, Any]) -> None:
    request = without_optional_tools(registry.client("messages").parse(json.dumps(body).encode(), {}).neutral())
    try:
        made = json.loads(converse_neutral.body(request, CLAUDE))
    except ApiError as rejected:
        assert (rejected.status, bool(rejected.param)) == (400, True)  # noqa: PT017 - some are refused
    else:
        assert sorted(content_of(made)) == sorted(meant(request))


def content_of(body: Mapping[str, Any]) -> list[str]:
    """Return the content of a request to Bedrock, a line for each part. White space at its end may be stripped."""
    lines: list[str] = []
    for block in [*body.get("system", []), *(block for turn in body["messages"] for block in turn["content"])]:
        lines += _lines(block)
    documents = [line for line in lines if line.startswith("document ")]
    # A document that stands alone has a text beside it, which says its name.
    names = {f"text {line.split(' ')[1]}" for line in documents} | {f"text {OPENING}"}
    return [
        line.replace(line.split(" ")[1], "", 1) if line in documents else line for line in lines if line not in names
    ]


def _lines(block: Mapping[str, Any]) -> list[str]:
    match block:
        case {"text": text}:
            return [f"text {text.rstrip()}"] if text.strip() else []
        case {"image": {"source": {"bytes": data}}}:
            return [f"image {data}"]
        case {"document": {"name": name, "source": {"bytes": data}}}:
            return [f"document {name} {data}"]
        case {"toolUse": {"name": name, "input": given}}:
            return [f"call {name} {json.dumps(given)}"]
        case {"toolResult": {"content": content}}:
            return ["result", *(line for inner in content for line in _lines(inner) if line != "text (nothing)")]
        case {"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}:
            return [f"thought {text} {signature}"]
        case {"reasoningContent": {"redactedContent": data}}:
            return [f"redacted {data}"]
    assert "cachePoint" in block
    return []


def meant(request: NeutralRequest) -> list[str]:
    """Return the content of a caller's request in the same lines."""
    parts = [*request.system, *(part for message in request.messages for part in message.parts)]
    return [line for part in parts for line in _meant(part)]


def _meant(part: Part) -> list[str]:
    match part:
        case Text(text) | Refusal(text):
            return [f"text {text.rstrip()}"] if text.strip() else []
        case Image(data=str(data)):
            return [f"image {data}"]
        case File(text=str(text)) | Raw(value={"source": {"type": "text", "data": str(text)}}):
            return [f"document  {base64.b64encode(text.encode()).decode()}"]
        case File(data=str(data)) | Raw(value={"source": {"type": "base64", "data": str(data)}}):
            return [f"document  {data}"]
        case ToolCall():
            given = {"input": part.arguments} if part.custom else json.loads(part.arguments)
            return [f"call {part.name} {json.dumps(given)}"]
        case ToolResult():
            return ["result", *(line for inner in part.parts for line in _meant(inner))]
        case Reasoning(redacted=str(data)):
            return [f"redacted {data}"]
        case Reasoning(text=text, signature=str(signature)) if signature:
            return [f"thought {text} {signature}"]
    assert isinstance(part, Reasoning)  # of another issuer's, or without a proof
    return []


# --- Translation ------------------------------------------------------------------------------------------------------

CALLED = [
    {"role": "user", "content": "Look."},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
            {"type": "redacted_thinking", "data": "c2VhbA=="},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "a", "name": "look", "input": {"at": 1}},
            {"type": "tool_use", "id": "b", "name": "look", "input": {}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "a", "content": "nothing there", "is_error": True},
            {"type": "tool_result", "tool_use_id": "b"},
        ],
    },
]
LOOK = {"name": "look", "input_schema": {"type": "object"}}
SPEC = {"name": "look", "inputSchema": {"json": {"type": "object"}}}
CACHED = {"type": "ephemeral"}
FUNCTION = {"type": "function", "function": {"name": "look"}}


def test_a_conversation_with_tools_and_thinking() -> None:
    tool = {**LOOK, "description": "It looks.", "strict": True}
    body = asked("messages", messages=CALLED, tools=[tool], system="Be brief.")
    assert body == {
        "system": [{"text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"text": "Look."}]},
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "sig"}}},
                    {"reasoningContent": {"redactedContent": "c2VhbA=="}},
                    {"text": "I look."},
                    {"toolUse": {"toolUseId": "a", "name": "look", "input": {"at": 1}}},
                    {"toolUse": {"toolUseId": "b", "name": "look", "input": {}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"toolResult": {"toolUseId": "a", "content": [{"text": "nothing there"}], "status": "error"}},
                    {"toolResult": {"toolUseId": "b", "content": [{"text": "(nothing)"}]}},
                ],
            },
        ],
        "inferenceConfig": {"maxTokens": 9000},
        "toolConfig": {"tools": [{"toolSpec": {**SPEC, "description": "It looks.", "strict": True}}]},
    }


@pytest.mark.parametrize(
    ("caller", "model", "fields", "expected"),
    [
        pytest.param("chat", CLAUDE, {}, {}, id="no bound of the router's own"),
        pytest.param(
            "chat",
            NOVA,
            {"max_tokens": 9, "temperature": 0.5, "top_p": 0.25, "stop": ["END"]},
            {"inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "topP": 0.25, "stopSequences": ["END"]}},
            id="fields of every model",
        ),
        pytest.param(
            "chat",
            CLAUDE,
            {"stop": "END"},
            {
                "inferenceConfig": {"stopSequences": ["END"]},
                "additionalModelResponseFieldPaths": ["/stop_sequence"],
            },
            id="Claude reports the stop sequence",
        ),
        pytest.param(
            "messages",
            CLAUDE,
            {"top_k": 5},
            {"inferenceConfig": {"maxTokens": 9000}, "additionalModelRequestFields": {"top_k": 5}},
            id="fields of Claude",
        ),
        pytest.param(
            "chat",
            CLAUDE,
            {"reasoning_effort": "medium"},
            {
                "inferenceConfig": {"maxTokens": 32_000},
                "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 8192}},
            },
            id="an effort is a budget",
        ),
        pytest.param(
            "chat",
            ADAPTIVE,
            {"reasoning_effort": "medium"},
            {
                "inferenceConfig": {"maxTokens": 32_000},
                "additionalModelRequestFields": {"thinking": {"type": "adaptive"}},
                "outputConfig": {"effort": "medium"},
            },
            id="or an effort, where the model thinks adaptively",
        ),
        pytest.param(
            "messages",
            ADAPTIVE,
            {"thinking": {"type": "adaptive"}},
            {
                "inferenceConfig": {"maxTokens": 9000},
                "additionalModelRequestFields": {"thinking": {"type": "adaptive"}},
                "outputConfig": {"effort": "high"},
            },
            id="as Anthropic's callers ask for it",
        ),
        pytest.param("chat", NOVA, {"reasoning_effort": "medium"}, {}, id="others are not asked to think"),
        pytest.param(
            "chat",
            CLAUDE,
            {"reasoning_effort": "none"},
            {"additionalModelRequestFields": {"thinking": {"type": "disabled"}}},
            id="a caller without reasoning turns thinking off",
        ),
        pytest.param(
            "chat",
            NOVA,
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "it", "description": "all", "schema": {"type": "object"}},
                }
            },
            {
                "outputConfig": {
                    "textFormat": {
                        "type": "json_schema",
                        "structure": {
                            "jsonSchema": {"name": "it", "description": "all", "schema": '{"type":"object"}'}
                        },
                    }
                }
            },
            id="an answer by a schema",
        ),
        pytest.param(
            "messages",
            CLAUDE,
            {
                "system": [{"type": "text", "text": "Long.", "cache_control": {**CACHED, "ttl": "1h"}}],
                "tools": [{**LOOK, "cache_control": CACHED}],
            },
            {
                "system": [{"text": "Long."}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
                "inferenceConfig": {"maxTokens": 9000},
                "toolConfig": {"tools": [{"toolSpec": SPEC}, {"cachePoint": {"type": "default"}}]},
            },
            id="where to cache",
        ),
        pytest.param(
            "messages",
            NOVA,
            {"tools": [{**LOOK, "cache_control": CACHED}]},
            {"inferenceConfig": {"maxTokens": 9000}, "toolConfig": {"tools": [{"toolSpec": SPEC}]}},
            id="left out for other models",
        ),
    ],
)
def test_fields_are_translated(caller: str, model: str, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert asked(caller, model, **fields) == {"messages": SAID_HELLO, **expected}


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, None),
        ({"type": "any"}, {"any": {}}),
        ({"type": "tool", "name": "look"}, {"tool": {"name": "look"}}),
    ],
)
def test_tool_choices(model: str, choice: dict[str, Any], expected: object) -> None:
    body = asked("messages", model, tools=[LOOK], tool_choice=choice)
    assert body["toolConfig"] == {"tools": [{"toolSpec": SPEC}], **({"toolChoice": expected} if expected else {})}
    assert "additionalModelRequestFields" not in body


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "none"},
        {"type": "auto", "disable_parallel_tool_use": True},
        {"type": "tool", "name": "look", "disable_parallel_tool_use": True},
    ],
)
def test_tool_choices_that_converse_lacks_are_sent_to_claude_natively(choice: dict[str, Any]) -> None:
    body = asked("messages", tools=[LOOK], tool_choice=choice)
    assert body["toolConfig"] == {"tools": [{"toolSpec": SPEC}]}
    assert body["additionalModelRequestFields"] == {"tool_choice": choice}


def test_a_choice_of_no_tool_omits_the_tools() -> None:
    assert "toolConfig" not in asked("messages", NOVA, tools=[LOOK], tool_choice={"type": "none"})
    named = asked("messages", NOVA, messages=CALLED)  # the calls before need their tools
    assert named["toolConfig"] == {"tools": [{"toolSpec": SPEC}]}


def test_long_ids_of_calls_are_shortened_consistently() -> None:
    long = "call_" + "x" * 100
    talk = [
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "tool_calls": [{"id": long, "type": "function", "function": {"name": "look", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": long, "content": "seen"},
    ]
    _, call, result = asked("chat", messages=talk, tools=[FUNCTION])["messages"]
    assert call["content"][0]["toolUse"]["toolUseId"] == result["content"][0]["toolResult"]["toolUseId"]


# --- Pictures and documents -------------------------------------------------------------------------------------------


def file(name: str, kind: str) -> dict[str, Any]:
    return {"type": "file", "file": {"filename": name, "file_data": f"data:{kind};base64,{PIXEL}"}}


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("application/pdf", "pdf"),
        ("text/csv", "csv"),
        ("text/html", "html"),
        ("text/markdown", "md"),
        ("text/plain", "txt"),
        ("application/msword", "doc"),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
        ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ],
)
def test_documents_get_unique_names_and_a_text(kind: str, form: str) -> None:
    parts = [file("Q3 (final)_Zürich.x", kind), file("Q3 (final)_Zürich.x", kind)]
    [turn] = asked("chat", messages=[{"role": "user", "content": parts}])["messages"]
    name = "Q3-(final)-Z-rich-x"
    assert turn["content"] == [
        {"document": {"format": form, "name": f"{name}-1", "source": {"bytes": PIXEL}}},
        {"document": {"format": form, "name": f"{name}-2", "source": {"bytes": PIXEL}}},
        {"text": f"{name}-1"},
    ]


def test_the_context_of_a_document_is_sent() -> None:
    source = {"type": "base64", "media_type": "application/pdf", "data": PIXEL}
    block = {"type": "document", "source": source, "context": "Of last year.", "title": "Report"}
    text = {"type": "text", "text": "Sum it up."}
    [turn] = asked("messages", messages=[{"role": "user", "content": [block, text]}])["messages"]
    document = {"format": "pdf", "name": "Report-1", "source": {"bytes": PIXEL}, "context": "Of last year."}
    assert turn["content"] == [{"document": document}, {"text": "Sum it up."}]


def test_images_are_sent_in_turns_and_in_results() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/jpg", "data": PIXEL}}
    talk = [{"role": "user", "content": [image]}, CALLED[1], CALLED[2]]
    talk[2] = {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": each, "content": [image]} for each in "ab"],
    }
    first, _, last = asked("messages", messages=talk, tools=[LOOK])["messages"]
    expected = {"image": {"format": "jpeg", "source": {"bytes": PIXEL}}}
    assert first["content"] == [expected]
    assert [block["toolResult"]["content"] for block in last["content"]] == [[expected], [expected]]


def test_images_of_results_follow_the_results_for_other_models() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    results = [
        {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "a chart"}, image]},
        {"type": "tool_result", "tool_use_id": "b", "content": [image]},
    ]
    talk = [*CALLED[:2], {"role": "user", "content": [*results, {"type": "text", "text": "Go on."}]}]
    *_, last = asked("messages", "openai.gpt-oss-120b-1:0", messages=talk, tools=[LOOK])["messages"]
    expected = {"image": {"format": "png", "source": {"bytes": PIXEL}}}
    assert last["content"] == [
        {"toolResult": {"toolUseId": "a", "content": [{"text": "a chart"}]}},
        {"toolResult": {"toolUseId": "b", "content": [{"text": "The result is shown below."}]}},
        {"text": "Output of tool call a:"},
        expected,
        {"text": "Output of tool call b:"},
        expected,
        {"text": "Go on."},
    ]


# --- What Converse can't carry ----------------------------------------------------------------------------------------


def user(*parts: Any) -> Sequence[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    ("caller", "model", "fields", "param"),
    [
        pytest.param("chat", CLAUDE, {"seed": 1}, "seed", id="a seed"),
        pytest.param("chat", CLAUDE, {"n": 2}, "n", id="several answers"),
        pytest.param("chat", CLAUDE, {"logprobs": True}, "logprobs", id="probabilities"),
        pytest.param("chat", CLAUDE, {"temperature": 1.5}, "temperature", id="much heat"),
        pytest.param("chat", CLAUDE, {"response_format": {"type": "json_object"}}, "response_format", id="any JSON"),
        pytest.param("chat", CLAUDE, {"an_extension": 1}, "an_extension", id="an extension"),
        pytest.param(
            "chat",
            CLAUDE,
            {"messages": user({"type": "image_url", "image_url": {"url": "https://a.example/p.png"}})},
            "messages[0].content[0]",
            id="an image by its URL",
        ),
        pytest.param(
            "chat",
            CLAUDE,
            {"messages": user({"type": "image_url", "image_url": {"url": f"data:image/tiff;base64,{PIXEL}"}})},
            "messages[0].content[0]",
            id="an image of an odd type",
        ),
        pytest.param(
            "chat",
            CLAUDE,
            {"messages": user(file("a.zip", "application/zip"))},
            "messages[0].content[0]",
            id="a file of an odd type",
        ),
        pytest.param(
            "chat",
            CLAUDE,
            {"messages": user({"type": "input_audio", "input_audio": {"data": PIXEL, "format": "wav"}})},
            "messages[0].content[0]",
            id="audio",
        ),
        pytest.param(
            "responses",
            CLAUDE,
            {"input": user({"type": "input_file", "file_url": "https://a.example/a.pdf"})},
            "input[0].content[0]",
            id="a file by its URL",
        ),
        pytest.param(
            "responses",
            CLAUDE,
            {
                "input": [
                    {
                        "role": "developer",
                        "content": [{"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"}],
                    }
                ]
            },
            "input[0].content[0]",
            id="a developer's image",
        ),
        pytest.param(
            "messages",
            CLAUDE,
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            "tools[0]",
            id="a tool of Anthropic's servers",
        ),
        pytest.param(
            "messages",
            CLAUDE,
            {"messages": user({"type": "document", "source": {"type": "file", "file_id": "f"}})},
            "messages[0].content[0]",
            id="a file that Anthropic keeps",
        ),
        pytest.param(
            "messages",
            CLAUDE,
            {
                "messages": user(
                    {
                        "type": "document",
                        "context": "c",
                        "citations": {"enabled": True},
                        "source": {"type": "text", "media_type": "text/plain", "data": "w"},
                    }
                )
            },
            "messages[0].content[0].citations",
            id="a document that is to be cited",
        ),
        pytest.param("messages", CLAUDE, {"container": "c"}, "container", id="fields of Anthropic"),
        pytest.param("messages", NOVA, {"top_k": 5}, "top_k", id="top_k of another model"),
        pytest.param(
            "chat",
            NOVA,
            {"tools": [FUNCTION], "parallel_tool_calls": False},
            "parallel_tool_calls",
            id="one call at a time of another model",
        ),
        pytest.param(
            "messages",
            NOVA,
            {"messages": CALLED, "tools": [LOOK], "tool_choice": {"type": "none"}},
            "tool_choice",
            id="no calls any more of another model",
        ),
    ],
)
def test_fields_that_converse_lacks_are_rejected_by_name(
    caller: str, model: str, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(ApiError) as rejected:
        asked(caller, model, **fields)
    assert (rejected.value.status, rejected.value.code, rejected.value.param) == (400, "unsupported_parameter", param)
    assert "speaks converse" in rejected.value.message

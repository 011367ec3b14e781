"""Requests in Gemini's format: what they mean in the neutral form, and what is refused."""

import base64
import json
from typing import Any

import pytest

from vibe_router.core.errors import ApiError
from vibe_router.core.models import Deployment, Provider
from vibe_router.formats.common.seal import Seal, wrap
from vibe_router.formats.gemini.format import GEMINI, GeminiCall
from vibe_router.formats.gemini.request import parse_count
from vibe_router.formats.neutral.model import (
    AllowedTools,
    Audio,
    File,
    Image,
    JsonFormat,
    NamedTool,
    NeutralRequest,
    Raw,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from vibe_router.upstream.exchange import open_exchange

PNG = "iVBORw0KGgo="


def neutral(**body: Any) -> NeutralRequest:
    body.setdefault("contents", [{"role": "user", "parts": [{"text": "Hi"}]}])
    return GeminiCall("m").parse(json.dumps(body).encode(), {}).neutral()


def parts(*values: Any, role: str = "user") -> list[Any]:
    return list(neutral(contents=[{"role": role, "parts": list(values)}]).messages[0].parts)


def rejected(**body: Any) -> str:
    with pytest.raises(ApiError) as caught:
        neutral(**body)
    assert caught.value.status == 400
    return str(caught.value.param)


@pytest.mark.parametrize(
    ("part", "read"),
    [
        pytest.param({"text": "x"}, Text("x"), id="text"),
        pytest.param({"inlineData": {"mimeType": "image/png", "data": PNG}}, Image(None, PNG, "image/png"), id="image"),
        pytest.param(
            {"inline_data": {"mime_type": "image/png", "data": PNG}}, Image(None, PNG, "image/png"), id="snake"
        ),
        pytest.param(
            {"fileData": {"mimeType": "image/png", "fileUri": "https://x.example/a"}},
            Image("https://x.example/a"),
            id="url",
        ),
        pytest.param(
            {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}},
            File(None, "JVBERi0=", "application/pdf"),
            id="pdf",
        ),
        pytest.param(
            {"inlineData": {"mimeType": "text/plain", "data": "SGk="}},
            File(text="Hi", media_type="text/plain"),
            id="file",
        ),
        pytest.param({"inlineData": {"mimeType": "audio/mpeg", "data": "AAAA"}}, Audio("AAAA", "mp3"), id="audio"),
        pytest.param({"executableCode": {"language": "PYTHON", "code": "1"}}, Text("```python\n1\n```"), id="code"),
    ],
)
def test_a_part_is_read(part: dict[str, Any], read: object) -> None:
    assert parts(part) == [read]


@pytest.mark.parametrize(
    "part",
    [
        {"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}},
        {"fileData": {"mimeType": "video/mp4", "fileUri": "https://youtube.com/watch"}},
        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x"}},
        {"fileData": {"fileUri": "gs://bucket/x"}},
        {"somethingNew": {"a": 1}},
    ],
)
def test_fields_that_no_other_format_has_are_named(part: dict[str, Any]) -> None:
    [read] = parts(part)
    assert isinstance(read, Raw)
    deployment = Deployment(Provider("p", "https://p.example/v1", "K"), "gpt-5")
    request = GeminiCall("m").parse(json.dumps({"contents": [{"parts": [part]}]}).encode(), {})
    with pytest.raises(ApiError) as caught:
        open_exchange(request, deployment, 0, stream=False)
    assert caught.value.code == "unsupported_parameter"


def test_results_find_their_calls() -> None:
    calls = [{"functionCall": {"name": name, "args": {"n": at}}} for at, name in enumerate(["f", "g", "f"])]
    results = [{"functionResponse": {"name": name, "response": {"output": name}}} for name in ("f", "f", "g")]
    request = neutral(contents=[{"role": "model", "parts": calls}, {"role": "user", "parts": results}])
    made = [part for part in request.messages[0].parts if isinstance(part, ToolCall)]
    given = [part for part in request.messages[1].parts if isinstance(part, ToolResult)]
    assert [(call.id, call.name) for call in made] == [("call_1", "f"), ("call_2", "g"), ("call_3", "f")]
    assert [(result.call_id, result.parts) for result in given] == [
        ("call_1", [Text("f")]),
        ("call_3", [Text("f")]),
        ("call_2", [Text("g")]),
    ]


@pytest.mark.parametrize("named", [{"id": "x", "name": "f"}, {"name": "f"}], ids=["by id", "by name"])
def test_a_second_result_of_a_call_is_left_out(named: dict[str, str]) -> None:
    result = {"functionResponse": {**named, "response": {"output": "r"}}}
    call = {"functionCall": {**named, "args": {}}}
    contents = [
        {"role": "model", "parts": [call]},
        {"role": "user", "parts": [result]},
        {"role": "user", "parts": [result]},
    ]
    request = neutral(contents=contents)
    assert [len(message.parts) for message in request.messages] == [1, 1]


def test_results_may_have_ids_errors_and_images() -> None:
    call = {"functionCall": {"id": "x", "name": "f"}}
    picture = {"inlineData": {"mimeType": "image/png", "data": PNG}}
    result = {"functionResponse": {"id": "x", "name": "f", "response": {"error": "no"}, "parts": [picture]}}
    request = neutral(contents=[{"role": "model", "parts": [call]}, {"role": "function", "parts": [result]}])
    assert request.messages[1].role == "user"
    assert request.messages[1].parts == [ToolResult("x", [Text("no"), Image(None, PNG, "image/png")], error=True)]
    other = {"functionResponse": {"name": "f", "response": {"a": 1, "b": "ü"}}}
    assert parts(other) == [ToolResult("call_f", [Text('{"a":1,"b":"ü"}')])]


def test_thoughts_and_their_proofs() -> None:
    def signed(*seals: Seal) -> str:
        return base64.b64encode(" ".join(map(wrap, seals)).encode()).decode()

    thought = {"text": "Hm.", "thought": True}
    assert parts(thought, {"text": "x"}, role="model") == [Reasoning("Hm."), Text("x")]
    proof = Seal("signature", "p", "sig", text="Hm.")
    assert parts(thought, {"text": "x", "thoughtSignature": signed(proof)}, role="model") == [
        Reasoning("Hm.", signature="sig", issuer="p"),
        Text("x"),
    ]
    hidden = Seal("encrypted", "p", "gAAA", "rs_1")
    assert parts(thought, {"functionCall": {"name": "f"}, "thoughtSignature": signed(hidden)}, role="model")[0] == (
        Reasoning(summary=["Hm."], encrypted="gAAA", id="rs_1", issuer="p")
    )
    assert parts({"text": "", "thoughtSignature": signed(proof, hidden)}, role="model") == [
        Reasoning("Hm.", signature="sig", issuer="p"),
        Reasoning(encrypted="gAAA", id="rs_1", issuer="p"),
    ]
    assert parts({"text": "x", "thoughtSignature": "CpwBAdHtim8="}, role="model") == [Text("x")]


def test_tools_and_their_schemas() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {
            "a": {"type": "STRING", "nullable": True, "enum": ["x"], "format": "enum"},
            "b": {"type": "ARRAY", "items": {"type": "INTEGER", "format": "int32"}, "minItems": "1"},
            "c": {"any_of": [{"type": "NUMBER"}, {"type": "BOOLEAN"}]},
        },
        "propertyOrdering": ["a", "b"],
        "required": ["a"],
    }
    plain = {"type": "object", "properties": {"type": {"type": "string"}, "any": True}, "additionalProperties": False}
    request = neutral(
        tools=[
            {"functionDeclarations": [{"name": "f", "description": "d", "parameters": schema}]},
            {"function_declarations": [{"name": "g", "parameters_json_schema": plain}]},
            {"googleSearch": {}},
        ]
    )
    f, g, search = request.tools
    assert f == Tool(
        "f",
        "d",
        {
            "type": "object",
            "properties": {
                "a": {"type": ["string", "null"], "enum": ["x", None]},
                "b": {"type": "array", "items": {"type": "integer", "format": "int32"}, "minItems": 1},
                "c": {"anyOf": [{"type": "number"}, {"type": "boolean"}]},
            },
            "required": ["a"],
        },
    )
    assert g == Tool("g", None, plain)
    assert isinstance(search, Raw)
    assert search.optional


@pytest.mark.parametrize(
    ("config", "choice"),
    [
        ({"mode": "AUTO"}, "auto"),
        ({"mode": "ANY"}, "required"),
        ({"mode": "none"}, "none"),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, NamedTool("f")),
        ({"mode": "ANY", "allowed_function_names": ["f", "g"]}, AllowedTools("required", ["f", "g"])),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["f"]}, AllowedTools("auto", ["f"])),
        ({}, None),
    ],
)
def test_a_tool_choice_is_read(config: dict[str, Any], choice: object) -> None:
    assert neutral(toolConfig={"functionCallingConfig": config}).tool_choice == choice


def test_the_config_is_read() -> None:
    request = neutral(
        systemInstruction={"parts": [{"text": "Be brief."}]},
        generation_config={
            "temperature": 0.2,
            "topP": 0.5,
            "top_k": 3.0,
            "maxOutputTokens": "100",
            "stopSequences": ["x"],
            "candidateCount": 2,
            "seed": 7,
            "responseLogprobs": True,
            "logprobs": 3,
            "responseMimeType": "application/json",
            "responseJsonSchema": {"type": "OBJECT"},
            "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "HIGH"},
        },
        safetySettings=[{}],
    )
    assert request.system == [Text("Be brief.")]
    assert (request.temperature, request.top_p, request.top_k, request.max_tokens) == (0.2, 0.5, 3, 100)
    assert (list(request.stop), request.n, request.seed) == (["x"], 2, 7)
    assert (request.logprobs, request.top_logprobs) == (True, 3)
    assert request.response_format == JsonFormat(schema={"type": "object"})
    assert (request.effort, request.reasoning_summary, request.rest) == ("high", "auto", {})


def test_defaults_of_geminis_models_are_left_to_the_model() -> None:
    request = neutral(generationConfig={"temperature": 1, "topP": 0.95, "topK": 64, "mediaResolution": "LOW"})
    assert (request.temperature, request.top_p, request.top_k, request.rest) == (None, None, None, {})


@pytest.mark.parametrize(("budget", "read"), [(0, 0), (-1, None), (2048, 2048)])
def test_a_thinking_budget_is_read(budget: int, read: int | None) -> None:
    assert neutral(generationConfig={"thinkingConfig": {"thinkingBudget": budget}}).budget == read


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"contents": []}, "contents"),
        ({"contents": None}, "contents"),
        ({"contents": [5]}, "contents[0]"),
        ({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, "contents[0].role"),
        ({"contents": [{"parts": ["x"]}]}, "contents[0].parts[0]"),
        ({"contents": [{"parts": [{}]}]}, "contents[0].parts[0]"),
        ({"contents": [{"parts": [{"functionCall": {}}]}]}, "contents[0].parts[0].functionCall.name"),
        ({"contents": [{"parts": [{"inlineData": {"data": "x"}}]}]}, "contents[0].parts[0].inlineData.mimeType"),
        ({"tools": [{"functionDeclarations": [{}, {"description": "x"}]}]}, "tools[0].functionDeclarations[1]"),
        ({"generationConfig": {"maxOutputTokens": "many"}}, "generationConfig.maxOutputTokens"),
        ({"generationConfig": {"candidateCount": 5000}}, "generationConfig.candidateCount"),
        ({"generationConfig": {"responseMimeType": "text/x.enum"}}, "generationConfig.responseMimeType"),
        ({"generationConfig": {"stopSequences": [1]}}, "generationConfig.stopSequences"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}, "toolConfig.functionCallingConfig.mode"),
    ],
)
def test_a_mistake_is_named(body: dict[str, Any], param: str) -> None:
    assert rejected(**body) == param


def test_a_deep_schema_is_rejected() -> None:
    schema: dict[str, Any] = {}
    for _ in range(150):
        schema = {"type": "ARRAY", "items": schema}
    assert "items" in rejected(tools=[{"functionDeclarations": [{"name": "f", "parameters": schema}]}])


def test_texts_alone_are_accepted() -> None:
    request = GEMINI.parse(b'{"model": "models/m", "contents": "Hi"}', {})
    assert (request.model, request.neutral().messages[0].parts) == ("m", [Text("Hi")])
    counted = parse_count(b'{"generateContentRequest": {"model": "models/x", "contents": ["Hi"]}}', "m")
    assert (counted.model, counted.prompt_tokens_estimate() > 0) == ("m", True)


def test_an_image_counts_as_one() -> None:
    data = "A" * 400_000
    body = {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": data}}]}]}
    request = GeminiCall("m").parse(json.dumps(body).encode(), {})
    assert request.prompt_tokens_estimate() < 2000


def test_chunks_of_a_turn_are_one_turn() -> None:
    chunks = [{"role": "model", "parts": [part]} for part in ({"text": "Hel"}, {"text": "lo"}, {"text": ""})]
    call = {"role": "model", "parts": [{"functionCall": {"name": "f"}}, {"text": "!"}]}
    asked = {"role": "user", "parts": [{"text": "Hi"}, {"text": "you"}]}
    request = neutral(contents=[asked, *chunks, call, asked, asked])
    assert [message.role for message in request.messages] == ["user", "assistant", "user", "user"]
    assert request.messages[1].parts == [Text("Hello"), ToolCall("call_1", "f", "{}"), Text("!")]
    assert request.messages[0].parts == [Text("Hi"), Text("you")]

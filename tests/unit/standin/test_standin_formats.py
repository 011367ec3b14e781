"""The same conversation over every format: what is reply, that a stream says the same, and what is refused."""

import json
import warnings
from collections.abc import Mapping
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from local.standin.chat import CHAT
from local.standin.formats import AnswerContext, BadRequest, Event, Format
from local.standin.messages import COUNT_TOKENS, MESSAGES
from local.standin.responses import RESPONSES

SPEAKER = AnswerContext(provider="ark", created=1_785_600_000, unique="abc", key="sk-1")
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS: Mapping[str, list[dict[str, Any]]] = {
    "chat": [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in ("weather", "clock")],
    "responses": [{"type": "function", "name": name, "parameters": SCHEMA} for name in ("weather", "clock")],
    "messages": [{"name": name, "input_schema": SCHEMA} for name in ("weather", "clock")],
}
RESPONSE_EVENTS: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
MESSAGE_EVENTS: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)


def ask(prompt: str, **fields: Any) -> dict[str, Any]:
    return {"model": "glm-4.7", "messages": [{"role": "user", "content": prompt}], "max_tokens": 4000, **fields}


def respond(prompt: object, **fields: Any) -> dict[str, Any]:
    return {"model": "glm-4.7", "input": prompt, **fields}


def whole(spoken: Format, body: Mapping[str, Any]) -> dict[str, Any]:
    parsed = json.loads(spoken.answer(body, SPEAKER).whole())
    assert isinstance(parsed, dict)
    return parsed


def fields_of(event: Event) -> dict[str, Any]:
    name, data, *rest = event.data.decode().split("\n")
    assert rest == ["", ""]
    fields = json.loads(data.removeprefix("data: "))
    assert isinstance(fields, dict)
    assert name == f"event: {fields['type']}"
    return fields


def responses_agree(body: Mapping[str, Any]) -> dict[str, Any]:
    """Put a streamed response together from its pieces, and hold it to the whole one."""
    reply = whole(RESPONSES, body)
    streamed = [fields_of(event) for event in RESPONSES.answer({**body, "stream": True}, SPEAKER).events()]
    assert [one["sequence_number"] for one in streamed] == list(range(len(streamed)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Response.model_validate(reply)
        for one in streamed:
            RESPONSE_EVENTS.validate_python(one)
    assert streamed[-1]["response"] == reply
    texts: dict[tuple[int, str], str] = {}
    for one in streamed:
        kind, _, last = one["type"].rpartition(".")
        if last == "delta":
            texts[one["output_index"], kind] = texts.get((one["output_index"], kind), "") + one["delta"]
        elif last == "done" and (one.get("output_index"), kind) in texts:
            reported = one.get("text", one.get("arguments", one.get("input")))
            assert texts[one["output_index"], kind] == reported
    assert [one["item"] for one in streamed if one["type"] == "response.output_item.done"] == reply["output"]
    return reply


def messages_agree(body: Mapping[str, Any]) -> dict[str, Any]:
    """Put a streamed message together from its pieces, and hold it to the whole one."""
    reply = whole(MESSAGES, body)
    streamed = [fields_of(event) for event in MESSAGES.answer({**body, "stream": True}, SPEAKER).events()]
    Message.model_validate(reply)
    for one in streamed:
        if one["type"] != "ping":
            MESSAGE_EVENTS.validate_python(one)
    assert streamed[0]["type"] == "message_start"
    assert streamed[-1] == {"type": "message_stop"}
    blocks: list[dict[str, Any]] = []
    for one in streamed:
        match one["type"]:
            case "content_block_start":
                blocks.append({**one["content_block"], "json": ""})
            case "content_block_delta":
                match one["delta"]:
                    case {"type": "input_json_delta", "partial_json": text}:
                        blocks[one["index"]]["json"] += text
                    case delta:
                        ((field, text),) = [(name, value) for name, value in delta.items() if name != "type"]
                        blocks[one["index"]][field] += text
            case "message_delta":
                assert one["delta"] == {name: reply[name] for name in ("stop_reason", "stop_sequence")}
                assert one["usage"].items() <= reply["usage"].items()
    for block in blocks:
        text = block.pop("json")
        if block["type"] == "tool_use":
            block["input"] = json.loads(text or "{}")
    assert blocks == reply["content"]
    return reply


prompts = st.text(max_size=200) | st.sampled_from(
    ["use both tools", 'call weather with {"city": "Rome"} and clock with {"city": "Oslo"}', "write 40 words"]
)


@given(prompts, st.none() | st.integers(1, 60), st.booleans(), st.booleans())
def test_a_streamed_response_is_the_whole_one(prompt: str, limit: int | None, reasons: bool, tools: bool) -> None:
    body = respond(prompt, tools=TOOLS["responses"] if tools else [], max_output_tokens=limit)
    if reasons:
        body |= {
            "reasoning": {"effort": "high", "summary": "auto"},
            "include": ["reasoning.encrypted_content"],
        }
    responses_agree(body)


@given(prompts, st.integers(1, 60), st.booleans(), st.booleans(), st.lists(st.text(max_size=3), max_size=3))
def test_a_streamed_message_is_the_whole_one(
    prompt: str, limit: int, reasons: bool, tools: bool, stops: list[str]
) -> None:
    body = ask(prompt, tools=TOOLS["messages"] if tools else [], max_tokens=limit, stop_sequences=stops)
    if reasons:
        body |= {"thinking": {"type": "adaptive"}}
    messages_agree(body)


def test_every_format_has_the_same_text() -> None:
    chat = whole(CHAT, ask("Hello there"))
    response = responses_agree(respond("Hello there"))
    message = messages_agree(ask("Hello there"))
    words = chat["choices"][0]["message"]["content"]
    assert words == response["output"][0]["content"][0]["text"] == message["content"][0]["text"]
    assert chat["usage"]["completion_tokens"] == response["usage"]["output_tokens"] == message["usage"]["output_tokens"]
    assert chat["usage"]["prompt_tokens"] == response["usage"]["input_tokens"] == message["usage"]["input_tokens"]


def test_rounds_of_calls_follow_the_script_in_the_prompt() -> None:
    prompt = 'call weather with {"city": "Rome"} and clock with {"city": "Oslo"}, then call clock with {"city": "Ur"}.'
    talk: list[dict[str, Any]] = [{"role": "user", "content": prompt}]
    made = []
    while True:
        message = messages_agree({**ask(""), "messages": talk, "tools": TOOLS["messages"]})
        calls = [block for block in message["content"] if block["type"] == "tool_use"]
        if not calls:
            break
        made.append([(call["name"], call["input"]["city"]) for call in calls])
        results = [{"type": "tool_result", "tool_use_id": call["id"], "content": "42"} for call in calls]
        talk += [
            {"role": "assistant", "content": message["content"]},
            {"role": "user", "content": results},
            {"role": "system", "content": "be brief"},
        ]
    assert made == [[("weather", "Rome"), ("clock", "Oslo")], [("clock", "Ur")]]
    assert "clock returned 42." in message["content"][0]["text"]
    assert message["usage"]["cache_read_input_tokens"] > 0


def test_a_response_goes_on_with_what_its_tools_returned() -> None:
    body = respond('call weather with {"city": "Rome"} and clock with {"city": "Oslo"}', tools=TOOLS["responses"])
    first = responses_agree(body)["output"]
    returned = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": f"{item['name']}-42"} for item in first
    ]
    second = responses_agree({**body, "input": [{"role": "user", "content": body["input"]}, *first, *returned]})
    assert "weather returned weather-42. clock returned clock-42." in second["output"][0]["content"][0]["text"]


def test_free_tools_and_tools_in_a_namespace_are_called() -> None:
    tools = [
        {"type": "custom", "name": "patch"},
        {
            "type": "namespace",
            "name": "many",
            "description": "of them",
            "tools": [{"type": "function", "name": "spawn", "parameters": SCHEMA}],
        },
        {"type": "web_search"},
    ]
    free, spaced = responses_agree(respond('call patch with "*** Begin" and spawn with {"city": "x"}', tools=tools))[
        "output"
    ]
    assert (free["type"], free["input"]) == ("custom_tool_call", "*** Begin")
    assert (spaced["type"], spaced["namespace"]) == ("function_call", "many")


def test_thoughts_are_shown_and_sealed() -> None:
    thought = messages_agree(ask("Hello", thinking={"type": "enabled", "budget_tokens": 1024}))["content"][0]
    assert thought["thinking"]
    assert thought["signature"]
    hidden = messages_agree(ask("Hello", thinking={"type": "adaptive", "display": "omitted"}))["content"][0]
    assert (hidden["thinking"], bool(hidden["signature"])) == ("", True)
    bare = responses_agree(respond("Hello", reasoning={"effort": "low"}))["output"][0]
    assert (bare["summary"], "encrypted_content" in bare) == ([], False)


def _talk_of_another_key(signature: str) -> dict[str, Any]:
    thought = {"type": "thinking", "thinking": "x", "signature": signature}
    talk = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "hi"}]},
        {"role": "user", "content": "Go on"},
    ]
    return {**ask(""), "messages": talk}


def test_a_seal_is_taken_back_by_its_maker_alone() -> None:
    seal = messages_agree(ask("Hello", thinking={"type": "adaptive"}))["content"][0]["signature"]
    messages_agree(_talk_of_another_key(seal))
    with pytest.raises(BadRequest, match="Invalid `signature`"):
        MESSAGES.answer(_talk_of_another_key(seal), AnswerContext("ark", 1, "d", "sk-2"))
    body = respond("Hello", reasoning={"effort": "low"}, include=["reasoning.encrypted_content"])
    item = responses_agree(body)["output"][0]
    again = respond([item, {"role": "user", "content": "Go on"}])
    responses_agree(again)
    with pytest.raises(BadRequest) as rejected:
        RESPONSES.answer(again, AnswerContext("new-api", 1, "d", "sk-1"))
    assert rejected.value.code == "invalid_encrypted_content"


def test_images_and_files_are_acknowledged_in_every_format() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}
    message = messages_agree({**ask(""), "messages": [{"role": "user", "content": [image, document]}]})
    assert "I see 1 image and 1 file with it." in message["content"][0]["text"]
    parts = [{"type": "input_text", "text": "See"}, {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]
    response = responses_agree(respond([{"role": "user", "content": parts}]))
    assert "I see 1 image with it." in response["output"][0]["content"][0]["text"]


def test_structured_output_keeps_to_its_schema() -> None:
    form = {"type": "json_schema", "name": "it", "schema": SCHEMA}
    text = responses_agree(respond("Hello", text={"format": form}))["output"][0]["content"][0]["text"]
    assert json.loads(text) == {"city": "Hello"}
    config = {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert json.loads(messages_agree(ask("Hello", output_config=config))["content"][0]["text"]) == {"city": "Hello"}


def test_an_end_has_its_reason() -> None:
    assert messages_agree(ask("Hello", max_tokens=3))["stop_reason"] == "max_tokens"
    stopped = messages_agree(ask("Hello", stop_sequences=[" stand-in"]))
    assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", " stand-in")
    short = responses_agree(respond("Hello", max_output_tokens=3))
    assert (short["status"], short["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})


def test_cacheable_tokens_are_counted() -> None:
    system = [{"type": "text", "text": "word " * 100, "cache_control": {"type": "ephemeral"}}]
    plain = messages_agree(ask("Hello", system=[{"type": "text", "text": "word " * 100}]))["usage"]
    usage = messages_agree(ask("Hello", system=system))["usage"]
    assert usage["cache_creation_input_tokens"] > 100
    assert usage["input_tokens"] + usage["cache_creation_input_tokens"] == plain["input_tokens"]
    counted = whole(COUNT_TOKENS, {"model": "glm", "system": system, "messages": ask("Hello")["messages"]})
    assert counted == {"input_tokens": plain["input_tokens"]}


CALL = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
RETURN = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}


def talk(*contents: object) -> dict[str, Any]:
    roles = ("user", "assistant") * len(contents)
    turns = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=False)]
    return {**ask(""), "messages": turns}


@pytest.mark.parametrize(
    ("spoken", "body", "match"),
    [
        pytest.param(MESSAGES, {"model": "m", "messages": []}, "max_tokens: Field required", id="no limit"),
        pytest.param(MESSAGES, ask("x", n=2), "n: Extra inputs", id="a field of chat"),
        pytest.param(MESSAGES, talk("x", [CALL], "y"), "without `tool_result`", id="a call without its result"),
        pytest.param(MESSAGES, talk([RETURN]), "unexpected `tool_use_id`", id="a result without its call"),
        pytest.param(MESSAGES, talk("x", [CALL]), "cannot end", id="an end in a call"),
        pytest.param(
            MESSAGES,
            ask("x", thinking={"type": "adaptive"}, tool_choice={"type": "any"}),
            "may not be enabled",
            id="thought and force",
        ),
        pytest.param(
            MESSAGES, ask("x", thinking={"type": "enabled", "budget_tokens": 9}), "greater than", id="little thought"
        ),
        pytest.param(
            MESSAGES,
            ask("x", thinking={"type": "enabled", "budget_tokens": 4000}),
            "must be greater than",
            id="more thought than answer",
        ),
        pytest.param(
            MESSAGES,
            talk("x", [CALL], [RETURN]) | {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            "Expected `thinking`",
            id="a call without its thought",
        ),
        pytest.param(MESSAGES, ask("x", system=7), "system", id="a bad system"),
        pytest.param(MESSAGES, talk([{"type": "text", "text": ""}]), "non-empty", id="an empty text"),
        pytest.param(RESPONSES, respond([]), "'input'", id="no item"),
        pytest.param(RESPONSES, respond("x", stop=["y"]), "Unsupported parameter: 'stop'", id="a stop"),
        pytest.param(RESPONSES, respond("x", previous_response_id="resp_1"), "not found", id="an unknown response"),
        pytest.param(
            RESPONSES,
            respond([{"type": "function_call_output", "call_id": "call_1", "output": "x"}]),
            "No tool call found",
            id="an output without its call",
        ),
        pytest.param(RESPONSES, respond("x", text={"format": {"type": "json_schema"}}), "name", id="a nameless form"),
    ],
)
def test_requests_that_real_providers_reject_are_rejected(spoken: Format, body: dict[str, Any], match: str) -> None:
    with pytest.raises(BadRequest, match=match):
        spoken.answer(body, SPEAKER)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
kinds = st.sampled_from(
    ["text", "image", "tool_use", "tool_result", "thinking", "message", "function_call", "function_call_output"]
)
blocks = st.fixed_dictionaries({}, optional={"type": kinds, "text": json_values, "content": json_values, "id": kinds})


@given(st.lists(blocks | json_values, max_size=3) | json_values, json_values, json_values, json_values)
def test_no_request_breaks_a_format(content: object, tools: object, choice: object, form: object) -> None:
    requests: list[tuple[Format, dict[str, Any]]] = [
        (RESPONSES, respond(content, tools=tools, tool_choice=choice, text=form)),
        (RESPONSES, respond([{"role": "user", "content": content}], reasoning=form)),
        (MESSAGES, {**ask(""), "messages": content}),
        (MESSAGES, {**talk(content), "tools": tools, "tool_choice": choice, "output_config": form}),
        (MESSAGES, {**ask("x"), "system": content, "thinking": form}),
    ]
    for spoken, body in requests:
        try:
            answer = spoken.answer(body, SPEAKER)
        except BadRequest:
            continue
        json.loads(answer.whole())
        for event in answer.events():
            fields_of(event)

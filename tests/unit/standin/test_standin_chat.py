"""Chat completions without a model: what is reply, and that the stream says the same."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from local.standin.chat import CHAT
from local.standin.formats import AnswerContext, BadRequest
from local.standin.schema import instance
from local.standin.text import pieces

SPEAKER = AnswerContext(provider="ark", created=1_785_600_000, unique="abc")
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CLOCK = {"type": "function", "function": {"name": "get_time"}}


def ask(prompt: object = "Hello there", **fields: Any) -> dict[str, Any]:
    return {"model": "glm-4.7", "messages": [{"role": "user", "content": prompt}], **fields}


def whole(body: dict[str, Any]) -> dict[str, Any]:
    parsed = json.loads(CHAT.answer(body, SPEAKER).whole())
    assert isinstance(parsed, dict)
    return parsed


def chunks(body: dict[str, Any]) -> list[dict[str, Any]]:
    events = CHAT.answer(body, SPEAKER).events()
    assert events[-1].data == b"data: [DONE]\n\n"
    assert all(event.data.endswith(b"\n\n") and event.data.count(b"\n") == 2 for event in events)
    return [json.loads(event.data.removeprefix(b"data: ")) for event in events[:-1]]


def joined(streamed: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Put the choices of a stream together, as a client does."""
    choices: dict[int, dict[str, Any]] = {}
    for part in (choice for one in streamed for choice in one["choices"]):
        into = choices.setdefault(
            part["index"], {"content": "", "reasoning": "", "calls": {}, "finish": None, "role": None}
        )
        delta = part["delta"]
        into["role"] = delta.get("role", into["role"])
        into["content"] += delta.get("content") or ""
        into["reasoning"] += delta.get("reasoning_content") or ""
        for call in delta.get("tool_calls", []):
            held = into["calls"].setdefault(call["index"], {"id": None, "name": None, "arguments": ""})
            held["id"] = call.get("id", held["id"])
            held["name"] = call["function"].get("name", held["name"])
            held["arguments"] += call["function"]["arguments"]
        into["finish"] = part["finish_reason"] or into["finish"]
    return choices


def assert_stream_matches(body: dict[str, Any]) -> None:
    reply = whole(body)
    streamed = chunks({**body, "stream": True, "stream_options": {"include_usage": True}})
    *reported, last = streamed
    assert last["choices"] == []
    assert last["usage"] == reply["usage"]
    assert all(one["usage"] is None for one in reported)
    assert {one["id"] for one in streamed} == {reply["id"]}
    choices = joined(reported)
    for choice in reply["choices"]:
        message, other = choice["message"], choices[choice["index"]]
        assert other["role"] == "assistant"
        assert other["content"] == (message["content"] or "")
        assert other["reasoning"] == message.get("reasoning_content", "")
        assert other["finish"] == choice["finish_reason"]
        assert [
            {"id": call["id"], "name": call["name"], "arguments": call["arguments"]} for call in other["calls"].values()
        ] == [{"id": call["id"], **call["function"]} for call in message.get("tool_calls", [])]
    ChatCompletion.model_validate(reply)
    for one in streamed:
        ChatCompletionChunk.model_validate(one)


@contextmanager
def answered_or_refused(*params: str) -> Iterator[None]:
    """Let a request be refused for one of these parameters, and fail in no other way."""
    rejected: str | None = None
    try:
        yield
    except BadRequest as bad:
        rejected = bad.param
    assert rejected is None or rejected in params


@given(
    prompt=st.text(max_size=300),
    limit=st.none() | st.integers(1, 80),
    stop=st.none() | st.text(max_size=3) | st.lists(st.text(max_size=3), max_size=4),
    many=st.integers(1, 3),
    model=st.sampled_from(["glm-4.7", "deepseek-reasoner", "gpt-5(high)"]),
    tools=st.sampled_from([[], [WEATHER], [WEATHER, CLOCK]]),
)
def test_the_stream_has_the_content_of_the_whole_answer(
    prompt: str, limit: int | None, stop: object, many: int, model: str, tools: list[object]
) -> None:
    body = ask(prompt, max_tokens=limit, stop=stop, n=many, model=model, tools=tools)
    assert_stream_matches(body)


@given(st.text(max_size=500))
def test_pieces_joined_are_the_text_again(text: str) -> None:
    assert "".join(pieces(text)) == text


def test_the_answer_names_the_provider_and_is_deterministic() -> None:
    content = whole(ask("What is the capital of France?"))["choices"][0]["message"]["content"]
    assert "ark stand-in" in content
    assert "glm-4.7" in content
    assert "What is the capital of France?" in content
    assert content == whole(ask("What is the capital of France?"))["choices"][0]["message"]["content"]
    assert content != whole(ask("Something else"))["choices"][0]["message"]["content"]


@pytest.mark.parametrize("count", [1, 7, 100, 2000])
def test_so_many_words_can_be_asked_for_and_each_is_a_chunk(count: int) -> None:
    body = ask(f"Write {count} words about rivers")
    assert len(whole(body)["choices"][0]["message"]["content"].split()) == count
    spoken = [one for one in chunks(body) if one["choices"][0]["delta"].get("content")]
    assert len(spoken) == count
    assert whole(body)["usage"]["completion_tokens"] == count


def test_the_stream_opens_with_the_role_and_closes_with_the_finish_reason() -> None:
    streamed = chunks(ask())
    assert streamed[0]["choices"][0]["delta"]["role"] == "assistant"
    assert all("role" not in one["choices"][0]["delta"] for one in streamed[1:])
    assert streamed[-1]["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    assert all(one["choices"][0]["finish_reason"] is None for one in streamed[:-1])
    assert all("usage" not in one for one in streamed)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_ends_the_answer_with_length(name: str) -> None:
    reply = whole(ask(**{name: 4}))
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["completion_tokens"] == 4
    assert reply["choices"][0]["message"]["content"] == "This is the ark"


@pytest.mark.parametrize("stop", [" stand-in", ["never written", " stand-in"]])
def test_the_text_ends_before_a_stop_sequence(stop: object) -> None:
    reply = whole(ask(stop=stop))["choices"][0]
    assert reply["message"]["content"] == "This is the ark"
    assert reply["finish_reason"] == "stop"


def test_several_choices_differ() -> None:
    choices = whole(ask(n=3))["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in choices}) == 3


@pytest.mark.parametrize(
    ("prompt", "fields", "called"),
    [
        pytest.param("Hello", {"tool_choice": "required"}, ["get_weather"], id="must call one"),
        pytest.param("Please use the tool", {}, ["get_weather"], id="asked in words"),
        pytest.param("What does get_time say?", {}, ["get_time"], id="asked by its name"),
        pytest.param("Use both tools", {}, ["get_weather", "get_time"], id="asked for several"),
        pytest.param(
            "Use both tools", {"parallel_tool_calls": False}, ["get_weather"], id="asked for several, one at a time"
        ),
        pytest.param(
            "Hello",
            {"tool_choice": {"type": "function", "function": {"name": "get_time"}}},
            ["get_time"],
            id="must call that one",
        ),
        pytest.param("Hello", {}, [], id="not asked"),
        pytest.param("Please use the tool", {"tool_choice": "none"}, [], id="must call none"),
    ],
)
def test_tools_are_called_when_a_model_would(prompt: str, fields: dict[str, Any], called: list[str]) -> None:
    body = ask(prompt, tools=[WEATHER, CLOCK], **fields)
    choice = whole(body)["choices"][0]
    calls = choice["message"].get("tool_calls", [])
    assert [call["function"]["name"] for call in calls] == called
    assert choice["finish_reason"] == ("tool_calls" if called else "stop")
    assert (choice["message"]["content"] is None) == bool(called)
    for call in calls:
        if call["function"]["name"] == "get_weather":
            assert list(json.loads(call["function"]["arguments"])) == ["city"]
    assert_stream_matches(body)


def test_the_second_round_uses_what_the_tool_returned() -> None:
    first = whole(ask("use the tool", tools=[WEATHER]))["choices"][0]["message"]
    messages = [
        {"role": "user", "content": "use the tool"},
        first,
        {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": '{"celsius": 21}'},
    ]
    second = whole({"model": "glm-4.7", "messages": messages, "tools": [WEATHER]})["choices"][0]
    assert second["finish_reason"] == "stop"
    assert 'get_weather returned {"celsius": 21}.' in second["message"]["content"]


def test_images_and_sounds_are_acknowledged_and_counted() -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]
    reply = whole(ask(parts))
    assert "I see 2 images and 1 audio clip with it." in reply["choices"][0]["message"]["content"]
    assert reply["usage"]["prompt_tokens"] > whole(ask("What is this?"))["usage"]["prompt_tokens"] + 200


def test_a_json_object_is_one() -> None:
    content = whole(ask("Say something", response_format={"type": "json_object"}))["choices"][0]["message"]["content"]
    assert json.loads(content) == {"answer": "Say something", "provider": "ark"}


SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"enum": ["x", "y"]}}, "required": ["a", "b"]},
    {"type": "array", "items": {"type": "number", "minimum": 3, "maximum": 4}, "minItems": 2},
    {"type": "object", "properties": {"n": {"type": ["string", "null"]}, "c": {"const": 7}}},
    {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
    {"type": "string", "minLength": 20, "maxLength": 22},
    {"type": "string", "format": "date-time"},
    {"type": "integer", "exclusiveMinimum": 4, "multipleOf": 5},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
                "required": ["next"],
                "additionalProperties": False,
            }
        },
        "$ref": "#/$defs/node",
    },
    {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"properties": {"b": {"type": "integer"}}, "required": ["b"]},
        ]
    },
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]},
    {"type": "array", "items": {"type": "string"}, "maxItems": 0},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
def test_structured_output_is_valid_by_its_schema(schema: dict[str, Any]) -> None:
    body = ask(response_format={"type": "json_schema", "json_schema": {"name": "it", "schema": schema}})
    jsonschema.validate(json.loads(whole(body)["choices"][0]["message"]["content"]), schema)
    assert_stream_matches(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
schema_keys = st.sampled_from(["type", "properties", "items", "anyOf", "allOf", "required", "enum", "minItems", "$ref"])


@given(st.dictionaries(schema_keys, json_values, max_size=4))
def test_an_invalid_schema_is_the_callers_fault(schema: dict[str, Any]) -> None:
    body = ask(response_format={"type": "json_schema", "json_schema": {"name": "it", "schema": schema}})
    with answered_or_refused("response_format"):
        json.loads(whole(body)["choices"][0]["message"]["content"])


def test_a_schema_without_a_type_gives_a_text() -> None:
    assert instance({}) == "stand-in"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": ["hello"]}, "messages[0]"),
        ({"messages": [{"content": "hello"}]}, "messages[0]"),
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"n": 0}, "n"),
        ({"n": 1000}, "n"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"tools": [CLOCK], "tool_choice": {"function": {"name": "none such"}}}, "tool_choice"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
    ],
)
def test_an_invalid_request_names_the_parameter(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        CHAT.answer(ask(**fields), SPEAKER)
    assert caught.value.param == param


@given(json_values, json_values, json_values, json_values)
def test_no_request_breaks_the_stand_in(content: object, tools: object, choice: object, form: object) -> None:
    body = ask(content, tools=tools, tool_choice=choice, response_format=form)
    with answered_or_refused("messages", "tools", "tool_choice", "response_format"):
        assert_stream_matches(body)


FORECAST = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
    },
    "required": ["city", "days"],
}


@pytest.mark.parametrize(
    ("prompt", "called"),
    [
        pytest.param("What's the weather in Paris?", "get_weather", id="the name's noun"),
        pytest.param("Which stocks did well?", "lookupStocks", id="a plural, in camel case"),
        pytest.param("Say hello.", None, id="no match"),
        pytest.param("What's the weather in Paris?" + " Really." * 50, None, id="a long prompt"),
    ],
)
def test_a_tool_that_matches_a_question_is_called(prompt: str, called: str | None) -> None:
    tools = [
        {"type": "function", "function": {"name": name, "parameters": FORECAST}}
        for name in ("lookupStocks", "get_weather")
    ]
    message = whole(ask(prompt, tools=tools))["choices"][0]["message"]
    assert [call["function"]["name"] for call in message.get("tool_calls", [])] == ([called] if called else [])


def test_arguments_are_the_required_ones_with_their_types() -> None:
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": FORECAST}}]
    message = whole(ask("What's the weather in New York for the next days?", tools=tools))["choices"][0]["message"]
    assert message["tool_calls"][0]["function"]["arguments"] == '{"city": "New York", "days": 1}'


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer", "minimum": 2.0}, 2),
        ({"type": "integer", "exclusiveMinimum": 0.5, "exclusiveMaximum": 1.5}, 1),
        ({"type": ["integer", "null"]}, 1),
        ({"type": "integer", "multipleOf": 5.0}, 5),
    ],
)
def test_integers_are_sent_for_integer_types(schema: dict[str, object], value: int) -> None:
    found = instance(schema)
    assert found == value
    assert type(found) is int


@pytest.mark.parametrize(
    ("prompt", "keys"),
    [
        pytest.param("Reply only with JSON: what is the capital of France?", ["answer", "provider"], id="an answer"),
        pytest.param("Return a JSON object with the keys city and population.", ["city", "population"], id="keys"),
        pytest.param('Respond in JSON with fields "a", "b"', ["a", "b"], id="quoted fields"),
        pytest.param("What is JSON?", None, id="a question about it"),
        pytest.param("Say hello.", None, id="another prompt"),
    ],
)
def test_json_is_answered_when_the_prompt_asks_for_it(prompt: str, keys: list[str] | None) -> None:
    text = whole(ask(prompt))["choices"][0]["message"]["content"]
    if keys is None:
        assert not text.startswith("{")
    else:
        assert list(json.loads(text)) == keys

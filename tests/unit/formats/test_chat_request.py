import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.core.errors import ApiError
from vibe_router.formats.chat import request as chat

HELLO = {"role": "user", "content": "Say hello."}

texts = st.text(st.characters(exclude_categories=()), max_size=10)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
OWNED = {"model", "stream", "stream_options"}
CHECKED = {
    "model", "messages", "stream", "stream_options", "temperature", "top_p", "max_tokens", "max_completion_tokens",
    "n", "stop", "tools", "tool_choice", "response_format", "frequency_penalty", "presence_penalty", "best_of",
    "top_logprobs",
}  # fmt: skip


def body(**more: object) -> dict[str, Any]:
    return {"model": "auto-chat", "messages": [HELLO], **more}


def parsed(**more: object) -> chat.ChatRequest:
    return chat.parse(json.dumps(body(**more)).encode())


def sent(request: chat.ChatRequest, *, stream: bool) -> Any:
    return json.loads(request.for_provider("gpt-5", stream=stream))


@given(raw=st.binary(max_size=80) | values.map(lambda value: json.dumps(value).encode()))
def test_no_body_is_worse_than_a_400(raw: bytes) -> None:
    try:
        chat.parse(raw).for_provider("gpt-5", stream=True)
    except ApiError as rejected:
        assert rejected.status == 400  # noqa: PT017 - most bodies are refused, but not all


@given(fields=st.dictionaries(st.sampled_from(sorted(CHECKED)) | texts, values, max_size=4), stream=st.booleans())
def test_no_field_is_worse_than_a_400(fields: dict[str, object], stream: bool) -> None:
    raw = json.dumps(body(**fields)).encode()
    try:
        request = chat.parse(raw)
        request.affinity()
        again = request.for_provider("gpt-5", stream=stream)
    except ApiError as rejected:
        assert (rejected.status, rejected.type) == (400, "invalid_request_error")  # noqa: PT017 - some are refused
    else:
        assert chat.parse(again).model == "gpt-5"


@given(
    fields=st.dictionaries(texts, values, max_size=4),
    messages=st.lists(
        st.dictionaries(texts, values, max_size=2).map(lambda more: {**more, "role": "user"}), min_size=1, max_size=3
    ),
    stream=st.booleans(),
)
def test_everything_that_the_router_does_not_own_reaches_the_provider_as_sent(
    fields: dict[str, object], messages: list[object], stream: bool
) -> None:
    wanted = {**{key: value for key, value in fields.items() if key not in CHECKED}, "messages": messages}
    raw = json.dumps({**wanted, "model": "auto-chat"}).encode()
    try:
        request = chat.parse(raw)
        got = json.loads(request.for_provider("gpt-5", stream=stream))
    except ApiError:
        assert any(word in raw for word in (b"NaN", b"Infinity"))
        return
    assert {key: value for key, value in got.items() if key not in OWNED} == wanted
    assert (got["model"], got["stream"]) == ("gpt-5", stream)


def test_tools_schemas_images_and_reasoning_settings_reach_the_provider_as_sent() -> None:
    more = {
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}, "strict": True}}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
        "reasoning_effort": "high",
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "seed": 12345678901234567890123,
        "temperature": 0.1,
        "logit_bias": {"50256": -100},
        "user": "ü\u2028",
        "metadata": None,
        "x-unknown": [1, 2.5, {"deep": [None]}],
    }
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
    request = parsed(messages=[{"role": "user", "content": [image]}], **more)
    got = sent(request, stream=False)
    assert got == {**body(messages=[{"role": "user", "content": [image]}], **more), "model": "gpt-5", "stream": False}


@pytest.mark.parametrize(
    ("more", "stream", "options"),
    [
        pytest.param({}, True, {"include_usage": True}, id="usage is always asked for"),
        pytest.param({"stream_options": None}, True, {"include_usage": True}, id="when the options are null"),
        pytest.param({"stream_options": {"include_usage": False}}, True, {"include_usage": True}, id="when declined"),
        pytest.param(
            {"stream_options": {"include_obfuscation": False}},
            True,
            {"include_obfuscation": False, "include_usage": True},
            id="beside the caller's own options",
        ),
        pytest.param({"stream_options": {"include_usage": True}}, False, None, id="but not without a stream"),
    ],
)
def test_stream_options(more: dict[str, object], stream: bool, options: object) -> None:
    assert sent(parsed(**more), stream=stream).get("stream_options") == options


@pytest.mark.parametrize(
    ("more", "stream", "include_usage"),
    [
        pytest.param({}, False, False, id="no options"),
        pytest.param({"stream": None, "stream_options": None}, False, False, id="nulls"),
        pytest.param({"stream": True}, True, False, id="a stream"),
        pytest.param({"stream": True, "stream_options": {"include_usage": None}}, True, False, id="usage null"),
        pytest.param({"stream": True, "stream_options": {"include_usage": True}}, True, True, id="usage wanted"),
    ],
)
def test_choices_of_the_caller(more: dict[str, object], stream: bool, include_usage: bool) -> None:
    request = parsed(**more)
    assert (request.model, request.stream, request.include_usage) == ("auto-chat", stream, include_usage)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        pytest.param({"messages": [HELLO]}, "model", id="no model"),
        pytest.param({"model": None, "messages": [HELLO]}, "model", id="a null model"),
        pytest.param({"model": "", "messages": [HELLO]}, "model", id="an empty model"),
        pytest.param({"model": 7, "messages": [HELLO]}, "model", id="a model that is a number"),
        pytest.param({"model": "auto-chat"}, "messages", id="no messages"),
        pytest.param(body(messages=None), "messages", id="null messages"),
        pytest.param(body(messages=[]), "messages", id="empty messages"),
        pytest.param(body(messages="hello"), "messages", id="messages that are a string"),
        pytest.param(body(messages=[HELLO, "hello"]), "messages[1]", id="a message that is a string"),
        pytest.param(body(messages=[{"content": "hello"}]), "messages[0].role", id="a message without a role"),
        pytest.param(body(messages=[HELLO, {"role": None}]), "messages[1].role", id="a message with a null role"),
        pytest.param(body(stream="yes"), "stream", id="stream as a string"),
        pytest.param(body(stream=1), "stream", id="stream as a number"),
        pytest.param(body(stream_options=[]), "stream_options", id="stream options as an array"),
        pytest.param(
            body(stream_options={"include_usage": "yes"}), "stream_options.include_usage", id="include_usage as text"
        ),
        pytest.param(body(temperature="hot"), "temperature", id="temperature as text"),
        pytest.param(body(temperature=True), "temperature", id="temperature as a boolean"),
        pytest.param(body(max_tokens=True), "max_tokens", id="max_tokens as a boolean"),
        pytest.param(body(max_tokens=1.5), "max_tokens", id="max_tokens as a fraction"),
        pytest.param(body(n="2"), "n", id="n as text"),
        pytest.param(body(stop={}), "stop", id="stop as an object"),
        pytest.param(body(tools={}), "tools", id="tools as an object"),
        pytest.param(body(tool_choice=[]), "tool_choice", id="tool_choice as an array"),
        pytest.param(body(response_format="json"), "response_format", id="response_format as text"),
    ],
)
def test_a_wrong_type_is_rejected_with_its_param(fields: dict[str, object], param: str) -> None:
    with pytest.raises(ApiError) as rejected:
        chat.parse(json.dumps(fields).encode())
    assert (rejected.value.status, rejected.value.param) == (400, param)
    assert f"'{param}'" in rejected.value.message


@pytest.mark.parametrize("name", sorted(CHECKED - {"model", "messages"}))
def test_null_is_as_good_as_nothing_and_sent_on(name: str) -> None:
    got = sent(parsed(**{name: None}), stream=True)
    assert name in got


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", 10**10),
        ("max_tokens", -(10**10)),
        ("max_completion_tokens", int("9" * 40)),
        ("n", 1_001),
        ("temperature", 10**30),
        ("top_p", 10**99),
    ],
)
def test_a_number_that_no_provider_takes_is_a_400(name: str, value: int) -> None:
    with pytest.raises(ApiError) as rejected:
        parsed(**{name: value})
    assert (rejected.value.status, rejected.value.param) == (400, name)


# --- Which conversation it is -----------------------------------------------------------------------------------------

SYSTEM = {"role": "system", "content": "Be brief."}
ANSWER = {"role": "assistant", "content": "Hello."}
MORE = {"role": "user", "content": "Once more."}


def test_a_conversation_is_the_same_while_it_grows() -> None:
    first = parsed(messages=[SYSTEM, HELLO]).affinity()
    assert parsed(messages=[SYSTEM, HELLO, ANSWER, MORE], temperature=1).affinity() == first


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([HELLO], id="without its system message"),
        pytest.param([{**SYSTEM, "content": "Be long."}, HELLO], id="with another system message"),
        pytest.param([SYSTEM, MORE], id="with another question"),
        pytest.param([SYSTEM, {"role": "user", "content": [{"type": "text", "text": "Hi."}]}], id="with other parts"),
        pytest.param([SYSTEM], id="without a question"),
    ],
)
def test_another_beginning_is_another_conversation(messages: list[object]) -> None:
    assert parsed(messages=messages).affinity() != parsed(messages=[SYSTEM, HELLO]).affinity()


def test_a_message_that_could_be_read_but_not_written_is_a_400() -> None:
    """The stack is deeper where it is written than where it was read."""
    content: object = "x"
    for _ in range(100_000):
        content = [content]
    request = chat.ChatRequest("auto-chat", False, False, body(messages=[{"role": "user", "content": content}]))
    with pytest.raises(ApiError, match="nested too deeply") as rejected:
        request.affinity()
    assert rejected.value.status == 400

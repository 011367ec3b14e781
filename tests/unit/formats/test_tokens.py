import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.formats import registry
from vibe_router.formats.chat import request as chat
from vibe_router.formats.common.json_body import dump, parse_object
from vibe_router.formats.common.token_estimate import estimate

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
PIXEL = "iVBORw0KGgo" * 5_000
CHINESE = "人工智能正在改变我们的生活方式，大型语言模型可以理解并生成自然语言。"
ENGLISH = "The quick brown fox jumps over the lazy dog, and then it does so once more, for good measure."


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        pytest.param("", 0, 0, id="nothing"),
        pytest.param([{"type": []}, {"type": {}}], 1, 8, id="types that are none"),
        pytest.param(ENGLISH, 20, 30, id="English"),
        pytest.param(CHINESE, 24, 40, id="Chinese: about one for a sign"),
        pytest.param("Быстрая лиса прыгает через ленивую собаку", 12, 30, id="Russian: between the two"),
        pytest.param("👋🏽" * 10, 20, 40, id="emoji"),
        pytest.param([{"role": "user", "content": "Hi"}], 3, 8, id="a message is a little more than its text"),
        pytest.param([1, 2.5, True, None], 3, 6, id="numbers and the like"),
        pytest.param([""] * 1_000, 500, 1_000, id="empty texts"),
        pytest.param([[], {}] * 500, 500, 1_000, id="empty arrays and objects"),
        pytest.param("x" * 511 + " " + ENGLISH, 140, 160, id="a long word is still text"),
    ],
)
def test_about_how_many_tokens_a_value_is(value: object, least: int, most: int) -> None:
    assert least <= estimate(content=value) <= most
    assert least <= estimate(text=value) <= most


PARTS: dict[str, dict[str, Any]] = {
    "chat image": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    "image by URL": {"type": "image_url", "image_url": {"url": "https://a.b/c"}},
    "Anthropic image": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
    "Responses image": {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"},
    "chat file": {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PIXEL}"}},
    "Anthropic document": {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": PIXEL},
    },
    "Responses file": {"type": "input_file", "file_data": f"data:application/pdf;base64,{PIXEL}"},
    "sound": {"type": "input_audio", "input_audio": {"data": PIXEL, "format": "wav"}},
    "encrypted reasoning": {"type": "reasoning", "encrypted_content": PIXEL},
    "signature": {"type": "thinking", "thinking": "Hm", "signature": PIXEL},
}


@pytest.mark.parametrize("name", PARTS)
def test_binary_data_in_a_content_part_count_by_their_kind(name: str) -> None:
    tokens = estimate(content=[{"role": "user", "content": [PARTS[name]]}])
    assert (1_600 if "image" in name else 2) <= tokens <= 1_650
    assert "image" in name or tokens >= 1 + len(PIXEL) / 100 or "signature" in name


DISGUISES: dict[str, Any] = {
    "a text like a data URL": {"type": "text", "text": f"data:image/png;base64,{PIXEL}"},
    "a text of letters": {"type": "text", "text": PIXEL},
    "a text that begins with letters": {"type": "text", "text": PIXEL[:600] + " " + PIXEL},
    "a text in an image": {"type": "image", "text": PIXEL},
    "words where base64 belongs": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{ENGLISH * 500}"}},
    "words after base64": {"type": "image", "source": {"data": PIXEL[:600] + " and so on " + PIXEL}},
    "a tool call's input": {"type": "tool_use", "input": {"type": "image", "source": {"data": PIXEL}}},
    "a second field": {"type": "image", "source": {"data": "aGk=", "more": PIXEL}},
    "text in base64": {"type": "file", "file": {"file_data": f"data:text/plain;base64,{PIXEL}"}},
}


@pytest.mark.parametrize("name", DISGUISES)
def test_text_in_disguise_counts_as_text(name: str) -> None:
    disguise = DISGUISES[name]
    least = len(PIXEL) / 5 if name != "words where base64 belongs" else 500 * len(ENGLISH) / 5
    assert estimate(content=[{"role": "user", "content": [disguise]}]) >= least
    assert estimate(text=disguise) >= least


@pytest.mark.parametrize("name", PARTS)
def test_tools_hold_no_binary_data(name: str) -> None:
    length = len(json.dumps(PARTS[name]))
    assert estimate(text=[{"type": "function", "function": {"parameters": PARTS[name]}}]) >= length / 5


@given(json_values)
def test_anything_that_json_can_say_has_an_estimate(value: Any) -> None:
    assert estimate(content=value) >= 0
    assert estimate(text=value) >= 0


@given(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=())))
def test_more_text_is_never_fewer_tokens(one: str, other: str) -> None:
    assert estimate(text=[one, other]) >= max(estimate(text=one), estimate(text=other))


def test_nesting_as_deep_as_a_body_may_be_is_no_fault() -> None:
    value = parse_object(b'{"a":' * 900 + b"1" + b"}" * 900)
    assert estimate(content=value) > 200


def test_a_chat_request_is_its_messages_and_tools() -> None:
    body = {"model": "auto-chat", "messages": [{"role": "user", "content": ENGLISH}]}
    plain = chat.parse(dump(body)).prompt_tokens_estimate()
    tools = [{"type": "function", "function": {"name": "f", "description": ENGLISH}}]
    assert 20 <= plain <= 40
    assert chat.parse(dump({**body, "tools": tools})).prompt_tokens_estimate() >= plain + 20


@pytest.mark.parametrize(
    ("body", "most", "answers"),
    [
        pytest.param({}, None, 1, id="no bound"),
        pytest.param({"max_tokens": 10}, 10, 1, id="max_tokens"),
        pytest.param({"max_completion_tokens": 20}, 20, 1, id="max_completion_tokens"),
        pytest.param({"max_tokens": 10, "max_completion_tokens": 20}, 20, 1, id="both: the larger one counts"),
        pytest.param({"max_tokens": 20, "max_completion_tokens": 1}, 20, 1, id="both: a provider may know one only"),
        pytest.param({"max_tokens": 10, "n": 3}, 10, 3, id="each of three answers"),
        pytest.param({"max_tokens": None, "n": None}, None, 1, id="null"),
    ],
)
def test_the_most_that_a_chat_request_wants_answered(body: dict[str, Any], most: int | None, answers: int) -> None:
    whole = {"model": "m", "messages": [{"role": "user", "content": "x"}], **body}
    wanted = chat.parse(dump(whole))
    assert (wanted.max_output_tokens, wanted.answers) == (most, answers)


WORDS = ENGLISH * 400
TEXTS: dict[str, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "x"}]},
    "completions": {"prompt": "x"},
    "messages": {"messages": [{"role": "user", "content": "x"}], "max_tokens": 9},
    "responses": {"input": "x"},
    "gemini": {"contents": [{"parts": [{"text": "x"}]}]},
    "embeddings": {"input": "x"},
    "rerank": {"documents": ["x"]},
    "images": {"prompt": "x"},
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize(
    "moved", [WORDS, [WORDS], {"schema": {"description": WORDS}}, {WORDS: 1}], ids=["text", "array", "object", "name"]
)
@pytest.mark.parametrize("field", ["functions", "prediction", "query", "instructions", "an_extension"])
def test_a_prompt_in_any_field_is_counted(name: str, field: str, moved: Any) -> None:
    request = registry.client(name).parse(dump({"model": "m", **TEXTS[name], field: moved}), {})
    assert request.prompt_tokens_estimate() >= len(WORDS) / 5


@pytest.mark.parametrize("beside", ["text", "inlineData", "functionCall"])
def test_what_is_beside_the_data_of_a_part_is_counted(beside: str) -> None:
    part: dict[str, Any] = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    if beside == "inlineData":
        part["inlineData"]["displayName"] = WORDS
    else:
        part[beside] = WORDS
    body = {"model": "m", "contents": [{"parts": [part]}]}
    assert registry.client("gemini").parse(dump(body), {}).prompt_tokens_estimate() >= len(WORDS) / 5

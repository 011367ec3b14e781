"""Numbers that no provider accepts are refused before any call, whichever format they come in."""

import json
from collections.abc import Callable

import pytest

from vibe_router.core.errors import ApiError
from vibe_router.formats import registry
from vibe_router.formats.gemini.format import GeminiCall

BODIES: dict[str, dict[str, object]] = {
    "chat": {"messages": [{"role": "user", "content": "Hello"}]},
    "messages": {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 9},
    "responses": {"input": "Hello"},
    "completions": {"prompt": "Hello"},
}


@pytest.fixture(params=BODIES)
def parse(request: pytest.FixtureRequest) -> Callable[..., object]:
    name = request.param
    return lambda **fields: registry.client(name).parse(
        json.dumps({"model": "m", **BODIES[name], **fields}).encode(), {}
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("top_p", 1.01),
        ("top_p", -1),
        ("frequency_penalty", 2.5),
        ("presence_penalty", -3),
        ("n", 0),
        ("n", -1),
        ("top_logprobs", -1),
    ],
)
def test_a_number_that_no_provider_accepts_is_rejected(parse: Callable[..., object], name: str, value: float) -> None:
    with pytest.raises(ApiError, match=f"^'{name}' must be ") as caught:
        parse(**{name: value})
    assert (caught.value.status, caught.value.param) == (400, name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0),
        ("temperature", 5),
        ("top_p", 0),
        ("top_p", 1),
        ("presence_penalty", -2),
        ("n", 1),
        ("n", None),
    ],
)
def test_a_number_that_some_provider_may_accept_is_not(parse: Callable[..., object], name: str, value: float) -> None:
    parse(**{name: value})


ALL_BODIES: dict[str, dict[str, object]] = {
    **BODIES,
    "gemini": {"contents": [{"parts": [{"text": "Hello"}]}]},
    "embeddings": {"input": "x"},
    "images": {"prompt": "x"},
    "rerank": {"documents": ["x"]},
}
FIELDS = {
    "chat": ("max_tokens", "max_completion_tokens", "n", "top_p"),
    "messages": ("max_tokens", "top_k"),
    "responses": ("max_output_tokens", "top_p"),
    "completions": ("max_tokens", "n", "best_of"),
    "gemini": ("maxOutputTokens", "max_output_tokens", "candidateCount", "topK"),
    "embeddings": ("dimensions",),
    "images": ("n",),
    "rerank": ("top_n",),
}
NUMBERS = {
    "36 digits": "9" * 36,
    "300 digits": "9" * 300,
    "4,297 digits": "9" * 4_297,
    "a large fraction": "1e400",
    "a negative one of 36 digits": "-" + "9" * 36,
    "a large power": "1e36",
}


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(("name", "field"), [(name, field) for name, fields in FIELDS.items() for field in fields])
def test_a_number_that_no_table_holds_is_rejected(name: str, field: str, number: str) -> None:
    more: dict[str, object] = {"generationConfig": {field: 0}} if name == "gemini" else {field: 0}
    asked = {"model": "m", **ALL_BODIES[name], **more}
    raw = json.dumps(asked).replace(f'"{field}": 0', f'"{field}": {NUMBERS[number]}')
    assert NUMBERS[number] in raw
    client = GeminiCall("m", stream=False) if name == "gemini" else registry.client(name)
    with pytest.raises(ApiError) as caught:
        client.parse(raw.encode(), {})
    assert caught.value.status == 400
    assert json.loads(client.error_body(caught.value))["error"]["message"]


@pytest.mark.parametrize(("name", "field"), [(name, fields[0]) for name, fields in FIELDS.items()])
def test_a_negative_limit_is_rejected(name: str, field: str) -> None:
    more: dict[str, object] = {"generationConfig": {field: -1}} if name == "gemini" else {field: -1}
    with pytest.raises(ApiError, match=f"{field}' must ") as caught:
        registry.client(name).parse(json.dumps({"model": "m", **ALL_BODIES[name], **more}).encode(), {})
    assert caught.value.status == 400

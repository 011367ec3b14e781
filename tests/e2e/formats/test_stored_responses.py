"""Stored responses through OpenAI's own package: create, continue, retrieve, list, delete, and access by key."""

from collections.abc import Iterator

import httpx
import openai
import pytest
from openai.types.responses import Response

from tests.e2e.formats.pairs import MODELS, PROVIDERS
from tests.e2e.stack import KEY, Stack

PROVIDER_FORMATS = ["chat", "responses"]
"""One provider whose answers are translated, and one whose answers pass through with its own ids."""


@pytest.fixture
def client(stack: Stack) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=stack.url, api_key=KEY, max_retries=0) as client:
        yield client


def generate_key(stack: Stack, **fields: object) -> str:
    headers = {"authorization": f"Bearer {KEY}"}
    return str(httpx.post(f"{stack.root}/key/generate", json=fields, headers=headers, timeout=60).json()["key"])


@pytest.fixture(scope="module")
def stranger(shared_formats_stack: Stack) -> Iterator[openai.OpenAI]:
    """A client whose key belongs to no team."""
    key = generate_key(shared_formats_stack, key_alias="stranger")
    with openai.OpenAI(base_url=shared_formats_stack.url, api_key=key, max_retries=0) as client:
        yield client


def last_body(stack: Stack, provider_format: str) -> str:
    """Return the body of the provider's latest request."""
    return str(stack.standin.requests(PROVIDERS[provider_format])[-1].body)


@pytest.mark.parametrize("provider_format", PROVIDER_FORMATS)
def test_a_conversation_is_stored_by_the_router(client: openai.OpenAI, stack: Stack, provider_format: str) -> None:
    model = MODELS[provider_format]
    first = client.responses.create(model=model, input="My name is Ada", instructions="Be a lighthouse keeper.")
    second = client.responses.create(model=model, input="And what is yours?", previous_response_id=first.id)
    assert (first.previous_response_id, second.previous_response_id) == (None, first.id)
    assert second.to_dict()["store"] is True
    sent = last_body(stack, provider_format)
    assert "My name is Ada" in sent
    assert first.output_text in sent
    assert "lighthouse" not in sent
    assert client.responses.retrieve(second.id) == second

    items = list(client.responses.input_items.list(second.id, order="asc", limit=2))
    assert [(item.type, getattr(item, "role", None)) for item in items] == [
        ("message", "user"),
        ("message", "assistant"),
        ("message", "user"),
    ]
    assert items[1].id == first.output[0].id

    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)
    third = client.responses.create(model=model, input="Who am I?", previous_response_id=second.id)
    assert "My name is Ada" in last_body(stack, provider_format)
    with pytest.raises(openai.BadRequestError, match="background"):
        client.responses.cancel(third.id)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=model, input="Who am I?", previous_response_id=first.id)
    assert caught.value.code == "previous_response_not_found"


@pytest.mark.parametrize("provider_format", PROVIDER_FORMATS)
def test_a_stream_is_stored_before_its_final_event(client: openai.OpenAI, provider_format: str) -> None:
    before = client.responses.create(model=MODELS[provider_format], input="My name is Ada")
    stream = client.responses.create(
        model=MODELS[provider_format], input="Go on", previous_response_id=before.id, store=True, stream=True
    )
    stored: Response | None = None
    for event in stream:
        if event.type in ("response.created", "response.completed"):
            assert event.response.previous_response_id == before.id
        if event.type == "response.completed":
            stored = client.responses.retrieve(event.response.id)
            assert stored == event.response
    assert stored is not None
    again = list(client.responses.retrieve(stored.id, stream=True))
    assert [event.sequence_number for event in again] == list(range(len(again)))
    assert again[-1].type == "response.completed"
    assert again[-1].response == stored


def test_referenced_items_are_filled_in(client: openai.OpenAI, stack: Stack) -> None:
    first = client.responses.create(model=MODELS["messages"], input="My name is Ada")
    referenced = first.output[0].id
    assert referenced is not None
    client.responses.create(
        model=MODELS["messages"],
        input=[
            {"role": "user", "content": "My name is Ada"},
            {"type": "item_reference", "id": referenced},
            {"role": "user", "content": "And what is yours?"},
        ],
    )
    assert first.output_text in last_body(stack, "messages")
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=MODELS["messages"], input=[{"type": "item_reference", "id": "msg_unknown"}])
    assert caught.value.param == "input[0]"


def test_a_response_does_not_exist_for_another_key(client: openai.OpenAI, stranger: openai.OpenAI) -> None:
    mine = client.responses.create(model=MODELS["chat"], input="My name is Ada")
    for call in (stranger.responses.retrieve, stranger.responses.delete, stranger.responses.cancel):
        with pytest.raises(openai.NotFoundError):
            call(mine.id)
    with pytest.raises(openai.NotFoundError):
        stranger.responses.input_items.list(mine.id)
    with pytest.raises(openai.BadRequestError, match="not found"):
        stranger.responses.create(model=MODELS["chat"], input="Who am I?", previous_response_id=mine.id)
    own = stranger.responses.create(model=MODELS["chat"], input="Hello")
    assert stranger.responses.retrieve(own.id) == own


def test_input_tokens_are_counted(client: openai.OpenAI) -> None:
    counted = client.responses.input_tokens.count(model=MODELS["chat"], input="My name is Ada")
    assert (counted.object, 0 < counted.input_tokens < 50) == ("response.input_tokens", True)


@pytest.mark.parametrize("provider_format", MODELS)
def test_a_compacted_conversation_continues(client: openai.OpenAI, stack: Stack, provider_format: str) -> None:
    compacted = client.responses.compact(model=MODELS["chat"], input="My name is Ada")
    assert compacted.object == "response.compaction"
    window = [item.to_dict() for item in compacted.output]
    answer = client.responses.create(
        model=MODELS[provider_format],
        input=[*window, {"role": "user", "content": "Go on"}],  # type: ignore[list-item] # as the package returns them
    )
    assert answer.status == "completed"
    assert "Summary of the conversation" in last_body(stack, provider_format)


def test_store_false_stores_nothing(client: openai.OpenAI) -> None:
    answer = client.responses.create(model=MODELS["chat"], input="Hello", store=False)
    assert answer.to_dict()["store"] is False
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answer.id)


def test_reading_counts_against_the_rate_limit(stack: Stack) -> None:
    key = generate_key(stack, key_alias="slow", rpm_limit=3)
    with openai.OpenAI(base_url=stack.url, api_key=key, max_retries=0) as client:
        answer = client.responses.create(model=MODELS["chat"], input="Hello")
        assert client.responses.retrieve(answer.id) == answer
        list(client.responses.input_items.list(answer.id))
        with pytest.raises(openai.RateLimitError):
            client.responses.retrieve(answer.id)


def test_a_conversation_that_is_too_large_is_not_stored(client: openai.OpenAI) -> None:
    message = {"role": "user", "content": "Hello", "more": [[] for _ in range(90_000)]}
    stored: str | None = None
    for _ in range(8):
        answer = client.responses.create(
            model=MODELS["chat"],
            input=[message],  # type: ignore[list-item] # no such field
            previous_response_id=stored,
        )
        if answer.to_dict()["store"] is False:
            break
        stored = answer.id
    else:
        pytest.fail("every turn was stored")
    assert stored
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answer.id)

"""Responses that are kept, by OpenAI's own package: made, gone on from, read, listed, deleted, and by whom."""

from collections.abc import Iterator

import httpx
import openai
import pytest
from openai.types.responses import Response

from tests.e2e.formats.pairs import MODELS, PROVIDERS
from tests.e2e.stack import KEY, Stack

SPOKEN = ["chat", "responses"]
"""A provider whose answers are translated, and one whose answers pass with ids of its own."""


@pytest.fixture
def client(stack: Stack) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=stack.url, api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def stranger(shared_formats_stack: Stack) -> Iterator[openai.OpenAI]:
    """A client with a key of nobody's team."""
    answer = httpx.post(
        f"{shared_formats_stack.root}/key/generate",
        json={"key_alias": "stranger"},
        headers={"authorization": f"Bearer {KEY}"},
        timeout=60,
    )
    with openai.OpenAI(base_url=shared_formats_stack.url, api_key=answer.json()["key"], max_retries=0) as client:
        yield client


def asked(stack: Stack, spoken: str) -> str:
    """Return what the provider was told last."""
    return str(stack.standin.requests(PROVIDERS[spoken])[-1].body)


@pytest.mark.parametrize("spoken", SPOKEN)
def test_a_conversation_is_kept_by_the_router(client: openai.OpenAI, stack: Stack, spoken: str) -> None:
    model = MODELS[spoken]
    first = client.responses.create(model=model, input="My name is Ada", instructions="Be a lighthouse keeper.")
    second = client.responses.create(model=model, input="And what is yours?", previous_response_id=first.id)
    assert (first.previous_response_id, second.previous_response_id) == (None, first.id)
    assert second.to_dict()["store"] is True
    told = asked(stack, spoken)
    assert "My name is Ada" in told
    assert first.output_text in told
    assert "lighthouse" not in told
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
    assert "My name is Ada" in asked(stack, spoken)
    with pytest.raises(openai.BadRequestError, match="background"):
        client.responses.cancel(third.id)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=model, input="Who am I?", previous_response_id=first.id)
    assert caught.value.code == "previous_response_not_found"


@pytest.mark.parametrize("spoken", SPOKEN)
def test_a_stream_is_kept_once_it_says_that_it_is_complete(client: openai.OpenAI, spoken: str) -> None:
    before = client.responses.create(model=MODELS[spoken], input="My name is Ada")
    stream = client.responses.create(
        model=MODELS[spoken], input="Go on", previous_response_id=before.id, store=True, stream=True
    )
    kept: Response | None = None
    for event in stream:
        if event.type in ("response.created", "response.completed"):
            assert event.response.previous_response_id == before.id
        if event.type == "response.completed":
            kept = client.responses.retrieve(event.response.id)
            assert kept == event.response
    assert kept is not None
    again = list(client.responses.retrieve(kept.id, stream=True))
    assert [event.sequence_number for event in again] == list(range(len(again)))
    assert again[-1].type == "response.completed"
    assert again[-1].response == kept


def test_items_are_named_by_their_ids(client: openai.OpenAI, stack: Stack) -> None:
    first = client.responses.create(model=MODELS["messages"], input="My name is Ada")
    named = first.output[0].id
    assert named is not None
    client.responses.create(
        model=MODELS["messages"],
        input=[
            {"role": "user", "content": "My name is Ada"},
            {"type": "item_reference", "id": named},
            {"role": "user", "content": "And what is yours?"},
        ],
    )
    assert first.output_text in asked(stack, "messages")
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=MODELS["messages"], input=[{"type": "item_reference", "id": "msg_unknown"}])
    assert caught.value.param == "input[0]"


def test_for_another_key_it_does_not_exist(client: openai.OpenAI, stranger: openai.OpenAI) -> None:
    mine = client.responses.create(model=MODELS["chat"], input="My name is Ada")
    for look in (stranger.responses.retrieve, stranger.responses.delete, stranger.responses.cancel):
        with pytest.raises(openai.NotFoundError):
            look(mine.id)
    with pytest.raises(openai.NotFoundError):
        stranger.responses.input_items.list(mine.id)
    with pytest.raises(openai.BadRequestError, match="not found"):
        stranger.responses.create(model=MODELS["chat"], input="Who am I?", previous_response_id=mine.id)
    own = stranger.responses.create(model=MODELS["chat"], input="Hello")
    assert stranger.responses.retrieve(own.id) == own


def test_tokens_are_counted_and_nothing_is_compacted(client: openai.OpenAI) -> None:
    counted = client.responses.input_tokens.count(model=MODELS["chat"], input="My name is Ada")
    assert (counted.object, 0 < counted.input_tokens < 50) == ("response.input_tokens", True)
    with pytest.raises(openai.BadRequestError, match="not compacted"):
        client.responses.compact(model=MODELS["chat"], input="My name is Ada")


def test_nothing_is_kept_for_who_says_so(client: openai.OpenAI) -> None:
    answer = client.responses.create(model=MODELS["chat"], input="Hello", store=False)
    assert answer.to_dict()["store"] is False
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answer.id)

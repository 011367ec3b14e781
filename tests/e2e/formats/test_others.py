"""Completions, embeddings and what else passes, by OpenAI's own package through the whole router."""

import httpx
import openai
import pytest

from tests.e2e.formats.pairs import MODELS
from tests.e2e.stack import KEY, Stack


@pytest.fixture
def client(stack: Stack) -> openai.OpenAI:
    return openai.OpenAI(base_url=stack.url, api_key=KEY, max_retries=0)


@pytest.mark.parametrize("model", ["completes", *MODELS.values()])
def test_completions_over_every_format(client: openai.OpenAI, model: str) -> None:
    whole = client.completions.create(model=model, prompt="Once upon a time", max_tokens=200)
    stream = client.completions.create(
        model=model, prompt="Once upon a time", max_tokens=200, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert whole.choices[0].text
    assert "".join(each.choices[0].text for each in chunks if each.choices) == whole.choices[0].text
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage == chunks[-1].usage


def test_embeddings_as_numbers_and_as_base64_are_the_same(client: openai.OpenAI) -> None:
    numbers = client.embeddings.create(model="embeds", input=["one", "two"], encoding_format="float")
    # Where no encoding is named the package asks for base64, and unpacks it.
    packed = client.embeddings.create(model="embeds", input=["one", "two"])
    assert [each.index for each in numbers.data] == [0, 1]
    assert packed.data[1].embedding == pytest.approx(numbers.data[1].embedding)
    assert numbers.usage.prompt_tokens > 0


def test_embeddings_on_a_chat_chain_are_a_400(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=MODELS["chat"], input="one")
    assert caught.value.code == "unsupported_format"


def test_moderations_images_speech_and_transcriptions(client: openai.OpenAI) -> None:
    assert client.moderations.create(model="embeds", input="I will attack").results[0].flagged
    assert client.images.generate(model="embeds", prompt="a cat").data
    assert client.images.edit(model="embeds", prompt="a dog", image=[("a.png", b"a"), ("b.png", b"b")]).data
    spoken = client.audio.speech.create(model="embeds", input="Hello", voice="alloy", response_format="wav")
    assert spoken.response.headers["content-type"] == "audio/wav"
    heard = client.audio.transcriptions.create(model="embeds", file=("a.wav", spoken.content, "audio/wav"))
    assert heard.text


def test_rerank(stack: Stack) -> None:
    answer = httpx.post(
        f"{stack.url}/rerank",
        headers={"x-api-key": KEY},
        json={"model": "embeds", "query": "a cat", "documents": ["a dog", "a cat"]},
    )
    assert answer.status_code == 200
    assert answer.json()["results"][0]["index"] == 1


def test_googles_package_lists_counts_and_chats(stack: Stack) -> None:
    genai = pytest.importorskip("google.genai")
    options = genai.types.HttpOptions(base_url=stack.root)
    with genai.Client(api_key=KEY, http_options=options, vertexai=False) as client:
        names = [model.name for model in client.models.list(config={"page_size": 50})]
        assert f"models/{MODELS['chat']}" in names
        assert len(names) == len(set(names)) > 50, "of several pages"
        assert client.models.get(model=MODELS["chat"]).display_name == MODELS["chat"]
        assert client.models.count_tokens(model=MODELS["chat"], contents="Hello").total_tokens > 0
        chat = client.chats.create(model=MODELS["responses"])
        chat.send_message("My name is Ada")
        for _ in chat.send_message_stream("And yours?"):
            pass
        roles = [content.role for content in chat.get_history(curated=True)]
        assert roles[:4] == ["user", "model", "user", "model"], "a turn that failed would be left out"
        assert chat.send_message("And now?").text
    [*_, body] = [each.body for each in stack.standin.requests("responds")]
    assert [item["role"] for item in body["input"]] == ["user", "assistant"] * 2 + ["user"]

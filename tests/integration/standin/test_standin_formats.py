"""Every format over a socket, as the official packages see it."""

from collections.abc import Iterator

import anthropic
import httpx
import openai
import pytest
from anthropic.types import MessageParam

from local.standin import Standin

HELLO = "Hello there"
PROVIDERS = ["cliproxyapi", "new-api", "ark"]


@pytest.fixture(scope="module")
def shared() -> Iterator[Standin]:
    with Standin() as standin:
        yield standin


@pytest.fixture
def standin(shared: Standin) -> Iterator[Standin]:
    shared.forget()
    yield shared
    shared.heal()
    for provider in PROVIDERS:
        shared.speaks(provider)
        shared.speaks(provider, model="gpt-5.2-codex")


@pytest.fixture
def client(standin: Standin) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=standin.base_url("new-api"), api_key="sk-1", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(standin: Standin) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=f"{standin.url}/cliproxyapi", api_key="sk-1", max_retries=0) as client:
        yield client


def test_a_streamed_response_is_accumulated(client: openai.OpenAI) -> None:
    whole = client.responses.create(model="gpt-5", input=HELLO)
    with client.responses.stream(model="gpt-5", input=HELLO) as stream:
        final = stream.get_final_response()
    assert final.output_text == whole.output_text
    assert final.usage == whole.usage


def test_a_streamed_message_is_accumulated(claude: anthropic.Anthropic) -> None:
    reply: list[MessageParam] = [{"role": "user", "content": HELLO}]
    whole = claude.messages.create(model="claude", max_tokens=500, messages=reply)
    with claude.messages.stream(model="claude", max_tokens=500, messages=reply) as stream:
        final = stream.get_final_message()
    assert [block.text for block in final.content if block.type == "text"] == [
        block.text for block in whole.content if block.type == "text"
    ]
    assert final.usage == whole.usage
    counted = claude.messages.count_tokens(model="claude", messages=reply)
    assert counted.input_tokens == whole.usage.input_tokens


def test_completions_go_on_from_their_prompts(client: openai.OpenAI) -> None:
    prompts = ["write 7 words", "write 9 words"]
    whole = client.completions.create(model="m", prompt=prompts, n=2, max_tokens=50)
    assert [len(choice.text.split()) for choice in whole.choices] == [7, 7, 9, 9]
    texts = ["", "", "", ""]
    usage = None
    options = openai.types.chat.ChatCompletionStreamOptionsParam(include_usage=True)
    for chunk in client.completions.create(
        model="m", prompt=prompts, n=2, max_tokens=50, stream=True, stream_options=options
    ):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert texts == [choice.text for choice in whole.choices]
    assert usage == whole.usage


def test_embeddings_are_the_same_as_floats_and_in_base64(client: openai.OpenAI) -> None:
    floats = client.embeddings.create(model="m", input=["a", "b"], dimensions=5, encoding_format="float")
    decoded = client.embeddings.create(model="m", input=["a", "b"], dimensions=5)  # the package asks for base64
    assert [each.embedding for each in floats.data] == [pytest.approx(each.embedding) for each in decoded.data]
    assert floats.data[0].embedding != floats.data[1].embedding
    assert floats.usage.prompt_tokens == 2


def test_other_endpoints_than_conversations_are_served(client: openai.OpenAI, standin: Standin) -> None:
    judged = client.moderations.create(model="m", input=["a flower", "kill it"])
    assert [result.flagged for result in judged.results] == [False, True]
    assert judged.results[1].categories.violence
    image = client.images.generate(model="m", prompt="a tree", n=2)
    assert len(image.data or []) == 2
    speech = client.audio.speech.create(model="m", voice="alloy", input="hello", response_format="wav")
    assert speech.content.startswith(b"RIFF")
    assert speech.response.headers["content-type"] == "audio/wav"
    heard = client.audio.transcriptions.create(model="m", file=("hello.wav", speech.content))
    assert f"hello.wav has {len(speech.content)} bytes" in heard.text
    assert standin.requests("new-api")[-1].body["file"]["size"] == len(speech.content)
    assert standin.requests("new-api")[-1].model == "m"
    ranked = httpx.post(
        f"{standin.base_url('ark')}/rerank",
        headers={"authorization": "Bearer k"},
        json={"model": "m", "query": "red fox", "documents": ["blue", "a red fox", "red"], "top_n": 2},
    ).json()
    assert [result["index"] for result in ranked["results"]] == [1, 2]


@pytest.mark.parametrize("stream", [False, True])
def test_a_codex_channel_serves_only_streamed_responses(client: openai.OpenAI, standin: Standin, stream: bool) -> None:
    standin.speaks("new-api", "responses", model="gpt-5.2-codex")
    with client.responses.stream(model="gpt-5.2-codex", input=HELLO) as events:
        assert events.get_final_response().output_text
    with pytest.raises(openai.BadRequestError, match="Stream must be set to true"):
        client.responses.create(model="gpt-5.2-codex", input=HELLO)
    with pytest.raises(openai.InternalServerError, match="endpoint not supported"):
        client.chat.completions.create(
            model="gpt-5.2-codex", messages=[{"role": "user", "content": HELLO}], stream=stream
        )
    assert client.completions.create(model="gpt-5", prompt=HELLO).choices


def test_a_provider_has_no_path_of_a_format_that_it_does_not_speak(client: openai.OpenAI, standin: Standin) -> None:
    standin.speaks("new-api", "chat")
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="gpt-5", input=HELLO)


def test_errors_come_in_the_formats_own_envelope(
    client: openai.OpenAI, claude: anthropic.Anthropic, standin: Standin
) -> None:
    standin.fault("cliproxyapi", "429")
    with pytest.raises(anthropic.RateLimitError) as limited:
        claude.messages.create(model="m", max_tokens=5, messages=[{"role": "user", "content": HELLO}])
    assert isinstance(limited.value.body, dict)
    assert limited.value.body["type"] == "error"
    with pytest.raises(openai.BadRequestError) as rejected:
        client.responses.create(model="m", input=HELLO, previous_response_id="resp_1")
    assert rejected.value.code == "previous_response_not_found"
    bare = httpx.post(f"{standin.base_url('ark')}/messages", headers={"x-api-key": "k"}, json={"model": "m"})
    assert bare.status_code == 400
    assert "anthropic-version" in bare.json()["error"]["message"]


def test_errors_inside_streams_come_in_the_formats_own_events(
    client: openai.OpenAI, claude: anthropic.Anthropic, standin: Standin
) -> None:
    standin.fault("cliproxyapi", "stream_error", after=2, case="common:overloaded")
    with (
        pytest.raises(anthropic.APIStatusError, match="overloaded"),
        claude.messages.stream(model="m", max_tokens=50, messages=[{"role": "user", "content": HELLO}]) as messages,
    ):
        messages.until_done()
    standin.fault("new-api", "stream_error", after=2)
    events = list(client.responses.create(model="m", input=HELLO, stream=True))
    assert [event.type for event in events[-2:]] == ["response.output_text.delta", "error"]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    standin.fault("new-api", "stream_error", after=2, shape="failed")
    *_, last = client.responses.create(model="m", input=HELLO, stream=True)
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert last.sequence_number == len(events) - 1

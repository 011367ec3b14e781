"""The official `anthropic` package against the running router, beyond the scenarios of all formats."""

from collections.abc import Iterator

import anthropic
import pytest
from anthropic.types import MessageParam

from tests.e2e.stack import KEY, Stack

HELLO: list[MessageParam] = [{"role": "user", "content": "Hello there"}]


@pytest.fixture
def client(stack: Stack) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=stack.root, api_key=KEY, max_retries=0, timeout=60) as client:
        yield client


@pytest.mark.parametrize("model", ["auto-chat", "auto-claude-mini", "auto-codex"])
def test_every_chain_answers_whole_and_streamed(client: anthropic.Anthropic, model: str) -> None:
    whole = client.messages.create(model=model, max_tokens=500, messages=HELLO)
    with client.messages.stream(model=model, max_tokens=500, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        streamed = stream.get_final_message()
    assert text
    assert [block.to_dict() for block in streamed.content] == [block.to_dict() for block in whole.content]
    assert (streamed.stop_reason, streamed.model) == (whole.stop_reason, whole.model)
    assert whole._request_id  # noqa: SLF001 - the package's documented name


def test_bearer_tokens_and_beta_headers_work(stack: Stack) -> None:
    with anthropic.Anthropic(base_url=stack.root, auth_token=KEY, max_retries=0) as client:
        answer = client.beta.messages.create(
            model="auto-claude",
            max_tokens=500,
            messages=[{"role": "user", "content": "Hello"}],
            betas=["context-management-2025-06-27"],
            context_management={"edits": [{"type": "clear_tool_uses_20250919"}]},
        )
    assert answer.content
    sent = stack.standin.requests("cliproxyapi")[-1]
    assert sent.headers["anthropic-beta"] == "context-management-2025-06-27"
    assert sent.body["context_management"] == {"edits": [{"type": "clear_tool_uses_20250919"}]}
    assert sent.headers["x-api-key"] != KEY


def test_tokens_are_counted(client: anthropic.Anthropic, stack: Stack) -> None:
    counted = client.messages.with_raw_response.count_tokens(model="auto-claude", messages=HELLO)
    assert counted.headers["x-vibe-deployment"].startswith("cliproxyapi/")
    asked = client.messages.create(model="auto-claude", max_tokens=500, messages=HELLO)
    assert counted.parse().input_tokens == asked.usage.input_tokens
    estimated = client.messages.with_raw_response.count_tokens(model="auto-codex", messages=HELLO)
    assert "x-vibe-deployment" not in estimated.headers
    assert estimated.parse().input_tokens > 0


def test_errors_have_the_packages_classes(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.AuthenticationError) as rejected:
        client.with_options(api_key="sk-wrong").messages.create(model="auto-claude", max_tokens=5, messages=HELLO)
    assert rejected.value.request_id
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="no-such-model", max_tokens=5, messages=HELLO)
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        client.messages.create(model="auto-claude", max_tokens=-1, messages=HELLO)


def test_a_broken_stream_is_an_error(client: anthropic.Anthropic, stack: Stack) -> None:
    stack.fault("cliproxyapi", "cut", times=1)
    with (
        pytest.raises(anthropic.APIStatusError, match="incomplete"),
        client.messages.stream(model="auto-claude", max_tokens=500, messages=HELLO) as stream,
    ):
        stream.until_done()


def test_a_failover_is_invisible(client: anthropic.Anthropic, stack: Stack) -> None:
    stack.fault("cliproxyapi", "529")
    raw = client.messages.with_raw_response.create(model="auto-claude", max_tokens=500, messages=HELLO)
    assert raw.headers["x-vibe-deployment"] == "ark/glm-4.7"
    assert raw.parse().content

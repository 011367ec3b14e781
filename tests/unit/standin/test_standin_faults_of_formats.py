"""The one table of faults, over every format."""

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

import pytest

from local.standin.bedrock import CONVERSE
from local.standin.chat import CHAT
from local.standin.completions import COMPLETIONS
from local.standin.dialects import Facts
from local.standin.exchange import Exchange
from local.standin.faults import FAULTS, find_fault, play
from local.standin.formats import AnswerContext, Format
from local.standin.messages import MESSAGES
from local.standin.other_formats import EMBEDDINGS
from local.standin.responses import RESPONSES
from local.standin.steps import Send

SPEAKER = AnswerContext("new-api", 1_785_600_000, "abc", "sk-1")
BODIES: Mapping[str, Mapping[str, Any]] = {
    "chat": {"model": "m", "messages": [{"role": "user", "content": "Hello"}]},
    "responses": {"model": "m", "input": "Hello"},
    "messages": {"model": "m", "max_tokens": 500, "messages": [{"role": "user", "content": "Hello"}]},
    "completions": {"model": "m", "prompt": "Hello", "max_tokens": 100},
    "converse": {"model": "m", "stream": True, "messages": [{"role": "user", "content": [{"text": "Hello"}]}]},
    "embeddings": {"model": "m", "input": "Hello"},
}
FORMATS = (CHAT, RESPONSES, MESSAGES, COMPLETIONS, CONVERSE, EMBEDDINGS)


def exchange(spoken: Format, *, stream: bool) -> Exchange:
    answer = spoken.answer(BODIES[spoken.name], SPEAKER)
    return Exchange("new-api", "m", stream and spoken.streams, spoken, answer, Facts(), 0.0, SPEAKER)


def sent(spoken: Format, fault: str, *, stream: bool, **options: object) -> bytes:
    """Return what goes onto the connection before it stalls."""
    steps = play(find_fault("new-api", fault, options), options, exchange(spoken, stream=stream))
    return b"".join(step.data for step in islice(steps, 5000) if isinstance(step, Send))


@pytest.mark.parametrize("spoken", FORMATS, ids=lambda spoken: spoken.name)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_every_fault_has_its_steps_in_every_format(spoken: Format, stream: bool) -> None:
    for fault in [*FAULTS, "503", "429", "no_channel"]:
        sent(spoken, fault, stream=stream)


STREAMED = pytest.mark.parametrize("spoken", FORMATS[:5], ids=lambda spoken: spoken.name)
FIRST_WORDS = b"This"


@STREAMED
def test_a_stream_can_end_before_its_first_content(spoken: Format) -> None:
    assert FIRST_WORDS not in sent(spoken, "cut_after_role", stream=True)
    assert FIRST_WORDS in sent(spoken, "cut", stream=True)


@STREAMED
def test_a_stream_can_lack_its_finish(spoken: Format) -> None:
    ends = (b'"stop"', b"response.completed", b"message_delta", b"messageStop")
    assert any(end in sent(spoken, "crlf", stream=True) for end in ends)
    assert not any(end in sent(spoken, "no_finish", stream=True) for end in ends)
    assert not any(end in sent(spoken, "truncated", stream=True) for end in ends)


@STREAMED
@pytest.mark.parametrize("stream", [False, True])
def test_usage_can_be_left_out(spoken: Format, stream: bool) -> None:
    counts = [f'"{name}okens"'.encode() for name in ("input_t", "output_t", "prompt_t", "inputT", "outputT")]
    assert any(count in sent(spoken, "usage_everywhere", stream=stream) for count in counts)
    assert not any(count in sent(spoken, "no_usage", stream=stream) for count in counts)


@STREAMED
def test_an_answer_can_be_hollow(spoken: Format) -> None:
    for stream in (False, True):
        reported = sent(spoken, "no_choices", stream=stream)
        assert b"200 OK" in reported
        assert FIRST_WORDS not in reported


REASONS = {
    "chat": b'"finish_reason": "network_error"',
    "completions": b'"finish_reason":"network_error"',
    "messages": b'"stop_reason":"network_error"',
    "responses": b'"incomplete_details":{"reason":"network_error"}',
}


@pytest.mark.parametrize("spoken", FORMATS[:4], ids=lambda spoken: spoken.name)
def test_an_answer_can_end_with_any_reason_early_or_late(spoken: Format) -> None:
    reason = REASONS[spoken.name]
    for data in (
        sent(spoken, "finish", stream=False, reason="network_error").replace(b'": "', b'":"'),
        sent(spoken, "finish", stream=True, reason="network_error").replace(b'": "', b'":"'),
    ):
        assert reason.replace(b'": "', b'":"') in data
    whole = sent(spoken, "finish", stream=True)
    assert len(sent(spoken, "finish", stream=True, after=2)) < len(whole)


@pytest.mark.parametrize("spoken", FORMATS[:5], ids=lambda spoken: spoken.name)
def test_an_answer_can_complete_early_without_usage(spoken: Format) -> None:
    for stream in (False, True):
        data = sent(spoken, "completed_early", stream=stream)
        assert b"200 OK" in data
        assert not re.search(rb'"(?:input_t|output_t|prompt_t|inputT)okens":', data)
        assert (FIRST_WORDS in data) is stream


def test_an_error_can_be_inside_the_choice() -> None:
    for stream in (False, True):
        data = sent(CHAT, "choice_error", stream=stream)
        assert b'"finish_reason": "error", "error": {' in data


def test_an_error_can_be_a_line_without_data() -> None:
    data = sent(CHAT, "stream_error", stream=True, shape="line")
    assert re.search(rb'\r\n\{"error": \{[^\r]*\}\n\n\r\n', data)
    assert b'data: {"error"' not in data

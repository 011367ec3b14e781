"""After the commit a stream is either whole or says that it is not."""

import json
from typing import Any

import pytest

from local.standin.steps import Close, Send, Step
from tests.integration.failover.harness import L1, L2, Harness
from vibe_router.routing.cooldown import Phase

BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("cut", {"by": "fin"}, "stream_truncated"),
    ("cut", {"by": "rst"}, "stream_truncated"),
    ("cut_in_chunk", {"by": "fin"}, "stream_truncated"),
    ("cut_in_event", {"by": "end"}, "stream_truncated"),
    ("cut_in_event", {"by": "rst"}, "stream_truncated"),
    ("truncated", {}, "stream_truncated"),
    ("no_finish", {}, "stream_truncated"),
    ("stall", {}, "stream_stalled"),
    ("stall", {"comments": 0.05}, "stream_stalled"),
    ("stream_error_late", {}, "stream_error"),
]
HEALTHY: list[tuple[str, dict[str, Any]]] = [
    ("comments", {}),
    ("crlf", {}),
    ("no_space", {}),
    ("named_events", {}),
    ("split", {"size": 1}),
    ("split", {"size": 7}),
    ("together", {"events": 0}),
    ("no_done", {}),
    ("usage_everywhere", {}),
    ("no_usage", {}),
    ("gzip", {}),
    ("whole_for_stream", {}),
    ("malformed", {}),
    ("huge_event", {"size": 300_000}),
]


def _ids(cases: list[Any]) -> list[str]:
    return [" ".join([case[0], *map(str, case[1].values())]) for case in cases]


@pytest.mark.parametrize(("fault", "options", "code"), BROKEN, ids=_ids(BROKEN))
def test_a_stream_that_breaks_ends_in_an_error_event_and_no_done(
    harness: Harness, fault: str, options: dict[str, Any], code: str
) -> None:
    harness.standin.fault("cliproxyapi", fault, **options)
    outcome = harness.ask()
    assert outcome.deployment == L1, "after the commit there is no other layer"
    assert outcome.text.strip(), "what came before the break has reached the caller"
    assert b"[DONE]" not in outcome.events
    error = json.loads(outcome.events[-1])["error"]
    assert (error["type"], error["code"]) == ("upstream_error", code)
    assert error["message"]
    assert harness.cooldown().phase(harness.now) is Phase.COOLING, "the next caller is spared"
    assert outcome.verdicts == [(L1, "transient")]


@pytest.mark.parametrize(("fault", "options"), HEALTHY, ids=_ids(HEALTHY))
def test_an_unusual_but_complete_stream_is_passed_on(harness: Harness, fault: str, options: dict[str, Any]) -> None:
    plain = harness.ask()
    harness.standin.fault("cliproxyapi", fault, **options)
    outcome = harness.ask()
    assert outcome.deployment == L1
    assert outcome.whole
    assert fault == "malformed" or outcome.text == plain.text
    assert harness.cooldown().phase(harness.now) is Phase.HEALTHY


def test_a_malformed_chunk_is_left_out_and_counted(harness: Harness) -> None:
    harness.standin.fault("cliproxyapi", "malformed")
    outcome = harness.ask()
    assert outcome.whole
    assert outcome.relay is not None
    assert outcome.relay.stream.reader.malformed == 1


@pytest.mark.parametrize("wanted", [True, False, None], ids=["asked for", "declined", "not mentioned"])
def test_usage_is_always_requested_and_passed_on_only_on_request(harness: Harness, wanted: bool | None) -> None:
    outcome = harness.ask() if wanted is None else harness.ask(stream_options={"include_usage": wanted})
    sent = harness.standin.requests("cliproxyapi")[-1].body
    assert sent["stream_options"]["include_usage"] is True
    reported = [chunk for chunk in outcome.chunks if chunk.get("usage") and not chunk["choices"]]
    assert bool(reported) is bool(wanted)
    assert outcome.relay is not None
    assert outcome.relay.stream.reader.usage.completion_tokens


def test_a_healthy_streams_bytes_are_the_providers(harness: Harness) -> None:
    """Only the usage chunk, which was not asked for, is missing."""
    outcome = harness.ask(stream_options={"include_usage": True})
    chunk = outcome.chunks[0]
    assert chunk["model"] == "claude-sonnet-4-6", "the body names the model that really answered"
    assert outcome.body.endswith(b"data: [DONE]\n\n")


def test_an_answer_streamed_unasked_is_assembled(harness: Harness) -> None:
    plain = harness.ask(stream=False)
    harness.standin.fault("cliproxyapi", "stream_for_whole")
    outcome = harness.ask(stream=False)
    assert (outcome.deployment, outcome.text) == (L1, plain.text)


def test_n_choices_and_tool_calls_pass_through(harness: Harness) -> None:
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
    outcome = harness.ask(tools=tools, tool_choice="required", n=2)
    assert outcome.whole
    calls = [d for chunk in outcome.chunks for c in chunk["choices"] if (d := c["delta"].get("tool_calls"))]
    assert calls
    assert {choice["index"] for chunk in outcome.chunks for choice in chunk["choices"]} == {0, 1}


def test_a_stream_cut_after_one_of_its_choices_is_not_complete(harness: Harness) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    chunk = b'data: {"choices":[{"index":%d,"delta":{"content":"x"},"finish_reason":%s}]}\n\n'
    steps: list[Step] = [
        Send(head),
        Send(chunk % (0, b"null")),
        Send(chunk % (1, b"null")),
        Send(chunk % (0, b'"stop"')),
        Close(),
    ]
    harness.standin.script("cliproxyapi", steps)
    outcome = harness.ask(n=2)
    assert not outcome.whole
    assert json.loads(outcome.events[-1])["error"]["code"] == "stream_truncated"


def test_the_second_step_is_not_called_while_the_first_is_healthy(harness: Harness) -> None:
    assert harness.ask().deployment == L1
    assert harness.ask(stream=False).deployment == L1
    assert harness.calls("new-api") == 0
    assert L2 not in {attempt.deployment for attempt in harness.ask().trace.attempts}

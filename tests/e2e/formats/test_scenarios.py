"""One set of scenarios, for every format of callers with every format of providers, streamed and not."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.e2e.formats.callers import CALLERS, Answer, Ask, Call, Caller, Tool, image, made
from tests.e2e.formats.pairs import MODELS, PAIRS, PROVIDER_MODEL, PROVIDERS
from tests.e2e.stack import KEY, Stack

HELLO = "Hello there"
TOOLS = [Tool("weather"), Tool("clock")]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
STOPS = {"chat", "messages", "converse", "gemini"}
"""Formats that have stop sequences; a provider of another format gets none."""
UNSEEN_THOUGHTS = {("chat", "responses")}
"""A caller of chat has no word for asking to see thoughts, and Responses shows them only to who asks."""


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0]} over {pair[1]}")
def pair(request: pytest.FixtureRequest) -> tuple[str, str]:
    found: tuple[str, str] = request.param
    return found


@pytest.fixture(scope="module")
def callers(shared_formats_stack: Stack) -> Iterator[dict[str, Caller]]:
    """One caller of each format, since making a client costs more than most requests."""
    made_for: dict[str, Caller] = {spoken: make(shared_formats_stack.root, KEY) for spoken, make in CALLERS.items()}
    yield made_for
    for each in made_for.values():
        each.close()


@pytest.fixture
def caller(pair: tuple[str, str], callers: dict[str, Caller], stack: Stack) -> Caller:
    return callers[pair[0]]


@pytest.fixture
def model(pair: tuple[str, str]) -> str:
    return MODELS[pair[1]]


@pytest.fixture
def provider(pair: tuple[str, str]) -> str:
    return PROVIDERS[pair[1]]


@pytest.fixture
def broken(pair: tuple[str, str], spares: dict[str, Iterator[str]]) -> str:
    """A virtual model that this test alone breaks."""
    return next(spares[pair[1]])


def both(caller: Caller, model: str, ask: Ask) -> Answer:
    """Ask for a whole answer and for a stream, which must say the same; return the streamed one."""
    whole, streamed = caller.ask(model, ask), caller.stream(model, ask)
    assert streamed.everything == whole.everything
    assert streamed == whole
    return streamed


def test_a_plain_question(caller: Caller, model: str, provider: str) -> None:
    answer = both(caller, model, Ask([HELLO]))
    assert f"This is the {provider} stand-in, speaking as {PROVIDER_MODEL}" in answer.text
    assert f"You wrote “{HELLO}”" in answer.text
    assert answer.finish == "stop"
    assert answer.model == PROVIDER_MODEL
    assert answer.completion_tokens == len(answer.text.split())
    assert answer.prompt_tokens > 3


def test_a_system_prompt(caller: Caller, model: str, stack: Stack, provider: str) -> None:
    plain = caller.ask(model, Ask([HELLO]))
    answer = both(caller, model, Ask([HELLO], system="Answer in the manner of a lighthouse keeper."))
    assert answer.prompt_tokens > plain.prompt_tokens + 10
    assert "lighthouse keeper" in json.dumps(stack.standin.requests(provider)[-1].body)


def test_a_conversation_of_several_turns(caller: Caller, model: str) -> None:
    first = both(caller, model, Ask(["My name is Ada"]))
    second = both(caller, model, Ask(["My name is Ada", first, "And what is yours?"]))
    assert "You wrote “And what is yours?”" in second.text
    assert second.prompt_tokens > first.prompt_tokens + first.completion_tokens / 2


def test_two_rounds_of_tools(caller: Caller, model: str) -> None:
    talk: list[Any] = ['Please call weather with {"city": "Rome"} and then call clock with {"city": "Oslo"}.']
    expected = [Call("weather", {"city": "Rome"}, ""), Call("clock", {"city": "Oslo"}, "")]
    for call in expected:
        answer = both(caller, model, Ask(talk, tools=TOOLS))
        assert answer.calls == [call]
        assert answer.finish == "tools"
        talk += [answer, made(answer.calls)]
    last = both(caller, model, Ask(talk, tools=TOOLS))
    assert last.finish == "stop"
    assert "clock returned clock-in-Oslo." in last.text


def test_tools_in_parallel(caller: Caller, model: str) -> None:
    asked = 'Please call weather with {"city": "Rome"} and clock with {"city": "Oslo"}.'
    answer = both(caller, model, Ask([asked], tools=TOOLS))
    assert answer.calls == [Call("weather", {"city": "Rome"}, ""), Call("clock", {"city": "Oslo"}, "")]
    assert len({call.id for call in answer.calls}) == 2
    last = both(caller, model, Ask([asked, answer, made(answer.calls)], tools=TOOLS))
    assert "weather returned weather-in-Rome. clock returned clock-in-Oslo." in last.text


def test_a_tool_that_must_be_called(caller: Caller, model: str) -> None:
    answer = both(caller, model, Ask([HELLO], tools=TOOLS, force="clock"))
    assert answer.calls == [Call("clock", {"city": HELLO}, "")]


def test_images(caller: Caller, model: str) -> None:
    answer = both(caller, model, Ask([["What are these?", image(), image()]]))
    assert "I see 2 images with it." in answer.text


def test_structured_output(caller: Caller, model: str) -> None:
    answer = both(caller, model, Ask([HELLO], schema=SCHEMA))
    assert json.loads(answer.text) == {"name": HELLO, "age": 1}


def test_a_long_stream(caller: Caller, model: str) -> None:
    answer = both(caller, model, Ask(["Write 200 words about rivers"]))
    assert len(answer.text.split()) == 200
    assert answer.completion_tokens == 200


def test_a_stop_sequence(caller: Caller, model: str, pair: tuple[str, str]) -> None:
    if pair[0] not in STOPS:
        pytest.skip("the caller's format has no stop sequences")
    ask = Ask([HELLO], stop=" stand-in")
    if pair[1] not in STOPS:
        for asked in (caller.ask, caller.stream):
            with pytest.raises(caller.failures, match="stop"):
                asked(model, ask)
        return
    answer = both(caller, model, ask)
    assert answer.text.startswith("This is the ")
    assert "stand-in" not in answer.text
    assert answer.finish == "stop"


def test_a_limit_of_tokens(caller: Caller, model: str) -> None:
    answer = both(caller, model, Ask([HELLO], limit=4))
    assert (answer.finish, answer.completion_tokens) == ("length", 4)


def test_reasoning(caller: Caller, model: str, pair: tuple[str, str]) -> None:
    answer = both(caller, model, Ask([HELLO], think=True))
    shown = pair not in UNSEEN_THOUGHTS
    thought = f"The user wrote “{HELLO}”. I am a stand-in, so I reason in one sentence."
    assert answer.reasoning == (thought if shown else "")
    assert answer.completion_tokens > len(answer.text.split())
    second = both(caller, model, Ask([HELLO, answer, "Go on"], think=True))
    assert "You wrote “Go on”" in second.text


def test_reasoning_with_tools(caller: Caller, model: str) -> None:
    asked = 'Please call weather with {"city": "Rome"}.'
    first = both(caller, model, Ask([asked], tools=TOOLS, think=True))
    assert first.calls
    second = both(caller, model, Ask([asked, first, made(first.calls)], tools=TOOLS, think=True))
    assert "weather returned weather-in-Rome." in second.text


FAULTS = [("invalid_request", 400), ("server_error", 502), ("rate_limit", 429), ("context_length", 400)]


@pytest.mark.parametrize("number", range(len(FAULTS)), ids=[fault for fault, _ in FAULTS])
def test_an_error_before_the_answer(
    caller: Caller, broken: str, stack: Stack, pair: tuple[str, str], provider: str, number: int
) -> None:
    fault, status = FAULTS[number]
    streamed = (PAIRS.index(pair) + number) % 2  # each pair has two faults of each kind, each fault comes in both
    stack.standin.fault(provider, fault, model=broken)
    with pytest.raises(caller.failures) as raised:
        (caller.stream if streamed else caller.ask)(broken, Ask([HELLO]))
    assert raised.value.status_code == status  # type: ignore[attr-defined] # both packages' errors have it


def test_an_unknown_model_and_a_wrong_key(caller: Caller, stack: Stack, pair: tuple[str, str]) -> None:
    with pytest.raises(caller.failures, match="via-chat") as unknown:
        caller.ask("no-such-model", Ask([HELLO]))
    assert unknown.value.status_code == 404  # type: ignore[attr-defined] # both packages' errors have it
    stranger = CALLERS[pair[0]](stack.root, "sk-wrong")
    with pytest.raises(caller.failures) as rejected:
        stranger.ask(MODELS[pair[1]], Ask([HELLO]))
    stranger.close()
    assert rejected.value.status_code == 401  # type: ignore[attr-defined] # both packages' errors have it


@pytest.mark.parametrize("fault", ["stream_error_late", "cut", "truncated"])
def test_an_error_inside_the_answer(caller: Caller, broken: str, stack: Stack, provider: str, fault: str) -> None:
    stack.standin.fault(provider, fault, model=broken, after=5)
    received: list[str] = []
    with caller.pieces(broken, Ask([HELLO])) as pieces, pytest.raises(caller.failures):
        received.extend(pieces)
    assert "".join(received).startswith("This is the")


def test_hanging_up(caller: Caller, broken: str, stack: Stack, provider: str) -> None:
    stack.standin.fault(provider, "slow_stream", model=broken, times=1, seconds=0.01)
    with caller.pieces(broken, Ask([HELLO])) as pieces:
        assert next(iter(pieces)) is not None
    assert caller.ask(broken, Ask([HELLO])).text


@pytest.mark.parametrize("spoken", MODELS)
def test_counting_the_tokens_of_a_message(stack: Stack, spoken: str) -> None:
    with anthropic.Anthropic(base_url=stack.root, api_key=KEY, max_retries=0) as client:
        short = client.messages.count_tokens(model=MODELS[spoken], messages=[{"role": "user", "content": HELLO}])
        long = client.messages.count_tokens(model=MODELS[spoken], messages=[{"role": "user", "content": HELLO * 50}])
    assert 0 < short.input_tokens < long.input_tokens < 500

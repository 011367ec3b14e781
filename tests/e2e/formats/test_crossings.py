"""Conversations that go from a provider of one format to one of another and back, with reasoning and tools."""

from typing import Any

import pytest

from tests.e2e.formats.callers import CALLERS, Ask, Tool, made
from tests.e2e.formats.pairs import CROSSINGS, PROVIDERS, crossing
from tests.e2e.stack import KEY, Stack

TOOLS = [Tool("weather"), Tool("clock")]
ASKED = (
    'Please call weather with {"city": "Rome"} and then call clock with {"city": "Oslo"} '
    'and then call weather with {"city": "Bern"}.'
)


@pytest.mark.parametrize(
    ("user", "first", "second"),
    [pytest.param(*each, id=f"{each[0]} over {each[1]} and {each[2]}") for each in CROSSINGS if each[0] in CALLERS],
)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_conversation_survives_every_change_of_format(
    stack: Stack, user: str, first: str, second: str, streamed: bool
) -> None:
    caller = CALLERS[user](stack.root, KEY)
    model = crossing(user, first, second)
    ask = caller.stream if streamed else caller.ask
    talk: list[Any] = [ASKED]
    # The first deployment finds every other request too long, which cools nothing, so the two take turns.
    for spoken in (second, first, second, first):
        stack.standin.heal(PROVIDERS[first], model)
        if spoken == second:
            stack.standin.fault(PROVIDERS[first], "context_length", model=model)
        stack.standin.forget()
        answer = ask(model, Ask(talk, tools=TOOLS, think=True))
        assert stack.standin.requests(PROVIDERS[spoken])[-1].fault is None
        assert bool(stack.standin.requests(PROVIDERS[second])) == (spoken == second)
        talk += [answer, made(answer.calls)]
    caller.close()
    assert answer.calls == []
    assert "weather returned weather-in-Bern." in answer.text

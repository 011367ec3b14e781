"""The failover catalogue: sixteen ways in which a layer fails, in every format, streamed and whole.

With the default settings every request is answered, except where the answer had begun: such an answer ends in an
error that its client sees. No answer ever looks complete without being so.
"""

from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import pytest

from tests.integration.failover.harness import L1, L2
from tests.integration.failover.served import FORMATS, Served, Server
from vibe_router.core.price import cost
from vibe_router.routing.cooldown import Phase

FIRST, SECOND = "cliproxyapi", "new-api"


@dataclass(frozen=True)
class Scenario:
    """A failure of the first step, and the outcome: the deployment that serves, None for an error.

    `whole` is the same for an answer that is not streamed, if it differs. `attempts` are the verdicts.
    """

    name: str
    faults: tuple[tuple[str, dict[str, Any]], ...]
    streamed: str | None
    attempts: tuple[str, ...]
    whole: str | None = L2
    whole_attempts: tuple[str, ...] | None = None
    error: tuple[int, str] | None = None


CATALOGUE = (
    Scenario(
        "429 with Retry-After", (("429", {"headers": {"retry-after": "1"}, "times": 1}),), L1, ("rate_limited",), L1
    ),
    Scenario("persistent 429", (("429", {}),), L2, ("rate_limited",)),
    Scenario("one 500", (("500", {"times": 1}),), L1, ("transient",), L1),
    Scenario("persistent 503", (("503", {}),), L2, ("transient", "transient")),
    Scenario("reset", (("reset", {}),), L2, ("transient", "transient")),
    Scenario("silence", (("silence", {}),), L2, ("transient",)),
    Scenario("late first token", (("silent_role", {}),), L2, ("transient",)),
    Scenario("cut stream", (("cut", {"by": "fin"}),), None, (), L2, ("transient",)),
    Scenario("stall", (("stall", {}),), None, (), L2, ("transient",)),
    Scenario("malformed chunk", (("malformed", {}),), L1, (), L2, ("transient",)),
    Scenario("no [DONE]", (("no_done", {}),), L1, (), L1),
    Scenario("context length", (("context_length", {}),), L2, ("context_length",)),
    Scenario("content filter", (("content_filter", {}),), None, ("content_policy",), None, error=(400, "content")),
)


def _arrange(server: Server, scenario: Scenario) -> None:
    for fault, options in scenario.faults:
        server.standin.fault(FIRST, fault, **options)


def _checked(served: Served, serves: str | None, attempts: tuple[str, ...], error: tuple[int, str] | None) -> None:
    verdicts = [str(each["verdict"]) for each in served.record.attempts]
    if error:
        assert served.error is not None
        assert served.error.status == error[0]
        assert verdicts == list(attempts)
        return
    if serves is None:
        assert served.honest
        assert served.record.error
        assert served.text.strip(), "what came before is the caller's"
        return
    assert served.whole
    assert served.text.strip()
    assert served.headers["x-vibe-deployment"] == serves == served.record.deployment
    assert verdicts == [*attempts, "ok"]
    assert served.record.usage.completion_tokens
    assert served.record.cost, "a served request is booked at its cost"


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("scenario", CATALOGUE, ids=lambda scenario: scenario.name)
def test_a_streamed_answer_survives(server: Server, scenario: Scenario, format_: str) -> None:
    _arrange(server, scenario)
    served = server.ask(format_)
    _checked(served, scenario.streamed, scenario.attempts, scenario.error)


@pytest.mark.parametrize("format_", ["chat", "messages"])
@pytest.mark.parametrize("scenario", CATALOGUE, ids=lambda scenario: scenario.name)
def test_a_whole_answer_survives(server: Server, scenario: Scenario, format_: str) -> None:
    _arrange(server, scenario)
    served = server.ask(format_, stream=False)
    attempts = scenario.attempts if scenario.whole_attempts is None else scenario.whole_attempts
    _checked(served, scenario.whole, attempts, scenario.error)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_cut_whose_fallback_rejects_prefill_ends_honestly(server: Server, format_: str) -> None:
    server.standin.fault(FIRST, "cut")
    server.standin.fault(SECOND, "400")
    served = server.ask(format_)
    assert served.honest
    assert not server.standin.requests(SECOND), "after the commit no other deployment is asked by default"


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_layer_that_flaps_for_a_minute_fails_no_request(server: Server, stream: bool) -> None:
    served_by = []
    for fault in islice(cycle(["503", None, None, "reset", None]), 30):
        server.standin.heal(FIRST)
        if fault:
            server.standin.fault(FIRST, fault)
        served = server.ask(stream=stream)
        assert served.whole
        served_by.append(served.headers["x-vibe-deployment"])
        server.pass_time(2)
    server.standin.heal(FIRST)
    server.pass_time(30)
    served_by.append(server.ask(stream=stream).headers["x-vibe-deployment"])
    assert set(served_by) == {L1, L2}
    assert served_by[-1] == L1, "within half a minute a layer that has recovered serves again"
    assert server.environment.table.items[f"deployment#{L1}"].phase(server.environment.now) is Phase.HEALTHY


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("fault", [None, "503", "cut", "content_filter"], ids=str)
def test_every_request_is_accounted_for(server: Server, format_: str, fault: str | None) -> None:
    if fault:
        server.standin.fault(FIRST, fault)
    served = server.ask(format_)
    [(settled, tokens)] = server.environment.fake_ledgers.settled
    assert len(server.environment.books.booked) == 1
    assert settled == served.record.cost
    if served.error:
        assert (settled, tokens) == (0, 0)
        return
    price = server.environment.prices[FIRST if served.record.deployment == L1 else SECOND]
    assert settled
    assert settled == cost(price, served.record.usage)
    assert served.record.usage_flag == ("estimated" if fault == "cut" else None)


CONFIGURED = {"continuation": True, "hedge_after": 0.2, "hedge_share": 0.5}


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("scenario", CATALOGUE, ids=lambda scenario: scenario.name)
def test_with_everything_configured_every_streamed_request_is_answered(
    server: Server, scenario: Scenario, format_: str
) -> None:
    server.policy = CONFIGURED
    _arrange(server, scenario)
    served = server.ask(format_)
    if scenario.error:
        _checked(served, None, scenario.attempts, scenario.error)
        return
    assert served.whole
    assert served.text.strip()
    assert served.record.error is None
    assert served.record.cost


@pytest.mark.parametrize("format_", FORMATS)
def test_with_continuation_a_cut_survives_a_fallback_that_rejects_prefill(server: Server, format_: str) -> None:
    server.policy = CONFIGURED
    server.standin.fault(FIRST, "cut")
    server.standin.fault(SECOND, "400")
    served = server.ask(format_)
    assert served.whole
    assert [each["deployment"] for each in served.record.parts] == [L1, "ark/glm-4.7"]
    assert len(server.standin.requests(SECOND)) == 2, "with the beginning, and again without it"

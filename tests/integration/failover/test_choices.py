"""Conversations that stay, and steps whose order follows price, speed and quota, in a fleet of two."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest

from local.standin import Standin
from tests.integration.failover.harness import L1, L2
from tests.integration.failover.served import Served, Server, ServingEnvironment, body_of
from vibe_router.core.models import VirtualModel
from vibe_router.core.price import Price
from vibe_router.pipeline.chain_memory import ChainMemory
from vibe_router.pipeline.failover import FailoverExecutor
from vibe_router.pipeline.first_tokens import FirstTokenTimes
from vibe_router.routing.order import Observed
from vibe_router.routing.quota import QuotaWindow
from vibe_router.routing.stay import Stay

FIRST, SECOND = "cliproxyapi", "new-api"


class SharedConversations:
    """The fleet's conversations, with counts of reads and writes."""

    def __init__(self, table: dict[str, Stay], counts: dict[str, int]) -> None:
        self.table, self.counts = table, counts
        self.memory: dict[str, Stay] = {}

    def cached(self, conversation: str) -> Stay | None:
        return self.memory.get(conversation)

    def read(self, conversation: str) -> Stay | None:
        self.counts["reads"] = self.counts.get("reads", 0) + 1
        return self.table.get(conversation)

    def write(self, conversation: str, stay: Stay) -> None:
        self.counts["writes"] = self.counts.get("writes", 0) + 1
        self.memory[conversation] = self.table[conversation] = stay


class SharedObservations:
    """The fleet's observations."""

    def __init__(self, table: dict[str, Observed]) -> None:
        self.table = table

    def read(self, deployments: Iterable[str]) -> dict[str, Observed]:
        return {each: self.table.get(each, Observed()) for each in deployments}

    def record(
        self,
        deployment: str,
        windows: Sequence[QuotaWindow] = (),
        first_tokens: Sequence[tuple[float, float]] = (),
        /,
    ) -> None:
        old = self.table.get(deployment, Observed())
        self.table[deployment] = Observed(tuple(windows) or old.windows, (*old.first_tokens, *first_tokens))


class Fleet:
    """Two environments that share states, conversations and observations."""

    def __init__(self, standin: Standin) -> None:
        self.standin = standin
        self.conversations: dict[str, Stay] = {}
        self.counts: dict[str, int] = {}
        self.observed: dict[str, Observed] = {}
        self.servers = [Server(ServingEnvironment(standin)) for _ in range(2)]
        states = self.servers[0].environment.table
        for server in self.servers:
            environment = server.environment
            environment.table = states
            environment.failover = FailoverExecutor(
                states,
                environment.secrets,
                environment.real,
                environment.clock,
                self._memory_of(environment),
            )

    def _memory_of(self, environment: ServingEnvironment) -> Callable[[FirstTokenTimes], ChainMemory]:
        conversations = SharedConversations(self.conversations, self.counts)
        observations = SharedObservations(self.observed)
        return lambda times: ChainMemory(conversations, observations, times, environment.clock)

    def pass_time(self, seconds: float) -> None:
        for server in self.servers:
            server.pass_time(seconds)

    def turn(self, number: int, format_: str = "chat", at: int = 0, **policy: Any) -> Served:
        """Send the turn `number` of one conversation, counted from 0, to an environment."""
        server = self.servers[at]
        server.policy = policy
        body = body_of(format_, stream=True)
        for _ in range(number):
            answer, question = {"role": "assistant", "content": "Well."}, {"role": "user", "content": "And then?"}
            if format_ == "responses":
                if isinstance(body["input"], str):
                    body["input"] = [{"role": "user", "content": body["input"]}]
                body["input"] += [answer, question]
            else:
                body["messages"] += [answer, question]
        return server.ask(format_, body=body)


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Standin() as standin:
        fleet = Fleet(standin)
        yield fleet
        for server in fleet.servers:
            server.close()


def _served_by(served: Served) -> str:
    assert served.whole
    return served.headers["x-vibe-deployment"]


@pytest.mark.parametrize("format_", ["chat", "responses", "messages"])
def test_an_incident_costs_a_conversation_one_switch(fleet: Fleet, format_: str) -> None:
    assert _served_by(fleet.turn(0, format_)) == L1
    fleet.standin.fault(FIRST, "503")
    assert _served_by(fleet.turn(1, format_)) == L2
    fleet.standin.heal()
    fleet.pass_time(30)
    assert _served_by(fleet.servers[1].ask()) == L1, "a new conversation goes to the recovered deployment"
    for number in range(2, 6):
        assert _served_by(fleet.turn(number, format_, at=number % 2)) == L2
        fleet.pass_time(200)
    fleet.pass_time(301)
    assert _served_by(fleet.turn(6, format_)) == L1


def test_a_conversation_without_an_earlier_turn_goes_anywhere(fleet: Fleet) -> None:
    fleet.standin.fault(FIRST, "503")
    assert _served_by(fleet.turn(0)) == L2
    fleet.standin.heal()
    fleet.pass_time(30)
    assert _served_by(fleet.turn(0)) == L1


def test_stay_can_be_switched_off(fleet: Fleet) -> None:
    fleet.standin.fault(FIRST, "503")
    assert _served_by(fleet.turn(1, stay=0)) == L2
    fleet.standin.heal()
    fleet.pass_time(30)
    fleet.servers[1].ask()
    assert _served_by(fleet.turn(2, stay=0)) == L1
    assert not fleet.counts


def test_nothing_is_read_or_written_while_all_is_well(fleet: Fleet) -> None:
    for number in range(3):
        fleet.turn(number)
    assert not fleet.counts


def test_a_stay_is_written_once_a_minute(fleet: Fleet) -> None:
    fleet.standin.fault(FIRST, "503")
    for number in range(4):
        fleet.turn(number)
        fleet.pass_time(1)
    assert fleet.counts["writes"] == 1


def test_a_deployment_that_fails_again_is_left(fleet: Fleet) -> None:
    fleet.standin.fault(FIRST, "503", times=2)
    assert _served_by(fleet.turn(1)) == L2
    fleet.pass_time(30)
    assert _served_by(fleet.turn(2)) == L2
    fleet.standin.fault(SECOND, "503")
    assert _served_by(fleet.turn(3)) == L1


def _one_step(fleet: Fleet) -> None:
    """Put the first two deployments into one step."""
    for server in fleet.servers:
        use = server.environment.use

        def joined(server: Server = server, use: Any = use, **policy: Any) -> None:
            use(**policy)
            [(one,), (two,), *rest] = server.environment.models["auto-chat"].steps
            server.environment.models = {"auto-chat": VirtualModel("auto-chat", "", ((one, two), *rest))}

        server.environment.use = joined  # type: ignore[method-assign]


def test_the_cheapest_serves(fleet: Fleet) -> None:
    _one_step(fleet)
    for server in fleet.servers:
        server.environment.prices |= {FIRST: Price(30, 40), SECOND: Price(1, 2)}
    fleet.servers[0].policy = {"order": "cheapest"}
    for number in range(4):
        body = body_of("chat", stream=True, prompt=f"Question {number}")
        assert _served_by(fleet.servers[0].ask(body=body)) == L2


def test_the_fastest_serves_once_both_are_measured(fleet: Fleet) -> None:
    _one_step(fleet)
    fleet.servers[0].policy = {"order": "fastest"}
    fleet.standin.fault(FIRST, "slow", seconds=0.1)
    served = [
        _served_by(fleet.servers[0].ask(body=body_of("chat", stream=True, prompt=f"Question {number}")))
        for number in range(5)
    ]
    assert served[2:] == [L2] * 3
    assert {L1, L2} == set(served[:2])


QUOTA = {
    "anthropic-ratelimit-unified-5h-utilization": "0.95",
    "anthropic-ratelimit-unified-5h-reset": "1800003600",
}


def test_new_conversations_leave_a_quota_that_is_nearly_used(fleet: Fleet) -> None:
    policy: dict[str, Any] = {"order": "quota"}
    assert _served_by(fleet.turn(0, **policy)) == L1
    fleet.observed[L1] = Observed((QuotaWindow("5h", 0.95, 1_800_003_600.0),))
    new = body_of("chat", stream=True, prompt="Another question.")
    fleet.servers[1].policy = policy
    assert _served_by(fleet.servers[1].ask(body=new)) == L2
    assert _served_by(fleet.turn(1, at=1, **policy)) == L1, "a running conversation stays"
    fleet.observed[L1] = Observed((QuotaWindow("5h", 0.95, fleet.servers[0].environment.now),))
    assert _served_by(fleet.servers[1].ask(body={**new, "user": "x"})) == L1, "the quota has started anew"


def test_the_rest_of_a_quota_is_used_when_nothing_else_is_left(fleet: Fleet) -> None:
    fleet.observed[L1] = Observed((QuotaWindow("5h", 0.95, 1_800_003_600.0),))
    fleet.standin.fault(SECOND, "503")
    fleet.standin.fault("ark", "503")
    assert _served_by(fleet.turn(0, order="quota")) == L1


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_quota_in_an_answers_headers_is_observed(fleet: Fleet, stream: bool) -> None:
    fleet.standin.fault(FIRST, "429", headers={**QUOTA, "retry-after": "99"}, times=1)
    fleet.servers[0].ask(stream=stream)
    assert fleet.observed[L1].windows == (QuotaWindow("5h", 0.95, 1_800_003_600.0),)

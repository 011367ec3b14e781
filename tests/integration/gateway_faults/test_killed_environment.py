"""An environment's process is killed in the middle of an answer, as Lambda does to one that runs out of memory."""

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import aiohttp
import pytest

from local.apigateway import ApiGateway
from local.environment import Phase
from local.lambda_service import LambdaService
from local.launch import launch_of
from local.template import read_template
from tests.integration.gateway_faults.fleet import CHECKOUT, KEY, L1, L2, Fleet

BOUND = 60.0  # seconds after which a test that hangs has failed


def in_loop(scenario: Callable[[Fleet], Coroutine[Any, Any, None]]) -> Callable[[Fleet], None]:
    """Run a test that is a coroutine, in the time of the processes that it starts."""

    @wraps(scenario)
    def run(fleet: Fleet) -> None:
        fleet.time.now = time.time()
        asyncio.run(asyncio.wait_for(scenario(fleet), BOUND))

    return run


@dataclass
class Stack:
    """The function's processes behind the local API Gateway. `reports` is what the stack says of answers it cut."""

    url: str
    client: aiohttp.ClientSession
    service: LambdaService
    logged: bytearray
    reports: list[str]

    def ask(self, *, stream: bool = True) -> "asyncio.Task[aiohttp.ClientResponse]":
        """Send one chat completion; done when its answer's head has come."""
        body = {"model": "auto-chat", "stream": stream, "messages": [{"role": "user", "content": "Say hello."}]}
        headers = {"Authorization": f"Bearer {KEY}"}
        return asyncio.create_task(self._post(body, headers))

    async def _post(self, body: Any, headers: dict[str, str]) -> aiohttp.ClientResponse:
        return await self.client.post(f"{self.url}/v1/chat/completions", json=body, headers=headers)

    def kill(self) -> int:
        """Kill the environment that is at work, and return its process's id."""
        (environment,) = [each for each in self.service.environments if each.phase is Phase.BUSY]
        assert environment.pid is not None
        os.killpg(environment.pid, signal.SIGKILL)
        return environment.pid

    async def settled(self, decisions: int) -> list[dict[str, Any]]:
        """Wait until so many decisions are in the log, and return them."""
        while len(found := [line for line in self.lines() if line.get("message") == "ROUTING DECISION"]) < decisions:
            await asyncio.sleep(0.005)
        return found

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in bytes(self.logged).splitlines() if line.startswith(b"{")]


@asynccontextmanager
async def running(fleet: Fleet) -> AsyncIterator[Stack]:
    """Run the function that template.yaml declares, on the fleet's tables."""
    template = read_template(CHECKOUT / "template.yaml")
    name = next(route.function for route in template.api.routes if route.path.endswith("/chat/completions"))
    function = template.functions[name]
    tables = {
        name: getattr(fleet.settings, name.lower())
        for name in function.environment
        if name.endswith("_TABLE") and hasattr(fleet.settings, name.lower())
    }
    variables = {**function.environment, **tables, "SECRET_ID": fleet.settings.secret_id}
    launch = launch_of(replace(function, environment=variables), fleet.aws.url, {})
    logged, reports = bytearray(), list[str]()
    service = LambdaService(launch, 2, logged.extend)
    # Every function is this one: no other is called here.
    gateway = ApiGateway(template.api, dict.fromkeys(template.functions, service), reports.append)
    port = await _serve(gateway)
    async with aiohttp.ClientSession() as client:
        try:
            yield Stack(f"http://127.0.0.1:{port}", client, service, logged, reports)
        finally:
            await gateway.stop()
            await service.stop()


async def _serve(gateway: ApiGateway) -> int:
    listening = socket.create_server(("127.0.0.1", 0))
    await gateway.serve(listening)
    port: int = listening.getsockname()[1]
    return port


async def asked(fleet: Fleet, provider: str, count: int) -> None:
    """Wait until so many requests have reached a provider."""
    await asyncio.to_thread(fleet.standin.wait_for, count, provider, within=BOUND)


async def contents(response: aiohttp.ClientResponse, count: int) -> bytearray:
    """Read until so many pieces of the answer have come."""
    seen = bytearray()
    while seen.count(b'"content"') < count:
        part = await response.content.readany()
        assert part
        seen += part
    return seen


async def rest(response: aiohttp.ClientResponse, seen: bytearray) -> None:
    """Read to the end."""
    while part := await response.content.readany():
        seen += part


@in_loop
async def test_a_stream_of_a_killed_environment_ends_incomplete_and_the_next_one_is_served(fleet: Fleet) -> None:
    fleet.standin.fault("cliproxyapi", "model_cooldown", times=1, reset_in=900)
    fleet.standin.fault("new-api", "stall", times=1, after=3)
    async with running(fleet) as stack:
        response = await stack.ask()
        assert (response.status, response.headers["x-vibe-deployment"]) == (200, L2)
        seen = await contents(response, 3)
        killed = stack.kill()
        with pytest.raises(aiohttp.ClientPayloadError):  # no client takes this for the end
            await rest(response, seen)
        assert b"[DONE]" not in seen
        assert "SIGKILL" in stack.reports[0]

        # The fleet has the state that it wrote before it answered.
        assert (fleet.state(L1)["verdict"], fleet.state(L1)["strikes"]) == ("quota", 1)
        again = await stack.ask()
        assert (again.status, again.headers["x-vibe-deployment"]) == (200, L2)
        assert (await again.read()).endswith(b"data: [DONE]\n\n")
        assert killed not in [environment.pid for environment in stack.service.environments]
        (decision,) = await stack.settled(1)
        assert (decision["deployment"], decision["attempts"][0]["deployment"]) == (L2, L2)
        assert decision["cooling"] == [L1]
    assert fleet.calls(L1) == 1


@in_loop
async def test_a_probe_of_a_killed_environment_fails_and_its_lease_expires(fleet: Fleet) -> None:
    due = {"version": 1, "until": fleet.time.now - 1, "verdict": "transient", "strikes": 1, "since": fleet.time.now - 6}
    fleet.put_state({"id": f"deployment#{L1}", **due})
    fleet.standin.fault("cliproxyapi", "silence")
    async with running(fleet) as stack:
        asking = stack.ask()
        await asked(fleet, "cliproxyapi", 1)
        lease_until = fleet.state(L1)["lease_until"]
        assert lease_until > time.time()
        stack.kill()
        response = await asking
        assert response.status == 502
        error = (await response.json())["error"]
        assert error["message"]
        assert error["type"] == "server_error"

        fleet.standin.heal()
        for _ in range(3):  # the dead one's lease still holds: nobody else probes
            response = await stack.ask(stream=False)
            assert response.headers["x-vibe-deployment"] == L2
            await response.read()
        await stack.settled(3)
    assert fleet.calls(L1) == 1
    assert fleet.state(L1)["lease_until"] == lease_until

    lasts = lease_until - fleet.state(L1)["written_at"]
    fleet.time.now = time.time()
    gateway = fleet.gateway()
    assert gateway.ask().deployment == L2
    fleet.time.advance(lasts - 1)
    assert gateway.ask().deployment == L2
    fleet.time.advance(2)
    assert gateway.ask().deployment == L1
    assert fleet.state(L1)["until"] == 0
    assert gateway.ask().deployment == L1
    assert fleet.calls(L1) == 3


@in_loop
async def test_callers_of_other_environments_are_unaffected(fleet: Fleet) -> None:
    fleet.standin.fault("cliproxyapi", "silence", times=1)
    async with running(fleet) as stack:
        asking = stack.ask()
        await asked(fleet, "cliproxyapi", 1)
        victim = next(each for each in stack.service.environments if each.phase is Phase.BUSY)
        fleet.standin.fault("cliproxyapi", "stall", times=1, after=3)
        other = await stack.ask()
        assert victim.pid is not None
        os.killpg(victim.pid, signal.SIGKILL)
        assert (await asking).status == 502
        await contents(other, 3)
        (left,) = [each for each in stack.service.environments if each.phase is Phase.BUSY]
        assert left is not victim
        other.close()

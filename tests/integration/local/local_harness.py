"""A small stack in the test's own event loop: real sockets, real processes, the real runtime, a function on strings."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import aiohttp

from local.apigateway import ApiGateway, Limits
from local.environment import Phase
from local.lambda_service import LambdaService
from local.launch import launch_of
from local.template import read_template

CHECKOUT = Path(__file__).parents[3]

TEMPLATE = f"""
Resources:
  Api:
    Type: AWS::Serverless::Api
    Properties:
      StageName: prod
      BinaryMediaTypes: [image~1png]
  Runtime:
    Type: AWS::Serverless::LayerVersion
    Properties: {{ContentUri: {CHECKOUT}/layers/streaming_runtime}}
  Puppet:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: {Path(__file__).parent}/puppet
      Handler: app.handler
      Timeout: 60
      Layers: [!Ref Runtime]
      Environment: {{Variables: {{AWS_LAMBDA_EXEC_WRAPPER: /opt/streaming-runtime}}}}
      Events:
        Streamed:
          Type: Api
          Properties:
            {{Path: "/{{proxy+}}", Method: ANY, ResponseTransferMode: RESPONSE_STREAM, TimeoutInMillis: 60000}}
        Whole: {{Type: Api, Properties: {{Path: "/whole/{{what}}", Method: GET}}}}
        Hurried:
          Type: Api
          Properties:
            {{Path: /hurried/puppet, Method: GET, ResponseTransferMode: RESPONSE_STREAM, TimeoutInMillis: 1200}}
        HurriedWhole: {{Type: Api, Properties: {{Path: /hurried-whole/puppet, Method: GET, TimeoutInMillis: 400}}}}
        Posted: {{Type: Api, Properties: {{Path: /posted, Method: POST, ResponseTransferMode: RESPONSE_STREAM}}}}
"""

BOUND = 20.0  # seconds after which a test that hangs has failed; none needs more than one

P = ParamSpec("P")


def in_loop(scenario: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test that is a coroutine."""

    @wraps(scenario)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(asyncio.wait_for(scenario(*args, **kwargs), BOUND))

    return run


@dataclass
class Strings:
    """One invocation in the test's hand: `pid` is its environment's."""

    pid: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def order(self, line: str, reply: str = "") -> None:
        """Have the function do something; with `reply`, wait for this answer."""
        self.writer.write(f"{line}\n".encode())
        if reply:
            assert (await self.reader.readline()).decode() == f"{reply}\n"

    async def answered(self) -> None:
        """Wait until the answer has gone and the work after it has begun."""
        assert (await self.reader.readline()).decode() == "answered\n"

    async def gone(self) -> None:
        """Wait until the function has let go, or its process is dead."""
        while await self.reader.read(4096):
            pass


@dataclass
class Harness:
    """The stack, and what a test needs to use it."""

    base_url: str
    client: aiohttp.ClientSession
    service: LambdaService
    reports: list[str]
    logged: bytearray
    hands: "asyncio.Queue[Strings]"
    port: int
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def puppet(self, path: str = "/puppet", **query: str) -> asyncio.Task[aiohttp.ClientResponse]:
        """Send a request whose handling is in the test's hand; done when its answer's head has come."""
        task = asyncio.create_task(self._get(path, {"port": str(self.port), **query}))
        self.tasks.append(task)
        return task

    async def invoked(self) -> Strings:
        """Wait for the next invocation to begin."""
        return await self.hands.get()

    async def idle(self, count: int) -> None:
        """Wait until so many environments ask for an event: what they do after an answer goes on unseen."""
        while [environment.phase for environment in self.service.environments].count(Phase.IDLE) < count:
            await asyncio.sleep(0)

    async def _get(self, path: str, query: dict[str, str]) -> aiohttp.ClientResponse:
        return await self.client.get(self.base_url + path, params=query)


@asynccontextmanager
async def running(
    tmp_path: Path,
    *,
    concurrency: int = 4,
    idle_seconds: float = 60.0,
    limits: Limits | None = None,
    timeout: float = 60.0,
    **variables: str,
) -> AsyncIterator[Harness]:
    """Run a stack for a test, and see to it that nothing of it stays behind."""
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE, encoding="utf-8")
    template = read_template(path)
    function = template.functions["Puppet"]
    function = replace(function, timeout=timeout, environment={**function.environment, **variables})
    logged = bytearray()
    service = LambdaService(
        launch_of(function, "http://127.0.0.1:1", {}), concurrency, logged.extend, idle_seconds=idle_seconds
    )
    reports: list[str] = []
    gateway = ApiGateway(template.api, {"Puppet": service}, reports.append, limits=limits)
    listening = socket.create_server(("127.0.0.1", 0))
    await gateway.serve(listening)
    hands: asyncio.Queue[Strings] = asyncio.Queue()
    writers: list[asyncio.StreamWriter] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        hands.put_nowait(Strings(int((await reader.readline()).split()[1]), reader, writer))

    master = await asyncio.start_server(take, "127.0.0.1", 0)
    base_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        harness = Harness(base_url, client, service, reports, logged, hands, master.sockets[0].getsockname()[1])
        try:
            yield harness
        finally:
            pids = [environment.pid for environment in service.environments]
            await gateway.stop()
            await service.stop()
            master.close()
            for writer in writers:
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()
            for task in harness.tasks:
                task.cancel()
            for response in await asyncio.gather(*harness.tasks, return_exceptions=True):
                if isinstance(response, aiohttp.ClientResponse):
                    response.close()
            assert not service.environments
            assert not [pid for pid in pids if pid is not None and is_alive(pid)]


def is_alive(pid: int) -> bool:
    """Tell whether a process of that id runs; one that waits to be reaped does not."""
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat")
        return not status.exists() or status.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False

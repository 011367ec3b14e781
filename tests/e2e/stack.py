"""The whole router as `make start` runs it, in front of stand-ins that a test can break."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
import httpx

from local.standin import Standin

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["KEY", "PATIENCE", "Stack", "running"]

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")
_STATES_ARE_CACHED = 1.05  # seconds; other environments than the one that was asked may still remember
KEY = "sk-of-the-tests"
PATIENCE = 60.0
"""Seconds after which something is taken not to happen at all; a slow machine is given all of them."""
PROVIDERS = {
    "cliproxyapi": ("CLIPROXYAPI_BASE_URL", "CHAT_AUTO_API_KEY"),
    "new-api": ("NEW_API_BASE_URL", "NEW_API_KEY"),
    "ark": ("ARK_BASE_URL", "ARK_API_KEY"),
}


class Stack:
    """A running router: `url` is its base URL, `standin` plays all three providers, `lines` is what it printed."""

    def __init__(self, port: int, standin: Standin, process: "subprocess.Popen[str]", data: Path) -> None:
        self.data = data
        self.root = f"http://127.0.0.1:{port}"
        self.url = f"{self.root}/v1"
        self.standin = standin
        self.process = process
        self.lines: list[str] = []
        self.broken = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def decision(self, request_id: str) -> dict[str, Any]:
        """Return the ROUTING DECISION line of a request, which comes after its answer."""
        return eventually(lambda: next((each for each in self.decisions if each["request_id"] == request_id), None))

    @property
    def decisions(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in list(self.lines) if '"ROUTING DECISION"' in line]

    def health(self) -> dict[str, dict[str, Any]]:
        """Return every deployment's state by its name."""
        answer = httpx.get(f"{self.root}/health", headers={"x-api-key": KEY}, timeout=PATIENCE)
        return {each["deployment"]: each for each in answer.json()["deployments"]}

    def fault(self, provider: str, fault: str, **options: Any) -> None:
        """Let a provider fail, until it is healed."""
        self.broken = True
        self.standin.fault(provider, fault, **options)

    def rested(self) -> None:
        """Make every provider well, and wait until nothing is cooling any more."""
        self.standin.heal()
        eventually(lambda: not any(each["state"] in ("cooling", "probing") for each in self.health().values()))

    def heal(self) -> None:
        """Make every provider well and forget every cooldown, as if nothing had ever failed."""
        self.standin.heal()
        self.broken = False
        eventually(self._forgotten)

    def _forgotten(self) -> bool:
        """Delete every state; whether none was written meanwhile by a request that is still being settled."""
        client, table = self.table("state_table")
        for item in client.scan(TableName=table)["Items"]:
            client.delete_item(TableName=table, Key={"id": item["id"]})
        time.sleep(_STATES_ARE_CACHED)
        unhealthy = [each for each in self.health().values() if each["state"] != "healthy"]
        return not unhealthy and not client.scan(TableName=table)["Items"]

    def table(self, name: str) -> "tuple[DynamoDBClient, str]":
        """Return a client for the embedded AWS, and what a table is called there."""
        written = json.loads((self.data / "local.json").read_text())
        client = boto3.client(
            "dynamodb",
            endpoint_url=written["endpoint"],
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        return client, written[name]

    def close(self) -> None:
        """Let go of what the router, which has ended, printed to."""
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))


def eventually(look: Callable[[], T | None], within: float = PATIENCE) -> T:
    """Return what `look` finds once it finds something, looking less and less often: a look may be dear."""
    began = time.monotonic()
    while not (found := look()):
        waited = time.monotonic() - began
        if waited > within:
            raise TimeoutError(f"not within {within} s")
        time.sleep(min(0.02 + waited / 20, 0.5))
    return found


def shipped_routes(_: Standin) -> str:
    """Return the routes that ship, with a cooldown that a test can wait for."""
    text = re.sub(r"cooldown: \{base: 5", "cooldown: {base: 1", (ROOT / "routes.yaml").read_text())
    assert "base: 1" in text
    return text


@contextmanager
def running(data: Path, routes_of: Callable[[Standin], str] = shipped_routes, **settings: str) -> Iterator[Stack]:
    """Start the router with routes in front of a stand-in, and end it by its own process id.

    `{port}` in a setting stands for the router's port.
    """
    routes = data / "routes.yaml"
    with Standin() as standin, socket.socket() as free:
        routes.write_text(routes_of(standin))
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "VIBE_"))}
        environ |= {"LOCAL_CONCURRENCY": "6"}  # starting more takes longer than what they do here
        environ |= {"PORT": str(port), "MASTER_KEY": KEY, "DATA_DIR": str(data / "state"), "ROUTES_FILE": str(routes)}
        for provider, (url, key) in PROVIDERS.items():
            environ |= {url: standin.base_url(provider), key: f"sk-{provider}"}
        process = subprocess.Popen(
            [sys.executable, "-m", "local"],
            cwd=ROOT,
            env=environ | {name: value.replace("{port}", str(port)) for name, value in settings.items()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        stack = Stack(port, standin, process, data / "state")
        try:
            eventually(lambda: _ready(stack), within=2 * PATIENCE)
            yield stack
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)
            stack.close()


def _ready(stack: Stack) -> bool:
    if stack.process.poll() is not None:
        raise RuntimeError("\n".join(stack.lines))
    try:
        return httpx.get(f"{stack.root}/health/readiness").status_code == 200
    except httpx.TransportError:
        return False

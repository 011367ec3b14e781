"""`make sam-local` under a real Docker: the built function in AWS's container, its answers, and how it ends.

Skipped where there is no Docker daemon, or no image of Lambda's Python for this processor: nothing is pulled.
"""

import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

import boto3
import httpx
import psutil
import pytest

CHECKOUT = Path(__file__).parents[3]
ARCHITECTURE = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
IMAGE = f"public.ecr.aws/lambda/python:3.13-{ARCHITECTURE}"
BOUND = 240.0  # seconds in which it must be ready; a minute is usual where the image of the layers is to be made
HELLO = {"model": "auto-chat", "messages": [{"role": "user", "content": "Say hello."}]}


@dataclass
class Started:
    """The running program, and its standard error so far."""

    process: subprocess.Popen[str]
    data_dir: Path
    base_url: str
    lines: list[str] = field(default_factory=list)
    _lines: "Queue[str | None]" = field(default_factory=Queue)

    def __post_init__(self) -> None:
        self._reader = Thread(target=self._collect, daemon=True)
        self._reader.start()

    def _collect(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as reported:
            for line in reported:
                self._lines.put(line)
        self._lines.put(None)

    def end(self) -> None:
        """End the program if it has not ended, and read all of its output."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=60)
        self._reader.join(timeout=60)

    def read_until(self, wanted: str) -> bool:
        """Read on until a line matches; tell whether one did before the program ended."""
        deadline = time.monotonic() + BOUND
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=left)
            except Empty:
                break
            if line is None:
                return False
            self.lines.append(line)
            if re.search(wanted, line):
                return True
        return False

    def found(self, pattern: str) -> str:
        """Return the first group of a pattern in the output."""
        match = re.search(pattern, "".join(self.lines))
        assert match, "".join(self.lines)
        return match[1]

    @property
    def control(self) -> str:
        """The control API of the stand-ins."""
        return self.found(r"(http://\S+/_control)/")

    def cooldowns(self) -> dict[str, dict[str, Any]]:
        """Return the StateTable's items by id."""
        where = json.loads((self.data_dir / "sam-local/local.json").read_text(encoding="utf-8"))
        dynamodb = boto3.client(
            "dynamodb",
            endpoint_url=where["endpoint"],
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        items = dynamodb.scan(TableName=where["state_table"])["Items"]
        dynamodb.close()
        return {item["id"]["S"]: item for item in items}


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


def _skip_without_docker() -> None:
    if not shutil.which("docker"):
        pytest.skip("no `docker` on PATH")
    try:
        _docker("version")
    except subprocess.CalledProcessError:
        pytest.skip("no Docker daemon answers")
    try:
        _docker("image", "inspect", IMAGE)
    except subprocess.CalledProcessError:
        pytest.skip(f"Docker has no image {IMAGE}, and tests pull none")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _environment(data_dir: Path) -> Mapping[str, str]:
    # Empty, and not left out: a key in the checkout's .env would have a real provider called.
    unset = dict.fromkeys(("MASTER_KEY", "LITELLM_MASTER_KEY", "CHAT_AUTO_API_KEY", "NEW_API_KEY", "ARK_API_KEY"), "")
    account = {"AWS_ACCESS_KEY_ID": "AKIDMUSTNOTBEPASSEDON", "AWS_SECRET_ACCESS_KEY": "must-not-be-passed-on"}
    return {**os.environ, **unset, **account, "DATA_DIR": str(data_dir)}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    _skip_without_docker()
    data_dir, port = tmp_path_factory.mktemp("data"), _free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.sam_local", "--port", str(port), "--skip-pull-image"],
        cwd=CHECKOUT,
        env=_environment(data_dir),
        stderr=subprocess.PIPE,
        text=True,
    )
    running = Started(process, data_dir, f"http://127.0.0.1:{port}")
    try:
        if not running.read_until("local: One event"):
            reported = "".join(running.lines)
            if "Another `make sam-local` runs" in reported:
                pytest.skip("`make sam-local` runs in this checkout already")
            pytest.fail(f"it did not get ready:\n{reported}")
        yield running
    finally:
        running.end()


@pytest.fixture
def client(started: Started) -> Iterator[httpx.Client]:
    """A client with the local key, to whom every stand-in is well at first."""
    httpx.delete(started.control, trust_env=False).raise_for_status()
    headers = {"Authorization": "Bearer " + started.found(r"Key +(\S+)")}
    with httpx.Client(base_url=started.base_url, headers=headers, timeout=60, trust_env=False) as client:
        yield client


def test_the_banner_shows_how_to_call_it(started: Started) -> None:
    assert started.found(r"Base URL +(\S+)") == f"{started.base_url}/v1"
    assert started.found(r"curl -N (\S+)") == f"{started.base_url}/v1/chat/completions"


def test_a_whole_answer_comes_from_the_first_layer(client: httpx.Client) -> None:
    response = client.post("/v1/chat/completions", json=HELLO)
    assert response.status_code == 200, response.text
    assert response.headers["x-vibe-deployment"] == "cliproxyapi/claude-sonnet-4-6"
    assert response.json()["choices"][0]["message"]["content"]


def test_a_streamed_answer_comes_whole(client: httpx.Client) -> None:
    response = client.post("/v1/chat/completions", json={**HELLO, "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "content-length" in response.headers
    assert response.text.startswith("data: {")
    assert response.text.endswith("data: [DONE]\n\n")


def test_a_failing_layer_falls_over_and_its_cooldown_is_in_the_table(started: Started, client: httpx.Client) -> None:
    # A model of its own: no other test's cooldown is in the way.
    asked = {**HELLO, "model": "auto-chat-mini"}
    fault = {"provider": "cliproxyapi", "fault": "429", "headers": {"retry-after": "600"}}
    client.post(started.control, json=fault).raise_for_status()
    first = client.post("/v1/chat/completions", json=asked)
    assert first.status_code == 200, first.text
    assert first.json()["choices"][0]["message"]["content"]
    assert (first.headers["x-vibe-deployment"], first.headers["x-vibe-fallbacks"]) == ("new-api/gpt-5-mini", "1")
    cooldown = started.cooldowns()["deployment#cliproxyapi/gemini-2.5-flash"]
    assert cooldown["verdict"]["S"] == "rate_limited"
    assert float(cooldown["until"]["N"]) > time.time() + 60
    second = client.post("/v1/chat/completions", json=asked)
    assert (second.headers["x-vibe-deployment"], second.headers["x-vibe-attempts"]) == ("new-api/gpt-5-mini", "1")


@pytest.mark.parametrize(
    ("method", "path", "key", "status", "code"),
    [
        pytest.param("GET", "/v1/nothing", None, 404, "not_found", id="an unknown path"),
        pytest.param("GET", "/v1/models", "sk-wrong", 401, "invalid_api_key", id="a wrong key"),
        pytest.param("PUT", "/chat/completions", None, 405, "method_not_allowed", id="a wrong method"),
    ],
)
def test_refusals_are_the_functions_own(
    method: str, path: str, key: str | None, status: int, code: str, client: httpx.Client
) -> None:
    response = client.request(method, path, headers={"Authorization": f"Bearer {key}"} if key else None)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_sam_local_invoke_takes_a_sample_event(started: Started) -> None:
    command = started.found(r"\.venv/bin/(sam local invoke .*)").split()
    done = subprocess.run(
        [Path(sys.executable).with_name("sam"), *command[1:], "--skip-pull-image"],
        cwd=CHECKOUT,
        env={**os.environ, "SAM_CLI_TELEMETRY": "0", "AWS_EC2_METADATA_DISABLED": "true"},
        check=False,
        capture_output=True,
        text=True,
        timeout=BOUND,
    )
    answer = json.loads(done.stdout)
    assert answer["statusCode"] == 200, done.stderr
    assert json.loads(answer["body"])["choices"]


def test_no_key_of_this_machine_is_in_a_container(started: Started) -> None:
    inspected = _docker("inspect", started.found(r"SAM_CONTAINER_ID: (\w+)"))
    assert "AWS_SECRET_ACCESS_KEY=" in inspected
    assert "must-not-be-passed-on" not in inspected
    assert "AKIDMUSTNOTBEPASSEDON" not in inspected


def test_ctrl_c_ends_processes_and_containers(started: Started) -> None:
    container = started.found(r"SAM_CONTAINER_ID: (\w+)")
    children = psutil.Process(started.process.pid).children(recursive=True)
    assert len(children) >= 3
    started.process.send_signal(signal.SIGINT)
    assert started.process.wait(timeout=60) == 0
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert container not in _docker("ps", "--all", "--quiet", "--no-trunc")
    assert not (started.data_dir / "sam-local/local.json").exists()

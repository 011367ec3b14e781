"""`python -m local`, which is `make start`, as a person has it: a program with output, signals and a directory."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from threading import Thread

import psutil
import pytest

from tests.integration.local.local_harness import is_alive

CHECKOUT = Path(__file__).parents[3]
BOUND = 30.0  # seconds after which a start that hangs has failed

ROUTES = """
providers:
  cliproxyapi: {base_url: "${CLIPROXYAPI_BASE_URL:-http://127.0.0.1:8317/v1}", secret: FIRST_KEY}
  ark: {base_url: http://127.0.0.1:9/v1, secret: SECOND_KEY}
models:
  auto-chat:
    chain:
      - {provider: cliproxyapi, model: claude-sonnet-4-6}
      - {provider: ark, model: glm-4.7}
"""


@dataclass
class Started:
    """A running stack. `lines` are those of its standard error so far, `logged` of its output."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    logged: "Queue[str]" = field(default_factory=Queue)
    base_url: str = ""
    key: str = "sk-own"

    def __post_init__(self) -> None:
        Thread(target=self._collect, daemon=True).start()

    def _collect(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.logged.put(line)

    def read_until(self, wanted: str) -> str:
        """Read lines until one matches; returns what its first group has. Fails when the program ends before."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if found := re.search(wanted, line):
                return found[1] if found.re.groups else found[0]
        raise AssertionError(f"ended without a line like {wanted}: {''.join(self.lines)}")

    def get(self, path: str, data: object = None) -> str:
        """Send a request with the local key; returns the answer."""
        request = urllib.request.Request(
            self.base_url.removesuffix("/v1") + path,
            data=None if data is None else json.dumps(data).encode(),
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=BOUND) as answer:
            text: str = answer.read().decode()
            return text

    def family(self) -> list[psutil.Process]:
        """Return the processes that it has started."""
        return psutil.Process(self.process.pid).children(recursive=True)


def have_gone(family: list[psutil.Process]) -> bool:
    """Wait until the processes have ended; psutil's own way of waiting sleeps for long."""
    for _ in range(1000):
        if not any(is_alive(process.pid) for process in family):
            return True
        time.sleep(0.01)
    return False


@contextmanager
def started(directory: Path, environ: Mapping[str, str] | None = None, *, wait: bool = True) -> Iterator[Started]:
    """Run a stack with its state and its routes in `directory`; whatever happens, it is gone afterwards."""
    routes = directory / "routes.yaml"
    if not routes.exists():
        routes.write_text(ROUTES, encoding="utf-8")
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    settings = {"PORT": "0", "DATA_DIR": str(directory / "data"), "ROUTES_FILE": str(routes), **(environ or {})}
    # The checkout's own .env must not have a say in a test: what is set to nothing is not read from there.
    unset = dict.fromkeys(("MASTER_KEY", "LITELLM_MASTER_KEY", "FIRST_KEY", "SECOND_KEY", "LOCAL_CONCURRENCY"), "")
    process = subprocess.Popen(
        [sys.executable, "-m", "local"],
        cwd=CHECKOUT,
        env={**clean, **unset, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    stack = Started(process)
    family: list[psutil.Process] = []
    try:
        if wait:
            stack.base_url = stack.read_until(r"Base URL +(\S+)")
            stack.key = stack.read_until(r"Key +(\S+)")
            stack.read_until("Ctrl-C ends everything")
            family = stack.family()
        yield stack
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stderr, process.stdout):
            assert pipe is not None
            pipe.close()
        have_gone(family)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Started, Path]]:
    """A stack for the tests that leave it as it is, and its directory."""
    directory = tmp_path_factory.mktemp("shared")
    with started(directory) as stack:
        yield stack, directory


def test_from_nothing_to_an_answer(shared: tuple[Started, Path]) -> None:
    stack, _ = shared
    assert json.loads(stack.get("/health/readiness"))["status"] == "ready"
    answer = json.loads(
        stack.get("/v1/chat/completions", {"model": "auto-chat", "messages": [{"role": "user", "content": "Hi"}]})
    )
    assert answer["choices"][0]["message"]["content"]
    while '"ROUTING DECISION"' not in (line := stack.logged.get(timeout=BOUND)):
        pass
    assert json.loads(line)["deployment"] == "cliproxyapi/claude-sonnet-4-6"
    assert len(stack.family()) == 3, "the embedded AWS, the stand-ins, one environment"


def test_the_banner_shows_the_first_steps_and_the_stand_ins(shared: tuple[Started, Path]) -> None:
    stack, directory = shared
    text = "".join(stack.lines)
    assert stack.key == (directory / "data" / "master-key").read_text().strip()
    assert f"Admin page {stack.base_url.removesuffix('/v1')}/ui/" in text
    assert "cliproxyapi  STAND-IN: FIRST_KEY is not set" in text
    assert "/_control/cliproxyapi/503" in text


def test_the_state_is_unreadable_for_other_users(shared: tuple[Started, Path]) -> None:
    data = shared[1] / "data"
    found = [data, *data.rglob("*")]
    assert [path for path in found if path.stat().st_mode & 0o077] == []


def test_one_data_dir_is_for_one_stack(shared: tuple[Started, Path]) -> None:
    first, directory = shared
    with started(directory, wait=False) as second:
        second.read_until(rf"Another `make start` \(process {first.process.pid}\) uses .*DATA_DIR")
        assert second.process.wait(timeout=BOUND) == 1
    assert first.get("/health/liveliness")


def test_ctrl_c_ends_everything_and_preserves_tables_and_routes(tmp_path: Path) -> None:
    with started(tmp_path) as stack:
        assert "routes loaded from routes.yaml" in "".join(stack.lines)
        control = re.search(r"(http://\S+/_control)/cliproxyapi", "".join(stack.lines))
        assert control is not None
        with urllib.request.urlopen(f"{control[1]}/cliproxyapi/503", data=b"") as answer:
            assert answer.status == 200
        request = {"model": "auto-chat", "messages": [{"role": "user", "content": "Hi"}]}
        assert json.loads(stack.get("/v1/chat/completions", request))["model"] == "glm-4.7"
        family = stack.family()
        stack.process.send_signal(signal.SIGINT)
        assert stack.process.wait(timeout=BOUND) == 0
        assert have_gone(family)
    saved = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("tables.sqlite*"))
    assert b"deployment#cliproxyapi/claude-sonnet-4-6" in saved

    with started(tmp_path) as stack:
        assert "routes from the table" in "".join(stack.lines)
        assert "auto-chat" in stack.get("/v1/models")


def test_a_provider_with_a_secret_is_real_and_its_secret_is_not_shown(tmp_path: Path) -> None:
    environ = {"FIRST_KEY": "sk-very-secret", "CLIPROXYAPI_BASE_URL": "http://127.0.0.1:9/v1", "MASTER_KEY": "sk-own"}
    with started(tmp_path, environ) as stack:
        reported = "".join(stack.lines)
        assert "cliproxyapi  real: http://127.0.0.1:9/v1, with FIRST_KEY" in reported
        assert "ark          STAND-IN" in reported
        assert "sk-very-secret" not in reported
        assert "sk-own" not in reported
        assert "Bearer $MASTER_KEY" in reported
        for process in stack.family():
            assert "sk-very-secret" not in " ".join(process.cmdline())


def test_nothing_outlives_a_stack_that_is_killed(tmp_path: Path) -> None:
    with started(tmp_path) as stack:
        family = stack.family()
        assert family
        stack.process.kill()
        assert have_gone(family)


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    with started(tmp_path) as stack:
        family = stack.family()
        for process in family:
            process.suspend()  # so that an end in order is impossible
        try:
            stack.process.send_signal(signal.SIGINT)
            # The first one must have been taken before the second: then the port is closed.
            port = int(stack.base_url.rpartition(":")[2].removesuffix("/v1"))
            for _ in range(500):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) != 0:
                        break
                time.sleep(0.01)
            stack.process.send_signal(signal.SIGINT)
            assert stack.process.wait(timeout=BOUND) in (0, 130)
        finally:
            for process in family:
                if process.is_running():
                    process.resume()
        assert have_gone(family)


def test_ctrl_c_while_starting_leaves_nothing(tmp_path: Path) -> None:
    with started(tmp_path, wait=False) as stack:
        stack.read_until("stand-ins for")
        family = stack.family()
        stack.process.send_signal(signal.SIGINT)
        assert stack.process.wait(timeout=BOUND) == 0
        assert have_gone(family)


def test_a_part_that_dies_ends_the_stack_with_a_reason(tmp_path: Path) -> None:
    with started(tmp_path) as stack:
        next(process for process in stack.family() if "local.aws_server" in process.cmdline()).kill()
        stack.read_until("The embedded AWS ended unexpectedly")
        assert stack.process.wait(timeout=BOUND) == 1


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        pytest.param({"PORT": "abc"}, "PORT is 'abc'", id="a port that is none"),
        pytest.param({"DATA_DIR": str(Path(__file__))}, "it is not a directory.*DATA_DIR=", id="a file as DATA_DIR"),
        pytest.param({"ROUTES_FILE": "no-such-file.yaml"}, r"no-such-file\.yaml", id="no routes file"),
    ],
)
def test_an_invalid_setting_is_reported_without_a_traceback(
    tmp_path: Path, environ: dict[str, str], message: str
) -> None:
    with started(tmp_path, environ, wait=False) as stack:
        stack.read_until(message)
        assert stack.process.wait(timeout=BOUND) == 1
        assert "Traceback" not in "".join(stack.lines)


def test_a_port_in_use_is_reported_with_a_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with started(tmp_path, {"PORT": port}, wait=False) as stack:
            stack.read_until(rf"Port {port} is in use.*PORT=")
            assert stack.process.wait(timeout=BOUND) == 1


def test_an_invalid_chain_is_reported_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "routes.yaml").write_text(ROUTES.replace("provider: ark", "provider: arc"), encoding="utf-8")
    with started(tmp_path, wait=False) as stack:
        stack.read_until(r"routes\.yaml:9: .*arc")
        assert stack.process.wait(timeout=BOUND) == 1

"""The runtime in AWS's Runtime Interface Emulator, started through the wrapper as on Lambda."""

import importlib.util
import json
import platform
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

WRAPPER = Path(__file__).parents[3] / "layers" / "streaming_runtime" / "streaming-runtime"
PATIENCE = 20  # seconds

HANDLER = """
from streaming_runtime import Heartbeat, StreamingResponse

done = []

def broken():
    yield b"data: 1\\n\\n"
    raise ValueError("in the middle " * 1000)

def handler(event, context):
    kind = event["kind"]
    if kind == "buffered":
        return {"statusCode": 201, "headers": {"content-type": "text/plain"}, "body": "hello"}
    if kind == "streamed":
        body = (b"data: %d\\n\\n" % number for number in range(3))
        return StreamingResponse(200, {"content-type": "text/event-stream"}, body, Heartbeat(15, b": alive\\n\\n"))
    if kind == "early error":
        raise KeyError("before the first byte")
    if kind == "late error":
        return StreamingResponse(200, {}, broken())
    if kind == "work":
        context.after_response(lambda: done.append(context.aws_request_id))
        return {"statusCode": 200, "body": str(len(done))}
    return {"id": context.aws_request_id, "left": context.get_remaining_time_in_millis()}
"""


def emulator() -> str:
    """The binary that SAM CLI's package brings along."""
    machine = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine().lower()]
    package = importlib.util.find_spec("samcli")
    assert package is not None
    assert package.submodule_search_locations is not None
    return str(Path(package.submodule_search_locations[0]) / "local" / "rapid" / f"aws-lambda-rie-{machine}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def function(task_root: Path, handler: str) -> Iterator[str]:
    """A function under the emulator; yields the URL that invokes it."""
    port = free_port()
    process = subprocess.Popen(
        [
            emulator(),
            "--log-level",
            "error",
            "--runtime-interface-emulator-address",
            f"127.0.0.1:{port}",
            "--runtime-api-address",
            f"127.0.0.1:{free_port()}",
            WRAPPER,
            sys.executable,
            "/var/runtime/bootstrap.py",
        ],
        env={"LAMBDA_TASK_ROOT": str(task_root), "_HANDLER": handler, "PATH": "/usr/bin:/bin"},
        cwd=task_root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port)
        yield f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
    finally:
        process.terminate()
        process.wait(PATIENCE)


def wait_for(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return
    pytest.fail("the emulator did not start")


def invoke(url: str, kind: str) -> bytes:
    request = urllib.request.Request(url, json.dumps({"kind": kind}).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            body: bytes = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            body = error.read()
    return body


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    task_root = tmp_path_factory.mktemp("task")
    (task_root / "app.py").write_text(HANDLER)
    with function(task_root, "app.handler") as address:
        yield address


@pytest.mark.parametrize(
    ("kind", "prelude", "payload"),
    [
        ("buffered", {"statusCode": 201, "headers": {"content-type": "text/plain"}}, b"hello"),
        (
            "streamed",
            {"statusCode": 200, "headers": {"content-type": "text/event-stream"}},
            b"data: 0\n\ndata: 1\n\ndata: 2\n\n",
        ),
        ("late error", {"statusCode": 200, "headers": {}}, b"data: 1\n\n"),
    ],
)
def test_an_answer_is_prelude_delimiter_and_payload(
    url: str, kind: str, prelude: dict[str, object], payload: bytes
) -> None:
    # The emulator hands out the streaming format as one blob and leaves trailers out.
    head, delimiter, rest = invoke(url, kind).partition(bytes(8))
    assert delimiter
    assert json.loads(head) == prelude
    assert rest == payload


def test_an_error_before_the_first_byte_is_reported_with_its_stack(url: str) -> None:
    error = json.loads(invoke(url, "early error"))
    assert error["errorType"] == "KeyError"
    assert error["errorMessage"] == "'before the first byte'"
    assert ", in handler" in error["stackTrace"][0]


def test_callbacks_finish_before_the_next_event(url: str) -> None:
    counts = [invoke(url, "work").partition(bytes(8))[2] for _ in range(3)]
    first = int(counts[0])
    assert counts == [b"%d" % (first + number) for number in range(3)]


def test_the_loop_continues_after_every_kind_of_answer(url: str) -> None:
    ids = set()
    for kind in ("late error", "early error", "streamed", "buffered"):
        invoke(url, kind)
        plain = json.loads(invoke(url, "plain"))
        assert plain["left"] > 0
        ids.add(plain["id"])
    assert len(ids) == 4


def test_a_missing_handler_is_reported_to_the_caller(tmp_path: Path) -> None:
    with function(tmp_path, "nowhere.handler") as url:
        error = json.loads(invoke(url, "plain"))
    assert error["errorType"] == "Runtime.ImportModuleError"
    assert "nowhere" in error["errorMessage"]

"""What X-Ray is told, by the daemon that the SDK sends it to."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
from vibe_router.core.telemetry import start_tracing, traced
with traced("before/the-first-answer"):
    pass
start_tracing()
with traced("ark/auto-chat", mode="stream"):
    pass
"""
_TRACE = "Root=1-68a0b1c2-0123456789abcdef01234567;Parent=0123456789abcdef"


def told(trace: str | None) -> list[dict[str, object]]:
    """Return the segments that come of a program in Lambda whose request came with this trace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.setblocking(False)
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parents[2] / "layers/router"),
            "LAMBDA_TASK_ROOT": "/var/task",
            "AWS_XRAY_DAEMON_ADDRESS": f"127.0.0.1:{daemon.getsockname()[1]}",
            **({"_X_AMZN_TRACE_ID": trace} if trace else {}),
        }
        done = subprocess.run([sys.executable, "-c", _PROGRAM], env=environ, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        segments: list[dict[str, object]] = []
        while True:
            try:
                _, _, segment = daemon.recv(65_536).partition(b"\n")
            except BlockingIOError:  # over loopback all of it has come when the program has ended
                return segments
            segments.append(json.loads(segment))


def test_a_request_that_is_a_sample_is_told_with_what_was_done_within_it() -> None:
    (segment,) = told(f"{_TRACE};Sampled=1")
    assert segment["name"] == "## ark/auto-chat"
    assert segment["annotations"] == {"mode": "stream"}
    assert segment["trace_id"] == "1-68a0b1c2-0123456789abcdef01234567"
    assert segment["parent_id"] == "0123456789abcdef"


@pytest.mark.parametrize("trace", [f"{_TRACE};Sampled=0", _TRACE, None])
def test_of_any_other_nothing_is_told(trace: str | None) -> None:
    assert told(trace) == []

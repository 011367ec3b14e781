"""Answers the event in a file as the function does, in a process of its own; prints the status and the peak in MB.

python -m tests.unit.gateway.memory_program EVENT
"""

import json
import sys
from pathlib import Path
from typing import Any

from gateway import app
from tests.unit.gateway.fake_environment import FakeEnvironment, ScriptedUpstream, context, whole
from vibe_router.upstream.client import Reply


class _Provider(ScriptedUpstream):
    """Answers without parsing what was sent."""

    def post(self, url: str, headers: Any, body: bytes, *, connect: float, until: float) -> Reply:
        return whole()


def _megabytes() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")  # getrusage counts the process that started this one
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def _main(file: Path) -> None:
    environment = FakeEnvironment()
    environment.upstream = _Provider()
    environment.use_hooks(None)  # connects the provider
    app.environment = environment
    response = app.handler(json.loads(file.read_bytes()), context())
    for _ in response.body:
        pass
    print(json.dumps({"status": response.status, "peak_mb": round(_megabytes(), 1)}))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))

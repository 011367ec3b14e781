"""A script that was written for LiteLLM runs against the router without a change."""

import os
import subprocess
import sys
from pathlib import Path

from tests.e2e.stack import KEY, Stack


def test_a_script_for_litellm_runs_unchanged(stack: Stack) -> None:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("litellm_script.py")],
        env={**os.environ, "LITELLM_PROXY_URL": stack.root, "LITELLM_MASTER_KEY": KEY},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "all went well\n"), done.stderr

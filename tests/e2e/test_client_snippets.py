"""The Python snippets in docs/clients.md run against the local stack, where their package is installed."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.e2e.stack import KEY, ROOT, Stack

PAGE = (ROOT / "docs/clients.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PACKAGES = [re.findall(r"^from (\w+)", text, re.MULTILINE) for text in SNIPPETS]


@pytest.mark.parametrize("text", SNIPPETS, ids=[packages[0] for packages in PACKAGES])
def test_python_snippet_runs(stack: Stack, text: str) -> None:
    if missing := [package for package in re.findall(r"^from (\w+)", text, re.MULTILINE) if not find_spec(package)]:
        pytest.skip(f"{', '.join(missing)} is not installed")
    done = subprocess.run(
        [sys.executable, "-c", text.replace("http://127.0.0.1:4000", stack.root)],
        env={**os.environ, "VIBE_KEY": KEY},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()

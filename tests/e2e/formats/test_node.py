"""The scenarios, by the official package for Node: see `node/scenarios.mjs`."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.formats.pairs import MODELS, PROVIDERS
from tests.e2e.stack import KEY, Stack

HERE = Path(__file__).parent / "node"
NODE = shutil.which("node")
CALLERS = ("chat", "responses")
SCENARIOS = 14  # of the program; a number, so that one which was never run is noticed
OTHERS = 3
SECONDS = 600  # so many that no machine is too slow

# Installed by `npm ci` there, which CI does wherever npm is.
installed = NODE is not None and (HERE / "node_modules/openai").exists()
promised = os.environ.get("CI") == "true" and shutil.which("npm") is not None


@pytest.mark.skipif(not installed and not promised, reason="`npm ci` has not been run in tests/e2e/formats/node")
def test_every_scenario_by_the_package_for_node(stack: Stack, spares: dict[str, Iterator[str]]) -> None:
    assert NODE is not None
    broken = {f"{caller} {spoken}": next(spares[spoken]) for caller in CALLERS for spoken in MODELS}
    for pair, model in broken.items():
        stack.standin.fault(PROVIDERS[pair.split()[1]], "stream_error_late", model=model, after=5)
    settings = json.dumps({"root": stack.root, "key": KEY, "models": MODELS, "broken": broken})
    ran = subprocess.run(
        [NODE, str(HERE / "scenarios.mjs"), settings], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert ran.returncode == 0, ran.stderr
    outcomes = [json.loads(line) for line in ran.stdout.splitlines()]
    failed = [
        f"{each['caller']} over {each['spoken']}, {each['scenario']}: {each['failure']}"
        for each in outcomes
        if each["failure"] is not None
    ]
    assert not failed, "\n".join(failed)
    assert len(outcomes) == len(CALLERS) * len(MODELS) * SCENARIOS + OTHERS

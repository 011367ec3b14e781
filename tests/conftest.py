"""Distribute the tests among processes: those that need the same running router stay together.

Properties are tried with few examples; `--hypothesis-profile=thorough` tries many. None fails on a slow machine.
botocore's service models and the trusted certificates are loaded once per process.
"""

import gc
import os
import sys
from functools import cache
from typing import Any

import httpx
import pytest
from botocore.loaders import JSONFileLoader
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

ROUTERS = {
    "tests/e2e/page/": "the page's",
    "tests/e2e/formats/": "the formats'",
    "tests/e2e/agents/": "the formats'",
    "tests/e2e/test_virtual_keys.py": "the keys'",
    "tests/e2e/test_litellm_script.py": "the script's",
    "tests/e2e/": "everybody's",
    "tests/test_": "the route tests'",
}
"""The running router that tests use, by the beginning of their path; the first that fits. Each is a fixture of a
session or a module, and would be started again in every process that needs it."""

settings.register_profile("quick", deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=1000)
settings.load_profile("quick")

# The test processes and those that they start would else compile the same modules again and again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Every session of botocore's reads its files anew, for 100 ms and more; none changes what it has read.
_read = JSONFileLoader.load_file
_read_once = cache(lambda path: _read(JSONFileLoader(), path))
JSONFileLoader.load_file = lambda self, file_path: _read_once(file_path)  # type: ignore[method-assign]  # for all

# Every client of httpx's, as every httpx.get is one, parses the machine's certificates anew, for 25 ms and more.
pytest.MonkeyPatch().setattr("httpx._transports.default.create_ssl_context", cache(httpx.create_ssl_context))


class _Together(LoadScopeScheduling):  # type: ignore[misc]  # its package says no types
    """Gives a process all tests of a router, or of a file, in the order of their paths: the slow ones first."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return next((router for beginning, router in ROUTERS.items() if path.startswith(beginning)), path)


# What is imported and collected stays to the end. Searching it for garbage, again and again, takes seconds, and up to
# one of them in the middle of a test that compares times.
gc.disable()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Collect garbage from now on, but not among what was collected."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Start more processes than there are processors: those with a running router mostly wait for it.

    With `--numprocesses logical`, for tests that start none, as many.
    """
    return (os.cpu_count() or 1) + (0 if config.option.numprocesses == "logical" else 2)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Together:
    config.option.loadscopereorder = False
    return _Together(config, log)

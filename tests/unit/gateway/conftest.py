import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from gateway import app
from tests.unit.gateway.fake_environment import FakeEnvironment
from vibe_router.core.telemetry import logger


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> FakeEnvironment:
    """The environment that the handler finds."""
    environment = FakeEnvironment()
    monkeypatch.setattr(app, "environment", environment)
    return environment


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The log lines, as values."""
    handler = cast("logging.StreamHandler[io.StringIO]", logger.registered_handler)
    written = io.StringIO()
    before = handler.setStream(written)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    if before is not None:
        handler.setStream(before)

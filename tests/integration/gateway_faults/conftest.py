import io
import logging
from collections.abc import Iterator
from typing import Any, cast

import pytest

from gateway import app
from gateway.environment import Environment
from local.standin import Standin
from tests.integration.gateway_faults.aws_front import AwsFront
from tests.integration.gateway_faults.fleet import Fleet
from tests.unit.store.fakes import Aside
from vibe_router.core.telemetry import logger
from vibe_router.store import circuit_breaker, dynamodb


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsFront]:
    """The embedded AWS, which every client that is made asks."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SECRETSMANAGER", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    front = AwsFront()
    monkeypatch.setenv("AWS_ENDPOINT_URL", front.url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setattr(dynamodb, "RETRY_PAUSE", 0.0)
    yield front
    front.close()


@pytest.fixture
def fleet(aws: AwsFront, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    handler = cast("logging.StreamHandler[Any]", logger.registered_handler)
    log = io.StringIO()
    before = handler.setStream(log)
    aside = Aside()

    class HeldThread:
        """Keeps work that would be done beside the requests until a test does it."""

        def __init__(self, *, target: Any, daemon: bool) -> None:
            assert daemon
            self._work = target

        def start(self) -> None:
            aside(self._work)

    monkeypatch.setattr(circuit_breaker, "Thread", HeldThread)
    monkeypatch.setattr(Environment, "prefetch", lambda _: None)  # calls come in an order that tests know
    monkeypatch.setattr(app, "environment", None)
    with Standin() as standin:
        fleet = Fleet(aws, standin, log, aside=aside)
        try:
            yield fleet
        finally:
            fleet.close()
            if before is not None:
                handler.setStream(before)

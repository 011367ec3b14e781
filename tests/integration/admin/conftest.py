from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config
from moto import mock_aws

from admin import app
from tests import moto_pace
from tests.integration.admin.rig import Admin
from tests.unit.store.held import Time
from vibe_cli import boto


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture(scope="module", autouse=True)
def one_session() -> Iterator[None]:
    """Make one client of each sort for many tests, who leave no handler in it: a client takes longer than a test."""
    moto_pace.install()
    boto.session.cache_clear()
    session = boto.session()
    make, made = session.client, dict[tuple[str, bool], Any]()

    def client(service: str, *, config: Config | None = None) -> Any:
        known = service, config is None
        if known not in made:
            made[known] = make(service, config=config)  # type: ignore[call-overload]  # any service's name
        return made[known]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "client", client)
        yield
    boto.session.cache_clear()


@pytest.fixture
def admin(time: Time, monkeypatch: pytest.MonkeyPatch) -> Iterator[Admin]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        admin = Admin(time)
        monkeypatch.setattr(app, "environment", admin.environment)
        yield admin

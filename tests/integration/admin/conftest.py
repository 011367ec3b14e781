from collections.abc import Iterator

import pytest
from moto import mock_aws

from control import app
from tests.integration.admin.rig import Admin
from tests.unit.store.held import Time
from vibe_router.store import aws


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture(scope="module", autouse=True)
def one_session() -> Iterator[None]:
    """Load what boto3 knows of its services once for many tests: that takes longer than they do."""
    aws.session.cache_clear()
    yield
    aws.session.cache_clear()


@pytest.fixture
def admin(time: Time, monkeypatch: pytest.MonkeyPatch) -> Iterator[Admin]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        admin = Admin(time)
        monkeypatch.setattr(app, "_environment", admin.environment)
        yield admin

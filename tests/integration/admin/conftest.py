import pytest

from admin import app
from tests.integration.admin.harness import Admin
from tests.unit.store.fakes import Time


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def admin(time: Time, monkeypatch: pytest.MonkeyPatch) -> Admin:
    admin = Admin(time)
    monkeypatch.setattr(app, "environment", admin.environment)
    return admin

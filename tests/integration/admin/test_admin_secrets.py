"""The function that writes the providers' keys: it takes values, and gives none out."""

import json
import logging

import pytest

from admin import app
from tests.integration.admin.harness import MASTER, Admin
from tests.unit.store.fakes import Time

CANARY = "sk-canary-of-a-provider"


@pytest.fixture
def writer(time: Time, monkeypatch: pytest.MonkeyPatch) -> Admin:
    admin = Admin(time, function="SecretsFunction")
    monkeypatch.setattr(app, "environment", admin.environment)
    return admin


def entries(writer: Admin) -> dict[str, str]:
    return writer.secret(writer.router_secret)


def test_an_entry_is_set_replaced_and_deleted(writer: Admin) -> None:
    first = writer.ask("PUT", "/secrets/ARK_API_KEY", {"secret": f"  {CANARY}\n"})
    assert (first.status, first.body) == (200, {"name": "ARK_API_KEY", "was_set": False})
    assert entries(writer) == {"MASTER_KEY": MASTER, "ARK_API_KEY": CANARY}
    assert writer.ask("PUT", "/secrets/ARK_API_KEY", {"secret": "other"}).body["was_set"] is True
    assert writer.ask("PUT", "/secrets/NEW_KEY", {"secret": "x"}).status == 200
    assert writer.secret() == {"MASTER_KEY": MASTER, "SECRETS_SET": '["ARK_API_KEY", "NEW_KEY"]'}
    assert writer.ask("DELETE", "/secrets/ARK_API_KEY").body == {"name": "ARK_API_KEY", "was_set": True}
    assert writer.ask("DELETE", "/secrets/ARK_API_KEY").body["was_set"] is False
    assert entries(writer) == {"MASTER_KEY": MASTER, "NEW_KEY": "x"}


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("MASTER_KEY", {"secret": "x"}),
        ("UI_PASSWORD", {"secret": "x"}),
        ("OIDC_CLIENT_SECRET", {"secret": "x"}),
        ("sk-pasted-key", {"secret": "x"}),
        ("A" * 129, {"secret": "x"}),
        ("ARK_API_KEY", {"secret": "   "}),
        ("ARK_API_KEY", {"secret": "two\nlines"}),
        ("ARK_API_KEY", {"secret": "x" * 8_001}),
        ("ARK_API_KEY", {"secret": 5}),
        ("ARK_API_KEY", {}),
        ("ARK_API_KEY", {"secret": "x", "more": 1}),
    ],
)
def test_a_wrong_name_or_value_changes_nothing(writer: Admin, name: str, body: dict[str, object]) -> None:
    assert writer.ask("PUT", f"/secrets/{name}", body).status == 400
    assert entries(writer) == {"MASTER_KEY": MASTER}


def test_a_full_secret_is_reported(writer: Admin) -> None:
    for number in range(8):
        assert writer.ask("PUT", f"/secrets/KEY_{number}", {"secret": "x" * 8_000}).status == 200
    full = writer.ask("PUT", "/secrets/KEY_8", {"secret": "x" * 8_000})
    assert (full.status, full.error["param"]) == (400, "secret")
    assert "KEY_8" not in entries(writer)


def test_only_administrators_write(writer: Admin) -> None:
    assert writer.ask("PUT", "/secrets/ARK_API_KEY", {"secret": CANARY}, key=None).status == 401
    assert writer.ask("PUT", "/secrets/ARK_API_KEY", {"secret": CANARY}, key="sk-other").status == 401
    cookie = {"Cookie": writer.sign_in().cookie}
    forged = writer.ask("PUT", "/secrets/ARK_API_KEY", {"secret": CANARY}, key=None, headers=cookie)
    assert (forged.status, forged.error["code"]) == (403, "csrf_failed")
    assert entries(writer) == {"MASTER_KEY": MASTER}


def test_the_admin_function_writes_none(admin: Admin) -> None:
    assert admin.ask("PUT", "/secrets/ARK_API_KEY", {"secret": CANARY}).status == 404


def test_a_value_is_in_no_response_log_or_audit_entry(writer: Admin, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answers = [
        writer.ask("PUT", "/secrets/ARK_API_KEY", {"secret": CANARY}),
        writer.ask("PUT", "/secrets/MASTER_KEY", {"secret": CANARY}),
        writer.ask("PUT", "/secrets/ARK_API_KEY", {"secret": CANARY + "\n" + CANARY}),
        writer.ask("GET", "/secrets/ARK_API_KEY"),
        writer.sign_in(password=CANARY),
    ]
    entries = writer.read("/audit")["entries"]
    assert "secrets/ARK_API_KEY" in [entry["action"] for entry in entries]
    assert CANARY not in json.dumps([answer.body for answer in answers]) + json.dumps(entries) + caplog.text


def test_an_unreadable_secret_is_not_overwritten(writer: Admin) -> None:
    broken = {"SecretId": writer.router_secret, "SecretString": "[]"}
    writer.secrets.api.call("PutSecretValue", broken)
    assert writer.ask("PUT", "/secrets/ARK_API_KEY", {"secret": CANARY}).status == 503
    assert writer.secrets.get_secret_value(SecretId=writer.router_secret)["SecretString"] == "[]"

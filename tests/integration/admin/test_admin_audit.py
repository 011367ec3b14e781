"""The audit log: every change and every sign-in, without secrets, and nothing else."""

import json

import pytest

from tests.integration.admin.harness import MASTER, Admin


def entries(admin: Admin, **query: object) -> list[dict[str, object]]:
    answer = admin.ask("GET", "/audit", query=query)
    assert answer.status == 200, answer.body
    return list(answer.body["entries"])


def test_a_change_is_recorded_with_who_when_where_and_what(admin: Admin) -> None:
    team = admin.made("/team/new", team_alias="red", max_budget=5)
    admin.time.advance(60)
    key = admin.made("/key/generate", key_alias="ci", team_id=team["team_id"], metadata={"token": "sk-canary"})
    newest, oldest = entries(admin)
    assert (newest["action"], newest["target"], newest["by"]) == ("key/generate", f"key {key['key_id']}", "master key")
    assert newest["changes"] == {"key_alias": "ci", "team_id": team["team_id"], "metadata": "(not recorded)"}
    assert (oldest["action"], oldest["changes"]) == ("team/new", {"team_alias": "red", "max_budget": 5})
    assert (newest["address"], newest["status"]) == ("192.0.2.1", 200)
    assert str(newest["at"]) > str(oldest["at"])


def test_no_secret_is_recorded(admin: Admin) -> None:
    key = admin.made("/key/generate", key="sk-canary-of-the-caller-1234")
    admin.made("/key/update", key=key["key"], max_budget=1)
    admin.made("/key/regenerate", key=key["key"], new_key="sk-canary-of-the-caller-5678")
    admin.made("/key/delete", keys=["sk-canary-of-the-caller-5678"])
    admin.sign_in("sk-canary-as-name", "sk-canary-as-password")
    recorded = json.dumps(entries(admin))
    assert "canary" not in recorded
    assert MASTER not in recorded
    assert len(entries(admin)) == 5


def test_sign_ins_are_recorded_successful_and_failed(admin: Admin) -> None:
    admin.sign_in(password="wrong", address="198.51.100.7")
    admin.time.advance(1)
    admin.sign_in()
    succeeded, failed = entries(admin)
    assert (succeeded["action"], succeeded["by"], succeeded["status"]) == ("ui/sign-in", "admin", 200)
    assert (failed["by"], failed["status"], failed["address"]) == ("", 401, "198.51.100.7")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/key/list", None),
        ("POST", "/key/update", {"key": "sk-nothing-with-this-name", "max_budget": 1}),
        ("POST", "/key/generate", {"max_budget": -1}),
        ("POST", "/routes/explain", {"model": "auto-chat"}),
        ("POST", "/no/such/path", {}),
    ],
)
def test_reads_and_failed_calls_are_not_recorded(admin: Admin, method: str, path: str, body: object) -> None:
    admin.ask(method, path, body)
    assert entries(admin) == []


def test_the_log_is_read_page_by_page_over_days(admin: Admin) -> None:
    for number in range(5):
        admin.made("/team/new", team_alias=f"team {number}")
        admin.time.advance(30_000)
    first = admin.read("/audit", limit=2)
    rest = admin.read("/audit", limit=10, before=first["next"])
    names = [entry["changes"]["team_alias"] for entry in first["entries"] + rest["entries"]]
    assert names == ["team 4", "team 3", "team 2", "team 1", "team 0"]
    assert rest["next"] is None


def test_a_change_is_made_although_its_entry_cannot_be_stored(
    admin: Admin, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unavailable(*_: object) -> None:
        raise OSError("the table is gone")

    monkeypatch.setattr(admin.environment.audit, "add", unavailable)
    assert admin.ask("POST", "/team/new", {"team_alias": "red"}).status == 200
    assert "AUDIT ENTRY NOT STORED" in caplog.messages

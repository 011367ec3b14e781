"""Archived requests through the admin API: read by admins, by leads and by users, each their own, and audited."""

import json

import pytest

from tests.integration.admin.harness import MASTER, Admin, Answer
from tests.integration.admin.test_admin_audit import entries
from tests.integration.admin.test_admin_usage import book
from vibe_router.access.roles import Role
from vibe_router.access.sessions import COOKIE, new_session
from vibe_router.core.record import Record
from vibe_router.store.archive import ArchiveStore, CorruptDocumentError
from vibe_router.store.aws_errors import ReadTimeoutError

DOCUMENT = {"version": 1, "request": {"body": {"model": "auto-chat"}}, "answer": {"body": {}}}


class Documents(ArchiveStore):
    """The archive as a dictionary of requests."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.fault: Exception | None = None

    def read(self, started: float, request_id: str) -> bytes | None:
        if self.fault:
            raise self.fault
        return self.documents.get(request_id)


@pytest.fixture
def documents(admin: Admin) -> Documents:
    documents = Documents()
    documents.documents = dict.fromkeys(("of-ann", "of-bob"), json.dumps(DOCUMENT).encode())
    admin.environment.archive = documents
    rows = (("of-ann", "red", "ann@x"), ("of-bob", "blue", "bob@x"), ("gone", "red", "ann@x"), ("bare", None, None))
    records = (
        Record(id_, admin.time.now, key=f"key-of-{id_}", team=team, user=user, archived=True)
        for id_, team, user in rows
    )
    book(admin, tuple(records))
    return documents


def ask(admin: Admin, path: str, name: str | None = None, role: Role = "member", team: str | None = None) -> Answer:
    if name is None:
        return admin.ask("GET", path)
    session = new_session(name, admin.time.now, role, team)
    cookie = admin.environment.session_key().cookie(session)
    return admin.ask("GET", path, key=None, headers={"Cookie": f"{COOKIE}={cookie}"})


def test_an_admin_downloads_a_document_and_the_audit_log_says_so(admin: Admin, documents: Documents) -> None:
    answer = ask(admin, "/usage/requests/of-ann/archive")
    assert (answer.status, answer.body) == (200, DOCUMENT)
    assert answer.headers["content-disposition"] == ['attachment; filename="of-ann.json"']
    assert answer.headers["x-content-type-options"] == ["nosniff"]
    (entry,) = entries(admin)
    assert (entry["action"], entry["by"], entry["status"]) == ("usage/requests/of-ann/archive", "master key", 200)


@pytest.mark.parametrize(
    ("name", "role", "team", "readable"),
    [
        ("ann@x", "member", None, {"of-ann"}),
        ("bob@x", "member", None, {"of-bob"}),
        ("carl@x", "member", None, set()),
        ("lead@x", "lead", "red", {"of-ann"}),
        ("ann@x", "lead", "blue", {"of-bob"}),
        ("lead@x", "lead", None, set()),
        ("boss@x", "admin", None, {"of-ann", "of-bob"}),
    ],
)
def test_each_role_reads_its_own(
    admin: Admin, documents: Documents, name: str, role: Role, team: str | None, readable: set[str]
) -> None:
    documents.documents["bare"] = b"{}"
    found = {
        id_
        for id_ in ("of-ann", "of-bob", "bare")
        if ask(admin, f"/me/requests/{id_}/archive", name, role, team).status == 200
    }
    assert found - {"bare"} == readable
    assert ("bare" in found) is (role == "admin")
    unreadable = ask(admin, "/me/requests/of-bob/archive", name, role, team)
    missing = ask(admin, "/me/requests/missing/archive", name, role, team)
    if "of-bob" not in readable:
        assert unreadable.error["code"] == missing.error["code"] == "request_not_found"
    if role != "admin":
        assert ask(admin, "/usage/requests/of-ann/archive", name, role, team).status == 403


def test_what_is_not_there_is_a_404_and_what_cannot_be_read_a_503(admin: Admin, documents: Documents) -> None:
    assert ask(admin, "/usage/requests/gone/archive").error["code"] == "archive_not_found"
    assert ask(admin, "/usage/requests/none/archive").error["code"] == "request_not_found"
    for fault in (ReadTimeoutError("S3"), CorruptDocumentError("not gzip")):
        documents.fault = fault
        assert ask(admin, "/usage/requests/of-ann/archive").status == 503
    admin.environment.archive = None
    answer = ask(admin, "/usage/requests/of-ann/archive")
    assert (answer.status, answer.error["code"]) == (404, "archive_not_found")
    assert "ArchiveBucket" in answer.error["message"]
    assert entries(admin) == []


def test_a_virtual_key_reads_no_archive(admin: Admin, documents: Documents) -> None:
    key = admin.made("/key/generate", user_id="ann@x")["key"]
    assert key != MASTER
    for path in ("/usage/requests/of-ann/archive", "/me/requests/of-ann/archive"):
        assert admin.ask("GET", path, key=key).status == 403

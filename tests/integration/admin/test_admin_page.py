"""The page's files, as they are served."""

import re

import pytest

from tests.infrastructure.expanded import ROOT
from tests.integration.admin.rig import Admin

UI = ROOT / "functions/admin/ui"
FILES = sorted(path.relative_to(UI).as_posix() for path in UI.rglob("*") if path.is_file())
KINDS = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_served_to_everybody_as_what_it_is(admin: Admin, name: str) -> None:
    answer = admin.ask("GET", f"/ui/{name}", key=None)
    assert (answer.status, answer.body) == (200, (UI / name).read_text(encoding="utf-8"))
    kind = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}[
        name.split(".")[-1]
    ]
    assert answer.headers["content-type"] == [f"{kind}; charset=utf-8"]
    assert answer.headers["x-content-type-options"] == ["nosniff"]
    policy = answer.headers["content-security-policy"][0]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


def test_the_page_holds_nothing_that_its_policy_forbids() -> None:
    html = (UI / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|<script(?![^>]*src=)|\son\w+=|style=|https?://", html)


def test_a_file_that_has_not_changed_is_not_sent_again(admin: Admin) -> None:
    etag = admin.ask("GET", "/ui/", key=None).headers["etag"][0]
    again = admin.ask("GET", "/ui/", key=None, headers={"If-None-Match": etag})
    assert (again.status, again.body) == (304, "")
    assert admin.ask("GET", "/ui/", key=None, headers={"If-None-Match": '"other"'}).status == 200


def test_the_page_without_its_slash_sends_on_below_whatever_stage(admin: Admin) -> None:
    answer = admin.ask("GET", "/ui", key=None)
    assert (answer.status, answer.headers["location"]) == (307, ["ui/"])


@pytest.mark.parametrize("path", ["/ui/../control/app.py", "/ui/%2e%2e/control/app.py", "/ui//etc/passwd", "/ui/.git"])
def test_nothing_else_is_served(admin: Admin, path: str) -> None:
    assert admin.ask("GET", path, key=None).status == 404


def test_only_its_head_is_asked_for(admin: Admin) -> None:
    assert admin.ask("HEAD", "/ui/", key=None).status == 200

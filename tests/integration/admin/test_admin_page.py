"""The page's files: how they are served, and how its modules depend on each other."""

import posixpath
import re
from graphlib import TopologicalSorter

import pytest

from tests.infrastructure.expanded import ROOT
from tests.integration.admin.harness import Admin

UI = ROOT / "functions/admin/ui"
FILES = sorted(path.relative_to(UI).as_posix() for path in UI.rglob("*") if path.is_file())
KINDS = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_served_with_its_type_and_security_headers(admin: Admin, name: str) -> None:
    answer = admin.ask("GET", f"/ui/{name}", key=None)
    assert (answer.status, answer.body) == (200, (UI / name).read_text(encoding="utf-8"))
    assert answer.headers["content-type"] == [f"{KINDS[name.split('.')[-1]]}; charset=utf-8"]
    assert answer.headers["x-content-type-options"] == ["nosniff"]
    policy = answer.headers["content-security-policy"][0]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize("path", ["/ui/", "/ui/app.js", "/ui/openapi.json", "/ui"])
@pytest.mark.parametrize(("scheme", "hsts"), [("https", ["max-age=31536000"]), ("http", None)])
def test_hsts_is_sent_over_https_only(admin: Admin, path: str, scheme: str, hsts: list[str] | None) -> None:
    answer = admin.ask("GET", path, key=None, headers={"X-Forwarded-Proto": scheme})
    assert answer.headers.get("strict-transport-security") == hsts


def test_the_page_has_no_inline_code_and_no_external_resources() -> None:
    html = (UI / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|<script(?![^>]*src=)|\son\w+=|style=|https?://", html)


def test_an_unchanged_file_gets_304(admin: Admin) -> None:
    etag = admin.ask("GET", "/ui/", key=None).headers["etag"][0]
    again = admin.ask("GET", "/ui/", key=None, headers={"If-None-Match": etag})
    assert (again.status, again.body) == (304, "")
    assert admin.ask("GET", "/ui/", key=None, headers={"If-None-Match": '"other"'}).status == 200


def test_the_page_without_a_slash_redirects_relatively(admin: Admin) -> None:
    answer = admin.ask("GET", "/ui", key=None)
    assert (answer.status, answer.headers["location"]) == (307, ["ui/"])


@pytest.mark.parametrize("path", ["/ui/../control/app.py", "/ui/%2e%2e/control/app.py", "/ui//etc/passwd", "/ui/.git"])
def test_other_paths_get_404(admin: Admin, path: str) -> None:
    assert admin.ask("GET", path, key=None).status == 404


def test_head_is_answered(admin: Admin) -> None:
    assert admin.ask("HEAD", "/ui/", key=None).status == 200


MODULES = {path.relative_to(UI).as_posix(): path.read_text(encoding="utf-8") for path in UI.rglob("*.js")}
IMPORT = re.compile(r"""(?:\bfrom|^import|\bimport\()\s*["'](\.[^"']+)["']""", re.MULTILINE)


def imports_of(name: str) -> set[str]:
    return {posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) for path in IMPORT.findall(MODULES[name])}


def test_every_module_imports_only_existing_modules() -> None:
    missing = {name: imports_of(name) - MODULES.keys() for name in MODULES}
    assert not any(missing.values()), missing
    assert len(imports_of("views/models.js")) > 10  # imports are recognised


def test_modules_have_no_import_cycles() -> None:
    TopologicalSorter({name: imports_of(name) for name in MODULES}).prepare()  # raises CycleError with the cycle


def test_shared_modules_import_no_view() -> None:
    shared = {name for name in MODULES if not name.startswith("views/")} - {"app.js"}
    assert not {(name, each) for name in shared for each in imports_of(name) if each.startswith("views/")}


def test_every_api_call_of_a_view_is_declared_in_the_endpoints(admin: Admin) -> None:
    declared = re.findall(r'\b(get|post|put)\(["`]([^"`?]+)', MODULES["endpoints.js"])
    assert len(declared) > 20
    described = admin.ask("GET", "/ui/openapi.json", key=None).body["paths"]
    known = {(method, re.sub(r"\{\w+\}", "{}", path)) for path, methods in described.items() for method in methods}
    calls = {(method, "/" + re.sub(r"\$\{.*\}", "{}", path)) for method, path in declared}
    assert calls - known == {("get", "/ui/openapi.json"), ("get", "/openapi.json")}
    for name, text in MODULES.items():
        if name not in ("endpoints.js", "session.js"):
            assert not re.search(r"(?<![.\w])(fetch|get|post|put|call)\(", text), name

"""Common to all views: accessibility, themes, widths, keyboard."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.e2e.page.browser import PHONE, Visitor
from tests.e2e.page.traffic import ask
from tests.e2e.stack import KEY, ROOT, Stack

VIEWS = ("overview", "models", "keys", "keys/teams", "requests", "playground", "api", "api/put/routes")
UI = ROOT / "functions/admin/ui"
_BAD = ("serious", "critical")


@pytest.fixture
def cooling(used_stack: Stack) -> Iterator[None]:
    """Have one cooling deployment, for the views that show it."""
    used_stack.fault("cliproxyapi", "429", model="claude-haiku-4-5", headers={"retry-after": "60"})
    ask(used_stack, KEY, "auto-claude-mini")
    yield
    used_stack.heal()


def findings(page: Page, *rules: str) -> list[str]:
    """Return the violations axe finds (of certain rules), with their elements."""
    options: dict[str, list[str]] = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    violations = Axe().run(page, options=options).response["violations"]
    return [
        f"{each['id']}: {each['help']}: {[node['target'] for node in each['nodes']][:5]}"
        for each in violations
        if each["impact"] in _BAD
    ]


def widths(page: Page) -> tuple[int, int]:
    scrolled, shown = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    return scrolled, shown


@pytest.mark.usefixtures("cooling")
def test_axe_reports_no_violations_on_any_view(visit: Callable[..., Visitor]) -> None:
    visitor = visit(reduced_motion="reduce", signed_out=True)
    page = visitor.page
    page.goto(f"{visitor.root}/ui/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    found = {"sign-in": findings(page)}
    for view in VIEWS:
        found[view] = findings(visitor.open(view).page)
        page.emulate_media(color_scheme="dark")
        found[f"{view}, dark"] = findings(page, "color-contrast")
        page.emulate_media(color_scheme="light")
    assert not any(found.values()), found


def test_axe_reports_no_violations_in_editors_and_dialogs(visit: Callable[..., Visitor]) -> None:
    visitor = visit(reduced_motion="reduce")
    page = visitor.open("models").page
    found = {}
    visitor.button("Edit auto-chat-mini").click()
    page.get_by_label("Description").fill("Another one")
    found["editor"] = findings(page)
    for name in ("Review and save", "Explain a request", "History", "Add model", "Add provider"):
        visitor.button(name).click()
        expect(visitor.dialog.locator(".skeleton")).to_have_count(0)
        found[name] = findings(page)
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
    visitor.open("keys").button("Create key").click()
    found["key"] = findings(page)
    page.keyboard.press("Escape")
    visitor.open("requests").page.get_by_role("row").nth(1).get_by_role("link").click()
    found["request details"] = findings(page)
    assert not any(found.values()), found


@pytest.mark.usefixtures("cooling")
def test_no_view_is_wider_than_the_screen(visit: Callable[..., Visitor]) -> None:
    visitor = visit(viewport=PHONE, has_touch=True)
    page = visitor.page
    page.goto(f"{visitor.root}/ui/")
    wide = {}
    for view in VIEWS:
        visitor.open(view)
        wide[view] = widths(page)
    visitor.open("models").button("Edit auto-chat-mini").click()
    wide["editor"] = widths(page)
    for width in (768, 920, 1024):
        page.set_viewport_size({"width": width, "height": 800})
        for view in ("requests", "keys", "models"):
            visitor.open(view)
            wide[f"{view}, {width}"] = widths(page)
    page.set_viewport_size(PHONE)
    expect(page.get_by_role("navigation")).to_be_in_viewport()
    assert all(scrolled <= shown for scrolled, shown in wide.values()), wide


def test_theme_follows_the_system_until_one_is_chosen(visit: Callable[..., Visitor]) -> None:
    visitor = visit(color_scheme="dark")
    page = visitor.open().page
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    visitor.button("Theme: system").click()
    light = page.evaluate(background)
    assert dark != light
    page.reload()
    expect(visitor.button("Theme: light")).to_be_visible()
    assert page.evaluate(background) == light
    visitor.button("Theme: light").click()
    assert page.evaluate(background) == dark


def test_keyboard_reaches_navigation_and_dialogs(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open().page
    page.reload()
    visitor.wait_until_loaded()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.get_by_role("link", name="Keys").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Keys")).to_be_focused()
    opener = visitor.button("Create key")
    opener.focus()
    page.keyboard.press("Enter")
    expect(visitor.dialog.get_by_label("Alias")).to_be_focused()
    page.keyboard.press("Escape")
    expect(opener).to_be_focused()


@pytest.mark.skipif(which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("path", sorted(UI.rglob("*.js")), ids=lambda path: str(path.relative_to(UI)))
def test_every_script_parses(path: Path) -> None:
    checked = subprocess.run(["node", "--check", path], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_no_external_resources_and_no_inline_code() -> None:
    page = (UI / "index.html").read_text()
    assert "<script>" not in page
    assert "<style" not in page
    assert " style=" not in page
    for path in UI.rglob("*"):
        if path.is_file():
            text = path.read_text().replace("http://www.w3.org/2000/svg", "").replace("https://api.example.com", "")
            assert "://" not in text, path
            assert "innerHTML" not in text, path
            assert "outerHTML" not in text, path

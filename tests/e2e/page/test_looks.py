"""Common to all views: accessibility, themes, widths, keyboard."""

import re
import subprocess
from collections.abc import Callable, Iterator
from shutil import which
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, ViewportSize, expect

from tests.e2e.page.browser import PHONE, Visitor
from tests.e2e.page.traffic import ask
from tests.e2e.stack import KEY, ROOT, Stack

VIEWS = (
    "overview",
    "usage",
    "models",
    "keys",
    "keys/teams",
    "keys/users",
    "requests",
    "alerts",
    "audit",
    "playground",
    "api/put/routes",
)
UI = ROOT / "functions/admin/ui"
AXE = """async (rules) => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"], ...(rules ? { runOnly: rules } : {}) });
  return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 5).map(({ target }) => target.join(" "))}`);
}"""
LOOKS = ["color-contrast", "target-size", "scrollable-region-focusable", "link-in-text-block"]
DESKTOP: ViewportSize = {"width": 1280, "height": 860}


@pytest.fixture
def cooling(used_stack: Stack) -> Iterator[None]:
    """Have one cooling deployment, for the views that show it."""
    used_stack.fault("cliproxyapi", "429", model="claude-haiku-4-5", headers={"retry-after": "60"})
    ask(used_stack, KEY, "auto-claude-mini")
    yield
    used_stack.heal()


def violations(page: Page) -> dict[str, list[str]]:
    """Return axe's reports of any severity: every rule on a wide light page, LOOKS on a narrow dark one."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    found = {}
    modes: tuple[tuple[str, ViewportSize, Literal["light", "dark"], list[str] | None], ...] = (
        ("phone, dark", PHONE, "dark", LOOKS),
        ("desktop, light", DESKTOP, "light", None),
    )
    for name, viewport, scheme, rules in modes:
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=scheme)
        found[name] = page.evaluate(AXE, rules)
        if viewport == PHONE and excess(page):
            found[name].append(f"wider than the screen by {excess(page)} px")
    return {name: lines for name, lines in found.items() if lines}


def excess(page: Page) -> int:
    """Return by how many pixels the page is wider than the screen."""
    width: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return width


@pytest.mark.usefixtures("cooling")
def test_axe_reports_nothing_on_any_view(visit: Callable[..., Visitor]) -> None:
    visitor = visit(reduced_motion="reduce", signed_out=True)
    page = visitor.page
    page.goto(f"{visitor.root}/ui/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    found = {"sign-in": violations(page)}
    for view in VIEWS:
        visitor.open(view)
        found[view] = violations(page)
    assert not any(found.values()), found


def test_axe_reports_nothing_in_editors_dialogs_and_drawers(visit: Callable[..., Visitor]) -> None:
    visitor = visit(reduced_motion="reduce")
    page = visitor.page
    found: dict[str, object] = {}

    def check(opener: Locator, name: str, *, leave: bool = True) -> None:
        opener.click()
        expect(visitor.dialog.locator(".skeleton")).to_have_count(0)
        found[name] = violations(page)
        if leave:
            page.keyboard.press("Escape")
            expect(page.get_by_role("dialog")).to_have_count(0)

    visitor.open("models").button("Edit auto-chat-mini").click()
    page.get_by_label("Description").fill("Another one")
    found["editor"] = violations(page)
    for name in ("Review and save", "History", "Add model", "Add provider", "Add guard", "Discard"):
        check(visitor.button(name), name)
    check(visitor.button("Explain a request"), "explain", leave=False)
    visitor.button("Explain", visitor.dialog).click()
    expect(visitor.dialog.locator(".tried")).to_be_visible()
    found["explained"] = violations(page)
    visitor.open("keys/teams")
    check(visitor.button("Create team"), "team")
    visitor.open("keys")
    page.get_by_label("Find keys").fill("checkout")  # other tests have made more keys than a page shows
    expect(page).to_have_url(re.compile("find=checkout"))
    for name in ("Edit checkout", "Rotate checkout", "Block checkout"):
        check(visitor.button(name), name)
    check(visitor.button("Create key"), "key", leave=False)
    for summary in visitor.dialog.locator("summary").all():
        summary.click()
    found["key, all fields"] = violations(page)
    visitor.button("Create key", visitor.dialog).click()
    expect(visitor.dialog.get_by_role("group", name="Snippet for curl")).to_be_visible()
    found["created key"] = violations(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    visitor.open("requests")
    check(page.get_by_role("row").nth(1).get_by_role("link"), "request")
    assert not any(found.values()), {name: each for name, each in found.items() if each}


def test_views_fit_screens_of_every_width(visit: Callable[..., Visitor]) -> None:
    visitor = visit(viewport=PHONE, has_touch=True)
    page = visitor.page
    wide = {}
    for view in ("requests", "keys", "models"):
        visitor.open(view)
        if view == "models":
            visitor.button("Edit auto-chat-mini").click()
        for width in (360, 768, 920, 1024):
            page.set_viewport_size({"width": width, "height": 800})
            wide[view, width] = excess(page)
    page.set_viewport_size(PHONE)
    expect(page.get_by_role("navigation")).to_be_in_viewport()
    assert not any(wide.values()), wide


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
    expect(visitor.dialog.get_by_label("Alias", exact=True)).to_be_focused()
    page.keyboard.press("Escape")
    expect(opener).to_be_focused()


@pytest.mark.skipif(which("node") is None, reason="node is not installed")
def test_every_script_parses() -> None:
    program = """
    const { readFileSync } = require("node:fs"), { SourceTextModule } = require("node:vm");
    for (const identifier of process.argv.slice(1)) {
      new SourceTextModule(readFileSync(identifier, "utf8"), { identifier });
    }
    """
    scripts = map(str, sorted(UI.rglob("*.js")))
    command = ["node", "--no-warnings", "--experimental-vm-modules", "-e", program, "--"]
    checked = subprocess.run([*command, *scripts], capture_output=True, text=True, check=False)
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

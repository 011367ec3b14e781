"""A headless Chromium in front of the admin page, and a visitor who notices whatever a browser complains of."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    Route,
    StorageState,
    ViewportSize,
    expect,
    sync_playwright,
)

from tests.e2e.stack import KEY, Stack

__all__ = ["CHROMIUM", "PHONE", "Visitor", "chromium"]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE: ViewportSize = {"width": 360, "height": 740}
_WITHIN = 20_000  # milliseconds that an expectation waits at most

expect.set_options(timeout=_WITHIN)

# Violations are noted by the page itself: the console's text about them differs between versions.
_NOTE_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(
  `${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser, and end it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield browser
        browser.close()


class Visitor:
    """One person with a browser of their own. `complaints` are the errors that it saw on its console.

    `prefix` is the stage that the page is visited under. Whoever is not `fresh` has signed in already, if anybody has.
    """

    _signed_in: ClassVar[dict[str, StorageState]] = {}

    def __init__(
        self, browser: Browser, stack: Stack, *, prefix: str = "", fresh: bool = False, **context: Any
    ) -> None:
        self.stack = stack
        self.complaints: list[str] = []
        self.root = f"{stack.root}{prefix}"
        context.setdefault("viewport", {"width": 1280, "height": 860})
        if not fresh and stack.root in self._signed_in:
            context["storage_state"] = self._signed_in[stack.root]
        self.context: BrowserContext = browser.new_context(locale="en-GB", **context)
        self.context.set_default_timeout(_WITHIN)
        self.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=stack.root)
        self.page: Page = self.context.new_page()
        self.page.add_init_script(_NOTE_VIOLATIONS)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda told: self.complaints.append(told.text) if told.type == "error" else None)

    def open(self, view: str = "overview") -> "Visitor":
        """Show a view, signed in."""
        self.page.goto(f"{self.root}/ui/#/{view}")
        if not self.context.cookies():
            self.sign_in()
            if self.root == self.stack.root:
                self._signed_in[self.root] = self.context.storage_state()
        expect(self.page.get_by_role("heading", level=1)).to_have_text(
            re.compile(f"^{view.partition('/')[0]}$", re.IGNORECASE)
        )
        return self.settled()

    def sign_in(self, name: str = "admin", password: str = KEY) -> None:
        """Fill in the form and send it."""
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in", exact=True).click()
        expect(self.page.get_by_role("navigation")).to_be_visible()

    def settled(self) -> "Visitor":
        """Wait until nothing on the page is still loading."""
        expect(self.page.locator("#main .skeleton")).to_have_count(0)
        return self

    def button(self, name: "str | re.Pattern[str]", within: Locator | None = None) -> Locator:
        """Find a button by what it is called."""
        return (within or self.page).get_by_role("button", name=name, exact=True)

    def choose(self, name: str) -> None:
        """Choose one of the buttons that stand side by side."""
        self.page.locator(".segmented label", has_text=re.compile(f"^{re.escape(name)}$")).click()

    @contextmanager
    def waiting_for(self, path: str) -> Iterator[None]:
        """Let every look at `path` wait for as long as this lasts."""
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        self.page.route(f"**/{path}", hold)
        yield
        for route in held:
            route.continue_()
        self.page.unroute(f"**/{path}")

    @property
    def dialog(self) -> Locator:
        """The dialog on top."""
        return self.page.get_by_role("dialog").last

    def leave(self) -> None:
        """Close the browser; complain of what it complained of."""
        violations = self.page.evaluate("window.violations")
        self.context.close()
        # On a loaded machine the embedded tables may be too slow to answer in time; the page then asks again.
        others = [each for each in self.complaints if "status of 503" not in each]
        assert not others, others  # pytest shows nothing of an assertion in a module that is no test
        assert not violations, violations

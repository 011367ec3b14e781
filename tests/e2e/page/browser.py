"""A headless Chromium, and a visitor of the admin page that collects the browser's errors."""

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
_TIMEOUT = 20_000  # milliseconds an expectation waits at most

expect.set_options(timeout=_TIMEOUT)

# The page records violations itself: their text on the console differs between browser versions.
_RECORD_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(
  `${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser; close it on exit."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield browser
        browser.close()


class Visitor:
    """A browser context of its own. `console_errors` collects the errors on its console.

    `prefix` is the stage in the page's URL. Unless `signed_out`, it reuses the session of an earlier visitor.
    """

    _signed_in: ClassVar[dict[str, StorageState]] = {}

    def __init__(
        self, browser: Browser, stack: Stack, *, prefix: str = "", signed_out: bool = False, **context: Any
    ) -> None:
        self.stack = stack
        self.console_errors: list[str] = []
        self.root = f"{stack.root}{prefix}"
        context.setdefault("viewport", {"width": 1280, "height": 860})
        self._shares_session = not signed_out  # one that signs out revokes its session
        if not signed_out and stack.root in self._signed_in:
            context["storage_state"] = self._signed_in[stack.root]
        self.context: BrowserContext = browser.new_context(locale="en-GB", **context)
        self.context.set_default_timeout(_TIMEOUT)
        self.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=stack.root)
        self.page: Page = self.context.new_page()
        self.page.add_init_script(_RECORD_VIOLATIONS)
        self.page.on("dialog", lambda dialog: dialog.accept())  # of leaving a page with an unsaved edit
        self.page.on("pageerror", lambda error: self.console_errors.append(str(error)))
        self.page.on("console", lambda line: self.console_errors.append(line.text) if line.type == "error" else None)

    def reset(self) -> "Visitor":
        """Leave the page, so that the next test starts from a new one: cheaper than a context of its own."""
        self.console_errors.clear()
        self.page.unroute_all(behavior="ignoreErrors")
        self.page.goto("about:blank")
        return self

    def open(self, view: str = "overview") -> "Visitor":
        """Open a view, signing in if necessary."""
        self.page.goto(f"{self.root}/ui/#/{view}")
        if not self.context.cookies():
            self.sign_in()
            if self._shares_session:
                self._signed_in[self.root] = self.context.storage_state()
        expect(self.page.get_by_role("heading", level=1)).to_have_text(
            re.compile(f"^{re.split('[/?]', view)[0]}$", re.IGNORECASE)
        )
        return self.wait_until_loaded()

    def sign_in(self, name: str = "admin", password: str = KEY) -> None:
        """Submit the sign-in form."""
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in", exact=True).click()
        expect(self.page.get_by_role("navigation")).to_be_visible()

    def wait_until_loaded(self) -> "Visitor":
        """Wait until no placeholder is left."""
        expect(self.page.locator("#main .skeleton")).to_have_count(0)
        return self

    def button(self, name: "str | re.Pattern[str]", within: Locator | None = None) -> Locator:
        """Find a button by its name."""
        return (within or self.page).get_by_role("button", name=name, exact=True)

    def choose(self, name: str) -> None:
        """Choose an option of a segmented control."""
        self.page.locator(".segmented label", has_text=re.compile(f"^{re.escape(name)}$")).click()

    @contextmanager
    def delayed(self, path: str) -> Iterator[None]:
        """Hold every request for `path` until the block ends."""
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
        """The topmost dialog."""
        return self.page.get_by_role("dialog").last

    def close(self) -> None:
        """Close the context."""
        self.context.close()

    def check(self) -> None:
        """Fail if the browser reported errors."""
        violations = self.page.evaluate("window.violations ?? []")
        # On a loaded machine the embedded tables may time out; the page then retries.
        others = [each for each in self.console_errors if "status of 503" not in each]
        assert not others, others  # pytest rewrites assertions in test modules only
        assert not violations, violations

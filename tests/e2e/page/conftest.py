import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.e2e.page.browser import CHROMIUM, Visitor, chromium
from tests.e2e.page.traffic import admin, ask
from tests.e2e.stack import Stack, running

_browser: list[Browser] = []
_shared: list[Visitor] = []  # the visitor of the tests that need no context of their own
_close_browser = ExitStack()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if CHROMIUM is None and "browser" in getattr(item, "fixturenames", ()):
        if os.environ.get("CI") == "true":
            pytest.fail("the page is tested in Chromium, and none is installed: apt-get install chromium")
        pytest.skip("no Chromium is installed: apt-get install chromium")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Close the browser after the last test of the page: Playwright's event loop would break other tests' loops."""
    yield
    if nextitem is None or nextitem.path.parent != item.path.parent:
        _close_browser.close()
        _browser.clear()
        _shared.clear()


@pytest.fixture
def browser() -> Browser:
    """The browser, started once for all tests of the page."""
    if not _browser:
        _browser.append(_close_browser.enter_context(chromium()))
    return _browser[0]


@pytest.fixture(scope="session")
def used_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A router after some traffic: a key in a team, successes, a failover, and a failed request."""
    data: Path = tmp_path_factory.mktemp("page")
    with running(data, ARCHIVE_BUCKET="archive") as stack:
        send_traffic(stack)
        yield stack


def send_traffic(stack: Stack) -> None:
    team = admin(stack, "team/new", team_alias="Apps", max_budget=200, budget_duration="30d", rpm_limit=600)
    key = admin(stack, "key/generate", key_alias="checkout", team_id=team["team_id"], max_budget=25, tags=["prod"])
    for model in ("auto-chat", "auto-chat", "auto-chat-mini"):
        assert ask(stack, key["key"], model).status_code == 200
    stack.standin.fault("cliproxyapi", "503", times=2)
    assert ask(stack, key["key"], "auto-claude").headers["x-vibe-fallbacks"] == "1"
    for provider in ("cliproxyapi", "new-api"):
        stack.standin.fault(provider, "503")
    assert ask(stack, key["key"], "auto-chat-mini").headers["x-vibe-deployment"] == "ark/ark-code-latest"  # no price
    stack.standin.heal()
    stack.standin.fault("new-api", "400", times=1)
    assert ask(stack, key["key"], "auto-codex").status_code == 400
    stack.heal()


@pytest.fixture(autouse=True)
def _heal(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave every provider healthy and nothing cooling for the next test."""
    yield
    if "used_stack" in request.fixturenames and (stack := request.getfixturevalue("used_stack")).broken:
        stack.heal()


@pytest.fixture
def visit(browser: Browser, used_stack: Stack) -> Iterator[Callable[..., Visitor]]:
    """Return a function that visits the page: in a shared context, or in a new one with the given options."""
    visitors: list[Visitor] = []

    def arrive(**context: Any) -> Visitor:
        if context:
            visitor = Visitor(browser, used_stack, **context)
            _close_visitors.callback(visitor.close)
        else:
            if not _shared:
                _shared.append(Visitor(browser, used_stack))
            visitor = _shared[0].reset()
        visitors.append(visitor)
        return visitor

    with ExitStack() as _close_visitors:
        yield arrive
        for visitor in visitors:
            visitor.check()

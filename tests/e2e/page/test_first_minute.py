from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from tests.e2e.page.browser import Visitor
from tests.e2e.page.traffic import ask
from tests.e2e.stack import Stack, running


@pytest.fixture(scope="module")
def untouched_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("untouched")) as stack:
        yield stack


def test_a_first_time_user_makes_a_key_and_gets_an_answer_with_it(
    visit: Callable[..., Visitor], untouched_stack: Stack
) -> None:
    visitor = visit(untouched_stack)
    page = visitor.open().page
    expect(page.get_by_role("heading", name="Your first answer is a minute away")).to_be_visible()
    expect(page.locator(".copyable code")).to_have_text(untouched_stack.url)

    page.get_by_role("link", name="Make a key").click()
    visitor.dialog.get_by_label("Alias").fill("my first key")
    visitor.button("Make the key").click()
    expect(visitor.dialog).to_contain_text("the only time it is shown")
    key = visitor.dialog.locator("code").inner_text()
    assert key.startswith("sk-")
    visitor.button("Copy", visitor.dialog).click()
    expect(visitor.button("Copied", visitor.dialog)).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == key

    visitor.dialog.get_by_role("link", name="Try it in the playground").click()
    expect(page.get_by_label("Key", exact=True)).to_have_value("made")
    page.get_by_label("Your message").fill("Are you there?")
    page.keyboard.press("Enter")
    answer = page.locator(".turn.answer")
    expect(answer.locator(".served")).to_contain_text("Total")
    expect(answer.locator(".served")).to_contain_text("Served by cliproxyapi/claude-sonnet-4-6", use_inner_text=True)
    expect(answer.locator(".said")).not_to_be_empty()

    assert ask(untouched_stack, key).status_code == 200, "what the page made opens the router for any client"
    page.get_by_role("link", name="Overview").click()
    expect(page.locator(".tile-value").first).to_have_text("2")

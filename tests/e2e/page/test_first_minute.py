from collections.abc import Callable

from playwright.sync_api import expect

from tests.e2e.page.browser import Visitor
from tests.e2e.page.traffic import admin, ask
from tests.e2e.stack import Stack, eventually


def test_create_the_first_key_and_use_it(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    page = visitor.page
    page.route("**/usage/overview?*", lambda route: route.fulfill(json={"totals": {"requests": 0}}))
    visitor.open()
    expect(page.get_by_role("heading", name="Send your first request")).to_be_visible()
    expect(page.locator(".copyable code")).to_have_text(used_stack.url)

    page.get_by_role("link", name="Create key").click()
    visitor.dialog.get_by_label("Alias", exact=True).fill("my first key")
    visitor.button("Create key", visitor.dialog).click()
    expect(visitor.dialog).to_contain_text("not shown again")
    key = visitor.dialog.locator("code").first.inner_text()
    assert key.startswith("sk-")
    visitor.button("Copy", visitor.dialog).first.click()
    expect(visitor.button("Copied", visitor.dialog)).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == key

    visitor.dialog.get_by_role("link", name="Try it in the playground").click()
    expect(page.get_by_label("Key", exact=True)).to_have_value("created")
    page.get_by_label("Your message").fill("Are you there?")
    page.keyboard.press("Enter")
    answer = page.locator(".turn.answer")
    expect(answer.locator(".served")).to_contain_text("Total")
    expect(answer.locator(".served")).to_contain_text("Served by cliproxyapi/claude-sonnet-4-6", use_inner_text=True)
    expect(answer.locator(".message")).not_to_be_empty()

    assert ask(used_stack, key).status_code == 200, "the new key works outside the page"
    page.unroute("**/usage/overview?*")
    days = "usage/overview?days=7"  # totals follow their rows within a moment, and the page reads them every 30 seconds
    eventually(lambda: any(each["key_alias"] == "my first key" for each in admin(used_stack, days, "GET")["keys"]))
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("table", name="Keys by requests")).to_contain_text("my first key")

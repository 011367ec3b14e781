import re
from collections.abc import Callable

from playwright.sync_api import Locator, expect

from tests.e2e.page.browser import Visitor
from tests.e2e.stack import KEY, Stack


def ask(visitor: Visitor, text: str) -> Locator:
    visitor.page.get_by_label("Your message").fill(text)
    visitor.page.keyboard.press("Enter")
    return visitor.page.locator(".turn.answer").last


def with_master_key(visitor: Visitor) -> None:
    visitor.page.get_by_label("Key", exact=True).select_option("pasted")
    visitor.page.get_by_label("The key").fill(KEY)


def test_answer_shows_the_deployment_that_served_it(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    used_stack.fault("cliproxyapi", "503", model="claude-sonnet-4-6")
    visitor = visit()
    page = visitor.open("playground").page
    page.get_by_label("Model", exact=True).select_option("auto-chat")
    answer = ask(visitor, "Hello")
    served = answer.locator(".served")
    expect(served).to_contain_text("Total")
    facts = served.inner_text().replace("\n", " ")
    assert "new-api/gpt-5" in facts
    assert re.search(r"Attempts \d.*Fallbacks 1.*First token [\d.]+ m?s.*Tokens \d+ in, \d+ out", facts), facts
    served.get_by_role("link", name="Request details").click()
    expect(visitor.dialog).to_contain_text("new-api/gpt-5 served the request")


def test_interrupted_answer_is_marked(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    used_stack.fault("cliproxyapi", "cut", times=1)
    visitor = visit()
    visitor.open("playground")
    with_master_key(visitor)
    answer = ask(visitor, "Tell me a long story")
    expect(answer.locator(".notice")).to_contain_text(re.compile(r"Interrupted after \d+ characters?\."))


def test_failed_request_lists_every_attempt(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    for provider in ("cliproxyapi", "new-api", "ark"):
        used_stack.fault(provider, "503")
    visitor = visit()
    visitor.open("playground").page.get_by_label("Model", exact=True).select_option("auto-chat")
    with_master_key(visitor)
    answer = ask(visitor, "Anybody?")
    expect(answer.locator(".notice")).to_contain_text("cliproxyapi/claude-sonnet-4-6: 503")
    expect(answer.locator(".notice")).to_contain_text("ark/glm-4.7: 503")
    visitor.console_errors.clear()  # the 502


def test_missing_or_invalid_key_is_reported(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open("playground").page
    page.get_by_label("Key", exact=True).select_option("pasted")
    ask(visitor, "Hello")
    expect(page.get_by_text("Paste a key, or choose a temporary one.")).to_be_visible()
    page.get_by_label("The key").fill("sk-invalid")
    expect(ask(visitor, "Hello").locator(".notice")).to_be_visible()
    visitor.console_errors.clear()  # the 401


def test_stop_a_stream(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    used_stack.fault("cliproxyapi", "stall")
    visitor = visit()
    page = visitor.open("playground").page
    with_master_key(visitor)
    answer = ask(visitor, "Write on and on")
    expect(answer.locator(".message")).to_contain_text(re.compile(r"\w"))
    visitor.button("Stop").click()
    expect(answer).to_contain_text("Stopped.")
    expect(page.get_by_label("Your message")).to_be_focused()
    visitor.button("New conversation").click()
    expect(page.get_by_role("heading", name="Send a message")).to_be_visible()

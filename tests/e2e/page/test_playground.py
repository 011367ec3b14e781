import json
import re
from base64 import b64decode
from collections.abc import Callable

from playwright.sync_api import Locator, expect

from tests.e2e.page.browser import Visitor
from tests.e2e.stack import KEY, Stack

DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


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


def test_two_models_answer_side_by_side_with_parameters_and_a_picture(
    visit: Callable[..., Visitor], used_stack: Stack
) -> None:
    visitor = visit()
    page = visitor.open("playground").page
    page.get_by_label("Model", exact=True).select_option("auto-chat")
    page.get_by_label("Compare with").select_option("auto-codex")
    with_master_key(visitor)
    page.get_by_text("Parameters").click()
    page.get_by_label("Temperature").fill("0.3")
    page.get_by_label("Longest answer").fill("50")
    page.get_by_label("Other fields").fill('{"model": "other"}')
    page.get_by_label("Attach pictures").first.set_input_files(
        {"name": "dot.png", "mimeType": "image/png", "buffer": b64decode(DOT)}
    )
    expect(page.get_by_role("img", name="dot.png")).to_be_visible()
    page.get_by_label("Your message").fill("What is this?")
    visitor.button("Send").click()
    expect(page.get_by_role("status").filter(has_text="model cannot be set here")).to_be_visible()
    page.get_by_label("Other fields").fill('{"metadata": {"a": "b"}}')
    with page.expect_request("**/v1/chat/completions") as first:
        visitor.button("Send").click()
    sent = json.loads(first.value.post_data or "")
    assert sent["messages"][-1]["content"][1]["image_url"]["url"] == f"data:image/png;base64,{DOT}"
    assert (sent["temperature"], sent["max_tokens"], sent["metadata"]) == (0.3, 50, {"a": "b"})
    answers = page.locator(".turn.answer")
    expect(answers).to_have_count(2)
    for answer, model in zip(answers.all(), ("auto-chat", "auto-codex"), strict=True):
        expect(answer.get_by_role("heading", name=model)).to_be_visible()
        expect(answer.locator(".served")).to_contain_text("Total")
    visitor.button("Code").click()
    expect(visitor.dialog).to_contain_text("$VIBE_KEY")
    expect(visitor.dialog).to_contain_text('"temperature": 0.3')
    expect(visitor.dialog).not_to_contain_text(KEY)
    visitor.choose("Python")
    expect(visitor.dialog.locator("pre")).to_contain_text("chat.completions.create(")


def test_markdown_is_drawn_and_markup_stays_text(visit: Callable[..., Visitor]) -> None:
    page = visit().open("playground").page
    script = """async ([text, long]) => {
      const { markdown } = await import(new URL("views/markdown.js", location.href));
      const began = performance.now();
      for (const each of long) markdown(each);
      const element = markdown(text);
      return { html: element.innerHTML, text: element.textContent };
    }"""
    text = "\n".join(
        (
            "# Title\nA **bold** and *fine* `code` [link](https://example.com) [bad](javascript:alert(1))",
            "![pic](https://tracker.example/x.png) <img src=x onerror=alert(1)>",
            "- one\n  - two\n\n1. first\n\n> quoted",
            "| a | b |\n|---|---|\n| 1 | 2 |",
            "```py\n<b>x</b>\n```",
            "```\nnever closed",
        )
    )
    marks = ("*", "**", "`", "[", "[a](", "|-", "-", "> ", "# ", "http://", "- \n", "![", "_ ")
    drawn = page.evaluate(script, [text, [mark * 40_000 + "x" for mark in marks]])
    parts = ("<h3>Title</h3>", "<strong>bold</strong>", "<em>fine</em>", 'href="https://example.com"', "<td>1</td>")
    for part in parts:
        assert part in drawn["html"]
    assert "<img" not in drawn["html"]
    assert 'href="javascript:' not in drawn["html"]
    assert "<b>x</b>" in drawn["text"]
    assert "<img src=x onerror=alert(1)>" in drawn["text"]
    assert "never closed" in drawn["text"]

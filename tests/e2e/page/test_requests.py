import json
import re
from collections.abc import Callable
from pathlib import Path

import httpx
from playwright.sync_api import Route, expect

from tests.e2e.page.browser import Visitor
from tests.e2e.page.traffic import admin, ask
from tests.e2e.stack import KEY, Stack, eventually


def test_list_newest_first_and_filter(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    asked = ask(used_stack, KEY, "auto-codex-mini").headers["x-vibe-request-id"]
    visitor = visit()
    page = visitor.open("requests").page
    first = page.get_by_role("row").nth(1)
    expect(first).to_contain_text("auto-codex-mini")
    expect(first).to_contain_text("master key")
    expect(first.get_by_role("link")).to_have_attribute("href", f"#/requests/{asked}")

    visitor.choose("Failed over")
    expect(page.get_by_role("cell", name="failed over").first).to_be_visible()
    expect(page.get_by_role("cell", name="OK", exact=True)).to_have_count(0)
    visitor.choose("Errors")
    expect(page.get_by_role("cell", name="400").first).to_be_visible()
    page.get_by_label("All models").select_option("auto-claude-mini")
    expect(page.get_by_role("heading", name="No matching requests")).to_be_visible()
    visitor.button("Clear filters").click()
    expect(page.get_by_role("row").nth(2)).to_be_visible()
    page.get_by_label("All keys").select_option(label="checkout")
    expect(page.get_by_role("row").filter(has_text="master key")).to_have_count(0)


def test_request_details_explain_a_failover(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    used_stack.fault("cliproxyapi", "429", times=1, headers={"retry-after": "7"})
    request_id = ask(used_stack, KEY, "auto-chat").headers["x-vibe-request-id"]
    used_stack.heal()
    visitor = visit()
    page = visitor.open("requests").page
    page.locator(f'a[href="#/requests/{request_id}"]').click()
    details = visitor.dialog
    expect(details).to_contain_text("new-api/gpt-5 served the request after 1 failed attempt. The caller saw no error.")
    attempts = details.locator(".attempts > li")
    expect(attempts.nth(0)).to_contain_text("cliproxyapi/claude-sonnet-4-6")
    expect(attempts.nth(0)).to_contain_text("Failed with 429 after")
    expect(attempts.nth(0)).to_contain_text("rate limited")
    expect(attempts.nth(0)).to_contain_text("Cooling down until")
    expect(attempts.nth(1)).to_contain_text("Served the request; first content after")
    expect(details).to_contain_text(request_id)
    page.keyboard.press("Escape")
    expect(page.locator(f'a[href="#/requests/{request_id}"]')).to_be_focused()
    expect(page).to_have_url(re.compile("#/requests$"))
    page.goto(f"{visitor.root}/ui/#/requests/{request_id}")
    page.reload()
    expect(visitor.dialog).to_contain_text("new-api/gpt-5 served the request")


def test_a_replayed_answer_says_so(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    key = admin(used_stack, "key/generate", key_alias="repeats itself", cache_seconds=600)["key"]
    first = ask(used_stack, key, text="Twice, please.", temperature=0)
    assert first.headers["x-vibe-cache"] == "miss"
    answers = [first.json()]

    def replayed() -> httpx.Response | None:
        answer = ask(used_stack, key, text="Twice, please.", temperature=0)
        if answer.headers["x-vibe-cache"] == "hit":
            return answer
        answers.append(answer.json())  # an answer is stored once it has been sent, and may be this one
        return None

    again = eventually(replayed)
    assert again.json() in answers
    streamed = ask(used_stack, key, text="Twice, please.", temperature=0, stream=True)
    assert (streamed.headers["x-vibe-cache"], streamed.text.endswith("data: [DONE]\n\n")) == ("hit", True)
    visitor = visit()
    page = visitor.open("requests").page
    expect(page.get_by_role("row").filter(has_text="repeats itself").nth(0)).to_contain_text("from the cache")
    page.locator(f'a[href="#/requests/{again.headers["x-vibe-request-id"]}"]').click()
    expect(visitor.dialog).to_contain_text("A stored answer was replayed. No deployment was called.")
    expect(visitor.dialog.locator(".facts")).to_contain_text("none: from the cache")


def test_an_archived_request_is_downloaded(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    page = visitor.open("keys").page
    visitor.button("Create key").click()
    visitor.dialog.get_by_label("Alias", exact=True).fill("for the record")
    visitor.dialog.get_by_text("Rate limits, guards, aliases, tags, owner, metadata").click()
    visitor.dialog.get_by_label("Archive requests and answers").check()
    visitor.button("Create key", visitor.dialog).click()
    key = visitor.dialog.locator("[data-created-key]").inner_text()
    visitor.button("Done").click()
    request_id = ask(used_stack, key, text="For the record.", stream=True).headers["x-vibe-request-id"]
    page.goto(f"{visitor.root}/ui/#/requests/{request_id}")
    link = visitor.dialog.get_by_role("link", name="Download request and answer")
    expect(link).to_be_visible()
    (file,) = eventually(lambda: list((used_stack.data / "s3" / "archive").rglob(f"{request_id}.json.gz")))
    assert file.stat().st_mode & 0o077 == 0
    with page.expect_download() as download:
        link.click()
    document = json.loads(Path(download.value.path()).read_text())
    assert document["request"]["body"]["messages"] == [{"role": "user", "content": "For the record."}]
    assert document["answer"]["body"]["choices"][0]["message"]["content"]
    assert key not in json.dumps(document)


def test_find_a_request_by_its_id(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    request_id = ask(used_stack, KEY, "auto-claude").headers["x-vibe-request-id"]
    visitor = visit()
    page = visitor.open("requests").page
    expect(page.locator(f'a[href="#/requests/{request_id}"]')).to_be_visible()
    for text in (request_id, request_id[:13]):
        page.get_by_label("Find a request by its id").fill(f" {text} ")
        page.keyboard.press("Enter")
        expect(visitor.dialog.locator(".facts")).to_contain_text(request_id)
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)


def test_load_more(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    page = visitor.page

    def pages_of(number: int) -> Callable[[Route], None]:
        return lambda route: route.continue_(url=re.sub("limit=[0-9]+", f"limit={number}", route.request.url))

    page.route("**/usage/requests?*", pages_of(3))
    visitor.open("requests")
    expect(page.get_by_role("row")).to_have_count(1 + 3)
    visitor.button("Load more").click()
    expect(page.get_by_role("row")).to_have_count(1 + 6)
    page.unroute("**/usage/requests?*")
    page.route("**/usage/requests?*", pages_of(200))
    visitor.button("Load more").click()
    expect(page.get_by_text("End of list.")).to_be_visible()


def test_list_is_redrawn_after_a_pressed_pointer_is_released(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open().page
    with page.expect_response("**/team/list"), visitor.delayed("team/list"):
        page.get_by_role("link", name="Requests").click()
        row = page.get_by_role("row").nth(1)
        row.evaluate("row => row.dataset.old = ''")
        row.get_by_role("link").hover()
        page.mouse.down()
    expect(page.locator("[data-old]")).to_have_count(1)
    page.mouse.up()
    expect(visitor.dialog).to_contain_text("Request")
    expect(page.get_by_role("dialog")).to_have_count(1)
    expect(page.locator("[data-old]")).to_have_count(0)


def test_back_closes_the_request_details(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open("overview").page
    page.get_by_role("link", name="Requests", exact=True).click()
    page.locator(".view").evaluate("view => view.dataset.same = ''")
    page.get_by_role("row").nth(1).get_by_role("link").click()
    expect(page).to_have_url(re.compile("#/requests/.+"))
    page.go_back()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page).to_have_url(re.compile("#/requests$"))
    expect(page.locator("[data-same]")).to_have_count(1)  # the view has not been built again
    page.go_forward()
    expect(visitor.dialog.locator(".facts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page).to_have_url(re.compile("#/requests$"))


def test_closed_details_leave_no_history_entry(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open("overview").page
    page.get_by_role("link", name="Requests", exact=True).click()
    for _ in range(2):
        page.get_by_role("row").nth(1).get_by_role("link").click()
        visitor.button("Close", visitor.dialog).click()
        expect(page).to_have_url(re.compile("#/requests$"))
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_back_from_a_link_to_a_request_leads_to_the_list(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    request_id = ask(used_stack, KEY, "auto-claude").headers["x-vibe-request-id"]
    visitor = visit()
    page = visitor.open("overview").page
    page.goto(f"{visitor.root}/ui/#/requests/{request_id}")
    expect(visitor.dialog.locator(".facts")).to_contain_text(request_id)
    page.reload()
    expect(visitor.dialog.locator(".facts")).to_contain_text(request_id)
    page.go_back()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("table", name="Requests")).to_be_visible()

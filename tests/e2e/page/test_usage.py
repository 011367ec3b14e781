import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from tests.e2e.page.browser import Visitor
from tests.e2e.page.traffic import ask
from tests.e2e.stack import KEY, Stack


def test_usage_by_dimension_and_range(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open("usage").page
    table = page.get_by_role("table", name="Usage by model")
    expect(table).to_contain_text("auto-chat-mini")
    expect(page.get_by_role("img", name=re.compile(r"^Requests by model\. \d+ in all"))).to_be_visible()
    expect(page.get_by_role("img", name=re.compile(r"^Total time\. p50 .+, p95 .+"))).to_be_visible()
    page.locator("summary").first.press("Enter")
    expect(page.get_by_role("region", name="Numbers of Requests by model").get_by_role("row")).to_have_count(1 + 7)

    page.get_by_label("Group by").select_option("Key")
    expect(page).to_have_url(re.compile("#/usage\\?by=key$"))
    expect(page.get_by_role("table", name="Usage by key")).to_contain_text("checkout")
    visitor.choose("Today")
    expect(page).to_have_url(re.compile("days=1"))
    page.get_by_role("button", name="checkout").click()
    expect(page.get_by_role("table", name="Usage by key").get_by_role("row")).to_have_count(2)

    page.reload()
    expect(page.get_by_role("button", name="All keys")).to_be_visible()
    expect(page.get_by_label("Group by")).to_have_value("key")
    page.get_by_role("link", name="Overview").click()
    page.go_back()
    expect(page.get_by_role("button", name="All keys")).to_be_visible()
    expect(page.get_by_role("table", name="Usage by key").get_by_role("row")).to_have_count(2)


def test_a_range_without_usage_and_one_that_is_refused(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open("usage?from=2025-01-01&to=2025-01-31").page
    expect(page.get_by_role("heading", name="No usage in this range")).to_be_visible()
    page.get_by_label("Steps").select_option("hours")
    expect(page.get_by_role("alert")).to_contain_text("are for ranges of up to 3 days; choose day")
    visitor.console_errors.clear()  # the browser reports the status of the refusal
    page.get_by_label("Steps").select_option("automatic")
    page.get_by_label("To (UTC)").fill("2025-01-20")
    expect(page).to_have_url(re.compile("from=2025-01-01&to=2025-01-20"))
    expect(page.get_by_role("heading", name="No usage in this range")).to_be_visible()


def test_usage_as_csv(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open("usage?by=tag").page
    with page.expect_download() as download:
        visitor.button("Download CSV").click()
    assert re.fullmatch(r"usage-tag-\d{4}-\d\d-\d\d-\d{4}-\d\d-\d\d\.csv", download.value.suggested_filename)
    head, *lines = Path(download.value.path()).read_text().splitlines()
    assert head.startswith("at,name,label,requests,")
    assert any(",prod,prod," in line for line in lines)


def test_requests_follow_new_ones_while_live(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    page = visitor.open("requests?model=auto-claude").page
    live = page.get_by_role("switch", name="Live")
    expect(live).to_be_checked()
    with page.expect_response(lambda answer: "usage/requests?" in answer.url and answer.status == 304):
        pass  # nothing has changed
    request_id = ask(used_stack, KEY, "auto-claude").headers["x-vibe-request-id"]
    row = page.locator(f'a[href^="#/requests/{request_id}"]')
    expect(row).to_be_visible()
    page.locator(".switch", has_text="Live").click()
    expect(page.get_by_text("Paused")).to_be_visible()
    later = ask(used_stack, KEY, "auto-claude").headers["x-vibe-request-id"]
    expect(page.get_by_label("All models")).to_have_value("auto-claude")
    page.locator(".switch", has_text="Live").click()
    expect(page.locator(f'a[href^="#/requests/{later}"]')).to_be_visible()


def test_filters_are_in_the_address(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open("requests").page
    visitor.choose("Errors")
    page.get_by_label("All models").select_option("auto-codex")
    expect(page).to_have_url(re.compile("#/requests\\?status=error&model=auto-codex$"))
    page.get_by_role("row").nth(1).get_by_role("link").click()
    expect(visitor.dialog).to_contain_text("auto-codex")
    page.reload()
    expect(visitor.dialog).to_contain_text("auto-codex")
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile("#/requests\\?status=error&model=auto-codex$"))
    expect(page.get_by_label("All models")).to_have_value("auto-codex")
    page.get_by_role("link", name="Keys", exact=True).click()
    page.get_by_label("Find keys").fill("check")
    page.get_by_label("Team", exact=True).select_option("Apps")
    expect(page).to_have_url(re.compile("#/keys\\?find=check&team="))
    page.reload()
    expect(page.get_by_label("Find keys")).to_have_value("check")
    expect(page.get_by_label("Team", exact=True)).not_to_have_value("")
    expect(page.get_by_role("row")).to_have_count(2)
    page.go_back()
    expect(page.get_by_label("All models")).to_have_value("auto-codex")

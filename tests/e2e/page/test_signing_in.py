import re
from collections.abc import Callable

from playwright.sync_api import APIResponse, Route, expect

from tests.e2e.page.browser import Visitor
from tests.e2e.stack import KEY, Stack


def test_wrong_words_are_told_as_such(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit(fresh=True)
    page = visitor.page
    page.goto(f"{used_stack.root}/ui/")
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("admin")
    page.keyboard.press("Tab")
    page.keyboard.type("not the password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="wrong")).to_be_visible()
    expect(page.get_by_label("Password")).to_be_focused()
    # The browser notes every 401 on its console; nothing else may stand there.
    assert all("401" in complaint for complaint in visitor.complaints)
    visitor.complaints.clear()
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_a_reload_keeps_the_session_and_signing_out_ends_it(visit: Callable[..., Visitor]) -> None:
    visitor = visit(fresh=True)
    page = visitor.open("keys").page
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Keys")
    visitor.button("Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    assert visitor.context.cookies() == []


def test_a_session_that_ends_in_the_middle_of_an_edit_loses_nothing(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open("models").page
    visitor.button("Edit auto-claude-mini").click()
    page.get_by_label("What it is good for").fill("Kept over a session's end")
    visitor.context.clear_cookies()
    visitor.button("Review and save").click()
    expect(visitor.dialog).to_contain_text("Your session has ended")
    visitor.complaints.clear()  # the 401 that it found out by
    visitor.dialog.get_by_label("Password").fill(KEY)
    page.keyboard.press("Enter")
    expect(visitor.dialog).to_contain_text("Kept over a session's end")
    visitor.button("Go on editing").click()
    expect(page.get_by_label("What it is good for")).to_have_value("Kept over a session's end")
    visitor.button("Discard").click()
    visitor.button("Discard", visitor.dialog).click()


def test_a_session_that_ends_while_one_looks_leads_back_to_the_view(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open("overview").page
    visitor.context.clear_cookies()
    # The view reads keys, teams and models at once, and each finds out for itself.
    with page.expect_console_message(lambda _: len(visitor.complaints) >= 3):
        page.get_by_role("link", name="Keys").click()
    expect(visitor.dialog).to_contain_text("Sign in again")
    assert all("401" in complaint for complaint in visitor.complaints)
    visitor.complaints.clear()
    visitor.dialog.get_by_label("Password").fill(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("cell", name=re.compile("Active")).first).to_be_visible()


def test_a_refusal_that_comes_after_a_new_sign_in_asks_for_nothing(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open("overview").page
    held: list[tuple[Route, APIResponse]] = []
    page.route("**/team/list", lambda route: held.append((route, route.fetch())), times=1)
    visitor.context.clear_cookies()
    page.get_by_role("link", name="Keys").click()
    expect(visitor.dialog).to_contain_text("Sign in again")
    visitor.dialog.get_by_label("Password").fill(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    ((route, refused),) = held
    assert refused.status == 401
    route.fulfill(response=refused)
    expect(page.get_by_role("cell", name=re.compile("Active")).first).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert all("401" in complaint for complaint in visitor.complaints)
    visitor.complaints.clear()


def test_a_refusal_that_comes_after_signing_out_asks_for_nothing(visit: Callable[..., Visitor]) -> None:
    visitor = visit(fresh=True)
    page = visitor.open("overview").page
    held: list[Route] = []
    page.route("**/team/list", lambda route: held.append(route), times=1)  # noqa: PLW0108 - Playwright marks it
    with page.expect_request("**/team/list"):
        page.get_by_role("link", name="Keys").click()
    visitor.button("Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    with page.expect_response("**/team/list") as answer:
        held[0].continue_(headers={**held[0].request.headers, "cookie": ""})
    assert answer.value.status == 401
    answer.value.finished()
    expect(page.get_by_role("dialog")).to_have_count(0)
    visitor.complaints.clear()


def test_it_works_under_a_stage_too(visit: Callable[..., Visitor]) -> None:
    visitor = visit(prefix="/prod", fresh=True)
    page = visitor.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for view in ("overview", "models", "keys", "requests", "playground", "api"):
        visitor.open(view)
    assert {url for url in asked if not url.startswith(f"{visitor.root}/")} == set()

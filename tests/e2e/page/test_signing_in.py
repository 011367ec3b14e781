import re
from collections.abc import Callable

from playwright.sync_api import APIResponse, Route, expect

from tests.e2e.page.browser import Visitor
from tests.e2e.stack import KEY, Stack


def test_wrong_password_is_reported(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit(signed_out=True)
    page = visitor.page
    page.goto(f"{used_stack.root}/ui/")
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("admin")
    page.keyboard.press("Tab")
    page.keyboard.type("not the password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="wrong")).to_be_visible()
    expect(page.get_by_label("Password")).to_be_focused()
    # The browser logs every 401 on its console; nothing else may be there.
    assert all("401" in complaint for complaint in visitor.console_errors)
    visitor.console_errors.clear()
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_reload_keeps_the_session_and_sign_out_ends_it(visit: Callable[..., Visitor]) -> None:
    visitor = visit(signed_out=True)
    page = visitor.open("keys").page
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Keys")
    visitor.button("Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    assert visitor.context.cookies() == []
    # A read that was under way while the session ended is answered with 401.
    assert [each for each in visitor.console_errors if "status of 401" not in each] == []
    visitor.console_errors.clear()


def test_sign_out_everywhere_asks_first(visit: Callable[..., Visitor]) -> None:
    visitor = visit(signed_out=True)
    page = visitor.open("keys").page
    sent = []

    def end(route: Route) -> None:  # played: it would end the sessions of other tests too
        sent.append(route.request.post_data_json)
        route.fulfill(json={"signed_out": True})

    page.route("**/ui/sign-out", end)
    visitor.button("admin").click()
    expect(visitor.dialog).to_contain_text("every device")
    visitor.button("Sign out everywhere", visitor.dialog).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    assert sent == [{"all": True}]


def test_expired_session_keeps_the_edit(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open("models").page
    visitor.button("Edit auto-claude-mini").click()
    page.get_by_label("Description").fill("Edited before expiry")
    visitor.context.clear_cookies()
    visitor.button("Review and save").click()
    expect(visitor.dialog).to_contain_text("Your session has ended")
    visitor.console_errors.clear()  # the 401
    visitor.dialog.get_by_label("Password").fill(KEY)
    page.keyboard.press("Enter")
    expect(visitor.dialog).to_contain_text("Edited before expiry")
    visitor.button("Keep editing").click()
    expect(page.get_by_label("Description")).to_have_value("Edited before expiry")
    visitor.button("Discard").click()
    visitor.button("Discard", visitor.dialog).click()


def test_expired_session_returns_to_the_view_after_sign_in(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open("overview").page
    visitor.context.clear_cookies()
    # The view reads keys, teams and models at once; each read gets a 401.
    with page.expect_console_message(lambda _: len(visitor.console_errors) >= 3):
        page.get_by_role("link", name="Keys").click()
    expect(visitor.dialog).to_contain_text("Sign in again")
    assert all("401" in complaint for complaint in visitor.console_errors)
    visitor.console_errors.clear()
    visitor.dialog.get_by_label("Password").fill(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("cell", name=re.compile("Active")).first).to_be_visible()


def test_late_401_after_a_new_sign_in_is_ignored(visit: Callable[..., Visitor]) -> None:
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
    ((route, rejected),) = held
    assert rejected.status == 401
    route.fulfill(response=rejected)
    expect(page.get_by_role("cell", name=re.compile("Active")).first).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert all("401" in complaint for complaint in visitor.console_errors)
    visitor.console_errors.clear()


def test_late_401_after_sign_out_is_ignored(visit: Callable[..., Visitor]) -> None:
    visitor = visit(signed_out=True)
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
    visitor.console_errors.clear()


def test_page_works_under_a_stage(visit: Callable[..., Visitor]) -> None:
    visitor = visit(prefix="/prod", signed_out=True)
    page = visitor.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for view in ("overview", "models", "keys", "requests", "playground", "api"):
        visitor.open(view)
    assert {url for url in asked if not url.startswith(f"{visitor.root}/")} == set()

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, expect

from tests.e2e.page.browser import Visitor
from tests.e2e.page.traffic import admin, ask
from tests.e2e.stack import Stack

_MARKUP = "<img src=x onerror=alert(1)>"


def row(visitor: Visitor, alias: str) -> Locator:
    return visitor.page.get_by_role("row").filter(has_text=alias)


def make(visitor: Visitor, alias: str) -> str:
    visitor.button("Make a key").click()
    visitor.dialog.get_by_label("Alias").fill(alias)
    visitor.button("Make the key").click()
    key = visitor.dialog.locator("code").inner_text()
    visitor.button("Done").click()
    return key


def test_a_key_is_made_with_all_it_may_have(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    visitor.open("keys")
    visitor.button("Make a key").click()
    dialog = visitor.dialog
    dialog.get_by_label("Alias").fill("nightly")
    dialog.get_by_label("auto-chat", exact=True).check()
    dialog.get_by_label("Budget in dollars").fill("12.5")
    dialog.get_by_label("Starts anew").select_option("30d")
    dialog.get_by_label("Expires").select_option("7d")
    dialog.get_by_label("Team").select_option(label="Apps")
    dialog.get_by_text("Rate limits, tags, owner, metadata").click()
    dialog.get_by_label("Requests per minute").fill("60")
    dialog.get_by_label("Tokens per minute").fill("100000")
    dialog.get_by_label("Requests at once").fill("4")
    dialog.get_by_label("Other names and patterns").fill("auto-claude*")
    dialog.get_by_label("Tags").fill("prod, night")
    dialog.get_by_label("Owner").fill("ann")
    dialog.get_by_label("Metadata").fill("project: x")
    visitor.button("Make the key").click()
    expect(dialog.get_by_text("This is not a JSON object.")).to_be_visible()
    expect(dialog.get_by_label("Metadata")).to_be_focused()
    dialog.get_by_label("Metadata").fill('{"project": "x"}')
    visitor.button("Make the key").click()
    key = visitor.dialog.locator("code").inner_text()
    visitor.button("Done").click()

    info = admin(used_stack, f"key/info?key={key}", "GET")["info"]
    assert info["models"] == ["auto-chat", "auto-claude*"]
    assert (info["max_budget"], info["budget_duration"]) == (12.5, "30d")
    assert (info["rpm_limit"], info["tpm_limit"], info["max_parallel_requests"]) == (60, 100_000, 4)
    assert (info["tags"], info["user_id"], info["metadata"]) == (["prod", "night"], "ann", {"project": "x"})
    shown = row(visitor, "nightly")
    expect(shown).to_contain_text("ann, prod, night")
    expect(shown).to_contain_text("$0.00 of $12.50")
    expect(shown).to_contain_text("60 requests/min")
    expect(shown).to_contain_text(re.compile("expires in [67] days"))
    expect(shown.get_by_role("meter")).to_have_attribute("aria-valuenow", "0")


def test_a_key_is_edited_blocked_rotated_and_deleted(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    page = visitor.open("keys").page
    key = make(visitor, "short life")
    assert ask(used_stack, key).status_code == 200

    visitor.button("Edit short life").click()
    visitor.dialog.get_by_label("Budget in dollars").fill("3")
    visitor.button("Save", visitor.dialog).click()
    expect(row(visitor, "short life")).to_contain_text("of $3.00")

    visitor.button("Block short life").click()
    expect(row(visitor, "short life")).to_contain_text("Blocked")
    visitor.button("Unblock short life").click()
    expect(row(visitor, "short life")).to_contain_text("Active")

    visitor.button("Rotate short life").click()
    visitor.dialog.get_by_label("The old key goes on working").select_option("at once")
    visitor.button("Rotate", visitor.dialog).click()
    expect(visitor.dialog).to_contain_text("has a new key")
    renewed = visitor.dialog.locator("code").inner_text()
    visitor.button("Done").click()
    assert renewed != key
    assert ask(used_stack, renewed).status_code == 200

    visitor.button("Delete short life").last.click()
    expect(visitor.dialog).to_contain_text("can't be brought back")
    visitor.button("Delete", visitor.dialog).click()
    expect(page.get_by_role("status").filter(has_text="short life is deleted")).to_be_visible()
    expect(visitor.button("Delete short life")).to_have_count(0)


def test_what_the_api_refuses_is_told_at_its_field(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.open("keys")
    visitor.button("Make a key").click()
    visitor.dialog.get_by_label("Alias").fill("checkout")
    visitor.button("Make the key").click()
    field = visitor.dialog.get_by_label("Alias")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    expect(visitor.dialog.locator(".field-error").first).to_contain_text("another key has it")
    visitor.complaints.clear()  # the 400
    field.fill("checkout two")
    expect(field).not_to_have_attribute("aria-invalid", "true")


def test_markup_is_shown_as_text(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    page = visitor.open("keys").page
    key = make(visitor, _MARKUP)
    expect(row(visitor, _MARKUP)).to_be_visible()
    assert ask(used_stack, key, text=_MARKUP).status_code == 200
    ask(used_stack, key, model=_MARKUP)
    visitor.open("requests")
    expect(page.get_by_role("cell", name=_MARKUP).first).to_be_visible()
    visitor.open("playground")
    page.get_by_label("Your message").fill(_MARKUP)
    page.keyboard.press("Enter")
    expect(page.locator(".turn.user")).to_have_text(_MARKUP)
    expect(page.locator(".turn.answer .served")).to_contain_text("Total")
    assert page.locator("#shell img").count() == 0


def test_an_edit_leaves_alone_what_it_does_not_change(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    own: dict[str, Any] = {"key_alias": "with metadata", "metadata": {"b": 1, "a": [1, {"c": None}]}, "tags": ["x"]}
    key = admin(used_stack, "key/generate", **own)
    visitor = visit()
    visitor.open("keys")
    with visitor.page.expect_request("**/key/update") as sent:
        visitor.button("Edit with metadata").click()
        visitor.dialog.get_by_label("Budget in dollars").fill("4")
        visitor.button("Save", visitor.dialog).click()
    assert sent.value.post_data_json == {"key": key["token"], "max_budget": 4}
    with visitor.page.expect_request("**/key/update") as sent:
        visitor.button("Edit with metadata").click()
        visitor.dialog.get_by_text("Rate limits, tags, owner, metadata").click()
        visitor.dialog.get_by_label("Metadata").fill("")
        visitor.button("Save", visitor.dialog).click()
    assert sent.value.post_data_json == {"key": key["token"], "metadata": None}
    expect(visitor.page.get_by_role("dialog")).to_have_count(0)
    assert admin(used_stack, f"key/info?key={key['token']}", "GET")["info"]["metadata"] == {}


def test_a_key_of_a_team_shows_what_the_team_may_use_and_leads_to_its_requests(
    visit: Callable[..., Visitor], used_stack: Stack
) -> None:
    team = admin(used_stack, "team/new", team_alias="Coders", models=["auto-codex*"])
    key = admin(used_stack, "key/generate", key_alias="of coders", team_id=team["team_id"])["key"]
    ask(used_stack, key, "auto-codex")
    visitor = visit()
    page = visitor.open("requests").page
    visitor.choose("Errors")
    visitor.open("keys")
    shown = row(visitor, "of coders")
    expect(shown).to_contain_text("auto-codex*")
    expect(shown).to_contain_text("as its team")
    page.get_by_role("link", name="Requests of of coders").click()
    expect(page.get_by_role("row")).to_have_count(1 + 1)
    expect(page.get_by_role("row").nth(1)).to_contain_text("of coders")
    visitor.open("keys/teams")
    page.get_by_role("link", name="Requests of Coders").click()
    expect(page.get_by_label("All teams")).to_have_value(team["team_id"])
    expect(page.get_by_label("All keys")).to_have_value("")
    expect(page.get_by_role("row")).to_have_count(1 + 1)
    page.get_by_role("row").nth(1).get_by_role("link").click()
    expect(visitor.dialog.locator(".facts")).to_contain_text("Coders")
    admin(used_stack, "team/delete", team_ids=[team["team_id"]])


def test_keys_are_found_by_a_part_of_their_alias(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open("keys").page
    page.get_by_label("Find keys").fill("heck")
    expect(visitor.button(re.compile("^Edit "))).to_have_count(1)
    page.get_by_label("Find keys").fill("nobody has this")
    expect(page.get_by_role("heading", name="No such key")).to_be_visible()


def test_one_need_not_wait_for_the_lists_of_teams_and_models(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open().page
    with visitor.waiting_for("team/list"):
        page.get_by_role("link", name="Keys").click()
        page.get_by_label("Find keys").fill("heck")
        visitor.button("Make a key").click()
        expect(visitor.dialog.locator(".skeleton")).to_be_visible()
    expect(visitor.dialog.get_by_label("Alias")).to_be_focused()
    visitor.dialog.get_by_label("Team").select_option(label="Apps")
    expect(visitor.dialog.get_by_label("auto-chat", exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    expect(visitor.button(re.compile("^Edit "))).to_have_count(1)


def test_a_team_is_made_changed_and_deleted(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    page = visitor.open("keys").page
    visitor.choose("Teams")
    expect(row(visitor, "Apps")).to_contain_text("of $200.00")
    visitor.button("New team").click()
    visitor.dialog.get_by_label("Name", exact=True).fill("Research")
    visitor.dialog.get_by_label("Budget in dollars").fill("50")
    visitor.dialog.get_by_text("Tags, metadata").click()
    visitor.dialog.get_by_label("Tags").fill("lab")
    visitor.button("Make the team").click()
    expect(row(visitor, "Research")).to_contain_text("of $50.00")
    visitor.button("Block Research").click()
    expect(row(visitor, "Research")).to_contain_text("Blocked")
    assert admin(used_stack, "team/list", "GET")[-1]["tags"] == ["lab"]
    visitor.button("Delete Research").click()
    visitor.button("Delete", visitor.dialog).click()
    expect(row(visitor, "Research")).to_have_count(0)
    assert "Research" not in [team["team_alias"] for team in admin(used_stack, "team/list", "GET")]
    expect(page.get_by_role("dialog")).to_have_count(0)

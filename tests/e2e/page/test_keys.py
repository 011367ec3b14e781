import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, expect

from tests.e2e.page.browser import Visitor
from tests.e2e.page.traffic import admin, ask
from tests.e2e.stack import PATIENCE, Stack

_MARKUP = "<img src=x onerror=alert(1)>"


def row(visitor: Visitor, alias: str) -> Locator:
    return visitor.page.get_by_role("row").filter(has_text=alias)


def create(visitor: Visitor, alias: str) -> str:
    visitor.button("Create key").click()
    visitor.dialog.get_by_label("Alias", exact=True).fill(alias)
    visitor.button("Create key", visitor.dialog).click()
    key = visitor.dialog.locator("[data-created-key]").inner_text()
    visitor.button("Done").click()
    return key


def test_create_a_key_with_every_field(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    visitor.open("keys")
    visitor.button("Create key").click()
    dialog = visitor.dialog
    dialog.get_by_label("Alias", exact=True).fill("nightly")
    dialog.get_by_label("auto-chat", exact=True).check()
    dialog.get_by_label("Budget in USD", exact=True).fill("12.5")
    dialog.get_by_label("Resets").select_option("30d")
    dialog.get_by_label("Expires").select_option("7d")
    dialog.get_by_label("Team").select_option(label="Apps")
    dialog.get_by_label("Model patterns").fill("auto-claude*")
    dialog.get_by_text("Warnings, limits per model, cheaper models").click()
    dialog.get_by_label("Warn beyond").fill("10")
    dialog.get_by_label("Spending per model").fill("auto-codex")
    dialog.get_by_label("Cheaper models").fill("auto-chat=auto-chat-mini@80%")
    dialog.get_by_text("Rate limits, guards, aliases, tags, owner, metadata").click()
    dialog.get_by_label("Request limit").fill("60")
    dialog.get_by_label("Token limit").fill("100000")
    dialog.get_by_label("Concurrency limit").fill("4")
    dialog.get_by_label("Answer cache").fill("600")
    dialog.get_by_label("Tags").fill("prod, night")
    dialog.get_by_label("Owner").fill("ann")
    dialog.get_by_label("Metadata").fill("project: x")
    visitor.button("Create key", visitor.dialog).click()
    expect(dialog.get_by_text("Not a JSON object.")).to_be_visible()
    expect(dialog.get_by_label("Metadata")).to_be_focused()
    dialog.get_by_label("Metadata").fill('{"project": "x"}')
    visitor.button("Create key", visitor.dialog).click()
    expect(dialog.get_by_label("Spending per model")).to_be_focused()
    dialog.get_by_label("Spending per model").fill("auto-codex=5/1d, auto-claude*=2")
    visitor.button("Create key", visitor.dialog).click()
    key = visitor.dialog.locator("[data-created-key]").inner_text()
    visitor.button("Done").click()

    info = admin(used_stack, f"key/info?key={key}", "GET")["info"]
    assert info["soft_budget"] == 10
    assert info["model_max_budget"]["auto-codex"] == {"budget_limit": 5, "time_period": "1d"}
    assert info["budget_ladder"] == {"auto-chat": [{"from": 0.8, "model": "auto-chat-mini"}]}
    assert info["models"] == ["auto-chat", "auto-claude*"]
    assert (info["max_budget"], info["budget_duration"]) == (12.5, "30d")
    assert (info["rpm_limit"], info["tpm_limit"], info["max_parallel_requests"]) == (60, 100_000, 4)
    assert info["cache_seconds"] == 600
    assert (info["tags"], info["user_id"], info["metadata"]) == (["prod", "night"], "ann", {"project": "x"})
    shown = row(visitor, "nightly")
    expect(shown).to_contain_text("ann, prod, night")
    expect(shown).to_contain_text("$0.00 of $12.50")
    expect(shown).to_contain_text("60 requests/min")
    expect(shown).to_contain_text(re.compile("expires in [67] days"))
    expect(shown.get_by_role("meter")).to_have_attribute("aria-valuenow", "0")


def test_edit_block_rotate_and_delete_a_key(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    page = visitor.open("keys").page
    key = create(visitor, "short life")
    assert ask(used_stack, key).status_code == 200

    visitor.button("Edit short life").click()
    visitor.dialog.get_by_label("Budget in USD", exact=True).fill("3")
    visitor.button("Save", visitor.dialog).click()
    expect(row(visitor, "short life")).to_contain_text("of $3.00")

    visitor.button("Block short life").click()
    visitor.button("Cancel", visitor.dialog).click()
    expect(row(visitor, "short life")).to_contain_text("Active")
    for unblock in ("Undo", "Unblock short life"):
        visitor.button("Block short life").click()
        expect(visitor.dialog).to_contain_text("rejected within ten seconds")
        visitor.button("Block", visitor.dialog).click()
        expect(row(visitor, "short life")).to_contain_text("Blocked")
        visitor.button(unblock).click()
        expect(row(visitor, "short life")).to_contain_text("Active")

    visitor.button("Rotate short life").click()
    visitor.dialog.get_by_label("Old key expires").select_option("immediately")
    visitor.button("Rotate", visitor.dialog).click()
    expect(visitor.dialog).to_contain_text("New key for short life")
    renewed = visitor.dialog.locator("[data-created-key]").inner_text()
    visitor.button("Done").click()
    assert renewed != key
    assert ask(used_stack, renewed).status_code == 200

    visitor.button("Delete short life").last.click()
    expect(visitor.dialog).to_contain_text("cannot be undone")
    visitor.button("Delete", visitor.dialog).click()
    expect(page.get_by_role("status").filter(has_text="short life deleted")).to_be_visible()
    expect(visitor.button("Delete short life")).to_have_count(0)


def test_api_error_is_shown_at_its_field(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.open("keys")
    visitor.button("Create key").click()
    visitor.dialog.get_by_label("Alias", exact=True).fill("checkout")
    visitor.button("Create key", visitor.dialog).click()
    field = visitor.dialog.get_by_label("Alias", exact=True)
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    expect(visitor.dialog.locator(".field-error").first).to_contain_text("is used by another key")
    visitor.console_errors.clear()  # the 400
    field.fill("checkout two")
    expect(field).not_to_have_attribute("aria-invalid", "true")


def test_markup_is_shown_as_text(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    page = visitor.open("keys").page
    key = create(visitor, _MARKUP)
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


def test_edit_sends_changed_fields_only(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    own: dict[str, Any] = {"key_alias": "with metadata", "metadata": {"b": 1, "a": [1, {"c": None}]}, "tags": ["x"]}
    key = admin(used_stack, "key/generate", **own)
    visitor = visit()
    visitor.open("keys")
    with visitor.page.expect_request("**/key/update") as sent:
        visitor.button("Edit with metadata").click()
        visitor.dialog.get_by_label("Budget in USD", exact=True).fill("4")
        visitor.button("Save", visitor.dialog).click()
    assert sent.value.post_data_json == {"key": key["token"], "max_budget": 4}
    with visitor.page.expect_request("**/key/update") as sent:
        visitor.button("Edit with metadata").click()
        visitor.dialog.get_by_text("Rate limits, guards, aliases, tags, owner, metadata").click()
        visitor.dialog.get_by_label("Metadata").fill("")
        visitor.button("Save", visitor.dialog).click()
    assert sent.value.post_data_json == {"key": key["token"], "metadata": None}
    expect(visitor.page.get_by_role("dialog")).to_have_count(0)
    assert admin(used_stack, f"key/info?key={key['token']}", "GET")["info"]["metadata"] == {}


def test_key_of_a_team_shows_the_teams_models_and_links_to_its_requests(
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
    expect(shown).to_contain_text("from its team")
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


def test_find_keys_by_part_of_the_alias(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open("keys").page
    page.get_by_label("Find keys").fill("heck")
    expect(visitor.button(re.compile("^Edit "))).to_have_count(1)
    page.get_by_label("Find keys").fill("no match")
    expect(page.get_by_role("heading", name="No matching keys")).to_be_visible()


def test_create_dialog_opens_before_teams_and_models_are_loaded(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open().page
    with visitor.delayed("team/list"):
        page.get_by_role("link", name="Keys").click()
        page.get_by_label("Find keys").fill("heck")
        visitor.button("Create key").click()
        expect(visitor.dialog.locator(".skeleton")).to_be_visible()
    expect(visitor.dialog.get_by_label("Alias", exact=True)).to_be_focused()
    visitor.dialog.get_by_label("Team").select_option(label="Apps")
    expect(visitor.dialog.get_by_label("auto-chat", exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    expect(visitor.button(re.compile("^Edit "))).to_have_count(1)


def test_create_block_and_delete_a_team(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    page = visitor.open("keys").page
    visitor.choose("Teams")
    expect(visitor.button("Create team")).to_be_visible()
    expect(row(visitor, "Apps")).to_contain_text("of $200.00")
    visitor.button("Create team").click()
    visitor.dialog.get_by_label("Name", exact=True).fill("Research")
    visitor.dialog.get_by_label("Budget in USD", exact=True).fill("50")
    visitor.dialog.get_by_text("Tags, metadata").click()
    visitor.dialog.get_by_label("Tags").fill("lab")
    visitor.button("Create team", visitor.dialog).click()
    expect(row(visitor, "Research")).to_contain_text("of $50.00")
    visitor.button("Block Research").click()
    visitor.button("Block", visitor.dialog).click()
    expect(row(visitor, "Research")).to_contain_text("Blocked")
    teams = {team["team_alias"]: team for team in admin(used_stack, "team/list", "GET")}
    assert teams["Research"]["tags"] == ["lab"]
    visitor.button("Delete Research").click()
    visitor.button("Delete", visitor.dialog).click()
    expect(row(visitor, "Research")).to_have_count(0)
    assert "Research" not in [team["team_alias"] for team in admin(used_stack, "team/list", "GET")]
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_create_edit_and_delete_a_user(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    admin(used_stack, "key/generate", key_alias="zoe's laptop", user_id="zoe@example.com")
    visitor = visit()
    visitor.open("keys")
    visitor.choose("Users")
    expect(row(visitor, "zoe@example.com")).to_contain_text("no budget")
    visitor.button("Create user").click()
    visitor.dialog.get_by_label("User", exact=True).fill("yan@example.com")
    visitor.dialog.get_by_label("Name", exact=True).fill("Yan")
    visitor.dialog.get_by_label("Budget in USD", exact=True).fill("50")
    visitor.button("Create user", visitor.dialog).click()
    expect(row(visitor, "Yan")).to_contain_text("of $50.00")
    visitor.button("Edit zoe@example.com").click()
    visitor.dialog.get_by_label("Request limit").fill("60")
    visitor.button("Save", visitor.dialog).click()
    expect(row(visitor, "zoe@example.com")).to_contain_text("60 requests/min")
    info = admin(used_stack, "user/info?user_id=zoe@example.com", "GET")
    assert (info["user_info"]["rpm_limit"], len(info["keys"])) == (60, 1)
    visitor.button("Delete zoe@example.com").click()
    visitor.button("Delete", visitor.dialog).click()
    expect(row(visitor, "zoe@example.com")).to_have_count(0)
    assert [each["user_id"] for each in admin(used_stack, "user/list", "GET")["users"]].count("zoe@example.com") == 0
    admin(used_stack, "user/delete", user_ids=["yan@example.com"])


def test_edit_shows_patterns_beside_the_models(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    admin(used_stack, "key/generate", key_alias="patterned", models=["auto-chat", "auto-claude*"])
    visitor = visit()
    visitor.open("keys")
    expect(row(visitor, "patterned").locator(".chip")).to_have_text(["auto-chat", "auto-claude*"])
    visitor.button("Edit patterned").click()
    expect(visitor.dialog.get_by_label("auto-chat", exact=True)).to_be_checked()
    expect(visitor.dialog.get_by_label("Model patterns")).to_be_visible()
    expect(visitor.dialog.get_by_label("Model patterns")).to_have_value("auto-claude*")


def test_back_closes_a_dialog_and_keeps_the_view(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open("keys").page
    visitor.button("Create key").click()
    expect(visitor.dialog.get_by_label("Alias", exact=True)).to_be_visible()
    page.go_back()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_have_text("Keys")


def test_snippets_of_a_new_key_work_as_shown(visit: Callable[..., Visitor], tmp_path: Path) -> None:
    visitor = visit()
    visitor.open("keys")
    visitor.button("Create key").click()
    visitor.dialog.get_by_label("Alias", exact=True).fill("for snippets")
    visitor.dialog.get_by_label("auto-claude", exact=True).check()
    visitor.dialog.get_by_label("Model patterns").fill("auto-codex*")
    visitor.button("Create key", visitor.dialog).click()
    key = visitor.dialog.locator("[data-created-key]").inner_text()
    texts = {}
    for client in ("curl", "OpenAI SDK", "Anthropic SDK", "Claude Code", "Codex"):
        visitor.choose(client)
        texts[client] = visitor.dialog.get_by_role("group", name=f"Snippet for {client}").inner_text()
        assert key in texts[client]
    assert f"ANTHROPIC_BASE_URL={visitor.root}\n" in texts["Claude Code"]
    assert "ANTHROPIC_MODEL=auto-claude\n" in texts["Claude Code"]
    codex = tomllib.loads(texts["Codex"])
    assert codex["model"] == "auto-codex"
    assert codex["model_providers"]["vibe"]["base_url"] == f"{visitor.root}/v1"
    python = [sys.executable, "-c"]
    for client, program in (("curl", ["bash", "-c"]), ("OpenAI SDK", python), ("Anthropic SDK", python)):
        done = subprocess.run(
            [*program, texts[client]], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()

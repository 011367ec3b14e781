import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.page.browser import Visitor
from tests.e2e.page.traffic import admin, ask
from tests.e2e.stack import KEY, Stack, eventually

MODEL = "auto-chat-mini"


@pytest.fixture(autouse=True)
def _as_it_was(used_stack: Stack) -> Iterator[None]:
    before = routes(used_stack)
    yield
    now = routes(used_stack)
    if rows(now) != rows(before):
        hosts = [
            {"secret": row["secret"], "host": urlsplit(row["base_url"]).netloc} for row in before["providers"].values()
        ]
        admin(used_stack, "routes", "PUT", version=now["version"], confirmed_hosts=hosts, **rows(before))


def routes(stack: Stack) -> Any:
    return admin(stack, "routes", "GET")


def rows(routes: Any) -> dict[str, Any]:
    return {name: routes[name] for name in ("providers", "defaults", "models", "aliases", "guards")}


def chain(stack: Stack, model: str = MODEL) -> list[Any]:
    found: list[Any] = routes(stack)["models"][model]["chain"]
    return found


def save(stack: Stack, model: str, **fields: Any) -> None:
    """Save a change to a model's row, as another editor would."""
    current = routes(stack)
    row = current["models"][model] | fields
    admin(
        stack,
        "routes",
        "PUT",
        version=current["version"],
        **rows(current) | {"models": current["models"] | {model: row}},
    )


def editor(visitor: Visitor, model: str = MODEL) -> Locator:
    visitor.button(f"Edit {model}").click()
    return visitor.page.get_by_role("region", name=model, exact=True)


def review(visitor: Visitor) -> Locator:
    visitor.button("Review and save").click()
    expect(visitor.dialog).to_contain_text("within ten seconds")
    return visitor.dialog


def test_chain_shows_its_steps_in_order(visit: Callable[..., Visitor]) -> None:
    page = visit().open("models").page
    steps = page.get_by_role("list", name="Chain of auto-chat", exact=True).locator("> li")
    expect(steps).to_have_count(3)
    for step, (provider, model) in zip(
        steps.all(), (("cliproxyapi", "claude-sonnet-4-6"), ("new-api", "gpt-5"), ("ark", "glm-4.7")), strict=True
    ):
        expect(step).to_contain_text(provider)
        expect(step).to_contain_text(model)
        expect(step).to_contain_text("Healthy")


def test_review_save_with_a_note_and_undo_an_edit(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    page = visitor.open("models").page
    region = editor(visitor)
    visitor.button("Move cliproxyapi/gemini-2.5-flash down", region).click()
    expect(visitor.button("Move cliproxyapi/gemini-2.5-flash down", region)).to_be_focused()
    region.get_by_role("switch", name="Enable ark/ark-code-latest").uncheck(force=True)
    dialog = review(visitor)
    expect(dialog).to_contain_text("disabled")
    dialog.get_by_label("Note").fill("GPT first, Ark disabled")
    visitor.button("Save", dialog).click()
    expect(page.get_by_role("status").filter(has_text="Saved as version")).to_be_visible()
    saved = chain(used_stack)
    assert [each["model"] for each in saved] == ["gpt-5-mini", "gemini-2.5-flash", "ark-code-latest"]
    assert saved[2]["enabled"] is False
    expect(page.get_by_role("list", name=f"Chain of {MODEL}")).to_contain_text("Disabled")

    visitor.button("History").click()
    expect(visitor.dialog).to_contain_text("GPT first, Ark disabled")
    page.keyboard.press("Escape")
    visitor.button("Undo").click()
    expect(page.get_by_role("status").filter(has_text="Rolled back to version")).to_be_visible()
    assert [each["model"] for each in chain(used_stack)] == ["gemini-2.5-flash", "gpt-5-mini", "ark-code-latest"]


def test_drag_weight_price_add_and_delete_deployments(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    visitor.open("models")
    region = editor(visitor)
    members = region.locator(".edit-member")
    members.nth(2).locator(".handle").drag_to(region.locator(".edit-step").nth(1))
    expect(region.locator(".edit-step")).to_have_count(2)
    region.get_by_label("Weight").first.fill("3")
    visitor.button("Add step", region).click()
    members.nth(3).get_by_label("Provider").select_option("new-api")
    members.nth(3).get_by_label("Model", exact=True).fill("gpt-5-nano")
    members.nth(3).locator("summary").first.click()
    members.nth(3).get_by_label("Input", exact=True).fill("0.05")
    members.nth(3).get_by_label("Output").fill("0.4")
    visitor.button("Delete cliproxyapi/gemini-2.5-flash", region).click()
    visitor.button("Save", review(visitor)).click()
    expect(visitor.dialog).to_have_count(0)
    shared, last = chain(used_stack)
    assert [(each["model"], each.get("weight", 1)) for each in shared] == [("gpt-5-mini", 3), ("ark-code-latest", 1)]
    assert last == {"provider": "new-api", "model": "gpt-5-nano", "price": {"input": 0.05, "output": 0.4}}


def test_invalid_edit_is_reported_and_not_saved(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    visitor.open("models")
    before = routes(used_stack)["version"]
    region = editor(visitor)
    region.locator(".edit-member").first.get_by_label("Model", exact=True).fill("")
    visitor.button("Review and save").click()
    expect(visitor.dialog).to_contain_text("These changes are not valid yet.")
    expect(visitor.dialog).to_contain_text(f"models.{MODEL}.chain[0].model")
    expect(visitor.button("Save", visitor.dialog)).to_be_disabled()
    assert routes(used_stack)["version"] == before


def test_concurrent_edits_are_merged(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    page = visitor.open("models").page
    editor(visitor).get_by_label("Description").fill("Mine")
    visitor.button(f"Close editor of {MODEL}").click()
    editor(visitor, "auto-claude").get_by_label("Description").fill("Mine too")
    save(used_stack, MODEL, description="Theirs")
    save(used_stack, "auto-codex", description="Theirs alone")
    visitor.button("Save", review(visitor)).click()

    expect(visitor.dialog).to_contain_text("Conflicting changes")
    visitor.console_errors.clear()  # the 409
    both = visitor.dialog.locator(".conflict")
    expect(both).to_have_count(1)
    expect(both).to_contain_text("Mine")
    expect(both).to_contain_text("Theirs")
    expect(visitor.dialog).to_contain_text("Mine too")
    expect(visitor.dialog).to_contain_text("Theirs alone")
    both.locator("label", has_text="Take theirs").click()
    visitor.button("Merge").click()
    expect(visitor.dialog).to_contain_text("Review changes")
    visitor.button("Save", visitor.dialog).click()
    expect(page.get_by_role("status").filter(has_text="Saved as version")).to_be_visible()
    now = routes(used_stack)["models"]
    descriptions = [now[name]["description"] for name in (MODEL, "auto-claude", "auto-codex")]
    assert descriptions == ["Theirs", "Mine too", "Theirs alone"]


def test_edit_survives_a_change_of_view(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open("models").page
    editor(visitor).get_by_label("Description").fill("Still here")
    page.get_by_role("link", name="Requests").click()
    page.get_by_role("link", name="Models").click()
    expect(page.get_by_label("Description")).to_have_value("Still here")
    expect(page.get_by_role("region", name="Unsaved changes")).to_contain_text(MODEL)


def test_add_a_provider_and_edit_one_without_changes(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    page = visitor.open("models").page
    visitor.button("Edit cliproxyapi").click()
    visitor.button("Apply", visitor.dialog).click()
    expect(page.get_by_role("region", name="Unsaved changes")).to_be_hidden()
    visitor.button("Add provider").click()
    visitor.dialog.get_by_label("Name", exact=True).fill("ark")
    visitor.choose("Amazon Bedrock")
    visitor.button("Add", visitor.dialog).click()
    expect(visitor.dialog.get_by_text("A provider with this name already exists.")).to_be_visible()
    visitor.dialog.get_by_label("Name", exact=True).fill("aws")
    visitor.dialog.get_by_label("Region").fill("eu-central-1")
    visitor.button("Add", visitor.dialog).click()
    expect(page.get_by_role("row", name="aws")).to_contain_text("converse")
    visitor.button("Save", review(visitor)).click()
    expect(page.get_by_role("status").filter(has_text="Saved as version")).to_be_visible()
    bedrock = {"type": "bedrock", "region": "eu-central-1"}
    assert routes(used_stack)["providers"]["aws"] == bedrock
    for endpoint in ("https://vpce-1.bedrock-runtime.eu-central-1.vpce.amazonaws.com", ""):
        visitor.button("Edit aws").click()
        expect(visitor.dialog.get_by_label("Base URL")).to_be_hidden()
        visitor.dialog.get_by_label("Endpoint").fill(endpoint)
        visitor.button("Apply", visitor.dialog).click()
        visitor.button("Save", review(visitor)).click()
        expect(visitor.button("Edit aws")).to_be_visible()
        expect(page.get_by_role("region", name="Unsaved changes")).to_be_hidden()
        saved_row = routes(used_stack)["providers"]["aws"]
        assert saved_row == bedrock | ({"base_url": endpoint} if endpoint else {})


def test_hidden_fields_of_another_provider_type_are_ignored(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open("models").page
    visitor.button("Add provider").click()
    visitor.dialog.get_by_label("Name", exact=True).fill("aws-2")
    visitor.dialog.get_by_label("Base URL").fill("no URL")
    visitor.choose("Amazon Bedrock")
    visitor.button("Add", visitor.dialog).click()
    expect(page.get_by_role("row", name="aws-2")).to_contain_text("Amazon Bedrock, the function's region")


def test_explain_a_request_without_calling_a_provider(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit().open()
    used_stack.standin.forget()
    with visitor.delayed("routes"):  # the dialog opens anyway
        visitor.page.get_by_role("link", name="Models").click()
        visitor.button("Explain a request").click()
        expect(visitor.dialog.locator(".skeleton")).to_be_visible()
    visitor.dialog.get_by_label("Model").select_option("auto-claude")
    visitor.dialog.get_by_label("Key").select_option(label="checkout")
    visitor.button("Explain", visitor.dialog).click()
    tried = visitor.dialog.locator(".tried > li")
    expect(tried).to_have_count(2)
    expect(tried.first).to_contain_text("cliproxyapi/claude-sonnet-4-5")
    assert used_stack.standin.requests() == []


def test_move_by_one_position(visit: Callable[..., Visitor]) -> None:
    page = visit().open("models").page
    script = """async ([steps, moves]) => {
      const { moved } = await import(new URL("views/editor.js", location.href));
      return moves.reduce((sofar, move) => moved(sofar, ...move), steps);
    }"""
    for case, steps, moves, after in (
        ("a step moves down", [["a"], ["b"]], [(0, 0, 1)], [["b"], ["a"]]),
        ("the first step cannot move up", [["a"], ["b"]], [(0, 0, -1)], [["a"], ["b"]]),
        ("a deployment moves up out of its step", [["a"], ["b", "c"]], [(1, 1, -1)], [["a"], ["c"], ["b"]]),
        ("a deployment moves down out of its step", [["a", "b"], ["c"]], [(0, 0, 1)], [["b"], ["a"], ["c"]]),
        ("there and back", [["a"], ["b"]], [(0, 0, 1), (0, 0, 1)], [["a"], ["b"]]),
    ):
        assert page.evaluate(script, [steps, moves]) == after, case


def test_settings_are_shown_with_units(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    save(used_stack, MODEL, timeouts={"first_token": 90}, retries=2)
    visitor = visit()
    page = visitor.open("models").page
    region = page.get_by_role("region", name=MODEL, exact=True)
    expect(region).to_contain_text("timeouts: first token 90 s; retries: 2")
    expect(region).to_contain_text("per 1M tokens")
    expect(page.get_by_text(re.compile("^timeouts: connect 5 s, first byte 30 s"))).to_be_visible()
    visitor.button("History").click()
    visitor.dialog.get_by_text("1 row").first.click()
    expect(visitor.dialog.locator(".difference").first).to_contain_text("90 s")


def test_units_of_settings(visit: Callable[..., Visitor]) -> None:
    page = visit().open("models").page
    script = """async (settings) => {
      const { settingText } = await import(new URL("views/settings.js", location.href));
      return settings.map(([name, value]) => settingText(name, value));
    }"""
    texts = {
        ("max_inline_wait", 2): "2 s",
        ("timeouts.connect", 5): "5 s",
        ("cooldown.max", 1800): "1800 s",
        ("price.input", 3): "3 USD per million tokens",
        ("price.source", "list"): "list",
        ("retries", 1): "1",
        ("vision", False): "off",
        ("context_window", 200_000): "200000 tokens",
    }
    assert page.evaluate(script, [list(each) for each in texts]) == list(texts.values())


def test_review_asks_before_a_secret_goes_to_a_new_host(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    page = visitor.open("models").page
    for address in ("https://proxy.example.com/v1", "https://proxy.example.com/other"):
        visitor.button("Edit ark").click()
        visitor.dialog.get_by_label("Base URL").fill(address)
        visitor.button("Apply", visitor.dialog).click()
        dialog = review(visitor)
        notice = dialog.locator(".notice")
        if address.endswith("v1"):
            expect(notice).to_contain_text("A secret will be sent to a new host.ARK_API_KEY → proxy.example.com")
            expect(visitor.button("Save", dialog)).to_be_disabled()
            notice.get_by_role("checkbox").check()
        else:
            expect(notice).to_have_count(0)  # the host is known by now
        visitor.button("Save", dialog).click()
        expect(page.get_by_role("status").filter(has_text="Saved as version").last).to_be_visible()
        expect(page.get_by_role("region", name="Unsaved changes")).to_be_hidden()
    assert routes(used_stack)["providers"]["ark"]["base_url"] == address
    visitor.button("History").click()
    visitor.button(re.compile("^Roll back to version"), visitor.dialog).nth(1).click()
    visitor.button("Roll back", visitor.dialog).click()
    expect(visitor.dialog.last).to_contain_text("ARK_API_KEY →")
    visitor.button("Roll back", visitor.dialog.last).click()
    expect(page.get_by_role("status").filter(has_text="Rolled back to version")).to_be_visible()
    visitor.console_errors.clear()  # the 400 that asks for the confirmation
    assert "proxy.example.com" not in routes(used_stack)["providers"]["ark"]["base_url"]


def test_the_behavior_of_a_chain_is_edited(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    visitor.open("models")
    region = editor(visitor)
    details = region.locator("details.behavior")
    model = details.last
    model.locator("summary").click()
    model.get_by_label("Order within a step").select_option("quota")
    model.get_by_label("Conversations stay").fill("30")
    model.get_by_label("Continue broken answers").select_option("on")
    model.get_by_label("Hedge after").fill("p95")
    model.get_by_label("Quota for new conversations").fill("80")
    model.get_by_label("Keys for the rest of the quota").fill("boss, nightly")
    model.get_by_label("To the first token").fill("12.5")
    model.get_by_label("Retries").fill("0")
    model.get_by_label("Longest cooldown").fill("600")
    capabilities = region.locator("details", has_text="Capabilities").first
    capabilities.locator("summary").click()
    capabilities.get_by_label("Context window").fill("32000")
    capabilities.get_by_role("switch", name="Images").uncheck(force=True)
    capabilities.get_by_role("switch", name="Only streams").check(force=True)
    capabilities.get_by_label("messages", exact=True).check()
    member = details.first
    member.locator("summary").click()
    shaping = member.get_by_label("Request shaping")
    shaping.fill('{"set": {"seed": 7}')
    expect(member).to_contain_text("This is not JSON yet.")
    shaping.fill('{"set": {"seed": 7}, "drop": ["user"]}')
    review(visitor).get_by_role("button", name="Save", exact=True).click()
    expect(visitor.page.get_by_role("status").filter(has_text="Saved as version")).to_be_visible()
    row = routes(used_stack)["models"][MODEL]
    assert (row["order"], row["stay"], row["continuation"], row["hedge_after"]) == ("quota", 30, True, "p95")
    assert row["quota"] == {"threshold": 80, "keys": ["boss", "nightly"]}
    assert (row["timeouts"], row["retries"], row["cooldown"]) == ({"first_token": 12.5}, 0, {"max": 600})
    first = row["chain"][0]
    assert (first["set"], first["drop"]) == ({"seed": 7}, ["user"])
    assert (first["context_window"], first["vision"], first["stream"]) == (32_000, False, "always")
    assert first["formats"] == ["messages"]


def test_the_defaults_of_every_deployment_are_edited(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    before = routes(used_stack)["defaults"]
    visitor = visit().open("models")
    visitor.button("Edit defaults").click()
    visitor.dialog.get_by_label("To connect").fill("3")
    visitor.dialog.get_by_label("Reserve for an answer").fill("2048")
    visitor.button("Apply", visitor.dialog).click()
    dialog = review(visitor)
    expect(dialog).to_contain_text("connect")
    visitor.button("Save", dialog).click()
    expect(visitor.page.get_by_role("status").filter(has_text="Saved as version")).to_be_visible()
    after = routes(used_stack)["defaults"]
    assert after["timeouts"] == before.get("timeouts", {}) | {"connect": 3}
    assert after["reserve_tokens"] == 2048


def test_a_provider_of_bedrock_gets_native_formats(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit().open("models")
    visitor.button("Add provider").click()
    visitor.dialog.get_by_label("Name", exact=True).fill("aws")
    visitor.choose("Amazon Bedrock")
    visitor.dialog.get_by_label("Region").fill("us-east-1")
    visitor.dialog.get_by_label("Service").select_option("bedrock-mantle")
    visitor.dialog.get_by_label("responses", exact=True).first.check()
    visitor.button("Add", visitor.dialog).click()
    visitor.button("Save", review(visitor)).click()
    expect(visitor.page.get_by_role("status").filter(has_text="Saved as version")).to_be_visible()
    row = routes(used_stack)["providers"]["aws"]
    assert (row["type"], row["endpoint"], row["formats"]) == ("bedrock", "mantle", ["responses"])


def test_the_cache_of_a_model_is_switched_on_and_off(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    visitor.open("models")
    region = editor(visitor)
    region.get_by_label("Answer cache").fill("1.5")
    expect(region).to_contain_text("Write whole seconds, such as 3600.")
    region.get_by_label("Answer cache").fill("3600")
    visitor.button("Save", review(visitor)).click()
    expect(visitor.dialog).to_have_count(0)
    assert routes(used_stack)["models"][MODEL]["cache"] == {"seconds": 3600}
    region = editor(visitor)
    expect(region.get_by_label("Answer cache")).to_have_value("3600")
    region.get_by_label("Answer cache").fill("")
    visitor.button("Save", review(visitor)).click()
    expect(visitor.dialog).to_have_count(0)
    assert "cache" not in routes(used_stack)["models"][MODEL]


def test_aliases_are_added_edited_and_explained(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit().open("models")
    visitor.button("Add alias").click()
    visitor.dialog.get_by_label("Name or pattern").fill("my-*")
    visitor.dialog.get_by_label("Model", exact=True).select_option(MODEL)
    visitor.button("Add", visitor.dialog).click()
    dialog = review(visitor)
    expect(dialog).to_contain_text("my-*")
    visitor.button("Save", dialog).click()
    expect(visitor.dialog).to_have_count(0)
    assert routes(used_stack)["aliases"]["my-*"] == MODEL
    visitor.button("Explain a request").click()
    visitor.dialog.get_by_label("Other name").fill("my-model")
    visitor.button("Explain", visitor.dialog).click()
    expect(visitor.dialog).to_contain_text(f"my-model is an alias of {MODEL}")
    visitor.page.keyboard.press("Escape")
    visitor.button("Edit my-*").click()
    visitor.button("Delete", visitor.dialog).click()
    visitor.button("Save", review(visitor)).click()
    expect(visitor.dialog).to_have_count(0)
    assert "my-*" not in routes(used_stack)["aliases"]


def test_a_provider_is_tested_with_a_real_call(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit().open("models")
    visitor.button("Test ark").click()
    visitor.dialog.get_by_label("Deployment").select_option("ark/glm-4.7")
    visitor.button("Test", visitor.dialog).click()
    expect(visitor.dialog).to_contain_text(re.compile(r"ark/glm-4\.7 answered in [\d.]+ m?s\."))
    used_stack.fault("ark", "401")
    visitor.button("Test", visitor.dialog).click()
    expect(visitor.dialog).to_contain_text("The provider answered with 401.")
    used_stack.standin.heal()
    visitor.button("Clear the cooldown and test again", visitor.dialog).click()
    expect(visitor.dialog).to_contain_text(re.compile(r"ark/glm-4\.7 answered in"))
    visitor.dialog.get_by_role("link", name="Request details").click()
    expect(visitor.dialog).to_contain_text("ark/glm-4.7 served the request")
    visitor.console_errors.clear()  # the 502


def test_guards_are_added_edited_and_used_by_a_model(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    page = visitor.open("models").page
    visitor.button("Add guard").click()
    visitor.dialog.get_by_label("Name", exact=True).fill("personal")
    visitor.dialog.get_by_label("Secrets", exact=True).uncheck()
    visitor.dialog.get_by_label("Action", exact=True).select_option("mask")
    visitor.button("Add", visitor.dialog).click()
    expect(visitor.dialog).to_contain_text("Choose what the guard finds")
    visitor.dialog.get_by_label("E-mail addresses").check()
    visitor.dialog.get_by_label("Own patterns").fill("tickets: (a+)+b")
    visitor.button("Add", visitor.dialog).click()
    expect(page.get_by_role("table", name="Guards")).to_contain_text("emails, tickets")
    visitor.button("Review and save").click()
    expect(visitor.dialog).to_contain_text("may take too long on some text")
    page.keyboard.press("Escape")
    visitor.button("Edit personal").click()
    visitor.dialog.get_by_label("Own patterns").fill("tickets: ACME-[0-9]{6}")
    visitor.button("Apply", visitor.dialog).click()
    region = editor(visitor)
    region.get_by_label("Guards", exact=True).fill("personal")
    visitor.button("Save", review(visitor)).click()
    expect(page.get_by_role("region", name=MODEL, exact=True)).to_contain_text("guards: personal")
    saved = routes(used_stack)
    pattern = {"name": "tickets", "pattern": "ACME-[0-9]{6}"}
    assert saved["guards"] == {"personal": {"find": ["emails", pattern], "action": "mask"}}
    assert saved["models"][MODEL]["guards"] == ["personal"]

    def is_guarded() -> bool:  # within ten seconds of the change
        ask(used_stack, KEY, MODEL, "Write to jane@example.com")
        return "emails" in str(admin(used_stack, "usage/requests?limit=20", "GET"))

    eventually(is_guarded)
    found = admin(used_stack, "usage/requests?limit=20", "GET")["requests"]
    request_id = next(each["request_id"] for each in found if "emails" in str(each))
    visitor.open(f"requests/{request_id}")
    expect(visitor.dialog).to_contain_text("emails: 1")


def test_a_providers_key_is_set_and_never_shown(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit().open("models")
    page = visitor.page
    row = page.get_by_role("row", name=re.compile("^ark"))
    visitor.button(re.compile("^(Set|Replace) ARK_API_KEY$"), row).click()
    visitor.dialog.get_by_label("Value").fill("sk-ark-of-the-page")
    visitor.button("Set", visitor.dialog).click()
    expect(page.get_by_role("status").filter(has_text="ARK_API_KEY is set.")).to_be_visible()
    assert "sk-ark-of-the-page" not in json.dumps([routes(used_stack), admin(used_stack, "audit", "GET")])
    visitor.button("Test ark").click()
    visitor.button("Test", visitor.dialog).click()
    expect(visitor.dialog).to_contain_text("answered in")

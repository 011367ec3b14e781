from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.page.browser import Visitor
from tests.e2e.page.traffic import admin
from tests.e2e.stack import Stack

MODEL = "auto-chat-mini"


@pytest.fixture(autouse=True)
def _as_it_was(used_stack: Stack) -> Iterator[None]:
    before = routes(used_stack)
    yield
    now = routes(used_stack)
    if rows(now) != rows(before):
        admin(used_stack, "routes", "PUT", version=now["version"], **rows(before))


def routes(stack: Stack) -> Any:
    return admin(stack, "routes", "GET")


def rows(routes: Any) -> dict[str, Any]:
    return {name: routes[name] for name in ("providers", "defaults", "models")}


def chain(stack: Stack, model: str = MODEL) -> list[Any]:
    found: list[Any] = routes(stack)["models"][model]["chain"]
    return found


def save(stack: Stack, model: str, **fields: Any) -> None:
    """Save a change to a model's row, as another editor does."""
    standing = routes(stack)
    row = standing["models"][model] | fields
    admin(
        stack,
        "routes",
        "PUT",
        version=standing["version"],
        **rows(standing) | {"models": standing["models"] | {model: row}},
    )


def editor(visitor: Visitor, model: str = MODEL) -> Locator:
    visitor.button(f"Edit {model}").click()
    return visitor.page.get_by_role("region", name=model, exact=True)


def review(visitor: Visitor) -> Locator:
    visitor.button("Review and save").click()
    expect(visitor.dialog).to_contain_text("Live within ten seconds")
    return visitor.dialog


def test_a_chain_is_a_picture_of_layers_in_order(visit: Callable[..., Visitor]) -> None:
    page = visit().open("models").page
    layers = page.get_by_role("list", name="The chain of auto-chat, in order").locator("> li")
    expect(layers).to_have_count(3)
    for layer, (provider, model) in zip(
        layers.all(), (("cliproxyapi", "claude-sonnet-4-6"), ("new-api", "gpt-5"), ("ark", "glm-4.7")), strict=True
    ):
        expect(layer).to_contain_text(provider)
        expect(layer).to_contain_text(model)
        expect(layer).to_contain_text("Healthy")


def test_an_edit_is_reviewed_saved_with_a_note_and_undone(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    page = visitor.open("models").page
    region = editor(visitor)
    visitor.button("Move cliproxyapi/gemini-2.5-flash down", region).click()
    expect(visitor.button("Move cliproxyapi/gemini-2.5-flash down", region)).to_be_focused()
    region.get_by_role("switch", name="ark/ark-code-latest takes part").uncheck(force=True)
    dialog = review(visitor)
    expect(dialog).to_contain_text("switched off")
    dialog.get_by_label("Note").fill("GPT first, Ark rests")
    visitor.button("Save", dialog).click()
    expect(page.get_by_role("status").filter(has_text="Saved as version")).to_be_visible()
    saved = chain(used_stack)
    assert [each["model"] for each in saved] == ["gpt-5-mini", "gemini-2.5-flash", "ark-code-latest"]
    assert saved[2]["enabled"] is False
    expect(page.get_by_role("list", name=f"The chain of {MODEL}, in order")).to_contain_text("Switched off")

    visitor.button("History").click()
    expect(visitor.dialog).to_contain_text("GPT first, Ark rests")
    page.keyboard.press("Escape")
    visitor.button("Undo").click()
    expect(page.get_by_role("status").filter(has_text="Back at what version")).to_be_visible()
    assert [each["model"] for each in chain(used_stack)] == ["gemini-2.5-flash", "gpt-5-mini", "ark-code-latest"]


def test_deployments_are_dragged_weighed_priced_added_and_removed(
    visit: Callable[..., Visitor], used_stack: Stack
) -> None:
    visitor = visit()
    visitor.open("models")
    region = editor(visitor)
    members = region.locator(".edit-member")
    members.nth(2).locator(".handle").drag_to(region.locator(".edit-layer").nth(1))
    expect(region.locator(".edit-layer")).to_have_count(2)
    region.get_by_label("Weight").first.fill("3")
    visitor.button("Add a layer", region).click()
    members.nth(3).get_by_label("Provider").select_option("new-api")
    members.nth(3).get_by_label("Model").fill("gpt-5-nano")
    members.nth(3).locator("summary").click()
    members.nth(3).get_by_label("In", exact=True).fill("0.05")
    members.nth(3).get_by_label("Out").fill("0.4")
    visitor.button("Remove cliproxyapi/gemini-2.5-flash", region).click()
    visitor.button("Save", review(visitor)).click()
    expect(visitor.dialog).to_have_count(0)
    shared, last = chain(used_stack)
    assert [(each["model"], each.get("weight", 1)) for each in shared] == [("gpt-5-mini", 3), ("ark-code-latest", 1)]
    assert last == {"provider": "new-api", "model": "gpt-5-nano", "price": {"input": 0.05, "output": 0.4}}


def test_mistakes_are_told_and_nothing_is_saved(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    visitor.open("models")
    before = routes(used_stack)["version"]
    region = editor(visitor)
    region.locator(".edit-member").first.get_by_label("Model").fill("")
    visitor.button("Review and save").click()
    expect(visitor.dialog).to_contain_text("This can't be saved yet.")
    expect(visitor.dialog).to_contain_text(f"models.{MODEL}.chain[0].model")
    expect(visitor.button("Save", visitor.dialog)).to_be_disabled()
    assert routes(used_stack)["version"] == before


def test_two_editors_lose_nothing(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit()
    page = visitor.open("models").page
    editor(visitor).get_by_label("What it is good for").fill("Mine")
    visitor.button(f"Done with {MODEL}").click()
    editor(visitor, "auto-claude").get_by_label("What it is good for").fill("Mine too")
    save(used_stack, MODEL, description="Theirs")
    save(used_stack, "auto-codex", description="Theirs alone")
    visitor.button("Save", review(visitor)).click()

    expect(visitor.dialog).to_contain_text("Somebody saved in between")
    visitor.complaints.clear()  # the 409 that it found out by
    both = visitor.dialog.locator(".conflict")
    expect(both).to_have_count(1)
    expect(both).to_contain_text("Mine")
    expect(both).to_contain_text("Theirs")
    expect(visitor.dialog).to_contain_text("Mine too")
    expect(visitor.dialog).to_contain_text("Theirs alone")
    both.locator("label", has_text="Take theirs").click()
    visitor.button("Put both together").click()
    expect(visitor.dialog).to_contain_text("Review the changes")
    visitor.button("Save", visitor.dialog).click()
    expect(page.get_by_role("status").filter(has_text="Saved as version")).to_be_visible()
    now = routes(used_stack)["models"]
    told = [now[name]["description"] for name in (MODEL, "auto-claude", "auto-codex")]
    assert told == ["Theirs", "Mine too", "Theirs alone"]


def test_an_edit_outlives_a_look_at_another_view(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open("models").page
    editor(visitor).get_by_label("What it is good for").fill("Still here")
    page.get_by_role("link", name="Requests").click()
    page.get_by_role("link", name="Models").click()
    expect(page.get_by_label("What it is good for")).to_have_value("Still here")
    expect(page.get_by_role("region", name="Changes that are not saved")).to_contain_text(MODEL)


def test_a_provider_is_added_and_one_that_is_edited_keeps_what_it_speaks(
    visit: Callable[..., Visitor], used_stack: Stack
) -> None:
    visitor = visit()
    page = visitor.open("models").page
    visitor.button("Edit cliproxyapi").click()
    visitor.button("Keep", visitor.dialog).click()
    expect(page.get_by_role("region", name="Changes that are not saved")).to_be_hidden()
    visitor.button("New provider").click()
    visitor.dialog.get_by_label("Name", exact=True).fill("ark")
    visitor.choose("Amazon Bedrock")
    visitor.button("Keep", visitor.dialog).click()
    expect(visitor.dialog.get_by_text("There is a provider of this name already.")).to_be_visible()
    visitor.dialog.get_by_label("Name", exact=True).fill("aws")
    visitor.dialog.get_by_label("Region").fill("eu-central-1")
    visitor.button("Keep", visitor.dialog).click()
    expect(page.get_by_role("row", name="aws")).to_contain_text("converse")
    visitor.button("Save", review(visitor)).click()
    expect(page.get_by_role("status").filter(has_text="Saved as version")).to_be_visible()
    bedrock = {"type": "bedrock", "region": "eu-central-1"}
    assert routes(used_stack)["providers"]["aws"] == bedrock
    for endpoint in ("https://vpce-1.bedrock-runtime.eu-central-1.vpce.amazonaws.com", ""):
        visitor.button("Edit aws").click()
        expect(visitor.dialog.get_by_label("Address")).to_be_hidden()
        visitor.dialog.get_by_label("Endpoint").fill(endpoint)
        visitor.button("Keep", visitor.dialog).click()
        visitor.button("Save", review(visitor)).click()
        expect(visitor.button("Edit aws")).to_be_visible()
        expect(page.get_by_role("region", name="Changes that are not saved")).to_be_hidden()
        stands = routes(used_stack)["providers"]["aws"]
        assert stands == bedrock | ({"base_url": endpoint} if endpoint else {})


def test_what_was_typed_for_another_kind_of_provider_is_in_nobodys_way(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open("models").page
    visitor.button("New provider").click()
    visitor.dialog.get_by_label("Name", exact=True).fill("aws-2")
    visitor.dialog.get_by_label("Address").fill("no URL")
    visitor.choose("Amazon Bedrock")
    visitor.button("Keep", visitor.dialog).click()
    expect(page.get_by_role("row", name="aws-2")).to_contain_text("Amazon Bedrock, the function's own region")


def test_a_request_is_explained_without_a_call(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    visitor = visit().open()
    used_stack.standin.forget()
    with visitor.waiting_for("routes"):  # nobody has to, to open it
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


def test_moving_by_one_place(visit: Callable[..., Visitor]) -> None:
    page = visit().open("models").page
    script = """async ([layers, moves]) => {
      const { moved } = await import(new URL("views/editor.js", location.href));
      return moves.reduce((sofar, move) => moved(sofar, ...move), layers);
    }"""
    for what, layers, moves, after in (
        ("a layer goes down", [["a"], ["b"]], [(0, 0, 1)], [["b"], ["a"]]),
        ("the first cannot go up", [["a"], ["b"]], [(0, 0, -1)], [["a"], ["b"]]),
        ("one leaves its layer upwards", [["a"], ["b", "c"]], [(1, 1, -1)], [["a"], ["c"], ["b"]]),
        ("one leaves its layer downwards", [["a", "b"], ["c"]], [(0, 0, 1)], [["b"], ["a"], ["c"]]),
        ("there and back", [["a"], ["b"]], [(0, 0, 1), (0, 0, 1)], [["a"], ["b"]]),
    ):
        assert page.evaluate(script, [layers, moves]) == after, what

"""The view of complexity routing: the rollout, its gates, and a refusal to advance."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.e2e.page.browser import Visitor
from tests.e2e.stack import KEY, Stack
from vibe_router.store.dynamodb import to_item

ROUTING = {"by": "complexity", "mini": "auto-chat-mini", "standard": "auto-chat"}


def write(stack: Stack, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the models of the routes."""
    headers = {"authorization": f"Bearer {KEY}"}
    routes = httpx.get(f"{stack.root}/routes", headers=headers, timeout=60).json()
    change(routes["models"])
    body = {name: routes[name] for name in ("providers", "defaults", "models", "aliases", "version") if name in routes}
    answer = httpx.put(f"{stack.root}/routes", headers=headers, json=body, timeout=60)
    assert answer.status_code == 200, answer.text


@pytest.fixture
def routed(used_stack: Stack) -> Iterator[Stack]:
    write(used_stack, lambda models: models.update(auto={"routing": ROUTING}))
    yield used_stack
    write(used_stack, lambda models: models.pop("auto"))


@pytest.mark.usefixtures("routed")
def test_a_rollout_shows_its_gates_and_is_refused_while_they_are_closed(visit: Callable[..., Visitor]) -> None:
    visitor = visit().open("complexity")
    page = visitor.page
    card = page.get_by_role("region", name="auto")
    expect(card).to_contain_text("Easy requests to auto-chat-mini, all others to auto-chat")
    expect(card.get_by_role("row").filter(has_text="right decisions for mini").first).to_contain_text("closed")
    card.get_by_role("button", name="Advance to 1 %").click()
    expect(page.get_by_text("gates are closed")).to_be_visible()
    card.get_by_role("button", name="Roll back").click()
    visitor.dialog.get_by_role("button", name="Roll back").click()
    expect(card).to_contain_text("on the page")
    expect(card.get_by_role("button", name="Advance to Shadow")).to_be_visible()
    assert [each for each in visitor.console_errors if "409" not in each] == []
    visitor.console_errors.clear()  # a refusal is an error of the network to the browser


@pytest.mark.usefixtures("routed")
def test_an_automatic_rollback_is_announced_with_its_reason(used_stack: Stack, visit: Callable[..., Visitor]) -> None:
    client, table = used_stack.table("routes_table")
    reason = "rolled back automatically at 50 %: 9 of 9 bad events were mini's, the last one complaints"
    rollout: dict[str, Any] = {
        "mode": "manual",
        "share": 0,
        "strata": ["en"],
        "number": 50,
        "since": 1_790_000_000,
        "reason": reason,
    }
    client.put_item(TableName=table, Item=to_item({**rollout, "kind": "complexity", "name": "auto", "previous": "{}"}))
    card = visit().open("complexity").page.get_by_role("region", name="auto")
    expect(card.locator(".notice.bad")).to_contain_text(reason)
    expect(card).to_contain_text("Manual")
    expect(card.get_by_role("button", name="Undo")).to_be_visible()
    expect(card.get_by_role("button", name="Roll back")).to_have_count(0)
    client.delete_item(TableName=table, Key=to_item({"kind": "complexity", "name": "auto"}))

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.e2e.page.browser import Visitor
from tests.e2e.page.traffic import ask
from tests.e2e.stack import KEY, Stack

_COOLDOWN = 40  # seconds; longer than the test


def test_figures_and_charts_count_requests(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open().page
    tiles = page.locator(".tile")
    expect(tiles).to_have_count(5)
    expect(tiles.nth(1)).to_contain_text("served by a later step")
    expect(tiles.nth(2)).to_contain_text("without a price")
    chart = page.get_by_role("img", name=re.compile(r"^Requests\. \d+ in all, \d+ failed over, \d+ errors"))
    expect(chart).to_be_visible()
    page.get_by_text("Numbers").first.click()
    expect(page.get_by_role("region", name="Numbers of Requests").get_by_role("row")).to_have_count(25)
    visitor.choose("7 days")
    expect(page.get_by_role("region", name="Numbers of Requests").get_by_role("row")).to_have_count(8)
    expect(page.get_by_role("table", name="Keys by requests")).to_contain_text("checkout")
    expect(page.get_by_role("table", name="Deployments")).to_contain_text("cliproxyapi/claude-sonnet-4-6")


def test_cooldown_counts_down_and_can_be_cleared(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    used_stack.fault("cliproxyapi", "429", model="claude-haiku-4-5", headers={"retry-after": str(_COOLDOWN)})
    assert ask(used_stack, KEY, "auto-claude-mini").headers["x-vibe-fallbacks"] == "1"
    visitor = visit(signed_out=True)  # its clock is its own
    visitor.page.clock.install()
    page = visitor.open().page
    card = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="cliproxyapi/claude-haiku-4-5"))
    expect(card).to_contain_text("Cooling")
    expect(card).to_contain_text("Rate limited.")
    expect(card).to_contain_text("Serves auto-claude-mini.")
    before = _seconds(card.locator(".countdown").inner_text())
    assert 0 < before <= _COOLDOWN
    page.clock.run_for(3_000)
    expect(card.locator(".countdown")).not_to_have_text(f"Next try in {before} s")
    assert 2 <= before - _seconds(card.locator(".countdown").inner_text()) <= 5

    used_stack.standin.heal()
    visitor.button("Clear the cooldown of cliproxyapi/claude-haiku-4-5").click()
    expect(
        page.get_by_role("status").filter(has_text="Cooldown of cliproxyapi/claude-haiku-4-5 cleared.")
    ).to_be_visible()
    expect(card).to_have_count(0)
    used_stack.heal()
    assert ask(used_stack, KEY, "auto-claude-mini").headers["x-vibe-deployment"] == "cliproxyapi/claude-haiku-4-5"


def _seconds(countdown: str) -> int:
    found = re.search(r"in (\d+) s", countdown)
    assert found, countdown
    return int(found[1])

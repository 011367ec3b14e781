from collections.abc import Callable

from playwright.sync_api import expect

from tests.e2e.page.browser import Visitor
from tests.e2e.page.traffic import admin
from tests.e2e.stack import Stack


def test_changes_and_sign_ins_are_listed_newest_first(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    created = admin(used_stack, "team/new", team_alias="audited")
    page = visit().open("audit").page
    created_team = page.get_by_role("row").filter(has_text="team_alias: audited").first
    expect(created_team).to_contain_text("Created a team")
    expect(created_team).to_contain_text(f"team {created['team_id']}")
    expect(created_team).to_contain_text("master key")
    expect(page.get_by_role("row").filter(has_text="Signed in").first).to_contain_text("admin")

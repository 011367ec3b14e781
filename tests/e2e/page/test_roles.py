"""The page of leads and members, who sign in through an OpenID Connect provider on loopback."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.page.test_looks import violations
from tests.e2e.page.traffic import admin, ask
from tests.e2e.stack import Stack, eventually, running, shipped_routes
from tests.integration.admin.oidc_provider import CLIENT, LocalProvider, providing, signed

ROLES = {"admin": ["ann@example.com"], "lead": {"red": ["bob@example.com"]}, "member": ["*@example.com"]}


@pytest.fixture(scope="module")
def provider() -> Iterator[LocalProvider]:
    with providing(time.time) as provider:
        yield provider


@pytest.fixture(scope="module")
def stack(provider: LocalProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = {
        "OIDC_ISSUER": provider.issuer,
        "OIDC_CLIENT_ID": CLIENT,
        "OIDC_URL": "http://127.0.0.1:{port}",
        "OIDC_ROLES": json.dumps(ROLES),
        "OIDC_TOKENS": json.dumps({"teams": {"red": ["kim@example.com"]}, "limits": {"rpm_limit": 60}}),
    }
    with running(tmp_path_factory.mktemp("roles"), shipped_routes, **settings) as stack:
        admin(stack, "team/new", team_id="red", max_budget=50)
        key = admin(stack, "key/generate", key_alias="eve's laptop", user_id="eve@example.com", team_id="red")
        admin(stack, "key/generate", key_alias="somebody else's", user_id="mallory@example.com")
        assert ask(stack, key["key"]).status_code == 200
        yield stack


def sign_in(browser: Browser, stack: Stack, provider: LocalProvider, email: str) -> Page:
    """Sign in as `email` with the provider's button."""
    provider.claims = {"email": email, "email_verified": True}
    page = browser.new_context(locale="en-GB", reduced_motion="reduce").new_page()
    page.goto(f"{stack.root}/ui/")
    page.get_by_role("link", name="Sign in with your organisation").click()
    expect(page.get_by_role("navigation")).to_be_visible()
    assert "signed-in" not in page.url
    return page


def test_a_member_sees_and_rotates_their_own_keys(browser: Browser, stack: Stack, provider: LocalProvider) -> None:
    page = sign_in(browser, stack, provider, "eve@example.com")
    expect(page.get_by_role("heading", level=1)).to_have_text("My keys")
    expect(page.get_by_role("navigation").get_by_role("link")).to_have_text(["My keys", "Usage"])
    expect(page.get_by_role("row")).to_have_count(2)
    expect(page.get_by_role("row").nth(1)).to_contain_text("eve's laptop")
    expect(page.get_by_text("Your own keys: 1 request")).to_be_visible()
    page.get_by_role("link", name="Usage").click()
    expect(page.get_by_role("table", name="Usage by key")).to_contain_text("eve's laptop")
    expect(page.get_by_role("table", name="Usage by key")).not_to_contain_text("somebody else's")
    page.get_by_label("Group by").select_option("Model")
    expect(page.get_by_role("table", name="Usage by model")).to_contain_text("auto-chat")
    page.goto(f"{stack.root}/ui/#/models")
    expect(page.get_by_role("heading", level=1)).to_have_text("My keys")
    assert violations(page) == {}
    page.get_by_role("button", name="Rotate eve's laptop").click()
    page.get_by_role("dialog").get_by_role("button", name="Rotate", exact=True).click()
    created = page.locator("[data-created-key]").inner_text()
    assert ask(stack, created).status_code == 200
    page.context.close()


def test_a_lead_creates_and_blocks_keys_of_the_team(browser: Browser, stack: Stack, provider: LocalProvider) -> None:
    page = sign_in(browser, stack, provider, "bob@example.com")
    page.get_by_role("button", name="Create key").click()
    page.get_by_label("Alias", exact=True).fill("zoe's laptop")
    page.get_by_label("Owner").fill("zoe@example.com")
    page.get_by_role("dialog").get_by_role("button", name="Create key").click()
    expect(page.locator("[data-created-key]")).to_contain_text("sk-")
    page.get_by_role("button", name="Done").click()
    row = page.get_by_role("row").filter(has_text="zoe's laptop")
    expect(row).to_contain_text("zoe@example.com")
    page.get_by_role("button", name="Block zoe's laptop").click()
    page.get_by_role("dialog").get_by_role("button", name="Block", exact=True).click()
    expect(row).to_contain_text("Blocked")
    page.get_by_role("button", name="Unblock zoe's laptop").click()
    expect(row).to_contain_text("Active")
    page.context.close()


def test_an_admin_of_the_provider_sees_everything(browser: Browser, stack: Stack, provider: LocalProvider) -> None:
    page = sign_in(browser, stack, provider, "ann@example.com")
    expect(page.get_by_role("link", name="Models")).to_be_visible()
    page.goto(f"{stack.root}/ui/#/audit")
    expect(page.get_by_role("row").nth(1)).to_contain_text("ann@example.com")
    page.context.close()


def test_a_member_calls_models_with_a_token(browser: Browser, stack: Stack, provider: LocalProvider) -> None:
    claims = {"iss": provider.issuer, "aud": CLIENT, "sub": "kim", "exp": time.time() + 300}
    email = {"email": "kim@example.com", "email_verified": True}
    assert ask(stack, signed({**claims, **email})).status_code == 200
    rejected = ask(stack, signed({**claims, **email, "aud": "another"}))
    assert (rejected.status_code, rejected.json()["error"]["code"]) == (401, "invalid_token")
    assert ask(stack, signed({**claims, **email, "email": "eve@example.com"})).status_code == 403
    page = sign_in(browser, stack, provider, "kim@example.com")

    def usage() -> list[dict[str, Any]] | None:
        keys: list[dict[str, Any]] = page.request.get(f"{stack.root}/me/usage").json()["keys"]
        return keys or None

    assert [(each["key_alias"], each["requests"]) for each in eventually(usage)] == [("your tokens", 1)]
    page.context.close()

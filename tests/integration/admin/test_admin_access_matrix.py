"""Who may call which path of the admin API without a session: nobody without a key, and a virtual key about itself."""

import time

import pytest

from admin import app
from tests.integration.admin.harness import Admin
from tests.integration.admin.oidc_provider import CLIENT, signed

OWN = {("GET", "/key/info"), ("GET", "/spend/logs")}
ROUTES = sorted(
    {
        (route.method, route.rule.replace("<", "").replace(">", ""))
        for route in app.registered_routes()
        if not route.rule.startswith("/ui")
    }
)
TOKEN = signed({"iss": "https://idp.example", "aud": CLIENT, "sub": "ann", "exp": time.time() + 300})


def test_every_route_is_in_the_matrix() -> None:
    parts = {path.split("/")[1] for _, path in ROUTES}
    assert parts >= {"key", "team", "user", "routes", "spend", "global", "usage", "cooldowns", "audit", "me", "model"}


@pytest.mark.parametrize("key", [None, "sk-nobody-s-key", TOKEN], ids=["no key", "an unknown key", "a token"])
def test_without_a_valid_key_every_path_is_a_401(admin: Admin, key: str | None) -> None:
    for method, path in ROUTES:
        answer = admin.ask(method, path, None if method == "GET" else {}, key=key)
        assert (answer.status, answer.error["type"]) == (401, "auth_error"), (method, path)


def test_a_virtual_key_reads_about_itself_and_nothing_else(admin: Admin) -> None:
    mine = admin.made("/key/generate", key_alias="mine", user_id="ann@example.com")
    other = admin.made("/key/generate", key_alias="other", user_id="ann@example.com")
    for method, path in ROUTES:
        answer = admin.ask(method, path, None if method == "GET" else {}, key=mine["key"])
        if (method, path) in OWN:
            assert answer.status == 200, path
            assert other["token"] not in str(answer.body)
        else:
            assert (answer.status, answer.error["code"]) == (403, "master_key_required"), (method, path)
    for path, name in (("/key/info", "key"), ("/spend/logs", "api_key")):
        answer = admin.ask("GET", path, key=mine["key"], query={name: other["token"]})
        assert (answer.status, answer.error["code"]) == (403, "master_key_required")


def test_a_path_says_nothing_about_what_exists_before_it_is_authenticated(admin: Admin) -> None:
    admin.made("/user/new", user_id="ann@example.com")
    made = admin.made("/team/new", team_id="red")
    for path, query in (("/user/info", {"user_id": "ann@example.com"}), ("/team/info", {"team_id": made["team_id"]})):
        existing = admin.ask("GET", path, key=None, query=query)
        missing = admin.ask("GET", path, key=None, query=dict.fromkeys(query, "nobody"))
        assert existing.body == missing.body

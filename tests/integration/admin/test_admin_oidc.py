"""Signing in through an OpenID Connect provider, what each role may call, and forgeries of every part."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from admin import app
from tests.integration.admin.harness import MASTER, Admin, Answer
from tests.integration.admin.oidc_provider import CLIENT, LocalProvider, encoded, providing, public_jwk, signed

ROLES = {
    "admin": ["ann@example.com", "group:platform"],
    "lead": {"red": ["bob@example.com"]},
    "member": ["*@example.com", "sub:user-9"],
}
HOST = {"Host": "router.example"}


@pytest.fixture
def provider(admin: Admin) -> Iterator[LocalProvider]:
    with providing(admin.time.clock.now) as provider:
        secret = {
            "MASTER_KEY": MASTER,
            "OIDC_ISSUER": provider.issuer,
            "OIDC_CLIENT_ID": CLIENT,
            "OIDC_CLIENT_SECRET": "client-secret-canary",
            "OIDC_URL": "https://router.example/prod",
            "OIDC_ROLES": json.dumps(ROLES),
        }
        admin.put_secret(secret)
        yield provider


def begin(admin: Admin) -> tuple[str, str]:
    """Return where the page redirects to, and the cookie of the attempt."""
    answer = admin.ask("GET", "/ui/oidc/sign-in", key=None, headers=HOST)
    assert answer.status == 303, answer.body
    return answer.headers["location"][0], answer.cookie


def finish(admin: Admin, provider: LocalProvider) -> Answer:
    location, cookie = begin(admin)
    back = provider.authorize(location)
    return admin.ask("GET", "/ui/oidc/callback", key=None, headers={**HOST, "Cookie": cookie}, query=back)


def sign_in(admin: Admin, provider: LocalProvider, email: str) -> dict[str, str]:
    """Return the headers of a session of `email`."""
    provider.claims = {"email": email, "email_verified": True}
    answer = finish(admin, provider)
    assert answer.status == 303, answer.body
    cookie = {"Cookie": answer.cookie}
    session = admin.ask("GET", "/ui/session", key=None, headers=cookie).body
    assert session["username"] == email
    return {**cookie, "x-vibe-csrf": session["csrf"]}


def test_a_user_signs_in_and_has_a_session(admin: Admin, provider: LocalProvider) -> None:
    answer = finish(admin, provider)
    assert (answer.status, answer.headers["location"]) == (303, ["../?signed-in"])
    session, attempt = answer.headers["set-cookie"]
    assert "SameSite=Strict" in session
    assert "Max-Age=0" in attempt, "the attempt is used up"
    assert provider.calls == ["/.well-known/openid-configuration", "/token", "/keys"]
    finish(admin, provider)
    assert provider.calls[3:] == ["/token"], "endpoints and keys are read once"
    (newest, *_) = admin.read("/audit")["entries"]
    assert (newest["action"], newest["by"], newest["status"]) == ("ui/oidc/callback", "ann@example.com", 200)


def test_the_redirect_has_pkce_state_and_nonce(admin: Admin, provider: LocalProvider) -> None:
    location, cookie = begin(admin)
    assert location.startswith(f"{provider.issuer}/authorize?")
    assert "redirect_uri=https%3A%2F%2Frouter.example%2Fprod%2Fui%2Foidc%2Fcallback" in location
    assert begin(admin)[0] != location
    assert "client-secret" not in location + base64.b64decode(cookie.partition("=")[2].split(".")[0] + "==").decode()


def forged(**changes: Any) -> Callable[[dict[str, Any]], str]:
    return lambda claims: signed({**claims, **changes})


def unsigned(claims: dict[str, Any]) -> str:
    return f"{encoded({'alg': 'none'})}.{encoded(claims)}."


def hmac_of_public_key(claims: dict[str, Any]) -> str:
    return signed(claims, alg="HS256")


def changed_afterwards(claims: dict[str, Any]) -> str:
    head, _, signature = signed(claims).split(".")
    return f"{head}.{encoded({**claims, 'groups': ['platform']})}.{signature}"


def own_key(claims: dict[str, Any]) -> str:
    return signed(claims, "of the attacker", kid="first", jwk=public_jwk("of the attacker"))


FORGERIES = {
    "no signature": unsigned,
    "a symmetric algorithm": hmac_of_public_key,
    "a PSS algorithm": lambda claims: signed(claims, alg="PS256"),
    "a list as algorithm": lambda claims: signed(claims, alg=["RS256"]),
    "changed claims": changed_afterwards,
    "the attacker's key": own_key,
    "an unknown key": lambda claims: signed(claims, "of nobody"),
    "an extension": lambda claims: signed(claims, crit=["b64"]),
    "another issuer": forged(iss="https://elsewhere.example"),
    "another audience": forged(aud="another-client"),
    "several audiences": forged(aud=[CLIENT, "another-client"]),
    "another party": forged(azp="another-client"),
    "expired": forged(exp=1_000_000_000),
    "without expiry": forged(exp=None),
    "a text as expiry": forged(exp="tomorrow"),
    "not yet valid": forged(nbf=4_000_000_000),
    "another nonce": forged(nonce="another"),
    "without nonce": forged(nonce=None),
    "without subject": forged(sub=""),
    "not a token": lambda _: "a.b",
    "a list": lambda _: f"{encoded(b'[]')}.{encoded(b'[]')}.AA",
    "a long token": lambda _: "a" * 40_000 + ".b.c",
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_a_forged_token_is_rejected(
    admin: Admin, provider: LocalProvider, forge: Callable[[dict[str, Any]], str]
) -> None:
    provider.forge = forge
    answer = finish(admin, provider)
    assert (answer.status, answer.error["code"]) == (502, "oidc_failed")
    assert "set-cookie" not in answer.headers
    assert admin.read("/audit")["entries"][0]["status"] == 502


def test_new_keys_of_the_provider_are_read_once_the_old_ones_are_a_minute_old(
    admin: Admin, provider: LocalProvider
) -> None:
    assert finish(admin, provider).status == 303
    provider.keys, provider.forge = ["second"], lambda claims: signed(claims, "second")
    assert finish(admin, provider).status == 502
    admin.time.advance(61)
    assert finish(admin, provider).status == 303
    assert provider.calls.count("/keys") == 2


def test_a_state_of_another_browser_is_rejected(admin: Admin, provider: LocalProvider) -> None:
    location, cookie = begin(admin)
    back = provider.authorize(location)
    for headers, query in (
        (HOST, back),
        ({**HOST, "Cookie": cookie}, {**back, "state": "another"}),
        ({**HOST, "Cookie": cookie}, {"code": back["code"]}),
        ({**HOST, "Cookie": begin(admin)[1]}, back),
        ({**HOST, "Cookie": cookie[:-3] + "AAA"}, back),
    ):
        answer = admin.ask("GET", "/ui/oidc/callback", key=None, headers=headers, query=query)
        assert (answer.status, answer.error["code"]) == (400, "oidc_state")
    admin.time.advance(301)
    late = admin.ask("GET", "/ui/oidc/callback", key=None, headers={**HOST, "Cookie": cookie}, query=back)
    assert late.error["code"] == "oidc_state"


def test_another_host_is_rejected(admin: Admin, provider: LocalProvider) -> None:
    for path in ("/ui/oidc/sign-in", "/ui/oidc/callback"):
        answer = admin.ask("GET", path, key=None, headers={"Host": "evil.example"}, query={"code": "x", "state": "y"})
        assert (answer.status, answer.error["code"]) == (400, "wrong_host")


def test_a_code_is_exchanged_only_with_its_verifier(admin: Admin, provider: LocalProvider) -> None:
    stolen = provider.authorize(begin(admin)[0])["code"]
    location, cookie = begin(admin)
    back = {**provider.authorize(location), "code": stolen}
    answer = admin.ask("GET", "/ui/oidc/callback", key=None, headers={**HOST, "Cookie": cookie}, query=back)
    assert answer.status == 502


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"email": "ann@example.com", "email_verified": True}, "admin"),
        ({"email": "ANN@example.com", "email_verified": "true"}, "admin"),
        ({"groups": ["other", "platform"]}, "admin"),
        ({"cognito:groups": ["platform"]}, "admin"),
        ({"email": "bob@example.com", "email_verified": True}, "lead"),
        ({"email": "eve@example.com", "email_verified": True}, "member"),
        ({"sub": "user-9"}, "member"),
        ({"email": "ann@example.com", "email_verified": False}, None),
        ({"email": "ann@example.com"}, None),
        ({"email": "ann@example.com.evil.example", "email_verified": True}, None),
        ({"email": "group:platform", "email_verified": True}, None),
        ({"groups": "platform"}, None),
    ],
)
def test_a_role_follows_from_verified_claims(
    admin: Admin, provider: LocalProvider, claims: dict[str, Any], role: str | None
) -> None:
    provider.claims = claims
    answer = finish(admin, provider)
    if role is None:
        assert (answer.status, answer.error["code"]) == (403, "no_role")
        return
    session = admin.ask("GET", "/ui/session", key=None, headers={"Cookie": answer.cookie}).body
    assert (session["role"], session["team"]) == (role, "red" if role == "lead" else None)


def test_leads_and_members_may_call_only_what_is_for_everyone(admin: Admin, provider: LocalProvider) -> None:
    routes = {(route.method, route.rule.replace("<key>", "x").replace("<request_id>", "x"))
              for route in app.registered_routes()}  # fmt: skip
    for email in ("bob@example.com", "eve@example.com"):
        headers = sign_in(admin, provider, email)
        for method, path in routes:
            if path.startswith(("/ui", "/me/")) or path == "/me":
                continue
            answer = admin.ask(method, path, {} if method != "GET" else None, key=None, headers=headers)
            assert (answer.status, answer.error["code"]) == (403, "admin_required"), (method, path)
    admins = sign_in(admin, provider, "ann@example.com")
    assert admin.ask("GET", "/key/list", key=None, headers=admins).status == 200


def test_a_member_sees_and_rotates_their_own_keys_only(admin: Admin, provider: LocalProvider) -> None:
    own = admin.made("/key/generate", key_alias="eve", user_id="eve@example.com")
    other = admin.made("/key/generate", key_alias="mallory", user_id="mallory@example.com")
    headers = sign_in(admin, provider, "eve@example.com")

    def call(method: str, path: str, body: object = None) -> Answer:
        return admin.ask(method, path, body, key=None, headers=headers)

    assert [key["key_alias"] for key in call("GET", "/me/keys").body["keys"]] == ["eve"]
    assert call("GET", "/me").body == {"name": "eve@example.com", "role": "member", "team": None}
    for action in ("regenerate", "block"):
        answer = call("POST", f"/me/keys/{other['key_id']}/{action}", {})
        assert (answer.status, answer.error["code"]) == (404, "key_not_found")
    assert call("POST", "/me/keys", {"key_alias": "more"}).error["code"] == "lead_required"
    rotated = call("POST", f"/me/keys/{own['key_id']}/regenerate", {})
    assert rotated.status == 200
    assert rotated.body["key"] != own["key"]
    assert call("POST", f"/me/keys/{own['key_id']}/block", {}).body["blocked"] is True
    assert call("POST", f"/me/keys/{own['key_id']}/unblock", {}).error["code"] == "lead_required"
    assert call("GET", "/me/usage").body["totals"]["requests"] == 0


def test_a_lead_manages_the_keys_of_the_team_only(admin: Admin, provider: LocalProvider) -> None:
    admin.made("/team/new", team_id="red")
    admin.made("/team/new", team_id="blue")
    blue = admin.made("/key/generate", key_alias="blue", team_id="blue")
    headers = sign_in(admin, provider, "bob@example.com")

    def call(method: str, path: str, body: object = None) -> Answer:
        return admin.ask(method, path, body, key=None, headers=headers)

    created = call("POST", "/me/keys", {"key_alias": "laptop", "user_id": "eve@example.com"}).body
    assert created["team_id"] == "red"
    assert call("POST", "/me/keys", {"team_id": "blue"}).status == 400
    assert [key["key_alias"] for key in call("GET", "/me/keys").body["keys"]] == ["laptop"]
    assert call("POST", f"/me/keys/{created['key_id']}/block", {}).body["blocked"] is True
    assert call("POST", f"/me/keys/{created['key_id']}/unblock", {}).body["blocked"] is False
    assert call("POST", f"/me/keys/{blue['key_id']}/block", {}).status == 404


def test_a_change_of_the_roles_ends_every_session(admin: Admin, provider: LocalProvider) -> None:
    headers = sign_in(admin, provider, "eve@example.com")
    admin.put_secret({**admin.secret(), "OIDC_ROLES": "{}"})
    admin.time.advance(301)
    assert admin.ask("GET", "/me", key=None, headers=headers).status == 401


@pytest.mark.parametrize(
    "changed",
    [
        {"OIDC_ROLES": "no JSON"},
        {"OIDC_ROLES": '{"boss": []}'},
        {"OIDC_URL": ""},
        {"OIDC_ISSUER": "http://idp.example"},
    ],
)
def test_wrong_settings_are_reported_without_secrets(
    admin: Admin, provider: LocalProvider, changed: dict[str, str]
) -> None:
    admin.put_secret({**admin.secret(), **changed})
    answer = admin.ask("GET", "/ui/oidc/sign-in", key=None, headers=HOST)
    assert answer.status == 503
    assert "OIDC_" in answer.error["message"]
    assert "canary" not in json.dumps(answer.body)


def test_without_a_provider_there_is_only_the_password(admin: Admin) -> None:
    assert admin.ask("GET", "/ui/sign-in-options", key=None).body == {"oidc": False}
    assert admin.ask("GET", "/ui/oidc/sign-in", key=None, headers=HOST).status == 404

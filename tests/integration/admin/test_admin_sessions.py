"""Only the master key and a session with its token may call."""

import base64
import json
from http.cookies import SimpleCookie

import pytest

from tests.integration.admin.harness import MASTER, Admin
from tests.unit.store.hooks import hooked
from vibe_router.access.sessions import LIFETIME, LONGEST, equals_in_constant_time


def test_a_session_reads_with_its_cookie_and_writes_with_its_csrf_token(admin: Admin) -> None:
    signed_in = admin.sign_in()
    assert signed_in.status == 200
    assert set(signed_in.body) == {"username", "role", "team", "csrf", "expires"}
    cookie = {"Cookie": signed_in.cookie}
    assert admin.ask("GET", "/key/list", key=None, headers=cookie).status == 200
    rejected = admin.ask("POST", "/team/new", {"team_alias": "x"}, key=None, headers=cookie)
    assert (rejected.status, rejected.error["code"]) == (403, "csrf_failed")
    with_token = {**cookie, "x-vibe-csrf": signed_in.body["csrf"]}
    assert admin.ask("POST", "/team/new", {"team_alias": "x"}, key=None, headers=with_token).status == 200


def test_the_cookie_is_http_only_same_site_and_limited_to_the_stage(admin: Admin) -> None:
    (set_cookie,) = admin.sign_in().headers["set-cookie"]
    (morsel,) = SimpleCookie(set_cookie).values()
    assert (morsel["path"], morsel["samesite"]) == ("/prod/", "Strict")
    assert morsel["httponly"]
    assert morsel["secure"]
    assert 0 < int(morsel["max-age"]) <= LIFETIME


def test_the_cookie_works_without_a_stage_and_without_https(admin: Admin) -> None:
    signed_in = admin.sign_in(prefix="", headers={"X-Forwarded-Proto": "http"})
    (morsel,) = SimpleCookie(signed_in.headers["set-cookie"][0]).values()
    assert morsel["path"] == "/"
    assert not morsel["secure"]


def test_a_session_has_a_username_and_ends_by_signing_out(admin: Admin) -> None:
    signed_in = admin.sign_in()
    headers = {"Cookie": signed_in.cookie, "x-vibe-csrf": signed_in.body["csrf"]}
    assert admin.ask("GET", "/ui/session", key=None, headers=headers).body == signed_in.body
    out = admin.ask("POST", "/ui/sign-out", {}, key=None, headers=headers)
    assert out.status == 200
    assert "Max-Age=0" in out.headers["set-cookie"][0]
    assert admin.ask("GET", "/ui/session", key=None).status == 401


def test_a_session_expires_after_an_hour_without_a_call(admin: Admin) -> None:
    headers = {"Cookie": admin.sign_in().cookie}
    admin.time.advance(LIFETIME - 1)
    assert admin.ask("GET", "/key/list", key=None, headers=headers).status == 200
    admin.time.advance(1)
    over = admin.ask("GET", "/key/list", key=None, headers=headers)
    assert (over.status, over.error["code"]) == (401, "session_expired")


def test_a_session_in_use_is_renewed_up_to_a_limit(admin: Admin) -> None:
    signed_in = admin.sign_in()
    cookie, token, passed = signed_in.cookie, signed_in.body["csrf"], 0.0
    while passed < LONGEST:
        admin.time.advance(0.6 * LIFETIME)
        passed += 0.6 * LIFETIME
        answer = admin.ask("GET", "/ui/session", key=None, headers={"Cookie": cookie})
        if answer.status == 401:
            break
        assert answer.body["csrf"] == token
        listed = admin.ask("GET", "/team/list", key=None, headers={"Cookie": cookie})
        cookie = listed.cookie if "set-cookie" in listed.headers else cookie
    assert LONGEST - LIFETIME < passed <= LONGEST + LIFETIME


@pytest.mark.parametrize("cookie", ["", "x", "x.y", ".", "e30.e30", "ä.ö", "=" * 300])
def test_a_forged_cookie_is_rejected(admin: Admin, cookie: str) -> None:
    answer = admin.ask("GET", "/key/list", key=None, headers={"Cookie": f"vibe-session={cookie}"})
    assert answer.status == 401
    assert answer.error["code"] in ("session_expired", "invalid_api_key")


def test_a_changed_password_ends_every_session(admin: Admin) -> None:
    headers = {"Cookie": admin.sign_in().cookie}
    secret = {"MASTER_KEY": MASTER, "UI_USERNAME": "ada", "UI_PASSWORD": "another one"}
    admin.put_secret(secret)
    admin.time.advance(301)  # the secret is read again after five minutes
    assert admin.ask("GET", "/key/list", key=None, headers=headers).status == 401
    assert admin.sign_in().status == 401
    assert admin.sign_in("ada", "another one").status == 200


def test_a_short_master_key_lets_nobody_in(admin: Admin) -> None:
    short = MASTER[:15]
    admin.put_secret({"MASTER_KEY": short})
    admin.time.advance(301)
    for answer in (admin.ask("GET", "/key/list", key=short), admin.sign_in(password=short)):
        assert answer.status == 503
        assert "shorter than 16 characters" in answer.error["message"]


@pytest.mark.parametrize(
    ("username", "password"), [("admin", "wrong"), ("nobody", MASTER), ("nobody", "wrong"), ("", ""), ("ädmin", "ß")]
)
def test_a_failed_sign_in_does_not_reveal_what_is_wrong(admin: Admin, username: str, password: str) -> None:
    answer = admin.sign_in(username, password)
    assert answer.status == 401
    assert answer.body == {
        "error": {
            "message": "The username or the password is wrong.",
            "type": "auth_error",
            "param": None,
            "code": "sign_in_failed",
        }
    }


def test_a_failed_sign_in_takes_the_same_time_whatever_is_wrong(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call of AWS and every comparison; a stopwatch would measure the machine."""
    done: list[str] = []

    def noted(given: str, expected: str) -> bool:
        done.append("compared")
        return equals_in_constant_time(given, expected)

    def called(operation: str, _: object) -> None:
        done.append(operation)

    monkeypatch.setattr("admin.session.equals_in_constant_time", noted)
    hooked(admin.environment.dynamodb).before.append(called)
    work = []
    for number, (username, password) in enumerate([("admin", "wrong"), ("nobody", MASTER), ("nobody", "wrong")]):
        done.clear()
        assert admin.sign_in(username, password, address=f"192.0.2.{number}").status == 401
        work.append(list(done))
    assert work[0] == work[1] == work[2]
    assert work[0].count("compared") == 2


def test_repeated_failures_of_an_address_lengthen_only_its_wait(admin: Admin) -> None:
    waits = []
    for _ in range(20):
        answer = admin.sign_in(password="wrong")
        if answer.status == 429:
            waits.append(int(answer.headers["retry-after"][0]))
            # Not even the right password is looked at.
            assert admin.sign_in().status == 429
            admin.time.advance(waits[-1])
    assert waits == sorted(waits)
    assert waits[0] == 1
    assert waits[-1] > 30
    assert admin.sign_in(password="wrong", address="192.0.2.9").status == 401
    assert admin.sign_in(address="192.0.2.9").status == 200


def test_failures_are_forgotten_after_a_success_or_fifteen_minutes(admin: Admin) -> None:
    for _ in range(5):
        assert admin.sign_in(password="wrong").status == 401
    assert admin.sign_in().status == 429
    admin.time.advance(2)
    assert admin.sign_in().status == 200
    for _ in range(5):
        assert admin.sign_in(password="wrong").status == 401
    admin.time.advance(901)
    assert admin.sign_in(password="wrong").status == 401


def test_failures_from_other_addresses_lock_no_user_out(admin: Admin) -> None:
    for number in range(120):
        assert admin.sign_in(password="wrong", address=f"198.51.100.{number}").status == 401
    assert admin.sign_in(address="203.0.113.1").status == 200
    for number in range(6):  # one network of IPv6 is one address
        admin.sign_in(password="wrong", address=f"2001:db8::{number}")
    assert admin.sign_in(address="2001:db8::99").status == 429


def test_a_signed_out_session_is_rejected(admin: Admin) -> None:
    signed_in, other = admin.sign_in(), admin.sign_in()
    headers = {"Cookie": signed_in.cookie, "x-vibe-csrf": signed_in.body["csrf"]}
    admin.time.advance(0.6 * LIFETIME)
    renewed = admin.ask("GET", "/key/list", key=None, headers=headers).cookie
    assert admin.ask("POST", "/ui/sign-out", {}, key=None, headers=headers).status == 200
    for cookie in (signed_in.cookie, renewed):
        after = {**headers, "Cookie": cookie}
        for method, path in (("GET", "/key/list"), ("POST", "/key/generate"), ("GET", "/ui/session")):
            rejected = admin.ask(method, path, None if method == "GET" else {}, key=None, headers=after)
            assert (rejected.status, rejected.error["code"]) == (401, "session_expired"), path
    assert admin.ask("GET", "/key/list", key=None, headers={"Cookie": other.cookie}).status == 200


def test_signing_out_everywhere_ends_all_sessions_of_the_user(admin: Admin) -> None:
    here, there = admin.sign_in(), admin.sign_in()
    headers = {"Cookie": here.cookie, "x-vibe-csrf": here.body["csrf"]}
    assert admin.ask("POST", "/ui/sign-out", {"all": True}, key=None, headers=headers).status == 200
    for each in (here, there):
        assert admin.ask("GET", "/key/list", key=None, headers={"Cookie": each.cookie}).status == 401
    admin.time.advance(1)
    again = admin.sign_in()
    assert admin.ask("GET", "/key/list", key=None, headers={"Cookie": again.cookie}).status == 200


@pytest.mark.parametrize("encoded", [False, True])
def test_a_sign_in_is_limited_to_four_kilobytes(admin: Admin, encoded: bool) -> None:
    raw = json.dumps({"username": "admin", "password": "x" * 5_000})
    body = base64.b64encode(raw.encode()).decode() if encoded else raw
    rejected = admin.ask("POST", "/ui/sign-in", raw=body, key=None, encoded=encoded)
    assert (rejected.status, rejected.error["code"]) == (413, "request_too_large")


def test_the_master_key_is_accepted_in_every_header(admin: Admin) -> None:
    for name in ("x-api-key", "api-key", "x-litellm-api-key"):
        assert admin.ask("GET", "/key/list", key=None, headers={name: MASTER}).status == 200


def test_a_virtual_key_is_rejected(admin: Admin) -> None:
    key = admin.made("/key/generate")["key"]
    for method, path in [("GET", "/key/list"), ("POST", "/key/generate"), ("PUT", "/routes"), ("GET", "/nothing")]:
        answer = admin.ask(method, path, {} if method != "GET" else None, key=key)
        assert (answer.status, answer.error["type"], answer.error["code"]) == (403, "auth_error", "master_key_required")


def test_an_invalid_or_missing_key_is_a_401_before_any_other_check(admin: Admin) -> None:
    for key in (None, "sk-wrong", "x" * 5000):
        for path in ("/key/list", "/key/nothing", "/routes"):
            assert admin.ask("POST", path, raw="{not json", key=key).status == 401


def test_an_invalid_key_beside_a_valid_cookie_is_rejected(admin: Admin) -> None:
    headers = {"Cookie": admin.sign_in().cookie}
    assert admin.ask("GET", "/key/list", key="sk-wrong", headers=headers).status == 401


def test_no_answer_is_cached(admin: Admin) -> None:
    assert admin.ask("GET", "/key/list").headers["cache-control"] == ["no-store"]
    assert admin.sign_in(password="wrong").headers["cache-control"] == ["no-store"]

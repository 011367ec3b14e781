import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.access.sessions import LIFETIME, LONGEST, SessionKey, equals_in_constant_time, new_session, renew

NOW = 1_800_000_000.0
KEY = SessionKey("master", "password")


def test_a_cookie_is_read_back_as_its_session() -> None:
    session = new_session("ädmin; <b>", NOW)
    cookie = KEY.cookie(session)
    assert cookie.isascii()
    assert not set(cookie) & set(' ;,"\\')  # what a cookie's value can't hold
    assert KEY.session(cookie, NOW) == session


def test_two_sessions_of_one_person_differ_in_cookie_and_token() -> None:
    first, second = new_session("a", NOW), new_session("a", NOW)
    assert KEY.cookie(first) != KEY.cookie(second)
    assert KEY.csrf(first) != KEY.csrf(second)
    assert KEY.is_csrf(first, KEY.csrf(first))
    assert not KEY.is_csrf(first, KEY.csrf(second))


@pytest.mark.parametrize(
    "other", [SessionKey("other", "password"), SessionKey("master", "other")], ids=["master key", "password"]
)
def test_another_master_key_or_password_invalidates_a_session(other: SessionKey) -> None:
    session = new_session("a", NOW)
    assert other.session(KEY.cookie(session), NOW) is None
    assert not other.is_csrf(session, KEY.csrf(session))


def test_a_cookie_is_no_token_and_a_token_no_cookie() -> None:
    session = new_session("a", NOW)
    claims = KEY.cookie(session).partition(".")[0]
    assert KEY.session(f"{claims}.{KEY.csrf(session)}", NOW) is None


@given(at=st.integers(0, 200), to=st.characters(codec="ascii"))
def test_a_cookie_with_a_changed_character_is_invalid(at: int, to: str) -> None:
    cookie = KEY.cookie(new_session("a", NOW))
    at %= len(cookie)
    changed = cookie[:at] + to + cookie[at + 1 :]
    assert (KEY.session(changed, NOW) is None) == (changed != cookie)


@given(text=st.text(max_size=200))
def test_a_forged_cookie_is_invalid(text: str) -> None:
    assert KEY.session(text, NOW) is None


def test_a_cookie_with_a_changed_expiry_is_invalid() -> None:
    claims, _, signature = KEY.cookie(new_session("a", NOW)).partition(".")
    values = json.loads(base64.urlsafe_b64decode(claims + "=="))
    values[3] += 1e9
    forged = base64.urlsafe_b64encode(json.dumps(values).encode()).rstrip(b"=").decode()
    assert KEY.session(f"{forged}.{signature}", NOW) is None


@pytest.mark.parametrize(
    ("passed", "lives"),
    [(0, True), (LIFETIME - 1, True), (LIFETIME, False), (LONGEST, False), (-200, True), (-400, False)],
    ids=["at once", "at its end", "after its end", "long after", "by a clock that is late", "before it began"],
)
def test_a_session_lives_from_its_beginning_to_its_end(passed: float, lives: bool) -> None:
    assert (KEY.session(KEY.cookie(new_session("a", NOW)), NOW + passed) is not None) == lives


def test_renewing_keeps_the_session_and_never_goes_beyond_the_longest() -> None:
    session = new_session("a", NOW)
    assert not session.is_due(NOW + LIFETIME / 4)
    assert session.is_due(NOW + LIFETIME * 3 / 4)
    later = renew(session, NOW + 100)
    assert (later.id, later.began, later.expires) == (session.id, NOW, NOW + 100 + LIFETIME)
    assert KEY.csrf(later) == KEY.csrf(session)
    last = renew(session, NOW + LONGEST - 10)
    assert last.expires == NOW + LONGEST
    assert not last.is_due(NOW + LONGEST - 5)


@given(one=st.text(), other=st.text())
def test_equal_texts_compare_equal(one: str, other: str) -> None:
    assert equals_in_constant_time(one, other) == (one == other)
    assert equals_in_constant_time(one, one)

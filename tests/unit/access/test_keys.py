import re
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.access.keys import (
    MASTER,
    Caller,
    Key,
    Limits,
    Team,
    duration_seconds,
    matches_any,
    model_denied,
    require_active,
)
from vibe_router.core.errors import ApiError

NOW = 1_800_000_000.0
KEY = Key("a" * 64, "a" * 64, team_id="blue")
TEAM = Team("blue")
names = st.text("ab-*.[?", max_size=6)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("45s", 45), ("5m", 300), ("1h", 3_600), ("30d", 2_592_000), ("2w", 1_209_600), ("1mo", 2_592_000)],
)
def test_a_duration_is_a_number_with_a_unit(text: str, seconds: int) -> None:
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "d", "0d", "-1d", "1.5h", "1 d", "1D", "1d1h", "٣d", "1d\n", "999999999d", "9" * 5_000 + "d"]
)
def test_an_invalid_duration_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        duration_seconds(text)


@pytest.mark.parametrize(
    ("patterns", "model", "allowed"),
    [
        pytest.param((), "auto-chat", True, id="no patterns: every model"),
        pytest.param(("auto-chat",), "auto-chat", True, id="the name"),
        pytest.param(("auto-chat",), "auto-chat-mini", False, id="not what begins with it"),
        pytest.param(("auto-chat", "auto-codex"), "auto-codex", True, id="one of several"),
        pytest.param(("auto-*",), "auto-chat", True, id="a pattern"),
        pytest.param(("auto-*",), "auto-", True, id="a star may be nothing"),
        pytest.param(("*-mini",), "auto-chat-mini", True, id="a star before"),
        pytest.param(("a*-c*-mini",), "auto-chat-mini", True, id="several stars"),
        pytest.param(("*",), "anything", True, id="a star alone"),
        pytest.param(("auto?chat",), "auto-chat", False, id="a question mark is itself"),
        pytest.param(("[a]uto*",), "auto-chat", False, id="brackets are themselves"),
        pytest.param(("a.c*",), "abc", False, id="a dot is itself"),
        pytest.param(("Auto-*",), "auto-chat", False, id="capitals count"),
    ],
)
def test_patterns_allow_models(patterns: tuple[str, ...], model: str, allowed: bool) -> None:
    assert matches_any(patterns, model) is allowed


@given(patterns=st.lists(names, min_size=1, max_size=3).map(tuple), model=names)
def test_a_model_is_allowed_by_its_own_name_and_by_a_star(patterns: tuple[str, ...], model: str) -> None:
    assert matches_any((*patterns, model), model)
    assert matches_any((*patterns, "*"), model)
    if not any("*" in pattern for pattern in patterns):
        assert matches_any(patterns, model) == (model in patterns)


def test_a_model_must_be_allowed_by_key_and_team() -> None:
    caller = Caller(Key("a", "a", models=("auto-*",)), Team("blue", models=("*-mini", "auto-codex")))
    assert caller.usable(["auto-codex", "auto-chat", "other-mini", "auto-chat-mini"]) == [
        "auto-chat-mini",
        "auto-codex",
    ]


def test_the_master_key_may_use_everything_and_has_no_ledger() -> None:
    assert (MASTER.is_master, MASTER.may_use("anything"), MASTER.ledgers, MASTER.key_id) == (True, True, {}, "master")
    require_active(MASTER, NOW)


def test_spending_is_recorded_under_the_key_id() -> None:
    caller = Caller(Key("new", "first", limits=Limits(rpm=1)), TEAM)
    assert caller.ledgers == {"key#first": Limits(rpm=1), "team#blue": Limits()}
    assert caller.key_id == "first"


def test_tags_of_key_and_team_are_merged() -> None:
    assert Caller(Key("a", "a", tags=("x", "y")), Team("blue", tags=("y", "z"))).tags == ("x", "y", "z")


@pytest.mark.parametrize(
    ("caller", "code"),
    [
        pytest.param(Caller(Key("a", "a", deleted_at=NOW - 1, blocked=True, expires=1)), "key_deleted", id="deleted"),
        pytest.param(Caller(Key("a", "a", blocked=True)), "key_blocked", id="blocked"),
        pytest.param(Caller(Key("a", "a", expires=NOW)), "key_expired", id="expires now"),
        pytest.param(Caller(KEY, Team("blue", blocked=True)), "key_blocked", id="its team is blocked"),
        pytest.param(Caller(KEY), "key_blocked", id="its team is gone"),
    ],
)
def test_a_rejected_caller_gets_the_reason(caller: Caller, code: str) -> None:
    with pytest.raises(ApiError) as rejected:
        require_active(caller, NOW)
    assert (rejected.value.status, rejected.value.type, rejected.value.code) == (401, "auth_error", code)


@pytest.mark.parametrize(
    "caller",
    [
        pytest.param(Caller(Key("a", "a")), id="a key"),
        pytest.param(Caller(Key("a", "a", expires=NOW + 1)), id="a key that expires later"),
        pytest.param(Caller(KEY, TEAM), id="a key with a team"),
    ],
)
def test_an_active_key_is_accepted(caller: Caller) -> None:
    require_active(caller, NOW)


def test_a_denied_model_is_a_403_that_names_the_allowed_ones() -> None:
    error = model_denied("gpt-5", ["auto-chat", "auto-codex"])
    assert (error.status, error.code, error.param) == (403, "key_model_access_denied", "model")
    assert "It may use: auto-chat, auto-codex." in error.message
    assert "may not use any model" in model_denied("x" * 500, []).message
    assert len(model_denied("x" * 500, []).message) < 250


@pytest.mark.parametrize(
    ("limits", "limited"),
    [
        pytest.param(Limits(), False, id="none"),
        pytest.param(Limits(budget_duration="30d"), False, id="a period without a budget"),
        pytest.param(Limits(max_budget=0), True, id="a budget of nothing"),
        pytest.param(Limits(rpm=1), True, id="requests"),
        pytest.param(Limits(tpm=1), True, id="tokens"),
        pytest.param(Limits(parallel=1), True, id="parallel requests"),
    ],
)
def test_limits_are_true_if_any_is_set(limits: Limits, limited: bool) -> None:
    assert bool(limits) is limited


@given(parts=st.lists(st.text("ab*", max_size=6), min_size=1, max_size=4), name=st.text("ab", max_size=8))
def test_a_pattern_matches_what_a_regular_expression_of_it_does(parts: list[str], name: str) -> None:
    pattern = "".join(parts)
    expression = ".*".join(re.escape(part) for part in pattern.split("*"))
    assert matches_any([pattern], name) == bool(re.fullmatch(expression, name, re.DOTALL))


def test_matching_takes_linear_time_and_names_are_bounded() -> None:
    patterns = ["*" + "a*" * 60 + "b"] * 200
    began = time.perf_counter()
    for length in (300, 10_000, 5_000_000):
        assert not matches_any(patterns, "a" * length)
    assert time.perf_counter() - began < 1
    assert not matches_any(["*"], "a" * 301)


@pytest.mark.parametrize(
    ("of_key", "of_team", "seconds"),
    [
        pytest.param(None, None, 60, id="nobody says: as the model does"),
        pytest.param(None, 30, 30, id="the team wins over the model"),
        pytest.param(10, 30, 10, id="the key wins over the team"),
        pytest.param(0, 30, 0, id="a key may store nothing"),
        pytest.param(None, 0, 0, id="and so may a team"),
    ],
)
def test_the_nearest_holder_says_how_long_answers_are_stored(
    of_key: int | None, of_team: int | None, seconds: int
) -> None:
    caller = Caller(replace(KEY, cache_seconds=of_key), replace(TEAM, cache_seconds=of_team))
    assert caller.cache_seconds(60) == seconds
    assert MASTER.cache_seconds(60) == 60

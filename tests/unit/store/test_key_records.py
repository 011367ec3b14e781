from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.access.keys import Key, KeyOwner, Limits, ModelBudget, Team
from vibe_router.core.models import LadderStep
from vibe_router.store.dynamodb import from_item, to_item
from vibe_router.store.key_records import key_record, parse_key, parse_team, parse_user, team_record, user_record

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
maybe = st.none() | words
lists = st.lists(words, max_size=3).map(tuple)
counts = st.integers(0, 10**18)
times = st.integers(0, 10**11) | st.floats(0, 1e11)
metadata = st.dictionaries(words, st.none() | st.booleans() | counts | words, max_size=3)
durations = st.none() | st.sampled_from(["30d", "1h", "1mo"])
limits = st.builds(
    Limits,
    max_budget=st.none() | counts,
    budget_duration=durations,
    rpm=st.none() | counts,
    tpm=st.none() | counts,
    parallel=st.none() | counts,
    soft_budget=st.none() | counts,
    models=st.dictionaries(words, st.tuples(counts, durations), max_size=3).map(
        lambda budgets: tuple(ModelBudget(model, *each) for model, each in sorted(budgets.items()))
    ),
)
ladders = st.dictionaries(
    words, st.lists(st.builds(LadderStep, st.sampled_from([0.5, 0.8, 1]), words), max_size=2).map(tuple), max_size=2
)
common = {
    "alias": maybe,
    "models": lists,
    "blocked": st.booleans(),
    "tags": lists,
    "metadata": metadata,
    "limits": limits,
    "cache_seconds": st.none() | counts,
    "budget_ladder": ladders,
    "created_at": times,
    "updated_at": times,
    "version": counts,
}
keys = st.builds(
    Key,
    hash=words,
    key_id=words,
    name=words,
    expires=st.none() | times,
    deleted_at=st.none() | times,
    replaced_by=maybe,
    user_id=maybe,
    team_id=maybe,
    user_limited=st.booleans(),
    archive=st.booleans(),
    **common,
)
teams = st.builds(Team, id=words, **common)
_NOT_OF_USERS = {"blocked", "tags", "cache_seconds"}
users = st.builds(
    KeyOwner, id=words, email=maybe, **{name: each for name, each in common.items() if name not in _NOT_OF_USERS}
)


@given(keys)
def test_a_key_is_read_back_from_the_table_unchanged(key: Key) -> None:
    assert parse_key(from_item(to_item(key_record(key)))) == key


@given(teams)
def test_a_team_is_read_back_from_the_table_unchanged(team: Team) -> None:
    assert parse_team(from_item(to_item(team_record(team)))) == team


@given(users)
def test_a_user_is_read_back_from_the_table_unchanged(user: KeyOwner) -> None:
    assert parse_user(from_item(to_item(user_record(user)))) == user


def test_a_tombstone_expires_after_ninety_days() -> None:
    assert key_record(Key("a", "a", deleted_at=1_000.5))["expires_at"] == 1_000 + 90 * 86_400
    assert "expires_at" not in key_record(Key("a", "a", expires=5))


def test_a_record_requires_only_its_id() -> None:
    assert parse_key({"id": "key#ab"}) == Key("ab", "ab")
    assert parse_team({"id": "team#blue"}) == Team("blue")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        pytest.param({"id": "team#ab"}, "id", id="another kind of record"),
        pytest.param({"id": "key#"}, "id", id="no hash"),
        pytest.param({}, "id", id="no id"),
        pytest.param({"blocked": "no"}, "blocked", id="text for a flag"),
        pytest.param({"models": "auto-chat"}, "models", id="a text for a list"),
        pytest.param({"models": [1]}, "models", id="numbers for names"),
        pytest.param({"expires": "tomorrow"}, "expires", id="text for a time"),
        pytest.param({"expires": -1}, "expires", id="a time before time"),
        pytest.param({"max_budget": 0.5}, "max_budget", id="part of a nano-dollar"),
        pytest.param({"rpm_limit": True}, "rpm_limit", id="a flag for a number"),
        pytest.param({"budget_duration": "a month"}, "budget_duration", id="no duration"),
        pytest.param({"metadata": ["x"]}, "metadata", id="a list for a mapping"),
        pytest.param({"team_id": 7}, "team_id", id="a number for a name"),
        pytest.param({"soft_budget": "1"}, "soft_budget", id="a text for an amount"),
        pytest.param({"model_max_budget": {"a": 5}}, "model_max_budget", id="a number for a budget of a model"),
        pytest.param({"model_max_budget": {"a": [5, "soon"]}}, "duration", id="a budget of a model without a duration"),
        pytest.param({"budget_ladder": {"a": 5}}, "budget_ladder", id="a number for a ladder"),
        pytest.param({"budget_ladder": {"a": [[80, "b"]]}}, "budget_ladder", id="a step beyond the budget"),
    ],
)
def test_an_invalid_record_is_rejected_without_repeating_it(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_key({"id": "key#ab", **values} if values else {})

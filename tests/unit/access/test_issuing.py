import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.access.authentication import hash_key
from vibe_router.access.issuing import (
    generate_key,
    make_successor,
    make_tombstone,
    mask_key,
    retire,
    validate_custom_key,
)
from vibe_router.access.keys import Key, Limits

NOW = 1_800_000_000.0
KEY = Key(
    hash="old",
    key_id="first",
    name="sk-...abcd",
    alias="a",
    models=("m",),
    expires=NOW + 5000,
    user_id="u",
    team_id="t",
    tags=("x",),
    metadata={"a": 1},
    limits=Limits(max_budget=5),
    created_at=NOW - 10,
    version=7,
)


def test_new_keys_have_256_bits_and_are_strong_enough() -> None:
    made = {generate_key() for _ in range(100)}
    assert len(made) == 100
    assert all(len(each) == 46 and validate_custom_key(each) == each for each in made)


def test_a_key_is_identified_by_its_hash_and_masked() -> None:
    assert hash_key("sk-x") == hashlib.sha256(b"sk-x").hexdigest()
    assert mask_key("sk-abcdefgh") == "sk-...efgh"


@pytest.mark.parametrize(
    "weak", ["", "sk-", "abc", "sk-1234", "sk-" + "a" * 30, "pk-abcdefghijklmnopqrstuvwxyz", "sk-" + "é" * 30]
)
def test_a_weak_key_is_rejected_without_being_repeated(weak: str) -> None:
    with pytest.raises(ValueError, match="must") as rejected:
        validate_custom_key(weak)
    assert not weak.removeprefix("sk-") or weak not in str(rejected.value)


@given(st.text())
def test_any_custom_key_is_accepted_or_rejected(text: str) -> None:
    try:
        assert validate_custom_key(text) == text
    except ValueError:
        return
    assert text.isascii()
    assert text.isprintable()


def test_a_successor_has_the_permissions_and_id_of_the_key() -> None:
    successor = make_successor(KEY, "sk-new-secret-1234", NOW)
    kept = replace(
        successor, hash="old", name=KEY.name, created_at=KEY.created_at, updated_at=KEY.updated_at, version=7
    )
    assert kept == KEY
    assert (successor.hash, successor.name, successor.version) == (hash_key("sk-new-secret-1234"), "sk-...1234", 1)


@pytest.mark.parametrize(
    ("grace", "expires"), [(60, NOW + 60), (9999, NOW + 5000)], ids=["its grace", "its own expiry"]
)
def test_a_retired_key_is_valid_until_the_earlier_of(grace: float, expires: float) -> None:
    left = retire(KEY, make_successor(KEY, "sk-new", NOW), NOW, grace)
    assert (left.expires, left.replaced_by, left.version) == (expires, hash_key("sk-new"), 8)
    assert not left.deleted


def test_a_key_retired_without_grace_ends_at_once() -> None:
    left = retire(KEY, make_successor(KEY, "sk-new", NOW), NOW, 0)
    assert left.deleted
    assert left.replaced_by == hash_key("sk-new")


def test_a_tombstone_has_only_the_keys_identity_and_deletion() -> None:
    left = make_tombstone(KEY, NOW)
    assert (left.hash, left.key_id, left.deleted_at, left.version) == ("old", "first", NOW, 8)
    assert (left.alias, left.models, left.user_id, left.team_id, left.metadata) == (None, (), None, None, {})

"""OIDC_TOKENS: whose tokens are accepted as keys, and with which team, models and limits."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vibe_router.access.keys import Limits
from vibe_router.access.tokens import TokensError, key_of, read_token_rules, token_key_id

RULES = {
    "teams": {"red": ["group:data", "bob@example.com"], "blue": ["*@blue.example"]},
    "team_claim": "team",
    "users": ["*@example.com", "sub:user-9"],
    "models": ["auto-*"],
    "limits": {"max_budget": 5, "budget_duration": "1d", "rpm_limit": 60},
}


def verified(email: str, **more: Any) -> dict[str, Any]:
    return {"sub": "user-1", "email": email, "email_verified": True, **more}


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        (verified("Bob@example.com"), ("bob@example.com", "red")),
        (verified("ann@example.com"), ("ann@example.com", None)),
        (verified("ann@example.com", team="green"), ("ann@example.com", "green")),
        (verified("ann@example.com", team=["green", "red"]), ("ann@example.com", "green")),
        (verified("ann@elsewhere.example", team="green"), ("ann@elsewhere.example", "green")),
        (verified("ann@blue.example", groups=["data"]), ("ann@blue.example", "red")),  # the first that fits
        (verified("ann@blue.example", team="green"), ("ann@blue.example", "blue")),
        ({"sub": "user-9"}, ("user-9", None)),
        ({"sub": "user-8"}, None),
        ({"sub": "user-8", "email": "bob@example.com", "email_verified": False}, None),
        (verified("ann@elsewhere.example"), None),
        (verified("ann@elsewhere.example", team="no team#"), None),
        (verified("ann@elsewhere.example", team={"id": "green"}), None),
    ],
)
def test_who_may_call_models(claims: dict[str, Any], expected: tuple[str, str | None] | None) -> None:
    key = key_of(claims, read_token_rules(json.dumps(RULES), "router"))
    assert (key and (key.user_id, key.team_id)) == expected
    if key:
        assert key.key_id == f"oidc:{key.user_id}"
        assert key.models == ("auto-*",)
        assert key.limits == Limits(max_budget=5_000_000_000, budget_duration="1d", rpm=60)


def test_an_id_of_a_ledger_has_no_further_parts() -> None:
    key = key_of({"sub": "a#b#c"}, read_token_rules('{"users": ["sub:a#b#c"]}', "router"))
    assert key
    assert key.ledger_id == "key#oidc:a%23b%23c"


@given(st.text(max_size=300), st.text(max_size=300))
@example("a#b", "a%23b")
@example("a" * 300, "a" * 299 + "b")
def test_each_name_has_an_id_of_its_own(one: str, other: str) -> None:
    ids = [token_key_id(each) for each in (one, other)]
    assert (ids[0] == ids[1]) == (one == other)
    assert all("#" not in each and len(each) < 1000 for each in ids)


def test_the_audience_is_the_client_by_default() -> None:
    assert read_token_rules('{"users": ["*@a.example"]}', "router").audiences == ("router",)
    assert read_token_rules('{"users": ["*@a.example"], "audience": "api"}', None).audiences == ("api",)
    assert read_token_rules('{"users": ["*@a.example"], "audience": ["a", "b"]}', "c").audiences == ("a", "b")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tems": {}}, "fields"),
        ({"teams": []}, "teams"),
        ({"teams": {"no team": ["a"]}}, "teams"),
        ({"teams": {"red": "a"}}, "red"),
        ({"team_claim": ""}, "team_claim"),
        ({"users": [1]}, "users"),
        ({"models": "auto-*"}, "models"),
        ({"audience": []}, "audience"),
        ({"audience": 3}, "audience"),
        ({"limits": {"max_budget": -1}}, "limits"),
        ({"limits": {"max_budget": True}}, "limits"),
        ({"limits": {"rpm_limit": 1.5}}, "limits"),
        ({"limits": {"budget_duration": "soon"}}, "budget_duration"),
        ({"limits": {"budget_duration": 3}}, "budget_duration"),
        ({"limits": {"rpm": 3}}, "limits"),
        ({"teams": {}, "team_claim": None, "users": []}, "must name who"),
    ],
)
def test_a_mistake_is_named(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(TokensError, match=reason):
        read_token_rules(json.dumps({**RULES, **changes}), "router")


@pytest.mark.parametrize("text", ["no JSON", "[]", "[" * 100_000])
def test_other_text_is_rejected(text: str) -> None:
    with pytest.raises(TokensError):
        read_token_rules(text, "router")

"""/user/*, /spend/tags, /global/activity and /model_group/info, by LiteLLM's paths and fields."""

import pytest

from tests.integration.admin.harness import Admin
from vibe_router.core.clock import to_iso
from vibe_router.store.dynamodb import to_item


def count(admin: Admin, kind: str, name: str, **counters: int) -> None:
    """Write a total of today."""
    day = to_iso(admin.time.clock.now())[:10]
    at = f"{day}#{name}" if name else f"{day}T13"
    item = to_item({"id": f"totals#{kind}#0", "at": at, **counters})
    admin.dynamodb.put_item(TableName=admin.variables["USAGE_TABLE"], Item=item)


def test_a_user_is_created_with_a_key(admin: Admin) -> None:
    before = admin.made("/key/generate", user_id="ann@example.com")
    made = admin.made(
        "/user/new",
        user_id="ann@example.com",
        user_alias="Ann",
        user_role="internal_user",
        max_budget=10,
        rpm_limit=5,
        models=["auto-chat"],
        model_max_budget={"auto-chat": {"budget_limit": 2, "time_period": "1d"}},
        key_alias="laptop",
        tags=["paper"],
    )
    assert made["key"].startswith("sk-")
    assert (made["user_id"], made["user_alias"], made["max_budget"]) == ("ann@example.com", "Ann", 10)
    key = admin.read("/key/info", key=made["key"])["info"]
    assert (key["user_id"], key["key_alias"], key["tags"]) == ("ann@example.com", "laptop", ["paper"])
    assert (key["rpm_limit"], key["max_budget"], key["models"]) == (None, None, []), "they are the user's"
    admin.environment.ledgers.set_spent("user#ann@example.com", 2_000_000_000)
    admin.environment.ledgers.set_spent("user#ann@example.com#auto-chat", 1_000_000_000)
    found = admin.read("/user/info", user_id="ann@example.com")
    assert {each["token"] for each in found["keys"]} == {key["token"], before["token"]}
    info = found["user_info"]
    assert (info["user_alias"], info["max_budget"], info["spend"], info["rpm_limit"]) == ("Ann", 10, 2.0, 5)
    assert (info["models"], info["model_spend"], info["key_count"]) == (["auto-chat"], {"auto-chat": 1.0}, 2)
    assert admin.ask("POST", "/user/new", {"user_id": "ann@example.com"}).error["code"] == "already_exists"


def limited(admin: Admin, *keys: dict[str, object]) -> list[bool]:
    found = (admin.environment.keys.key(str(each["token"])) for each in keys)
    return [key.user_limited for key in found if key]


def test_keys_learn_whether_their_user_has_limits(admin: Admin) -> None:
    first = admin.made("/key/generate", user_id="ann")
    assert limited(admin, first) == [False]
    admin.made("/user/update", user_id="ann", max_budget=3, budget_duration="30d")
    second = admin.made("/key/generate", user_id="ann")
    third = admin.made("/key/update", key=admin.made("/key/generate")["key"], user_id="ann")
    other = admin.made("/key/generate", user_id="bob")
    assert limited(admin, first, second, third, other) == [True, True, True, False]
    rotated = admin.made("/key/regenerate", key=second["key"])
    moved = admin.made("/key/update", key=third["token"], user_id="bob")
    assert limited(admin, rotated, moved) == [True, False]
    changed = admin.made("/user/update", user_id="ann", max_budget=None, budget_duration=None)["data"]
    assert (changed["max_budget"], changed["budget_duration"]) == (None, None)
    assert limited(admin, first, rotated) == [False, False]
    assert admin.made("/user/update", user_id="ann", max_budget=3, spend=1)["user_id"] == "ann"
    assert admin.read("/user/info", user_id="ann")["user_info"]["spend"] == 1
    admin.made("/user/delete", user_ids=["ann"])
    assert not admin.environment.ledgers.read(["user#ann"])


def test_explain_counts_the_limits_of_the_user(admin: Admin) -> None:
    made = admin.made("/user/new", user_id="ann", max_budget=0)
    admission = admin.made("/routes/explain", model="auto-chat", key=made["key"])["admission"]
    assert (admission["admitted"], admission["code"]) == (False, "budget_exceeded")
    assert admission["why"].startswith("The user's budget of $0")


def test_a_user_without_a_key(admin: Admin) -> None:
    made = admin.made("/user/new", auto_create_key=False, user_email="bob@example.com", metadata={"desk": 4})
    assert made["key"] is None
    assert len(made["user_id"]) == 36
    changed = admin.made("/user/update", user_id=made["user_id"], user_alias="Bob")
    assert (changed["data"]["user_alias"], changed["data"]["metadata"]) == ("Bob", {"desk": 4})
    assert admin.read("/user/info", user_id=made["user_id"])["keys"] == []


def test_users_whom_only_keys_name_are_listed(admin: Admin) -> None:
    admin.made("/team/new", team_id="red")
    admin.made("/key/generate", user_id="cy", team_id="red")
    admin.made("/key/generate", user_id="cy")
    admin.made("/user/new", user_id="ann", auto_create_key=False, user_email="ann@example.com")
    listed = admin.read("/user/list", page_size=1)
    assert (listed["total"], listed["total_pages"], listed["users"][0]["user_id"]) == (2, 2, "ann")
    [cy] = admin.read("/user/list", user_ids="cy")["users"]
    assert (cy["key_count"], cy["teams"]) == (2, ["red"])
    assert [each["user_id"] for each in admin.read("/user/list", user_email="ann@example.com")["users"]] == ["ann"]
    assert admin.read("/user/info", user_id="cy")["teams"] == [{"team_id": "red", "team_alias": None}]
    admin.made("/user/update", user_id="cy", user_email="cy@example.com")
    assert admin.read("/user/info", user_id="cy")["user_info"]["user_email"] == "cy@example.com"


def test_a_deleted_user_takes_the_keys_along(admin: Admin) -> None:
    made = admin.made("/user/new", user_id="ann")
    gone = admin.made("/user/delete", user_ids=["ann"])
    assert gone == {"deleted_users": ["ann"], "deleted_keys": [made["token"]]}
    assert admin.ask("GET", "/key/info", query={"key": made["token"]}).status == 404
    assert admin.ask("POST", "/user/delete", {"user_ids": ["ann"]}).error["code"] == "user_not_found"


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/user/new", {"user_role": "proxy_admin"}, "user_role"),
        ("/user/new", {"auto_create_key": False, "key_alias": "a"}, "auto_create_key is false"),
        ("/user/new", {"max_budget": -1}, "max_budget"),
        ("/user/new", {"model_max_budget": {"auto-x": {"budget_limit": 1}}}, "is no virtual model"),
        ("/user/new", {"teams": ["nowhere"]}, "no such team"),
        ("/user/new", {"teams": ["a", "b"]}, "teams"),
        ("/user/new", {"organizations": ["x"]}, "not supported"),
        ("/user/update", {"user_id": "ann", "blocked": True}, "not supported"),
        ("/user/update", {"user_alias": "Ann"}, "user_id"),
    ],
)
def test_what_does_not_apply_is_rejected(admin: Admin, path: str, body: dict[str, object], reason: str) -> None:
    answer = admin.ask("POST", path, body)
    assert answer.status == 400, answer.body
    assert reason in answer.error["message"]
    assert admin.read("/user/list")["users"] == []


def test_users_are_in_the_audit_log(admin: Admin) -> None:
    admin.made("/user/new", user_id="ann")
    [entry] = admin.read("/audit")["entries"]
    assert (entry["action"], entry["changes"]) == ("user/new", {"user_id": "ann"})


def test_spending_by_tag(admin: Admin) -> None:
    count(admin, "tag", "nightly", requests=3, cost=2_000_000_000)
    count(admin, "tag", "paper", requests=1, cost=5_000_000_000)
    assert admin.read("/spend/tags") == [
        {"individual_request_tag": "paper", "log_count": 1, "total_spend": 5.0},
        {"individual_request_tag": "nightly", "log_count": 3, "total_spend": 2.0},
    ]
    found = admin.read("/global/spend/tags", tags="nightly")
    assert found == {"spend_per_tag": [{"name": "nightly", "spend": 2.0, "log_count": 3}]}
    assert admin.read("/spend/tags", start_date="2020-01-01", end_date="2020-01-31") == []
    assert admin.ask("GET", "/spend/tags", query={"start_date": "2020-01-01"}).error["param"] == "start_date"


def test_activity_by_day(admin: Admin) -> None:
    count(admin, "all", "", requests=3, prompt_tokens=100, completion_tokens=20)
    count(admin, "model", "auto-chat", requests=2, prompt_tokens=50)
    found = admin.read("/global/activity")
    assert (found["sum_api_requests"], found["sum_total_tokens"]) == (3, 120)
    [day] = found["daily_data"]
    assert (day["api_requests"], day["total_tokens"], day["day"]) == (3, 120, to_iso(admin.time.clock.now())[:10])
    [model] = admin.read("/global/activity/model")
    assert (model["model"], model["sum_api_requests"]) == ("auto-chat", 2)


def test_model_groups(admin: Admin) -> None:
    groups = {each["model_group"]: each for each in admin.read("/model_group/info")["data"]}
    assert groups["auto-chat"]["providers"] == ["cliproxyapi", "new-api", "ark"]
    assert groups["auto-chat"]["mode"] == "chat"
    assert groups["auto-chat"]["supports_function_calling"]
    assert [each["model_group"] for each in admin.read("/model_group/info", model_group="auto-codex")["data"]] == [
        "auto-codex"
    ]

"""Keys and teams, by LiteLLM's paths and fields."""

import hashlib
from typing import Any

import pytest

from tests.integration.admin.harness import MASTER, Admin
from tests.unit.store.fakes import NOW
from vibe_router.access.keys import Key
from vibe_router.access.ledger import Ledger
from vibe_router.store.aws_errors import ClientError
from vibe_router.store.dynamodb import to_item
from vibe_router.store.key_records import parse_key

STRONG = "sk-abcdefghijklmnopqrstuvwxyz"


def items(admin: Admin) -> str:
    return str(admin.dynamodb.scan(TableName=admin.variables["KEYS_TABLE"])["Items"])


def test_a_key_is_shown_once_and_stored_as_its_hash(admin: Admin) -> None:
    made = admin.made("/key/generate", key_alias="a")
    key = made["key"]
    assert key.startswith("sk-")
    assert len(key) == len("sk-") + 43  # 256 bits
    assert made["token"] == made["token_id"] == hashlib.sha256(key.encode()).hexdigest()
    assert made["key_name"] == f"sk-...{key[-4:]}"
    assert key not in items(admin)
    assert key not in str(admin.read("/key/list", return_full_object="true"))


def test_every_field_of_a_key_is_returned(admin: Admin) -> None:
    admin.made("/team/new", team_id="t1")
    settings: dict[str, Any] = {
        "key_alias": "<b>x</b>",
        "models": ["auto-chat", "auto-*"],
        "max_budget": 12.34,
        "budget_duration": "30d",
        "rpm_limit": 60,
        "tpm_limit": 100_000,
        "max_parallel_requests": 4,
        "cache_seconds": 3600,
        "archive": True,
        "metadata": {"app": "x", "n": [1, 2.5, None]},
        "tags": ["prod", "eu"],
        "user_id": "ada",
        "team_id": "t1",
        "blocked": True,
    }
    made = admin.made("/key/generate", duration="1h", **settings)
    shown = admin.read("/key/info", key=made["key"])
    assert shown["key"] == made["key"]
    assert {name: shown["info"][name] for name in settings} == settings
    assert shown["info"]["expires"] == "2027-01-15T09:00:00.000+00:00"
    assert shown["info"]["spend"] == 0
    assert admin.read("/key/info", key=made["token"])["info"] == shown["info"]


@pytest.mark.parametrize("value", [None, "", [], {}, False, 0])
def test_an_unused_litellm_field_with_its_default_is_accepted(admin: Admin, value: object) -> None:
    for field in ("aliases", "config", "permissions", "temp_budget_increase", "guardrails", "organization_id", "spend"):
        admin.made("/key/generate", **{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temp_budget_increase", 3),
        ("model_max_budget", {"gpt": 1}),
        ("guardrails", ["x"]),
        ("nonsense", None),
        ("max_budget", -1),
        ("max_budget", 1e300),
        ("max_budget", "5"),
        ("max_budget", True),
        ("rpm_limit", -1),
        ("rpm_limit", 1.5),
        ("rpm_limit", 10**20),
        ("tpm_limit", "many"),
        ("max_parallel_requests", [1]),
        ("cache_seconds", 2_592_001),
        ("budget_duration", "soon"),
        ("budget_duration", "0d"),
        ("budget_duration", "-1d"),
        ("duration", "999999999mo"),
        ("duration", 30),
        ("models", "auto-chat"),
        ("models", [1]),
        ("models", [""]),
        ("key_alias", ""),
        ("key_alias", "a\nb"),
        ("key_alias", "x" * 257),
        ("tags", [{}]),
        ("metadata", []),
        ("metadata", {"": 1}),
        ("metadata", {"n": 1e300}),
        ("metadata", {"text": "x" * 9000}),
        ("blocked", "yes"),
        ("team_id", "no such team"),
        ("team_id", "nowhere"),
        ("key", "sk-1234"),
        ("key", "pk-" + STRONG),
        ("key", "sk-" + "a" * 40),
        ("key", STRONG + " "),
        ("key", MASTER),
    ],
)
def test_an_invalid_field_is_a_400_that_names_it(admin: Admin, field: str, value: object) -> None:
    answer = admin.ask("POST", "/key/generate", {field: value})
    assert answer.status == 400, answer.body
    assert answer.error["param"].split(".")[0].split("[")[0] == field
    assert field in answer.error["message"]
    if field == "key":
        assert str(value) not in answer.error["message"]


def test_metadata_that_is_nested_too_deeply_is_rejected(admin: Admin) -> None:
    deep: dict[str, Any] = {}
    for _ in range(13):
        deep = {"a": deep}
    assert admin.ask("POST", "/key/generate", {"metadata": deep}).error["param"] == "metadata"


def test_a_custom_key_is_accepted_once(admin: Admin) -> None:
    assert admin.made("/key/generate", key=STRONG)["key"] == STRONG
    again = admin.ask("POST", "/key/generate", {"key": STRONG})
    assert (again.status, again.error["code"], again.error["param"]) == (400, "already_exists", "key")
    admin.made("/key/delete", keys=[STRONG])
    # A deleted key cannot be created again with its old value.
    assert admin.ask("POST", "/key/generate", {"key": STRONG}).status == 400


def test_an_alias_is_unique_until_its_key_is_deleted_or_renamed(admin: Admin) -> None:
    first = admin.made("/key/generate", key_alias="a")
    taken = admin.ask("POST", "/key/generate", {"key_alias": "a"})
    assert (taken.status, taken.error["code"]) == (400, "key_alias_taken")
    second = admin.made("/key/generate", key_alias="b")
    assert admin.ask("POST", "/key/update", {"key": second["key"], "key_alias": "a"}).status == 400
    admin.made("/key/update", key=first["key"], key_alias="c")
    admin.made("/key/update", key=second["key"], key_alias="a")
    admin.made("/key/delete", key_aliases=["a"])
    admin.made("/key/generate", key_alias="a")
    admin.made("/key/update", key=first["key"], key_alias=None)
    admin.made("/key/generate", key_alias="c")


def test_an_update_changes_only_the_given_fields(admin: Admin) -> None:
    made = admin.made("/key/generate", max_budget=5, rpm_limit=10, models=["a"], duration="1h", user_id="ada")
    after = admin.made("/key/update", key=made["key"], rpm_limit=None, tags=["x"])
    changed = {name for name in made if name in after and made[name] != after[name]}
    assert changed <= {"rpm_limit", "tags", "updated_at"}
    assert (after["rpm_limit"], after["max_budget"]) == (None, 5)
    assert admin.made("/key/update", key=made["token"], duration="-1")["expires"] is None
    assert admin.ask("POST", "/key/update", {"key": "sk-nobody", "tags": []}).error["code"] == "key_not_found"


def test_a_key_is_blocked_and_unblocked(admin: Admin) -> None:
    key = admin.made("/key/generate")["key"]
    assert admin.made("/key/block", key=key)["blocked"] is True
    assert admin.read("/key/info", key=key)["info"]["blocked"] is True
    assert admin.made("/key/unblock", key=key)["blocked"] is False


def test_a_deleted_key_leaves_a_tombstone(admin: Admin) -> None:
    made = admin.made("/key/generate", key_alias="a", metadata={"secret": "plans"})
    assert admin.made("/key/delete", keys=[made["key"]]) == {"deleted_keys": [made["key"]]}
    assert admin.ask("GET", "/key/info", query={"key": made["key"]}).status == 404
    assert admin.read("/key/list")["keys"] == []
    left = admin.environment.keys.key(made["token"])
    assert left
    assert left.deleted
    assert not left.metadata
    assert admin.environment.keys.list_keys(deleted=True) == [left], "whose totals are still called by its name"
    assert admin.ask("POST", "/key/delete", {"keys": [made["key"]]}).status == 404


def test_deleting_several_keys_fails_if_one_is_missing(admin: Admin) -> None:
    key = admin.made("/key/generate")["key"]
    assert admin.ask("POST", "/key/delete", {"keys": [key, "sk-nobody"]}).status == 404
    assert admin.read("/key/list")["total_count"] == 1
    assert admin.ask("POST", "/key/delete", {}).error["param"] == "keys"


def test_a_regenerated_key_preserves_its_id_and_the_old_one_has_a_grace_period(admin: Admin) -> None:
    old = admin.made("/key/generate", key_alias="a", max_budget=5)
    new = admin.made(f"/key/{old['key']}/regenerate", grace_period="1h", rpm_limit=7)
    assert new["key"] != old["key"]
    assert (new["key_id"], new["key_alias"], new["max_budget"]) == (old["key_id"], "a", 5)
    assert new["rpm_limit"] == 7
    left = admin.read("/key/info", key=old["key"])["info"]
    assert left["expires"] == "2027-01-15T09:00:00.000+00:00"
    assert left["replaced_by"] == new["token"]
    assert admin.ask("POST", "/key/regenerate", {"key": old["key"]}).status == 400
    newest = admin.made("/key/regenerate", key=new["key"])
    assert admin.environment.keys.key(new["token"]).deleted  # type: ignore[union-attr] # it was made above
    assert newest["key_id"] == old["key_id"]


def test_blocking_and_deleting_a_key_affect_its_predecessor(admin: Admin) -> None:
    old = admin.made("/key/generate")
    new = admin.made("/key/regenerate", key=old["key"], grace_period="1d")
    admin.made("/key/block", key=new["key"])
    assert admin.read("/key/info", key=old["key"])["info"]["blocked"] is True
    admin.made("/key/delete", keys=[new["token"]])
    assert admin.ask("GET", "/key/info", query={"key": old["key"]}).status == 404


def test_keys_are_listed_in_pages_sorted_and_filtered(admin: Admin) -> None:
    made = []
    for number in range(7):
        admin.time.advance(1)
        made.append(
            admin.made("/key/generate", user_id=f"u{number % 2}", key_alias=f"k{number}", max_budget=7 - number)
        )
    first = admin.read("/key/list", size=3)
    assert first["keys"] == [each["token"] for each in reversed(made)][:3]
    assert (first["total_count"], first["current_page"], first["total_pages"]) == (7, 1, 3)
    assert admin.read("/key/list", size=3, page=3)["keys"] == [made[0]["token"]]
    assert admin.read("/key/list", size=3, page=9)["keys"] == []
    assert admin.read("/key/list", user_id="u1")["total_count"] == 3
    assert admin.read("/key/list", key_alias="k4")["keys"] == [made[4]["token"]]
    dearest = admin.read("/key/list", sort_by="max_budget", sort_order="asc", size=1, return_full_object="true")
    assert dearest["keys"][0]["key_alias"] == "k6"
    assert admin.read("/key/list", sort_by="spend")["total_count"] == 7


@pytest.mark.parametrize(
    "query", [{"page": 0}, {"size": 101}, {"size": "x"}, {"sort_by": "hash"}, {"organization_id": "x"}]
)
def test_an_invalid_query_is_a_400_that_names_the_parameter(admin: Admin, query: dict[str, object]) -> None:
    answer = admin.ask("GET", "/key/list", query=query)
    assert (answer.status, answer.error["param"]) == (400, next(iter(query)))


def spent(admin: Admin, ledger_id: str, ledger: Ledger) -> None:
    values = {
        "committed": ledger.committed,
        "spent": ledger.spent,
        "total": ledger.total,
        "period_ends": ledger.period_ends,
    }
    item = to_item({"id": ledger_id, "window_ends": 0, "requests_used": 0, "tokens_used": 0, "held": {}, **values})
    admin.dynamodb.put_item(TableName=admin.variables["LEDGER_TABLE"], Item=item)


def test_spending_is_in_dollars_and_resets_with_the_period(admin: Admin) -> None:
    made = admin.made("/key/generate", max_budget=5, budget_duration="1d")
    spent(admin, f"key#{made['key_id']}", Ledger(1_500_000_000, 1_250_000_000, 9_000_000_000, NOW + 60))
    info = admin.read("/key/info", key=made["key"])["info"]
    assert (info["spend"], info["reserved"], info["total_spend"]) == (1.25, 0.25, 9)
    assert info["budget_reset_at"] == "2027-01-15T08:01:00.000+00:00"
    admin.time.advance(61)
    info = admin.read("/key/info", key=made["key"])["info"]
    assert (info["spend"], info["reserved"], info["total_spend"]) == (0, 0.25, 9)
    assert info["budget_reset_at"] == "2027-01-16T08:01:00.000+00:00"


def test_spending_can_be_set(admin: Admin) -> None:
    made = admin.made("/key/generate", max_budget=5)
    assert admin.made("/key/update", key=made["key"], spend=2.5)["spend"] == 2.5
    spent(admin, f"key#{made['key_id']}", Ledger(1_500_000_000, 1_250_000_000, 9_000_000_000))
    after = admin.made("/key/update", key=made["key"], spend=0)
    assert (after["spend"], after["reserved"], after["total_spend"]) == (0, 0.25, 9)
    assert admin.ask("POST", "/key/update", {"key": made["key"], "spend": -1}).error["param"] == "spend"


def test_concurrent_editors_do_not_undo_each_other(admin: Admin) -> None:
    made = admin.made("/key/generate")
    seen: list[Key] = []

    def between(key: Key) -> Key:
        if not seen:  # somebody else writes after this one has read
            admin.made("/key/update", key=made["key"], rpm_limit=3)
        seen.append(key)
        return Key(**{name: getattr(key, name) for name in key.__dataclass_fields__ if name != "tags"}, tags=("mine",))

    after = admin.environment.keys.change_key(made["token"], between)
    assert after
    assert len(seen) == 2
    assert (after.tags, after.limits.rpm) == (("mine",), 3)


def test_a_record_written_by_hand_can_be_read_and_changed(admin: Admin) -> None:
    key_hash = hashlib.sha256(STRONG.encode()).hexdigest()
    admin.dynamodb.put_item(
        TableName=admin.variables["KEYS_TABLE"], Item=to_item({"id": f"key#{key_hash}", "name": "by hand"})
    )
    assert admin.made("/key/update", key=STRONG, rpm_limit=1)["key_name"] == "by hand"
    assert admin.read("/key/list")["total_count"] == 1


def test_a_corrupt_record_affects_only_itself(admin: Admin) -> None:
    admin.made("/key/generate")
    corrupt = to_item({"id": "key#" + "a" * 64, "models": 5})
    admin.dynamodb.put_item(TableName=admin.variables["KEYS_TABLE"], Item=corrupt)
    assert admin.read("/key/list")["total_count"] == 1
    answer = admin.ask("GET", "/key/info", query={"key": "a" * 64})
    assert (answer.status, answer.error["code"]) == (409, "corrupt_record")


def test_spending_of_a_corrupt_ledger_cannot_be_set(admin: Admin) -> None:
    made = admin.made("/key/generate")
    corrupt = to_item({"id": f"key#{made['token']}", "spent": "by hand"})
    admin.dynamodb.put_item(TableName=admin.variables["LEDGER_TABLE"], Item=corrupt)
    answer = admin.ask("POST", "/key/update", {"key": made["key"], "spend": 1})
    assert (answer.status, answer.error["code"]) == (409, "corrupt_record")


def test_a_team_is_created_changed_read_and_deleted_with_its_keys(admin: Admin) -> None:
    team = admin.made("/team/new", team_alias="<i>Apps</i>", models=["auto-*"], max_budget=3, tags=["x"])
    assert len(team["team_id"]) == 36
    named = {"team_id": team["team_id"]}
    key = admin.made("/key/generate", key_alias="k", **named)
    admin.made("/key/generate")
    assert admin.made("/team/update", rpm_limit=9, **named)["data"]["rpm_limit"] == 9
    assert admin.made("/team/block", **named)["blocked"] is True
    assert admin.made("/team/unblock", **named)["blocked"] is False
    shown = admin.read("/team/info", **named)
    assert shown["team_info"]["team_alias"] == "<i>Apps</i>"
    assert [each["token"] for each in shown["keys"]] == [key["token"]]
    assert [each["team_id"] for each in admin.read("/team/list")] == [team["team_id"]]
    assert admin.read("/key/list", **named)["total_count"] == 1
    assert admin.made("/team/update", spend=1, **named)["spend"] == 1
    gone = admin.made("/team/delete", team_ids=[team["team_id"]])
    assert gone == {"deleted_teams": [team["team_id"]], "deleted_keys": [key["token"]]}
    assert admin.read("/team/list") == []
    assert admin.read("/key/list")["total_count"] == 1
    # A later team with the same id owes nothing.
    assert admin.made("/team/new", **named)["spend"] == 0
    assert admin.read("/team/info", **named)["team_info"]["spend"] == 0


def test_a_missing_team_is_a_404(admin: Admin) -> None:
    for path in ("/team/update", "/team/block"):
        assert admin.ask("POST", path, {"team_id": "nowhere"}).error["code"] == "team_not_found"
    assert admin.ask("GET", "/team/info", query={"team_id": "nowhere"}).status == 404
    assert admin.ask("POST", "/team/delete", {"team_ids": ["nowhere"]}).status == 404
    admin.made("/team/new", team_id="t1")
    assert admin.ask("POST", "/team/new", {"team_id": "t1"}).error["param"] == "team_id"


def test_litellms_names_for_every_model_allow_every_model(admin: Admin) -> None:
    assert admin.made("/key/generate", models=["all-proxy-models"])["models"] == ["*"]


def test_the_gateway_reads_what_the_admin_api_writes(admin: Admin) -> None:
    made = admin.made("/key/generate", max_budget=0.000000001, models=["a", "b*"], duration="1d")
    key = admin.environment.keys.key(made["token"])
    assert key
    assert (key.limits.max_budget, key.models, key.expires) == (1, ("a", "b*"), NOW + 86_400)
    assert key == parse_key({"id": f"key#{made['token']}", **_stored(admin, made["token"])})


def _stored(admin: Admin, token: str) -> dict[str, Any]:
    from vibe_router.store.dynamodb import from_item

    found = admin.dynamodb.get_item(TableName=admin.variables["KEYS_TABLE"], Key={"id": {"S": f"key#{token}"}})
    return from_item(found["Item"])


def test_an_unreachable_table_is_a_503(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException"}}, "Scan")

    monkeypatch.setattr(admin.environment.keys, "list_keys", refuse)
    answer = admin.ask("GET", "/key/list")
    assert (answer.status, answer.error["type"]) == (503, "server_error")
    assert "retry-after" in answer.headers


def test_no_key_is_logged(admin: Admin, capsys: pytest.CaptureFixture[str]) -> None:
    key = admin.made("/key/generate")["key"]
    admin.ask("GET", "/key/info", query={"key": key})
    admin.ask("GET", "/key/list", key=key)
    written = capsys.readouterr()
    assert key not in written.out + written.err
    assert MASTER not in written.out + written.err


def test_a_virtual_key_reads_only_its_own_data(admin: Admin) -> None:
    own, other = admin.made("/key/generate", key_alias="own"), admin.made("/key/generate", key_alias="other")

    def ask(path: str, **query: Any) -> Any:
        return admin.ask("GET", path, key=own["key"], query=query)

    for named in ({}, {"key": own["key"]}, {"key": own["token"]}):
        found = ask("/key/info", **named)
        assert (found.status, found.body["info"]["key_alias"]) == (200, "own")
    for query in ({}, {"api_key": own["key"]}, {"request_id": "there-is-none"}):
        assert (ask("/spend/logs", **query).status, ask("/spend/logs", **query).body) == (200, [])
    for path, query in (
        ("/key/info", {"key": other["key"]}),
        ("/key/info", {"key": other["token"]}),
        ("/spend/logs", {"api_key": other["token"]}),
        ("/key/list", {}),
        ("/global/spend", {}),
        ("/team/list", {}),
    ):
        rejected = ask(path, **query)
        assert (rejected.status, rejected.error["code"]) == (403, "master_key_required"), path
    rejected = admin.ask("POST", "/key/info", {}, key=own["key"])
    assert rejected.status == 403
    admin.made("/key/block", key=own["token"])
    assert ask("/key/info").error["code"] == "key_blocked"


def test_a_providers_token_beside_the_master_key_is_ignored(admin: Admin) -> None:
    token = {"X-Api-Key": "sk-ant-oat01-abc"}
    assert admin.ask("GET", "/key/list", headers=token).status == 200


def test_a_key_has_aliases(admin: Admin) -> None:
    made = admin.made("/key/generate", aliases={"claude-*": "auto-claude"})
    assert admin.read("/key/info", key=made["key"])["info"]["aliases"] == {"claude-*": "auto-claude"}
    assert admin.made("/key/update", key=made["key"], aliases=None)["aliases"] == {}
    for wrong in (
        {"": "auto-chat"},
        {"a": 5},
        {"a\n": "auto-chat"},
        ["a"],
        {f"a{at}": "auto-chat" for at in range(51)},
    ):
        assert admin.ask("POST", "/key/generate", {"aliases": wrong}).status == 400


# --- Soft budgets, budgets of single models, and budget ladders ------------------------------------------------------

LADDER = {"auto-chat": [{"from": 0.8, "model": "auto-chat-mini"}]}


def test_budgets_of_models_are_written_and_read_by_litellms_names(admin: Admin) -> None:
    budgets = {
        "auto-codex": {"budget_limit": 5, "time_period": "1d"},
        "auto-c*": {"max_budget": "0.0001", "budget_duration": "1mo"},
    }
    made = admin.made("/key/generate", soft_budget=2.5, model_max_budget=budgets, budget_ladder=LADDER)
    expected = {
        "soft_budget": 2.5,
        "model_max_budget": {
            "auto-codex": {"budget_limit": 5, "time_period": "1d"},
            "auto-c*": {"budget_limit": 0.0001, "time_period": "1mo"},
        },
        "model_spend": {"auto-codex": 0, "auto-c*": 0},
        "budget_ladder": LADDER,
    }
    assert {name: made[name] for name in expected} == expected
    admin.made("/key/update", key=made["key"], max_budget=3)
    info = admin.read("/key/info", key=made["key"])["info"]
    assert {name: info[name] for name in expected} == expected
    removed = admin.made("/key/update", key=made["key"], soft_budget=None, model_max_budget={}, budget_ladder=None)
    assert [removed[name] for name in expected] == [None, {}, {}, {}]


def test_spending_on_a_model_is_shown(admin: Admin) -> None:
    made = admin.made("/team/new", team_id="red", model_max_budget={"auto-codex": {"budget_limit": 5}})
    assert made["model_spend"] == {"auto-codex": 0}
    admin.environment.ledgers.set_spent("team#red#auto-codex", 1_500_000_000)
    assert admin.read("/team/list")[0]["model_spend"] == {"auto-codex": 1.5}
    admin.made("/team/delete", team_ids=["red"])
    assert not admin.environment.ledgers.read(["team#red#auto-codex"])


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("soft_budget", -1, "soft_budget"),
        ("guards", ["secrets"], "'secrets' is no guard of the routes"),
        ("model_max_budget", {"auto-codx": {"budget_limit": 5}}, "did you mean 'auto-codex'?"),
        ("model_max_budget", {"gpt-5": {"budget_limit": 5}}, "is an alias of 'auto-chat'"),
        ("model_max_budget", {"auto-codex": 5}, "model_max_budget"),
        ("model_max_budget", {"auto-codex": {"budget_limit": "much"}}, "model_max_budget"),
        ("model_max_budget", {"auto-codex": {"budget_limit": 5, "time_period": "soon"}}, "model_max_budget"),
        ("model_max_budget", {"auto-codex": {"budget_limit": 5, "rpm_limit": 5}}, "model_max_budget"),
        ("budget_ladder", {"auto-chat": [{"from": 80, "model": "auto-chat-mini"}]}, "budget_ladder"),
        ("budget_ladder", {"auto-chat": [{"from": 0.8, "model": "mini"}]}, "'mini' is no virtual model"),
        ("budget_ladder", {"auto-chat": [{"from": 0.8, "model": "auto-chat"}]}, "names the model itself"),
        ("budget_ladder", {**LADDER, "auto-chat-mini": [{"from": 0.9, "model": "auto-chat"}]}, "circle"),
        ("budget_ladder", {"auto-chat": [*LADDER["auto-chat"], {"from": 0.8, "model": "auto-codex"}]}, "not after"),
    ],
)
def test_a_mistake_in_budgets_is_named(admin: Admin, field: str, value: object, reason: str) -> None:
    answer = admin.ask("POST", "/key/generate", {field: value})
    assert answer.status == 400, answer.body
    assert answer.error["param"].startswith(field)
    assert reason in answer.error["message"]


def test_explain_shows_the_ladder(admin: Admin) -> None:
    made = admin.made("/key/generate", max_budget=100, soft_budget=50, budget_ladder=LADDER)
    before = admin.made("/routes/explain", model="auto-chat", key=made["key"])
    assert before["model"] == "auto-chat"
    assert before["budget_ladder"]["why"].endswith("auto-chat-mini serves from 80% on.")
    admin.made("/key/update", key=made["key"], spend=90)
    explained = admin.made("/routes/explain", model="auto-chat", key=made["key"])
    assert (explained["model"], explained["requested"]) == ("auto-chat-mini", "auto-chat")
    assert explained["budget_ladder"] == {
        "model": "auto-chat",
        "serves": "auto-chat-mini",
        "from": 0.8,
        "budget": "key",
        "used": 0.9,
        "why": "The key has used 90.0% of its budget: from 80% on, auto-chat-mini serves instead of auto-chat.",
    }
    assert [each["owner"] for each in explained["soft_budgets"]] == ["key"]
    assert explained["admission"]["admitted"]

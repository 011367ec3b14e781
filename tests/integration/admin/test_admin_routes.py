"""Routes: read, check, compare, write, look back, go back, explain; and cooldowns."""

import copy
import json
from typing import Any

import pytest

from tests.integration.admin.harness import MASTER, Admin
from tests.unit.store.fakes import NOW
from vibe_router.formats.chat import request as chat_request
from vibe_router.routing.cooldown import State, healthy
from vibe_router.routing.quota import QuotaWindow
from vibe_router.routing.stay import Stay, conversation_id
from vibe_router.routing.verdict import Verdict
from vibe_router.store import history
from vibe_router.store.dynamodb import to_item


@pytest.fixture
def routes(admin: Admin) -> dict[str, Any]:
    shown: dict[str, Any] = admin.read("/routes")
    return shown


def document(routes: dict[str, Any]) -> dict[str, Any]:
    """Return the part of the routes that an editor sends back."""
    return copy.deepcopy({name: routes[name] for name in ("providers", "defaults", "models")})


def described(routes: dict[str, Any], model: str, description: str) -> dict[str, Any]:
    changed = document(routes)
    changed["models"][model]["description"] = description
    return changed


def cool(admin: Admin, state_id: str, verdict: Verdict = Verdict.RATE_LIMITED, seconds: float = 60) -> None:
    state = State(state_id, 1, NOW + seconds, verdict, 2, NOW, "429: <script>")
    admin.environment.states.replace(healthy(state_id), state)


def test_routes_are_read_as_in_the_file_with_version_and_states(admin: Admin, routes: dict[str, Any]) -> None:
    assert routes["version"] == 1
    assert routes["problems"] == []
    assert set(routes["models"]) >= {"auto-chat", "auto-codex"}
    assert [len(step) for step in routes["chains"]["auto-chat"]] == [1, 1, 1]
    first = routes["chains"]["auto-chat"][0][0]
    assert (first["deployment"], first["state"], first["weight"]) == ("cliproxyapi/claude-sonnet-4-6", "healthy", 1)
    assert first["enabled"] is True
    assert first["formats"] == ["chat", "responses", "messages"]


def test_routes_that_were_read_are_valid_and_unchanged(admin: Admin, routes: dict[str, Any]) -> None:
    same = document(routes)
    assert admin.made("/routes/validate", **same) == {"problems": []}
    assert admin.made("/routes/dry-run", **same) == {"problems": [], "changes": [], "new_hosts": []}
    written = admin.ask("PUT", "/routes", {**same, "version": 1})
    assert (written.status, written.body) == (200, {"version": 1, "digest": routes["digest"], "changes": []})


def test_a_change_raises_the_version_and_enters_the_history(admin: Admin, routes: dict[str, Any]) -> None:
    changed = described(routes, "auto-chat", "<b>other</b>")
    changed["models"]["auto-chat"]["chain"][0]["enabled"] = False
    expected = admin.made("/routes/dry-run", **changed)["changes"]
    assert [each["row"] for each in expected] == ["models.auto-chat"]
    written = admin.ask("PUT", "/routes", {**changed, "version": 1, "note": "why"})
    after = admin.read("/routes")
    assert (written.status, written.body) == (200, {"version": 2, "digest": after["digest"], "changes": expected})
    assert after["models"]["auto-chat"]["description"] == "<b>other</b>"
    assert after["chains"]["auto-chat"][0][0]["enabled"] is False
    newest, first = admin.read("/routes/history")["versions"]
    assert (newest["version"], newest["by"], newest["note"], newest["changes"]) == (2, "master key", "why", expected)
    assert (first["version"], first["note"]) == (1, "as it was")


def test_one_of_two_editors_wins_and_the_other_gets_the_differences(admin: Admin, routes: dict[str, Any]) -> None:
    theirs, mine = described(routes, "auto-chat", "theirs"), described(routes, "auto-codex", "mine")
    assert admin.ask("PUT", "/routes", {**theirs, "version": 1}).status == 200
    lost = admin.ask("PUT", "/routes", {**mine, "version": 1})
    assert (lost.status, lost.error["code"], lost.error["param"]) == (409, "routes_conflict", "version")
    assert lost.body["version"] == 2
    assert [each["row"] for each in lost.body["changes"]] == ["models.auto-chat"]
    assert lost.body["changes"][0]["fields"]["description"]["to"] == "theirs"
    assert {each["row"] for each in lost.body["yours"]} == {"models.auto-chat", "models.auto-codex"}
    assert admin.read("/routes")["models"]["auto-codex"] == routes["models"]["auto-codex"]
    merged = described(admin.read("/routes"), "auto-codex", "mine")
    assert admin.ask("PUT", "/routes", {**merged, "version": 2}).status == 200
    assert admin.read("/routes")["models"]["auto-chat"]["description"] == "theirs"


def test_a_row_edited_by_hand_meanwhile_is_not_overwritten(admin: Admin, routes: dict[str, Any]) -> None:
    first = {**described(routes, "auto-claude", "first"), "version": 1}
    digest = admin.ask("PUT", "/routes", first).body["digest"]
    rows = admin.environment.routes.read()
    by_hand = {**rows["model", "auto-chat"], "description": "by hand", "kind": "model", "name": "auto-chat"}
    admin.dynamodb.put_item(TableName=admin.variables["ROUTES_TABLE"], Item=to_item(by_hand))
    lost = admin.ask("PUT", "/routes", {**described(routes, "auto-codex", "mine"), "version": 2, "digest": digest})
    assert (lost.status, lost.body["version"]) == (409, 2)
    assert "edited by hand" in lost.error["message"]
    assert admin.ask("POST", "/routes/rollback", {"version": 2, "digest": digest, "to": 1}).status == 409

    seen = admin.read("/routes")
    merged = {**described(seen, "auto-codex", "mine"), "version": 2, "digest": seen["digest"]}
    assert admin.ask("PUT", "/routes", merged).body["version"] == 4
    assert admin.read("/routes")["models"]["auto-chat"]["description"] == "by hand"
    versions = {
        each["version"]: [row["row"] for row in each["changes"]] for each in admin.read("/routes/history")["versions"]
    }
    assert versions == {4: ["models.auto-codex"], 3: ["models.auto-chat"], 2: ["models.auto-claude"], 1: []}
    assert admin.ask("POST", "/routes/rollback", {"version": 4, "to": 3}).status == 200
    assert document(admin.read("/routes")) == document(seen), "what was edited by hand outlives a save that is undone"
    assert admin.ask("PUT", "/routes", {**document(routes), "version": 5}).status == 200, "who sends none is not asked"


def test_a_conflict_during_the_write_is_a_409_too(
    admin: Admin, routes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    standing = admin.environment.routes.snapshot()
    record_current = admin.environment.history.record_current

    def overtaken(*arguments: Any) -> None:
        record_current(*arguments)
        admin.environment.routes.write({**standing.rows, ("model", "new"): {"chain": []}}, standing.rows, 1)

    monkeypatch.setattr(
        admin.environment.history, "record_current", overtaken
    )  # somebody writes between look and write
    assert admin.ask("PUT", "/routes", {**described(routes, "auto-chat", "mine"), "version": 1}).status == 409
    assert admin.environment.routes.snapshot().version == 2


def test_a_version_can_be_restored(admin: Admin, routes: dict[str, Any]) -> None:
    for number in (1, 2):
        sent = described(routes, "auto-chat", f"number {number}")
        assert admin.ask("PUT", "/routes", {**sent, "version": number}).status == 200
    back = admin.ask("POST", "/routes/rollback", {"version": 3, "to": 1})
    assert (back.status, back.body["version"]) == (200, 4)
    assert admin.read("/routes")["models"] == routes["models"]
    assert admin.read("/routes/history", limit=1)["versions"][0]["note"] == "rollback to version 1"
    assert admin.ask("POST", "/routes/rollback", {"version": 2, "to": 1}).status == 409
    assert admin.ask("POST", "/routes/rollback", {"version": 4, "to": 77}).status == 404


def test_the_history_is_bounded(admin: Admin, routes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "HISTORY_LENGTH", 2)
    for number in (1, 2, 3):
        sent = described(routes, "auto-chat", f"number {number}")
        assert admin.ask("PUT", "/routes", {**sent, "version": number}).status == 200
    assert [each["version"] for each in admin.read("/routes/history")["versions"]] == [4, 3]


@pytest.mark.parametrize(
    ("path", "value", "at"),
    [
        (("models", "auto-chat", "chain"), [], "models.auto-chat.chain"),
        (("models", "auto-chat", "chain"), [{"provider": "nope", "model": "m"}], "models.auto-chat.chain[0].provider"),
        (("models", "auto-chat", "weight"), 5, "models.auto-chat.weight"),
        (("providers", "ark", "secret"), "sk-a-real-key", "providers.ark.secret"),
        (("defaults", "retries"), "many", "defaults.retries"),
        (("providers",), {}, "providers"),
    ],
)
def test_invalid_routes_are_not_written_and_every_mistake_has_its_place(
    admin: Admin, routes: dict[str, Any], path: tuple[str, ...], value: object, at: str
) -> None:
    wrong = document(routes)
    place = wrong
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    problems = admin.made("/routes/validate", **wrong)["problems"]
    assert at in [problem["path"] for problem in problems]
    assert "sk-a-real-key" not in str(problems)
    answer = admin.ask("PUT", "/routes", {**wrong, "version": 1})
    assert (answer.status, answer.error["code"]) == (400, "invalid_routes")
    assert answer.error["problems"] == problems
    assert admin.environment.routes.snapshot().version == 1


def test_a_corrupt_row_is_listed_as_a_problem(admin: Admin) -> None:
    row = to_item({"kind": "model", "name": "auto-chat", "chain": 5})
    admin.dynamodb.put_item(TableName=admin.variables["ROUTES_TABLE"], Item=row)
    shown = admin.read("/routes")
    assert [problem["path"] for problem in shown["problems"]] == ["models.auto-chat.chain"]
    assert "auto-chat" not in shown["chains"]
    assert admin.read("/cooldowns")["deployments"]


def test_a_request_is_explained_in_the_order_of_its_chain(admin: Admin) -> None:
    shown = admin.made("/routes/explain", model="auto-chat", messages=[{"role": "user", "content": "Hi"}])
    names = [each["deployment"] for each in shown["tried"]]
    assert names == ["cliproxyapi/claude-sonnet-4-6", "new-api/gpt-5", "ark/glm-4.7"]
    assert shown["skipped"] == []
    assert shown["admission"]["admitted"] is True
    assert all(each["why"].endswith(".") for each in shown["tried"])


def test_cooling_deployments_are_skipped_and_due_ones_probed(admin: Admin) -> None:
    cool(admin, "deployment#cliproxyapi/claude-sonnet-4-6")
    cool(admin, "deployment#new-api/gpt-5", seconds=-1)
    cool(admin, "credential#ark", Verdict.AUTH)
    shown = admin.made("/routes/explain", model="auto-chat")
    assert [(each["deployment"], each["mode"]) for each in shown["tried"]] == [("new-api/gpt-5", "probe")]
    first, last = shown["skipped"]
    assert (first["verdict"], first["free_at"]) == ("rate_limited", "2027-01-15T08:01:00.000+00:00")
    assert "key is cooling" in last["why"]
    cool(admin, "deployment#new-api/gpt-5x")
    assert admin.environment.states.read(["deployment#new-api/gpt-5"])["deployment#new-api/gpt-5"].lease_until == 0


def test_the_last_resort_is_the_deployment_that_is_free_soonest(admin: Admin) -> None:
    cool(admin, "deployment#new-api/gpt-5.2-codex")
    shown = admin.made("/routes/explain", model="auto-codex")
    assert [each["mode"] for each in shown["tried"]] == ["last_resort"]


def test_hedging_staying_shaping_and_the_order_are_explained(admin: Admin, routes: dict[str, Any]) -> None:
    edited = document(routes)
    model = edited["models"]["auto-chat"]
    first, second = model["chain"][0], model["chain"][1]
    names = [f"{each['provider']}/{each['model']}" for each in (first, second)]
    model |= {"hedge_after": 8, "continuation": True, "order": "quota", "quota": {"threshold": 80}}
    first["drop"] = ["user"]
    assert admin.ask("PUT", "/routes", {**edited, "version": 1}).status == 200
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": "?"},
    ]
    shown = admin.made("/routes/explain", model="auto-chat", messages=turns, stream=True)
    assert [each["deployment"] for each in shown["tried"]][:2] == names
    assert shown["stays_at"] is None
    one = shown["tried"][0]
    assert one["hedge_after"] == 8
    assert f"{names[1]} is started too" in one["why"]
    assert "is continued by the next" in one["why"]
    assert (one["shaped"], one["dropped_params"]) == (True, [])
    admin.environment.observations.record(names[0], (QuotaWindow("5h", 0.85),))
    shown = admin.made("/routes/explain", model="auto-chat", messages=turns)
    assert shown["tried"][-1]["deployment"] == names[0]
    assert "running conversations and named keys" in shown["tried"][-1]["why"]
    listed = {each["deployment"]: each for each in admin.read("/cooldowns")["deployments"]}
    assert listed[names[0]]["quota"]["used"] == 0.85
    request = chat_request.parse(json.dumps({"model": "auto-chat", "messages": turns}).encode())
    conversation = conversation_id("master", "auto-chat", request.affinity())
    admin.environment.conversations.write(conversation, Stay(names[1], admin.time.now + 99))
    shown = admin.made("/routes/explain", model="auto-chat", messages=turns)
    assert shown["tried"][0]["deployment"] == names[1] == shown["stays_at"]["deployment"]
    assert "where the conversation stays" in shown["tried"][0]["why"]


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"models": ["other"]}, "key_model_access_denied"),
        ({"blocked": True}, "key_blocked"),
        ({"rpm_limit": 0}, "rate_limit_exceeded"),
        ({"tpm_limit": 0}, "rate_limit_exceeded"),
        ({"max_parallel_requests": 0}, "rate_limit_exceeded"),
        ({"duration": "1s"}, "key_expired"),
        ({}, None),
    ],
)
def test_the_admission_of_a_key_is_explained_without_a_reservation(
    admin: Admin, limits: dict[str, Any], code: str | None
) -> None:
    key = admin.made("/key/generate", **limits)
    admin.time.advance(2)
    for named in (key["key"], key["token"]):
        admission = admin.made("/routes/explain", model="auto-chat", key=named)["admission"]
        assert (admission["admitted"], admission["code"]) == (code is None, code)
    assert admin.dynamodb.scan(TableName=admin.variables["LEDGER_TABLE"])["Items"] == []


def test_an_estimate_over_the_budget_is_explained(admin: Admin, routes: dict[str, Any]) -> None:
    priced = document(routes)
    priced["models"]["auto-chat"]["chain"][1]["price"] = {"input": 1, "output": 10}
    assert admin.ask("PUT", "/routes", {**priced, "version": 1}).status == 200
    key = admin.made("/key/generate", max_budget=0.01)["key"]
    admission = admin.made("/routes/explain", model="auto-chat", key=key, max_tokens=10_000)["admission"]
    assert (admission["code"], admission["admitted"]) == ("budget_exceeded", False)
    assert 0.06 <= admission["estimate"]["cost"] < 0.07  # a plausible answer, at the highest price of the chain
    assert admin.made("/routes/explain", model="auto-chat", key=key, max_tokens=100)["admission"]["admitted"] is True


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": "nothing"}, 404, "model"),
        ({"model": "auto-chat", "messages": 5}, 400, "messages"),
        ({"model": "auto-chat", "key": "sk-nobody"}, 404, "key"),
        ({"model": "auto-chat", "format": "morse"}, 400, "format"),
        ({}, 400, "model"),
        ({"model": 5}, 400, "model"),
    ],
)
def test_an_unexplainable_request_is_a_400_with_the_reason(
    admin: Admin, body: dict[str, Any], status: int, param: str
) -> None:
    answer = admin.ask("POST", "/routes/explain", body)
    assert (answer.status, answer.error["param"]) == (status, param)


def test_a_request_of_the_master_key_can_be_explained(admin: Admin) -> None:
    assert admin.made("/routes/explain", model="auto-chat", key=MASTER)["admission"]["admitted"] is True


def test_cooldowns_are_listed_with_their_models_and_cleared(admin: Admin) -> None:
    cool(admin, "deployment#cliproxyapi/claude-sonnet-4-6")
    cool(admin, "credential#ark", Verdict.AUTH)
    shown = {each["deployment"]: each for each in admin.read("/cooldowns")["deployments"]}
    assert shown["cliproxyapi/claude-sonnet-4-6"]["evidence"] == "429: <script>"
    assert (shown["ark/glm-4.7"]["scope"], shown["ark/glm-4.7"]["state"]) == ("credential", "cooling")
    assert set(shown["ark/glm-4.7"]["models"]) == {"auto-chat", "auto-claude", "auto-claude-mini"}
    assert shown["new-api/gpt-5"] == {"deployment": "new-api/gpt-5", "state": "healthy", "models": ["auto-chat"]}
    cleared = admin.made("/cooldowns/clear", deployment="cliproxyapi/claude-sonnet-4-6")
    assert cleared == {"cleared": ["deployment#cliproxyapi/claude-sonnet-4-6"]}
    assert admin.made("/cooldowns/clear", provider="ark") == {"cleared": ["credential#ark"]}
    assert admin.made("/cooldowns/clear", all=True) == {"cleared": []}
    assert {each["state"] for each in admin.read("/cooldowns")["deployments"]} == {"healthy"}


def test_clearing_a_cooldown_wins_against_concurrent_failures(admin: Admin) -> None:
    cool(admin, "deployment#new-api/gpt-5")
    admin.read("/cooldowns")
    seen = admin.environment.states.read(["deployment#new-api/gpt-5"])["deployment#new-api/gpt-5"]
    other = type(admin.environment.states)(admin.dynamodb, admin.variables["STATE_TABLE"], admin.time.clock)
    other.read([seen.id])
    other.replace(seen, State(seen.id, seen.version + 1, NOW + 500, Verdict.TRANSIENT, 3, NOW, "again"))
    admin.made("/cooldowns/clear", deployment="new-api/gpt-5")
    admin.time.advance(2)
    assert other.read([seen.id])[seen.id].until == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 400), ({"all": False}, 400), ({"all": True, "provider": "ark"}, 400), ({"provider": "nobody"}, 404)],
)
def test_clearing_requires_exactly_one_existing_target(admin: Admin, body: dict[str, Any], status: int) -> None:
    assert admin.ask("POST", "/cooldowns/clear", body).status == status


def test_models_are_listed_in_litellms_shape(admin: Admin) -> None:
    entries = admin.read("/model/info")["data"]
    assert entries == admin.read("/v1/model/info")["data"]
    assert entries[0]["model_name"] == "auto-chat"
    assert entries[0]["litellm_params"]["model"] == "cliproxyapi/claude-sonnet-4-6"
    assert entries[0]["model_info"]["mode"] == "chat"


def test_an_embedding_model_has_its_mode(admin: Admin, routes: dict[str, Any]) -> None:
    chain = [{"provider": "new-api", "model": "embed", "formats": ["embeddings"]}]
    more = document(routes) | {"models": {"vectors": {"chain": chain}}, "version": 1}
    assert admin.ask("PUT", "/routes", more).status == 200
    assert [each["model_info"]["mode"] for each in admin.read("/model/info")["data"]] == ["embedding"]


def test_a_secret_goes_to_a_new_host_only_if_that_is_confirmed(admin: Admin) -> None:
    shown = admin.read("/routes")
    document = {part: shown[part] for part in ("providers", "defaults", "models")}
    document["providers"]["ark"]["base_url"] = "https://Elsewhere.example:8443/v1"
    pair = {"secret": "ARK_API_KEY", "host": "elsewhere.example:8443"}
    assert admin.made("/routes/dry-run", **document)["new_hosts"] == [pair]
    body = {**document, "version": shown["version"]}
    rejected = admin.ask("PUT", "/routes", body)
    assert (rejected.status, rejected.error["code"]) == (400, "secret_host_unconfirmed")
    assert rejected.error["new_hosts"] == [pair]
    other = {**pair, "secret": "NEW_API_KEY"}
    assert admin.ask("PUT", "/routes", {**body, "confirmed_hosts": [other]}).status == 400
    assert admin.read("/routes")["version"] == shown["version"]
    written = admin.ask("PUT", "/routes", {**body, "confirmed_hosts": [pair]})
    assert written.status == 200
    assert admin.made("/routes/dry-run", **document)["new_hosts"] == []
    back = {"version": written.body["version"], "to": shown["version"]}
    rejected = admin.ask("POST", "/routes/rollback", back)
    assert (rejected.status, rejected.error["code"]) == (400, "secret_host_unconfirmed")
    confirmed = {**back, "confirmed_hosts": rejected.error["new_hosts"]}
    assert admin.ask("POST", "/routes/rollback", confirmed).status == 200


def test_names_of_set_secrets_are_listed_without_values(admin: Admin) -> None:
    assert admin.read("/routes")["secrets_set"] is None, "a secret from before the list"
    put = {"MASTER_KEY": MASTER, "SECRETS_SET": '["ARK_API_KEY"]'}
    admin.put_secret(put)
    admin.time.advance(301)  # the secret is read again after five minutes
    assert admin.read("/routes")["secrets_set"] == ["ARK_API_KEY"]


def test_the_first_host_of_a_secret_needs_confirmation_too(admin: Admin, routes: dict[str, Any]) -> None:
    changed = document(routes)
    changed["providers"]["more"] = {"base_url": "https://more.example/v1", "secret": "MORE_KEY"}
    body = {**changed, "version": routes["version"]}
    rejected = admin.ask("PUT", "/routes", body)
    assert rejected.error["code"] == "secret_host_unconfirmed"
    pair = {"secret": "MORE_KEY", "host": "more.example"}
    assert rejected.error["new_hosts"] == admin.made("/routes/dry-run", **changed)["new_hosts"] == [pair]
    written = admin.ask("PUT", "/routes", {**body, "confirmed_hosts": [pair]})
    assert written.status == 200
    # A secret whose provider was deleted is bound to no host any more.
    without = admin.ask("PUT", "/routes", {**document(routes), "version": written.body["version"]})
    elsewhere = copy.deepcopy(changed)
    elsewhere["providers"]["more"]["base_url"] = "https://elsewhere.example/v1"
    again = admin.ask("PUT", "/routes", {**elsewhere, "version": without.body["version"]})
    assert again.error["code"] == "secret_host_unconfirmed"


def test_secret_goes_to_a_known_host_unencrypted_only_if_that_is_confirmed(
    admin: Admin, routes: dict[str, Any]
) -> None:
    changed = document(routes)
    changed["providers"]["ark"]["base_url"] = "HTTP://ark.cn-beijing.volces.com:80/api/coding/v3"
    found = admin.made("/routes/dry-run", **changed)["new_hosts"]
    assert found == [{"secret": "ARK_API_KEY", "host": "http://ark.cn-beijing.volces.com"}]
    confirmed = {**changed, "version": routes["version"], "confirmed_hosts": found}
    assert admin.ask("PUT", "/routes", confirmed).status == 200
    assert admin.made("/routes/dry-run", **document(routes))["new_hosts"] == [], "encrypted again"


@pytest.mark.parametrize(
    ("host", "rejected"),
    [
        ("169.254.169.254", True),
        ("[fe80::1]", True),
        ("[::ffff:169.254.169.254]", True),
        ("2852039166", True),
        ("0xA9FEA9FE", True),
        ("169.254.43518", True),
        ("[fd00:ec2::254]", True),
        ("0251.0376.0251.0376", True),
        ("[64:ff9b::a9fe:a9fe]", True),
        ("[2002:a9fe:a9fe::1]", True),
        ("[::169.254.169.254]", True),
        ("168.63.129.16", True),
        ("METADATA.azure.internal", True),
        ("[64:ff9b::808:808]", False),
        ("[::1]", False),
        ("metadata.google.internal", True),
        ("metadata.google.internal.", True),
        ("127.0.0.1", False),
        ("api.example.com", False),
        ("169.example.com", False),
    ],
)
def test_no_key_is_sent_to_a_metadata_service(admin: Admin, host: str, rejected: bool) -> None:
    routes = {
        "providers": {"x": {"base_url": f"http://{host}/v1", "secret": "X"}},
        "models": {"m": {"chain": [{"provider": "x", "model": "m"}]}},
    }
    problems = admin.made("/routes/validate", **routes)["problems"]
    assert [each["path"] for each in problems] == ["providers.x.base_url"] * rejected


def test_aliases_are_edited_like_models(admin: Admin) -> None:
    routes = admin.read("/routes")
    assert routes["aliases"]["claude-opus-*"] == "auto-claude"
    edited = document(routes) | {"aliases": {"gpt-9*": "auto-chat"}, "version": 1}
    changed = admin.ask("PUT", "/routes", edited).body["changes"]
    assert {
        "row": "aliases.gpt-9*",
        "change": "added",
        "fields": {"model": {"from": None, "to": "auto-chat"}},
    } in changed
    assert admin.read("/routes")["aliases"] == {"gpt-9*": "auto-chat"}
    explained = admin.made("/routes/explain", model="gpt-9.1")
    assert (explained["requested"], explained["model"]) == ("gpt-9.1", "auto-chat")
    wrong = admin.made("/routes/validate", **document(routes), aliases={"x": "nowhere"})["problems"]
    assert [each["path"] for each in wrong] == ["aliases.x"]


def test_without_aliases_those_of_the_remaining_models_stay(admin: Admin) -> None:
    routes = admin.read("/routes")
    fewer = document(routes) | {"version": 1}
    del fewer["models"]["auto-claude"]
    assert admin.ask("PUT", "/routes", fewer).status == 200
    aliases = admin.read("/routes")["aliases"]
    assert aliases["gpt-5*"] == "auto-chat"
    assert "auto-claude" not in aliases.values()

"""Complexity routing through the admin function: rollouts, installed trees, the export, and deleted keys."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.integration.admin.harness import Admin
from vibe_router.core.record import Record
from vibe_router.routing.complexity.features import encode, features_of
from vibe_router.routing.complexity.scorer import seed
from vibe_router.store.dynamodb import to_item
from vibe_router.store.usage import UsageWriter

FEATURES = encode(features_of("hello there"))
ROUTING = {"by": "complexity", "mini": "auto-chat-mini", "standard": "auto-chat", "evidence": True}


@pytest.fixture
def routed(admin: Admin) -> Admin:
    routes = admin.read("/routes")
    document = {name: routes[name] for name in ("providers", "defaults", "models")}
    document["models"]["auto"] = {"routing": ROUTING}
    assert admin.ask("PUT", "/routes", {**document, "version": 1}).status == 200
    return admin


def write_rows(admin: Admin, keys: list[str], **values: Any) -> None:
    """Book a scored request for each of `keys`."""
    writer = UsageWriter(admin.dynamodb, admin.variables["USAGE_TABLE"], days=30)
    for number, key in enumerate(keys):
        record = Record(
            request_id=f"r{number}",
            started=admin.time.now - 60 + number,
            key=key,
            model="auto",
            resolved=True,
            routing_would="mini",
            routing_choice="standard",
            routing_features=FEATURES,
            **values,
        )
        assert writer.write(record)
    hour = datetime.fromtimestamp(admin.time.now - 60, UTC)
    admin.dynamodb.update_item(  # as the aggregator counts them: readers look for days with requests
        TableName=admin.variables["USAGE_TABLE"],
        Key=to_item({"id": "totals#all", "at": f"{hour:%Y-%m-%dT%H}#0"}),
        UpdateExpression="ADD requests :number",
        ExpressionAttributeValues=to_item({":number": len(keys)}),
    )


def features_left(admin: Admin) -> dict[str, str | None]:
    rows = [admin.environment.usage.request(f"r{number}") for number in range(4)]
    return {row.request_id: row.routing_features for row in rows if row}


def make_key(admin: Admin, alias: str) -> tuple[str, str]:
    """Return a new key, and its id."""
    secret = admin.made("/key/generate", key_alias=alias)["key"]
    (key,) = [each for each in admin.environment.keys.list_keys() if each.alias == alias]
    return secret, key.key_id


def test_features_are_deleted_with_their_key(routed: Admin) -> None:
    (secret, deleted), (_, other) = make_key(routed, "a"), make_key(routed, "b")
    write_rows(routed, [deleted, other, deleted])
    routed.made("/key/delete", keys=[secret])
    assert features_left(routed) == {"r0": None, "r1": FEATURES, "r2": None}
    rows = routed.read("/complexity/rows", model="auto")["rows"]
    assert [row["features"] for row in rows] == [None, FEATURES, None]


def test_features_that_are_left_of_a_deleted_key_are_never_shown_and_go_next(routed: Admin) -> None:
    secret, deleted = make_key(routed, "a")
    routed.made("/key/delete", keys=[secret])
    write_rows(routed, [deleted])  # booked late, or more rows than one request can change
    assert [row["features"] for row in routed.read("/complexity/rows", model="auto")["rows"]] == [None]
    assert features_left(routed) == {"r0": None}


def test_trees_are_installed_and_undone(routed: Admin) -> None:
    trees = json.loads(seed().as_json())
    routed.made("/complexity/rollout", model="auto", stage="shadow")
    own = routed.made("/complexity/model", model="auto", trees=json.dumps({**trees, "version": "own-1"}))
    assert (own["trees"]["version"], own["mode"]) == ("own-1", "shadow")
    second = routed.made("/complexity/model", model="auto", trees=json.dumps({**trees, "version": "own-2"}))
    assert second["trees"]["version"] == "own-2"
    routed.time.advance(20)
    undone = routed.made("/complexity/undo", model="auto")
    assert (undone["trees"]["version"], undone["mode"], undone["number"]) == ("own-1", "shadow", 4)
    assert routed.made("/complexity/model", model="auto", trees=None)["trees"]["version"] == seed().version
    refused = routed.ask("POST", "/complexity/model", {"model": "auto", "trees": "{}"})
    assert (refused.status, refused.error["param"]) == (400, "trees")


def test_a_change_names_the_rollout_that_was_read(routed: Admin) -> None:
    routed.made("/complexity/rollout", model="auto", stage="shadow", number=0)
    refused = routed.ask("POST", "/complexity/rollout", {"model": "auto", "number": 0})
    assert (refused.status, refused.error["code"]) == (409, "rollout_changed")


def test_a_rollback_records_who_and_why(routed: Admin) -> None:
    rolled = routed.made("/complexity/rollback", model="auto", reason="complaints")
    assert (rolled["mode"], rolled["share"], rolled["reason"]) == ("manual", 0, "complaints")
    assert routed.ask("POST", "/complexity/rollback", {"model": "auto-chat"}).status == 404

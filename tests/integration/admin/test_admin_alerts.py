"""/alerts: what is listed, and how a receiver is tested; no URL or secret is in it."""

import json

import pytest

from tests.integration.admin.harness import Admin
from vibe_router.alerts.alert import Alert
from vibe_router.store.alerts import FAILED, Delivery
from vibe_router.store.dynamodb import from_item

ALERTS = {
    "receivers": {
        "ops": {"type": "slack", "url": "OPS_URL", "events": ["budget"]},
        "all": {"type": "json", "url": "ALL_URL", "secret": "ALL_SECRET", "host": "a.example"},
    },
    "budget": [0.5],
}


@pytest.fixture
def with_receivers(admin: Admin) -> Admin:
    routes = admin.ask("GET", "/routes").body
    document = {name: routes[name] for name in ("providers", "defaults", "models", "aliases")}
    written = admin.ask("PUT", "/routes", {**document, "alerts": ALERTS, "version": routes["version"], "note": ""})
    assert written.status == 200, written.body
    return admin


def test_receivers_are_listed_by_the_names_of_their_secrets(with_receivers: Admin) -> None:
    secret = with_receivers.secret()
    with_receivers.put_secret({**secret, "SECRETS_SET": json.dumps(["OPS_URL", "ALL_SECRET"])})
    with_receivers.time.advance(301)  # a secret is cached for five minutes
    answer = with_receivers.ask("GET", "/alerts").body
    assert (answer["alerts"], answer["next"], answer["budget"], answer["cooled_minutes"]) == ([], None, [0.5], 15)
    everyone, ops = sorted(answer["receivers"], key=lambda each: each["name"])
    assert ops["events"] == ["budget"]
    assert (ops["url_set"], ops["secret_set"]) == (True, None)
    assert (everyone["url"], everyone["url_set"], everyone["secret_set"]) == ("ALL_URL", False, True)
    assert everyone["host"] == "a.example"


def test_alerts_are_listed_newest_first_with_their_deliveries(admin: Admin) -> None:
    store = admin.environment.alerts
    for number in range(3):
        store.raise_once(Alert(f"quota-{number}", "quota", "ark", {"used": 0.9, "window": "5h", "threshold": 0.9}))
        admin.time.advance(1)
    store.record_delivery("quota-2", "ops", Delivery(FAILED, 6, admin.time.now, "it answered 500"))
    page = admin.ask("GET", "/alerts", query={"limit": 2}).body
    assert [each["id"] for each in page["alerts"]] == ["quota-2", "quota-1"]
    (delivery,) = page["alerts"][0]["deliveries"]
    assert (delivery["receiver"], delivery["status"], delivery["detail"]) == ("ops", "failed", "it answered 500")
    rest = admin.ask("GET", "/alerts", query={"limit": 2, "before": page["next"]}).body
    assert ([each["id"] for each in rest["alerts"]], rest["next"]) == (["quota-0"], None)
    assert admin.ask("GET", "/alerts/quota-1").body["text"].startswith("ark has used 90 %")
    assert admin.ask("GET", "/alerts/nothing").error["code"] == "alert_not_found"


def test_a_test_is_raised_for_one_receiver_and_audited(with_receivers: Admin) -> None:
    with_receivers.time.advance(1)
    tested = with_receivers.ask("POST", "/alerts/test", {"receiver": "ops"})
    assert tested.status == 200
    table = with_receivers.variables["ALERTS_TABLE"]
    (item,) = (from_item(each) for each in with_receivers.dynamodb.scan(TableName=table)["Items"])
    assert (item["id"], item["event"], item["only"]) == (tested.body["id"], "test", "ops")
    again = with_receivers.ask("POST", "/alerts/test", {"receiver": "ops"})
    assert again.body["id"] != tested.body["id"]
    entry = with_receivers.ask("GET", "/audit").body["entries"][0]
    assert (entry["action"], entry["changes"]) == ("alerts/test", {"receiver": "ops"})


def test_an_alert_is_sent_to_a_receiver_again(with_receivers: Admin) -> None:
    store = with_receivers.environment.alerts
    store.raise_once(Alert("quota-1", "quota", "ark", {"used": 0.9}))
    sent = with_receivers.ask("POST", "/alerts/quota-1/resend", {"receiver": "all"})
    repeated = store.read(sent.body["id"])
    assert repeated
    assert (repeated.only, repeated.alert.subject, repeated.alert.figures) == ("all", "ark", {"used": 0.9})
    assert repeated.alert.id.startswith("quota-")
    for path, receiver in (("/alerts/quota-1/resend", "nobody"), ("/alerts/nothing/resend", "ops")):
        assert with_receivers.ask("POST", path, {"receiver": receiver}).status == 404


@pytest.mark.parametrize(("body", "status"), [({"receiver": "nobody"}, 404), ({}, 400), ({"receiver": 3}, 400)])
def test_a_test_of_nobody_is_rejected(with_receivers: Admin, body: object, status: int) -> None:
    assert with_receivers.ask("POST", "/alerts/test", body).status == status


def test_a_program_that_writes_routes_without_alerts_keeps_them(with_receivers: Admin) -> None:
    routes = with_receivers.ask("GET", "/routes").body
    document = {name: routes[name] for name in ("providers", "defaults", "models")}
    body = {**document, "version": routes["version"], "note": ""}
    assert with_receivers.ask("PUT", "/routes", body).body["changes"] == []
    removed = with_receivers.ask("PUT", "/routes", {**body, "alerts": {}}).body["changes"]
    assert [(each["row"], each["change"]) for each in removed] == [("alerts", "removed")]


@pytest.mark.parametrize("url", ["https://hooks.slack.com/services/T/B/canary", "MASTER_KEY"])
def test_a_url_in_the_routes_is_rejected_and_not_repeated(admin: Admin, url: str) -> None:
    routes = admin.ask("GET", "/routes").body
    document = {name: routes[name] for name in ("providers", "defaults", "models", "aliases")}
    alerts = {"receivers": {"ops": {"type": "slack", "url": url}}}
    rejected = admin.ask("PUT", "/routes", {**document, "alerts": alerts, "version": routes["version"], "note": ""})
    assert rejected.status == 400
    assert "canary" not in json.dumps(rejected.body)
    assert "alerts.receivers.ops.url" in json.dumps(rejected.body)

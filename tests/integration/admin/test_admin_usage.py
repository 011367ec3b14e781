"""Usage over time: /usage/series for administrators, /me/usage/series for members and leads, and both as CSV."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.integration.admin.harness import Admin, Answer
from tests.integration.admin.oidc_provider import LocalProvider
from tests.integration.admin.test_admin_oidc import provider, sign_in
from tests.integration.store.streams import Stream
from tests.unit.store.fakes import NOW
from vibe_router.core.record import Record
from vibe_router.core.usage import Usage
from vibe_router.store import usage as usage_store
from vibe_router.store.usage import UsageWriter

__all__ = ["provider"]  # the fixture

DAY = 86_400
RECORD = Record(
    "r",
    NOW,  # 2027-01-15T08:00:00Z, a Friday
    key="laptop",
    team="red",
    user="ann@example.com",
    tags=("nightly", "=1+1"),
    model="auto-chat",
    resolved=True,
    deployment="ark/glm-4.7",
    usage=Usage(100, 20, cached_tokens=25),
    cost=5_000,
    ttft_ms=250.0,
    total_ms=2_500.0,
)
FAILED = replace(
    RECORD, request_id="f", started=NOW - 3600, tags=(), status=502, error="all_deployments_failed", deployment=None
)
LAST_WEEK = replace(RECORD, request_id="w", started=NOW - 6 * DAY, model="auto-claude", key="phone", user=None)
RECORDS = (RECORD, replace(RECORD, request_id="s", ttft_ms=1_200.0, total_ms=12_000.0), FAILED, LAST_WEEK)


@pytest.fixture
def used(admin: Admin) -> Admin:
    book(admin, RECORDS)
    return admin


def book(admin: Admin, records: tuple[Record, ...]) -> None:
    table = admin.variables["USAGE_TABLE"]
    writer = UsageWriter(admin.dynamodb, table, days=90)
    for record in records:
        writer.write(record)
    Stream(admin.dynamodb, table, admin.variables["LEDGER_TABLE"]).deliver_all()


def requests_of(answer: Any) -> dict[str, dict[str, int]]:
    return {each["name"]: {point["at"]: point["requests"] for point in each["points"]} for each in answer["series"]}


def test_usage_by_day_has_percentiles_and_cache_share(used: Admin) -> None:
    answer = used.read("/usage/series", by="model")
    assert (answer["step"], answer["start_date"], answer["end_date"]) == ("day", "2027-01-09", "2027-01-15")
    assert answer["times"] == [f"2027-01-{day:02}" for day in range(9, 16)]
    assert requests_of(answer) == {"auto-chat": {"2027-01-15": 3}, "auto-claude": {"2027-01-09": 1}}
    today = answer["points"][-1]
    assert (today["requests"], today["errors"], today["cached_tokens"], today["cost"]) == (3, 1, 75, 1.5e-05)
    assert today["cache_share"] == 0.25
    assert 200 < today["ttft_p50_ms"] <= 300 < 1_000 < today["ttft_p95_ms"] <= 1_500
    assert 2_000 < today["total_p50_ms"] <= 3_000 < 10_000 < today["total_p95_ms"] <= 15_000
    assert answer["totals"]["requests"] == 4


@pytest.mark.parametrize(
    ("by", "expected", "today"),
    [
        ("all", {}, {}),
        ("key", {"laptop": 3, "phone": 1}, {"laptop": 3}),
        ("team", {"red": 4}, {"red": 3}),
        ("user", {"ann@example.com": 3}, {"ann@example.com": 3}),
        ("tag", {"nightly": 3, "=1+1": 3}, {"nightly": 2, "=1+1": 2}),
        ("deployment", {"ark/glm-4.7": 3}, {"ark/glm-4.7": 2}),
    ],
)
@pytest.mark.parametrize("step", ["week", "day", "hour"])
def test_series_of_every_dimension_and_step(
    used: Admin, by: str, expected: dict[str, int], today: dict[str, int], step: str
) -> None:
    start = "2027-01-09" if step != "hour" else "2027-01-15"
    answer = used.read("/usage/series", by=by, step=step, start_date=start, end_date="2027-01-15")
    if step == "hour":
        expected = today
        assert answer["points"][0]["at"] == "2027-01-15T07"
        assert len(answer["times"]) == 24
    assert {name: sum(points.values()) for name, points in requests_of(answer).items()} == expected
    if step == "week":
        assert answer["times"] == ["2027-01-04", "2027-01-11"]
    for each in answer["series"]:
        assert {point["at"] for point in each["points"]} <= set(answer["times"])


def test_rare_names_are_added_up_as_one(used: Admin) -> None:
    answer = used.read("/usage/series", by="tag", limit=1)
    assert [(each["name"], each.get("names"), each["totals"]["requests"]) for each in answer["series"]] == [
        ("=1+1", None, 3),
        (None, 1, 3),
    ]


def test_one_name_and_one_key(used: Admin) -> None:
    assert set(requests_of(used.read("/usage/series", by="model", name="auto-claude"))) == {"auto-claude"}
    answer = used.read("/usage/series", by="model", key="phone")
    assert requests_of(answer) == {"auto-claude": {"2027-01-09": 1}}
    assert answer["totals"]["requests"] == 1
    assert used.read("/usage/series", key="laptop")["totals"]["requests"] == 3


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"start_date": "2027-01-15", "end_date": "2027-01-14"}, "start_date"),
        ({"start_date": "2025-01-15"}, "start_date"),
        ({"end_date": "2027-13-45"}, "end_date"),
        ({"start_date": "yesterday"}, "start_date"),
        ({"step": "hour", "by": "model"}, "step"),
        ({"step": "hour", "start_date": "2026-12-01"}, "step"),
        ({"step": "month"}, "step"),
        ({"by": "colour"}, "by"),
        ({"limit": 0}, "limit"),
        ({"csv": "maybe"}, "csv"),
    ],
)
def test_an_invalid_range_is_explained(used: Admin, query: dict[str, Any], param: str) -> None:
    answer = used.ask("GET", "/usage/series", query=query)
    assert (answer.status, answer.error["param"]) == (400, param)


@pytest.mark.parametrize("end", ["0001-01-01", "9999-12-31"])
def test_a_range_at_the_ends_of_time_is_empty(used: Admin, end: str) -> None:
    for step in ("week", "hour"):
        assert used.read("/usage/series", start_date=end, end_date=end, step=step)["points"] == []


def test_a_range_with_too_much_usage_is_refused(used: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_store, "MAX_ROWS", 2)
    query = {"by": "model", "start_date": "2027-01-15", "end_date": "2027-01-15"}
    refused = used.ask("GET", "/usage/series", query={**query, "step": "hour"})
    assert (refused.status, refused.error["code"]) == (400, "range_too_large")
    assert "step=day" in refused.error["message"]
    assert used.read("/usage/series", **query)["step"] == "day", "a step that is left open is one that can be read"
    monkeypatch.setattr(used.environment.usage, "records", lambda *_: pytest.fail("the totals tell that"))
    assert used.ask("GET", "/usage/series", query={**query, "step": "hour"}).error["code"] == "range_too_large"
    monkeypatch.setattr(usage_store, "_MAX_TOTALS", 1)
    assert used.ask("GET", "/usage/series").error["code"] == "range_too_large"


def test_csv_has_a_line_for_each_point_and_no_formula(used: Admin) -> None:
    answer = used.ask("GET", "/usage/series", query={"by": "tag", "csv": "true"})
    assert answer.headers["content-type"] == ["text/csv; charset=utf-8"]
    assert answer.headers["content-disposition"] == ['attachment; filename="usage-tag-2027-01-09-2027-01-15.csv"']
    lines = list(csv.DictReader(io.StringIO(answer.body)))
    assert [(line["at"], line["name"], line["requests"]) for line in lines] == [
        ("2027-01-09", "'=1+1", "1"),
        ("2027-01-09", "nightly", "1"),
        ("2027-01-15", "'=1+1", "2"),
        ("2027-01-15", "nightly", "2"),
    ]
    assert lines[0]["cost"] == "0.000005"
    every = list(csv.DictReader(io.StringIO(used.ask("GET", "/usage/series", query={"csv": "true"}).body)))
    assert [(line["name"], line["requests"]) for line in every] == [("all", "1"), ("all", "3")]


@pytest.fixture
def call(admin: Admin, provider: LocalProvider) -> Callable[..., Answer]:
    """Return a function that calls as a user who has signed in with this e-mail address."""
    headers: dict[str, dict[str, str]] = {}

    def as_user(email: str, path: str, **query: Any) -> Answer:
        headers.setdefault(email, sign_in(admin, provider, email))
        return admin.ask("GET", path, key=None, headers=headers[email], query=query)

    return as_user


@pytest.mark.usefixtures("provider")
def test_members_and_leads_see_their_own_keys_only(admin: Admin, call: Callable[..., Answer]) -> None:
    mine = admin.made("/key/generate", key_alias="mine", user_id="carol@example.com")
    admin.made("/team/new", team_id="red")
    team = admin.made("/key/generate", key_alias="bob's", team_id="red", user_id="bob@example.com")
    book(
        admin,
        (
            replace(RECORD, request_id="1", key=mine["token"]),
            replace(RECORD, request_id="2", key=team["token"], model="auto-claude"),
            replace(RECORD, request_id="3", key="somebody's"),
        ),
    )
    for by, name in (("key", mine["token"]), ("model", "auto-chat"), ("user", "carol@example.com"), ("tag", "nightly")):
        answer = call("carol@example.com", "/me/usage/series", by=by)
        assert answer.status == 200
        assert answer.body["totals"]["requests"] == 1
        assert name in requests_of(answer.body)
    hourly = call("carol@example.com", "/me/usage/series", by="model", step="hour", start_date="2027-01-15")
    assert requests_of(hourly.body) == {"auto-chat": {"2027-01-15T08": 1}}
    lead = call("bob@example.com", "/me/usage/series", by="team").body
    assert requests_of(lead) == {"red": {"2027-01-15": 1}}
    assert requests_of(call("bob@example.com", "/me/usage/series", by="model").body) == {
        "auto-claude": {"2027-01-15": 1}
    }
    assert "text/csv" in call("bob@example.com", "/me/usage/series", by="key", csv="true").headers["content-type"][0]
    assert call("bob@example.com", "/usage/series").status == 403
    assert call("bob@example.com", "/me/usage/series", key=mine["token"]).status == 400

"""Rows that were edited by hand: whatever they hold, every endpoint answers cleanly."""

import json
from collections.abc import Mapping
from typing import Any

from tests.integration.admin.harness import Admin
from tests.unit.store.fakes import NOW
from vibe_router.core.record import Record
from vibe_router.core.usage import Usage
from vibe_router.store.dynamodb import to_item

ODD: Mapping[str, Any] = {
    "binary": {"B": "/wA="},
    "a huge number": {"N": "1E+125"},
    "a time in milliseconds": {"N": "1800000000000"},
    "a tiny number": {"N": "1E-130"},
    "binary inside": {"M": {"x": {"L": [{"B": "/w=="}]}}},
    "text": {"S": "2026-13-45T99:99:99Z"},
}
PATHS = (
    "/key/list?return_full_object=true",
    "/key/list?return_full_object=true&sort_by=spend",
    "/key/info?key=KEY",
    "/team/list",
    "/team/info?team_id=blue",
    "/usage/overview",
    "/usage/overview?days=90",
    "/usage/series?by=key&start_date=2026-12-01&step=week",
    "/usage/series?by=key&start_date=2027-01-15&end_date=2027-01-15&step=hour",
    "/usage/requests",
    "/usage/requests?key=KEY",
    "/usage/requests/r1",
    "/spend/logs",
    "/spend/logs?request_id=r1",
    "/global/spend",
    "/global/spend/logs",
    "/global/spend/keys",
    "/global/spend/models",
    "/global/spend/teams",
    "/routes",
    "/routes/history",
    "/cooldowns",
    "/model/info",
)
KEY = "a" * 64
RELATED = {  # words of the paths that read a table
    "KEYS": ("key", "team"),
    "LEDGER": ("key", "team"),
    "STATE": ("cool", "routes"),
    "HISTORY": ("routes",),
    "USAGE": ("usage", "spend"),
    "ROUTES": ("routes", "cool", "model"),
}


def rows() -> dict[str, dict[str, Any]]:
    """Return a good row of every kind, by its table."""
    record = Record(
        "r1", NOW, key=KEY, team="blue", model="m", resolved=True, deployment="ark/glm-4.7", usage=Usage(5, 5), cost=7
    )
    total = {"requests": 1, "cost": 7, "prompt_tokens": 5, "ttft_ms_sum": 5, "ttft_count": 1}
    holder = {"alias": "x", "models": ["m"], "blocked": False, "tags": ["t"], "metadata": {"a": 1}, "version": 1}
    times = {"created_at": NOW, "updated_at": NOW}
    return {
        "KEYS_TABLE key": {"id": f"key#{KEY}", "key_id": KEY, "expires": NOW, "max_budget": 5, **holder, **times},
        "KEYS_TABLE team": {"id": "team#blue", "budget_duration": "1d", "rpm_limit": 4, **holder, **times},
        "LEDGER_TABLE": {"id": f"key#{KEY}", "committed": 5, "spent": 5, "total": 5, "period_ends": NOW, "held": {}},
        "STATE_TABLE": {
            "id": "deployment#ark/glm-4.7",
            "version": 1,
            "until": NOW,
            "strikes": 1,
            "evidence": "503",
            "verdict": "transient",
            "since": NOW,
            "written_at": NOW,
            "lease_until": 0,
        },
        "USAGE_TABLE row": record.as_row(90),
        "USAGE_TABLE hour": {"id": "totals#all", "at": "2027-01-15T08#1", **total},
        "USAGE_TABLE day": {"id": "totals#key", "at": f"2027-01-15#{KEY}#1", **total},
        "HISTORY_TABLE": {
            "id": "routes",
            "version": 1,
            "at": NOW,
            "by": "x",
            "changes": "[]",
            "rows": "[]",
        },
        "ROUTES_TABLE model": {"kind": "model", "name": "odd", "description": "x", "chain": []},
        "ROUTES_TABLE version": {"kind": "version", "name": "version", "number": 1},
        "ROUTES_TABLE provider": {"kind": "provider", "name": "odd", "base_url": "https://x.example/v1", "secret": "X"},
    }


def odd_values(number: int) -> list[Any]:
    """Return two of the values, in turn: all of them in every attribute would be thousands of requests."""
    values = list(ODD.values())
    return [values[(number + distance) % len(values)] for distance in (0, len(values) // 2)]


def test_no_row_makes_an_endpoint_fail(admin: Admin) -> None:
    count = 0
    for place, row in rows().items():
        table = admin.variables[place.partition(" ")[0]]
        good = to_item(row)
        keys = {"id", "kind", "name"} | ({"at"} if place.startswith("USAGE") else set())
        for attribute in [*row, "added"]:
            if attribute in keys or (place == "HISTORY_TABLE" and attribute == "version"):
                continue
            count += 1
            for odd in odd_values(count):
                if place == "USAGE_TABLE row" and attribute in ("key", "day") and "S" not in odd:
                    continue  # the key of an index, whose type the table enforces
                admin.dynamodb.put_item(TableName=table, Item={**good, attribute: odd})
                check_endpoints(admin, place, attribute)
        admin.dynamodb.put_item(TableName=table, Item=good)


def check_endpoints(admin: Admin, place: str, attribute: str) -> None:
    for each in PATHS:
        if not any(word in each for word in RELATED[place.partition("_")[0]]):
            continue
        path, _, query = each.replace("KEY", KEY).partition("?")
        answer = admin.ask("GET", path, query=dict(pair.split("=") for pair in query.split("&") if pair))
        is_bounded = answer.status == 400 and answer.error["code"] == "range_too_large"  # by a count in a total
        assert is_bounded or answer.status in (200, 404, 409), (place, attribute, each, answer.body)
        json.dumps(answer.body, allow_nan=False)

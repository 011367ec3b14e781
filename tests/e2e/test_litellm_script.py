"""The calls of a script for LiteLLM's proxy, against the whole router."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.stack import KEY, Stack, eventually, running


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    data: Path = tmp_path_factory.mktemp("litellm")
    with running(data) as stack:
        yield stack


def test_a_litellm_script_runs_unchanged(stack: Stack) -> None:
    def call(method: str, path: str, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {KEY}"}
        answer = httpx.request(method, f"{stack.root}{path}", headers=headers, timeout=60, **options)
        answer.raise_for_status()
        return answer.json()

    def chat(key: str, model: str = "auto-chat") -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 20}
        return httpx.post(f"{stack.url}/chat/completions", json=body, headers={"Authorization": f"Bearer {key}"})

    generated = call(
        "POST",
        "/key/generate",
        json={
            "key_alias": "ci-bot",
            "duration": "30d",
            "models": ["auto-chat", "auto-claude"],
            "max_budget": 10,
            "budget_duration": "30d",
            "rpm_limit": 100,
            "tpm_limit": 100000,
            "max_parallel_requests": 5,
            "metadata": {"team": "ci"},
            "tags": ["ci"],
            "user_id": "bot",
            "aliases": {},
            "config": {},
            "spend": 0,
            "team_id": None,
        },
    )
    key, token = generated["key"], generated["token"]
    assert generated["key_name"] == f"sk-...{key[-4:]}"
    assert datetime.fromisoformat(generated["expires"]) > datetime.now(UTC) + timedelta(days=29)

    answer = chat(key)
    assert answer.status_code == 200
    assert answer.headers["x-ratelimit-limit-requests"] == "100"
    rejected = chat(key, "auto-codex")
    assert (rejected.status_code, rejected.json()["error"]["code"]) == (403, "key_model_access_denied")
    assert httpx.get(f"{stack.root}/key/list", headers={"Authorization": f"Bearer {key}"}).status_code == 403

    info = call("GET", "/key/info", params={"key": key})
    assert info["key"] == key
    assert info["info"]["key_alias"] == "ci-bot"
    assert info["info"]["max_budget"] == 10
    assert info["info"]["models"] == ["auto-chat", "auto-claude"]

    listed = call("GET", "/key/list", params={"page": 1, "size": 10})
    assert listed == {"keys": [token], "total_count": 1, "current_page": 1, "total_pages": 1}

    updated = call("POST", "/key/update", json={"key": key, "max_budget": 20, "models": ["auto-chat", "auto-codex"]})
    assert updated["max_budget"] == 20

    # All of this takes up to ten seconds to reach every environment, so it is waited for once.
    blocked, deleted = (call("POST", "/key/generate", json={"key_alias": each})["key"] for each in ("old", "older"))
    assert [chat(each).status_code for each in (blocked, deleted)] == [200, 200]
    call("POST", "/key/block", json={"key": key})
    call("POST", "/key/unblock", json={"key": key})
    call("POST", "/key/block", json={"key": blocked})
    assert call("POST", "/key/delete", json={"keys": [deleted]})["deleted_keys"] == [deleted]
    eventually(lambda: chat(key, "auto-codex").status_code == 200)  # one of the models that it was given
    eventually(lambda: chat(blocked).json().get("error", {}).get("code") == "key_blocked")
    eventually(lambda: chat(deleted).json().get("error", {}).get("code") == "key_deleted")

    today = datetime.now(UTC).date()
    dates = {"start_date": str(today - timedelta(days=1)), "end_date": str(today)}

    def rows() -> Any:
        found = call("GET", "/spend/logs", params={"api_key": key, **dates})
        return found if {row["model_group"] for row in found} >= {"auto-chat", "auto-codex"} else None

    found = eventually(rows)
    assert isinstance(found, list)
    row = next(each for each in found if each["status"] == "success")
    assert row["api_key"] == token
    assert row["total_tokens"] == row["prompt_tokens"] + row["completion_tokens"] > 0
    assert row["request_tags"] == ["ci"]
    assert row["startTime"] <= row["endTime"]
    assert call("GET", "/spend/logs", params={"api_key": token, **dates}) == call(
        "GET", "/spend/logs", params={"api_key": key, **dates}
    )
    one = call("GET", "/spend/logs", params={"request_id": row["request_id"]})
    assert [each["request_id"] for each in one] == [row["request_id"]]

    team = call("POST", "/team/new", json={"team_alias": "ci", "models": [], "max_budget": 100})
    assert call("GET", "/team/info", params={"team_id": team["team_id"]})["team_info"]["team_alias"] == "ci"

    regenerated = call("POST", f"/key/{key}/regenerate", json={"grace_period": "1h"})
    assert regenerated["key"] != key
    assert chat(regenerated["key"]).status_code == 200

    rest = [regenerated["key"], blocked]
    assert call("POST", "/key/delete", json={"keys": rest})["deleted_keys"] == rest
    assert call("GET", "/key/list")["total_count"] == 0
    models = call("GET", "/model/info")["data"]
    assert {each["model_name"] for each in models} >= {"auto-chat", "auto-codex-mini"}

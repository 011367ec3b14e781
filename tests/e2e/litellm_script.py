"""A script as people have for a LiteLLM proxy: nothing in it depends on this router.

LITELLM_PROXY_URL and LITELLM_MASTER_KEY say where it is. Any surprise ends it.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import httpx
import openai

URL = os.environ["LITELLM_PROXY_URL"]
MASTER_KEY = os.environ["LITELLM_MASTER_KEY"]
HEADERS = {"Authorization": f"Bearer {MASTER_KEY}", "Content-Type": "application/json"}


def get(path: str, **query: Any) -> Any:
    answer = httpx.get(URL + path, params=query, headers=HEADERS, timeout=60)
    answer.raise_for_status()
    return answer.json()


def post(path: str, **body: Any) -> Any:
    answer = httpx.post(URL + path, json=body, headers=HEADERS, timeout=60)
    assert answer.status_code == 200, f"{path}: {answer.text}"
    return answer.json()


def until(look: Callable[[], Any], seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.3)
    return found


def ask(key: str, model: str = "auto-chat") -> str | None:
    with openai.OpenAI(base_url=URL, api_key=key, max_retries=0) as client:
        answer = client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "Hello"}],
            extra_body={"metadata": {"tags": ["job:1", "nightly"], "trace_id": "t-1"}},
        )
    return answer.choices[0].message.content


def status_of(key: str, model: str = "auto-chat") -> tuple[int, str | None]:
    try:
        ask(key, model)
    except openai.APIStatusError as error:
        return error.status_code, error.code
    return 200, None


def main() -> None:
    assert httpx.get(f"{URL}/health/liveliness", timeout=60).status_code == 200
    assert "auto-chat" in {each["model_name"] for each in get("/model/info")["data"]}

    team = post("/team/new", team_alias="research", max_budget=100, models=["auto-chat", "auto-claude"])
    team_id = team["team_id"]
    made = post(
        "/key/generate",
        key_alias="notebook",
        duration="30d",
        models=["auto-chat"],
        max_budget=10,
        budget_duration="30d",
        rpm_limit=100,
        tpm_limit=100_000,
        max_parallel_requests=5,
        metadata={"project": "paper"},
        tags=["paper"],
        user_id="someone",
        team_id=team_id,
        blocked=False,
        aliases={},
        config={},
        permissions={},
        spend=0,
        model_max_budget={"auto-chat": {"budget_limit": "5", "time_period": "1d"}},
        soft_budget=8,
        guardrails=None,
    )
    key = made["key"]
    assert key.startswith("sk-")
    assert made["key_name"] == f"sk-...{key[-4:]}"
    assert made["expires"]
    assert made["token"]
    info = get("/key/info", key=key)["info"]
    assert (info["key_alias"], info["max_budget"], info["rpm_limit"]) == ("notebook", 10, 100)
    assert (info["models"], info["spend"], info["metadata"]["project"]) == (["auto-chat"], 0, "paper")
    assert (info["user_id"], info["team_id"], info["blocked"]) == ("someone", team_id, False)

    assert ask(key)
    assert status_of(key, "auto-claude") == (403, "key_model_access_denied")
    assert [model.id for model in openai.OpenAI(base_url=URL, api_key=key).models.list()] == ["auto-chat"]

    listed = get("/key/list", page=1, size=10)
    assert made["token"] in listed["keys"]
    assert (listed["current_page"], listed["total_count"]) == (1, len(listed["keys"]))
    full = get("/key/list", page=1, size=10, return_full_object="true", team_id=team_id)
    assert [each["key_alias"] for each in full["keys"]] == ["notebook"]

    rows = until(lambda: get("/spend/logs", api_key=key))
    assert {row["api_key"] for row in rows} == {made["token"]}
    served = next(row for row in rows if row["status"] == "success")
    assert served["model_group"] == "auto-chat"
    assert served["total_tokens"] == served["prompt_tokens"] + served["completion_tokens"] > 0
    assert served["startTime"] <= served["completionStartTime"] <= served["endTime"]
    assert served["spend"] >= 0
    assert {"job:1", "nightly", "paper"} <= set(served["request_tags"])
    assert get("/spend/logs", request_id=served["request_id"])[0]["request_id"] == served["request_id"]
    assert isinstance(get("/global/spend")["spend"], float)
    assert get("/global/spend/keys", limit=5)[0]["api_key"]
    assert get("/global/spend/models", limit=5)[0]["model"]
    assert "nightly" in {each["individual_request_tag"] for each in get("/spend/tags")}
    activity = get("/global/activity", start_date=served["startTime"][:10], end_date=served["endTime"][:10])
    assert activity["sum_api_requests"] == sum(each["api_requests"] for each in activity["daily_data"]) > 0
    assert "auto-chat" in {each["model_group"] for each in get("/model_group/info")["data"]}
    assert info["model_max_budget"]["auto-chat"]["time_period"] == "1d"

    post("/key/update", key=key, models=["auto-chat", "auto-claude"], max_budget=20, metadata={"project": "book"})
    info = get("/key/info", key=key)["info"]
    assert (info["max_budget"], info["metadata"], info["rpm_limit"]) == (20, {"project": "book"}, 100)
    until(lambda: status_of(key, "auto-claude") == (200, None))

    post("/key/block", key=key)
    until(lambda: status_of(key) == (401, "key_blocked"))
    post("/key/unblock", key=key)
    until(lambda: status_of(key) == (200, None))

    renewed = post(f"/key/{key}/regenerate", max_budget=30)
    assert renewed["key"] != key
    assert get("/key/info", key=renewed["key"])["info"]["max_budget"] == 30
    assert ask(renewed["key"])
    until(lambda: status_of(key)[0] == 401)

    assert post("/key/delete", keys=[renewed["key"]]) == {"deleted_keys": [renewed["key"]]}
    until(lambda: status_of(renewed["key"]) == (401, "key_deleted"))
    assert post("/team/update", team_id=team_id, max_budget=200)["data"]["max_budget"] == 200
    assert get("/team/info", team_id=team_id)["team_info"]["team_alias"] == "research"
    assert team_id in {each["team_id"] for each in get("/team/list")}
    post("/team/delete", team_ids=[team_id])

    user = post("/user/new", user_id="ann", user_email="ann@example.com", max_budget=5, models=["auto-chat"])
    assert ask(user["key"])
    assert get("/user/info", user_id="ann")["user_info"]["max_budget"] == 5
    assert "ann" in {each["user_id"] for each in get("/user/list")["users"]}
    post("/user/update", user_id="ann", user_alias="Ann", max_budget=0)
    until(lambda: status_of(user["key"]) == (402, "budget_exceeded"))
    post("/user/delete", user_ids=["ann"])
    until(lambda: status_of(user["key"]) == (401, "key_deleted"))
    print("all went well")


if __name__ == "__main__":
    main()

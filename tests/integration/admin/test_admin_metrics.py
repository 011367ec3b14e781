"""GET /metrics: what it says, and who may read it."""

from dataclasses import replace
from typing import Any

import pytest

from tests.integration.admin.harness import MASTER, Admin
from tests.integration.admin.test_admin_usage import RECORD, book
from tests.metrics_text import read_metrics
from vibe_router.routing.cooldown import State, healthy
from vibe_router.routing.verdict import Verdict
from vibe_router.store import usage as usage_store

SCRAPER = "the-key-of-the-scraper"


@pytest.fixture
def scraped(admin: Admin) -> Admin:
    """Return a router that was scraped before it was used."""
    admin.put_secret({**admin.secret(), "METRICS_KEY": SCRAPER})
    assert admin.ask("GET", "/metrics").status == 200
    return admin


def read(admin: Admin) -> dict[Any, float]:
    answer = admin.ask("GET", "/metrics", key=SCRAPER)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == ["text/plain; version=0.0.4; charset=utf-8"]
    return read_metrics(answer.body)


def test_totals_are_counters_and_histograms(scraped: Admin) -> None:
    odd = 'say "hi"\\\n'
    book(scraped, (RECORD, replace(RECORD, request_id="odd", model=odd, ttft_ms=None, status=500, error="x")))
    found = read(scraped)

    def value(name: str, **labels: str) -> float:
        return found[name, frozenset(labels.items())]

    assert value("vibe_requests_total") == 2
    assert value("vibe_errors_total") == 1
    assert value("vibe_tokens_total", type="input_cached") == 50
    assert value("vibe_cost_dollars_total") == 1e-05
    assert value("vibe_model_requests_total", model=odd) == 1
    assert value("vibe_team_cost_dollars_total", team="red") == 1e-05
    assert value("vibe_deployment_tokens_total", deployment="ark/glm-4.7", type="output") == 40
    for le, count in (("0.2", 0), ("0.3", 1), ("500", 1), ("+Inf", 1)):
        assert value("vibe_model_time_to_first_token_seconds_bucket", model="auto-chat", le=le) == count
    assert value("vibe_model_time_to_first_token_seconds_sum", model="auto-chat") == 0.25
    assert value("vibe_request_duration_seconds_count") == 1
    assert value("vibe_counters_start_time_seconds", of="all") == 1_799_971_200
    assert not any("laptop" in str(each) or "ann@" in str(each) for each in found), "neither keys nor users"
    assert read(scraped) == found


def test_the_health_of_deployments_is_a_gauge(scraped: Admin) -> None:
    now = scraped.time.now
    cooling = replace(healthy("deployment#ark/glm-4.7"), until=now + 30, verdict=Verdict.QUOTA, strikes=1)
    assert isinstance(scraped.environment.states.replace(healthy(cooling.id), cooling), State)
    found = read(scraped)
    for deployment, well, seconds in (("ark/glm-4.7", 0, 30), ("new-api/gpt-5", 1, 0)):
        labels = frozenset({"deployment": deployment, "provider": deployment.partition("/")[0]}.items())
        assert found["vibe_deployment_healthy", labels] == well
        assert found["vibe_deployment_cooldown_seconds", labels] == seconds


def test_the_scrapers_key_opens_nothing_else(scraped: Admin) -> None:
    for method, path in (("POST", "/metrics"), ("GET", "/key/list"), ("GET", "/usage/overview"), ("GET", "/metrics/x")):
        assert scraped.ask(method, path, {}, key=SCRAPER).status == 401, path
    assert scraped.ask("GET", "/metrics", key=MASTER).status == 200


def test_without_a_right_key_there_are_no_metrics(admin: Admin) -> None:
    virtual = admin.made("/key/generate", key_alias="laptop")["key"]
    for key, status in (("sk-wrong", 401), (None, 401), (virtual, 403)):
        assert admin.ask("GET", "/metrics", key=key).status == status
    assert admin.ask("GET", "/metrics", key="").status == 401, "an unset key matches nothing"


def test_a_weak_key_and_too_many_totals_are_reported(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    admin.put_secret({**admin.secret(), "METRICS_KEY": "short"})
    monkeypatch.setattr(admin.environment, "is_local", False)
    refused = admin.ask("GET", "/metrics", key="short")
    assert (refused.status, "METRICS_KEY" in refused.error["message"]) == (503, True)
    assert admin.ask("GET", "/metrics").status == 200
    book(admin, (RECORD,))
    monkeypatch.setattr(usage_store, "_MAX_TOTALS", 0)
    assert admin.ask("GET", "/metrics").error["code"] == "too_many_totals"

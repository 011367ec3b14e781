"""The table of providers' errors: every row is there, is sent as written, and carries what a router needs."""

import json
from datetime import datetime

import pytest

from local.standin.dialects import ALIASES, CASES, Case, Facts, find_case, plain_error

EVERY_CASE = [
    pytest.param(dialect, name, case, id=f"{dialect}: {name}")
    for dialect, cases in CASES.items()
    for name, case in cases.items()
]


@pytest.mark.parametrize(("dialect", "name", "case"), EVERY_CASE)
def test_every_case_is_an_error_with_a_reading(dialect: str, name: str, case: Case) -> None:
    rendered = case.render(Facts(model="some-model", reset_in=90))
    assert rendered.status == case.status
    assert 400 <= case.status <= 599
    assert (case.scope is None) == (case.verdict in ("client", "content_policy", "context_length", "unsupported"))
    if rendered.headers["content-type"] == "application/json" and rendered.body:
        assert "error" in json.loads(rendered.body)


@pytest.mark.parametrize(("dialect", "name", "case"), EVERY_CASE)
def test_the_same_facts_give_the_same_bytes(dialect: str, name: str, case: Case) -> None:
    facts = Facts(model="some-model", now=1.0, reset_in=5, request_id="r")
    assert case.render(facts) == case.render(facts)


@pytest.mark.parametrize(
    ("dialect", "alias", "name"),
    [
        pytest.param(dialect, alias, name, id=f"{dialect}: {alias} is {name}")
        for dialect, names in ALIASES.items()
        for alias, name in names.items()
    ],
)
def test_every_alias_leads_to_a_case_and_hides_none(dialect: str, alias: str, name: str) -> None:
    assert name in CASES[dialect]
    assert alias not in CASES[dialect]


@pytest.mark.parametrize("provider", ["cliproxyapi", "new-api", "ark", "somebody-else"])
@pytest.mark.parametrize("name", ["rate_limit", "quota", "quota_reset", "bad_key", "missing_key", "unknown_model"])
def test_common_words_mean_something_at_every_provider(provider: str, name: str) -> None:
    assert find_case(provider, name) is not None


def _body(provider: str, name: str, facts: Facts) -> dict[str, dict[str, object]]:
    case = find_case(provider, name)
    assert case is not None
    parsed = json.loads(case.render(facts).body)
    assert isinstance(parsed, dict)
    return parsed


def test_cliproxyapis_key_errors_are_strings() -> None:
    case = find_case("cliproxyapi", "bad_key")
    assert case is not None
    assert json.loads(case.render().body) == {"error": "Invalid API key"}


def test_cliproxyapi_counts_a_cooldown_in_go_durations_and_seconds() -> None:
    case = find_case("cliproxyapi", "quota_reset")
    assert case is not None
    rendered = case.render(Facts(model="claude-sonnet-4-6", reset_in=495_669))
    error = json.loads(rendered.body)["error"]
    assert rendered.headers["retry-after"] == "495669"
    assert (error["code"], error["reset_time"], error["reset_seconds"]) == ("model_cooldown", "137h41m9s", 495_669)
    assert "claude-sonnet-4-6" in error["message"]


@pytest.mark.parametrize(
    ("seconds", "written"), [(9, "9s"), (60, "1m0s"), (150, "2m30s"), (3600, "1h0m0s"), (495_669, "137h41m9s")]
)
def test_durations_are_written_as_go_writes_them(seconds: int, written: str) -> None:
    assert _body("cliproxyapi", "model_cooldown", Facts(reset_in=seconds))["error"]["reset_time"] == written


def test_codex_reports_its_reset_twice() -> None:
    error = _body("cliproxyapi", "usage_limit", Facts(now=1_000_000.0, reset_in=600))["error"]
    assert error["type"] == "usage_limit_reached"
    assert (error["resets_at"], error["resets_in_seconds"]) == (1_000_600, 600)


def test_ark_writes_its_reset_in_chinese_time() -> None:
    now = datetime.fromisoformat("2026-08-03T23:00:00+08:00").timestamp()
    error = _body("ark", "quota_reset", Facts(now=now, reset_in=3599))["error"]
    assert error["code"] == "AccountQuotaExceeded"
    assert "It will reset at 2026-08-03 23:59:59 +0800 CST." in str(error["message"])


@pytest.mark.parametrize("name", ["bad_key", "no_channel", "quota", "relayed_usage_limit", "codex_chat"])
def test_new_api_ends_its_messages_in_the_request_id(name: str) -> None:
    message = _body("new-api", name, Facts(request_id="abc123"))["error"]["message"]
    assert str(message).endswith("(request id: abc123)")


@pytest.mark.parametrize("provider", ["new-api", "ark"])
def test_relays_that_send_no_retry_after_send_none(provider: str) -> None:
    for case in CASES[provider].values():
        assert "retry-after" not in case.render(Facts(reset_in=30)).headers


def test_openai_reports_the_wait_in_four_headers() -> None:
    headers = CASES["common"]["rate_limit"].render(Facts(reset_in=360)).headers
    assert headers["retry-after"] == "360"
    assert headers["retry-after-ms"] == "360000"
    assert headers["x-ratelimit-reset-requests"] == "6m0s"
    assert headers["x-ratelimit-reset-tokens"] == "120ms"


def test_anthropic_reports_the_reset_as_a_date() -> None:
    now = datetime.fromisoformat("2026-08-01T16:00:00+00:00").timestamp()
    headers = CASES["anthropic"]["rate_limit"].render(Facts(now=now, reset_in=30)).headers
    assert headers["anthropic-ratelimit-requests-reset"] == "2026-08-01T16:00:30Z"


def test_a_case_of_another_dialect_has_a_name_with_a_colon() -> None:
    assert find_case("cliproxyapi", "ark:set_limit") is CASES["ark"]["set_limit"]
    assert find_case("cliproxyapi", "nobody:set_limit") is None
    assert find_case("cliproxyapi", "set_limit") is None


@pytest.mark.parametrize("provider", ["cliproxyapi", "new-api", "ark", "anthropic", "somebody-else"])
@pytest.mark.parametrize("status", [400, 503])
def test_any_status_has_an_error_in_the_providers_shape(provider: str, status: int) -> None:
    reported = plain_error(provider, status, "something is wrong", Facts(request_id="abc123"))
    assert isinstance(reported, dict)
    assert reported["error"]["message"].startswith("something is wrong")
    assert ("abc123" in reported["error"]["message"]) == (provider in ("new-api", "ark"))

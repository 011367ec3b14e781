"""Rows that were spoilt by hand in the running tables: what is still right goes on, and the log names the rest."""

from typing import Any

import pytest

from tests.integration.gateway_faults.fleet import L1, L2, L3, Fleet
from tests.unit.store.fakes import NOW

SPOILT_MODELS: dict[str, dict[str, Any]] = {
    "has no chain": {},
    "has an empty chain": {"chain": []},
    "has text for a chain": {"chain": "cliproxyapi/claude-sonnet-4-6"},
    "names a provider that is not there": {"chain": [{"provider": "bedrock", "model": "nova"}]},
    "has a step without a model": {"chain": [{"provider": "ark"}]},
    "has a setting that is not known": {"chain": [{"provider": "ark", "model": "glm-4.7"}], "retires": 3},
    "has a timeout below zero": {"chain": [{"provider": "ark", "model": "glm-4.7"}], "timeouts": {"connect": -1}},
    "has null for a chain": {"chain": None},
}
SPOILT_PROVIDERS: dict[str, dict[str, Any]] = {
    "has no base URL": {"secret": "CHAT_AUTO_API_KEY"},
    "has a number for a base URL": {"base_url": 4000, "secret": "CHAT_AUTO_API_KEY"},
    "has a base URL of no web server": {"base_url": "ftp://example.com", "secret": "CHAT_AUTO_API_KEY"},
    "has a list for a secret": {"base_url": "https://example.com/v1", "secret": ["CHAT_AUTO_API_KEY"]},
}
SPOILT_STATES: dict[str, dict[str, Any]] = {
    "says nothing": {},
    "has text for a time": {"version": 3, "until": "soon", "verdict": "transient"},
    "has a time in milliseconds": {"version": 3, "until": NOW * 1000, "verdict": "transient"},
    "has a verdict of nobody's": {"version": 3, "until": NOW + 60, "verdict": "bored"},
    "has null for a version": {"version": None, "until": NOW + 60},
    "has a map for strikes": {"version": 3, "strikes": {"of": "luck"}},
}


@pytest.mark.parametrize("row", SPOILT_MODELS.values(), ids=SPOILT_MODELS)
def test_a_model_with_a_corrupt_row_is_served_from_the_last_good_version(fleet: Fleet, row: dict[str, Any]) -> None:
    good = fleet.route("model", "auto-chat")
    gateway = fleet.gateway()
    assert gateway.ask().deployment == L1
    fleet.put_route("model", "auto-chat", **row)
    for _ in range(3):
        fleet.time.advance(10)
        assert gateway.ask().deployment == L1
        assert gateway.ask("auto-spare").deployment == L3
    (reported,) = fleet.warnings  # once, however often the row is read
    assert "auto-chat" in reported
    started = fleet.gateway()  # and this one never saw the good row
    rejected = started.ask()
    assert (rejected.status, rejected.json["error"]["code"]) == (503, "model_misconfigured")
    assert started.ask("auto-spare").deployment == L3
    fleet.put_route("model", "auto-chat", **good | {"chain": good["chain"][1:]})
    fleet.time.advance(10)
    assert [each.ask().deployment for each in (gateway, started)] == [L2, L2]
    assert len(fleet.warnings) == 2


@pytest.mark.parametrize("row", SPOILT_PROVIDERS.values(), ids=SPOILT_PROVIDERS)
def test_a_provider_with_a_corrupt_row_is_called_by_the_last_good_version(fleet: Fleet, row: dict[str, Any]) -> None:
    gateway = fleet.gateway()
    assert gateway.ask().deployment == L1
    fleet.put_route("provider", "cliproxyapi", **row)
    fleet.time.advance(10)
    assert gateway.ask().deployment == L1
    assert any("cliproxyapi" in reported for reported in fleet.warnings)
    started = fleet.gateway()
    assert started.ask("auto-spare").deployment == L3
    assert started.ask().status in (200, 503)


def test_a_row_of_an_unknown_kind_is_logged_and_ignored(fleet: Fleet) -> None:
    fleet.put_route("modle", "auto-chat", chain=[])
    gateway = fleet.gateway()
    assert gateway.ask().deployment == L1
    (reported,) = fleet.warnings
    assert "modle" in reported


@pytest.mark.parametrize("item", SPOILT_STATES.values(), ids=SPOILT_STATES)
def test_a_corrupt_state_is_healthy_and_replaced_by_the_next_failure(fleet: Fleet, item: dict[str, Any]) -> None:
    fleet.put_state({"id": f"deployment#{L1}", **item})
    one, two = fleet.gateway(), fleet.gateway()
    assert [gateway.ask().deployment for gateway in (one, two)] == [L1, L1]
    fleet.standin.fault("cliproxyapi", "503")
    assert one.ask().deployment == L2
    assert (fleet.state(L1)["until"], fleet.state(L1)["verdict"]) == (NOW + 5, "transient")
    fleet.time.advance(1)
    assert [gateway.ask().deployment for gateway in (one, two, fleet.gateway())] == [L2] * 3
    assert fleet.calls(L1) == 3
    if item:
        assert [f"deployment#{L1} is corrupt" in reported for reported in fleet.warnings] == [
            True,
            True,
        ]  # by each environment


def test_a_cooldown_deleted_by_hand_ends_within_a_second(fleet: Fleet) -> None:
    gateway = fleet.gateway()
    fleet.standin.fault("cliproxyapi", "model_cooldown", times=1, reset_in=1000)
    assert [gateway.ask().deployment for _ in range(2)] == [L2] * 2
    key = {"id": {"S": f"deployment#{L1}"}}
    fleet.aws.call("dynamodb", "DeleteItem", TableName=fleet.settings.state_table, Key=key)
    fleet.time.advance(1)
    assert gateway.ask().deployment == L1

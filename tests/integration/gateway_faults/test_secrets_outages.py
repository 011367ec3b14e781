"""Secrets Manager is slow, silent or throttled: keys that are known go on being used."""

import json
from dataclasses import replace

import pytest

from tests.integration.gateway_faults.aws_front import Abort, Fault, Garbage, Hang, Refused, Slow
from tests.integration.gateway_faults.fleet import KEY, L1, L2, Fleet
from vibe_router.store.secrets import MIN_MASTER_KEY

READ = ["GetSecretValue"]
OUTAGES: dict[str, Fault] = {
    "throttled": Abort(400, "ThrottlingException"),
    "unreachable": Refused(),
    "played by a proxy's page": Garbage(),
}


def rotate(fleet: Fleet, name: str, value: str) -> None:
    """Put another key into the secret."""
    text = json.dumps(fleet.secrets | {name: value})
    fleet.aws.call("secretsmanager", "PutSecretValue", SecretId=fleet.settings.secret_id, SecretString=text)


def test_a_slow_secret_delays_one_request(fleet: Fleet) -> None:
    fleet.aws.fail(Slow(0.3), "secretsmanager")
    gateway = fleet.gateway()
    for _ in range(50):
        assert gateway.ask().deployment == L1
        fleet.time.advance(1)
    assert gateway.secrets_wire.took() == READ
    assert fleet.warnings == []


def test_cached_keys_stay_in_use_and_are_read_again_every_half_minute(fleet: Fleet) -> None:
    gateway = fleet.gateway()
    assert gateway.ask().deployment == L1
    fleet.aws.fail(Hang(), "secretsmanager")
    fleet.time.advance(300)
    gateway.secrets_wire.took()
    for _ in range(29):
        assert gateway.ask().deployment == L1
        fleet.time.advance(1)
    assert gateway.secrets_wire.took() == READ
    assert fleet.warnings == ["the secret cannot be read (ReadTimeoutError): the last values stay in use"]
    fleet.aws.heal()
    rotate(fleet, "CHAT_AUTO_API_KEY", "sk-rotated")
    fleet.time.advance(1)
    assert gateway.ask().deployment == L1
    assert gateway.environment.secrets.get("CHAT_AUTO_API_KEY") == "sk-rotated"
    assert fleet.warnings[1:] == ["the secret can be read again"]


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
def test_an_environment_that_starts_without_keys_serves_once_they_are_read(fleet: Fleet, outage: Fault) -> None:
    fleet.aws.fail(outage, "secretsmanager")
    gateway = fleet.gateway()
    for _ in range(3):
        began = fleet.time.now
        answer = gateway.ask()
        assert (answer.status, answer.json["error"]["code"]) == (503, "temporarily_unavailable")
        assert 4 < fleet.time.now - began <= 5, "no environment fails faster than others work"
        assert len(gateway.secrets_wire.took()) > 5
    fleet.aws.heal()
    fleet.time.advance(2)
    assert gateway.ask().deployment == L1
    assert [line.partition(" (")[0] for line in fleet.warnings] == [
        "the secret cannot be read",
        "the secret can be read again",
    ]


def test_an_environment_that_stays_without_keys_ends_after_its_answer(fleet: Fleet) -> None:
    fleet.aws.fail(Refused(), "secretsmanager")
    gateway = fleet.gateway()
    assert gateway.ask().status == 503
    fleet.time.advance(60)
    with pytest.raises(SystemExit):
        gateway.ask()
    assert fleet.decisions[-1]["status"] == 503


def test_a_key_changed_during_the_outage_is_used_after_it(fleet: Fleet) -> None:
    gateway = fleet.gateway()
    assert gateway.ask().deployment == L1
    rotate(fleet, "CHAT_AUTO_API_KEY", "sk-rotated")
    fleet.standin.fault("cliproxyapi", "bad_key")
    fleet.aws.fail(Refused(), "secretsmanager")
    fleet.time.advance(60)
    gateway.secrets_wire.took()
    assert [gateway.ask().deployment for _ in range(10)] == [L2] * 10
    assert gateway.secrets_wire.took() == READ
    assert fleet.decisions[1]["attempts"][0]["verdict"] == "auth"
    assert fleet.calls(L1) == 2
    fleet.aws.heal()
    fleet.standin.heal()
    fleet.time.advance(31)
    assert gateway.ask().deployment == L1
    assert gateway.environment.secrets.get("CHAT_AUTO_API_KEY") == "sk-rotated"


def test_a_short_master_key_is_rejected_on_aws(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    assert len(KEY) < MIN_MASTER_KEY
    assert fleet.gateway().ask().status == 200, "on loopback any key will do"
    fleet.settings = replace(fleet.settings, is_local=False)
    answer = fleet.gateway().ask()
    assert (answer.status, answer.json["error"]["code"]) == (401, "invalid_api_key")
    assert f"shorter than {MIN_MASTER_KEY} characters" in caplog.text
    assert KEY not in caplog.text


def test_no_key_is_logged(fleet: Fleet) -> None:
    gateway = fleet.gateway()
    fleet.standin.fault("cliproxyapi", "bad_key", times=1)
    gateway.ask()
    fleet.aws.fail(Garbage(), "secretsmanager", "dynamodb")
    fleet.time.advance(400)
    gateway.ask()
    log = fleet.log.getvalue()
    assert "ROUTING DECISION" in log
    assert not [value for value in fleet.secrets.values() if value in log]

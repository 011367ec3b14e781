import json
import logging
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from moto import mock_aws

from tests.unit.store.fakes import NOW, OUTAGES, Time, Wire
from vibe_cli.boto import BotoApi, session
from vibe_router.store.secrets import Secrets, SecretsManager, SecretsUnavailableError

Put = Callable[[object], None]

HELD = {"MASTER_KEY": "sk-master-000", "ARK_API_KEY": "sk-ark-111", "EMPTY": "", "PORT": 4000}


@pytest.fixture(scope="module", autouse=True)
def played() -> Iterator[None]:
    """Have moto play AWS, which it does for sessions that are made meanwhile."""
    session.cache_clear()
    with mock_aws():
        yield
    session.cache_clear()


@pytest.fixture
def name() -> str:
    return f"vibe-{uuid4()}"


@pytest.fixture
def client(name: str, monkeypatch: pytest.MonkeyPatch) -> SecretsManager:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    client = SecretsManager(BotoApi(session().client("secretsmanager")))
    client.api.call("CreateSecret", {"Name": name, "SecretString": json.dumps(HELD)})
    return client


@pytest.fixture
def wire(client: SecretsManager) -> Wire:
    return Wire(client)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def secrets(client: SecretsManager, name: str, wire: Wire, time: Time) -> Secrets:
    return Secrets(client, name, time.clock)


@pytest.fixture
def put(client: SecretsManager, name: str, wire: Wire) -> Put:
    """Give the secret another value, without that being counted as a call."""

    def put(value: object) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        client.api.call("PutSecretValue", {"SecretId": name, "SecretString": text})
        wire.took()

    return put


def test_one_read_serves_every_name(secrets: Secrets, wire: Wire) -> None:
    assert wire.took() == []
    assert secrets.get("MASTER_KEY") == "sk-master-000"
    assert secrets.get("ARK_API_KEY") == "sk-ark-111"
    assert wire.took() == ["GetSecretValue"]


@pytest.mark.parametrize("key", ["NOBODY", "EMPTY", "PORT"], ids=["missing", "empty", "not text"])
def test_an_empty_or_missing_secret_has_no_value(secrets: Secrets, key: str) -> None:
    assert secrets.get(key) is None


def test_the_secret_is_read_again_after_five_minutes(secrets: Secrets, put: Put, wire: Wire, time: Time) -> None:
    secrets.get("ARK_API_KEY")
    put({"ARK_API_KEY": "sk-ark-222"})
    time.advance(299)
    assert secrets.get("ARK_API_KEY") == "sk-ark-111"
    time.advance(1)
    assert secrets.get("ARK_API_KEY") == "sk-ark-222"
    assert secrets.get("MASTER_KEY") is None
    assert wire.took() == ["GetSecretValue"]


def test_an_invalidated_value_is_read_again_by_the_next_get(secrets: Secrets, put: Put, wire: Wire, time: Time) -> None:
    secrets.get("ARK_API_KEY")
    put({"ARK_API_KEY": "sk-ark-222"})
    time.advance(60)
    assert secrets.get("ARK_API_KEY") == "sk-ark-111"
    secrets.invalidate()
    assert wire.took() == []
    assert secrets.get("ARK_API_KEY") == "sk-ark-222"
    assert secrets.get("ARK_API_KEY") == "sk-ark-222"
    assert wire.took() == ["GetSecretValue"]


def test_a_key_that_is_always_rejected_causes_few_reads(secrets: Secrets, wire: Wire, time: Time) -> None:
    for _ in range(600):  # a minute
        secrets.get("ARK_API_KEY")
        secrets.invalidate()
        time.advance(0.1)
    assert len(wire.took()) == 2


@pytest.mark.parametrize("error", OUTAGES.values(), ids=OUTAGES)
def test_the_last_good_values_stay_in_use_during_an_outage(
    secrets: Secrets, wire: Wire, time: Time, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    secrets.get("ARK_API_KEY")
    wire.took()
    time.advance(300)
    wire.fault = error
    for _ in range(90):
        assert secrets.get("ARK_API_KEY") == "sk-ark-111"
        secrets.invalidate()
        time.advance(1)
    assert len(wire.took()) == 3  # each may cost a request its bound, so there is one in 30 s
    wire.fault = None
    time.advance(30)
    assert secrets.get("ARK_API_KEY") == "sk-ark-111"
    reported = [record.getMessage() for record in caplog.records]
    assert len(reported) == 2
    assert "cannot be read" in reported[0]
    assert "can be read again" in reported[1]


def test_a_failed_first_read_is_retried(secrets: Secrets, wire: Wire) -> None:
    wire.faults = [OUTAGES["read timeout"]]
    assert secrets.get("ARK_API_KEY") == "sk-ark-111"
    assert wire.took() == ["GetSecretValue"] * 2


def test_a_request_without_values_retries_for_a_bounded_time(secrets: Secrets, wire: Wire, time: Time) -> None:
    wire.fault = OUTAGES["read timeout"]
    for _ in range(3):
        began = time.now
        with pytest.raises(SecretsUnavailableError):
            secrets.get("MASTER_KEY")
        assert 4 < time.now - began <= 5
        assert 5 < len(wire.took()) < 10


def test_a_cached_value_is_returned_without_a_call_or_a_wait(secrets: Secrets, wire: Wire, time: Time) -> None:
    began = time.now
    assert secrets.cached("ARK_API_KEY") is None
    assert (wire.took(), time.now) == ([], began)
    value = secrets.get("ARK_API_KEY")
    wire.took()
    time.advance(3600)
    secrets.invalidate()
    assert secrets.cached("ARK_API_KEY") == value is not None
    assert wire.took() == []


def test_a_waiting_request_is_served_once_the_values_are_read(secrets: Secrets, wire: Wire, time: Time) -> None:
    wire.faults = [OUTAGES["throttled"]] * 4
    assert secrets.get("MASTER_KEY") == "sk-master-000"
    assert time.now - NOW < 2


def test_an_environment_without_values_for_a_minute_is_broken(secrets: Secrets, wire: Wire, time: Time) -> None:
    wire.fault = OUTAGES["refused"]
    for seconds in (0, 30):
        time.advance(seconds)
        with pytest.raises(SecretsUnavailableError):
            secrets.get("MASTER_KEY")
        assert not secrets.is_broken
    time.advance(30)
    assert secrets.is_broken
    wire.fault = None
    secrets.get("MASTER_KEY")
    assert not secrets.is_broken


@pytest.mark.parametrize("value", [" sk-ark-222\n", "sk-ark-222\r\n", "\tsk-ark-222"])
def test_whitespace_around_a_secret_is_stripped(secrets: Secrets, put: Put, value: str) -> None:
    put({"ARK_API_KEY": value})
    assert secrets.get("ARK_API_KEY") == "sk-ark-222"


@pytest.mark.parametrize("value", ["sk-ark\n-222", "sk-ark\x00222", "sk\u2028222"])
def test_a_secret_with_a_line_break_inside_is_reported_and_not_used(
    secrets: Secrets, put: Put, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    put({"ARK_API_KEY": value, "NEW_API_KEY": "sk-new"})
    assert (secrets.get("ARK_API_KEY"), secrets.get("NEW_API_KEY")) == (None, "sk-new")
    assert "the secret ARK_API_KEY is misconfigured" in caplog.text
    assert "222" not in caplog.text


@pytest.mark.parametrize(
    "broken", ['{"ARK_API_KEY": "sk-ark-222",', '["sk-ark-222"]', "sk-ark-222"], ids=["half", "a list", "a bare key"]
)
def test_a_malformed_secret_is_never_logged_and_the_last_good_values_stay_in_use(
    secrets: Secrets,
    put: Put,
    time: Time,
    caplog: pytest.LogCaptureFixture,
    broken: str,
) -> None:
    secrets.get("ARK_API_KEY")
    put(broken)
    time.advance(300)
    assert secrets.get("ARK_API_KEY") == "sk-ark-111"
    assert "it is not" in caplog.text
    assert "222" not in caplog.text


def test_a_malformed_first_secret_raises_an_error_without_its_text(secrets: Secrets, put: Put) -> None:
    put("sk-ark-222 is not JSON")
    with pytest.raises(SecretsUnavailableError) as unavailable:
        secrets.get("ARK_API_KEY")
    assert unavailable.value.__context__ is None
    assert "222" not in str(unavailable.value)


def test_no_value_is_in_the_repr_or_in_any_log_even_at_debug(
    secrets: Secrets, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert secrets.get("ARK_API_KEY") == "sk-ark-111"
    assert "sk-" not in caplog.text
    assert "sk-" not in repr(secrets)
    assert "sk-" not in f"{secrets!s} {[secrets]}"

"""Tokens of an OpenID Connect provider as keys, through the handler, against a provider on loopback."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import pytest

from gateway import app
from streaming_runtime import StreamingResponse
from tests.integration.admin.oidc_provider import CLIENT, LocalProvider, encoded, providing, public_jwk, signed
from tests.unit.gateway.fake_environment import MASTER_KEY, FakeEnvironment, context, event
from vibe_router.access.keys import Caller, Key, Limits, Team
from vibe_router.core.clock import Clock
from vibe_router.pipeline.admission import Admission
from vibe_router.pipeline.token_callers import TokenCallers
from vibe_router.store.keys import KeyDirectory
from vibe_router.upstream.oidc_provider import ProviderKeys

RULES = {"teams": {"red": ["ann@example.com"]}, "users": ["*@example.com"], "limits": {"rpm_limit": 2}}
MESSAGES = [{"role": "user", "content": "Hi"}]
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
PATHS: Mapping[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": MESSAGES},
    "/v1/messages": {"messages": MESSAGES, "max_tokens": 10},
    "/v1/responses": {"input": "Hi", "store": False},
    "/v1/completions": {"prompt": "Hi"},
    "/v1beta/models/auto-chat:generateContent": GEMINI,
}
HEADERS = ["Authorization", "x-api-key", "api-key", "x-goog-api-key", "x-litellm-api-key"]
# A provider's own time is real, and so is the router's here: the tokens are signed for it.
NOW = time.time()


@pytest.fixture(scope="module")
def server() -> Iterator[LocalProvider]:
    with providing(lambda: NOW) as provider:
        yield provider


@pytest.fixture
def provider(server: LocalProvider, environment: FakeEnvironment) -> LocalProvider:
    server.calls.clear()
    server.keys = ["first"]
    environment.now = NOW
    environment.callers.teams["red"] = Team("red", models=("auto-chat",))
    secret = {"OIDC_ISSUER": server.issuer, "OIDC_CLIENT_ID": CLIENT, "OIDC_TOKENS": json.dumps(RULES)}
    use_secret(environment, secret)
    return server


def use_secret(environment: FakeEnvironment, secret: dict[str, str]) -> None:
    directory = cast("KeyDirectory", environment.callers)
    tokens = TokenCallers(secret.get, directory, environment.clock)
    environment.admission = Admission(
        environment.master_key, directory, environment.fake_ledgers, environment.clock, lambda: tokens
    )


def claims(provider: LocalProvider, **changes: Any) -> dict[str, Any]:
    own = {"iss": provider.issuer, "aud": CLIENT, "sub": "user-1", "exp": NOW + 300, "iat": NOW}
    return {**own, "email": "ann@example.com", "email_verified": True, **changes}


def ask(token: str, path: str = "/v1/chat/completions", header: str = "Authorization", **more: str) -> Any:
    asked = event("POST", path, {"model": "auto-chat", **PATHS[path]})
    value = f"Bearer {token}" if header == "Authorization" else token
    invocation = context()
    response: StreamingResponse = app.handler(
        {**asked, "headers": {"Content-Type": "application/json", header: value, **more}}, invocation
    )
    body = b"".join(response.body)
    invocation.run_work()
    return response.status, json.loads(body), response.headers


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("path", PATHS)
def test_a_token_is_a_key_in_every_format(
    environment: FakeEnvironment, provider: LocalProvider, path: str, header: str
) -> None:
    status, body, _ = ask(signed(claims(provider)), path, header)
    assert status == 200, body
    record = environment.books.booked[-1]
    assert (record.key, record.user, record.team) == ("oidc:ann@example.com", "ann@example.com", "red")


def test_the_provider_is_read_once(environment: FakeEnvironment, provider: LocalProvider) -> None:
    for _ in range(2):
        assert ask(signed(claims(provider)))[0] == 200
    assert provider.calls == ["/.well-known/openid-configuration", "/keys"]


def test_limits_and_models_apply(environment: FakeEnvironment, provider: LocalProvider) -> None:
    environment.callers.teams["red"] = Team("red", models=("auto-claude",))
    status, body, _ = ask(signed(claims(provider)))
    assert (status, body["error"]["code"]) == (403, "key_model_access_denied")
    bob = signed(claims(provider, email="bob@example.com"))
    assert [ask(bob)[0] for _ in range(3)] == [200, 200, 429], "two requests a minute, whatever token"
    environment.callers.teams["red"] = Team("red", limits=Limits(max_budget=0), blocked=True)
    assert ask(signed(claims(provider)))[1]["error"]["code"] == "key_blocked"


def test_a_request_without_a_key_gets_an_error_that_says_what_to_do(
    environment: FakeEnvironment, provider: LocalProvider
) -> None:
    status, body, _ = ask(signed(claims(provider, email="eve@elsewhere.example")))
    assert (status, body["error"]["code"]) == (403, "token_denied")
    assert "OIDC_TOKENS" in body["error"]["message"]


def forged(**changes: Any) -> Callable[[dict[str, Any]], str]:
    return lambda own: signed({**own, **changes})


def changed_afterwards(own: dict[str, Any]) -> str:
    head, _, signature = signed(own).split(".")
    return f"{head}.{encoded({**own, 'sub': 'user-2'})}.{signature}"


FORGERIES = {
    "no signature": lambda own: f"{encoded({'alg': 'none'})}.{encoded(own)}.",
    "a symmetric algorithm": lambda own: signed(own, alg="HS256"),
    "a PSS algorithm": lambda own: signed(own, alg="PS256"),
    "changed claims": changed_afterwards,
    "the attacker's key": lambda own: signed(own, "the attacker's", kid="first", jwk=public_jwk("the attacker's")),
    "an unknown key": lambda own: signed(own, "nobody's"),
    "an extension": lambda own: signed(own, crit=["b64"]),
    "another issuer": forged(iss="https://elsewhere.example"),
    "another audience": forged(aud="another"),
    "an object as audience": forged(aud={"a": 1}),
    "expired": forged(exp=NOW - 120),
    "without expiry": forged(exp=None),
    "not yet valid": forged(nbf=NOW + 3600),
    "without subject": forged(sub=None),
    "the end of a session": forged(events={"http://schemas.openid.net/event/backchannel-logout": {}}),
    "no token": lambda _: "eyJ.eyJ.A",
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_a_forged_token_is_rejected(
    environment: FakeEnvironment,
    provider: LocalProvider,
    forge: Callable[[dict[str, Any]], str],
    lines: Callable[[], list[dict[str, Any]]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    token = forge(claims(provider))
    status, body, headers = ask(token)
    assert (status, body["error"]["code"]) == (401, "invalid_token")
    assert "Sign in again" in body["error"]["message"]
    assert token not in json.dumps([body, lines()]) + caplog.text
    assert headers["www-authenticate"].startswith("Bearer")
    assert not environment.upstream.calls
    assert not environment.books.booked


def test_an_unknown_key_has_the_keys_read_once_a_minute(environment: FakeEnvironment, provider: LocalProvider) -> None:
    assert ask(signed(claims(provider)))[0] == 200
    provider.keys = ["second"]
    token = signed(claims(provider), "second")
    for _ in range(3):
        assert ask(token)[0] == 401
    assert provider.calls.count("/keys") == 1
    environment.elapsed += 61
    assert ask(token)[0] == 200
    assert ask(signed(claims(provider)))[0] == 401, "a key that the provider has withdrawn"
    assert provider.calls.count("/keys") == 2


def test_known_keys_stay_in_use_while_the_provider_is_down(
    environment: FakeEnvironment, provider: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(signed(claims(provider)))[0] == 200
    monkeypatch.setattr(provider, "answer", lambda *_: (503, {}))
    environment.elapsed += 4000
    assert ask(signed(claims(provider)))[0] == 200


def test_without_any_keys_a_token_cannot_be_checked(
    environment: FakeEnvironment, provider: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as down:
        down.setattr(provider, "answer", lambda *_: (503, {}))
        status, body, headers = ask(signed(claims(provider)))
        assert (status, body["error"]["code"]) == (503, "temporarily_unavailable")
        assert headers["retry-after"]
    assert ask(signed(claims(provider)))[0] == 503, "the provider is not asked again at once"
    environment.elapsed += 6
    assert ask(signed(claims(provider)))[0] == 200


def test_a_valid_key_beside_a_token_of_elsewhere_decides(environment: FakeEnvironment, provider: LocalProvider) -> None:
    environment.callers.callers["sk-mine"] = Caller(Key("hash", "mine"))
    foreign = signed(claims(provider, iss="https://elsewhere.example"))
    assert ask(foreign, **{"x-api-key": "sk-mine"})[0] == 200
    assert environment.books.booked[-1].key == "mine"
    assert ask(MASTER_KEY)[0] == 200


@pytest.mark.parametrize(
    ("rules", "claimed", "status"),
    [
        ({"clients": ["cli"]}, {"azp": "cli"}, 200),
        ({"clients": ["cli"]}, {"azp": "another"}, 401),
        ({"clients": ["cli"]}, {}, 401),
        ({}, {"azp": "another"}, 200),  # an access token for the router, issued to another client
        ({"audience": "api://router"}, {"aud": ["api://router", "x"]}, 200),
        ({"audience": "api://router"}, {}, 401),
        ({}, {"aud": None, "client_id": CLIENT}, 401),
    ],
)
def test_audiences_and_clients(
    environment: FakeEnvironment, provider: LocalProvider, rules: dict[str, Any], claimed: dict[str, Any], status: int
) -> None:
    secret = {"OIDC_ISSUER": provider.issuer, "OIDC_CLIENT_ID": CLIENT, "OIDC_TOKENS": json.dumps({**RULES, **rules})}
    use_secret(environment, secret)
    assert ask(signed(claims(provider, **claimed)))[0] == status


def test_an_access_token_without_audience_is_for_its_client(
    environment: FakeEnvironment, provider: LocalProvider
) -> None:
    own = claims(provider, client_id=CLIENT)
    del own["aud"]
    assert ask(signed(own))[0] == 200
    assert ask(signed({**own, "client_id": "another"}))[0] == 401


def test_wrong_settings_reject_tokens_and_no_keys(
    environment: FakeEnvironment, provider: LocalProvider, caplog: pytest.LogCaptureFixture
) -> None:
    use_secret(environment, {"OIDC_ISSUER": provider.issuer, "OIDC_CLIENT_ID": CLIENT, "OIDC_TOKENS": "{"})
    assert ask(signed(claims(provider)))[0] == 503
    assert "OIDC_TOKENS is not JSON" in caplog.text
    assert ask(MASTER_KEY)[0] == 200


def test_old_keys_are_read_again_while_nobody_waits(server: LocalProvider) -> None:
    elapsed = [0.0]
    spawned: list[Callable[[], None]] = []
    keys = ProviderKeys(server.issuer, Clock(monotonic=lambda: elapsed[0]), spawned.append)
    server.keys = ["first"]
    assert [key.id for key in keys.get()] == ["first"]
    server.keys = ["second"]
    elapsed[0] = 3600
    assert [key.id for key in keys.get()] == ["first"]
    [read] = spawned
    read()
    assert [key.id for key in keys.get()] == ["second"]
    assert len(spawned) == 1

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.access.authentication import authenticate, authenticate_master, find_keys, hash_key
from vibe_router.access.keys import MASTER, Caller, Key, Team
from vibe_router.core.errors import ApiError
from vibe_router.store.keys import KeysUnavailableError

KEY = "sk-local-1234"
VIRTUAL = "sk-virtual"
NOW = 1_800_000_000.0
texts = st.text(st.characters(exclude_categories=()), max_size=12)
names = st.sampled_from(["authorization", "x-api-key", "api-key", "x-litellm-api-key", "x-goog-api-key", "accept"])


class Keys:
    """Knows the callers given, by the hashes of their keys."""

    def __init__(self, **callers: Caller) -> None:
        self.callers = {hash_key(f"sk-{name}"): caller for name, caller in callers.items()}
        self.asked: list[str] = []

    def find(self, key_hash: str) -> Caller | None:
        self.asked.append(key_hash)
        return self.callers.get(key_hash)


@pytest.mark.parametrize(
    ("headers", "keys"),
    [
        pytest.param({}, [], id="no header"),
        pytest.param({"authorization": f"Bearer {KEY}"}, [KEY], id="OpenAI's"),
        pytest.param({"authorization": f"bearer {KEY}"}, [KEY], id="a scheme in lower case"),
        pytest.param({"authorization": f"BEARER   {KEY}  "}, [KEY], id="spaces around the key"),
        pytest.param({"authorization": f"Basic {KEY}"}, [], id="another scheme"),
        pytest.param({"authorization": KEY}, [KEY], id="no scheme"),
        pytest.param({"authorization": "Bearer"}, [], id="a scheme alone"),
        pytest.param({"authorization": "Bearer  "}, [], id="a scheme and spaces"),
        pytest.param({"x-api-key": KEY}, [KEY], id="Anthropic's"),
        pytest.param({"api-key": KEY}, [KEY], id="Azure's"),
        pytest.param({"x-litellm-api-key": KEY}, [KEY], id="LiteLLM's"),
        pytest.param({"x-litellm-api-key": f"Bearer {KEY}"}, [KEY], id="LiteLLM's with a scheme"),
        pytest.param({"x-goog-api-key": KEY}, [KEY], id="Gemini's"),
        pytest.param({"x-api-key": "  "}, [], id="an empty header"),
        pytest.param({"authorization": f"Bearer {KEY}", "x-api-key": "other"}, ["other", KEY], id="Authorization last"),
        pytest.param({"authorization": "Basic abc", "x-api-key": KEY}, [KEY], id="another scheme is skipped"),
        pytest.param({"authorization": "Bearer ", "x-api-key": KEY}, [KEY], id="an empty key is skipped"),
        pytest.param({"authorization": f"Bearer {KEY}", "x-api-key": KEY}, [KEY], id="the same key twice"),
        pytest.param(
            {"x-api-key": "b", "api-key": "c", "x-goog-api-key": "d", "x-litellm-api-key": "a"},
            ["a", "b", "c", "d"],
            id="the router's own first",
        ),
    ],
)
def test_every_header_that_may_carry_a_key_is_read_in_order(headers: dict[str, str], keys: list[str]) -> None:
    assert find_keys(headers) == keys


TOKENS = {
    "an OAuth token of Claude Code": "sk-ant-oat01-abc",
    "an access token of ChatGPT": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1In0.c2ln",
    "a key of OpenAI": "sk-proj-abc",
}


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
@pytest.mark.parametrize(
    ("of_token", "of_key"),
    [("authorization", "x-api-key"), ("x-api-key", "authorization"), ("authorization", "x-litellm-api-key")],
)
@pytest.mark.parametrize("key", [KEY, VIRTUAL], ids=["the master key", "a virtual key"])
def test_a_providers_token_beside_a_valid_key_is_ignored(token: str, of_token: str, of_key: str, key: str) -> None:
    caller = Caller(Key("h", "h"))
    headers = {of_token: f"Bearer {token}", of_key: f"Bearer {key}"}
    assert authenticate(headers, KEY, Keys(virtual=caller), NOW) is (MASTER if key == KEY else caller)


def test_a_blocked_key_is_ignored_beside_a_valid_one_and_alone_rejected() -> None:
    caller = Caller(Key("h", "h"))
    keys = Keys(virtual=caller, blocked=Caller(Key("b", "b", blocked=True)))
    assert authenticate({"x-api-key": "sk-blocked", "authorization": f"Bearer {VIRTUAL}"}, KEY, keys, NOW) is caller
    with pytest.raises(ApiError) as rejected:
        authenticate({"x-api-key": "sk-blocked", "authorization": "Bearer sk-ant-oat01-abc"}, KEY, keys, NOW)
    assert rejected.value.code == "key_blocked"


def test_a_lookup_that_fails_is_raised_unless_another_key_is_valid() -> None:
    class Unavailable(Keys):
        def find(self, key_hash: str) -> Caller | None:
            if caller := super().find(key_hash):
                return caller
            raise KeysUnavailableError

    caller = Caller(Key("h", "h"))
    keys = Unavailable(virtual=caller)
    assert authenticate({"x-api-key": "sk-other", "authorization": f"Bearer {VIRTUAL}"}, KEY, keys, NOW) is caller
    with pytest.raises(KeysUnavailableError):
        authenticate({"x-api-key": "sk-other"}, KEY, keys, NOW)


@pytest.mark.parametrize(
    ("headers", "master_key", "hint"),
    [
        pytest.param({}, KEY, "Authorization: Bearer", id="no key: which header is missing"),
        pytest.param({"x-api-key": "sk-other"}, KEY, "not valid", id="a wrong key"),
        pytest.param({"x-api-key": KEY[:-1]}, KEY, "not valid", id="the beginning of the key"),
        pytest.param({"x-api-key": KEY + "5"}, KEY, "not valid", id="the key and more"),
        pytest.param({"x-api-key": KEY.upper()}, KEY, "not valid", id="the key in capitals"),
        pytest.param({"x-api-key": "\ud800ü"}, KEY, "not valid", id="characters that no key has"),
        pytest.param({"x-api-key": KEY}, None, "not valid", id="no master key is set: nobody comes in"),
        pytest.param({"x-api-key": KEY}, "", "not valid", id="an empty master key: nobody comes in"),
        pytest.param({"x-api-key": "Bearer "}, "", "Authorization: Bearer", id="not even with an empty key"),
    ],
)
def test_a_missing_or_invalid_key_is_rejected(headers: dict[str, str], master_key: str | None, hint: str) -> None:
    with pytest.raises(ApiError, match=hint) as rejected:
        authenticate(headers, master_key, Keys(), NOW)
    assert (rejected.value.status, rejected.value.code) == (401, "invalid_api_key")


@given(headers=st.dictionaries(names, texts), master_key=texts)
def test_only_the_complete_key_is_accepted_and_no_error_contains_one(headers: dict[str, str], master_key: str) -> None:
    shown = find_keys(headers)
    try:
        authenticate(headers, master_key, Keys(), NOW)
    except ApiError as rejected:
        assert master_key not in shown or not master_key
        assert rejected.status == 401  # noqa: PT017 - some are let in
        assert rejected.message in refusals()  # noqa: PT017
    else:
        assert master_key in shown


def refusals() -> set[str]:
    """Everything that a refusal may say: nothing of it comes from the caller."""
    texts = set()
    for headers in ({}, {"x-api-key": "x"}):
        with pytest.raises(ApiError) as rejected:
            authenticate(headers, KEY, Keys(), NOW)
        texts.add(rejected.value.message)
    return texts


@pytest.mark.parametrize("shown", ["s", KEY[:-1], "x" * 10_000, "ü"], ids=["short", "near", "long", "odd"])
def test_keys_are_compared_by_digests_of_one_length_in_constant_time(
    shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return hmac_compare(one, other)

    hmac_compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", compare)
    with pytest.raises(ApiError):
        authenticate({"authorization": "x", "x-api-key": shown}, KEY, Keys(), NOW)
    [(one, other)] = compared
    assert len(one) == len(other) == 32


def test_the_master_key_needs_no_lookup() -> None:
    keys = Keys()
    assert authenticate({"x-api-key": KEY}, KEY, keys, NOW) is MASTER
    assert keys.asked == []


def test_a_virtual_key_is_found_by_its_hash() -> None:
    caller = Caller(Key("h", "h", team_id="blue"), Team("blue"))
    keys = Keys(virtual=caller)
    assert authenticate({"x-goog-api-key": VIRTUAL}, KEY, keys, NOW) is caller
    assert keys.asked == [hash_key(VIRTUAL)]
    assert authenticate({"x-api-key": VIRTUAL}, None, keys, NOW) is caller, "whether or not there is a master key"


def test_a_blocked_virtual_key_is_rejected() -> None:
    with pytest.raises(ApiError) as rejected:
        authenticate({"x-api-key": VIRTUAL}, KEY, Keys(virtual=Caller(Key("h", "h", blocked=True))), NOW)
    assert rejected.value.code == "key_blocked"


def test_a_virtual_key_is_not_accepted_as_the_master_key() -> None:
    keys = Keys(virtual=Caller(Key("h", "h")))
    authenticate_master({"x-api-key": KEY}, KEY, keys, NOW)
    with pytest.raises(ApiError) as rejected:
        authenticate_master({"x-api-key": VIRTUAL}, KEY, keys, NOW)
    assert (rejected.value.status, rejected.value.code) == (403, "master_key_required")
    with pytest.raises(ApiError) as rejected:
        authenticate_master({"x-api-key": "sk-other"}, KEY, keys, NOW)
    assert rejected.value.status == 401

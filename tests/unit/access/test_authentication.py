import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.access.authentication import authenticate, authenticate_master, find_key, hash_key
from vibe_router.access.keys import MASTER, Caller, Key, Team
from vibe_router.core.errors import ApiError

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
    ("headers", "key"),
    [
        pytest.param({}, None, id="no header"),
        pytest.param({"authorization": f"Bearer {KEY}"}, KEY, id="OpenAI's"),
        pytest.param({"authorization": f"bearer {KEY}"}, KEY, id="a scheme in lower case"),
        pytest.param({"authorization": f"BEARER   {KEY}  "}, KEY, id="spaces around the key"),
        pytest.param({"authorization": f"Basic {KEY}"}, None, id="another scheme"),
        pytest.param({"authorization": KEY}, None, id="no scheme"),
        pytest.param({"authorization": "Bearer"}, None, id="a scheme alone"),
        pytest.param({"authorization": "Bearer  "}, None, id="a scheme and spaces"),
        pytest.param({"x-api-key": KEY}, KEY, id="Anthropic's"),
        pytest.param({"api-key": KEY}, KEY, id="Azure's"),
        pytest.param({"x-litellm-api-key": KEY}, KEY, id="LiteLLM's"),
        pytest.param({"x-litellm-api-key": f"Bearer {KEY}"}, KEY, id="LiteLLM's with a scheme"),
        pytest.param({"x-goog-api-key": KEY}, KEY, id="Gemini's"),
        pytest.param({"x-api-key": "  "}, None, id="an empty header"),
        pytest.param({"authorization": f"Bearer {KEY}", "x-api-key": "other"}, KEY, id="Authorization goes first"),
        pytest.param(
            {"authorization": "Basic abc", "x-api-key": KEY}, KEY, id="another scheme does not stand in the way"
        ),
        pytest.param({"authorization": "Bearer ", "x-api-key": KEY}, KEY, id="nor does an empty one"),
        pytest.param({"x-api-key": KEY, "api-key": "b", "x-goog-api-key": "c"}, KEY, id="then Anthropic's"),
        pytest.param({"api-key": KEY, "x-litellm-api-key": "b", "x-goog-api-key": "c"}, KEY, id="then Azure's"),
        pytest.param({"x-litellm-api-key": KEY, "x-goog-api-key": "c"}, KEY, id="then LiteLLM's"),
    ],
)
def test_where_a_key_may_stand(headers: dict[str, str], key: str | None) -> None:
    assert find_key(headers) == key


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
        pytest.param({"x-api-key": "Bearer "}, "", "not valid", id="not even with an empty key"),
    ],
)
def test_who_is_kept_out(headers: dict[str, str], master_key: str | None, hint: str) -> None:
    with pytest.raises(ApiError, match=hint) as refused:
        authenticate(headers, master_key, Keys(), NOW)
    assert (refused.value.status, refused.value.code) == (401, "invalid_api_key")


@given(headers=st.dictionaries(names, texts), master_key=texts)
def test_only_the_holder_of_the_whole_key_comes_in_and_no_error_shows_a_key(
    headers: dict[str, str], master_key: str
) -> None:
    shown = find_key(headers)
    try:
        authenticate(headers, master_key, Keys(), NOW)
    except ApiError as refused:
        assert shown != master_key or not master_key
        assert refused.status == 401  # noqa: PT017 - some are let in
        assert refused.message in refusals()  # noqa: PT017
    else:
        assert shown == master_key


def refusals() -> set[str]:
    """Everything that a refusal may say: nothing of it comes from the caller."""
    texts = set()
    for headers in ({}, {"x-api-key": "x"}):
        with pytest.raises(ApiError) as refused:
            authenticate(headers, KEY, Keys(), NOW)
        texts.add(refused.value.message)
    return texts


@pytest.mark.parametrize("shown", ["", "s", KEY[:-1], "x" * 10_000, "ü"], ids=["empty", "short", "near", "long", "odd"])
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
        authenticate({"authorization": "x", "x-api-key": shown or "Bearer "}, KEY, Keys(), NOW)
    [(one, other)] = compared
    assert len(one) == len(other) == 32


def test_for_the_master_key_nothing_is_read() -> None:
    keys = Keys()
    assert authenticate({"x-api-key": KEY}, KEY, keys, NOW) is MASTER
    assert keys.asked == []


def test_a_virtual_key_is_known_by_its_hash() -> None:
    caller = Caller(Key("h", "h", team_id="blue"), Team("blue"))
    keys = Keys(virtual=caller)
    assert authenticate({"x-goog-api-key": VIRTUAL}, KEY, keys, NOW) is caller
    assert keys.asked == [hash_key(VIRTUAL)]
    assert authenticate({"x-api-key": VIRTUAL}, None, keys, NOW) is caller, "whether or not there is a master key"


def test_a_virtual_key_that_is_blocked_stays_out() -> None:
    with pytest.raises(ApiError) as refused:
        authenticate({"x-api-key": VIRTUAL}, KEY, Keys(virtual=Caller(Key("h", "h", blocked=True))), NOW)
    assert refused.value.code == "key_blocked"


def test_what_is_the_masters_is_no_virtual_keys() -> None:
    keys = Keys(virtual=Caller(Key("h", "h")))
    authenticate_master({"x-api-key": KEY}, KEY, keys, NOW)
    with pytest.raises(ApiError) as refused:
        authenticate_master({"x-api-key": VIRTUAL}, KEY, keys, NOW)
    assert (refused.value.status, refused.value.code) == (403, "master_key_required")
    with pytest.raises(ApiError) as refused:
        authenticate_master({"x-api-key": "sk-other"}, KEY, keys, NOW)
    assert refused.value.status == 401
